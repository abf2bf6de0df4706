"""A variational autoencoder from nothing but NumPy and Numba, its gradient derived by hand."""
from importlib import import_module

TYPE_CHECKING = False                   # checkers of types take it for true, and see where the names come from
if TYPE_CHECKING:
    from .analysis.evaluation import evaluate, Evaluation
    from .autoencoder import Autoencoder
    from .bundled_models import load_model
    from .data.loading import Dataset, load_data
    from .errors import ScratchVAEError
    from .vae import VAE

__version__ = "0.1.0"
__all__ = ["VAE", "Autoencoder", "evaluate", "Evaluation", "load_data", "load_model", "Dataset", "ScratchVAEError"]
_HOMES = {"VAE": "vae", "Autoencoder": "autoencoder", "evaluate": "analysis.evaluation",
          "Evaluation": "analysis.evaluation", "load_data": "data.loading", "load_model": "bundled_models",
          "Dataset": "data.loading", "ScratchVAEError": "errors"}


def __getattr__(name):
    """Import a public name when it is first asked for, so that the command line can answer what goes wrong then."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
