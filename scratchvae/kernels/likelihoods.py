"""Negative log-likelihoods of a row of pixels, and their gradients, in one pass over the decoder's outputs.

Row r of the outputs belongs to example r // K, where K is len(outputs) // len(x): the data are not copied
K times.  nll is float64 whatever the outputs are: sums over pixels must not lose what training gains.
"""
import math

import numpy as np

from .hints import widest_vectors
from .twins import inlined, prange, twin_of
from .vectormath import exp, log1p_unit

# So many Bernoulli terms of a row are added in the arrays' own dtype, then the sum goes on in float64:
# float64 all along would halve the vectors.  With pixels in [0, 1] no term is negative, so that the
# relative error of nll in float32 is at most 2^-24 times 4 (of a term) + 36 (of a block's sum in vectors
# of 4, fewer in wider ones).
BLOCK = 128


def example_rows(x, outputs):
    """The example (row of x) of every row of the outputs; for twins."""
    return np.repeat(x, len(outputs) // len(x), axis=0)


@inlined
def bernoulli_terms(logit, pixel):
    """softplus(logit) - pixel logit, and its derivative sigmoid(logit) - pixel, from one exponential.

    The first is |logit| (1 - pixel or pixel) + log(1 + exp(-|logit|)): nothing cancels, nothing overflows.
    """
    zero, one = type(logit)(0), type(logit)(1)
    e = exp(-abs(logit))
    positive = logit > zero
    nll = abs(logit) * (one - pixel if positive else pixel) + log1p_unit(e)
    return nll, (one if positive else e) / (one + e) - pixel


def bernoulli_nll_ref(logits, x, nll):
    """nll (B*K,) = sum_d softplus(logit) - x logit, in nats per row.                      (E4)"""
    nll[:] = np.sum(np.maximum(logits, 0) - example_rows(x, logits) * logits + np.log1p(np.exp(-np.abs(logits))),
                    axis=1, dtype=np.float64)


@twin_of(bernoulli_nll_ref, parallel=True)
def bernoulli_nll(logits, x, nll):
    n_samples = len(logits) // len(x)
    for r in prange(len(logits)):
        widest_vectors()
        b = r // n_samples
        total = 0.0
        for start in range(0, logits.shape[1], BLOCK):
            part = logits.dtype.type(0)
            for d in range(start, min(logits.shape[1], start + BLOCK)):
                i = np.uint64(d)
                part += bernoulli_terms(logits[r, i], x[b, i])[0]
            total += part
        nll[r] = total


def bernoulli_nll_backward_ref(logits, x, d_nll, nll, d_logits):
    """nll as above and d_logits (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d softplus(logit) - x logit, so
        d_logit = d_nll (sigmoid(logit) - x)                                               (E5)
    """
    bernoulli_nll_ref(logits, x, nll)
    d_logits[:] = d_nll[:, None] * (0.5 * (1 + np.tanh(0.5 * logits)) - example_rows(x, logits))


@twin_of(bernoulli_nll_backward_ref, parallel=True)
def bernoulli_nll_backward(logits, x, d_nll, nll, d_logits):
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
                term, slope = bernoulli_terms(logits[r, i], x[b, i])
                part += term
                d_logits[r, i] = weight * slope
            total += part
        nll[r] = total


def gaussian_nll_ref(means, x, sigma, nll):
    """nll (B*K,) = sum_d (x - mean)^2 / (2 sigma^2) + log(sigma) + log(2 pi) / 2, in nats per row.   (E8)"""
    squares = np.sum(np.square(means - example_rows(x, means)), axis=1, dtype=np.float64)
    nll[:] = squares / (2 * sigma * sigma) + means.shape[1] * (np.log(sigma) + 0.5 * np.log(2 * np.pi))


@twin_of(gaussian_nll_ref, parallel=True)
def gaussian_nll(means, x, sigma, nll):
    n_samples = len(means) // len(x)
    constant = means.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    for r in prange(len(means)):
        b = r // n_samples
        squares = 0.0
        for d in range(means.shape[1]):
            residual = means[r, d] - x[b, d]
            squares += residual * residual
        nll[r] = squares / (2 * sigma * sigma) + constant


def gaussian_nll_backward_ref(means, x, sigma, d_nll, nll, d_means):
    """nll as above and d_means (B*K, D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = sum_d (x - mean)^2 / (2 sigma^2) + const, so
        d_mean = d_nll (mean - x) / sigma^2                                                (E9)
    """
    gaussian_nll_ref(means, x, sigma, nll)
    d_means[:] = (d_nll[:, None] / (sigma * sigma)) * (means - example_rows(x, means))


@twin_of(gaussian_nll_backward_ref, parallel=True)
def gaussian_nll_backward(means, x, sigma, d_nll, nll, d_means):
    n_samples = len(means) // len(x)
    constant = means.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    for r in prange(len(means)):
        b = r // n_samples
        weight = means.dtype.type(d_nll[r] / (sigma * sigma))
        squares = 0.0
        for d in range(means.shape[1]):
            residual = means[r, d] - x[b, d]
            squares += residual * residual
            d_means[r, d] = weight * residual
        nll[r] = squares / (2 * sigma * sigma) + constant
