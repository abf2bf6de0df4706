"""Optimisers: what moves the flat parameter vector, and what they remember from step to step."""
import numpy as np

from .kernels.optimizers import adam_update, sgd_update
from .validation import at_least, one_of


class Optimizer:
    """What both have: a copy or a pickle gets moments of its own, in memory that can be written."""

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

    Examples
    --------
    The first step is learning_rate * sign(gradient), whatever the gradient's size, up to epsilon.

    >>> theta = np.zeros(2)
    >>> Adam(2, "float64", learning_rate=0.1).update(theta, np.array([5.0, -0.001]))
    >>> theta.round(4).tolist()
    [-0.1, 0.1]
    """

    name = "adam"

    def __init__(self, size, dtype, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.learning_rate, self.beta1, self.beta2, self.epsilon = learning_rate, beta1, beta2, epsilon
        self.step = 0
        self.moments = {"m": np.zeros(size, dtype), "v": np.zeros(size, dtype)}

    def update(self, theta, gradient):
        """Move theta (size,) one step against gradient (size,), in place.                      (O2)"""
        self.step += 1
        adam_update(theta, gradient, self.moments["m"], self.moments["v"], self.step, self.learning_rate,
                    self.beta1, self.beta2, self.epsilon)


class SGD(Optimizer):
    """Gradient descent with momentum (Polyak 1964).

    Parameters
    ----------
    size : int
        Length of the flat parameter vector.
    dtype : str
        "float32" or "float64".
    learning_rate, momentum : float
        Step length, and the share of the last step that is kept (0 for plain gradient descent).

    Examples
    --------
    >>> theta = np.array([1.0])
    >>> SGD(1, "float64", learning_rate=0.5).update(theta, np.array([1.0]))
    >>> float(theta[0])
    0.5
    """

    name = "sgd"

    def __init__(self, size, dtype, learning_rate=1e-3, momentum=0.9):
        self.learning_rate, self.momentum = learning_rate, momentum
        self.step = 0
        self.moments = {"velocity": np.zeros(size, dtype)}

    def update(self, theta, gradient):
        """Move theta (size,) one step against gradient (size,), in place.                      (O1)"""
        self.step += 1
        sgd_update(theta, gradient, self.moments["velocity"], self.learning_rate, self.momentum)


OPTIMIZERS = {"adam": Adam, "sgd": SGD}


def make_optimizer(name, size, dtype, learning_rate):
    """Return a fresh optimiser by name; raises ConfigurationError for an unknown name or a learning rate <= 0."""
    one_of("optimizer", name, OPTIMIZERS)
    learning_rate = at_least("learning_rate", learning_rate, 0, "Start with 0.001.", open_interval=True)
    return OPTIMIZERS[name](size, dtype, learning_rate)
