"""Reader of MATLAB's .mat files of version 5 (save -v6 and -v7): numeric arrays, and nothing else of them.

A file is a header of 128 bytes and elements, each a tag (type, bytes) and its content.  An array is an element whose
content is elements again: flags, sides, name, numbers.  With -v7 each array is packed by zlib.
"""
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .readers import AGAIN, check_header, check_size, check_unpacked_size, CHUNK, names_faults, unpack

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}   # in the file
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
MATRIX, COMPRESSED = 14, 15
COMPLEX, LOGICAL = 0x800, 0x200                     # bits of an array's flags
MOST_SIDES, MOST_NAME = 32, 63                      # axes, and letters of a name, in MATLAB
V7 = "Save it in MATLAB with save('file.mat', '-v7'), or in Python as .npz."


class Array(NamedTuple):
    """An array of a file that has not been read yet: its stream, at the numbers, and what its header says."""

    stream: Any
    packed: int
    shape: tuple[int, ...]
    stored: np.dtype
    dtype: np.dtype
    size: int


class Piece:
    """A stretch of an open file as a stream of its own, unpacked by zlib if asked for."""

    def __init__(self, file: Any, start: int, size: int, unpacker: Any = None) -> None:
        self.file, self.place, self.end, self.unpacker, self.waiting = file, start, start + size, unpacker, b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end; raises EOFError if a packed stretch ends too early."""
        if self.unpacker is None:
            return self._next(size)
        found = b""
        while len(found) < size and not self.unpacker.eof:
            self.waiting = self.waiting or self._next(CHUNK)
            if not self.waiting:
                raise EOFError("a compressed array ends too early")
            found += self.unpacker.decompress(self.waiting, size - len(found))
            self.waiting = self.unpacker.unconsumed_tail
        return found

    def _next(self, size):
        self.file.seek(self.place)
        found = self.file.read(min(size, self.end - self.place))
        self.place += len(found)
        return found


@names_faults
def read_mat(path: str | Path, choose: Callable) -> list[np.ndarray | None]:
    """Read numeric arrays by name, which choose(path, names) returns as in `read_npz`.

    Axes are as in MATLAB, so memory is in Fortran's order; arrays that are not packed are memory maps.  Raises
    DataError if the file is of another version or damaged, or an array would take more memory than a file of its size
    can be believed to hold.
    """
    with open(path, "rb") as file:
        start = file.read(128)
        if start[:8] == b"\x89HDF\r\n\x1a\n" or start[:10] == b"MATLAB 7.3":
            raise DataError(f"{path}: of MATLAB's version 7.3, which is HDF5; expected version 5 to 7. {V7}")
        order = {b"IM": "<", b"MI": ">"}.get(start[126:])
        if order is None or struct.unpack(f"{order}H", start[124:126]) != (0x0100,):
            raise DataError(f"{path}: begins {start[:20]!r}; expected a MATLAB file of version 5 to 7. {V7}")
        arrays = dict(_arrays(path, file, order))
        return [name and _read(f"{path}, array {name!r}", file, arrays[name]) for name in choose(path, list(arrays))]


def _arrays(path, file, order):
    """Yield (name, Array) of each numeric array of the file; cells, structs, text and sparse arrays are passed over."""
    place, end = 128, os.fstat(file.fileno()).st_size
    while place < end:
        kind, size = _tag(Piece(file, place, 8), order, path)[:2]
        if size > end - place - 8:
            raise DataError(f"{path}: cut short: {size:,} bytes are announced at byte {place:,}, "
                            f"{end - place - 8:,} follow. {AGAIN}")
        stream = Piece(file, place + 8, size)
        if kind == COMPRESSED:
            stream.unpacker = zlib.decompressobj()
            kind = _tag(stream, order, path)[0]
        if kind == MATRIX and (found := _header(stream, order, path, size)):
            yield found
        place += 8 + size


def _tag(stream, order, path):
    """Return (type, bytes, content) of the next element; content is None unless it stands in the tag itself."""
    start = stream.read(8)
    if len(start) < 8:
        raise DataError(f"{path}: ends inside an array's header. {AGAIN}")
    kind, size = struct.unpack(f"{order}2I", start)
    if kind >> 16:                                  # at most 4 bytes of content
        return kind & 0xFFFF, min(kind >> 16, 4), start[4:]
    return kind, size, None


def _small(stream, order, path, most):
    """Return the content of an element of at most `most` bytes."""
    kind, size, content = _tag(stream, order, path)
    if size > most:
        raise DataError(f"{path}: {size:,} bytes in an array's header; expected at most {most}. {AGAIN}")
    content = stream.read(size + -size % 8) if content is None else content
    return content[:size]


def _header(stream, order, path, packed):
    """Return (name, Array), or None for an array that is not one of real numbers."""
    flags = int.from_bytes(_small(stream, order, path, 8)[:4], "little" if order == "<" else "big")
    shape = np.frombuffer(_small(stream, order, path, 4 * MOST_SIDES), f"{order}i4")
    name = _small(stream, order, path, MOST_NAME).decode("ascii")
    if flags & 0xFF not in CLASSES or flags & COMPLEX:
        return None
    kind, size, content = _tag(stream, order, path)
    if kind not in NUMBERS:
        raise DataError(f"{path}, array {name!r}: numbers of the unknown type {kind}. {AGAIN}")
    stored = np.dtype(NUMBERS[kind]).newbyteorder(order)
    dtype = np.dtype(bool if flags & LOGICAL else CLASSES[flags & 0xFF])
    if content is not None:                         # a number or two, which are no images
        return None
    return name, Array(stream, packed, tuple(shape.tolist()), stored, dtype, size)


def _read(where, file, array):
    check_header(where, array.stored, array.shape)
    promise = f"{array.shape} {array.stored}"
    check_size(where, promise, math.prod(array.shape) * array.stored.itemsize, array.size)
    padded = array.size + -array.size % 8
    if array.stream.unpacker is None and array.dtype == array.stored:
        if array.stream.end - array.stream.place not in (array.size, padded):
            raise DataError(f"{where}: too long or cut short: {promise} take {array.size:,} bytes. {AGAIN}")
        return np.memmap(file, array.stored, "r", array.stream.place, array.shape, "F")
    check_unpacked_size(where, promise, padded * array.dtype.itemsize // array.stored.itemsize, array.packed,
                        "If they are right, save them with -v6, which does not pack.")
    content = unpack(where, promise, array.stream, padded)
    return np.ndarray(array.shape, array.stored, content, order="F").astype(array.dtype, copy=False)
