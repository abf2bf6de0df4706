"""One dense layer, y = act(x W + b): forward and backward, fused with the matrix products that they need.

`gradcheck` runs the compiled lines, as it does in `gaussian`.
"""
import numpy as np

from .activations import IDENTITY, RELU, SIGMOID, SOFTPLUS, TANH
from .matmul import multiply, shares_for
from .twins import device, in_parallel, twin_of, within
from .vectormath import expm1

BLOCK_ROWS = 16                 # rows of cotangents added up at a time (more if the batch is far larger than n_in)
SERIAL_SIZE = 1 << 14           # number of cotangents up to which one thread is faster than two


def activate_ref(a, activation):
    """act(a), elementwise; the code is one of IDENTITY, RELU, TANH, SIGMOID, SOFTPLUS."""
    if activation == RELU:
        return np.maximum(a, 0)
    if activation == TANH:
        return np.tanh(a)
    if activation == SIGMOID:
        return 0.5 * (1 + np.tanh(0.5 * a))
    if activation == SOFTPLUS:
        return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
    return a


def slope_ref(y, activation):
    """act'(a) written in the output y = act(a), which is all that a dense layer remembers."""
    if activation == RELU:
        return y > 0
    if activation == TANH:
        return 1 - y * y
    if activation == SIGMOID:
        return y * (1 - y)
    if activation == SOFTPLUS:
        return -np.expm1(-y)
    return np.ones_like(y)


@device(separate=True)
def _d_a(y, d_y, activation, rows, sums, part):
    """D2 and D4 for blocks of `rows` rows: d_y times the slope of slope_ref, and the column sums of each block."""
    zero, one, columns = d_y.dtype.type(0), d_y.dtype.type(1), np.uint64(d_y.shape[1])
    for block in within(part, (len(y) + rows - 1) // rows):
        d_b = sums[block]
        for j in range(columns):
            d_b[j] = zero
        for i in range(np.uint64(block * rows), np.uint64(min(len(y), (block + 1) * rows))):
            if activation == RELU:
                for j in range(columns):
                    d_y[i, j] = d_y[i, j] if y[i, j] > zero else zero * d_y[i, j]      # a NaN stays
            elif activation == TANH:
                for j in range(columns):
                    d_y[i, j] *= one - y[i, j] * y[i, j]
            elif activation == SIGMOID:
                for j in range(columns):
                    d_y[i, j] *= y[i, j] * (one - y[i, j])
            elif activation == SOFTPLUS:
                for j in range(columns):
                    d_y[i, j] *= -expm1(-y[i, j])
            for j in range(columns):
                d_b[j] += d_y[i, j]


@device()
def _add_up(sums, blocks, d_b):
    """D4 from the sums of each block, always in the same order; not as arrays: Numba would wake the threads again."""
    for j in range(np.uint64(len(d_b))):
        d_b[j] = 0
    for block in range(np.uint64(blocks)):
        for j in range(np.uint64(len(d_b))):
            d_b[j] += sums[block, j]


@device(separate=True)
def _forward(x, W, b, activation, y, part):
    multiply(False, False, x, W, y, b, True, activation, part)


def dense_forward_ref(x, W, b, activation, y):
    """y = act(x W + b), with x (B, n_in), W (n_in, n_out), b (n_out,), y (B, n_out).      (D1)

    The kernel is within 12 ulp.
    """
    y[:] = activate_ref(x @ W + b, activation)


@twin_of(dense_forward_ref)
def dense_forward(x, W, b, activation, y):
    # x (B, n_in), W (n_in, n_out), b (n_out,), y (B, n_out)                               (D1)
    in_parallel(_forward, shares_for(2 * W.size * len(x)), (x, W, b, activation, y))


@device(separate=True)
def _d_W_and_d_x(x, W, d_y, d_W, d_b, d_x, part):
    multiply(True, False, x, d_y, d_W, d_b, False, IDENTITY, part)                         # (D3)
    multiply(False, True, d_y[:len(d_x)], W, d_x, d_b, False, IDENTITY, part)              # (D5)


def dense_backward_ref(x, W, y, d_y, activation, d_W, d_b, d_x):
    """d_W, d_b and d_x of the forward above; d_y is consumed: it becomes d_a.

    d_x (B, n_in) may have no rows instead: the first layer's input is data, whose gradient nobody wants.

    forward was y = act(a) with a = x W + b, so
        d_a = d_y * act'(a)                                                                (D2)
        d_W = x^T d_a                                                                      (D3)
        d_b = sum over rows of d_a                                                         (D4)
        d_x = d_a W^T                                                                      (D5)
    The kernel is within 10 ulp.
    """
    d_y *= slope_ref(y, activation)
    d_W[:] = x.T @ d_y
    d_b[:] = d_y.sum(axis=0)
    d_x[:] = d_y[:len(d_x)] @ W.T


@twin_of(dense_backward_ref)
def dense_backward(x, W, y, d_y, activation, d_W, d_b, d_x):
    # x and d_x (B, n_in), W and d_W (n_in, n_out), y and d_y (B, n_out), d_b (n_out,)
    shares = shares_for(4 * W.size * len(x))
    # A thread takes whole blocks of rows: two that wrote to one row would take each other's cache lines away.
    # The sums of each block wait in a row of d_W until all blocks are done.
    batch, n_in = len(y), len(W)
    rows = max(BLOCK_ROWS, (batch + n_in - 1) // n_in)
    in_parallel(_d_a, 1 if d_y.size <= SERIAL_SIZE else shares, (y, d_y, activation, rows, d_W))
    _add_up(d_W, (batch + rows - 1) // rows, d_b)
    in_parallel(_d_W_and_d_x, shares, (x, W, d_y, d_W, d_b, d_x))
