"""The bound of K samples, weighed by their importance: IWAE, DReG, and a biased specimen."""
from dataclasses import dataclass

import numpy as np

from .base import Draws
from .pathwise import MonteCarlo, STL, through_z


def normalized(log_w: np.ndarray) -> np.ndarray:
    """Return v = w / sum of w over an example's samples, (B, K), from log_w (B, K).                   (S6)

    The largest exponent is 0.  What the rounding of the sum would lose is 0: as float32 cotangents such weights were
    subnormal numbers, and a step with 50 samples took three times as long.
    """
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    w[w < np.finfo(np.float64).eps] = 0
    return w / w.sum(axis=1, keepdims=True)


def bound_loss(log_w: np.ndarray) -> np.ndarray:
    """Return -log 1/K sum_k w_k, (B,) nats: the largest exponent is 0.                                (S6)"""
    top = log_w.max(axis=1)
    return -top - np.log(np.exp(log_w - top[:, None]).mean(axis=1))


@dataclass(frozen=True)
class IWAE(MonteCarlo):
    """The bound's own derivative (Burda, Grosse & Salakhutdinov 2016).                            (S5, S6)"""

    name = "iwae"
    bound = True
    weighs_alike = False

    def weigh(self, log_w: np.ndarray) -> np.ndarray:
        """Return the normalized weights, (B, K).                                                      (S6)"""
        return normalized(log_w)

    def loss(self, log_w: np.ndarray) -> np.ndarray:
        """Return minus the bound, (B,) nats.                                                          (S6)"""
        return bound_loss(log_w)


@dataclass(frozen=True)
class IWAESTL(STL):
    """S7 under S6's weights.  It is biased, and is here only to show that.                        (S6, S7)"""

    name = "iwae_stl"
    bound = True
    separate = True
    weighs_alike = False
    weigh, loss = IWAE.weigh, IWAE.loss


@dataclass(frozen=True)
class DReG(IWAESTL):
    """Doubly reparameterized: the weights' own dependence on z is put back (Tucker et al. 2019).  (S6, S8)"""

    name = "dreg"

    def path_weight(self, draws: Draws) -> np.ndarray:
        """Return v u of S8, (B, K), u = 1 - beta (1 - v)."""
        return draws.weights * (1 - draws.beta * (1 - draws.weights))

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write the path derivative times u.                                                          (S8)"""
        through_z(draws, self.along_path(draws) * draws.rows(1 - draws.beta * (1 - draws.weights)), d_head)
