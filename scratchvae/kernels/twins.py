"""A kernel and the NumPy function that defines it.

Every compiled kernel of this package stands directly below its *twin*: a NumPy function of the same
signature that says in a few lines what the kernel computes.  `twin_of` compiles the kernel, records the
pair in `TWINS`, and returns the one that the chosen backend runs.

A kernel whose last parameter is `part` is run by every thread, each with its own part: its loop goes over
`within(part, n)`, the numbers below n that belong to the part.

A twin that says "within 5 ulp" says how far its kernel was seen from it, with some room: in ulp of the kernel's dtype
at the largest magnitude of an output or of the terms that it sums, or at 1 if that is more, on sums of up to 65 terms.
(Of an output whose terms cancel no number of its own ulp would hold.)  `gradcheck.certify` proves that backward twins
are the derivatives of forward twins; so what runs is the derivation, to so many ulp.
"""
import inspect
from typing import Callable, NamedTuple

from . import parallel
from .backend import BACKEND
from .internals import MISSING
from .jit import compiled, device, FASTMATH, inlined, STRICT  # noqa: F401 (for kernels)
from .parallel import running_threads, WHOLE, within  # noqa: F401 (for kernels)


class Twin(NamedTuple):
    """A registered pair: what defines a kernel (NumPy), its Python source, and what was compiled."""

    reference: Callable
    source: Callable
    compiled: Callable


TWINS: dict[str, Twin] = {}


def _in_parts(function, fastmath):
    """Make the kernel that gives every thread a part: def name(x, y): in_parallel(body, running_threads(), (x, y))."""
    *names, _ = inspect.signature(function).parameters
    given = ", ".join(names)
    scope = {"__name__": function.__module__, "in_parallel": in_parallel, "running_threads": running_threads,
             "body": device(fastmath, separate=True)(function)}
    exec(f"def {function.__name__}({given}): in_parallel(body, running_threads(), ({given},))", scope)
    return scope[function.__name__]


def twin_of(reference: Callable, *, fastmath: frozenset = FASTMATH) -> Callable:
    """Compile a kernel and record the NumPy function that defines it.

    Parameters
    ----------
    reference : function
        The twin: same signature but for `part`, plain NumPy, may allocate.  It is the specification.
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
            chosen = compiled(_in_parts(kernel, fastmath) if in_parts else kernel, fastmath)
        else:
            chosen = reference
        TWINS[kernel.__name__] = Twin(reference, kernel, chosen)
        return chosen
    return register


in_parallel = device()(parallel.in_parts) if MISSING or BACKEND == "numpy" else parallel.in_parallel
