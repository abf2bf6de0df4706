"""Training: one step, an epoch, a run that can be interrupted and resumed to the same bits.

This room knows models only by what they offer: `parameters`, `likelihood`, `n_visible`, `workspace(batch)`,
`forward(ws)`, `forward_backward(ws, gradient, beta, average_loss)`, `check_schedule(schedule)`, `frozen()`.
"""
import math
import time
from collections import deque
from typing import NamedTuple

import numpy as np

from .data.minibatch import (as_rows, binarize_mode, check_rows, read_rows, require_unit_range, shuffled,
                             training_moments)
from .elbo import Objective
from .errors import ConfigurationError, TrainingError
from .kernels.random import EPS, SAMPLES, standard_normal
from .nonfinite import explain, not_finite, POLICIES
from .optimizers import make_optimizer
from .parameters import Parameters
from .schedules import as_schedule, check_beta
from .validation import check_seed, one_of, positive_integer, SEEDS

OUTPUT_BIASES = ("data", "zero")
LAST_TIMED = 4096                   # steps whose seconds are kept: an epoch may be long
MEMORY = 0.9                        # of the average loss: it looks back ten steps or so
HELD_OUT_SEED = SEEDS               # added to the seed: held-out noise comes from other keys than training's


class Epoch(NamedTuple):
    """One line of the history: losses in nats per example, NaN where there is no held-out set."""

    epoch: int
    train_loss: float
    train_reconstruction: float
    train_kl: float
    test_loss: float
    test_reconstruction: float
    test_kl: float
    seconds: float
    steps_per_second: float


class History(list):
    """The `Epoch`s of a run, in order, and `first_loss`: the loss of the very first batch, in nats per example.

    Examples
    --------
    >>> History([Epoch(1, 3.0, 2.0, 1.0, 4.0, 3.0, 1.0, 0.5, 10.0)]).column("test_loss")
    [4.0]
    """

    first_loss = math.nan

    def column(self, name):
        """Return one field of every epoch as a list."""
        return [getattr(epoch, name) for epoch in self]


def train_step(model, ws, gradient, optimizer, beta=None, average_loss=0.0):
    """Take one step on the batch in ws.x with the noise in ws.eps; return the Objective before it.

    Where the loss or the gradient is not finite, or the gradient is so large that the optimizer's moments would not be,
    nothing moves: such a step would spoil parameters for good.

    Parameters
    ----------
    model : VAE or Autoencoder
        Its parameters move.
    ws : Workspace
        From `model.workspace(batch)`.
    gradient : Parameters
        Overwritten with dL/d(parameters).
    optimizer : Adam or SGD
        Its moments move.
    beta : float, penalty or None
        What a schedule gives for this step; None for the model's own.
    average_loss : float
        Of earlier steps, in nats, for the score function's moving-average baseline (S9).

    Raises
    ------
    TrainingError
        If the loss or the gradient is not finite or too large; says where first, and the likely cause.
    """
    objective = model.forward_backward(ws, gradient, beta, average_loss)
    try:
        if not math.isfinite(objective.loss):
            raise TrainingError(f"the loss of step {optimizer.step + 1} is {objective.loss}; expected a finite number of "
                                "nats.")
        optimizer.update(model.parameters.flat, gradient.flat)
    except TrainingError as error:
        raise TrainingError(f"{error} {explain(model, ws, gradient, optimizer)}") from None
    model.likelihood.observe(model.parameters.likelihood, ws.decoder[-1], ws.nll)
    return objective


def held_out_objective(model, x, *, binarize="none", seed=0, batch_size=512):
    """Return the objective averaged over all rows of x, with noise that depends on `seed` alone.

    Parameters
    ----------
    model : VAE or Autoencoder
        Unchanged.
    x : ndarray (n, D)
        uint8, float32 or float64.
    binarize : str
        "none", "dynamic" (one fixed draw a seed) or "threshold".
    seed : int
        Of the noise.
    batch_size : int
        Rows looked at in one go.

    Returns
    -------
    Objective
        Nats per example.
    """
    mode = binarize_mode(binarize)
    model = model.frozen()
    whole = model.workspace(min(batch_size, len(x)))
    totals = np.zeros(3)
    for piece, start in enumerate(range(0, len(x), batch_size)):
        index = np.arange(start, min(start + batch_size, len(x)))
        ws = whole.first(len(index))
        read_rows(x, index, mode, seed + HELD_OUT_SEED, piece, ws.x)
        standard_normal(seed + HELD_OUT_SEED, SAMPLES, piece, ws.eps)
        totals += len(index) * np.array(model.forward(ws))
    return Objective(*(totals / len(x)).tolist())


class Trainer:
    """A run in progress: the model, the optimiser's state and how far it has come.

    Everything random is a function of (seed, step, index), so the counters below are all the state there is.

    Parameters
    ----------
    model : VAE or Autoencoder
        Trained in place.
    x : array_like (n, D)
        uint8 images, floats, or a memory map.
    batch_size : int
        Examples a step; the last batch of an epoch holds what is left.
    learning_rate : float
        The optimiser's.
    optimizer : str
        "adam" or "sgd" (momentum 0.9).
    validation : array_like (m, D) or None
        Held-out rows, looked at after each epoch.
    seed : int
        Of the order, the noise and the binarisation.
    binarize : str
        "none", "dynamic" (pixels drawn anew each time they are seen) or "threshold" (at 0.5).
    output_bias : str
        "data": a decoder output bias that is still zero starts where p(x | z) has the training mean (and, with a
        learned sigma, the training variance); "zero": it stays.
    on_nonfinite : str
        Of a batch whose loss or gradient is not finite: "stop" raises TrainingError, which says where and why;
        "skip" drops the batch and counts it in `skipped`.
    beta : float, schedule or None
        The KL's weight in training: a number, or one of `scratchvae.schedules`; None for the model's own.  Held-out
        losses are measured with the model's own throughout, so that epochs can be compared.

    Raises
    ------
    ConfigurationError, ShapeError, DataError
        For a setting or data that cannot work; the message says which and what to do.
    """

    def __init__(self, model, x, *, batch_size=128, learning_rate=1e-3, optimizer="adam", validation=None, seed=0,
                 binarize="none", output_bias="data", on_nonfinite="stop", beta=None):
        self.model = model
        self.x = as_rows(x, model.n_visible, "X")
        self.validation = None if validation is None else as_rows(validation, model.n_visible, "validation")
        self.mode = binarize_mode(binarize)
        self.binarize, self.seed, self.batch_size = binarize, check_seed(seed), batch_size
        if batch_size is True or not isinstance(batch_size, (int, np.integer)) or not 1 <= batch_size <= len(self.x):
            raise ConfigurationError(f"batch_size is {batch_size!r}; the training data have {len(self.x)} rows, so it "
                                     f"must be an integer from 1 to {len(self.x)}. Choose a smaller one.")
        one_of("output_bias", output_bias, OUTPUT_BIASES)
        self.on_nonfinite = one_of("on_nonfinite", on_nonfinite, POLICIES)
        for rows, name in ((self.x, "X"), (self.validation, "validation")):
            if rows is not None:
                check_rows(rows, model.likelihood, name)
                require_unit_range(rows, binarize)
        self.schedule = None if beta is None else as_schedule(beta)
        if self.schedule is not None:
            model.check_schedule(self.schedule)
        theta = model.parameters.flat
        self.optimizer = make_optimizer(optimizer, theta.size, theta.dtype, learning_rate)
        bias = model.parameters.decoder.head.b
        if output_bias == "data" and not bias.any():
            model.likelihood.start(model.parameters.likelihood, bias, *training_moments(self.x, self.mode))
        self.gradient = Parameters.zeros(model.parameters.layout, theta.dtype)
        self.ws = model.workspace(batch_size)
        self.batches = -(-len(self.x) // batch_size)
        self.epoch = 0                                   # finished epochs
        self.batch = 0                                   # finished batches of the present one
        self.totals = [0.0, 0.0, 0.0]                    # rows * (loss, reconstruction, kl) of the present epoch
        self.average_loss = 0.0                          # of the steps so far, the latest weighing most
        self.seconds = 0.0                               # spent in the present epoch's steps
        self.skipped = 0                                 # batches of the run that were dropped ...
        self.rows_skipped = 0                            # ... and examples of the present epoch
        self.timed = deque(maxlen=LAST_TIMED)            # seconds of its last steps, but for the one that ...
        self.started = False                             # ... came first and compiled or loaded the kernels
        self.history = History()
        self.stop = False                                # set it (from a signal handler, say) to end after a step

    def beta(self, step):
        """Return what weighs the KL after `step` steps, a number or a penalty; None for the model's own."""
        if self.schedule is None:
            return None
        beta = self.schedule.at(step)
        return beta if hasattr(beta, "slope") else check_beta(beta)

    def step(self, order):
        """Train on the next batch of this epoch's order; return its Objective, NaN if the batch was skipped."""
        index = order[self.batch * self.batch_size:(self.batch + 1) * self.batch_size]
        ws = self.ws.first(len(index))
        number = self.optimizer.step                     # steps taken so far: the counter of all noise
        read_rows(self.x, index, self.mode, self.seed, number, ws.x)
        standard_normal(self.seed, EPS, number, ws.eps)
        self.batch += 1
        try:
            objective = train_step(self.model, ws, self.gradient, self.optimizer, self.beta(number),
                                   self.average_loss)
        except TrainingError:
            if self.on_nonfinite == "stop" or not_finite(self.model.parameters.segments()):
                raise                                    # with such parameters every later batch fails as well
            self.skipped += 1
            self.rows_skipped += len(index)
            return Objective(math.nan, math.nan, math.nan)
        if number == 0:
            self.history.first_loss = objective.loss
        self.average_loss += (objective.loss - self.average_loss) * (1 - MEMORY if number else 1.0)
        self.totals = [total + len(index) * part for total, part in zip(self.totals, objective)]
        return objective

    def run(self, epochs, after_step=None, after_epoch=None):
        """Train until `epochs` epochs are done in all, or `stop` is set; return the History.

        Parameters
        ----------
        epochs : int
            Counted from the start of the run, so that a resumed run ends where an undisturbed one does.
        after_step : callable(trainer, objective), optional
        after_epoch : callable(trainer), optional
            Called when the epoch is in the history.
        """
        while self.epoch < epochs and not self.stop:
            order = shuffled(len(self.x), self.seed, self.epoch)
            while self.batch < self.batches and not self.stop:
                start = time.perf_counter()
                objective = self.step(order)
                elapsed = time.perf_counter() - start
                self.seconds += elapsed
                if self.started:
                    self.timed.append(elapsed)
                self.started = True
                if after_step:
                    after_step(self, objective)
            if self.batch == self.batches:
                self._finish_epoch()
                if after_epoch:
                    after_epoch(self)
        return self.history

    def _finish_epoch(self):
        self.require_finite()
        test = Objective(math.nan, math.nan, math.nan)
        if self.validation is not None:
            test = held_out_objective(self.model, self.validation, binarize=self.binarize, seed=self.seed)
            if not math.isfinite(test.loss):
                raise TrainingError(f"the held-out loss after epoch {self.epoch + 1} is {test.loss}; expected a finite "
                                    f"number of nats. Lower the learning rate (now {self.optimizer.learning_rate:g}).")
        rows = len(self.x) - self.rows_skipped
        if rows == 0:
            raise TrainingError(f"every batch of epoch {self.epoch + 1} was skipped; expected a finite loss for some. "
                                "Train with on_nonfinite='stop' to see the cause.")
        self.epoch += 1
        self.history.append(Epoch(self.epoch, *(total / rows for total in self.totals), *test, self.seconds,
                                  1 / float(np.median(self.timed or [self.seconds]))))
        self.batch, self.rows_skipped, self.seconds = 0, 0, 0.0
        self.timed.clear()
        self.totals = [0.0, 0.0, 0.0]

    def require_finite(self):
        """Raise TrainingError if a number that a resume needs is not finite: such a run must not replace a saved one."""
        moments = [(f"the optimizer's {name}", moment) for name, moment in self.optimizer.moments.items()]
        losses = [epoch[1:4] for epoch in self.history]
        name = not_finite([*self.model.parameters.segments(), *moments, ("a training loss of the history", losses),
                           ("the present epoch's loss", [*self.totals, self.average_loss])])
        if name:
            raise TrainingError(f"{name} is not finite after step {self.optimizer.step}; expected finite numbers. "
                                f"Lower the learning rate (now {self.optimizer.learning_rate:g}).")

    def state(self):
        """Return (meta, arrays): all that `restore` needs besides the model's own parameters."""
        self.require_finite()
        meta = {"epoch": self.epoch, "batch": self.batch, "step": self.optimizer.step, "seconds": self.seconds,
                "skipped": self.skipped, "rows_skipped": self.rows_skipped,
                "first_loss": self.history.first_loss, "average_loss": self.average_loss}
        moments = {name: self.gradient.layout.in_order(moment) for name, moment in self.optimizer.moments.items()}
        history = np.array(self.history).reshape(-1, len(Epoch._fields))
        return meta, {"totals": np.array(self.totals), "history": history, **moments}

    def restore(self, meta, arrays):
        """Continue where `state` was taken."""
        self.epoch, self.batch, self.seconds = meta["epoch"], meta["batch"], meta["seconds"]
        self.skipped, self.rows_skipped = meta.get("skipped", 0), meta.get("rows_skipped", 0)
        self.optimizer.step, self.average_loss = meta["step"], meta["average_loss"]
        self.history = History(Epoch(int(row[0]), *row[1:]) for row in arrays["history"].tolist())
        self.history.first_loss = meta["first_loss"]
        self.totals = arrays["totals"].tolist()
        for name, moment in self.optimizer.moments.items():
            self.gradient.layout.place(arrays[name], moment)


def fit(model, x, *, epochs=10, **settings):
    """Train `model` on x and return the History; the settings are those of `Trainer`.

    Raises
    ------
    ConfigurationError
        If epochs is no positive integer, and what `Trainer` raises.
    """
    positive_integer("epochs", epochs)
    return Trainer(model, x, **settings).run(epochs)
