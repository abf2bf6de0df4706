"""Readers of IDX, .npy and .npz files: a valid array, or a DataError that names the file and the fault.

The size that a header states is compared with the file's before memory is taken.  Nothing is unpickled.  Plain IDX and
.npy files are memory-mapped; compressed ones are unpacked piece by piece.
"""
import functools
import gzip
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0

from ..errors import DataError

MAGIC = {"images": 2051, "labels": 2049}    # first four bytes of IDX files: 0x0803 has 3 axes, 0x0801 has 1

# Real images deflate by 2 to 120 times, a bomb by up to 1032 times, the limit of deflate.  Files that are stored, not
# deflated, take no more than their size and are always allowed.
ALWAYS_UNPACKED = 1 << 26                   # bytes that are unpacked whatever the ratio
MOST_RATIO = 250                            # more are unpacked only up to this many times the packed size
MOST_UNPACKED = 1 << 31                     # bytes that are unpacked at most: larger files are better mapped
CHUNK = 1 << 20                             # bytes unpacked at a time

MOST_HEADER = 10_000                        # bytes of a .npy header; NumPy writes 118 and refuses more than this too
PARSER_ERRORS = (ValueError, TypeError, SyntaxError, ArithmeticError, LookupError, RecursionError, MemoryError,
                 tokenize.TokenError)       # what NumPy raises over a damaged header

AGAIN = "Fetch or write the file again."


def _names_faults(reader):
    """Turn what the standard library raises over a damaged file into a DataError that names the file."""
    @functools.wraps(reader)
    def read(path, *arguments):
        try:
            return reader(path, *arguments)
        except DataError:
            raise
        except (EOFError, zlib.error, struct.error, ValueError, NotImplementedError, zipfile.BadZipFile,
                gzip.BadGzipFile) as error:
            raise DataError(f"{path}: damaged or not what its name says ({error}). {AGAIN}") from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}). "
                            "Check the file's permissions and its disk.") from error
    return read


@_names_faults
def read_idx(path: str | Path, kind: str) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzipped or not: its content decides, not its name.

    Returns uint8 of shape (n, rows, columns) for the kind "images", (n,) for "labels"; a read-only memory map if the
    file is not gzipped.  Raises DataError if the file holds anything else, or less or more than its header promises.
    """
    n_axes = MAGIC[kind] & 0xFF
    with open(path, "rb") as file:
        packed = os.fstat(file.fileno()).st_size
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if is_gzip else file
        start = stream.read(4)
        magic = int.from_bytes(start, "big")
        if magic != MAGIC[kind] or len(start) < 4:
            found = next((f"a file of {k}" for k, m in MAGIC.items() if m == magic), f"it begins {start!r}")
            raise DataError(f"{path}: magic number {magic} ({found}); expected {MAGIC[kind]} ({kind}). "
                            "Check that each file has its own name and is IDX of unsigned bytes.")
        sizes = stream.read(4 * n_axes)
        if len(sizes) < 4 * n_axes:
            raise DataError(f"{path}: ends inside its header, after {4 + len(sizes)} bytes. {AGAIN}")
        shape = struct.unpack(f">{n_axes}I", sizes)
        promise = f"{shape[0]:,} {kind}" + (" of {} x {}".format(*shape[1:]) if n_axes == 3 else "")
        size = math.prod(shape)
        if size == 0:
            raise DataError(f"{path}: empty: its header says {promise}; expected at least one. {AGAIN}")
        if is_gzip:
            _check_unpacked_size(path, promise, size, packed, "If it is right, unpack it with gunzip: "
                                 "plain IDX files are memory-mapped.")
            return np.frombuffer(_unpack(path, promise, stream, size), np.uint8).reshape(shape)
        _check_size(path, promise, size, packed - file.tell())
        return np.memmap(file, np.uint8, "r", file.tell(), shape)


@_names_faults
def read_npy(path: str | Path) -> np.memmap:
    """Map the array of a .npy file, read-only: bool, integers or floats in the file's byte order and axis order.

    Raises DataError if the file holds another dtype, Python objects, nothing, or less or more than its header promises.
    """
    with open(path, "rb") as file:
        dtype, shape, order = npy_header(path, file)
        _check_header(path, dtype, shape)
        found = os.fstat(file.fileno()).st_size - file.tell()
        _check_size(path, f"{shape} {dtype}", math.prod(shape) * dtype.itemsize, found)
        return np.memmap(file, dtype, "r", file.tell(), shape, order)


@_names_faults
def read_npz(path: str | Path, required: Sequence[str], optional: Sequence[str]) -> dict[str, np.ndarray]:
    """Read arrays by name from an .npz file that np.savez or np.savez_compressed wrote.

    Optional arrays that the file does not hold are left out; arrays of other names are not read.  Raises DataError if a
    required array is missing, or an array is damaged, of another dtype, of Python objects, or empty.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name, info in members.items():  # all of them: a damaged name must not hide an optional array
            _check_member(f"{path}, array {name[:40]!r}", archive, info)
        missing = [name for name in required if name not in members]
        if missing:
            held = ", ".join(repr(name[:40]) for name in list(members)[:8]) or "nothing"
            raise DataError(f"{path}: no array {missing[0]!r}; it holds {held}. "
                            "Write it as np.savez_compressed(path, train=..., test=...).")
        wanted = {name: members[name] for name in (*required, *optional) if name in members}
        _check_unpacked_size(path, ", ".join(wanted), sum(info.file_size for info in wanted.values()),
                             os.stat(path).st_size, "If they are right, use np.savez or one .npy.")
        return {name: read_member(f"{path}, array {name!r}", archive, info, _check_header)
                for name, info in wanted.items()}


def _check_member(where, archive, info):
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: encrypted, or packed by zip method {info.compress_type}; expected stored "
                        "or deflated. Write it with np.savez_compressed.")
    if info.comment:                        # with a damaged length it could hide the next array's entry
        raise DataError(f"{where}: has a comment of {len(info.comment)} bytes; expected none. {AGAIN}")
    archive.open(info).close()              # raises if the name in the directory is not the name in place


def read_member(where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, check: Callable) -> np.ndarray:
    """Return the array of one member of an .npz file; check(where, dtype, shape) may refuse it before it is read."""
    with archive.open(info) as stream:
        dtype, shape, order = npy_header(where, stream)
        check(where, dtype, shape)
        size = math.prod(shape) * dtype.itemsize
        _check_size(where, f"{shape} {dtype}", size, info.file_size - stream.tell())
        content = _unpack(where, f"{shape} {dtype}", stream, size)
        return np.ndarray(shape, dtype, content, order=order)


def npy_header(where: str | Path, stream: Any) -> tuple[np.dtype, tuple[int, ...], Any]:
    """Return (dtype, shape, order) from a .npy header; NumPy's own parser reads at most MOST_HEADER bytes of it.

    The dtype may be of any kind, the shape of a damaged file may have negative sides, the order is "C" or "F".  The
    stream is left at the end of the header.  Raises DataError, which calls the array `where`, for a damaged header.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\1\0", b"\2\0"):
        raise DataError(f"{where}: begins {start!r}; expected an .npy array, b'\\x93NUMPY' and version "
                        "1 or 2. Write it with np.save or np.savez.")
    parse, width = ((read_array_header_1_0, 2) if start[6] == 1 else (read_array_header_2_0, 4))
    size = stream.read(width)
    length = int.from_bytes(size, "little")
    try:
        shape, fortran, dtype = parse(io.BytesIO(size + stream.read(min(length, MOST_HEADER))))
    except PARSER_ERRORS as error:
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"{where}: its .npy header is damaged or cut short ({length:,} bytes long: {reason}); expected "
                        f"a dtype, an order and a shape. {AGAIN}") from error
    return dtype, tuple(map(int, shape)), "F" if fortran else "C"


def _check_header(where, dtype, shape):
    """Raise DataError unless dtype and shape can be those of images or labels."""
    if dtype.hasobject:
        raise DataError(f"{where}: holds pickled Python objects, which can run code and are never loaded. "
                        "Save an array of numbers.")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        found = "of several fields" if dtype.names else repr(dtype.str[:20])
        raise DataError(f"{where}: holds dtype {found}; expected bool, integers, float16, float32 or float64. "
                        "Convert it, say with .astype(float).")
    if not 1 <= len(shape) <= 4 or not all(0 <= side < 10**18 for side in shape):
        raise DataError(f"{where}: its .npy header states the shape {str(shape)[:60]}; expected (n, D) or "
                        "(n, rows, columns). Save one array of images.")
    if math.prod(shape) == 0:
        raise DataError(f"{where}: an empty array of shape {shape}; expected at least one row and column. "
                        + AGAIN)


def _check_size(where, promise, size, found):
    if found != size:
        state = "cut short" if found < size else "too long"
        raise DataError(f"{where}: {state}: {promise} take {size:,} bytes, {found:,} follow the header. "
                        + AGAIN)


def _check_unpacked_size(where, promise, size, packed, remedy):
    if size > max(packed, min(MOST_UNPACKED, max(ALWAYS_UNPACKED, MOST_RATIO * packed))):
        raise DataError(f"{where}: refused before unpacking: {promise} would take {size:,} bytes, the file "
                        f"has {packed:,}; at most {MOST_RATIO} times that is unpacked, and never over 2 GiB. "
                        + remedy)


def _unpack(where, promise, stream, size):
    """Return the `size` bytes of a stream that must end there; reading its end also checks the CRC."""
    unpacked = bytearray()                  # grows with what arrives: a header that lies costs no memory
    while len(unpacked) < size:
        piece = stream.read(min(CHUNK, size - len(unpacked)))
        if not piece:
            break
        unpacked += piece
    _check_size(where, promise, size, len(unpacked) + len(stream.read(1)))
    return unpacked
