"""How many threads kernels use, and the memory by which these threads find their work (see `pool`).

They are not Numba's: NUMBA_NUM_THREADS says how many there may be, but NUMBA_THREADING_LAYER has no effect.
"""
import ctypes
import os

import numpy as np

from ..validation import integer
from .backend import BACKEND

LINE_BYTES = 128                # what a processor moves between cores at once, or two of that
LINES = "scratchvae_threads"    # the name by which compiled code finds a line of words for each thread
# Where each word is, in bytes from the start of its thread's line, which begins with the state of its part.
BODY, DATA, SHARES, LOCK = range(8, 40, 8)
# And these in line 0 alone: whether a caller has the threads, how many were started, how many kernels use.
TAKEN, STARTED, THREADS = range(40, 64, 8)

if BACKEND == "numba":
    from llvmlite import binding
    from numba import config

    _MOST = config.NUMBA_NUM_THREADS
    _memory = np.zeros((_MOST + 1) * LINE_BYTES, np.uint8)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_memory))       # threads may look at it until the process has ended
    _start = -_memory.ctypes.data % LINE_BYTES
    _LINES = _memory[_start:_start + _MOST * LINE_BYTES].view(np.int64).reshape(_MOST, -1)
    _LINES[0, THREADS // 8] = _MOST
    binding.add_symbol(LINES, _LINES.ctypes.data)
else:
    _MOST, _LINES = 1, np.ones((1, LINE_BYTES // 8), np.int64)


def _after_fork():
    """Forget the threads, which the child does not have: it will start its own."""
    _LINES[0, [TAKEN // 8, STARTED // 8]] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
    remedy = "Leave it out." if BACKEND == "numpy" else "Leave it out to use all; NUMBA_NUM_THREADS allows more."
    before = int(_LINES[0, THREADS // 8])
    _LINES[0, THREADS // 8] = integer("threads", threads, 1, _MOST, remedy)
    return before


def threads() -> int:
    """Return how many threads kernels use at present."""
    return int(_LINES[0, THREADS // 8])
