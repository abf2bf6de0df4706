"""Optimizers: they move the flat parameter vector, and remember moments from step to step."""
import math
from typing import Any

import numpy as np

from .arrays import require_buffer
from .errors import TrainingError
from .kernels.optimizers import adam_update, are_below, sgd_update
from .validation import at_least, number, one_of, positive_integer

MOST_RATE = 1e30                    # largest learning rate: its products with moments have room in float32
ROOM = 4                            # how many times a number of a step must fit into the largest one of its dtype


class Optimizer:
    """What Adam and SGD share: moments like the parameters, a count of steps, and the check before a step.

    A copy or a pickle gets moments of its own, in memory that can be written.
    """

    def __init__(self, size: int, dtype: Any, learning_rate: float, moments: tuple):
        size, self.dtype = positive_integer("size", size), np.dtype(one_of("dtype", str(dtype), ("float32", "float64")))
        self.learning_rate = number("learning_rate", learning_rate, 0, MOST_RATE, "Start with 0.001.", closed="right")
        self.step = 0
        self.moments = {name: np.zeros(size, self.dtype) for name in moments}
        self._shape, self._largest = (size,), float(np.finfo(self.dtype).max)

    def accepts(self, gradient: np.ndarray) -> bool:
        """Return whether gradient (size,) leaves all numbers finite: every |number| in it is below `limit`."""
        found = np.empty(1)
        are_below(gradient, self.limit, found)
        return bool(found[0])

    def begin_step(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """Count a step; raise what `update` raises, before anything has moved."""
        require_buffer("theta", theta, self._shape, self.dtype, written=True)
        require_buffer("gradient", gradient, self._shape, self.dtype)
        if not self.accepts(gradient):
            largest = float(np.abs(gradient).max())
            found = f"reaches {largest:.2g}" if math.isfinite(largest) else "is not finite"
            raise TrainingError(f"the gradient of step {self.step + 1} {found}, beyond the range of {self.dtype}; "
                                f"{self.name} needs numbers below {self.limit:.2g}.")
        self.step += 1

    def __setstate__(self, state):
        vars(self).update(state, moments={name: np.array(moment) for name, moment in state["moments"].items()})


class Adam(Optimizer):
    """Adam with bias correction (Kingma & Ba 2015, Algorithm 1).

    Parameters
    ----------
    size : int
        Length of the flat parameter vector.
    dtype : str
        "float32" or "float64".
    learning_rate, beta1, beta2, epsilon : float
        The paper's alpha, beta_1, beta_2 and epsilon, with its defaults.

    Raises
    ------
    ConfigurationError
        For a setting that cannot work.

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
                 epsilon: float = 1e-8):
        super().__init__(size, dtype, learning_rate, ("m", "v"))
        self.beta1, self.beta2 = _share("beta1", beta1), _share("beta2", beta2)
        self.epsilon = at_least("epsilon", epsilon, 0, "Use 1e-8.")

    @property
    def limit(self) -> float:
        """The bound of every |number| of a gradient: below it the dtype holds its square, v, and the undivided step."""
        return min(math.sqrt(self._largest), self._largest / self.learning_rate) / ROOM

    def update(self, theta: np.ndarray, gradient: np.ndarray) -> None:
        """Move theta (size,) one step against gradient (size,), in place.                      (O2)

        Raises
        ------
        ShapeError
            If a vector has another length or dtype, or does not lie in one piece.
        TrainingError
            If the gradient is not finite or too large; nothing has moved then.
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

    def __init__(self, size: int, dtype: Any, learning_rate: float = 1e-3, momentum: float = 0.9):
        super().__init__(size, dtype, learning_rate, ("velocity",))
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


def make_optimizer(name: str, size: int, dtype: Any, learning_rate: float) -> Optimizer:
    """Return a fresh optimizer by name; raises ConfigurationError for an unknown name or a learning rate <= 0."""
    return OPTIMIZERS[one_of("optimizer", name, OPTIMIZERS)](size, dtype, learning_rate)
