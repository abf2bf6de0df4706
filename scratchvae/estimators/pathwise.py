"""One derivative through z for every sample: the total one, and the one along the path alone."""
from dataclasses import dataclass

import numpy as np

from ..kernels.gaussian import gaussian_backward
from .base import Draws
from .sampled import Sampled


def through_z(draws: Draws, g: np.ndarray, d_head: np.ndarray) -> None:
    """Write what reaches the head of a cotangent g (B*K, Z) of z, and of nothing else."""
    gaussian_backward(draws.head, draws.eps, g, np.zeros(g.shape[1], g.dtype), d_head)


@dataclass(frozen=True)
class MonteCarlo(Sampled):
    """The KL is the mean of log q - log p over the samples, and its whole derivative is taken.               (S5)"""

    name = "monte_carlo"

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write the derivative of -log w along z and along q.                                                (S5)"""
        draws.d_z[:] += draws.rows(draws.beta * draws.per_example * draws.weights) * draws.z
        through_z(draws, draws.d_z, d_head)
        d_head[:, draws.z.shape[1]:] -= 0.5 * draws.beta * draws.per_example


@dataclass(frozen=True)
class STL(Sampled):
    """Sticking the landing: the path derivative, q held (Roeder, Wu & Duvenaud 2017).                        (S7)"""

    name = "stl"
    exact = False

    def along_path(self, draws: Draws) -> np.ndarray:
        """Return S7's g, (B*K, Z): the derivative of -log w along z, q held, with v / B."""
        draws.d_z[:] += (draws.rows(draws.beta * draws.per_example * draws.weights)
                         * (draws.z - draws.eps_over_sigma()))
        return draws.d_z

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write what reaches the head of S7's g.                                                             (S7)"""
        through_z(draws, self.along_path(draws), d_head)
