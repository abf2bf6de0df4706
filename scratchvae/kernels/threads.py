"""The threads that kernels run on: how many, whose, and who may start them."""
import functools
import importlib
import os
import threading
from contextlib import contextmanager

from .backend import BACKEND

if BACKEND == "numba":
    import numba


def _layer_may_be_workqueue():
    """Whether Numba may choose its own thread pool, which two Python threads cannot use at once.

    It ends the process then.  The answer must not start the threads: a process that has started them can no
    longer be forked.
    """
    asked = numba.config.THREADING_LAYER
    if asked != "default":
        return asked not in ("omp", "tbb", "safe", "threadsafe")
    for layer in numba.config.THREADING_LAYER_PRIORITY:
        try:
            importlib.import_module(f"numba.np.ufunc.{layer}pool")
        except ImportError:
            continue
        return False
    return True


@contextmanager
def _short_spins():
    """While open, a GNU OpenMP library that is loaded will let its idle threads sleep soon.

    By itself it lets them spin for milliseconds.  On two cores of which another program used one, a step then took
    134 ms; with 4,000 turns it took 6 ms, and 3 % more than without the limit where the cores were free.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield                                          # somebody has chosen already
        return
    os.environ["GOMP_SPINCOUNT"] = "4000"              # read once, while the library is loaded
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def _lock_for_workqueue():
    """A lock where parallel kernels must not run at once, else None."""
    if BACKEND == "numpy":
        return None
    with _short_spins():
        return threading.Lock() if _layer_may_be_workqueue() else None


_ONE_AT_A_TIME = _lock_for_workqueue()


def one_at_a_time(kernel):
    """Let one Python thread at a time into a parallel kernel, where the threading layer demands it."""
    if _ONE_AT_A_TIME is None:
        return kernel

    @functools.wraps(kernel)
    def locked(*arguments):
        with _ONE_AT_A_TIME:
            return kernel(*arguments)
    return locked


def set_threads(threads):
    """Let kernels use `threads` threads from now on, and return how many they used before.

    Parameters
    ----------
    threads : int
        From 1 to the number that Numba started with (NUMBA_NUM_THREADS, else the number of cores).

    Raises
    ------
    ValueError
        If there are not that many.
    """
    most = 1 if BACKEND == "numpy" else numba.config.NUMBA_NUM_THREADS
    if not 1 <= threads <= most:
        raise ValueError(f"threads is {threads}; this process can use 1 to {most}. "
                         f"Start it with NUMBA_NUM_THREADS={threads} to have more.")
    if BACKEND == "numpy":
        return 1
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    return before


def threads():
    """Return how many threads kernels use at present."""
    return 1 if BACKEND == "numpy" else numba.get_num_threads()


def threading_layer():
    """Return the name of the library that runs the threads: "omp", "tbb", "workqueue", or "none"."""
    if BACKEND == "numpy":
        return "none"
    numba.get_num_threads()         # starts the threads: before that there is no layer
    return numba.threading_layer()
