"""The kernels that training may need, compiled before it does: for classrooms, containers, and the line that counts."""
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import as_completed, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from itertools import product

from . import (continuous_bernoulli, dense, gaussian, learned_sigma, likelihoods, matmul,  # noqa: F401 (for TWINS)
               minibatch, optimizers, random, totals)
from .backend import BACKEND
from .cache import kernels_are_cached, usable_folder
from .internals import MISSING
from .twins import TWINS

if BACKEND == "numba":
    from numba import config, types

LOSS, LOSS_BACKWARD = "F2 F2 D1", "F2 F2 D1 D1 F2"
# What each takes: arrays of 1 or 2 axes (F of the dtype of the model, D of float64, X of any data, I of int64), numbers
# (i int64, f float64), a seed or None (s).  dense_forward comes first because dense_backward then finds the product.
CALLS = {
    "dense_forward": "F2 F2 F1 i F2", "gather_rows": "X2 I1 f i s i F2", "standard_normal": "i i i F2",
    "gaussian_forward": "F2 F2 F2 D1", "gaussian_backward": "F2 F2 F2 F1 F2",
    "bernoulli_nll": LOSS, "bernoulli_nll_backward": LOSS_BACKWARD,
    "continuous_bernoulli_nll": LOSS, "continuous_bernoulli_nll_backward": LOSS_BACKWARD,
    "diagonal_nll": LOSS, "diagonal_nll_backward": LOSS_BACKWARD, "squared_errors": LOSS,
    "gaussian_nll": "F2 F2 f D1", "gaussian_nll_backward": "F2 F2 f D1 D1 F2",
    "add_up": "D1 D1 D1", "fill_two": "D1 f F1 f", "are_below": "F1 f D1", "sum_of_squares": "F1 D1",
    "sgd_update": "F1 F1 F1 f f", "adam_update": "F1 F1 F1 F1 i f f f f",
    "dense_backward": "F2 F2 F2 F2 i F2 F1 F2"}
OF_VAE = {"gaussian_forward", "gaussian_backward", "add_up", "fill_two"}   # an autoencoder does without
# Code of its own that layers need besides the product; p is a pointer, t the part of the work that a thread has.
PARTS = (matmul._activate_rows, "p i i i i i"), (dense._d_a, "F2 F2 i i F2 t")
# What `scratchvae train` needs by itself; with another likelihood or optimizer it is as many.
TRAIN = {"dense_forward", "dense_backward", "gather_rows", "standard_normal", "bernoulli_nll",
         "bernoulli_nll_backward", "are_below", "adam_update"} | OF_VAE


def signatures(words: str, dtype: str) -> Iterator:
    """Yield what the words of CALLS or PARTS stand for: tuples of Numba's types, for which training compiles."""
    kinds = {"F": getattr(types, dtype), "D": types.float64, "I": types.int64}
    others = {"i": types.int64, "f": types.float64, "p": types.CPointer(kinds["F"]), "t": types.UniTuple(types.intp, 2)}
    any_data = product((types.uint8, types.float32, types.float64), (types.none, types.int64))
    for kinds["X"], others["s"] in any_data if "X" in words else [(None, None)]:
        yield tuple(types.Array(kinds[word[0]], int(word[1]), "C") if len(word) == 2 else others[word]
                    for word in words.split())


def compile_kernel(name: str, dtype: str) -> str:
    """Compile one kernel for a dtype, unless it is cached; return what was compiled, in words."""
    for signature in signatures(CALLS[name], dtype):
        TWINS[name].compiled.compile(signature)
    return f"{name} {dtype}"


def compile_all(everything: bool) -> Iterator:
    """Compile what `scratchvae train` needs by itself, or everything, in as many processes as NUMBA_NUM_THREADS.

    Yields (how many are done, of how many, what was compiled).
    """
    jobs = [(name, dtype) for name in CALLS for dtype in ("float32", "float64")
            if (everything or name in TRAIN and dtype == "float32") and (name, dtype) != ("add_up", "float64")]
    processes = min(len(jobs), config.NUMBA_NUM_THREADS)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), signal.signal,
                               (signal.SIGINT, signal.SIG_IGN))         # Ctrl-C is for this process
    try:
        for done, job in enumerate(as_completed([pool.submit(compile_kernel, *job) for job in jobs]), 1):
            yield done, len(jobs), job.result()
    finally:
        pool.shutdown(cancel_futures=True)


def compile_last(dtype: str) -> None:
    """Compile the layers' parts, then what `scratchvae train` needs after the layers, what is needed last first."""
    for part, words in () if MISSING else PARTS:
        part.load(*signatures(words, dtype))
    for name in reversed(CALLS):
        if name in TRAIN and not name.startswith(("dense", "gather")):
            compile_kernel(name, dtype)


@contextmanager
def second_compiler(dtype: str) -> Iterator:
    """While open, a second process runs `compile_last` where there are two cores, if nothing is cached.

    This process finds in the cache what the other one has compiled.  It is no `multiprocessing`, which would run the
    caller's script again.
    """
    code = f"import sys; sys.path[:] = {sys.path}; from {__name__} import compile_last; compile_last({dtype!r})"
    process = None
    if BACKEND == "numba" and config.NUMBA_DEFAULT_NUM_THREADS > 1 and usable_folder() and not kernels_are_cached():
        with suppress(OSError):                         # without a second process this one compiles all
            process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        if process:
            process.terminate()
            process.wait()
