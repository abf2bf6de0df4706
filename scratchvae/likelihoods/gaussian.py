"""Gaussian pixels: sigma fixed, learned (one, or one a pixel), or set to its optimum.  The decoder puts out means."""
import math
from dataclasses import dataclass

import numpy as np

from ..arrays import require_buffer
from ..errors import ConfigurationError
from ..kernels import learned_sigma
from ..kernels import likelihoods as kernels
from ..kernels.learned_sigma import MIN_LOGVAR
from ..kernels.vectormath import softplus
from ..validation import at_least, keep
from .base import Likelihood, require_finite, require_sizes, require_two_a_pixel

LOG_2PI = math.log(2 * math.pi)
LEAST_SIGMA, MOST_SIGMA = 1e-100, 1e100     # bounds of sigma: float64 holds their squares
LEAST_VARIANCE = math.exp(MIN_LOGVAR)       # of what is set to its optimum, or begins at the data's
NEWEST = 0.1                                # weight of the newest batch in the running log variance


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Each pixel is drawn from N(mean, sigma^2) with one fixed sigma; the decoder puts out means.

    Parameters
    ----------
    sigma : float
        Standard deviation of a pixel, in the unit of x.  It does lambda's work: with
        lambda = 2 sigma^2, lambda (nll + kl) is the squared error + lambda kl of T16, but for a constant.
    """

    sigma: float = 1.0
    name = "gaussian"

    def __post_init__(self):
        remedy = "Pass the noise level of a pixel, for example 0.1."
        keep(self, sigma=at_least("sigma", self.sigma, 0, remedy, open_interval=True))
        if not LEAST_SIGMA <= self.sigma <= MOST_SIGMA:
            raise ConfigurationError(f"sigma is {self.sigma!r}; expected {LEAST_SIGMA:g} to {MOST_SIGMA:g}, whose "
                                     f"squares float64 holds. {remedy}")

    def sigma_of(self, p: dict) -> float:
        """Return the standard deviation of a pixel, one number."""
        return self.sigma

    def check(self, x: np.ndarray, what: str = "x") -> None:
        """Raise DataError unless every value of x (n, D) is finite."""
        require_finite(x, what)

    def nll(self, p: dict, outputs: np.ndarray, x: np.ndarray, nll: np.ndarray) -> None:
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (E8)"""
        require_sizes(outputs, x, nll)
        kernels.gaussian_nll(outputs, x, self.sigma_of(p), nll)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (E9)"""
        require_sizes(outputs, x, nll, d_nll, d_outputs)
        kernels.gaussian_nll_backward(outputs, x, self.sigma_of(p), d_nll, nll, d_outputs)

    def mean(self, p: dict, outputs: np.ndarray) -> np.ndarray:
        """Return E[x | z], (rows, D)."""
        return outputs.copy()

    def sample(self, p: dict, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw x from p(x | z), (rows, D)."""
        return (outputs + self.sigma_of(p) * rng.standard_normal(outputs.shape)).astype(outputs.dtype)

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the bias to the training mean."""
        require_buffer("bias", bias, mean.shape, bias.dtype, written=True)
        bias[:] = mean


@dataclass(frozen=True)
class GaussianScalar(Gaussian):
    """Each pixel is drawn from N(mean, sigma^2) with one learned sigma: the parameter "likelihood.logvar".

    It finds the lambda of its data (T16): sigma^2 goes to the mean squared error.  It starts at `sigma`, or at the
    data's standard deviation if training sets the output bias by the data.
    """

    name = "gaussian_scalar"

    def sigma_of(self, p: dict) -> float:
        """Return exp(logvar / 2), one number."""
        return float(np.exp(0.5 * np.float64(p["logvar"][0])))

    def parameter_shapes(self, n_visible: int) -> dict:
        """Return the shape of logvar, (1,)."""
        return {"logvar": (1,)}

    def initialize(self, p: dict) -> None:
        """Set logvar to that of `sigma`."""
        p["logvar"][:] = 2 * math.log(self.sigma)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll, d_outputs (E9) and d_p["logvar"].

        forward was nll = SSE / (2 sigma^2) + D/2 (logvar + log(2 pi)), so
            d_logvar = sum over rows of d_nll (D - SSE / sigma^2) / 2                      (L5)
        and SSE / sigma^2 is read off nll.
        """
        super().nll_backward(p, outputs, x, d_nll, nll, d_p, d_outputs)
        half_d, logvar = 0.5 * outputs.shape[1], np.float64(p["logvar"][0])
        d_p["logvar"][:] = half_d * (1 + logvar + LOG_2PI) * d_nll.sum() - np.einsum("r,r->", d_nll, nll)

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the bias to the training mean and logvar to the log of the training variance."""
        super().init_output_bias(p, bias, mean, variance)
        p["logvar"][:] = math.log(max(variance, LEAST_VARIANCE))


@dataclass(frozen=True)
class GaussianOptimal(GaussianScalar):
    """Each pixel is drawn from N(mean, sigma*^2), sigma*^2 the mean squared error of the batch: nothing to learn.

    Objective and gradient take the batch's own sigma*.  Evaluation must not: sigma* depends on the rows that it would
    score, and so do their likelihoods on each other.  So "likelihood.logvar" keeps a running mean of log sigma*^2 over
    the training batches, with weight `NEWEST` for the newest one.  No gradient moves it; `for_evaluation`, evaluation,
    the held-out loss and samples use it.  Before training it is that of `sigma`.
    """

    name = "gaussian_optimal"
    running = ("logvar",)

    def _optimum(self, outputs, x, squares):
        """Write SSE of each row into squares; return sigma*^2.                                        (L4, L11)"""
        learned_sigma.squared_errors(outputs, x, squares)
        return max(float(squares.mean()) / outputs.shape[1], LEAST_VARIANCE)

    def nll(self, p: dict, outputs: np.ndarray, x: np.ndarray, nll: np.ndarray) -> None:
        """Write -log p(x | z) of each row, at the batch's sigma*, into nll (rows,), float64.          (L4, L11)"""
        require_sizes(outputs, x, nll)
        kernels.gaussian_nll(outputs, x, math.sqrt(self._optimum(outputs, x, nll)), nll)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll and d_outputs, the way through sigma* included; d_nll is consumed, d_p["logvar"] is 0.

        forward was nll = SSE / (2 sigma*^2) + D/2 log(2 pi sigma*^2), sigma*^2 = sum SSE / (R D), so
            d_mean = (d_nll + c) (mean - x) / sigma*^2                                     (L12)
        with c = 0 if all rows weigh the same.
        """
        require_sizes(outputs, x, nll, d_nll, d_outputs)
        variance = self._optimum(outputs, x, nll)
        if variance != LEAST_VARIANCE:                        # which no mean moves
            weighed = np.einsum("r,r->", d_nll, nll)                              # d_nll @ nll, without threads of BLAS
            d_nll += (d_nll.sum() - weighed / (outputs.shape[1] * variance)) / len(nll)
        kernels.gaussian_nll_backward(outputs, x, math.sqrt(variance), d_nll, nll, d_outputs)
        d_p["logvar"][:] = 0

    def for_evaluation(self) -> GaussianScalar:
        """Return the Gaussian whose sigma is the stored one."""
        return GaussianScalar(self.sigma)

    def update_running_variance(self, p: dict, outputs: np.ndarray, nll: np.ndarray) -> None:
        """Move the stored logvar toward log sigma*^2 = 2/D mean(nll) - 1 - log(2 pi), which is L4 at L11."""
        newest = max(2 * float(nll.mean()) / outputs.shape[1] - 1 - LOG_2PI, MIN_LOGVAR)
        p["logvar"] += NEWEST * (newest - p["logvar"])


@dataclass(frozen=True)
class GaussianDiagonal(Likelihood):
    """Each pixel is drawn from N(mean, sigma^2) with its own sigma; the decoder puts out [means | raw], (rows, 2 D).

    The log variance is raw after a soft clip, which keeps sigma above exp(MIN_LOGVAR / 2) = 0.0025 (L6).  That suits
    pixels in [0, 1]: scale other data to about that range.
    """

    name = "gaussian_diagonal"

    def n_outputs(self, n_visible: int) -> int:
        """Return 2 n_visible: a mean and a raw log variance a pixel."""
        return 2 * n_visible

    def check(self, x: np.ndarray, what: str = "x") -> None:
        """Raise DataError unless every value of x (n, D) is finite."""
        require_finite(x, what)

    def nll(self, p: dict, outputs: np.ndarray, x: np.ndarray, nll: np.ndarray) -> None:
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (L7)"""
        require_two_a_pixel(outputs, x, nll)
        learned_sigma.diagonal_nll(outputs, x, nll)

    def nll_backward(self, p: dict, outputs: np.ndarray, x: np.ndarray, d_nll: np.ndarray, nll: np.ndarray, d_p: dict,
                     d_outputs: np.ndarray) -> None:
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (L8 to L10)"""
        require_two_a_pixel(outputs, x, nll, d_nll, d_outputs)
        learned_sigma.diagonal_nll_backward(outputs, x, d_nll, nll, d_outputs)

    def mean(self, p: dict, outputs: np.ndarray) -> np.ndarray:
        """Return E[x | z], (rows, D)."""
        return outputs[:, :outputs.shape[1] // 2].copy()

    def logvar(self, outputs: np.ndarray) -> np.ndarray:
        """Return the log variance of every pixel, (rows, D).                                          (L6)"""
        return MIN_LOGVAR + softplus(outputs[:, outputs.shape[1] // 2:] - MIN_LOGVAR)

    def sample(self, p: dict, outputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw x from p(x | z), (rows, D)."""
        mean = self.mean(p, outputs)
        return (mean + np.exp(0.5 * self.logvar(outputs)) * rng.standard_normal(mean.shape)).astype(outputs.dtype)

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the bias of the means to the training mean, that of raw to one log variance for all pixels: the data's.

        A pixel that never changes in the data would want sigma = 0 at once, and the first example where it does
        would then cost 10^5 nats.
        """
        above = max(math.log(max(variance, LEAST_VARIANCE)) - MIN_LOGVAR, 1.0)
        bias[:len(mean)] = mean
        bias[len(mean):] = MIN_LOGVAR + math.log(math.expm1(above))                 # softplus, inverted
