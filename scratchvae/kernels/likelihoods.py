"""Negative log-likelihoods of a row of pixels, and their gradients, in one pass over the decoder's outputs.

Row r of the outputs belongs to example r // K, where K is len(outputs) // len(x): the data are not copied
K times.  nll is float64 whatever the outputs are: sums over pixels must not lose what training gains.

`gradcheck` runs the compiled lines, as it does in `gaussian`.
"""
import math

import numpy as np

from .rows import EXACT, row_loop
from .twins import device, twin_of, WHOLE, within
from .vectormath import exp, log1p_unit


def example_rows(x, outputs):
    """The example (row of x) of every row of the outputs; for twins."""
    return np.repeat(x, len(outputs) // len(x), axis=0)


@device(EXACT, forceinline=True)
def bernoulli_terms(logits, i, pixel):
    """softplus(logit) - pixel logit (E4), and its derivative sigmoid(logit) - pixel (E5), from one exponential.

    The first is |logit| (1 - pixel or pixel) + log(1 + exp(-|logit|)): nothing cancels, nothing overflows.
    """
    logit = logits[i]
    zero, one = type(logit)(0), type(logit)(1)
    e = exp(-abs(logit))
    positive = logit > zero
    nll = abs(logit) * (one - pixel if positive else pixel) + log1p_unit(e)
    return nll, (one if positive else e) / (one + e) - pixel


bernoulli_row = row_loop(bernoulli_terms)


def bernoulli_nll_ref(logits, x, nll):
    """nll (B*K,) = sum_d [softplus(logit) - x logit], in nats per row.                    (E4)

    The kernel is within 5 ulp.
    """
    nll[:] = np.sum(np.maximum(logits, 0) - example_rows(x, logits) * logits + np.log1p(np.exp(-np.abs(logits))),
                    axis=1, dtype=np.float64)


@twin_of(bernoulli_nll_ref, fastmath=EXACT)
def bernoulli_nll(logits, x, nll, part=WHOLE):
    # logits (B*K, D), x (B, D), nll (B*K,)
    for r in within(part, len(logits)):
        nll[r] = bernoulli_row(logits, x, r, 0.0, logits, False)


def bernoulli_nll_backward_ref(logits, x, d_nll, nll, d_logits):
    """nll as above and d_logits (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d [softplus(logit) - x logit], so
        d_logit = d_nll (sigmoid(logit) - x)                                               (E5)
    The kernel is within 5 ulp.
    """
    bernoulli_nll_ref(logits, x, nll)
    d_logits[:] = d_nll[:, None] * (0.5 * (1 + np.tanh(0.5 * logits)) - example_rows(x, logits))


@twin_of(bernoulli_nll_backward_ref, fastmath=EXACT)
def bernoulli_nll_backward(logits, x, d_nll, nll, d_logits, part=WHOLE):
    # logits and d_logits (B*K, D), x (B, D), d_nll and nll (B*K,)
    for r in within(part, len(logits)):
        nll[r] = bernoulli_row(logits, x, r, d_nll[r], d_logits, True)


@device(EXACT, forceinline=True)
def square_terms(means, i, pixel):
    """(mean - pixel)^2 of E8, and half its derivative, of E9."""
    residual = means[i] - pixel
    return residual * residual, residual


row_of_squares = row_loop(square_terms)


def gaussian_nll_ref(means, x, sigma, nll):
    """nll (B*K,) = sum_d [(x - mean)^2 / (2 sigma^2) + log(sigma) + log(2 pi) / 2], in nats per row. (E8)

    The kernel is within 5 ulp.
    """
    squares = np.sum(np.square(means - example_rows(x, means)), axis=1, dtype=np.float64)
    nll[:] = squares / (2 * sigma * sigma) + means.shape[1] * (np.log(sigma) + 0.5 * np.log(2 * np.pi))


@twin_of(gaussian_nll_ref, fastmath=EXACT)
def gaussian_nll(means, x, sigma, nll, part=WHOLE):
    # means (B*K, D), x (B, D), sigma a number, nll (B*K,)
    constant = means.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    for r in within(part, len(means)):
        nll[r] = row_of_squares(means, x, r, 0.0, means, False) / (2 * sigma * sigma) + constant


def gaussian_nll_backward_ref(means, x, sigma, d_nll, nll, d_means):
    """nll as above and d_means (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d (x - mean)^2 / (2 sigma^2) + const, so
        d_mean = d_nll (mean - x) / sigma^2                                                (E9)
    The kernel is within 5 ulp.
    """
    gaussian_nll_ref(means, x, sigma, nll)
    d_means[:] = (d_nll[:, None] / (sigma * sigma)) * (means - example_rows(x, means))


@twin_of(gaussian_nll_backward_ref, fastmath=EXACT)
def gaussian_nll_backward(means, x, sigma, d_nll, nll, d_means, part=WHOLE):
    # means and d_means (B*K, D), x (B, D), sigma a number, d_nll and nll (B*K,)
    constant = means.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    for r in within(part, len(means)):
        squares = row_of_squares(means, x, r, d_nll[r] / (sigma * sigma), d_means, True)
        nll[r] = squares / (2 * sigma * sigma) + constant
