"""Training: one step, an epoch, a run that can be interrupted and resumed to the same bits.

This room knows models only by what they offer: `parameters`, `likelihood`, `n_visible`, `workspace(batch)`,
`forward(ws)`, `forward_backward(ws, gradient)`.
"""
import math
import time
from typing import NamedTuple

import numpy as np

from .batches import (as_rows, binarize_mode, check_rows, read_rows, require_unit_range, shuffled,
                      training_mean)
from .elbo import Objective
from .errors import ConfigurationError, TrainingError
from .kernels.random import EPS, SAMPLES, standard_normal
from .optimizers import make_optimizer
from .parameters import Parameters

OUTPUT_BIASES = ("data", "zero")
HELD_OUT_SEED = 1 << 32             # added to the seed: held-out noise comes from other keys than training's


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


def train_step(model, ws, gradient, optimizer):
    """Take one step on the batch in ws.x with the noise in ws.eps; return the Objective before it.

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
    """
    objective = model.forward_backward(ws, gradient)
    optimizer.update(model.parameters.flat, gradient.flat)
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
    whole = model.workspace(min(batch_size, len(x)))
    totals = np.zeros(3)
    for piece, start in enumerate(range(0, len(x), batch_size)):
        index = np.arange(start, min(start + batch_size, len(x)))
        ws = whole.first(len(index))
        read_rows(x, index, mode, seed + HELD_OUT_SEED, piece, ws.x)
        standard_normal(seed + HELD_OUT_SEED, SAMPLES, piece, ws.eps.reshape(-1))
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
        "data": a decoder output bias that is still zero starts where p(x | z) has the training mean; "zero": it
        stays.

    Raises
    ------
    ConfigurationError, ShapeError, DataError
        For a setting or data that cannot work; the message says which and what to do.
    """

    def __init__(self, model, x, *, batch_size=128, learning_rate=1e-3, optimizer="adam", validation=None, seed=0,
                 binarize="none", output_bias="data"):
        self.model = model
        self.x = as_rows(x, model.n_visible, "X")
        self.validation = None if validation is None else as_rows(validation, model.n_visible, "validation")
        self.mode = binarize_mode(binarize)
        self.binarize, self.seed, self.batch_size = binarize, check_seed(seed), batch_size
        if not isinstance(batch_size, (int, np.integer)) or not 1 <= batch_size <= len(self.x):
            raise ConfigurationError(f"batch_size is {batch_size!r}; the training data have {len(self.x)} rows, so it "
                                     f"must be an integer from 1 to {len(self.x)}. Choose a smaller one.")
        if output_bias not in OUTPUT_BIASES:
            raise ConfigurationError(f"output_bias is {output_bias!r}; known are {', '.join(OUTPUT_BIASES)}. "
                                     "Choose one of them.")
        for rows, name in ((self.x, "X"), (self.validation, "validation")):
            if rows is not None:
                check_rows(rows, model.likelihood, name)
                require_unit_range(rows, binarize)
        theta = model.parameters.flat
        self.optimizer = make_optimizer(optimizer, theta.size, theta.dtype, learning_rate)
        bias = model.parameters.decoder.head.b
        if output_bias == "data" and not bias.any():
            bias[:] = model.likelihood.initial_bias(training_mean(self.x, self.mode))
        self.gradient = Parameters.zeros(model.parameters.layout, theta.dtype)
        self.ws = model.workspace(batch_size)
        self.batches = -(-len(self.x) // batch_size)
        self.epoch = 0                                   # finished epochs
        self.batch = 0                                   # finished batches of the present one
        self.totals = np.zeros(3)                        # rows * (loss, reconstruction, kl) of the present epoch
        self.seconds = 0.0                               # spent in the present epoch's steps
        self.timed = []                                  # seconds of its steps, but for the one that ...
        self.started = False                             # ... came first and compiled or loaded the kernels
        self.history = History()
        self.stop = False                                # set it (from a signal handler, say) to end after a step

    def step(self, order):
        """Train on the next batch of this epoch's order; return its Objective."""
        index = order[self.batch * self.batch_size:(self.batch + 1) * self.batch_size]
        ws = self.ws.first(len(index))
        number = self.optimizer.step                     # steps taken so far: the counter of all noise
        read_rows(self.x, index, self.mode, self.seed, number, ws.x)
        standard_normal(self.seed, EPS, number, ws.eps.reshape(-1))
        objective = train_step(self.model, ws, self.gradient, self.optimizer)
        if not math.isfinite(objective.loss):
            raise TrainingError(
                f"the loss of step {number + 1} is {objective.loss}; expected a finite number of nats. "
                f"Lower the learning rate (now {self.optimizer.learning_rate:g}) or check the data's scale.")
        if number == 0:
            self.history.first_loss = objective.loss
        self.totals += len(index) * np.array(objective)
        self.batch += 1
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
        nothing = Objective(math.nan, math.nan, math.nan)
        test = nothing if self.validation is None else held_out_objective(
            self.model, self.validation, binarize=self.binarize, seed=self.seed)
        self.epoch += 1
        self.history.append(Epoch(self.epoch, *(self.totals / len(self.x)).tolist(), *test, self.seconds,
                                  1 / float(np.median(self.timed or [self.seconds]))))
        self.batch, self.seconds, self.timed = 0, 0.0, []
        self.totals[:] = 0

    def state(self):
        """Return (meta, arrays): all that `restore` needs besides the model's own parameters."""
        meta = {"epoch": self.epoch, "batch": self.batch, "step": self.optimizer.step, "seconds": self.seconds,
                "first_loss": self.history.first_loss, "history": [list(epoch) for epoch in self.history]}
        return meta, {"totals": self.totals, **self.optimizer.moments}

    def restore(self, meta, arrays):
        """Continue where `state` was taken."""
        self.epoch, self.batch, self.seconds = meta["epoch"], meta["batch"], meta["seconds"]
        self.optimizer.step = meta["step"]
        self.history = History(Epoch(*row) for row in meta["history"])
        self.history.first_loss = meta["first_loss"]
        self.totals[:] = arrays["totals"]
        for name, moment in self.optimizer.moments.items():
            moment[:] = arrays[name]


def check_seed(seed):
    """Return seed as an int; raises ConfigurationError unless it is one from 0 to 2**32 - 1."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < HELD_OUT_SEED:
        raise ConfigurationError(f"seed is {seed!r}; it must be an integer from 0 to {HELD_OUT_SEED - 1}. "
                                 "Choose one, for example 0.")
    return int(seed)


def fit(model, x, *, epochs=10, **settings):
    """Train `model` on x and return the History; the settings are those of `Trainer`.

    Raises
    ------
    ConfigurationError
        If epochs is no positive integer, and what `Trainer` raises.
    """
    if not isinstance(epochs, (int, np.integer)) or epochs < 1:
        raise ConfigurationError(f"epochs is {epochs!r}; it must be an integer of at least 1. Choose for example 10.")
    return Trainer(model, x, **settings).run(epochs)
