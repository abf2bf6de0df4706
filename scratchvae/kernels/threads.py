"""The threads that kernels run on: how many, from which library, and how a forked process does without them."""
import ctypes
import functools
import importlib
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager

from ..errors import ConfigurationError
from ..validation import integer
from .backend import BACKEND

if BACKEND == "numba":
    import numba
    from llvmlite import binding

    from .internals import parallel

LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}        # Numba's layers and their modules


def _loads(layer):
    """Whether a threading layer can be loaded here; its threads are not started."""
    try:
        if layer == "tbb":
            parallel._check_tbb_version_compatible()
        importlib.import_module(f"numba.np.ufunc.{LAYERS[layer]}")
    except ImportError:
        return False
    return True


def _chosen_layer():
    """Name the layer that Numba will choose when the threads start, which would be too late for an error."""
    asked, order = str(numba.config.THREADING_LAYER).lower(), numba.config.THREADING_LAYER_PRIORITY
    choices = {"default": order, "safe": ["tbb"], "threadsafe": ["tbb", "omp"],
               "forksafe": ["tbb", "omp", "workqueue"], **{layer: [layer] for layer in LAYERS}}
    if sorted(order) != sorted(LAYERS):
        raise ConfigurationError(f"NUMBA_THREADING_LAYER_PRIORITY is {' '.join(order)!r}; expected {', '.join(LAYERS)} "
                                 "in any order. Correct it, or unset it.")
    if asked not in choices:
        raise ConfigurationError(f"NUMBA_THREADING_LAYER is {asked!r}; Numba knows {', '.join(choices)}. "
                                 "Set it to one of them, or unset it.")
    for layer in choices[asked]:
        if _loads(layer):
            return layer
    raise ConfigurationError(f"NUMBA_THREADING_LAYER is {asked!r}, but {' or '.join(choices[asked])} cannot be loaded "
                             "here. Install it, choose another, or unset the variable.")


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
    """A lock where parallel kernels must not run at once, else None: Numba's own pool ends the process then."""
    if BACKEND == "numpy":
        return None
    with _short_spins():
        return threading.Lock() if _chosen_layer() == "workqueue" else None


_ONE_AT_A_TIME = _lock_for_workqueue()


def one_at_a_time(kernel: Callable) -> Callable:
    """Let one Python thread at a time into a parallel kernel, where the threading layer demands it."""
    if _ONE_AT_A_TIME is None:
        return kernel

    @functools.wraps(kernel)
    def locked(*arguments):
        with _ONE_AT_A_TIME:
            return kernel(*arguments)
    return locked


# Not 0 in a process that was forked from one whose threads had been started.  It has the memory but not the threads:
# GNU OpenMP would end it, and whoever waits for it would wait for ever.
_WITHOUT_THREADS = ctypes.c_int32(0)
FORKED = "scratchvae_forked"    # the name by which compiled code finds it


def _after_fork():
    global _ONE_AT_A_TIME
    if _ONE_AT_A_TIME is not None:
        _ONE_AT_A_TIME = threading.Lock()              # the thread that held it is not in this process
    try:
        numba.threading_layer()
    except ValueError:                                 # not started: this process may start its own
        return
    _WITHOUT_THREADS.value = 1


if BACKEND == "numba" and hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def start_threads() -> None:
    """Start the threads, and let kernels find out whether a fork has left them behind."""
    numba.get_num_threads()
    binding.add_symbol(FORKED, ctypes.addressof(_WITHOUT_THREADS))


def set_threads(threads: int) -> int:
    """Let kernels use `threads` threads from now on, and return how many they used before.

    Parameters
    ----------
    threads : int
        From 1 to the number that Numba started with (NUMBA_NUM_THREADS, else the number of cores).

    Raises
    ------
    ConfigurationError
        If there are not that many.
    """
    most = 1 if BACKEND == "numpy" else numba.config.NUMBA_NUM_THREADS
    remedy = "Leave it out." if BACKEND == "numpy" else "Leave it out to use all; NUMBA_NUM_THREADS allows more."
    threads = integer("threads", threads, 1, most, remedy)
    if BACKEND == "numpy":
        return 1
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    return before


def threads() -> int:
    """Return how many threads kernels use at present."""
    return 1 if BACKEND == "numpy" else numba.get_num_threads()


def threading_layer() -> str:
    """Return the name of the library that runs the threads: "omp", "tbb", "workqueue", or "none"."""
    if BACKEND == "numpy":
        return "none"
    numba.get_num_threads()         # starts the threads: before that there is no layer
    return numba.threading_layer()


def faster_layers() -> str:
    """Return what there is to do where workqueue runs and another layer could, in words; empty where none can."""
    able = [layer for layer in ("omp", "tbb") if _loads(layer)]
    return f"NUMBA_THREADING_LAYER={able[0]}" if able else ""
