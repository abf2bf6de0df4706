"""What an estimator is: the methods that a model and its training call."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..elbo import Objective, Workspace
from ..errors import ConfigurationError
from ..parameters import Parameters
from ..schedules import KLWeight


class Draws(NamedTuple):
    """K samples of each example, and what the decoder computed from them.

    `head` (B, 2Z); `eps`, `z` (B*K, Z); `d_z` (B*K, Z) dL/dz through the nll, consumed; `log_w` (B, K) float64 in
    nats (S2); `weights` (B, K) float64, v, each example's adding up to 1; `beta` a number; `per_example` the 1/B of E4.
    """

    head: np.ndarray
    eps: np.ndarray
    z: np.ndarray
    d_z: np.ndarray
    log_w: np.ndarray
    weights: np.ndarray
    beta: float
    per_example: float

    def rows(self, per_sample: np.ndarray) -> np.ndarray:
        """Return (B, K) numbers as a column (B*K, 1) in the samples' dtype."""
        return per_sample.astype(self.z.dtype).reshape(-1, 1)

    def eps_over_sigma(self) -> np.ndarray:
        """Return eps / sigma, (B*K, Z)."""
        n_latent = self.z.shape[1]
        inverse = np.exp(-0.5 * self.head[:, n_latent:])
        return (self.eps.reshape(len(inverse), -1, n_latent) * inverse[:, None]).reshape(self.eps.shape)


@dataclass(frozen=True)
class Estimator:
    """The protocol.  An estimator of your own inherits from `Analytic` or from `Sampled`, which do most of the work.

    Attributes
    ----------
    name : str
        What it is called in files and on the command line.
    exact : bool
        Whether the gradient is the derivative of the reported loss with eps held.
    bound : bool
        Whether the reported loss is the K-sample bound (S6), which is at most reconstruction + beta kl.
    closed_form : bool
        Whether the KL is in closed form.  Only then may its weight depend on the KL (S10).
    separate : bool
        Whether the nll of a sample must depend on its own z alone.
    """

    name: ClassVar[str] = ""
    exact: ClassVar[bool] = True
    bound: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False
    separate: ClassVar[bool] = False

    def check(self, n_samples: int, likelihood: Any) -> None:
        """Raise ConfigurationError if the estimator cannot work with K = n_samples or with this likelihood."""
        if self.separate and likelihood.for_evaluation() is not likelihood:
            raise ConfigurationError(f"likelihood is {likelihood.name!r}; estimator {self.name!r} needs one under "
                                     "which the loss of a sample depends on its own z alone, and this one fits its "
                                     "sigma to the whole batch. Choose another likelihood, or estimator 'analytic'.")

    def check_weight(self, weight: KLWeight) -> None:
        """Raise ConfigurationError if a KLWeight needs the KL in closed form and the estimator does not have it."""
        if weight.by_latent and not self.closed_form:
            raise ConfigurationError(f"beta is {weight!r} and estimator {self.name!r}; free bits and capacity look at "
                                     "the KL in closed form. Choose an estimator that has it: 'analytic', "
                                     "'antithetic'.")

    def initial_state(self) -> dict:
        """Return the dict of numbers that the estimator keeps from step to step, as it is before the first."""
        return {}

    def update_state(self, state: dict, loss: float) -> None:
        """Update `state` after a step with its loss, in nats per example."""

    def pair(self, eps: np.ndarray, batch: int) -> None:
        """Change the noise eps (B*K, Z) of `batch` examples in place, before anything is computed from it."""

    def forward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight) -> Objective:
        """Return the Objective that the estimator reports for ws.x and ws.eps, in nats per example.

        The parameters are those of `elbo.forward`.
        """
        raise NotImplementedError

    def forward_backward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight, gradient: Parameters,
                         state: dict | None = None) -> Objective:
        """Return the same, and overwrite `gradient` (Parameters) with the estimator's gradient.

        `state` is the dict that earlier steps left; None stands for `initial_state()`.
        """
        raise NotImplementedError

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write the cotangent of the encoder's head, d_head (B, 2Z), from the Draws."""
        raise NotImplementedError

    def weigh(self, log_w: np.ndarray) -> np.ndarray:
        """Return the share v of each sample in its example's gradient, (B, K), from log_w (B, K): 1/K."""
        return np.full(log_w.shape, 1 / log_w.shape[1])

    def loss(self, log_w: np.ndarray) -> np.ndarray:
        """Return each example's loss, (B,) nats, from log_w (B, K): the mean of -log w over its samples."""
        return -log_w.mean(axis=1)

    def surrogate(self, vae: Any, ws: Workspace, weight: KLWeight, state: dict | None = None) -> Callable[[], float]:
        """Return a function () -> float, in nats, whose derivative the gradient is: the loss itself, or S11.

        What S11 freezes is frozen at the parameters that the VAE has now; later changes of them move the rest.  The
        function overwrites all of ws but x and eps.
        """
        return lambda: self.forward(vae, vae.parameters, ws, weight).loss
