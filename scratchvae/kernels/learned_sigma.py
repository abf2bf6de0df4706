"""Gaussian pixels whose sigma is learned: a sigma for every pixel, and the squared errors that one sigma is set by.

As in `likelihoods`, row r of the outputs belongs to example r // K, and sums over pixels end in float64.
"""
import math

import numpy as np

from .likelihoods import example_rows, row_of_squares
from .rows import EXACT, row_loop
from .twins import device, twin_of, WHOLE, within
from .vectormath import exp, log1p_unit, sigmoid, softplus

MIN_LOGVAR = -12.0                 # least log sigma^2: sigma is 0.0025, 0.6 of a gray level of 8-bit pixels in [0, 1]
MAX_PRECISION = math.exp(-MIN_LOGVAR)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@device(EXACT, forceinline=True)
def diagonal_terms(outputs, i, pixel):
    """The nll of a pixel without log(2 pi) / 2 (L6, L7), and its derivatives by mean (L8) and raw (L9, L10).

    With q = raw - MIN_LOGVAR the precision exp(-logvar) is MAX_PRECISION / (1 + exp(q)): nothing overflows.  exp(q) is
    exp(raw) MAX_PRECISION here: what rounds q off by an ulp changes exp(q) by q of them.
    """
    mean, raw = outputs[i], outputs[i + np.uint64(len(outputs) // 2)]
    zero, one, half, lowest = type(raw)(0), type(raw)(1), type(raw)(0.5), type(raw)(MIN_LOGVAR)
    q = raw - lowest
    large = q > zero
    e = exp(-raw if large else raw) * type(raw)(1 / MAX_PRECISION if large else MAX_PRECISION)      # exp(-|q|)
    share = one / (one + e)
    rising, falling = (one if large else e) * share, (e if large else one) * share       # sigmoid(q), sigmoid(-q)
    logvar = lowest + (q if large else zero) + log1p_unit(e)
    residual = mean - pixel
    scaled = residual * (type(raw)(MAX_PRECISION) * falling)
    nll = half * (residual * scaled + logvar)
    return nll, scaled, half * (one - residual * scaled) * rising


diagonal_row = row_loop(diagonal_terms, two=True)


def diagonal_nll_ref(outputs, x, nll):
    """nll (B*K,) in nats per row, of outputs (B*K, 2D) = [mean | raw] and x (B, D).

    logvar = MIN_LOGVAR + softplus(raw - MIN_LOGVAR)                                       (L6)
    nll = 1/2 sum_d [(x - mean)^2 exp(-logvar) + logvar + log(2 pi)]                       (L7)
    The kernel is within 8 ulp.
    """
    n_visible = x.shape[1]
    mean, raw = outputs[:, :n_visible], outputs[:, n_visible:]
    logvar = MIN_LOGVAR + softplus(raw - MIN_LOGVAR)
    squares = np.square(example_rows(x, outputs) - mean)
    nll[:] = 0.5 * np.sum(squares * np.exp(-logvar) + logvar, axis=1, dtype=np.float64) + n_visible * HALF_LOG_2PI


@twin_of(diagonal_nll_ref, fastmath=EXACT)
def diagonal_nll(outputs, x, nll, part=WHOLE):
    # outputs (B*K, 2D), x (B, D), nll (B*K,)
    constant = x.shape[1] * HALF_LOG_2PI
    for r in within(part, len(outputs)):
        nll[r] = diagonal_row(outputs, x, r, 0.0, outputs, False) + constant


def diagonal_nll_backward_ref(outputs, x, d_nll, nll, d_outputs):
    """nll as above and d_outputs (B*K, 2D) at once; d_nll (B*K,) float64 is dL/d(nll) of each row.

    forward was nll = 1/2 sum_d [(x - mean)^2 exp(-logvar) + logvar + const], logvar = lowest + softplus(raw - lowest):
        d_mean   = d_nll (mean - x) exp(-logvar)                                           (L8)
        d_logvar = d_nll (1 - (x - mean)^2 exp(-logvar)) / 2                               (L9)
        d_raw    = d_logvar sigmoid(raw - lowest)                                          (L10)
    The kernel is within 10 ulp.
    """
    diagonal_nll_ref(outputs, x, nll)
    n_visible = x.shape[1]
    mean, q = outputs[:, :n_visible], outputs[:, n_visible:] - MIN_LOGVAR
    residual, precision = mean - example_rows(x, outputs), MAX_PRECISION * sigmoid(-q)            # exp(-logvar)
    d_outputs[:, :n_visible] = d_nll[:, None] * residual * precision
    d_outputs[:, n_visible:] = 0.5 * d_nll[:, None] * (1 - np.square(residual) * precision) * sigmoid(q)


@twin_of(diagonal_nll_backward_ref, fastmath=EXACT)
def diagonal_nll_backward(outputs, x, d_nll, nll, d_outputs, part=WHOLE):
    # outputs and d_outputs (B*K, 2D), x (B, D), d_nll and nll (B*K,)
    constant = x.shape[1] * HALF_LOG_2PI
    for r in within(part, len(outputs)):
        nll[r] = diagonal_row(outputs, x, r, d_nll[r], d_outputs, True) + constant


def squared_errors_ref(means, x, squares):
    """squares (B*K,) float64 = sum_d (x - mean)^2 of each row.                            (L4)

    The kernel is within 5 ulp.
    """
    squares[:] = np.sum(np.square(means - example_rows(x, means)), axis=1, dtype=np.float64)


@twin_of(squared_errors_ref, fastmath=EXACT)
def squared_errors(means, x, squares, part=WHOLE):
    # means (B*K, D), x (B, D), squares (B*K,)                                             (L4)
    for r in within(part, len(means)):
        squares[r] = row_of_squares(means, x, r, 0.0, means, False)
