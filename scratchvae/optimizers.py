"""Optimizers: they move the flat parameter vector, and remember moments from step to step.

Before its own rule (O1, O2) each of them may shorten the gradient, and decay the parameters.  (A step of training
takes back what O4 did to a running variance, which no gradient moves: see `GaussianOptimal`.)

    (O3)  g = g min(1, c / |g|)                with |g| the norm over all parameters      (Pascanu et al. 2013)
    (O4)  theta = theta - learning_rate weight_decay theta    decoupled: not in the moments   (Loshchilov & Hutter 2019)
"""
import inspect
import math
from typing import Any

import numpy as np

from .arrays import once, require_buffer
from .errors import ConfigurationError, TrainingError
from .kernels.optimizers import adam_update, are_below, sgd_update
from .kernels.totals import sum_of_squares
from .validation import at_least, number, one_of, positive_integer

MOST_RATE = 1e30                    # largest learning rate: its products with moments have room in float32
ROOM = 4                            # how many times a number of a step must fit into the largest one of its dtype


def check_rate(learning_rate: float) -> float:
    """Return learning_rate as a float; raises ConfigurationError unless it is above 0, and finite."""
    return number("learning_rate", learning_rate, 0, MOST_RATE, "Start with 0.001.", closed="right")


@once
def _require(optimizer, theta, gradient):
    require_buffer("theta", theta, optimizer._shape, optimizer.dtype, written=True)
    require_buffer("gradient", gradient, optimizer._shape, optimizer.dtype, written=optimizer.clip_norm is not None)


class Optimizer:
    """What Adam and SGD share: moments like the parameters, a count of steps, and what comes before each step.

    A copy or a pickle gets moments of its own, in memory that can be written.
    """

    def __init__(self, size: int, dtype: Any, learning_rate: float, moments: tuple, weight_decay: float,
                 clip_norm: float | None):
        size, self.dtype = positive_integer("size", size), np.dtype(one_of("dtype", str(dtype), ("float32", "float64")))
        self.learning_rate = check_rate(learning_rate)
        self.weight_decay = at_least("weight_decay", weight_decay, 0, "Use 0 for none.")
        if self.weight_decay * self.learning_rate >= 1:
            raise ConfigurationError(f"weight_decay is {weight_decay:g}; expected less than 1 / learning_rate, "
                                     f"{1 / learning_rate:g}: a step multiplies theta by 1 minus their product. "
                                     "Use 0.01.")
        self.clip_norm = None if clip_norm is None else at_least(
            "clip_norm", clip_norm, 0, "It is the longest gradient: leave it out for any.", open_interval=True)
        self.step = 0
        self.moments = {name: np.zeros(size, self.dtype) for name in moments}
        self._shape, self._largest = (size,), float(np.finfo(self.dtype).max)

    def accepts(self, gradient: np.ndarray) -> bool:
        """Return whether gradient (size,) leaves all numbers finite: every |number| in it is below `limit`."""
        found = np.empty(1)
        are_below(gradient, self.limit, found)
        return bool(found[0])

    def begin_step(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """Count a step, shorten the gradient and decay theta; raise what `update` raises, before anything moves."""
        _require(self, theta, gradient)
        if not self.accepts(gradient):
            largest = float(np.abs(gradient).max())
            found = f"reaches {largest:.2g}" if math.isfinite(largest) else "is not finite"
            raise TrainingError(f"the gradient of step {self.step + 1} {found}, beyond the range of {self.dtype}; "
                                f"{self.name} needs numbers below {self.limit:.2g}.")
        self.step += 1
        if self.clip_norm is not None:
            norm = _norm(gradient)
            if math.isinf(norm):                                 # its squares overflow: only its direction is left
                gradient /= np.abs(gradient).max() / self.clip_norm
                norm = _norm(gradient)
            if norm > self.clip_norm:
                gradient *= self.clip_norm / norm                                                           # (O3)
        if self.weight_decay:
            theta *= 1 - self.learning_rate * self.weight_decay                                             # (O4)

    def __setstate__(self, state):
        vars(self).update(state, moments={name: np.array(moment) for name, moment in state["moments"].items()})


def _norm(gradient):
    """Return the length of gradient (size,), inf where its squares overflow."""
    total = np.empty(1)
    with np.errstate(over="ignore"):
        sum_of_squares(gradient, total)
    return math.sqrt(total[0])


class Adam(Optimizer):
    """Adam with bias correction (Kingma & Ba 2015, Algorithm 1).

    Raises ConfigurationError for a setting that cannot work.

    Parameters
    ----------
    size : int
        Length of the flat parameter vector.
    dtype : str
        "float32" or "float64".
    learning_rate, beta1, beta2, epsilon : float
        The paper's alpha, beta_1, beta_2 and epsilon, with its defaults.
    weight_decay : float
        The share of the parameters, times the learning rate, that each step takes off, apart from the moments (O4).
    clip_norm : float or None
        The norm to which a longer gradient is shortened (O3).

    Examples
    --------
    The first step is learning_rate * sign(gradient), whatever the gradient's size, up to epsilon.

    >>> theta = np.zeros(2)
    >>> Adam(2, "float64", learning_rate=0.1).update(theta, np.array([5.0, -0.001]))
    >>> theta.round(4).tolist()
    [-0.1, 0.1]
    """

    name = "adam"

    def __init__(self, size: int, dtype: Any, learning_rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
                 epsilon: float = 1e-8, weight_decay: float = 0.0, clip_norm: float | None = None):
        super().__init__(size, dtype, learning_rate, ("m", "v"), weight_decay, clip_norm)
        self.beta1, self.beta2 = _share("beta1", beta1), _share("beta2", beta2)
        least = math.sqrt(np.finfo(self.dtype).tiny)              # of smaller gradients the squares, v, round to 0
        self.epsilon = at_least("epsilon", epsilon, least, "Use 1e-8.")

    @property
    def limit(self) -> float:
        """The bound of every |number| of a gradient: below it the dtype holds its square, v, and the undivided step."""
        return min(math.sqrt(self._largest), self._largest / max(1.0, self.learning_rate)) / ROOM

    def update(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """Move theta (size,) one step against gradient (size,), in place; clip_norm scales gradient too.     (O2)

        Raises ShapeError if a vector has another length or dtype, or does not lie in one piece, and TrainingError if
        the gradient is not finite or too large; nothing has moved then.
        """
        self.begin_step(theta, gradient)
        adam_update(theta, gradient, self.moments["m"], self.moments["v"], self.step, self.learning_rate,
                    self.beta1, self.beta2, self.epsilon)


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964).

    `momentum` is the share of the last step that is kept, 0 for plain gradient descent; the rest is as in `Adam`.

    Examples
    --------
    >>> theta = np.array([1.0])
    >>> SGD(1, "float64", learning_rate=0.5).update(theta, np.array([1.0]))
    >>> float(theta[0])
    0.5
    """

    name = "sgd"

    def __init__(self, size: int, dtype: Any, learning_rate: float = 1e-3, momentum: float = 0.9,
                 weight_decay: float = 0.0, clip_norm: float | None = None):
        super().__init__(size, dtype, learning_rate, ("velocity",), weight_decay, clip_norm)
        self.momentum = _share("momentum", momentum)

    @property
    def limit(self) -> float:
        """The bound of every |number| of a gradient: below it the dtype holds the velocity, their sum, and the step."""
        return self._largest * (1 - self.momentum) / max(1.0, self.learning_rate) / ROOM

    def update(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """Move theta (size,) one step against gradient (size,), in place; raises as `Adam.update` does.    (O1)"""
        self.begin_step(theta, gradient)
        sgd_update(theta, gradient, self.moments["velocity"], self.learning_rate, self.momentum)


def _share(name, value):
    """Return value as a float; raise ConfigurationError unless it is from 0 to below 1."""
    return number(name, value, 0, 1, "Use 0.9.")


OPTIMIZERS = {"adam": Adam, "sgd": SGD}


def make_optimizer(optimizer: str | dict, size: int, dtype: Any, learning_rate: float) -> Optimizer:
    """Return a fresh optimizer by name, or by a dict of its name and of settings that are not the defaults.

    Raises ConfigurationError for an unknown name or setting, or a number out of range.

    Examples
    --------
    >>> make_optimizer({"name": "adam", "epsilon": 1e-4, "weight_decay": 0.01}, 3, "float32", 1e-3).epsilon
    0.0001
    """
    settings = dict(optimizer) if isinstance(optimizer, dict) else {"name": optimizer}
    if "name" not in settings:
        raise ConfigurationError(f"optimizer has no name, only {', '.join(settings)}; known are "
                                 f"{', '.join(OPTIMIZERS)}. Add for example 'name': 'adam'.")
    kind = OPTIMIZERS[one_of("optimizer", settings.pop("name"), OPTIMIZERS)]
    known = list(inspect.signature(kind).parameters)[3:]                  # after size, dtype and learning_rate
    for name in settings:
        if name not in known:
            raise ConfigurationError(f"{name} is no setting of the optimizer {kind.name!r}; it has {', '.join(known)}. "
                                     "Check the spelling.")
    return kind(size, dtype, learning_rate, **settings)
