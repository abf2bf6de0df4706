"""Where compiled kernels are kept between processes: a file for each kernel and signature, in a folder of the user's.

A file holds a pickle with machine code, and whoever can write it can run code here.  So a file is unpickled only if no
other user could have written it, and if it is, byte for byte, what was written under this name.  What cannot be used
is compiled again, after one warning.  Numba's own cache checks neither.
"""
import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..storage.cache_folder import absolute, user_cache_folder
from .backend import BACKEND
from .internals import MISSING, NullCache
from .symbols import make_known, mentioned

if BACKEND == "numba":
    import llvmlite
    import numba
    from llvmlite import binding

    from .internals import CompileResult, config, dumps, rtsys

# Numba's options that change no kernel: caches, threads, messages, other processors.  All others count, new ones too.
UNRELATED = re.compile("CACHE_|CUDA_|GDB_|THREADING_|NUMBA_.*NUM_THREADS|COLOR_SCHEME|SHOW_HELP|FULL_TRACEBACKS|"
                       "DISABLE_PERFORMANCE_WARNINGS")
PART = "-part"                                  # ends the names of functions that belong to a kernel
SOURCES = sorted(Path(__file__).parent.glob("*.py"))        # a frozen program and an archive have none
DIGEST_BYTES = hashlib.sha256().digest_size
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def options() -> list:
    """Return Numba's options that a kernel may depend on, as they are now."""
    return sorted((name, repr(value)) for name, value in vars(config).items()
                  if name.isupper() and not UNRELATED.match(name))


def _state_at_import():
    """Return a digest of all that kernels depend on: sources, options, processor, versions.

    A kernel contains the code of the functions it calls from other files, so all sources count.  They are read by
    content: an installer gives the same files other dates.
    """
    digest = hashlib.sha256(repr((
        sys.version, getattr(sys, "abiflags", ""), numba.__version__, llvmlite.__version__,
        np.__version__.split(".")[:2],                  # Numba's rules for types follow NumPy's minor version
        binding.get_host_cpu_name(), options(), MISSING)).encode())
    for path in SOURCES:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest


def _chosen_folder():
    """Return the folder of all compiled kernels: in NUMBA_CACHE_DIR unless SCRATCHVAE_CACHE is set."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base and not os.environ.get("SCRATCHVAE_CACHE"):
        folder = absolute(base)
        return folder and folder / "scratchvae" / "kernels"
    return user_cache_folder("kernels")


# Without sources nothing would tell the kernels of this version from those of another.
FOLDER = _chosen_folder() if BACKEND == "numba" and SOURCES else None
_STATE = _state_at_import() if BACKEND == "numba" else None
_WARNINGS: set[str] = set()
_WATCHERS: list[Callable] = []


def _state():
    """Name the present state in 16 hexadecimal digits; Numba's options may have been changed since the import."""
    digest = _STATE.copy()
    digest.update(repr(options()).encode())
    return digest.hexdigest()[:16]


def _reason_against(status):
    """Return why another user could have written the file or folder of `status`, or None."""
    if not hasattr(os, "geteuid"):                      # Windows: a user's folders are closed to others
        return None
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    return "can be written to by other users" if status.st_mode & WRITABLE_BY_OTHERS else None


def reason_against_folder() -> str | None:
    """Return why kernels must not be read from FOLDER nor written to it, or None."""
    try:
        status = os.lstat(FOLDER)
    except OSError:                                     # it is not there, and made when the first kernel is kept
        return None
    return _reason_against(status) if stat.S_ISDIR(status.st_mode) else "is no folder, or a link to one"


def usable_folder() -> Path | None:
    """Return the folder that kernels are kept in, whether it exists yet or not; None if every process compiles them."""
    if FOLDER is None or reason_against_folder():
        return None
    try:
        nearest = next(path for path in (FOLDER, *FOLDER.parents) if path.exists())
    except OSError:                                     # a path that is too long
        return None
    return FOLDER if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else None


def kernels_are_cached() -> bool:
    """Return whether an earlier process has left kernels that this one would compile; its disk may be read-only."""
    try:
        return FOLDER is not None and not reason_against_folder() and any((FOLDER / _state()).glob("*.nbc"))
    except OSError:                                     # a path that is too long
        return False


@contextmanager
def watched(watcher: Callable) -> Iterator:
    """While open, watcher(name, found) is called for each kernel that is asked for, before it is compiled."""
    _WATCHERS.append(watcher)
    try:
        yield
    finally:
        _WATCHERS.remove(watcher)


def _warn(trouble):
    """Warn, once in a process, that the cache is not used as it should be."""
    text = (f"the kernel cache {FOLDER} {trouble}; kernels are compiled again instead, which takes longer. "
            "Free its disk, set SCRATCHVAE_CACHE to a folder of your own, or delete that folder.")
    if text not in _WARNINGS:
        _WARNINGS.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _open(path, flags):
    """Open without following a link and without waiting for a pipe's other end."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


class KernelCache(NullCache):
    """The cache of one kernel: Numba asks it before it compiles, and passes it the result afterwards.

    A failure costs the time to compile but never the call: the disk may be full, a file may have been cut short.
    """

    def __init__(self, kernel: str):
        self.kernel = kernel

    def _name(self, signature, codegen):
        code = hashlib.sha256(repr((signature, codegen.magic_tuple())).encode()).hexdigest()[:16]
        return f"{_state()}/{self.kernel}-{code}.nbc"

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the kernel that was kept for a signature, or None."""
        found = self._load(signature, context)
        for watcher in _WATCHERS:
            watcher(self.kernel, found is not None)
        return found

    def _load(self, signature, context):
        if FOLDER is None:
            return None
        rtsys.initialize(context)                       # all that the code of a kernel needs of Numba
        trouble = reason_against_folder()
        if trouble is None:
            name = self._name(signature, context.codegen())
            try:
                with open(FOLDER / name, "rb", opener=_open) as file:
                    status = os.fstat(file.fileno())
                    content = memoryview(file.read() if stat.S_ISREG(status.st_mode) else b"")
                if reason := _reason_against(status):
                    trouble = f"holds a file that {reason}"
                elif content[:DIGEST_BYTES] != _checksum(name, content[DIGEST_BYTES:]):
                    trouble = "holds a damaged file"
                else:
                    names, parts = pickle.loads(content[DIGEST_BYTES:])
                    return CompileResult._rebuild(context, *parts) if make_known(names) else None
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                trouble = f"failed ({error.strerror})"
        _warn(trouble)
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a kernel that was just compiled."""
        if FOLDER is None or result.library.has_dynamic_globals:
            return
        name = self._name(signature, result.codegen)
        path = FOLDER / name
        try:
            FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:                                 # no folder can be made there, on a read-only disk for example
            return
        if reason_against_folder():                     # the attempt to load has warned
            return
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write(path, name, dumps((mentioned(result.library.get_llvm_str()), result._reduce())))
        except OSError as error:
            _warn(f"failed ({error.strerror})")


def _checksum(name, content):
    """Return what stands before the content; it includes the name, so that a renamed file is refused as well."""
    digest = hashlib.sha256(name.encode() + b"\0")
    digest.update(content)
    return digest.digest()


def _write(path, name, content):
    """Write a file that only this user can read, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with open(descriptor, "wb") as file:
            file.write(_checksum(name, content))
            file.write(content)
        os.replace(temporary, path)
    except PermissionError:
        if not path.exists():
            raise
        # On Windows another process may be reading the file of that name, which is as good as ours.
    finally:
        Path(temporary).unlink(missing_ok=True)
