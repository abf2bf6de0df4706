"""Data sets by name or path, and the minibatches that a step reads."""
from .identity import fingerprint
from .loading import BUNDLED, Dataset, load_data

__all__ = ["BUNDLED", "Dataset", "fingerprint", "load_data"]
