"""How Numba compiles what this package gives it: all flags, in one place."""
import functools
import gc
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from . import once
from .backend import BACKEND
from .cache import KernelCache
from .internals import MISSING, NO_COUNTS

if BACKEND == "numba":
    import numba
    from numba.extending import intrinsic

# What the compiler may assume about floating point.  Without "nnan" and "ninf": a NaN must stay visible.
FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
# For code whose order of operations is its accuracy (polynomials after a range reduction, compensated sums).
STRICT = frozenset({"contract"})
COMMON = dict(error_model="numpy", **NO_COUNTS)


def compiled(function: Callable, fastmath: frozenset) -> Any:
    """Compile `function` on its first call, unless an earlier process has done so.

    Without nogil: a parallel loop gives up Python's lock by itself, and what stands outside of one is over in
    microseconds.
    """
    kernel = numba.njit(fastmath=set(fastmath), no_cfunc_wrapper=True, **COMMON)(function)
    kernel._cache = KernelCache(function.__name__)      # what njit(cache=True) does, with Numba's own class
    kernel.compile = _without_collector()(kernel.compile)
    return kernel


@contextmanager
def _without_collector():
    """Let Python look for no garbage meanwhile: the compiler's millions of objects live on, and it finds hardly any."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def device(fastmath: frozenset = FASTMATH, forceinline: bool = False, separate: bool = False) -> Callable:
    """Compile a function that only kernels call; it has no twin, its caller's twin covers it.

    A separate one is code of its own (see `once`): a product, or what `in_parallel` runs.
    """
    def compile_it(function):
        if BACKEND == "numpy":
            return function
        # The wrappers are for callers from Python and from C; making them costs as much as the function.
        compiled = numba.njit(fastmath=set(fastmath), forceinline=forceinline, no_cpython_wrapper=True,
                              no_cfunc_wrapper=True, **COMMON)(function)
        return once.separate(compiled) if separate and not MISSING else compiled
    return compile_it


# For functions of one number: a loop that calls one is no vector loop unless the call is dissolved.
inlined = device(STRICT, forceinline=True)


def instruction(signature: Any) -> Callable:
    """Let kernels call what a function emits for them: (builder, *values) -> value, or None if it has no result."""
    def register(emit):
        def codegen(context, builder, _, values):
            value = emit(builder, *values)
            return context.get_dummy_value() if value is None else value

        @functools.wraps(emit)              # Numba counts the parameters after the first
        def typed(*_):
            return signature, codegen
        return intrinsic(typed)
    return register
