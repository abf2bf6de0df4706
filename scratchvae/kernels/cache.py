"""Where compiled kernels are kept between processes."""
import hashlib
import os
import pickle
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

from .backend import BACKEND

if BACKEND == "numba":
    import numba
    from llvmlite import __version__ as llvm_version
    from llvmlite import binding
    from numba.core.caching import FunctionCache


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


if BACKEND == "numba":
    class ForgivingCache(FunctionCache):
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
