"""A run folder: config.json, model.npz, history.csv and figures/*.png."""
import csv
import io
import json
import os
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any, TYPE_CHECKING

import numpy as np

from .. import __version__, plots
from ..bundled_models import BUNDLED_MODELS, MODELS
from ..data.download import SETS
from ..data.identity import fingerprint
from ..data.loading import BUNDLED, Dataset, DRAWN, load_data
from ..data.minibatch import join_labels
from ..errors import ConfigurationError, DataError, RunError
from ..history import Epoch, History
from ..learning_rates import make_rate
from ..model import Model
from ..model_files import load_run, save_run
from ..schedules import make_schedule
from ..storage.atomic import open_regular, remove_leftovers, write_atomically
from ..storage.checkpoint import load_arrays
from ..storage.lock import FolderLock
from ..training import Trainer
from ..vae import VAE
from ..validation import positive_integer
from .figures import condition_figure, decoded_grid_figure, kl_per_dimension, reconstruction_figure, sample_figure
from .screen import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG, MODEL, HISTORY, FIGURES = "config.json", "model.npz", "history.csv", "figures"
OLD_NAMES = {"latent": "n_latent", "samples": "n_samples"}     # of settings, in config.json of earlier versions
FREE = {"data", "image_shape", "epochs", "on_nonfinite"}           # settings that may change when a run is resumed
# Settings that --resume may change as well, if its flags say so.
ADJUSTABLE = {"learning_rate", "rate_schedule", "warm_up", "decay_every", "decay_factor", "weight_decay", "clip_norm",
              "patience"}
OPTIMIZER_SETTINGS = ("beta1", "beta2", "epsilon", "momentum", "weight_decay", "clip_norm")
MOST_TEXT = 1 << 24                                # most bytes of config.json that are read
MOST_CLASSES = 1000                                # of --condition: each is a column of the data
IMAGES_SHOWN = 2000                                       # test images that the figures of latents are drawn from


class Run:
    """A folder that holds a run; `config` has the settings of `scratchvae train` by their names in Python."""

    def __init__(self, folder: str | Path, config: dict) -> None:
        self.folder, self.config = Path(folder), config
        self.shown: Any = config.get("data")               # where data come from that no --data names
        self.lock = FolderLock(folder)
        self.model_file = self.folder / MODEL
        self.data: Any = None                                   # number of rows and fingerprints of the loaded data
        self.n_conditions: int | None = None                    # of the loaded model
        self.n_visible: int | None = None
        self.saved = None                                  # the state of model.npz after the last save

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Return the run in `folder`; raises RunError if there is none or its config.json is damaged."""
        path, name = Path(folder) / CONFIG, str(folder)            # of no name, the path is in the present folder
        if not name or not os.path.exists(path):           # also False for a name that no file can have
            raise RunError(f"{name or repr(name)} holds no run ({CONFIG} is missing); expected a folder that "
                           "`scratchvae train --out` wrote. Check the path.")
        try:
            config = json.loads(_read_text(path))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} is not JSON ({error}); expected the settings of a run. "
                           "Restore it, or train again with --overwrite.") from error
        if not isinstance(config, dict) or "data" not in config or "model" not in config:
            raise RunError(f"{path} holds no settings of a run: data and model are missing. "
                           "Restore it, or train again with --overwrite.")
        return cls(folder, {OLD_NAMES.get(name, name): value for name, value in config.items()})

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Return whether `folder` holds any file of a run."""
        return any(os.path.lexists(Path(folder) / name) for name in (CONFIG, MODEL, HISTORY))

    def load_model(self, last: bool = False, changed: Container[str] = ()) -> tuple[Any, dict, dict[str, np.ndarray]]:
        """Return (model, meta, arrays) of the run's model.npz as `load_run` does.

        Raises RunError if the settings differ from it in more than the `changed` ones.
        """
        model, meta, arrays = load_run(self.model_file, last)
        self.n_conditions, self.n_visible = model.n_conditions, model.n_visible
        plain = {name: value for name, value in model.get_params().items() if isinstance(value, (str, int, float))}
        config = meta.get("config")                        # absent in files of earlier versions
        trained = {**(config if isinstance(config, dict) else {}), **plain, "hidden": list(model.hidden),
                   "model": model.kind}
        for name, value in self.config.items():
            if name in trained and name not in FREE and name not in changed and value != trained[name]:
                remedy = f"go on with it: --resume --{name.replace('_', '-')} {'none' if value is None else value}" \
                    if name in ADJUSTABLE else "train another run"
                raise RunError(f'{self.folder / CONFIG} says "{name}": {value!r}, but the model was trained '
                               f"with {trained[name]!r}; to edit the file does not change it. Undo the edit, or "
                               f"{remedy}.")
        return model, meta, arrays

    def load_data(self, meta: dict | None = None, source: str | None = None,
                  image_shape: list[int] | None = None, transpose: bool | None = None) -> Dataset:
        """Return the Dataset that the run is trained on, from `source` if the data have moved.

        Without `meta` a `source` is another data set.  image_shape and transpose are the run's if absent, but another
        data set is transposed only if transpose says so or its name does.  With --condition the rows are [x | y].
        Raises RunError if the data are not those that `meta`, of the run's model.npz, describes.
        """
        wanted, is_other = (meta or {}).get("data"), meta is None and source is not None
        try:
            data = load_data(self.shown if source is None else source,
                             transpose=transpose or (None if is_other else self.config.get("transpose")),
                             image_shape=image_shape or self.config.get("image_shape"))
        except (ConfigurationError, DataError) as error:
            if meta is None or source is not None:
                raise
            raise RunError(f"{error} If the data of the run in {self.folder} have moved, say with --data where "
                           "they are.") from error
        if self.n_visible not in (None, data.train.shape[1]):
            given = data.train.shape[1]
            raise ConfigurationError(f"{data.name} has {given} numbers an example; the run in {self.folder} was "
                                     f"trained on {self.n_visible}. Name data like those with --data.")
        self.data = {"rows": len(data.train), "fingerprints": [fingerprint(data.train), fingerprint(data.test)]}
        if self.config.get("condition"):
            n, labels = count_classes(data, self.n_conditions), [data.train_labels, data.test_labels]
            self.data["labels"] = [fingerprint(part.astype(np.int64)) for part in labels]
            data = data._replace(train=join_labels(data.train, labels[0], n), test=join_labels(data.test, labels[1], n))
        if isinstance(wanted, dict) and wanted != self.data:
            rows, before = self.data["rows"], wanted.get("rows")
            what = f"{rows} rows instead of {before}" if rows != before else f"also {rows} rows, but not the same ones"
            raise RunError(f"{data.name} holds other data than the run in {self.folder} was trained on: {what}. Name "
                           "those with --data, or train another run.")
        return data

    def has_model(self) -> bool:
        """Return whether the run has saved a model: it has not if it was killed before its first step."""
        return self.model_file.exists()

    @contextmanager
    def held(self) -> Iterator["Run"]:
        """While open, this process alone writes to the folder; raises RunError if another one does."""
        with self.lock:
            self._figure_folder()
            yield self

    def begin(self) -> None:
        """Remove an earlier run's files, then write config.json. Call only while `held`.

        If the process is killed meanwhile, no model of the earlier run is left beside the new settings.
        """
        try:
            for name in (CONFIG, MODEL, HISTORY):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{self.folder} holds an earlier run that cannot be replaced: {error.strerror}. "
                           "Choose a folder that can be written to.") from error
        self.write_config()

    def write_config(self) -> None:
        """Write config.json, and remove the temporary files of a killed process."""
        remove_leftovers(self.folder, "|".join(map(re.escape, (CONFIG, MODEL, HISTORY))))
        remove_leftovers(self._figure_folder(), r".+\.png")
        text = json.dumps({**self.config, "scratchvae": __version__}, indent=2) + "\n"
        write_atomically(self.folder / CONFIG, lambda file: file.write(text.encode()))

    def save(self, trainer: Trainer) -> bool:
        """Write model.npz, with all that a resume needs, and history.csv.

        Returns whether the folder had been removed, and was made again.  Raises RunError if it cannot be written, or
        was removed and another run has taken its place.
        """
        lost = not self.lock.is_held()
        if lost:
            self._take_back()
        meta, arrays = trainer.checkpoint()
        meta = {"training": meta, "config": self.config, "data": self.data}
        save_run(trainer.model, self.model_file, meta, arrays)
        self.saved = self._model_file()
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([Epoch._fields, *trainer.state.history])
        write_atomically(self.folder / HISTORY, lambda file: file.write(table.getvalue().encode()))
        return lost

    def _model_file(self):
        """Return the state of model.npz, which differs from that of any other file; None if there is none."""
        try:
            found = os.lstat(self.model_file)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _take_back(self):
        """Make the folder or its lock file again after somebody removed it during the run."""
        if self.exists(self.folder) and self._model_file() != self.saved:
            raise RunError(f"{self.folder} was replaced by another run while this one was training; that run "
                           "is not overwritten. Train again, into another folder (--out).")
        self.lock.release()
        self.lock.acquire()
        self.write_config()

    def trainer(self, model: Model, data: Dataset) -> Trainer:
        """Return a Trainer with this run's settings."""
        c = self.config
        beta = None if c["schedule"] == "constant" else make_schedule(c["schedule"], c["beta"], c["schedule_steps"],
                                                                      c["nats"])
        batch_size = min(positive_integer("batch_size", c["batch_size"]), len(data.train))
        rate = make_rate(c["rate_schedule"], c["learning_rate"], epochs=c["epochs"],
                         decay_every=c["decay_every"], decay_factor=c["decay_factor"], warm_up=c["warm_up"])
        optimizer = {"name": c["optimizer"], **{name: c[name] for name in OPTIMIZER_SETTINGS if c[name] is not None}}
        try:
            return Trainer(model, data.train, batch_size=batch_size, learning_rate=rate, optimizer=optimizer,
                           validation=data.test, seed=c["seed"], binarize=c["binarize"], output_bias=c["output_bias"],
                           on_nonfinite=c["on_nonfinite"], beta=beta, patience=c["patience"],
                           shuffle=c["shuffle"], keep=c["keep"])
        except (ConfigurationError, DataError) as error:   # in the command's words
            said = str(error)
            for ours, here in ((f"beta is {beta!r}", f"schedule is {c['schedule']!r}"),
                               ("X has", f"the training part of {data.name} has"),
                               ("validation has", f"the test part of {data.name} has")):
                said = here + said.removeprefix(ours) if said.startswith(ours) else said
            raise type(error)(said) from None

    def _figure_folder(self):
        """Return the path of figures/; raises RunError if it is a link: nothing is written through one."""
        path = self.folder / FIGURES
        here = os.path.join(os.path.realpath(self.folder), FIGURES)
        if os.path.normcase(os.path.realpath(path)) != os.path.normcase(here):
            raise RunError(f"{path} is a link to another folder; nothing is written through it. Remove the link, or "
                           "choose another folder for the run (--out).")
        return path

    def save_figure(self, figure: "Figure", name: str) -> Path:
        """Write a figure into figures/ and return its path."""
        path = self._figure_folder() / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path.parent} cannot be made: {error.strerror}. Choose a folder that can be written "
                           "to.") from error
        plots.save(figure, path)
        return path

    def draw(self, model: Model, data: Dataset, history: History | list[Epoch]) -> list[Path]:
        """Draw every figure that this model has; return the paths."""
        figures = {"learning_curves.png": plots.learning_curves(history)} if history else {}
        figures["reconstructions.png"] = reconstruction_figure(model, data, 10)
        mu = model.transform(data.test[:IMAGES_SHOWN])
        labels = None if data.test_labels is None else data.test_labels[:IMAGES_SHOWN]
        plane, explained = (mu, None) if model.n_latent == 2 else plots.principal_directions(mu)
        figures["latent_plane.png"] = plots.latent_plane(plane, labels, explained=explained)
        if isinstance(model, VAE):
            if model.n_conditions:
                figures["conditions.png"] = condition_figure(model, data)
            figures["samples.png"] = sample_figure(model, data, 64, seed=0)
            figures["kl_per_dimension.png"] = plots.kl_per_dimension(kl_per_dimension(model, data.test[:IMAGES_SHOWN]))
            if model.n_latent == 2:
                figures["decoded_grid.png"] = decoded_grid_figure(model, data)
        return [self.save_figure(figure, name) for name, figure in figures.items()]


def _read_text(path):
    """Return a small text file's content; raises RunError if it is missing, too large, or no text."""
    try:
        with open_regular(path) as file:
            content = file.read(MOST_TEXT + 1)
        if len(content) > MOST_TEXT:
            raise RunError(f"{path} has more than {MOST_TEXT:,} bytes; no run writes so many. Restore it.")
        return content.decode()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}. "
                       "Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged: it is not UTF-8 text ({error.reason} at byte {error.start}). "
                       "Restore it.") from error


def count_classes(data: Dataset, known: int | None = None) -> int:
    """Return the `known` number of classes, or one more than the largest label.

    Raises ConfigurationError if a row has no label, or one that is too large for it.
    """
    labels, most = [data.train_labels, data.test_labels], known or MOST_CLASSES
    if any(part is None or part.min() < 0 or part.max() >= most for part in labels):
        raise ConfigurationError(f"--condition needs labels of 0 to {most - 1} for all rows, which {data.name} "
                                 "does not have. Take data that have them, or train without it.")
    return known or 1 + max(int(part.max()) for part in labels if part is not None)


def open_run(name: str) -> Run:
    """Return the run in a folder, or the bundled model of this name, whose pictures go to runs/bundled-NAME."""
    if name not in BUNDLED_MODELS:
        return Run.open(name)
    path = MODELS / f"{name}.npz"
    run = Run(Path("runs") / f"bundled-{name}", load_arrays(path)[1]["config"])
    run.model_file, run.shown = path, BUNDLED_MODELS[name]
    say(f"{name} is the bundled model (write ./{name} for a folder of that name); unless told otherwise it is shown "
        f"{run.shown}, part of what it was trained on")
    return run


def check_free(flag: str, path: Path) -> None:
    """Raise ConfigurationError, in the words of the flag, if the path is that of a run's own file."""
    if path.name.lower() in (CONFIG, MODEL, HISTORY) and os.path.exists(path.parent / CONFIG):
        raise ConfigurationError(f"{flag} is {str(path)!r}, a file of the run in {path.parent}, which would be lost; "
                                 "expected another name. Choose one.")


def data_source(source: str) -> str:
    """Return a data source as config.json holds it: a known name, or an absolute path if the path exists."""
    named = source in (*BUNDLED, *DRAWN, *SETS)
    return source if named or not os.path.exists(source) else os.path.abspath(source)


def run_name(source: str) -> str:
    """Return the name of the folder for a run on a data source, made of characters that every system allows.

    Examples
    --------
    >>> run_name("mnist5k"), run_name(r"C:\\Users\\ann\\mnist"), run_name("/data/my faces.npz")
    ('mnist5k', 'mnist', 'my-faces')
    """
    suffix = r"\.(np[yz]|mat|csv|tsv|txt|amat)(\.gz)?$"
    name = re.sub(suffix, "", PureWindowsPath(source).name, flags=re.IGNORECASE)          # takes both kinds of slashes
    return "-".join(re.findall(r"\w+", name)) or "data"
