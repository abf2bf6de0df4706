"""The KL in closed form: the ELBO's own gradient, and the same with noise in antithetic pairs."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import elbo
from ..elbo import Objective, Workspace
from ..errors import ConfigurationError
from ..kernels.gaussian import gaussian_backward
from ..parameters import Parameters
from ..schedules import KLWeight
from .base import Draws, Estimator


@dataclass(frozen=True)
class Analytic(Estimator):
    """E4's loss and its derivative, E5 to E7: what `elbo` computes."""

    name = "analytic"
    closed_form = True

    def forward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight) -> Objective:
        """Return the Objective of ws.x and ws.eps.                                                          (E4)"""
        self.pair(ws.eps, len(ws.x))
        return elbo.forward(vae, p, ws, weight)

    def forward_backward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight, gradient: Parameters,
                         state: dict | None = None) -> Objective:
        """Return the same, and overwrite `gradient`.                                                  (E4 to E7)"""
        self.pair(ws.eps, len(ws.x))
        return elbo.forward_backward(vae, p, ws, weight, gradient)

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write the derivative of nll + beta KL.                                                        (E6, E7)"""
        d_kl = np.full(draws.z.shape[1], draws.beta * draws.per_example, draws.z.dtype)
        gaussian_backward(draws.head, draws.eps, draws.d_z, d_kl, d_head)


@dataclass(frozen=True)
class Antithetic(Analytic):
    """The same, averaged over eps and -eps.

    Examples
    --------
    >>> eps = np.array([[1.0], [9.0], [2.0], [9.0]])                    # two examples of two samples
    >>> Antithetic().pair(eps, 2)
    >>> eps.ravel().tolist()
    [1.0, -1.0, 2.0, -2.0]
    """

    name = "antithetic"

    def check(self, n_samples: int, likelihood: Any) -> None:
        """Raise ConfigurationError for an odd number of samples."""
        if n_samples % 2:
            raise ConfigurationError(f"n_samples is {n_samples}; estimator {self.name!r} pairs every eps with -eps, so "
                                     "it needs an even number of samples. Use 2.")

    def pair(self, eps: np.ndarray, batch: int) -> None:
        """Let the second half of each example's samples in eps (B*K, Z) be minus the first half."""
        samples = eps.reshape(batch, -1, eps.shape[1])
        half = samples.shape[1] // 2
        np.negative(samples[:, :half], out=samples[:, half:])
