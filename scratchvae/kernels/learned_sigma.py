"""Gaussian pixels whose sigma is learned: a sigma for every pixel, and the squared errors that one sigma is set by.

As in `likelihoods`, row r of the outputs belongs to example r // K, and sums over pixels end in float64.
"""
import math

import numpy as np

from .likelihoods import BLOCK, example_rows
from .twins import device, prange, twin_of
from .vectormath import exp, log1p_unit, sigmoid, softplus

MIN_LOGVAR = -12.0                 # sigma stays above exp(-6) = 0.0025: of 8-bit pixels in [0, 1], 0.6 of a grey level
MAX_PRECISION = math.exp(-MIN_LOGVAR)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


# Without "contract": which products are fused with a sum depends on what else a kernel uses them for, and the kernel
# of the loss alone would differ from that of loss and gradient in the last bits.
@device(frozenset(), forceinline=True)
def diagonal_terms(mean, raw, pixel):
    """The nll of a pixel without log(2 pi) / 2, and its derivatives by mean and by raw, from one exponential.

    With q = raw - MIN_LOGVAR the precision exp(-logvar) is MAX_PRECISION / (1 + exp(q)): nothing overflows.
    """
    zero, one, half, lowest = type(raw)(0), type(raw)(1), type(raw)(0.5), type(raw)(MIN_LOGVAR)
    q = raw - lowest
    e = exp(-abs(q))
    large = q > zero
    share = one / (one + e)
    rising, falling = (one if large else e) * share, (e if large else one) * share       # sigmoid(q), sigmoid(-q)
    logvar = lowest + (q if large else zero) + log1p_unit(e)
    residual = mean - pixel
    scaled = residual * (type(raw)(MAX_PRECISION) * falling)
    nll = half * (residual * scaled + logvar)
    return nll, scaled, half * (one - residual * scaled) * rising


def diagonal_nll_ref(outputs, x, nll):
    """nll (B*K,) in nats per row, of outputs (B*K, 2D) = [mean | raw] and x (B, D).

    logvar = MIN_LOGVAR + softplus(raw - MIN_LOGVAR)                                       (L6)
    nll = 1/2 sum_d (x - mean)^2 exp(-logvar) + logvar + log(2 pi)                         (L7)
    """
    n_visible = x.shape[1]
    mean, raw = outputs[:, :n_visible], outputs[:, n_visible:]
    logvar = MIN_LOGVAR + softplus(raw - MIN_LOGVAR)
    squares = np.square(example_rows(x, outputs) - mean)
    nll[:] = 0.5 * np.sum(squares * np.exp(-logvar) + logvar, axis=1, dtype=np.float64) + n_visible * HALF_LOG_2PI


@twin_of(diagonal_nll_ref, parallel=True)
def diagonal_nll(outputs, x, nll):
    n_samples, n_visible = len(outputs) // len(x), x.shape[1]
    for r in prange(len(outputs)):
        b = r // n_samples
        mean, raw = outputs[r, :n_visible], outputs[r, n_visible:]
        total = 0.0
        for start in range(0, n_visible, BLOCK):
            part = outputs.dtype.type(0)
            for d in range(start, min(n_visible, start + BLOCK)):
                i = np.uint64(d)
                part += diagonal_terms(mean[i], raw[i], x[b, i])[0]
            total += part
        nll[r] = total + n_visible * HALF_LOG_2PI


def diagonal_nll_backward_ref(outputs, x, d_nll, nll, d_outputs):
    """nll as above and d_outputs (B*K, 2D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = 1/2 sum_d (x - mean)^2 exp(-logvar) + logvar + const, logvar = softplus(raw - lowest) + lowest, so
        d_mean   = d_nll (mean - x) exp(-logvar)                                           (L8)
        d_logvar = d_nll (1 - (x - mean)^2 exp(-logvar)) / 2                               (L9)
        d_raw    = d_logvar sigmoid(raw - lowest)                                          (L10)
    """
    diagonal_nll_ref(outputs, x, nll)
    n_visible = x.shape[1]
    mean, q = outputs[:, :n_visible], outputs[:, n_visible:] - MIN_LOGVAR
    residual, precision = mean - example_rows(x, outputs), MAX_PRECISION * sigmoid(-q)            # exp(-logvar)
    d_outputs[:, :n_visible] = d_nll[:, None] * residual * precision
    d_outputs[:, n_visible:] = 0.5 * d_nll[:, None] * (1 - np.square(residual) * precision) * sigmoid(q)


@twin_of(diagonal_nll_backward_ref, parallel=True)
def diagonal_nll_backward(outputs, x, d_nll, nll, d_outputs):
    n_samples, n_visible = len(outputs) // len(x), x.shape[1]
    for r in prange(len(outputs)):
        b = r // n_samples
        mean, raw = outputs[r, :n_visible], outputs[r, n_visible:]
        d_mean, d_raw = d_outputs[r, :n_visible], d_outputs[r, n_visible:]
        weight = outputs.dtype.type(d_nll[r])
        total = 0.0
        for start in range(0, n_visible, BLOCK):
            part = outputs.dtype.type(0)
            for d in range(start, min(n_visible, start + BLOCK)):
                i = np.uint64(d)
                term, by_mean, by_raw = diagonal_terms(mean[i], raw[i], x[b, i])
                part += term
                d_mean[i] = weight * by_mean
                d_raw[i] = weight * by_raw
            total += part
        nll[r] = total + n_visible * HALF_LOG_2PI


def squared_errors_ref(means, x, squares):
    """squares (B*K,) float64 = sum_d (x - mean)^2 of each row.                            (L4)"""
    squares[:] = np.sum(np.square(means - example_rows(x, means)), axis=1, dtype=np.float64)


@twin_of(squared_errors_ref, parallel=True)
def squared_errors(means, x, squares):
    n_samples = len(means) // len(x)
    for r in prange(len(means)):
        b = r // n_samples
        total = 0.0
        for d in range(means.shape[1]):
            residual = means[r, d] - x[b, d]
            total += residual * residual
        squares[r] = total
