"""The score function: no derivative of the decoder is needed, and a baseline lowers its variance."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigurationError
from ..validation import one_of
from .base import Draws
from .sampled import log_q, Sampled

LOSS_DECAY = 0.9                        # decay rate of the running mean of the loss, per step
# S9's b, from the cost -log w (B, K) and the running mean of the loss of earlier steps, in nats.
BASELINES = {
    "none": lambda cost, average_loss: 0.0,
    "moving_average": lambda cost, average_loss: average_loss,
    "leave_one_out": lambda cost, average_loss: (cost.sum(axis=1, keepdims=True) - cost) / (cost.shape[1] - 1),
}


@dataclass(frozen=True)
class ScoreFunction(Sampled):
    """z is held, and the loss moves with the density that z is drawn from (Williams 1992).            (S9)

    Raises ConfigurationError for another baseline.

    Parameters
    ----------
    baseline : str
        "none", "moving_average" (of the loss of earlier steps) or "leave_one_out" (the mean of the example's other
        samples; Kool, van Hoof & Welling 2019).
    """

    baseline: str = "none"
    name = "score_function"
    exact = False
    separate = True
    needs_d_z = False

    def __post_init__(self):
        one_of("baseline", self.baseline, BASELINES)

    def check(self, n_samples: int, likelihood: Any) -> None:
        """Raise ConfigurationError for one sample and baseline "leave_one_out"."""
        super().check(n_samples, likelihood)
        if self.baseline == "leave_one_out" and n_samples < 2:
            raise ConfigurationError(f"n_samples is {n_samples}; baseline 'leave_one_out' is the mean of the example's "
                                     "other samples, so it needs at least 2. Use for example 4.")

    def initial_state(self) -> dict:
        """Return the running mean of the loss before the first step, which is the first loss after it."""
        return {"average_loss": 0.0, "steps": 0}

    def update_state(self, state: dict, loss: float) -> None:
        """Move the running mean of the loss toward this step's."""
        state["average_loss"] += (loss - state["average_loss"]) * (1 - LOSS_DECAY if state["steps"] else 1.0)
        state["steps"] += 1

    def centered(self, draws: Draws, state: dict | None) -> np.ndarray:
        """Return S9's c = -log w - b, (B, K) nats."""
        average_loss = (state or self.initial_state())["average_loss"]
        return -draws.log_w - BASELINES[self.baseline](-draws.log_w, average_loss)

    def write_head(self, draws: Draws, d_head: np.ndarray, state: dict | None = None) -> None:
        """Write the derivative along q, z held, of the centered loss.                                 (S9)"""
        n_latent, shape = draws.z.shape[1], (len(draws.head), -1, draws.z.shape[1])
        weighted = draws.rows(draws.weights * self.centered(draws, state) * draws.per_example)
        d_head[:, :n_latent] = (weighted * draws.eps_over_sigma()).reshape(shape).sum(axis=1)
        d_head[:, n_latent:] = 0.5 * (weighted * (np.square(draws.eps) - 1)).reshape(shape).sum(axis=1)

    def moving(self, then: Draws, z: np.ndarray, head: np.ndarray, nll: Callable, state: dict | None) -> np.ndarray:
        """Return S11's A for the score function, (B, K) nats: log q of the frozen z moves with the head."""
        return then.weights * self.centered(then, state) * log_q(head, then.z, then.weights.shape[1])
