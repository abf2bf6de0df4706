"""Means over draws with standard errors, and divergences estimated from log densities at draws (T1, T2)."""
import math
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_numbers
from ..errors import DataError, ShapeError
from ..validation import one_of
from .divergences import expm1_minus_x


class Estimate(NamedTuple):
    """A mean of n draws and its standard error (NaN for a single draw)."""

    value: float
    stderr: float
    n: int


def mean_estimate(values: Any) -> Estimate:
    """Return the mean of values (n,) with its standard error.

    For -log p at draws from p it estimates the entropy of p, for -log q the cross entropy.  An infinite value makes
    both numbers infinite.  Raises ShapeError or DataError if values is not one array of numbers, or has NaN or -inf.

    Examples
    --------
    >>> mean_estimate([1.0, 2.0, 3.0]).value
    2.0
    """
    values = -_log_values("-values", -as_numbers(values, "values"))
    n = len(values)
    if np.isinf(values).any():
        return Estimate(math.inf, math.inf, n)
    stderr = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(values.mean()), stderr, n)


def _log_values(name, values, like=None):
    """Log densities (n,): finite, or -inf where the density is 0."""
    values = as_numbers(values, name, ndim=(1,))
    if like is not None and values.shape != like[1].shape:
        raise ShapeError(f"{name} has shape {values.shape} and {like[0]} {like[1].shape}; expected the same, one "
                         "number a draw. Evaluate both log densities at the same draws.")
    if np.isnan(values).any() or np.isposinf(values).any():
        raise DataError(f"{name} has NaN or an infinity of the wrong sign; expected finite log densities, or -inf for "
                        "0. Look at how they are computed.")
    return values


def _own(name, values):
    """Log densities at a distribution's own draws."""
    values = _log_values(name, values)
    if np.isinf(values).any():
        raise DataError(f"{name} is -inf at a draw of its own distribution, which cannot happen. Pass log densities "
                        "at draws from p as log_p and log_q.")
    return values


def kl_from_samples(log_p: Any, log_q: Any, *, estimator: Any = "plain") -> Estimate:
    """Estimate KL(p || q) from draws of p, with a standard error (T1).

    Raises ConfigurationError, ShapeError or DataError for an unknown estimator, arrays that do not fit, or values that
    cannot be log densities.

    Parameters
    ----------
    log_p, log_q : array_like (n,)
        Log densities, in nats, at n independent draws from p.
    estimator : str
        "plain": the mean of log p - log q, infinite if a draw has q = 0.  "positive": the mean of (r - 1) - log r
        with r = q / p.  It is never negative, and also unbiased if p > 0 wherever q > 0, because then E_p r = 1.
        Where p and q are close it is far less noisy; where they are far apart r has heavy tails, and "plain" is better.

    Examples
    --------
    >>> from scratchvae.probability.distributions import DiagonalGaussian
    >>> p, q = DiagonalGaussian([0.0], [0.0]), DiagonalGaussian([0.1], [0.0])
    >>> x = p.sample(1000, np.random.default_rng(0))
    >>> plain, positive = (kl_from_samples(p.log_density(x), q.log_density(x), estimator=e)
    ...                    for e in ("plain", "positive"))
    >>> positive.stderr < plain.stderr / 5, positive.value > 0
    (True, True)
    """
    log_p = _own("log_p", log_p)
    d = _log_values("log_q", log_q, like=("log_p", log_p)) - log_p
    if one_of("estimator", estimator, ("plain", "positive")) == "plain":
        return mean_estimate(-d)
    with np.errstate(over="ignore"):                               # beyond the largest float64 it is inf
        return mean_estimate(expm1_minus_x(d))


def jensen_shannon_from_samples(log_p: Any, log_q: Any, log_p_at_q: Any, log_q_at_q: Any) -> Estimate:
    """Estimate the Jensen-Shannon divergence from draws of both, with a standard error.

    log_p and log_q (n,) are log densities at n independent draws from p, the others (m,) at m draws from q.  Draw these
    with another seed: the standard error takes both for independent.  Raises what `kl_from_samples` does.

    Examples
    --------
    >>> jensen_shannon_from_samples([0.0, 0.0], [0.0, 0.0], [0.0], [0.0]).value
    0.0
    """
    halves = []
    for name, own, other_name, other in (("log_p", log_p, "log_q", log_q),
                                         ("log_q_at_q", log_q_at_q, "log_p_at_q", log_p_at_q)):
        own = _own(name, own)
        d = _log_values(other_name, other, like=(name, own)) - own
        halves.append(mean_estimate(math.log(2) - np.logaddexp(0.0, d)))             # log(p / m)
    first, second = halves
    return Estimate(0.5 * (first.value + second.value), 0.5 * math.hypot(first.stderr, second.stderr),
                    first.n + second.n)
