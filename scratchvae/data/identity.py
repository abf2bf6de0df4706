"""Whether data are still what they were: a fingerprint of their numbers, and the files that they are mapped from."""
import hashlib
import mmap
import os

import numpy as np

from ..arrays import stretches
from ..errors import DataError


def fingerprint(x):
    """Return a digest of an array's shape, dtype and numbers: other data have another one.

    Of data of more than 16 MiB, 64 stretches of 256 KiB are hashed, spread evenly from the first byte to the last:
    a large memory-mapped file is not read whole. A change between the stretches is not seen.

    Parameters
    ----------
    x : ndarray
        Rows of numbers, in memory or mapped. The byte order and the order of axes in memory do not matter.

    Returns
    -------
    str
        64 hexadecimal digits, a SHA-256.

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
    """Yield an array and what its memory belongs to, up to the memory map if there is one."""
    while array is not None:
        yield array
        array = getattr(array, "base", None)


def check_mapped(x, name):
    """Raise DataError if x is mapped from a file that has been cut short: to read what is gone kills the process."""
    mapped, owner = [None, *_owners(x)][-2:]
    if isinstance(mapped, np.memmap) and isinstance(owner, mmap.mmap):
        end = mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY + len(owner)
        if owner.size() < end:
            raise DataError(f"{name} is mapped from a file that had at least {end:,} bytes and now has "
                            f"{owner.size():,}; expected that nobody writes into it. Load the data again.")


def mapped_files(*arrays):
    """Return the state of each file that arrays are mapped from, read-only, for `check_unchanged`.

    A map that this process may write to is left out: the file then changes by right, and its time stamp late.

    Parameters
    ----------
    *arrays : ndarray or None

    Returns
    -------
    dict of str to tuple
        The file's path, and its device, number, size in bytes and time of last change.

    Examples
    --------
    >>> mapped_files(np.zeros(3), None)
    {}
    """
    names = {owner.filename for array in arrays for owner in _owners(array)
             if isinstance(owner, np.memmap) and owner.mode in ("r", "c") and owner.filename}
    return {os.fspath(name): state for name in names if (state := _state(name))}


def _state(path):
    try:
        found = os.stat(path)
    except OSError:                                  # removed: what is mapped lives on
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_unchanged(files):
    """Raise DataError if a file was written to since `mapped_files` looked at it.

    A file that was removed, or replaced by another of its name, does not matter: the mapped one lives on.

    Parameters
    ----------
    files : dict
        What `mapped_files` returned.
    """
    for path, before in files.items():
        now = _state(path)
        if now and now[:2] == before[:2] and now != before:
            raise DataError(f"{path} was written to during training: {before[2]:,} bytes, now {now[2]:,}; expected "
                            "data that stay as they are. Train anew, or go on from the last saved epoch with the old "
                            "file. To replace a file write another and rename it.")
