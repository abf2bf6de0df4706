"""Training: one step, an epoch, a run that can be interrupted and resumed with the same bits.

Of a model it uses only `parameters`, `likelihood`, `dtype`, `n_visible`, `n_latent`, `n_conditions`, `beta` if it is
there, `workspace(batch)`, `forward(ws)`, `forward_backward(ws, gradient, beta, state)`, `initial_state()`,
`update_state(state, loss)`, `check_schedule(schedule)`, `for_evaluation()`.
"""
import copy
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import once
from .data.identity import check_unchanged, mapped_files
from .data.minibatch import binarize_mode, check_data, epoch_permutation, load_batch, training_moments
from .elbo import Objective, Workspace
from .errors import ConfigurationError, ShapeError, TrainingError, warn
from .history import Epoch, History, TrainingState
from .kernels.random import EPS, SAMPLES, standard_normal
from .learning_rates import as_rate, Rate, WarmUp
from .nonfinite import explain, not_finite, POLICIES
from .optimizers import make_optimizer, Optimizer
from .parameters import Parameters
from .schedules import as_weight
from .validation import check_seed, instance_of, one_of, positive_integer, SEEDS

OUTPUT_BIASES, KEPT = ("data", "zero"), ("last", "best")
LAST_TIMED = 4096                   # number of steps whose seconds are kept: an epoch may be long
SAME_LOSS = 1e-6                    # relative; another processor may round a held-out loss otherwise
HELD_OUT_SEED = SEEDS               # added to the seed, so that held-out noise has other keys than training's


def train_step(model: Any, ws: Workspace, gradient: Parameters, optimizer: Optimizer, beta: Any = None,
               state: dict | None = None) -> Objective:
    """Take one step on the batch in ws.x with the noise in ws.eps; return the Objective before it.

    The model's parameters (VAE or Autoencoder), the optimizer's moments and `state`, what the estimator remembers from
    earlier steps, are updated; `gradient` is overwritten with dL/d(parameters).  `beta` is the KL's weight in this
    step, None for the model's own.  Raises TrainingError, and moves nothing, if the loss or the gradient is not finite,
    or so large that the optimizer's moments would not be: such a step would spoil the parameters for good.  The message
    says where first, and the likely cause.
    """
    objective = model.forward_backward(ws, gradient, beta, state)
    try:
        if not math.isfinite(objective.loss):
            raise TrainingError(f"the loss of step {optimizer.step + 1} is {objective.loss}; expected a finite number "
                                "of nats.")
        p = model.parameters.likelihood
        running = {name: p[name].copy() for name in getattr(model.likelihood, "running", ())}
        optimizer.update(model.parameters.flat, gradient.flat)
    except TrainingError as error:
        raise TrainingError(f"{error} {explain(model, ws, gradient, optimizer)}") from None
    for name, numbers in running.items():                # weight decay would pull it to 1
        p[name] = numbers
    model.likelihood.update_running_variance(p, ws.decoder[-1], ws.nll)
    if state is not None:
        model.update_state(state, objective.loss)
    return objective


def held_out_objective(model: Any, x: Any, *, binarize: str = "none", seed: int = 0,
                       batch_size: int = 512) -> Objective:
    """Return the objective averaged over all rows of x (n, D), in nats per example; the model does not change.

    x is uint8, float32 or float64.  `binarize` is "none", "dynamic" or "threshold"; its draw and the noise depend on
    `seed` alone.  `batch_size` rows are computed at a time.
    """
    mode = binarize_mode(binarize)
    model = model.for_evaluation()
    whole = model.workspace(min(batch_size, len(x)))
    totals = np.zeros(3)
    for piece, start in enumerate(range(0, len(x), batch_size)):
        index = np.arange(start, min(start + batch_size, len(x)))
        ws = whole.first(len(index))
        load_batch(x, index, mode, seed + HELD_OUT_SEED, piece, ws.x)
        standard_normal(seed + HELD_OUT_SEED, SAMPLES, piece, ws.eps)
        totals += len(index) * np.array(model.forward(ws))
    return Objective(*(totals / len(x)).tolist())


@once
def _require_order(order, trainer):
    """Raise ShapeError unless order holds the numbers of rows of the data: kernels read wherever it points."""
    n = len(trainer.x)
    right = isinstance(order, np.ndarray) and order.shape == (n,) and order.dtype.kind in "iu"
    if not (right and 0 <= order.min() and order.max() < n):
        raise ShapeError(f"order has shape {np.shape(order)}; expected an array of the numbers of the {n} rows. Take "
                         "np.arange of them, or a permutation.")


class Trainer:
    """A run in progress: it trains a model from its present parameters.

    Making one changes nothing; training begins with the first step.  A copy of any kind is a run of its own, with its
    own model; `copy.copy` shares only the data, which are never written to.  Raises ConfigurationError, ShapeError or
    DataError for a setting or data that cannot work.

    Parameters
    ----------
    model : VAE or Autoencoder
        Trained in place.
    x : array_like (n, D)
        uint8 images, floats, or a memory map.
    batch_size : int
        Examples in a step; the last batch of an epoch may be smaller.  If there are fewer examples, a step uses all of
        them, and a ScratchVAEWarning says so.
    learning_rate : float, or Rate
        A number, or one of `scratchvae.learning_rates` that changes as training goes on.
    optimizer : str or dict
        "adam", "sgd" (momentum 0.9), or a dict with other settings of theirs than the defaults, for example
        {"name": "adam", "epsilon": 1e-4, "weight_decay": 0.01, "clip_norm": 10.0}.
    validation : array_like (m, D) or None
        Held-out rows, whose loss is computed after each epoch.
    seed : int
        Seed of the order, the noise and the binarization.
    binarize : str
        "none", "dynamic" (pixels are drawn again each time they are seen) or "threshold" (at 0.5).
    output_bias : str
        "data": a decoder output bias that is still zero before the first step is set so that p(x | z) has the training
        mean (and, with a learned sigma, the training variance); "zero": it stays zero.
    on_nonfinite : str
        What to do with a batch whose loss or gradient is not finite: "stop" raises TrainingError, which says where and
        why; "skip" skips the batch and counts it in `state.skipped`.
    beta : float, schedule or None
        The KL's weight in training: a number, or a KLWeight of `scratchvae.schedules`; None for the model's own.
        Held-out losses always have the model's own weight, so that epochs can be compared.
    patience : int or None
        `run` ends when so many epochs one after another have not lowered the least held-out loss.
    shuffle : bool
        Whether each epoch has an order of its own, drawn from the seed.  If not, batches are of neighboring rows, the
        same in every epoch.
    keep : str
        "last", or "best": `state.best` then holds the parameters of the epoch whose held-out loss was least.

    Attributes
    ----------
    state : TrainingState
        How far the run has come.
    stop : bool
        Set it, from a signal handler for example, to end `run` after the present step.  The end of `run` clears it.
    """

    def __init__(self, model: Any, x: Any, *, batch_size: int = 128, learning_rate: float | Rate | WarmUp = 1e-3,
                 optimizer: str | dict = "adam", validation: Any = None, seed: int = 0, binarize: str = "none",
                 output_bias: str = "data", on_nonfinite: str = "stop", beta: Any = None,
                 patience: int | None = None, shuffle: bool = True, keep: str = "last"):
        self.model = model
        self.mode = binarize_mode(binarize)
        self.x = check_data(x, model, "X", binarize)
        self.validation = None if validation is None else check_data(validation, model, "validation", binarize)
        self.files = mapped_files(self.x, self.validation)
        self.binarize, self.seed = binarize, check_seed(seed)
        self.batch_size = positive_integer("batch_size", batch_size)
        if self.batch_size > len(self.x):
            warn(f"batch_size is {batch_size}, but the training data have {len(self.x)} rows: every step uses all of "
                 "them.")
            self.batch_size = len(self.x)
        self.output_bias = one_of("output_bias", output_bias, OUTPUT_BIASES)
        self.on_nonfinite = one_of("on_nonfinite", on_nonfinite, POLICIES)
        self.schedule = None if beta is None else as_weight(beta)
        if self.schedule is not None:
            model.check_schedule(self.schedule)
        self.patience = None if patience is None else positive_integer("patience", patience)
        self.shuffle = instance_of("shuffle", shuffle, bool, "Pass True or False.")
        self.keep = one_of("keep", keep, KEPT)
        for name, asked in (("patience", self.patience), ("keep", self.keep == "best")):
            if asked and self.validation is None:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}, and there is no held-out loss to go by. "
                                         "Pass validation too.")
        self.batches = -(-len(self.x) // self.batch_size)
        theta, self.rate = model.parameters.flat, as_rate(learning_rate)
        self.state = TrainingState(make_optimizer(optimizer, theta.size, theta.dtype, self.rate.largest),
                                   model.initial_state())
        self.measured_at = getattr(model, "beta", None)   # the KL's weight in the held-out losses so far
        self.timed = deque(maxlen=LAST_TIMED)            # seconds of the epoch's last steps
        self.started = False                             # the first step is not timed: it compiles or loads kernels
        self.stop = False
        self._allocate()

    def _allocate(self):
        self.gradient = Parameters.zeros(self.model.parameters.layout, self.model.dtype)
        self.ws = self.model.workspace(self.batch_size)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name not in ("gradient", "ws", "stop")}

    def __setstate__(self, state):
        vars(self).update(state, stop=False)
        mapped = mapped_files(self.x, self.validation)                # not the file that copied rows were read from
        self.files = {path: before for path, before in self.files.items() if path in mapped}
        self._allocate()

    def __copy__(self):
        return copy.deepcopy(self, {id(rows): rows for rows in (self.x, self.validation)})

    def go_on(self, state: TrainingState) -> None:
        """Continue from the state of an earlier run at the beginning of an epoch, with this run's settings.

        The earlier held-out losses count only if the present parameters, measured anew with the seed of then, still
        have that of the best ones or, in a copy that a callback made, that of the last epoch.  With keep "best" the
        best ones are then the first to beat.
        Raises ConfigurationError if that run had another optimizer: its moments mean something else.
        """
        optimizer = self.state.optimizer
        if state.optimizer.name != optimizer.name:
            raise ConfigurationError(f"optimizer is {optimizer.name!r}; training began with {state.optimizer.name!r}, "
                                     "whose moments mean something else. Go on with that one, or call fit to start "
                                     "anew.")
        optimizer.moments, optimizer.step = state.optimizer.moments, state.optimizer.step
        state.optimizer = optimizer
        state.estimator = {name: state.estimator.get(name, new) for name, new in self.state.estimator.items()}
        if self.validation is not None and state.epoch:
            now, losses = self._held_out(state.seed).loss, state.history.column("test_loss")

            def is_now(loss):
                return math.isclose(loss, now, rel_tol=SAME_LOSS)
            has_best = is_now(losses[(state.best_epoch or state.epoch) - 1]) or is_now(state.best_loss)
            flat, keeps = self.model.parameters.flat, self.keep == "best"
            if state.batch or has_best:
                state.best_loss = now                    # by which they are known again, if no epoch follows
                if keeps:
                    state.best, state.best_epoch = flat.copy(), state.best_epoch or state.epoch
            elif not is_now(losses[-1]):
                state.forget_losses()
            if keeps and state.best is not None and self.seed != state.seed:
                present, flat[:] = flat.copy(), state.best
                state.best_loss, state.seed = self._held_out(self.seed).loss, self.seed
                flat[:] = present
        state.begin_epoch()
        self.state = state

    def step(self, order: np.ndarray) -> Objective:
        """Train on the next batch of this epoch's order; return its Objective, NaN if the batch was skipped."""
        state, model = self.state, self.model
        _require_order(order, self)
        index = order[state.batch * self.batch_size:(state.batch + 1) * self.batch_size]
        ws = self.ws.first(len(index))
        number = state.optimizer.step                    # steps taken so far: the counter of all noise
        state.optimizer.learning_rate = self.rate.at(state.epoch + (state.batch + 0.5) / self.batches)        # (O5)
        if number == 0:
            self._init_output_bias()
        load_batch(self.x, index, self.mode, self.seed, number, ws.x)
        standard_normal(self.seed, EPS, number, ws.eps)
        state.batch += 1
        try:
            objective = train_step(model, ws, self.gradient, state.optimizer,
                                   self.schedule and self.schedule.at(number), state.estimator)
        except TrainingError:
            if self.on_nonfinite == "stop" or not_finite(model.parameters.segments()):
                raise                                    # with such parameters every later batch fails as well
            state.skipped += 1
            state.rows_skipped += len(index)
            return Objective(math.nan, math.nan, math.nan)
        if number == 0:
            state.history.first_loss = objective.loss
        for i, part in enumerate(objective):
            state.totals[i] += len(index) * part
        return objective

    def _init_output_bias(self):
        p = self.model.parameters
        if self.output_bias == "data" and not p.decoder.head.b.any():
            self.model.likelihood.init_output_bias(p.likelihood, p.decoder.head.b,
                                                   *training_moments(self.x[:, :self.model.n_visible], self.mode))

    def is_patient(self) -> bool:
        """Return whether fewer than `patience` measured epochs followed that of the least held-out loss, if any."""
        history = self.state.history
        since = history.column("test_loss")[history.best():]       # NaN where an earlier run had no held-out rows
        return self.patience is None or np.isfinite(since).sum() < self.patience

    def run(self, epochs: int, after_step: Callable | None = None, after_epoch: Callable | None = None) -> History:
        """Train until `epochs` epochs are done in all, patience ends, or `stop` is set; return the History.

        Parameters
        ----------
        epochs : int
            Counted from the start of the run, so that a resumed run ends where an undisturbed one does.
        after_step : callable(trainer, objective), optional
        after_epoch : callable(trainer), optional
            Called when the epoch is in the history.
        """
        state = self.state
        try:
            while state.epoch < epochs and not self.stop and self.is_patient():
                check_unchanged(self.files)
                n = len(self.x)
                order = epoch_permutation(n, self.seed, state.epoch) if self.shuffle else np.arange(n)
                while state.batch < self.batches and not self.stop:
                    start = time.perf_counter()
                    objective = self.step(order)
                    elapsed = time.perf_counter() - start
                    state.seconds += elapsed
                    if self.started:
                        self.timed.append(elapsed)
                    self.started = True
                    if after_step is not None:
                        after_step(self, objective)
                if state.batch == self.batches:
                    self._finish_epoch()
                    if after_epoch is not None:
                        after_epoch(self)
        finally:
            self.stop = False
        return state.history

    def _weight(self, step):
        """Return the weight of the KL in a step: 0 if there is no KL, NaN if the weight is not one number."""
        weight = self.schedule.at(step) if self.schedule else as_weight(getattr(self.model, "beta", 0.0))
        beta = getattr(weight, "beta", math.nan)
        return math.nan if np.ndim(beta) else float(beta)

    def _held_out(self, seed):
        return held_out_objective(self.model, self.validation, binarize=self.binarize, seed=seed)

    def _finish_epoch(self):
        check_unchanged(self.files)
        self.require_finite()
        state, test = self.state, Objective(math.nan, math.nan, math.nan)
        if self.validation is not None:
            test = self._held_out(self.seed)
            if not math.isfinite(test.loss):
                raise TrainingError(f"the held-out loss after epoch {state.epoch + 1} is {test.loss}; expected a "
                                    "finite number of nats. Lower the learning rate "
                                    f"(now {state.optimizer.learning_rate:g}).")
        rows = len(self.x) - state.rows_skipped
        if rows == 0:
            raise TrainingError(f"every batch of epoch {state.epoch + 1} was skipped; expected a finite loss for some. "
                                "Train with on_nonfinite='stop' to see the cause.")
        epoch = Epoch(state.epoch + 1, *(total / rows for total in state.totals), *test, state.seconds,
                      1 / float(np.median(self.timed or [state.seconds])), state.optimizer.learning_rate,
                      self._weight(state.optimizer.step - 1))
        if self.measured_at != (beta := getattr(self.model, "beta", None)):               # a callback has changed it
            state.forget_losses()
            self.measured_at = beta
        state.epoch, state.seed = state.epoch + 1, self.seed
        state.history.append(epoch)
        if self.keep != "best":
            state.best, state.best_epoch, state.best_loss = None, 0, math.nan
        elif not test.loss >= state.best_loss:
            state.best, state.best_epoch, state.best_loss = self.model.parameters.flat.copy(), state.epoch, test.loss
        state.begin_epoch()
        self.timed.clear()

    def require_finite(self) -> None:
        """Raise TrainingError if a number that a resumed run needs is not finite: it must not replace a saved run."""
        name, state = not_finite([*self.model.parameters.segments(), *self.state.numbers()]), self.state
        if name:
            raise TrainingError(f"{name} is not finite after step {state.optimizer.step}; expected finite numbers. "
                                f"Lower the learning rate (now {state.optimizer.learning_rate:g}).")

    def checkpoint(self) -> tuple[dict, dict]:
        """Return (meta, arrays): all that `restore` needs besides the model's parameters."""
        self.require_finite()
        return self.state.pack(self.gradient.layout)

    def restore(self, meta: dict, arrays: dict) -> None:
        """Continue where `checkpoint` was made."""
        self.state.unpack(meta, arrays, self.gradient.layout)
        state = self.state
        if self.keep != "best":
            state.best, state.best_epoch = None, 0
        elif state.best is None and state.epoch > state.history.since and not state.batch:           # it kept the last
            state.best, state.best_epoch = self.model.parameters.flat.copy(), state.epoch
            state.best_loss = state.history[-1].test_loss
        if state.batch > self.batches or state.rows_skipped > len(self.x):
            raise ValueError(f"batch {state.batch} of {self.batches}, with {state.rows_skipped} rows "
                             "skipped, does not exist")
