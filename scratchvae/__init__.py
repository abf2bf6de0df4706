"""A variational autoencoder from nothing but NumPy and Numba, its gradient derived by hand."""
from .data import Dataset, load_data
from .errors import ScratchVAEError
from .evaluation import Evaluation, evaluate
from .model import Autoencoder, VAE

__version__ = "0.1.0"
__all__ = ["VAE", "Autoencoder", "evaluate", "Evaluation", "load_data", "Dataset", "ScratchVAEError"]
