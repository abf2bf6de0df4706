"""What kernels tell the compiler and the cache arrives, and changes nothing."""
import re

import numpy as np
import pytest

from scratchvae.kernels import vectormath
from scratchvae.kernels.hints import widest_vectors, will_write
from scratchvae.kernels.microkernel import FAMILY
from scratchvae.kernels.twins import BACKEND

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@every_dtype
def test_a_loop_that_asks_for_the_widest_vectors_gets_them(dtype):
    numba = pytest.importorskip("numba")
    if FAMILY.name != "avx512":
        pytest.skip("only with AVX-512 does LLVM take less than there is")
    tanh = vectormath.tanh

    def kernel(x, y):
        widest_vectors()
        for i in range(len(x)):
            y[i] = tanh(x[i])
    array = numba.from_dtype(np.dtype(dtype))[::1]
    assert "zmm" in "\n".join(numba.njit((array, array), error_model="numpy")(kernel).inspect_asm().values())


@every_dtype
def test_a_line_is_asked_for_anywhere_and_nothing_is_written(dtype):
    if BACKEND == "numpy":
        pytest.skip("NumPy leaves the cache to the processor")
    numba = pytest.importorskip("numba")

    def kernel(x, i):
        will_write(x, i)
    array = numba.from_dtype(np.dtype(dtype))[::1]
    ask = numba.njit((array, numba.intp))(kernel)
    x = np.arange(4, dtype=dtype)
    for i in (0, 3, 1 << 20, 1 << 50, -1):
        ask(x, i)
    np.testing.assert_array_equal(x, np.arange(4))
    assert re.search(r"\bprefetch|\bprfm\b", "\n".join(ask.inspect_asm().values()))         # x86's word, or Arm's
