"""Models by their names, which are bundled, or by their paths."""
import os
from pathlib import Path
from typing import cast

from .autoencoder import Autoencoder
from .errors import ConfigurationError
from .model import Model
from .vae import VAE

MODELS = Path(__file__).parent / "models"               # the folder of the bundled files
BUNDLED_MODELS = {"mnist": "mnist5k"}                   # and the bundled data set that each can show


def load_model(source: str | Path) -> VAE | Autoencoder:
    """Load a model by its name or from a path.

    The name is "mnist", which is bundled: a VAE of MNIST's binarized digits, which its `README.md` in
    `scratchvae/models` describes.  A path is a run folder of `scratchvae train`, or a file that `save` or `scratchvae
    export` wrote.  Write "./mnist" for a folder of that name.  Its `partial_fit` goes on where training ended, and
    anew, without moments, with an exported file.  Raises ConfigurationError if `source` is neither a string nor a path,
    and RunError if the file is missing, damaged, or does not describe a model.

    Parameters
    ----------
    source : str or Path
        A name or a path.

    Examples
    --------
    >>> load_model("mnist")
    <VAE(n_visible=784, n_latent=50, hidden=(200, 200), activation='tanh'): 425,284 parameters>
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigurationError(f"source is {type(source).__name__}; expected the name {' or '.join(BUNDLED_MODELS)}, "
                                 "a run folder or a model's file, as str or Path.")
    path = MODELS / f"{source}.npz" if source in BUNDLED_MODELS else source
    return cast(VAE | Autoencoder, Model.load(Path(path) / "model.npz" if os.path.isdir(path) else path))
