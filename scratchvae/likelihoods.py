"""What the decoder's outputs mean: p(x | z), its negative log, gradient, mean, samples.

A likelihood is any object with the methods of `Bernoulli` below; `VAE(likelihood=...)` takes a name or
such an object.  All figures are in nats, summed over the pixels of a row.
"""
from dataclasses import dataclass

import numpy as np

from .errors import ConfigurationError, DataError
from .kernels import likelihoods as kernels


def _finite(x, what):
    """Raise DataError unless every value of x is finite."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"{what} has the value {x[row, column]} at row {row}, column {column}; every value must be "
                        "finite. Remove or fill such rows.")


@dataclass(frozen=True)
class Bernoulli:
    """Each pixel is 1 with probability sigmoid(logit); the decoder puts out logits.

    Grey pixels in (0, 1) have no likelihood under a Bernoulli; the same formula is then the binary cross
    entropy, a loss.
    """

    name = "bernoulli"

    def n_outputs(self, n_visible):
        """Return how many numbers the decoder must put out for `n_visible` pixels."""
        return n_visible

    def check(self, x, what="x"):
        """Raise DataError unless every value of x (n, D) lies in [0, 1]."""
        _finite(x, what)
        if x.size and (x.min() < 0 or x.max() > 1):
            raise DataError(f"{what} has values from {x.min():g} to {x.max():g}; a Bernoulli likelihood needs values "
                            "in [0, 1]. Scale the data (images of 0..255: pass uint8, or divide by 255), or choose "
                            "likelihood='gaussian'.")

    def nll(self, outputs, x, nll):
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (E4)"""
        kernels.bernoulli_nll(outputs, x, nll)

    def nll_backward(self, outputs, x, d_nll, nll, d_outputs):
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (E5)"""
        kernels.bernoulli_nll_backward(outputs, x, d_nll, nll, d_outputs)

    def mean(self, outputs):
        """Return E[x | z], the probabilities, (rows, D)."""
        return 0.5 * (1 + np.tanh(0.5 * outputs))

    def sample(self, outputs, rng):
        """Draw x from p(x | z), (rows, D) of 0 and 1."""
        return (rng.random(outputs.shape) < self.mean(outputs)).astype(outputs.dtype)

    def initial_bias(self, mean):
        """Return the decoder's output bias that puts p(x | z) at the training mean: its logit, clipped.

        A pixel that is never on would want a logit of minus infinity; 0.001 to 0.999 leaves it +-6.9.
        """
        p = np.clip(mean, 0.001, 0.999)
        return np.log(p) - np.log1p(-p)


@dataclass(frozen=True)
class Gaussian:
    """Each pixel is drawn from N(mean, sigma^2) with one fixed sigma; the decoder puts out means.

    Parameters
    ----------
    sigma : float
        Standard deviation of a pixel, in the unit of x.  It does lambda's work: the half squared error plus
        lambda KL of T16 is this likelihood with sigma^2 = lambda, up to a factor.
    """

    sigma: float = 1.0
    name = "gaussian"

    def __post_init__(self):
        if not 0 < self.sigma < np.inf:
            raise ConfigurationError(f"sigma is {self.sigma!r}; a standard deviation must be positive and finite. "
                                     "Pass the noise level of a pixel, for example 0.1.")

    def n_outputs(self, n_visible):
        """Return how many numbers the decoder must put out for `n_visible` pixels."""
        return n_visible

    def check(self, x, what="x"):
        """Raise DataError unless every value of x (n, D) is finite."""
        _finite(x, what)

    def nll(self, outputs, x, nll):
        """Write -log p(x | z) of each row into nll (rows,), float64; row r belongs to x[r // K].      (E8)"""
        kernels.gaussian_nll(outputs, x, self.sigma, nll)

    def nll_backward(self, outputs, x, d_nll, nll, d_outputs):
        """Write nll and, at once, d_outputs = dL/d(outputs), where d_nll is dL/d(nll) of each row.    (E9)"""
        kernels.gaussian_nll_backward(outputs, x, self.sigma, d_nll, nll, d_outputs)

    def mean(self, outputs):
        """Return E[x | z], (rows, D)."""
        return outputs.copy()

    def sample(self, outputs, rng):
        """Draw x from p(x | z), (rows, D)."""
        return (outputs + self.sigma * rng.standard_normal(outputs.shape)).astype(outputs.dtype)

    def initial_bias(self, mean):
        """Return the decoder's output bias that puts p(x | z) at the training mean: the mean itself."""
        return mean


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def make_likelihood(likelihood, sigma=1.0):
    """Return the likelihood of a name, or `likelihood` itself if it is an object with the methods above.

    Parameters
    ----------
    likelihood : str or object
        "bernoulli", "gaussian", or an object such as `Bernoulli()`.
    sigma : float
        For "gaussian".

    Raises
    ------
    ConfigurationError
        For an unknown name, or an object that lacks a method (which is named).

    Examples
    --------
    >>> make_likelihood("gaussian", sigma=0.5)
    Gaussian(sigma=0.5)
    """
    if isinstance(likelihood, str):
        if likelihood not in LIKELIHOODS:
            raise ConfigurationError(f"likelihood is {likelihood!r}; known are {', '.join(LIKELIHOODS)}. "
                                     "Choose one of them or pass an object with their methods.")
        return Gaussian(sigma) if likelihood == "gaussian" else LIKELIHOODS[likelihood]()
    wanted = [name for name in vars(Bernoulli) if not name.startswith("_")]
    missing = [name for name in wanted if not hasattr(likelihood, name)]
    if missing:
        raise ConfigurationError(f"likelihood {likelihood!r} lacks {', '.join(missing)}; it needs "
                                 f"{', '.join(wanted)}. See scratchvae.likelihoods.Bernoulli for an example.")
    return likelihood
