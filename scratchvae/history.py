"""What a run remembers: the losses of its epochs, and the state from which it continues."""
import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TYPE_CHECKING

import numpy as np

from .nonfinite import not_finite
from .optimizers import make_optimizer, Optimizer, OPTIMIZERS
from .plots import learning_curves
from .tables import html_table
from .validation import at_least, check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COUNTED = 1 << 62              # bound of a count of steps or batches: the counter of noise is an int64

MOST_SHOWN = 20                     # epochs of a history that a notebook shows
TIMES = ("seconds", "steps_per_second")


def _of_type(kind, name, value):
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r:.40}, not of type {kind.__name__}")
    return value


def _count(name, value):
    if not 0 <= _of_type(int, name, value) < MOST_COUNTED:
        raise ValueError(f"{name} is {value!r:.40}, no count")
    return value


class Epoch(NamedTuple):
    """One line of the history: losses in nats per example, NaN where there is no held-out set.

    `learning_rate` and `beta` are those of the epoch's last step; beta is 0 where there is no KL to weigh.
    """

    epoch: int
    train_loss: float
    train_reconstruction: float
    train_kl: float
    test_loss: float
    test_reconstruction: float
    test_kl: float
    seconds: float
    steps_per_second: float
    learning_rate: float = math.nan
    beta: float = math.nan


class History(list):
    """The `Epoch`s of a run, in order, and `first_loss`: the loss of the very first batch, in nats per example.

    The held-out losses of the first `since` epochs cannot be compared with later ones: since then the parameters were
    changed by hand, or the model's settings or the held-out rows are others.

    Examples
    --------
    >>> History([Epoch(1, 3.0, 2.0, 1.0, 4.0, 3.0, 1.0, 0.5, 10.0)]).column("test_loss")
    [4.0]
    """

    first_loss = math.nan
    since = 0

    def column(self, name: str) -> list:
        """Return one field of every epoch as a list."""
        return [getattr(epoch, name) for epoch in self]

    def best(self) -> int:
        """Return how many epochs were done when the held-out loss was least after the first `since`; `since` if never.

        Examples
        --------
        >>> History(Epoch(n, 0, 0, 0, loss, 0, 0, 1, 1) for n, loss in ((1, 5.0), (2, 3.0), (3, 4.0))).best()
        2
        """
        losses = self.column("test_loss")[self.since:]
        return self.since + (0 if all(map(math.isnan, losses)) else 1 + int(np.nanargmin(losses)))

    def plot(self) -> "Figure":
        """Return the learning curves as a matplotlib Figure, which a notebook shows."""
        return learning_curves(self)

    def __repr__(self):
        if not self:
            return "History(0 epochs)"
        first, last = self[0], self[-1]
        measured = [loss for loss in self.column("test_loss") if not math.isnan(loss)]
        held_out = f", held-out loss {measured[0]:.2f} to {measured[-1]:.2f}" if measured else ""
        return (f"History({len(self)} epochs, training loss {first.train_loss:.2f} to {last.train_loss:.2f}{held_out}, "
                "nats per example)")

    def _repr_html_(self):
        """Return the table that a notebook shows: a row an epoch, of the first and the last ones if there are many."""
        names = [name for name in Epoch._fields if not all(math.isnan(number) for number in self.column(name))]
        kept = self if len(self) <= MOST_SHOWN else [*self[:MOST_SHOWN // 2], None, *self[-(MOST_SHOWN // 2):]]
        rows = [["..."] * len(names) if epoch is None else [f"{getattr(epoch, name):.6g}" for name in names]
                for epoch in kept]
        return html_table([name.replace("_", " ") for name in names], rows, "Losses in nats per example")


@dataclass(eq=False)
class TrainingState:
    """How far a run has come: its history, and all that its next steps depend on besides the model's parameters.

    Everything random is a function of (seed, step, index), so counters are enough.  Two states are equal if their runs
    continue with the same bits and have the same history; times do not count.

    Parameters
    ----------
    optimizer : Adam or SGD
        Its moments, and its count of the steps taken, which is also the counter of all noise.
    estimator : dict
        What the gradient's estimator remembers from step to step, numbers by name.
    epoch, batch : int
        Finished epochs; finished batches of the present one.
    totals : list of float
        Loss, reconstruction and KL times the rows of a batch, summed over the present epoch's batches, in nats.
    seconds : float
        Time spent in the present epoch's steps.
    skipped, rows_skipped : int
        Batches of the run that were skipped, and examples of the present epoch that were skipped.
    history : History
        The finished epochs.
    best : ndarray or None
        The parameters of the epoch whose held-out loss was least, flat, if they are kept.
    best_epoch : int
        How many epochs were done then; 0 if there are none.
    best_loss : float
        Their held-out loss; without them, that of the parameters with which the last call began, NaN if unknown.
    seed : int
        That of the noise with which best_loss or, without it, the last epoch's held-out loss was measured.
    """

    optimizer: Optimizer
    estimator: dict = field(default_factory=dict)
    epoch: int = 0
    batch: int = 0
    totals: list = field(default_factory=lambda: [0.0, 0.0, 0.0])
    seconds: float = 0.0
    skipped: int = 0
    rows_skipped: int = 0
    history: History = field(default_factory=History)
    best: Any = None
    best_epoch: int = 0
    best_loss: float = math.nan
    seed: int = 0

    def forget_losses(self) -> None:
        """Compare no later held-out loss with those of the finished epochs, and let go of their best parameters."""
        self.history.since, self.best, self.best_epoch, self.best_loss = self.epoch, None, 0, math.nan

    def begin_epoch(self) -> None:
        """Set the sums of the present epoch to zero."""
        self.batch, self.rows_skipped, self.seconds, self.totals = 0, 0, 0.0, [0.0, 0.0, 0.0]

    def numbers(self) -> Iterator:
        """Yield (name, array) of all that must be finite: moments, the best parameters, and losses."""
        for name, moment in self.optimizer.moments.items():
            yield f"the optimizer's {name}", moment
        if self.best is not None:
            yield "a parameter of the best epoch", self.best
        yield "a training loss of the history", np.array([epoch[1:4] for epoch in self.history])
        yield "the present epoch's loss", np.array([*self.totals, *self.estimator.values()])

    def pack(self, layout: Any) -> tuple[dict, dict]:
        """Return (meta, arrays) for a file: meta for JSON, and arrays with the moments as `layout.pack` orders them."""
        meta = {"epoch": self.epoch, "batch": self.batch, "step": self.optimizer.step, "seconds": self.seconds,
                "skipped": self.skipped, "rows_skipped": self.rows_skipped,
                "first_loss": self.history.first_loss, "since": self.history.since, "estimator": self.estimator,
                "seed": self.seed, "best_epoch": self.best_epoch,
                **({} if self.best is None else {"best_loss": self.best_loss})}
        vectors = {**self.optimizer.moments, **({} if self.best is None else {"best": self.best})}
        history = np.array(self.history).reshape(-1, len(Epoch._fields))
        return meta, {"totals": np.array(self.totals), "history": history,
                      **{name: layout.pack(vector) for name, vector in vectors.items()}}

    @classmethod
    def of_file(cls, model: Any, meta: dict, arrays: dict) -> "TrainingState":
        """Return the state in a model's file; the names of the moments tell which optimizer it had."""
        layout = model.parameters.layout
        for name in OPTIMIZERS:
            state = cls(make_optimizer(name, layout.size, model.dtype, 1e-3), model.initial_state())
            if state.optimizer.moments.keys() <= arrays.keys():
                state.unpack(meta, arrays, layout)
                return state
        raise KeyError("the moments of an optimizer")

    def unpack(self, meta: dict, arrays: dict, layout: Any) -> None:
        """Restore what `pack` returned; raise KeyError, TypeError or ValueError for anything else."""
        for name in ("epoch", "batch", "skipped", "rows_skipped", "step"):
            setattr(self.optimizer if name == "step" else self, name, _count(name, meta[name]))
        self.seed = check_seed(meta.get("seed", 0))                               # of files without it
        self.seconds = at_least("seconds", meta["seconds"], 0, "It is a duration.")
        first_loss = _of_type(float, "first_loss", meta["first_loss"])
        older = {"average_loss": meta.get("average_loss", 0.0), "steps": meta["step"]}      # files without "estimator"
        said = _of_type(dict, "estimator", meta.get("estimator", older))
        for name, number in self.estimator.items():
            self.estimator[name] = _of_type(type(number), name, said.get(name, number))   # of another estimator: fresh
        history, totals = arrays["history"], arrays["totals"]
        if history.shape == (self.epoch, len(Epoch._fields) - 2):                 # of files without the last two
            history = np.pad(history, ((0, 0), (0, 2)), constant_values=math.nan)
        if history.shape != (self.epoch, len(Epoch._fields)) or not np.array_equal(history[:, 0],
                                                                                   np.arange(1, self.epoch + 1)):
            raise ValueError(f"the history of shape {history.shape} is not that of {self.epoch} epochs")
        if totals.shape != (3,):
            raise ValueError(f"totals have shape {totals.shape}, not (3,)")
        self.history = History(Epoch(int(row[0]), *row[1:]) for row in history.astype(float).tolist())
        self.history.first_loss, self.totals = first_loss, totals.astype(float).tolist()
        self.history.since = _count("since", meta.get("since", 0))                # of files without it
        self.best = np.empty(layout.size, self.optimizer.dtype) if "best" in arrays else None
        if self.best is not None:                                                 # of files without "best_epoch"
            self.best_epoch = _count("best_epoch", meta.get("best_epoch", self.history.best()))
            if self.best_epoch > self.epoch:
                raise ValueError(f"best_epoch is {self.best_epoch}, of {self.epoch} epochs")
            measured = self.history[self.best_epoch - 1].test_loss if self.history else math.nan
            self.best_loss = _of_type(float, "best_loss", meta.get("best_loss", measured))
        vectors = {**self.optimizer.moments, **({"best": self.best} if "best" in arrays else {})}
        for name, vector in vectors.items():
            if arrays[name].dtype != vector.dtype:
                raise ValueError(f"{name} is {arrays[name].dtype}, not {vector.dtype}")
            layout.unpack(arrays[name], vector)
        wrong = not_finite(self.numbers())
        if wrong:
            raise ValueError(f"{wrong} is not finite")
        if (self.optimizer.moments.get("v", totals[:0]) < 0).any():
            raise ValueError("v, a mean of squares, is negative")

    def _compared(self):
        o = self.optimizer
        numbers = [self.epoch, self.batch, *self.totals, *self.estimator.values(), self.skipped, self.rows_skipped,
                   o.step, self.history.first_loss, self.history.since,
                   *(x for epoch in self.history for name, x in epoch._asdict().items() if name not in TIMES)]
        return {"numbers": np.array(numbers), **o.moments, **({} if self.best is None else {"best": self.best})}

    def __eq__(self, other):
        if not isinstance(other, TrainingState):
            return NotImplemented
        mine, others = self._compared(), other._compared()
        return mine.keys() == others.keys() and all(np.array_equal(mine[name], others[name], equal_nan=True)
                                                    for name in mine)

    def __copy__(self):
        return copy.deepcopy(self)
