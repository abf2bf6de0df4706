"""Pixels between 0 and 1: black or white, or gray with a density.  The decoder puts out logits."""
from dataclasses import dataclass

import numpy as np

from ..arrays import require_buffer
from ..kernels import continuous_bernoulli as continuous
from ..kernels import likelihoods as kernels
from ..kernels.vectormath import sigmoid
from .base import Likelihood, require_sizes, require_unit_range


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Each pixel is 1 with probability sigmoid(logit); the decoder puts out logits.

    Gray pixels in (0, 1) have no likelihood under a Bernoulli; the same formula is then the binary cross
    entropy, a loss.
    """

    name = "bernoulli"

    def check(self, x: np.ndarray, what: str = "x") -> None:
        """Raise DataError unless every value of x (n, D) lies in [0, 1]."""
        require_unit_range(x, what, "Bernoulli")

    def is_density(self, x: np.ndarray) -> bool:
        """Return whether every pixel of x (n, D) is 0 or 1."""
        return bool(((x == 0) | (x == 1)).all())

    def nll(self, p: dict, outputs: np.ndarray, x: np.ndarray, nll: np.ndarray) -> None:
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (E4)"""
        require_sizes(outputs, x, nll)
        kernels.bernoulli_nll(outputs, x, nll)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (E5)"""
        require_sizes(outputs, x, nll, d_nll, d_outputs)
        kernels.bernoulli_nll_backward(outputs, x, d_nll, nll, d_outputs)

    def mean(self, p: dict, outputs: np.ndarray) -> np.ndarray:
        """Return E[x | z], the probabilities, (rows, D)."""
        return sigmoid(outputs)

    def sample(self, p: dict, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw x from p(x | z), (rows, D) of 0 and 1."""
        return (rng.random(outputs.shape) < self.mean(p, outputs)).astype(outputs.dtype)

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the bias to the logit of the training mean, clipped.

        A pixel that is never on would want a logit of minus infinity; 0.001 to 0.999 leaves it +-6.9.
        """
        require_buffer("bias", bias, mean.shape, bias.dtype, written=True)
        clipped = np.clip(mean, 0.001, 0.999)
        bias[:] = np.log(clipped) - np.log1p(-clipped)


@dataclass(frozen=True)
class ContinuousBernoulli(Likelihood):
    """Each pixel has a density on [0, 1] proportional to exp(logit x); the decoder puts out logits.

    Gray pixels have a likelihood under it (Loaiza-Ganem & Cunningham 2019).  Being a density, it can exceed 1 and its
    nll can be negative.  At logit 0 it is uniform, and its mean is no sigmoid: 1 / (1 - exp(-logit)) - 1 / logit.
    """

    name = "continuous_bernoulli"

    def check(self, x: np.ndarray, what: str = "x") -> None:
        """Raise DataError unless every value of x (n, D) lies in [0, 1]."""
        require_unit_range(x, what, "continuous Bernoulli")

    def nll(self, p: dict, outputs: np.ndarray, x: np.ndarray, nll: np.ndarray) -> None:
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (L1)"""
        require_sizes(outputs, x, nll)
        continuous.continuous_bernoulli_nll(outputs, x, nll)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (L2)"""
        require_sizes(outputs, x, nll, d_nll, d_outputs)
        continuous.continuous_bernoulli_nll_backward(outputs, x, d_nll, nll, d_outputs)

    def mean(self, p: dict, outputs: np.ndarray) -> np.ndarray:
        """Return E[x | z] = A'(logit), (rows, D).                                                     (L2)"""
        lower = continuous.at_minus(np.abs(outputs))[1]
        return np.where(outputs > 0, 1 - lower, lower)

    def sample(self, p: dict, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw x from p(x | z), (rows, D), by inverting the distribution function.

        With t = |logit|, F(x) = (1 - exp(-t x)) / (1 - exp(-t)) is that of logit -t; x and 1 - x swap with the sign.
        """
        t = np.maximum(np.abs(outputs), np.finfo(outputs.dtype).tiny)      # where t is this small F(x) = x
        x = np.log1p(rng.random(outputs.shape) * np.expm1(-t)) / -t
        return np.where(outputs > 0, 1 - x, x).astype(outputs.dtype)

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the bias to the logit that has the training mean, by bisection (L2 has no inverse in closed form).

        The mean is clipped to 0.02 to 0.98: a pixel that is never on would want a logit of minus infinity.
        """
        require_buffer("bias", bias, mean.shape, bias.dtype, written=True)
        wanted = np.clip(mean, 0.02, 0.98)
        low, high = np.full(wanted.shape, -60.0), np.full(wanted.shape, 60.0)
        for _ in range(50):
            middle = 0.5 * (low + high)
            above = self.mean(p, middle) > wanted
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        bias[:] = middle
