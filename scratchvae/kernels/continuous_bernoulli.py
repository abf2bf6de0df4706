"""Grey pixels with a density on [0, 1]: the continuous Bernoulli, stable where its logit is near 0 and where it is far.

As in `likelihoods`, row r of the outputs belongs to example r // K, and sums over pixels end in float64.
"""
import numpy as np

from .hints import widest_vectors
from .likelihoods import BLOCK, example_rows
from .twins import inlined, prange, twin_of
from .vectormath import exp, log

NEAR = 2.0            # up to this |logit| a series, of which 8 terms leave out less than 2^-52


def at_minus(t):
    """A(-t) and A'(-t), the mean pixel, for t >= 0 of any shape: all that is needed, as A(t) = t + A(-t).

    A(-t)  = log((1 - exp(-t)) / t)        = log(1 + u) - t / 2                            (L1, L3)
    A'(-t) = 1 / t - exp(-t) / (1 - exp(-t))  = 1/2 - t / 2 u'(w) / (1 + u)                (L2, L3)
    """
    y = 0.5 * np.minimum(t, NEAR)
    w, u, du, term = y * y, 0.0, 0.0, 1.0
    for n in range(1, 9):
        term = term / (2 * n * (2 * n + 1))                 # w^(n - 1) / (2n + 1)!
        du = du + n * term
        term = term * w
        u = u + term
    far = np.maximum(t, NEAR)
    e = np.exp(-far)
    return (np.where(t <= NEAR, np.log1p(u) - y, np.log((1 - e) / far)),
            np.where(t <= NEAR, 0.5 - y * du / (1 + u), 1 / far - e / (1 - e)))


@inlined
def continuous_terms(logit, pixel):
    """A(logit) - pixel logit, and its derivative A'(logit) - pixel, from one exponential and one logarithm."""
    f = type(logit)
    zero, one, half, boundary = f(0), f(1), f(0.5), f(NEAR)
    t = abs(logit)
    near, positive = t <= boundary, logit > zero
    y = half * t
    w = y * y if near else one
    u = w * f(1 / 6) * (one + w * f(1 / 20) * (one + w * f(1 / 42) * (one + w * f(1 / 72) * (
        one + w * f(1 / 110) * (one + w * f(1 / 156) * (one + w * f(1 / 210) * (one + w * f(1 / 272))))))))
    du = f(1 / 6) * (one + w * f(1 / 10) * (one + w * f(1 / 28) * (one + w * f(1 / 54) * (
        one + w * f(1 / 88) * (one + w * f(1 / 130) * (one + w * f(1 / 180) * (one + w * f(1 / 238))))))))
    e = exp(-t)
    inverse = one / (boundary if near else t)
    ratio = one + u if near else (one - e) * inverse
    value = log(ratio) - (y if near else zero)
    mean = half - y * du / (one + u) if near else inverse - e / (one - e)
    return (t * (one - pixel if positive else pixel) + value,
            (one - pixel) - mean if positive else mean - pixel)


def continuous_bernoulli_nll_ref(logits, x, nll):
    """nll (B*K,) = sum_d A(logit) - x logit, A(a) = log((exp(a) - 1) / a), in nats per row.  (L1)"""
    t, x = np.abs(logits), example_rows(x, logits)
    nll[:] = np.sum(t * np.where(logits > 0, 1 - x, x) + at_minus(t)[0], axis=1, dtype=np.float64)


@twin_of(continuous_bernoulli_nll_ref, parallel=True)
def continuous_bernoulli_nll(logits, x, nll):
    n_samples = len(logits) // len(x)
    for r in prange(len(logits)):
        widest_vectors()
        b = r // n_samples
        total = 0.0
        for start in range(0, logits.shape[1], BLOCK):
            part = logits.dtype.type(0)
            for d in range(start, min(logits.shape[1], start + BLOCK)):
                i = np.uint64(d)
                part += continuous_terms(logits[r, i], x[b, i])[0]
            total += part
        nll[r] = total


def continuous_bernoulli_nll_backward_ref(logits, x, d_nll, nll, d_logits):
    """nll as above and d_logits (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d A(logit) - x logit, so
        d_logit = d_nll (A'(logit) - x),  A'(logit) = 1 - A'(-logit)                       (L2)
    """
    continuous_bernoulli_nll_ref(logits, x, nll)
    mean, x = at_minus(np.abs(logits))[1], example_rows(x, logits)
    d_logits[:] = d_nll[:, None] * np.where(logits > 0, (1 - x) - mean, mean - x)


@twin_of(continuous_bernoulli_nll_backward_ref, parallel=True)
def continuous_bernoulli_nll_backward(logits, x, d_nll, nll, d_logits):
    n_samples = len(logits) // len(x)
    for r in prange(len(logits)):
        widest_vectors()
        b = r // n_samples
        weight = logits.dtype.type(d_nll[r])
        total = 0.0
        for start in range(0, logits.shape[1], BLOCK):
            part = logits.dtype.type(0)
            for d in range(start, min(logits.shape[1], start + BLOCK)):
                i = np.uint64(d)
                term, slope = continuous_terms(logits[r, i], x[b, i])
                part += term
                d_logits[r, i] = weight * slope
            total += part
        nll[r] = total
