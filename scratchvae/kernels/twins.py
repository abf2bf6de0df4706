"""A kernel and the NumPy function that defines it.

Every compiled kernel of this package stands directly below its *twin*: a NumPy function of the same
signature that says in a few lines what the kernel computes.  `twin_of` compiles the kernel, records the
pair in `TWINS`, and returns the one that the chosen backend runs.

A kernel whose last parameter is `part` is run by every thread, each with its own part: its loop goes over
`within(part, n)`, the numbers below n that belong to the part.

A twin that says "within 5 ulp" says how far its kernel was seen from it, with some room: in ulp of the kernel's dtype
at the largest magnitude of an output, or at 1 if that is more, on sums of up to 65 terms.  `gradcheck.certify` proves
that backward twins are the derivatives of forward twins; so what runs is the derivation, to so many ulp.
"""
import inspect
from typing import Callable, NamedTuple

from . import once, parallel
from .backend import BACKEND
from .cache import KernelCache
from .internals import MISSING, NO_COUNTS
from .parallel import running_threads, WHOLE, within  # noqa: F401 (for kernels)
from .threads import one_at_a_time

if BACKEND == "numba":
    import numba

# What the compiler may assume about floating point.  Without "nnan" and "ninf": a NaN must stay visible.
FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
# For code whose order of operations is its accuracy (polynomials after a range reduction, compensated sums).
STRICT = frozenset({"contract"})
COMMON = dict(error_model="numpy", **NO_COUNTS)


class Twin(NamedTuple):
    """A registered pair: what defines a kernel (NumPy), its Python source, and what was compiled."""

    reference: Callable
    source: Callable
    compiled: Callable


TWINS: dict[str, Twin] = {}


def _compile(function, fastmath):
    """Compile `function` on its first call, unless an earlier process has done so.

    Without nogil: a parallel loop gives up Python's lock by itself, and what stands outside of one is over in
    microseconds.  To give it up around the loop as well would be to take it back and give it up twice more a call.
    """
    kernel = numba.njit(fastmath=set(fastmath), no_cfunc_wrapper=True, **COMMON)(function)
    kernel._cache = KernelCache(function.__name__)      # what njit(cache=True) does, with Numba's own class
    return kernel


def _in_parts(function, fastmath):
    """Make the kernel that gives every thread a part: def name(x, y): in_parallel(body, running_threads(), (x, y))."""
    *names, _ = inspect.signature(function).parameters
    given = ", ".join(names)
    scope = {"__name__": function.__module__, "in_parallel": in_parallel, "running_threads": running_threads,
             "body": device(fastmath, separate=True)(function)}
    exec(f"def {function.__name__}({given}): in_parallel(body, running_threads(), ({given},))", scope)
    return scope[function.__name__]


def twin_of(reference: Callable, *, parallel: bool = False, fastmath: frozenset = FASTMATH) -> Callable:
    """Compile a kernel and record the NumPy function that defines it.

    Parameters
    ----------
    reference : function
        The twin: same signature but for `part`, plain NumPy, may allocate.  It is the specification.
    parallel : bool
        Whether the kernel runs on threads: it has a last parameter `part=WHOLE`, or calls `in_parallel`.
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
        wanted, found = inspect.signature(reference), inspect.signature(kernel)
        in_parts = "part" in found.parameters
        if [*wanted.parameters] + ["part"] * in_parts != [*found.parameters]:
            raise TypeError(f"{kernel.__name__}{found} and its twin {reference.__name__}{wanted} differ in signature. "
                            "Give both the same parameters in the same order; the kernel may have `part` last.")
        if BACKEND == "numba":
            chosen = _compile(_in_parts(kernel, fastmath) if in_parts else kernel, fastmath)
            if parallel:
                chosen = one_at_a_time(chosen)
        else:
            chosen = reference
        TWINS[kernel.__name__] = Twin(reference, kernel, chosen)
        return chosen
    return register


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


in_parallel = device()(parallel.in_parts) if MISSING or BACKEND == "numpy" else parallel.in_parallel
# For functions of one number: a loop that calls one is no vector loop unless the call is dissolved.
inlined = device(STRICT, forceinline=True)
