"""A kernel and the NumPy function that defines it, and the switch between the two.

Every compiled kernel of this package stands directly below its *twin*: a NumPy function of the same
signature that says in a few lines what the kernel computes.  `twin_of` compiles the kernel, records the
pair in `TWINS`, and returns the one that the chosen backend runs:

- `SCRATCHVAE_BACKEND=numba` (the default): the compiled kernel.
- `SCRATCHVAE_BACKEND=numpy`: the twin.  Numba is then not even imported.
"""
import functools
import hashlib
import importlib
import inspect
import os
import pickle
import sys
import tempfile
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, NamedTuple

BACKENDS = ("numba", "numpy")
BACKEND = os.environ.get("SCRATCHVAE_BACKEND", "numba")
if BACKEND not in BACKENDS:
    raise ValueError(
        f"SCRATCHVAE_BACKEND is {BACKEND!r}; this package has the backends {', '.join(BACKENDS)}. "
        "Set it to one of them, or unset it for numba.")

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

if BACKEND == "numba":
    import numba
    from llvmlite import __version__ as llvm_version
    from llvmlite import binding
    from numba import prange
    from numba.core.caching import FunctionCache
else:
    prange = range


def source_digest():
    """Name the state of all kernel sources and the processor they are compiled for, in 16 hexadecimal digits.

    Numba's own cache looks only at the file of the cached function; a kernel also contains the code of the
    device functions it calls from other files.  The cache folder is therefore named by all of them.  And Numba
    keeps several processors in one index: two processes that write it at once may leave the code of one under
    the name of the other, so each processor has a folder.
    """
    digest = hashlib.sha256(repr((numba.config.CPU_NAME, numba.config.CPU_FEATURES, binding.get_host_cpu_name(),
                                  llvm_version)).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folders():
    """Where compiled kernels may be kept, best first."""
    name = f"scratchvae-{source_digest()}"
    if os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(os.environ["NUMBA_CACHE_DIR"]) / name
    yield Path(__file__).parent / "__pycache__" / name
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield Path(base) / "scratchvae" / name


def find_cache_folder():
    """Return the first folder that compiled kernels can be written to, or None."""
    for folder in _cache_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


CACHE_FOLDER = find_cache_folder() if BACKEND == "numba" else None


def kernels_are_cached():
    """Whether an earlier process has left compiled kernels of these very sources behind."""
    return CACHE_FOLDER is not None and any(CACHE_FOLDER.rglob("*.nbi"))


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


def _safe_for_threads(kernel):
    """Let one Python thread at a time into a parallel kernel, where the threading layer demands it."""
    if _ONE_AT_A_TIME is None:
        return kernel

    @functools.wraps(kernel)
    def locked(*arguments):
        with _ONE_AT_A_TIME:
            return kernel(*arguments)
    return locked


if BACKEND == "numba":
    class _ForgivingCache(FunctionCache):
        """Numba's cache of one kernel, whose failure costs the time to compile but never the call.

        The disk may be full, the folder may have become read-only, a file may have been cut short.
        """

        @contextmanager
        def _guard_against_spurious_io_errors(self):
            try:
                yield
            except (OSError, EOFError, pickle.UnpicklingError) as reason:
                warnings.warn(f"the kernel cache {CACHE_FOLDER} failed ({type(reason).__name__}); kernels are compiled "
                              "again instead, which takes longer. Free its disk, or delete that folder.",
                              RuntimeWarning, stacklevel=2)


def _compile(function, *, parallel, fastmath):
    """Compile `function` on its first call, kept in CACHE_FOLDER where there is one.

    Without nogil: a parallel loop gives up Python's lock by itself, and what stands outside of one is over in
    microseconds.  To give it up around the loop as well would be to take it back and give it up twice more a call.
    """
    options = dict(parallel=parallel, fastmath=set(fastmath), error_model="numpy")
    if CACHE_FOLDER is None:
        return numba.njit(**options)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(CACHE_FOLDER)     # read while the cache is made, not later
    try:
        kernel = numba.njit(**options)(function)
        kernel._cache = _ForgivingCache(function)      # what njit(cache=True) does, with Numba's own class
        return kernel
    finally:
        numba.config.CACHE_DIR = before


def twin_of(reference, *, parallel=False, fastmath=FASTMATH):
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
                chosen = _safe_for_threads(chosen)
        else:
            chosen = reference
        TWINS[kernel.__name__] = Twin(reference, kernel, chosen)
        return chosen
    return register


def device(fastmath=FASTMATH, forceinline=False):
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


def note_compilation():
    """Say once, on a terminal, that the first run compiles the kernels."""
    if BACKEND == "numba" and sys.stderr.isatty() and not kernels_are_cached():
        print("compiling kernels for this machine, once ...", file=sys.stderr)
