"""Data sets by name or path, and the minibatches that a step reads."""
from .loading import BUNDLED, Dataset, load_data

__all__ = ["BUNDLED", "Dataset", "load_data"]
