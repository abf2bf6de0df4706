"""Checks that data have not changed: a fingerprint of their numbers, and the state of the files behind them."""
import hashlib
import mmap
import os

import numpy as np

from ..arrays import stretches
from ..errors import DataError


def fingerprint(x: np.ndarray) -> str:
    """Return a SHA-256 of an array's shape, dtype and numbers, 64 hexadecimal digits, which differ for other data.

    The byte order and the order of axes in memory do not matter.  Of data of more than 16 MiB, 64 stretches of 256 KiB
    are hashed, spread evenly from the first byte to the last, so that a large mapped file is not read whole.  A change
    between the stretches is not seen.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(2, 3)
    >>> fingerprint(x) == fingerprint(x.copy()), fingerprint(x) == fingerprint(x[::-1])
    (True, False)
    """
    x = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{x.shape} {x.dtype.str}".encode())
    for stretch in stretches(x.reshape(-1).view(np.uint8)):
        digest.update(stretch)
    return digest.hexdigest()


def _owners(array):
    """Yield an array and each object that owns its memory, up to the memory map if there is one."""
    while array is not None:
        yield array
        array = getattr(array, "base", None)


def check_mapped(x: np.ndarray, name: str) -> None:
    """Raise DataError if x is mapped from a file that was cut short: to read its lost part would kill the process."""
    mapped, owner = [None, *_owners(x)][-2:]
    if isinstance(mapped, np.memmap) and isinstance(owner, mmap.mmap):
        end = mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY + len(owner)
        if owner.size() < end:
            raise DataError(f"{name} is mapped from a file that had at least {end:,} bytes and now has "
                            f"{owner.size():,}; expected that nobody writes into it. Load the data again.")


def mapped_files(*arrays: np.ndarray | None) -> dict[str, tuple]:
    """Return the state of each file that arrays are mapped from, read-only, by its path, for `check_unchanged`.

    The state is the file's device, number, size in bytes and time of last change.  Maps that this process may write to
    are left out, because their files may change.
    """
    names = {owner.filename for array in arrays for owner in _owners(array)
             if isinstance(owner, np.memmap) and owner.mode in ("r", "c") and owner.filename}
    return {os.fspath(name): state for name in names if (state := _state(name))}


def _state(path):
    try:
        found = os.stat(path)
    except OSError:                                  # removed: the mapped data stay readable
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_unchanged(files: dict[str, tuple]) -> None:
    """Raise DataError if one of the files was written to since `mapped_files` returned them.

    A file that was removed, or replaced by another of its name, is allowed: the mapped data stay readable.
    """
    for path, before in files.items():
        now = _state(path)
        if now and now[:2] == before[:2] and now != before:
            raise DataError(f"{path} was written to during training: {before[2]:,} bytes, now {now[2]:,}; expected "
                            "data that stay as they are. Train anew, or go on from the last saved epoch with the old "
                            "file. To replace a file write another and rename it.")
