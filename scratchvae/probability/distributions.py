"""Probability distributions as checked arrays, for `scratchvae.probability.divergences`.

Logarithms are kept, not probabilities: a density far out in its tail underflows long before its logarithm does.
"""
import functools
import math
from typing import Any

import numpy as np

from ..arrays import as_finite, as_numbers, log_sum_exp
from ..errors import ConfigurationError, DataError, ShapeError
from ..validation import check_seed, integer, LARGEST_COUNT

SUM_TOLERANCE = 1e-6          # how far a sum of probabilities may be from 1: that of float32 ones is nearer
INTEGRAL_TOLERANCE = 1e-3     # how far an integral on a grid may be from 1, with quadrature error and cut-off tails
LARGEST_LOGVAR = 700.0        # largest |log variance|: exp(709.8) overflows in float64
LOG_2PI = math.log(2 * math.pi)


def _log(p, name):
    """log p, with log 0 = -inf."""
    p = as_numbers(p, name)
    if not (p >= 0).all() or np.isinf(p).any():
        raise DataError(f"{name} has values from {p.min():g} to {p.max():g}; expected finite values of at least 0. "
                        "Pass probabilities or densities; of logarithms, use from_log.")
    with np.errstate(divide="ignore"):
        return np.log(p)


def _normalized(log_p, what, tolerance=SUM_TOLERANCE):
    log_total = log_sum_exp(log_p)
    if not abs(np.expm1(min(log_total, LARGEST_LOGVAR))) <= tolerance:
        raise DataError(f"{what} is {np.exp(min(log_total, LARGEST_LOGVAR)):.6g}; expected 1 within {tolerance:g}. "
                        "Divide by it if that is what you mean; of a density, cover its tails with a finer grid.")
    return log_p - log_total


class Discrete:
    """A distribution over finitely many outcomes.

    p, of any shape, is one distribution over all entries.  The probabilities must add up to 1 within 1e-6, and are then
    scaled to do so exactly.  `log_p` has p's shape, and is -inf where p is 0.  Raises ShapeError or DataError if p is
    no array of numbers, has a negative or infinite entry or NaN, or is not normalized.

    Examples
    --------
    >>> np.exp(Discrete([0.25, 0.75]).log_p)
    array([0.25, 0.75])
    """

    def __init__(self, p: Any):
        self.log_p = _normalized(_log(p, "p"), "The sum of p")

    @classmethod
    def from_log(cls, log_p: Any) -> "Discrete":
        """Return the distribution whose log probabilities are log_p; -inf stands for 0."""
        distribution = cls.__new__(cls)
        log_p = as_numbers(log_p, "log_p")
        if np.isnan(log_p).any() or np.isposinf(log_p).any():
            raise DataError("log_p has NaN or +inf; expected finite numbers or -inf. Look at how it is computed.")
        distribution.log_p = _normalized(log_p, "The sum of exp(log_p)")
        return distribution


class Grid:
    """A density on a grid, integrated by the trapezoid rule (spectrally accurate for smooth densities that vanish
    at both ends of an evenly spaced axis).  Raises ShapeError or DataError if the arrays do not fit, an axis does not
    increase, or the density is negative or not normalized.

    Parameters
    ----------
    density : array_like (n_1, ..., n_d)
        Values of the density.  It must integrate to 1 within 1e-3, and is then scaled to do so exactly.
    *axes : array_like (n_i,)
        Strictly increasing coordinates, one array for each dimension.

    Attributes
    ----------
    log_density : ndarray (n_1, ..., n_d)
    axes : tuple of ndarray
    log_cell : ndarray (n_1, ..., n_d)
        Logarithm of the quadrature weights.
    masses : Discrete
        Density times weight: the cells as outcomes.

    Examples
    --------
    >>> x = np.linspace(0, 1, 5)
    >>> float(np.exp(Grid(2 * x, x).masses.log_p).sum())
    1.0
    """

    def __init__(self, density: Any, *axes: Any):
        self._build("density", _log(density, "density"), axes)

    @classmethod
    def from_log(cls, log_density: Any, *axes: Any) -> "Grid":
        """Return the density whose logarithm is log_density; -inf stands for 0."""
        grid = cls.__new__(cls)
        grid._build("log_density", as_numbers(log_density, "log_density"), axes)
        return grid

    def _build(self, name, log_density, axes):
        self.axes = tuple(as_finite(axis, "axis", ndim=(1,)) for axis in axes)
        shape = tuple(map(len, self.axes))
        if log_density.shape != shape:
            raise ShapeError(f"{name} has shape {log_density.shape}; expected {shape}, the length of each axis. "
                             "Pass one coordinate array a dimension.")
        log_weights = [np.log(_trapezoid_weights(axis)) for axis in self.axes]
        self.log_cell = functools.reduce(np.add.outer, log_weights, np.zeros(()))
        masses = log_density + self.log_cell
        if np.isnan(masses).any() or np.isposinf(masses).any():
            raise DataError(f"{name} has NaN or +inf; expected finite numbers or -inf. Look at how it is computed.")
        what = "density" if name == "density" else f"exp({name})"
        masses = _normalized(masses, f"The integral of {what} over its axis", INTEGRAL_TOLERANCE)
        self.masses = Discrete.from_log(masses)
        self.log_density = masses - self.log_cell


def _trapezoid_weights(axis):
    step = np.diff(axis)
    if len(axis) < 2 or not (step > 0).all():
        raise DataError(f"An axis of {len(axis)} points does not increase everywhere; expected two or more strictly "
                        "increasing coordinates. Sort it and drop duplicates.")
    return 0.5 * (np.append(step, 0.0) + np.append(0.0, step))


def _points(x, mean, ndim=None):
    x = as_numbers(x, "x", ndim)
    if x.shape[-1:] != mean.shape[-1:]:
        raise ShapeError(f"x has shape {x.shape}; expected {mean.shape[-1]} columns, one a dimension. "
                         "Pass one point a row.")
    try:
        np.broadcast_shapes(x.shape, mean.shape)
    except ValueError:
        raise ShapeError(f"x has shape {x.shape}, which does not go with a batch of {len(mean)} Gaussians. Pass one "
                         "point each, or x[:, None] for every point under every one.") from None
    return x


def _standard_normal(n, shape, seed):
    """Draw (n, *shape) numbers from N(0, 1); n may be 0."""
    integer("n", n, 0, LARGEST_COUNT // max(1, math.prod(shape)), "Choose for example 100.")
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_seed(seed))
    return rng.standard_normal((n, *shape))


class DiagonalGaussian:
    """N(mu, diag(exp(logvar))) with mu and logvar (Z,), or a batch of them (n, Z): the encoder's output (T6).

    Raises ShapeError or DataError if the arrays do not fit, a value is not finite, or a log variance is not within
    +-700.

    Examples
    --------
    >>> float(DiagonalGaussian([0.0], [0.0]).log_density([0.0]))  # doctest: +ELLIPSIS
    -0.91893...
    """

    def __init__(self, mu: Any, logvar: Any):
        self.mu, self.logvar = as_finite(mu, "mu", ndim=(1, 2)), as_numbers(logvar, "logvar", ndim=(1, 2))
        if self.mu.shape != self.logvar.shape:
            raise ShapeError(f"mu has shape {self.mu.shape} and logvar {self.logvar.shape}; expected the same. "
                             "Pass one log variance a mean.")
        if not np.abs(self.logvar).max() <= LARGEST_LOGVAR:
            raise DataError(f"logvar has values from {self.logvar.min():g} to {self.logvar.max():g}; expected +-"
                            f"{LARGEST_LOGVAR:g} at most, what float64 holds. A variance of zero has no density; "
                            "otherwise look for a diverged encoder.")

    def log_density(self, x: Any) -> np.ndarray:
        """Return log N(x; mu, sigma^2), summed over the last axis, in nats; x (..., Z) broadcasts with mu."""
        with np.errstate(over="ignore"):                           # beyond the largest float64 it is -inf
            standardized = (_points(x, self.mu) - self.mu) * np.exp(-0.5 * self.logvar)
            return -0.5 * (np.square(standardized) + self.logvar + LOG_2PI).sum(axis=-1)

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> np.ndarray:
        """Return n draws, (n, Z) or (n, batch, Z), from a seed or a generator."""
        return self.mu + np.exp(0.5 * self.logvar) * _standard_normal(n, self.mu.shape, seed)


class FullGaussian:
    """N(mean, covariance) with mean (Z,) and covariance (Z, Z); `cholesky` is its lower triangular L with L L^T.

    Raises ShapeError or DataError if the arrays do not fit or are not finite, or the covariance is not symmetric and
    positive definite.

    Examples
    --------
    >>> FullGaussian([0, 0], [[4, 2], [2, 5]]).cholesky
    array([[2., 0.],
           [1., 2.]])
    """

    def __init__(self, mean: Any, covariance: Any):
        self.mean = as_finite(mean, "mean", ndim=(1,))
        self.covariance = as_finite(covariance, "covariance", ndim=(2,))
        if self.covariance.shape != 2 * self.mean.shape:
            raise ShapeError(f"covariance has shape {self.covariance.shape}; expected {2 * self.mean.shape} for a mean "
                             f"of {len(self.mean)}. Pass a square matrix of the mean's size.")
        if not np.allclose(self.covariance, self.covariance.T, rtol=1e-8, atol=0):
            raise DataError("covariance is not symmetric; expected C = C^T. Pass (C + C.T) / 2 if it is only rounded.")
        try:
            self.cholesky = np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:
            raise DataError("covariance is not positive definite; expected all eigenvalues above 0. Drop dependent "
                            "dimensions, or add a small multiple of the identity.") from None

    def log_density(self, x: Any) -> np.ndarray:
        """Return log N(x; mean, covariance), in nats, for x (Z,) or (n, Z)."""
        centered, root = _points(x, self.mean, ndim=(1, 2)) - self.mean, np.linalg.inv(self.cholesky)
        standardized = np.einsum("...j,ij->...i", centered, root)
        log_determinant = 2 * np.log(np.diag(self.cholesky)).sum()
        return -0.5 * (np.square(standardized).sum(axis=-1) + log_determinant + len(self.mean) * LOG_2PI)

    def sample(self, n: int, seed: int | np.random.Generator = 0) -> np.ndarray:
        """Return n draws, (n, Z), from a seed or a generator."""
        return self.mean + np.einsum("nj,ij->ni", _standard_normal(n, self.mean.shape, seed), self.cholesky)


def require_same_kind(p: Any, q: Any) -> None:
    """Raise ConfigurationError or ShapeError unless p and q are distributions over the same outcomes."""
    if type(p) is not type(q):
        raise ConfigurationError(f"p is a {type(p).__name__} and q a {type(q).__name__}; expected two of a kind. Put "
                                 "both on one Grid, or use log densities of samples (kl_from_samples).")
    if isinstance(p, Grid) and not (len(p.axes) == len(q.axes) and all(map(np.array_equal, p.axes, q.axes))):
        raise ShapeError(f"p and q stand on different grids, of shapes {p.log_cell.shape} and {q.log_cell.shape}; "
                         "expected the same axes. Evaluate both densities on one grid.")
    sizes = {Discrete: lambda d: d.log_p.shape, DiagonalGaussian: lambda d: d.mu.shape[-1:],
             FullGaussian: lambda d: d.mean.shape}.get(type(p), lambda d: ())
    if sizes(p) != sizes(q):
        raise ShapeError(f"p has shape {sizes(p)} and q {sizes(q)}; expected the same outcomes or dimensions. "
                         "Give an outcome that one of them lacks the probability 0.")
    if isinstance(p, DiagonalGaussian) and p.mu.ndim == q.mu.ndim == 2 and len({1, len(p.mu), len(q.mu)}) > 2:
        raise ShapeError(f"p is a batch of {len(p.mu)} and q of {len(q.mu)}; expected the same, or one Gaussian. "
                         "Pair them row by row.")
