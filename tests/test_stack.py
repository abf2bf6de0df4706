"""Kernels need little stack, and the memory that they share instead is never in two hands.

Run as a script, this file runs every kernel in a thread of small stack.
"""
import os
import platform
import re
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_kernels import cases, DTYPES, run

from scratchvae.kernels import matmul, twins

if twins.BACKEND == "numpy":
    pytest.skip("NumPy has its own memory", allow_module_level=True)

from scratchvae.kernels.workspace import TAKEN

THREAD_STACK = 256 * 1024                       # of a Python thread: the interpreter's own frames have to fit as well


def run_every_kernel():
    """Run every kernel once on small arrays and the products on threads."""
    for name, twin in twins.TWINS.items():
        for dtype in DTYPES:
            for case in cases(name, dtype, sizes=(65,)):
                run(twin.compiled, case)
    for dtype in DTYPES:
        a, c = np.ones((300, 300), dtype), np.empty((300, 300), dtype)
        for multiply in (matmul.multiply_nn, matmul.multiply_tn, matmul.multiply_nt):
            multiply(a, a, c)


def test_every_kernel_runs_in_threads_of_little_stack():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, __file__]
    if os.name == "posix":                      # the first thread's, and that of threads which ask for no size
        command = ["sh", "-c", 'ulimit -s 512; exec "$@"', "sh", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads the assembly of x86-64")
def test_all_the_frames_of_a_product_together_are_small():
    numba = pytest.importorskip("numba")
    flag, count, factor = numba.boolean, numba.intp, numba.float32[:, :]
    frames = []
    for source, types in ((twins.TWINS["multiply_nt"].source, (factor,) * 3),
                          (matmul.product.py_func, (flag, flag, factor, factor, factor, numba.float32[:], flag, count,
                                                    numba.types.UniTuple(count, 2)))):
        kernel = numba.njit(error_model="numpy")(source)
        kernel.compile(types)
        frames += re.findall(r"subq\s+\$(\d+), %rsp", "\n".join(kernel.inspect_asm().values()))
    assert 0 < sum(map(int, frames)) <= 16 * 1024


def test_a_share_that_finds_every_slot_taken_waits_for_one():
    a, c = np.ones((300, 300), np.float32), np.zeros((300, 300), np.float32)
    matmul.multiply_nn(a, a, np.empty_like(c))
    worker = threading.Thread(target=matmul.multiply_nn, args=(a, a, c))
    TAKEN[:] = 1
    try:
        worker.start()
        time.sleep(0.2)
        assert worker.is_alive() and not c.any()
        TAKEN[-1] = 0                     # one for all shares, and not the one that any looks at first
        worker.join(60)
        assert (c == 300).all()
        assert TAKEN.tolist() == [1] * (len(TAKEN) - 1) + [0]
    finally:
        TAKEN[:] = 0


def test_products_that_run_at_once_have_slots_of_their_own():
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((150, 150)).astype(np.float32) for _ in range(4)]
    exact = [np.empty_like(a) for a in factors]
    for a, c in zip(factors, exact):
        matmul.multiply_nn(a, a, c)

    def work(a, wanted):
        c = np.empty_like(a)
        for _ in range(200):
            matmul.multiply_nn(a, a, c)
            assert np.array_equal(c, wanted)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, factors, exact))
    assert not TAKEN.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_finds_every_slot_free():
    TAKEN[0] = 1                          # by a thread that the child does not have
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)             # threads and fork
            child = os.fork()
        if child == 0:
            os._exit(int(TAKEN.any()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        TAKEN[0] = 0


if __name__ == "__main__":
    run_every_kernel()                          # compiles what no earlier process has compiled
    threading.stack_size(THREAD_STACK)
    thread = threading.Thread(target=run_every_kernel)
    thread.start()
    thread.join()
    sys.stdout.write("ok")
