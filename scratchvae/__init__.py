"""A variational autoencoder from nothing but NumPy and Numba, its gradient derived by hand."""
from .analysis.evaluation import evaluate, Evaluation
from .autoencoder import Autoencoder
from .data.loading import Dataset, load_data
from .errors import ScratchVAEError
from .vae import VAE

__version__ = "0.1.0"
__all__ = ["VAE", "Autoencoder", "evaluate", "Evaluation", "load_data", "Dataset", "ScratchVAEError"]
