"""A run folder: config.json, model.npz, history.csv and figures/*.png."""
import csv
import io
import json
from pathlib import Path

import numpy as np

from . import __version__, plots
from .data import BUNDLED, load_data
from .errors import RunError
from .evaluation import kl_terms
from .files import write_atomically
from .base import load_run
from .model import VAE
from .training import Epoch, Trainer

CONFIG, MODEL, HISTORY, FIGURES = "config.json", "model.npz", "history.csv", "figures"
SHOWN = 2000                                       # points in the latent plane: more hide each other
GRID = 15                                          # decoded grid: images a side


class Run:
    """A folder that holds a run, and what it says about itself.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    config : dict
        The settings of `scratchvae train`, by flag name.
    """

    def __init__(self, folder, config):
        self.folder, self.config = Path(folder), config

    @classmethod
    def open(cls, folder):
        """Return the run in `folder`; raises RunError if there is none or its config.json is damaged."""
        path = Path(folder) / CONFIG
        try:
            config = json.loads(path.read_text())
            if not isinstance(config, dict) or "data" not in config or "model" not in config:
                raise ValueError("no settings in it")
        except FileNotFoundError:
            raise RunError(f"{folder} holds no run ({CONFIG} is missing); expected a folder that `scratchvae train "
                           "--out` wrote. Check the path.") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({error}); expected the settings of a run as JSON. "
                           "Restore it, or train again with --overwrite.") from error
        return cls(folder, config)

    @staticmethod
    def exists(folder):
        """Whether `folder` holds anything of a run."""
        return any((Path(folder) / name).exists() for name in (CONFIG, MODEL, HISTORY))

    def load_model(self):
        """Return (model, meta, arrays) of the run's model.npz."""
        return load_run(self.folder / MODEL)

    def load_data(self):
        """Return the Dataset that the run was trained on."""
        return load_data(self.config["data"])

    def begin(self):
        """Create the folder and write config.json; files of an earlier run are replaced one by one."""
        try:
            (self.folder / FIGURES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder} cannot be created: {error.strerror}. "
                           "Choose a folder that can be written to.") from error
        text = json.dumps({**self.config, "scratchvae": __version__}, indent=2) + "\n"
        write_atomically(self.folder / CONFIG, lambda file: file.write(text.encode()))

    def save(self, trainer):
        """Write model.npz (with all that a resume needs) and history.csv."""
        meta, arrays = trainer.state()
        trainer.model.save(self.folder / MODEL, {"training": meta}, arrays)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(Epoch._fields)
        writer.writerows(trainer.history)
        write_atomically(self.folder / HISTORY, lambda file: file.write(table.getvalue().encode()))

    def trainer(self, model, data):
        """Return a Trainer with this run's settings."""
        c = self.config
        return Trainer(model, data.train, batch_size=c["batch_size"], learning_rate=c["learning_rate"],
                       optimizer=c["optimizer"], validation=data.test, seed=c["seed"], binarize=c["binarize"],
                       output_bias=c["output_bias"])

    def save_figure(self, figure, name):
        """Write a figure into figures/ and return its path."""
        path = self.folder / FIGURES / name
        path.parent.mkdir(exist_ok=True)
        plots.save(figure, path)
        return path

    def draw(self, model, data, history):
        """Draw every figure that this model has; return the paths."""
        figures = {"learning_curves.png": plots.learning_curves(history),
                   "reconstructions.png": reconstruction_figure(model, data, 10)}
        mu = model.transform(data.test[:SHOWN])
        labels = None if data.test_labels is None else data.test_labels[:SHOWN]
        if model.n_latent == 2:
            figures["latent_plane.png"] = plots.latent_plane(mu, labels)
        else:
            plane, explained = plots.principal_directions(mu)
            figures["latent_plane.png"] = plots.latent_plane(plane, labels, explained)
        if isinstance(model, VAE):
            figures["samples.png"] = sample_figure(model, data, 64, seed=0)
            figures["kl_per_dimension.png"] = plots.kl_per_dimension(kl_per_dimension(model, data.test[:SHOWN]))
            if model.n_latent == 2:
                figures["decoded_grid.png"] = decoded_grid_figure(model, data)
        return [self.save_figure(figure, name) for name, figure in figures.items()]


def data_source(source):
    """Return a data source as a run remembers it: a bundled name, or an absolute path if there is such a path."""
    return source if source in BUNDLED or not Path(source).exists() else str(Path(source).resolve())


def kl_per_dimension(model, x):
    """Return KL(q(z_j | x) || p(z_j)) averaged over x, (Z,), in nats per example (E4)."""
    return kl_terms(*model.encode(x)).mean(axis=0)


def reconstruction_figure(model, data, n):
    """Draw n held-out images over their reconstructions."""
    originals = data.test[:n]
    scaled = originals / 255 if originals.dtype == np.uint8 else originals
    return plots.reconstructions(scaled, model.reconstruct(originals), data.image_shape)


def sample_figure(model, data, n, seed):
    """Draw the decoded means of n draws from the prior."""
    return plots.image_grid(model.sample(n, seed), data.image_shape, f"{n} samples from the prior")


def decoded_grid_figure(model, data):
    """Draw the decoded means over the plane of a model with two latents."""
    axis = np.linspace(-3, 3, GRID)
    z = np.array([(z1, z2) for z2 in axis for z1 in axis])
    return plots.decoded_grid(model.decode(z), data.image_shape, axis, axis)


def traversal_figure(model, data, dimensions, index, values):
    """Draw one latent a row swept over `values`, the others at the posterior mean of test image `index` or 0."""
    base = np.zeros(model.n_latent) if index is None else model.transform(data.test[index:index + 1])[0]
    z = np.tile(base.astype(np.float64), (len(dimensions), len(values), 1))
    for row, j in enumerate(dimensions):
        z[row, :, j] = values
    images = model.decode(z.reshape(-1, model.n_latent)).reshape(len(dimensions), len(values), -1)
    return plots.traversal(images, data.image_shape, values, [f"z{j + 1}" for j in dimensions])
