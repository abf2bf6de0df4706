"""Kullback-Leibler divergence, cross entropy, entropy and Jensen-Shannon divergence, in nats (T1 to T3, T6).

    KL(p || q) = E_p log(p / q) = cross entropy - entropy,   -E_p log q  and  -E_p log p                      (T1, T3)

With d = log(q / p), sum(q) - sum(p) = 0 may be added.  If q = 0 wherever p = 0, it is E_p[exp(d) - 1], and

    KL(p || q) = E_p expm1_minus_x(d),   expm1_minus_x(d) = exp(d) - 1 - d >= 0, and 0 only at d = 0           (T2)

proves Gibbs' inequality term by term; otherwise the mass of q where p = 0 is one more term.  The same function stands
in all that follows: in the sum over outcomes (no cancellation, so no negative result by rounding), in the Monte Carlo
estimate that is never negative (`scratchvae.probability.monte_carlo`) and, with d = log sigma^2, in the divergence of
a Gaussian from the standard normal (T6).
"""
import math
from functools import singledispatch
from typing import Any

import numpy as np

from ..arrays import as_numbers
from ..errors import ConfigurationError, ShapeError
from .distributions import DiagonalGaussian, Discrete, FullGaussian, Grid, LARGEST_LOGVAR, LOG_2PI, require_same_kind


def expm1_minus_x(d: np.ndarray) -> np.ndarray:
    """Return exp(d) - 1 - d, an array of d's shape: at least 0, and 0 only at 0; inf for d = -inf."""
    with np.errstate(over="ignore"):                     # then it is inf
        return np.expm1(d) - d


def kl_terms(mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """Return KL(q(z_j | x) || p(z_j)), (n, Z) float64 in nats, of means and log variances (n, Z).     (E4)"""
    mu, logvar = mu.astype(np.float64), logvar.astype(np.float64)
    return 0.5 * (np.square(mu) + expm1_minus_x(logvar))


@singledispatch
def entropy(p: Any) -> Any:
    """Return the entropy -E_p log p in nats; of a density, the differential entropy.

    p is as in `kl`, and so are what is returned and what is raised.

    Examples
    --------
    >>> round(entropy(Discrete([0.5, 0.5])), 6)
    0.693147
    """
    raise _unknown(p)


@singledispatch
def cross_entropy(p: Any, q: Any) -> Any:
    """Return the cross entropy -E_p log q in nats, never less than the entropy of p (T3); all else is as in `kl`.

    Examples
    --------
    >>> round(cross_entropy(Discrete([0.5, 0.5]), Discrete([0.25, 0.75])), 6)
    0.836988
    """
    raise _unknown(p)


@singledispatch
def kl(p: Any, q: Any) -> Any:
    """Return KL(p || q) = E_p log(p / q) in nats: 0 where p = q, otherwise positive, and not symmetric (T1, T2).

    Raises ConfigurationError or ShapeError if p and q are of different kinds or over different outcomes.

    Parameters
    ----------
    p, q : two of Discrete, Grid (the same one), DiagonalGaussian or FullGaussian

    Returns
    -------
    float, or ndarray (n,) for a batch of Gaussians; inf where q = 0 < p

    Examples
    --------
    >>> kl(Discrete([1.0, 0.0]), Discrete([0.5, 0.5])), kl(Discrete([0.5, 0.5]), Discrete([1.0, 0.0]))
    (0.6931471805599453, inf)
    >>> kl(DiagonalGaussian([0.0, 1.0], [0.0, 0.0]), DiagonalGaussian([0.0, 0.0], [0.0, 0.0]))
    0.5
    """
    raise _unknown(p)


def _unknown(p):
    return ConfigurationError(f"p is a {type(p).__name__}; expected a Discrete, Grid, DiagonalGaussian or "
                              "FullGaussian of scratchvae.probability.distributions. Wrap the arrays in one of them.")


@entropy.register(Discrete)
@entropy.register(Grid)
def _(p):
    return cross_entropy(p, p)


# ---- finitely many outcomes ----

@cross_entropy.register
def _(p: Discrete, q):
    require_same_kind(p, q)
    return expectation(p, -q.log_p)


def expectation(p: Any, values: Any) -> float:
    """Return E_p values for a Discrete p and a number for each outcome; outcomes of probability 0 contribute 0.

    Raises ConfigurationError or ShapeError if p is no Discrete, or the values are not one for each of its outcomes.

    Examples
    --------
    >>> expectation(Discrete([0.5, 0.5, 0.0]), [1.0, 2.0, np.inf])
    1.5
    """
    if not isinstance(p, Discrete):
        raise _unknown(p)
    probability, values = np.exp(p.log_p), as_numbers(values, "values")
    if values.shape != p.log_p.shape:
        raise ShapeError(f"values has shape {values.shape}; expected {p.log_p.shape}, a number for each outcome of p. "
                         "Pass one array of that shape.")
    return float(np.sum(probability * np.where(probability > 0, values, 0.0)))


@kl.register
def _(p: Discrete, q):
    require_same_kind(p, q)
    probability = np.exp(p.log_p)
    possible = probability > 0
    d = np.where(possible, q.log_p, 0.0) - np.where(possible, p.log_p, -np.inf)
    # p expm1_minus_x(d) = q - p - p d, which is q where p is 0 or vanishes beside it
    terms = np.where(d < LARGEST_LOGVAR, probability * expm1_minus_x(np.minimum(d, LARGEST_LOGVAR)), np.exp(q.log_p))
    return float(terms.sum())


# ---- densities on a grid: the sizes of the cells cancel in a ratio, and only there ----

@cross_entropy.register
def _(p: Grid, q):
    require_same_kind(p, q)
    return expectation(p.masses, -q.log_density)


@kl.register
def _(p: Grid, q):
    require_same_kind(p, q)
    return kl(p.masses, q.masses)


def jensen_shannon(p: Any, q: Any) -> float:
    """Return 1/2 KL(p || m) + 1/2 KL(q || m) with m = (p + q) / 2, in nats: symmetric, from 0 to log 2.

    p and q are two Discrete, or two Grid with the same axes.

    Raises ConfigurationError or ShapeError for different kinds or outcomes, and for Gaussians: their average is not
    Gaussian and has no closed form.

    Examples
    --------
    >>> round(jensen_shannon(Discrete([1.0, 0.0]), Discrete([0.0, 1.0])), 6)
    0.693147
    """
    require_same_kind(p, q)
    if isinstance(p, Grid):
        p, q = p.masses, q.masses
    if not isinstance(p, Discrete):
        raise ConfigurationError(f"p and q are of kind {type(p).__name__}; their average is not, and has no closed "
                                 "form. Use jensen_shannon_from_samples, or put both on a Grid.")
    m = Discrete.from_log(np.logaddexp(p.log_p, q.log_p) - math.log(2))
    return 0.5 * (kl(p, m) + kl(q, m))


# ---- Gaussians: in coordinates where q is standard normal, T6 is the whole formula ----

@entropy.register
def _(p: DiagonalGaussian):
    return _number(0.5 * (p.logvar + LOG_2PI + 1).sum(axis=-1))


@cross_entropy.register
def _(p: DiagonalGaussian, q):
    with np.errstate(over="ignore"):                               # beyond the largest float64 it is inf
        mu, logvar = _standardize(p, q)
        return _number(0.5 * (np.square(mu) + np.exp(logvar) + q.logvar + LOG_2PI).sum(axis=-1))


@kl.register
def _(p: DiagonalGaussian, q):
    with np.errstate(over="ignore"):
        return _number(kl_terms(*_standardize(p, q)).sum(axis=-1))


def _standardize(p, q):
    """Mean and log variance of p after the map that makes q standard normal."""
    require_same_kind(p, q)
    return (p.mu - q.mu) * np.exp(-0.5 * q.logvar), p.logvar - q.logvar


def _number(values):
    return float(values) if values.ndim == 0 else values


@entropy.register
def _(p: FullGaussian):
    return float(np.log(np.diag(p.cholesky)).sum() + 0.5 * len(p.mean) * (LOG_2PI + 1))


@cross_entropy.register
def _(p: FullGaussian, q):
    mean, factor = _whiten(p, q)
    return float(0.5 * (mean @ mean + np.square(factor).sum() + len(mean) * LOG_2PI)
                 + np.log(np.diag(q.cholesky)).sum())


@kl.register
def _(p: FullGaussian, q):
    # 1/2 [m^T m + tr A A^T - Z - log det A A^T], A lower triangular: its diagonal as in T6, the rest squared
    mean, factor = _whiten(p, q)
    return float(kl_terms(mean, 2 * np.log(np.diag(factor))).sum() + 0.5 * np.square(np.tril(factor, -1)).sum())


def _whiten(p, q):
    """Mean and Cholesky factor of p after the map that makes q standard normal."""
    require_same_kind(p, q)
    return np.linalg.solve(q.cholesky, p.mean - q.mean), np.tril(np.linalg.solve(q.cholesky, p.cholesky))
