"""A run folder: config.json, model.npz, history.csv and figures/*.png."""
import csv
import io
import json
import os
from contextlib import contextmanager
from pathlib import Path

from .. import __version__, plots
from ..data.download import SETS
from ..data.loading import BUNDLED, DRAWN, load_data
from ..errors import RunError
from ..history import Epoch, History
from ..model import load_run
from ..schedules import make_schedule
from ..storage.atomic import remove_leftovers, write_atomically
from ..storage.lock import FolderLock
from ..training import Trainer
from ..vae import VAE
from .figures import decoded_grid_figure, kl_per_dimension, reconstruction_figure, sample_figure

CONFIG, MODEL, HISTORY, FIGURES = "config.json", "model.npz", "history.csv", "figures"
MOST_TEXT = 1 << 24                                # bytes of config.json or history.csv: a million epochs
SHOWN = 2000                                       # points in the latent plane: more hide each other


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
        self.lock = FolderLock(folder)

    @classmethod
    def open(cls, folder):
        """Return the run in `folder`; raises RunError if there is none or its config.json is damaged."""
        path = Path(folder) / CONFIG
        if not os.path.exists(path):                       # False as well for a name that no file can have
            raise RunError(f"{folder} holds no run ({CONFIG} is missing); expected a folder that `scratchvae train "
                           "--out` wrote. Check the path.")
        try:
            config = json.loads(_read_text(path))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} is no JSON ({error}); expected the settings of a run. "
                           "Restore it, or train again with --overwrite.") from error
        if not isinstance(config, dict) or "data" not in config or "model" not in config:
            raise RunError(f"{path} holds no settings of a run: data and model are missing. "
                           "Restore it, or train again with --overwrite.")
        return cls(folder, config)

    @staticmethod
    def exists(folder):
        """Whether `folder` holds anything of a run."""
        return any(os.path.exists(Path(folder) / name) for name in (CONFIG, MODEL, HISTORY))

    def load_model(self):
        """Return (model, meta, arrays) of the run's model.npz."""
        return load_run(self.folder / MODEL)

    def load_data(self):
        """Return the Dataset that the run was trained on."""
        return load_data(self.config["data"])

    def has_model(self):
        """Whether the run has saved a model: not so if it was killed before its first step."""
        return (self.folder / MODEL).exists()

    def history(self):
        """Return the History in history.csv; raises RunError if it is missing or damaged.

        `first_loss` is not in that file, and stays NaN.
        """
        path = self.folder / HISTORY
        try:
            header, *rows = csv.reader(io.StringIO(_read_text(path)), strict=True)
            if tuple(header) != Epoch._fields:
                raise ValueError(f"its columns are {', '.join(header)[:200]!r}")
            history = History(Epoch(int(row[0]), *map(float, row[1:])) for row in rows)
            if [epoch.epoch for epoch in history] != list(range(1, len(rows) + 1)):
                raise ValueError("its epochs do not count from 1")
        except (ValueError, TypeError, IndexError, csv.Error) as error:
            raise RunError(f"{path} is damaged ({error}); expected a line an epoch: {', '.join(Epoch._fields)}. "
                           "Resume the run, which writes it again.") from error
        return history

    @contextmanager
    def held(self):
        """While open, this process alone writes to the folder; raises RunError if another one does."""
        self.lock.acquire()
        try:
            remove_leftovers(self.folder)
            yield self
        finally:
            self.lock.release()

    def begin(self):
        """Write config.json into the folder, which `held` keeps for us; an earlier run's files go first.

        In this order: whenever it is killed, no model of the earlier run is left beside the new settings.
        """
        try:
            for name in (CONFIG, MODEL, HISTORY):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder} holds an earlier run that cannot be replaced: {error.strerror}. "
                           "Choose a folder that can be written to.") from error
        self.write_config()

    def write_config(self):
        """Write config.json."""
        text = json.dumps({**self.config, "scratchvae": __version__}, indent=2) + "\n"
        write_atomically(self.folder / CONFIG, lambda file: file.write(text.encode()))

    def save(self, trainer):
        """Write model.npz (with all that a resume needs) and history.csv.

        Returns
        -------
        bool
            Whether the folder had been removed, and was made again.

        Raises
        ------
        RunError
            If it cannot be written, or was removed and another run has taken its place.
        """
        lost = not self.lock.is_held()
        if lost:
            self._take_back()
        meta, arrays = trainer.checkpoint()
        trainer.model.save(self.folder / MODEL, {"training": meta}, arrays)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(Epoch._fields)
        writer.writerows(trainer.state.history)
        write_atomically(self.folder / HISTORY, lambda file: file.write(table.getvalue().encode()))
        return lost

    def _take_back(self):
        """Make the folder again that somebody removed under the run."""
        if self.exists(self.folder):
            raise RunError(f"{self.folder} was replaced by another run while this one was training; nothing of "
                           "that one is overwritten. Train again, into another folder (--out).")
        self.lock.release()
        self.lock.acquire()
        self.write_config()

    def trainer(self, model, data):
        """Return a Trainer with this run's settings."""
        c = self.config
        beta = None if c["schedule"] == "constant" else make_schedule(c["schedule"], c["beta"], c["schedule_steps"],
                                                                      c["nats"])
        return Trainer(model, data.train, batch_size=min(c["batch_size"], len(data.train)),
                       learning_rate=c["learning_rate"], optimizer=c["optimizer"], validation=data.test, seed=c["seed"],
                       binarize=c["binarize"], output_bias=c["output_bias"], on_nonfinite=c["on_nonfinite"], beta=beta)

    def save_figure(self, figure, name):
        """Write a figure into figures/ and return its path."""
        path = self.folder / FIGURES / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path.parent} cannot be made: {error.strerror}. Choose a folder that can be written "
                           "to.") from error
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


def _read_text(path):
    """Return a small text file's content; raises RunError if it is missing, too large, or no text."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_TEXT + 1)
        if len(content) > MOST_TEXT:
            raise RunError(f"{path} has more than {MOST_TEXT:,} bytes, as no run writes. Restore it.")
        return content.decode()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}. "
                       "Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: no UTF-8 text ({error.reason} at byte {error.start}). "
                       "Restore it.") from error


def data_source(source):
    """Return a data source as a run remembers it: a name, or an absolute path if there is such a path."""
    named = source in (*BUNDLED, *DRAWN, *SETS)
    return source if named or not os.path.exists(source) else str(Path(source).resolve())
