"""Gray pixels with a density on [0, 1]: the continuous Bernoulli, stable for logits near 0 and far from it.

As in `likelihoods`, row r of the outputs belongs to example r // K, and sums over pixels end in float64.
"""
import math

import numpy as np

from .likelihoods import example_rows
from .rows import EXACT, row_loop
from .twins import device, twin_of, WHOLE, within
from .vectormath import exp, log, polynomial

NEAR = 2.0            # |logit| up to which a series of 8 terms is taken, which leaves out less than 2^-52
U = tuple(1 / math.factorial(2 * n + 1) for n in range(8, 0, -1))          # u / w and du/dw of L3, highest power first
DU = tuple(n / math.factorial(2 * n + 1) for n in range(8, 0, -1))


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


@device(EXACT, forceinline=True)
def continuous_terms(logits, i, pixel):
    """A(logit) - pixel logit (L1), its derivative A'(logit) - pixel (L2), from one exp and one log; near 0 L3."""
    logit = logits[i]
    f = type(logit)
    zero, one, half, boundary = f(0), f(1), f(0.5), f(NEAR)
    t = abs(logit)
    near, positive = t <= boundary, logit > zero
    y = half * t
    w = y * y if near else one
    u, du = w * polynomial(U, w), polynomial(DU, w)
    e = exp(-t)
    inverse = one / (boundary if near else t)
    ratio = one + u if near else (one - e) * inverse
    value = log(ratio) + ((u - (ratio - one)) - y if near else zero)        # what 1 + u has lost, too
    mean = half - y * du / (one + u) if near else inverse - e / (one - e)
    return (t * (one - pixel if positive else pixel) + value,
            (one - pixel) - mean if positive else mean - pixel)


continuous_row = row_loop(continuous_terms)


def continuous_bernoulli_nll_ref(logits, x, nll):
    """nll (B*K,) = sum_d [A(logit) - x logit], A(a) = log((exp(a) - 1) / a), in nats per row.  (L1)

    The kernel is within 8 ulp.
    """
    t, x = np.abs(logits), example_rows(x, logits)
    nll[:] = np.sum(t * np.where(logits > 0, 1 - x, x) + at_minus(t)[0], axis=1, dtype=np.float64)


@twin_of(continuous_bernoulli_nll_ref, fastmath=EXACT)
def continuous_bernoulli_nll(logits, x, nll, part=WHOLE):
    # logits (B*K, D), x (B, D), nll (B*K,)
    for r in within(part, len(logits)):
        nll[r] = continuous_row(logits, x, r, 0.0, logits, False)


def continuous_bernoulli_nll_backward_ref(logits, x, d_nll, nll, d_logits):
    """nll as above and d_logits (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d [A(logit) - x logit], so
        d_logit = d_nll (A'(logit) - x),  A'(logit) = 1 - A'(-logit)                       (L2)
    The kernel is within 8 ulp.
    """
    continuous_bernoulli_nll_ref(logits, x, nll)
    mean, x = at_minus(np.abs(logits))[1], example_rows(x, logits)
    d_logits[:] = d_nll[:, None] * np.where(logits > 0, (1 - x) - mean, mean - x)


@twin_of(continuous_bernoulli_nll_backward_ref, fastmath=EXACT)
def continuous_bernoulli_nll_backward(logits, x, d_nll, nll, d_logits, part=WHOLE):
    # logits and d_logits (B*K, D), x (B, D), d_nll and nll (B*K,)
    for r in within(part, len(logits)):
        nll[r] = continuous_row(logits, x, r, d_nll[r], d_logits, True)
