"""Exact answers to compare the package with: a model in closed form, and quadrature for one or two latents."""
from .linear import GaussianPosterior, LinearGaussian
from .ppca import PPCA, ppca
from .quadrature import Quadrature
from .rules import PosteriorGrid, sigma_points

__all__ = ["LinearGaussian", "GaussianPosterior", "ppca", "PPCA", "sigma_points", "Quadrature", "PosteriorGrid"]
