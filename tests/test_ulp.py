"""Each compiled kernel of the VAE within so many ulp of its twin: the number stands in the twin's docstring.

An ulp is that of the kernel's dtype at the largest magnitude of the output, or at 1 if that is more.  The twin runs in
float64 for a kernel of float32, and in long double for one of float64.
"""
import re

import numpy as np
import pytest
from test_kernels import cases, DTYPES, prepare, run

from scratchvae.kernels.twins import BACKEND, TWINS

KERNELS = ("dense_forward", "dense_backward", "gaussian_forward", "gaussian_backward", "bernoulli_nll",
           "bernoulli_nll_backward", "continuous_bernoulli_nll", "continuous_bernoulli_nll_backward", "gaussian_nll",
           "gaussian_nll_backward", "diagonal_nll", "diagonal_nll_backward", "squared_errors")
STATED = re.compile(r"within (\d+) ulp")
MAGNITUDES = 1e-4, 1, 10, 100                           # of the first argument: inputs, logits
LARGEST = {"gaussian_forward": 10, "gaussian_backward": 10,        # exp(logvar) of more than this overflows
           "dense_forward": 1}                          # tanh and sigmoid pass on what a large x W + b is off by
WIDER = {np.float32: np.float64, np.float64: np.longdouble}


def distance(name, dtype, magnitude):
    """Return the largest distance of a kernel and its twin, in ulp."""
    worst = 0.0
    for case in cases(name, dtype):
        first, *others = case.arguments
        case = case._replace(arguments=(first * dtype(min(magnitude, LARGEST.get(name, magnitude))), *others))
        got = run(TWINS[name].compiled, case)
        wide = [a.astype(WIDER[dtype]) if isinstance(a, np.ndarray) else a for a in prepare(case)]
        want = run(TWINS[name].reference, case._replace(arguments=wide))
        for position in case.outputs + case.updated:
            if want[position].size:
                off = np.abs(got[position] - want[position]).max()
                assert np.isfinite(off)
                worst = max(worst, float(off / np.spacing(dtype(max(1, np.abs(want[position]).max())))))
    return worst


@pytest.mark.skipif(BACKEND != "numba", reason="nothing is compiled")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_as_close_to_its_twin_as_the_twin_says(name, dtype):
    if dtype is np.float64 and np.finfo(np.longdouble).nmant <= np.finfo(dtype).nmant:
        pytest.skip("nothing here is more precise than float64")
    [stated] = STATED.findall(TWINS[name].reference.__doc__)
    for magnitude in MAGNITUDES:
        assert distance(name, dtype, magnitude) <= int(stated), f"inputs of magnitude {magnitude}"
