"""A kernel and the NumPy function that defines it.

Every compiled kernel of this package stands directly below its *twin*: a NumPy function of the same
signature that says in a few lines what the kernel computes.  `twin_of` compiles the kernel, records the
pair in `TWINS`, and returns the one that the chosen backend runs.

A twin that says "within 5 ulp" says how far its kernel was seen from it, with some room: in ulp of the kernel's dtype
at the largest magnitude of an output, or at 1 if that is more, on sums of up to 65 terms.  `gradcheck.certify` proves
that backward twins are the derivatives of forward twins; so what runs is the derivation, to so many ulp.
"""
import inspect
from typing import Callable, NamedTuple

from .backend import BACKEND
from .cache import KernelCache
from .threads import one_at_a_time

if BACKEND == "numba":
    import numba
    from numba import prange
else:
    prange = range

# What the compiler may assume about floating point.  Without "nnan" and "ninf": a NaN must stay visible.
FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
# For code whose order of operations is its accuracy (polynomials after a range reduction, compensated sums).
STRICT = frozenset({"contract"})


class Twin(NamedTuple):
    """A registered pair: what defines a kernel (NumPy), its Python source, and what was compiled."""

    reference: Callable
    source: Callable
    compiled: Callable


TWINS: dict[str, Twin] = {}


def _compile(function, *, parallel, fastmath):
    """Compile `function` on its first call, unless an earlier process has done so.

    Without nogil: a parallel loop gives up Python's lock by itself, and what stands outside of one is over in
    microseconds.  To give it up around the loop as well would be to take it back and give it up twice more a call.
    """
    kernel = numba.njit(parallel=parallel, fastmath=set(fastmath), error_model="numpy")(function)
    kernel._cache = KernelCache(function.__name__, parallel)     # what njit(cache=True) does, with Numba's own class
    return kernel


def twin_of(reference: Callable, *, parallel: bool = False, fastmath: frozenset = FASTMATH) -> Callable:
    """Compile a kernel and record the NumPy function that defines it.

    Parameters
    ----------
    reference : function
        The twin: same signature, plain NumPy, may allocate.  It is the specification.
    parallel : bool
        Whether the kernel spreads `prange` loops over threads.
    fastmath : frozenset of str
        FASTMATH or STRICT.

    Returns
    -------
    decorator
        Gives back the compiled kernel, or the twin under SCRATCHVAE_BACKEND=numpy.

    Raises
    ------
    TypeError
        If the two signatures differ.
    """
    def register(kernel):
        if inspect.signature(kernel) != inspect.signature(reference):
            raise TypeError(f"{kernel.__name__}{inspect.signature(kernel)} and its twin "
                            f"{reference.__name__}{inspect.signature(reference)} differ in signature. "
                            "Give both the same parameters in the same order.")
        if BACKEND == "numba":
            chosen = _compile(kernel, parallel=parallel, fastmath=fastmath)
            if parallel:
                chosen = one_at_a_time(chosen)
        else:
            chosen = reference
        TWINS[kernel.__name__] = Twin(reference, kernel, chosen)
        return chosen
    return register


def device(fastmath: frozenset = FASTMATH, forceinline: bool = False) -> Callable:
    """Compile a function that only kernels call; it has no twin, its caller's twin covers it."""
    def compile_it(function):
        if BACKEND == "numpy":
            return function
        # The wrappers are for callers from Python and from C; making them costs as much as the function.
        return numba.njit(fastmath=set(fastmath), error_model="numpy", forceinline=forceinline,
                          no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compile_it


# For functions of one number: a loop that calls one is no vector loop unless the call is dissolved.
inlined = device(STRICT, forceinline=True)
