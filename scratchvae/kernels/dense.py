"""One dense layer, y = act(x W + b): forward and backward, fused with the matrix products that they need."""
import numpy as np

from .hints import widest_vectors
from .matmul import multiply, multiply_transposed, product, shares_for
from .twins import device, prange, twin_of
from .vectormath import expm1, sigmoid, softplus, tanh

IDENTITY, RELU, TANH, SIGMOID, SOFTPLUS = range(5)
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


@device()
def _least(activation):
    """The least output: the product itself applies relu, max(a, 0), while the numbers are in registers."""
    return 0.0 if activation == RELU else -np.inf


@device()
def _activate(y, row, end_row, column, end_column, activation):
    """y = act(y) on a block that a matrix product has just written, for the other activations."""
    widest_vectors()
    if activation == IDENTITY or activation == RELU:
        return
    first, last = np.uint64(column), np.uint64(end_column)
    for i in range(np.uint64(row), np.uint64(end_row)):
        if activation == TANH:
            for j in range(first, last):
                y[i, j] = tanh(y[i, j])
        elif activation == SIGMOID:
            for j in range(first, last):
                y[i, j] = sigmoid(y[i, j])
        elif activation == SOFTPLUS:
            for j in range(first, last):
                y[i, j] = softplus(y[i, j])


multiply_and_activate = product(_least, _activate)


@device()
def _d_a(y, d_y, activation, row, end_row, d_b):
    """D2 and D4 for a block of rows: d_y times the slope of slope_ref, and its column sums."""
    zero, one, columns = d_y.dtype.type(0), d_y.dtype.type(1), np.uint64(len(d_b))
    for j in range(columns):
        d_b[j] = zero
    for i in range(np.uint64(row), np.uint64(end_row)):
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


def dense_forward_ref(x, W, b, activation, y):
    """y = act(x W + b), with x (B, n_in), W (n_in, n_out), b (n_out,), y (B, n_out).      (D1)

    The kernel is within 12 ulp.
    """
    y[:] = activate_ref(x @ W + b, activation)


@twin_of(dense_forward_ref, parallel=True)
def dense_forward(x, W, b, activation, y):
    # x (B, n_in), W (n_in, n_out), b (n_out,), y (B, n_out)
    shares = shares_for(2 * W.size * len(x))
    if shares == 0:
        multiply_and_activate(False, False, x, W, y, b, True, activation, np.intp(0), np.intp(1))
    else:
        for share in prange(shares):
            multiply_and_activate(False, False, x, W, y, b, True, activation, np.intp(share), shares)


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


@twin_of(dense_backward_ref, parallel=True)
def dense_backward(x, W, y, d_y, activation, d_W, d_b, d_x):
    # x and d_x (B, n_in), W and d_W (n_in, n_out), y and d_y (B, n_out), d_b (n_out,)
    shares = shares_for(4 * W.size * len(x))
    # A thread takes whole blocks of rows: two that wrote to one row would take each other's cache lines away.
    # The sums of each block wait in a row of d_W until all blocks are done.
    batch, n_in = len(y), len(W)
    rows = max(BLOCK_ROWS, (batch + n_in - 1) // n_in)
    blocks = (batch + rows - 1) // rows
    if shares == 0 or d_y.size <= SERIAL_SIZE:
        for block in range(blocks):
            _d_a(y, d_y, activation, np.intp(block * rows), np.intp(min(batch, block * rows + rows)), d_W[block])
    else:
        for block in prange(blocks):
            _d_a(y, d_y, activation, np.intp(block * rows), np.intp(min(batch, block * rows + rows)), d_W[block])
    _add_up(d_W, blocks, d_b)
    if shares == 0:
        multiply(True, False, x, d_y, d_W, d_b, False, 0, np.intp(0), np.intp(1))
        multiply_transposed(d_y[:len(d_x)], W, d_x, np.intp(0), np.intp(1))
    else:
        for share in prange(shares):
            multiply(True, False, x, d_y, d_W, d_b, False, 0, np.intp(share), shares)
            multiply_transposed(d_y[:len(d_x)], W, d_x, np.intp(share), shares)
