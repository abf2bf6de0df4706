"""Likelihoods p(x | z) of the decoder's outputs: negative log, gradient, mean, samples.

`VAE(likelihood=...)` takes a name or an object with the methods of `Likelihood`.  All figures are in nats, summed over
the pixels of a row.  Bernoulli is E4 and E5, the Gaussian of fixed sigma E8 and E9 in `elbo`; here are the others, with
the notation of `elbo`, R = B K rows r, and d_nll the cotangent of each row's nll.

A **continuous Bernoulli** is the density on [0, 1] whose log is linear in x, p(x) = exp(a x) / integral of exp(a x).
The decoder puts out the logits a:

    (L1)  nll = sum_d [A(a) - x a],   A(a) = log((exp(a) - 1) / a)         the integral over x from 0 to 1
    (L2)  d_a = d_nll (A'(a) - x),  A'(a) = 1 / (1 - exp(-a)) - 1 / a    the mean of x, as of every exponential family
    (L3)  A(a) = a / 2 + log(1 + u),  1 + u = sinh(a / 2) / (a / 2) = sum_n w^n / (2n + 1)!,  w = (a / 2)^2

At a = 0 both terms of A' are infinite and near it they cancel; L3, with dw/da = a / 2, has neither problem.  E4 has
softplus(a) in the place of A(a), which makes it a Bernoulli's probability; as a density of gray pixels it lacks the
constant log C = softplus(a) - A(a).  (Loaiza-Ganem & Cunningham 2019.)

**Gaussians with one learned sigma**, logvar = log sigma^2, the decoder puts out means m:

    (L4)  nll = SSE_r / (2 sigma^2) + D/2 (logvar + log(2 pi)),  SSE_r = sum_d (x - m)^2
    (L5)  d_logvar = sum_r d_nll (D - SSE_r / sigma^2) / 2               one number for all rows

With lambda = 2 sigma^2, lambda (nll + kl) is the squared error + lambda kl, but for a constant (T16): a learned sigma
finds the lambda of its data.

**A learned sigma for every pixel**; the decoder puts out [m | raw].  The likelihood has no upper bound where sigma can
go to 0, so logvar is kept above `MIN_LOGVAR` by a clip whose derivative is nowhere 0:

    (L6)  logvar = MIN_LOGVAR + softplus(raw - MIN_LOGVAR)
    (L7)  nll = 1/2 sum_d [(x - m)^2 exp(-logvar) + logvar + log(2 pi)]
    (L8)  d_m = d_nll (m - x) exp(-logvar)
    (L9)  d_logvar = d_nll (1 - (x - m)^2 exp(-logvar)) / 2
    (L10) d_raw = d_logvar sigmoid(raw - MIN_LOGVAR)

**Sigma set to its optimum.**  With equal d_nll L5 is zero where sigma^2 is the mean squared error of the batch:

    (L11) sigma*^2 = max(sum_r SSE_r / (R D), exp(MIN_LOGVAR))
    (L12) d_m = (d_nll + c) (m - x) / sigma*^2,  c = 1/R sum_r d_nll (1 - SSE_r / (D sigma*^2))

c is the way through sigma*: dL/dsigma*^2 = D c R / (2 sigma*^2) by L5, and dsigma*^2/dm = 2 (m - x) / (R D).  With
equal weights c = 0, which is the envelope theorem: at an optimum of sigma nothing flows through sigma.  With
the unequal weights of an importance-weighted bound it is not 0, and where the floor holds there is no such way and c
is left out.  sigma* couples the rows of a batch, so a row has no likelihood of its own: measuring takes a frozen sigma
(`GaussianOptimal`).  (Rybkin, Daniilidis & Levine 2021.)
"""
from typing import Any

from ..errors import ConfigurationError
from .base import Likelihood
from .bernoulli import Bernoulli, ContinuousBernoulli
from .gaussian import Gaussian, GaussianDiagonal, GaussianOptimal, GaussianScalar

__all__ = ["LIKELIHOODS", "Bernoulli", "ContinuousBernoulli", "Gaussian", "GaussianDiagonal", "GaussianOptimal",
           "GaussianScalar", "Likelihood", "make_likelihood"]
LIKELIHOODS = {made.name: made for made in (Bernoulli, ContinuousBernoulli, Gaussian, GaussianScalar,
                                            GaussianDiagonal, GaussianOptimal)}
WANTED = ("name", "n_outputs", "parameter_shapes", "initialize", "init_output_bias", "check", "is_density", "sigma_of",
          "nll", "nll_backward", "mean", "sample", "for_evaluation", "update_running_variance")


def make_likelihood(likelihood: Any, sigma: float = 1.0) -> Any:
    """Return the likelihood of a name in LIKELIHOODS, or `likelihood` itself if it has a likelihood's methods.

    `sigma` is the standard deviation of a pixel for "gaussian", and its first value for "gaussian_scalar" and
    "gaussian_optimal".  Raises ConfigurationError for an unknown name, or an object that lacks a method (which is
    named).

    Examples
    --------
    >>> make_likelihood("gaussian", sigma=0.5)
    Gaussian(sigma=0.5)
    """
    if isinstance(likelihood, str):
        if likelihood not in LIKELIHOODS:
            raise ConfigurationError(f"likelihood is {likelihood!r}; known are {', '.join(LIKELIHOODS)}. "
                                     "Choose one of them or pass an object with their methods.")
        kind: Any = LIKELIHOODS[likelihood]
        return kind(sigma) if issubclass(kind, Gaussian) else kind()
    if isinstance(likelihood, type):
        raise ConfigurationError(f"likelihood is the class {likelihood.__name__}; expected an object of it. "
                                 f"Pass {likelihood.__name__}().")
    missing = [name for name in WANTED if not hasattr(likelihood, name)]
    if missing:
        raise ConfigurationError(f"likelihood {likelihood!r} lacks {', '.join(missing)}; it needs "
                                 f"{', '.join(WANTED)}. Inherit from scratchvae.likelihoods.Likelihood, which has what "
                                 "most share, and see scratchvae.likelihoods.Bernoulli for the rest.")
    return likelihood
