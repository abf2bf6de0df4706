"""The matrix products against float64, at every edge, with any number of threads.

Run as a script, this file checks the products of the present process and prints one line: the tile's family
and a digest of all results, once for each number of threads.
"""
import ctypes
import hashlib
import itertools
import mmap
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchvae.kernels import dense, matmul, threads, twins
from scratchvae.kernels.microkernel import FAMILY, KC

pytestmark = pytest.mark.skipif(twins.BACKEND == "numpy", reason="the products are NumPy's own then")

PRODUCTS = {"nn": (matmul.multiply_nn, False, False), "tn": (matmul.multiply_tn, True, False),
            "nt": (matmul.multiply_nt, False, True)}
GUARD = 200                 # numbers on either side of every array; more than the widest panel


def sizes(dtype):
    """(m, k, n) around every edge: of the tile, of KC steps of the inner dimension, of blocks of NC columns."""
    lanes = max(1, FAMILY.vector_bytes // np.dtype(dtype).itemsize)
    tile = FAMILY.vectors * lanes
    rows = (1, 2, 3, FAMILY.rows - 1, FAMILY.rows, FAMILY.rows + 1, 7, 4 * FAMILY.rows + 3)
    columns = (1, 2, 3, 7, lanes - 1, lanes, lanes + 1, tile - 1, tile, tile + 1, 4 * lanes, 2 * tile + 3)
    inner = itertools.cycle((1, 2, 3, lanes - 1, lanes, lanes + 1, 2 * lanes + 5, 37))
    for m, n in itertools.product(rows, columns):
        if m and n:
            yield m, max(1, next(inner)), n
    few = 1, 3, 4, 6, matmul.FEW_ROWS - 1, matmul.FEW_ROWS, matmul.FEW_ROWS + 1
    for i, (m, n) in enumerate(itertools.product(few, few)):          # and long: scalar products, of two transposed
        yield m, 8 * lanes - 1 + i % (lanes + 2), n
    yield matmul.FEW_ROWS, 400, matmul.FEW_ROWS - 2                   # ... shared by threads
    yield 65, KC + 1, 101                       # one step more than KC
    yield 19, 2 * KC + 3, tile + 1              # few rows, deep: one turn, or three of a transposed first factor
    yield 71, 2 * KC + 3, 9 * tile + 5          # panel after panel; cut by columns
    yield 1031, KC + 45, 2 * tile + 1           # the first factor does not stay in the cache: KC at a time; cut by rows
    yield 517, 2 * KC + 3, 16 * tile + 5        # ... and several blocks
    yield 517, 2 * KC + 3, lanes + 5            # narrow: tall tiles of a transposed first factor, KC at a time
    yield 37, 20, 40 * lanes + 5                # wide and flat: such a factor is read where it lies, by each thread


def guarded(values):
    """A copy of `values` with NaN on both sides in memory, and the whole memory."""
    memory = np.full(values.size + 2 * GUARD, np.nan, values.dtype)
    inside = memory[GUARD:GUARD + values.size].reshape(values.shape)
    inside[...] = values
    return inside, memory


def against_a_wall(values):
    """A copy of `values` that ends where memory ends: one byte further the process is killed."""
    page = mmap.PAGESIZE
    length = -(-values.nbytes // page) * page
    memory = mmap.mmap(-1, length + page)
    wall = ctypes.addressof(ctypes.c_char.from_buffer(memory, length))
    if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(wall), page, 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    inside = np.frombuffer(memory, values.dtype, values.size, length - values.nbytes).reshape(values.shape)
    inside[...] = values
    return inside


def check_product(kind, m, k, n, dtype, place=lambda values: guarded(values)[0]):
    """Compare one product with float64 and look at the guards; return the product."""
    kernel, a_transposed, b_transposed = PRODUCTS[kind]
    rng = np.random.default_rng([m, k, n])
    a = place(rng.standard_normal((k, m) if a_transposed else (m, k)).astype(dtype))
    b = place(rng.standard_normal((n, k) if b_transposed else (k, n)).astype(dtype))
    c, memory = guarded(np.full((m, n), np.nan, dtype))
    kernel(a, b, c)
    exact_a, exact_b = (a.T if a_transposed else a).astype(float), (b.T if b_transposed else b).astype(float)
    # A chain of k multiply-adds is off by at most k roundings of the sum of magnitudes (Higham 2002,
    # section 3.1); twice that, because the float64 reference has as much.
    bound = 2 * k * np.finfo(dtype).eps * (abs(exact_a) @ abs(exact_b))
    worst = np.max(abs(c - exact_a @ exact_b) - bound)
    assert worst <= 0, f"{kind} {m}x{k}x{n} {np.dtype(dtype)}: {worst} above the bound"
    assert np.isnan([memory[:GUARD], memory[-GUARD:]]).all(), f"{kind} {m}x{k}x{n} wrote outside"
    return c


def dense_layer(dtype):
    """Return all outputs of a layer's forward and backward, large enough for threads, at odd sizes."""
    rng = np.random.default_rng(1)
    x, W, b, d_y = (rng.standard_normal(s).astype(dtype) for s in ((67, 301), (301, 131), 131, (67, 131)))
    W /= dtype(17)
    y, d_W, d_b, d_x = np.empty_like(d_y), np.empty_like(W), np.empty_like(b), np.empty_like(x)
    dense.dense_forward(x, W, b, dense.TANH, y)
    dense.dense_backward(x, W, y, d_y, dense.TANH, d_W, d_b, d_x)
    return y, d_y, d_W, d_b, d_x


def check_deep_relu(dtype):
    """Compare max(0, x W + b) where the inner dimension is taken KC at a time; return it."""
    rng = np.random.default_rng(2)
    x, W, b = (rng.standard_normal(s).astype(dtype) for s in ((300, 601), (601, 37), 37))
    y = np.full((300, 37), np.nan, dtype)
    dense.dense_forward(x, W, b, dense.RELU, y)
    wide_x, wide_W = x.astype(float), W.astype(float)
    bound = 2 * 602 * np.finfo(dtype).eps * (abs(wide_x) @ abs(wide_W) + abs(b))          # as in check_product
    assert np.all(abs(y - np.maximum(wide_x @ wide_W + b, 0)) <= bound)
    return y


def digest(dtypes):
    """Check every product and name all results, and those of a dense layer, in one word."""
    word = hashlib.sha256()
    place = against_a_wall if platform.system() == "Linux" else lambda values: guarded(values)[0]
    for dtype in dtypes:
        for kind in PRODUCTS:
            for size in sizes(dtype):
                word.update(check_product(kind, *size, dtype, place).tobytes())
        for array in (*dense_layer(dtype), check_deep_relu(dtype)):
            word.update(array.tobytes())
    return word.hexdigest()


def in_a_process(dtypes):
    """(family, digest of 1 thread, ... of 4 threads) from a process of its own."""
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONPATH": root}
    run = subprocess.run([sys.executable, __file__, *dtypes], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_products_are_right_to_rounding_and_stay_inside_their_arrays(kind, dtype):
    for size in sizes(dtype):
        check_product(kind, *size, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_waits_for_the_whole_inner_dimension(dtype):
    check_deep_relu(dtype)


def test_a_product_with_an_empty_inner_dimension_is_zero():
    c = np.full((5, 7), np.nan, np.float32)
    matmul.multiply_nn(np.empty((5, 0), np.float32), np.empty((0, 7), np.float32), c)
    assert np.array_equal(c, np.zeros((5, 7)))


def test_a_row_does_not_feel_the_batch_that_it_is_part_of():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((150, 301), (301, 131)))
    whole, part = np.empty((150, 131), np.float32), np.empty((9, 131), np.float32)
    matmul.multiply_nn(a, b, whole)
    matmul.multiply_nn(a[70:79], b, part)
    assert np.array_equal(whole[70:79], part)


def test_nan_and_infinity_reach_their_row_and_no_other():
    a, b = np.ones((20, 40), np.float32), np.ones((40, 50), np.float32)
    a[3, 7], a[11, 39] = np.nan, np.inf
    c = np.empty((20, 50), np.float32)
    matmul.multiply_nn(a, b, c)
    assert np.isnan(c[3]).all() and np.isposinf(c[11]).all()
    assert (np.delete(c, [3, 11], axis=0) == 40).all()


def test_any_number_of_threads_gives_the_same_bits_and_reads_nothing_outside():
    family, *digests = in_a_process(["float32", "float64"])
    assert family == FAMILY.name
    assert len(digests) == 4 and len(set(digests)) == 1


if __name__ == "__main__":
    names = sys.argv[1:]
    words = [FAMILY.name]
    for n_threads in (1, 2, 3, 4):
        threads.set_threads(n_threads)
        words.append(digest([np.dtype(name).type for name in names]))
    sys.stdout.write(" ".join(words))
