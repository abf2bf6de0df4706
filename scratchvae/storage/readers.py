"""Readers of IDX, .npy, .npz and CIFAR files: a valid array, or a DataError that names the file and the fault.

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0

from ..errors import DataError

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX_AXES = {"images": (2, 3, 4), "labels": (1,)}
MAGIC = {"images": 2051, "labels": 2049}    # the usual first four bytes: unsigned bytes (0x08) with 3 axes, or with 1

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


def names_faults(reader: Callable) -> Callable:
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


@names_faults
def read_idx(path: str | Path, kind: str) -> np.ndarray:
    """Read one IDX file of any element type, gzipped or not: its content decides, not its name.

    Returns shape (n, ...) with 2 to 4 axes for the kind "images", (n,) for "labels"; a read-only memory map if the
    file is not gzipped.  Raises DataError if the file holds anything else, or less or more than its header promises.
    """
    with open(path, "rb") as file:
        packed = os.fstat(file.fileno()).st_size
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = gzip.GzipFile(fileobj=file) if is_gzip else file
        start = stream.read(4)
        magic = int.from_bytes(start, "big")
        code, n_axes = divmod(magic, 256)
        if code not in IDX_TYPES or n_axes not in IDX_AXES[kind] or len(start) < 4:
            found = next((f"a file of {k}" for k, axes in IDX_AXES.items() if code in IDX_TYPES and n_axes in axes),
                         f"it begins {start!r}")
            raise DataError(f"{path}: magic number {magic} ({found}); expected {MAGIC[kind]} ({kind}), or the same "
                            "with another type code or number of axes. Check that each file has its own name.")
        sizes = stream.read(4 * n_axes)
        if len(sizes) < 4 * n_axes:
            raise DataError(f"{path}: ends inside its header, after {4 + len(sizes)} bytes. {AGAIN}")
        shape, dtype = struct.unpack(f">{n_axes}I", sizes), np.dtype(IDX_TYPES[code])
        promise = f"{shape[0]:,} {kind}" + " of " * (n_axes > 1) + " x ".join(map(str, shape[1:]))
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            raise DataError(f"{path}: empty: its header says {promise}; expected at least one. {AGAIN}")
        if is_gzip:
            check_unpacked_size(path, promise, size, packed, "If it is right, unpack it with gunzip: "
                                "plain IDX files are memory-mapped.")
            return np.frombuffer(unpack(path, promise, stream, size), dtype).reshape(shape)
        check_size(path, promise, size, packed - file.tell())
        return np.memmap(file, dtype, "r", file.tell(), shape)


@names_faults
def read_cifar(path: str | Path, n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR's binary version: images (n, 3, 32, 32) and labels (n,), both uint8 and mapped.

    Each record has `n_labels` bytes of labels, of which the last and finest is returned.  Raises DataError if the file
    holds no whole number of records.
    """
    size, record = os.stat(path).st_size, n_labels + 3072
    if not size or size % record:
        raise DataError(f"{path}: {size:,} bytes; expected records of {record} bytes, {n_labels} of labels and 3 x 32 "
                        f"x 32 of pixels. {AGAIN}")
    records = np.memmap(path, np.uint8, "r", 0, (size // record, record))
    return records[:, n_labels:].reshape(-1, 3, 32, 32), records[:, n_labels - 1]


@names_faults
def read_npy(path: str | Path) -> np.memmap:
    """Map the array of a .npy file, read-only: bool, integers or floats in the file's byte order and axis order.

    Raises DataError if the file holds another dtype, Python objects, nothing, or less or more than its header promises.
    """
    with open(path, "rb") as file:
        dtype, shape, order = npy_header(path, file)
        check_header(path, dtype, shape)
        found = os.fstat(file.fileno()).st_size - file.tell()
        check_size(path, f"{shape} {dtype}", math.prod(shape) * dtype.itemsize, found)
        return np.memmap(file, dtype, "r", file.tell(), shape, order)


@names_faults
def read_npz(path: str | Path, choose: Callable) -> list[np.ndarray | None]:
    """Read arrays by name from an .npz file that np.savez or np.savez_compressed wrote.

    choose(path, names) returns a list of names, or None for an array that is not there, or raises DataError; arrays of
    other names are not read.  Raises DataError if one of them is damaged, of another dtype, of objects, or empty.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name, info in members.items():  # all of them: a damaged name must not hide an optional array
            _check_member(f"{path}, array {name[:40]!r}", archive, info)
        chosen = choose(path, list(members))
        wanted = {name: members[name] for name in chosen if name}
        check_unpacked_size(path, ", ".join(wanted), sum(info.file_size for info in wanted.values()),
                            os.stat(path).st_size, "If they are right, use np.savez or one .npy.")
        return [name and read_member(f"{path}, array {name!r}", archive, wanted[name], check_header)
                for name in chosen]


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
        check_size(where, f"{shape} {dtype}", size, info.file_size - stream.tell())
        content = unpack(where, f"{shape} {dtype}", stream, size)
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


def check_header(where: str | Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Raise DataError unless dtype and shape can be those of images or labels."""
    if dtype.hasobject:
        raise DataError(f"{where}: holds pickled Python objects, which can run code and are never loaded. "
                        "Save an array of numbers.")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        found = "of several fields" if dtype.names else repr(dtype.str[:20])
        raise DataError(f"{where}: holds dtype {found}; expected bool, integers, float16, float32 or float64. "
                        "Convert it, say with .astype(float).")
    if not 1 <= len(shape) <= 4 or not all(0 <= side < 10**18 for side in shape):
        raise DataError(f"{where}: its .npy header states the shape {str(shape)[:60]}; expected (n, D), "
                        "(n, rows, columns) or (n, rows, columns, 3). Save one array of images.")
    if math.prod(shape) == 0:
        raise DataError(f"{where}: an empty array of shape {shape}; expected at least one row and column. {AGAIN}")


def check_size(where: str | Path, promise: str, size: int, found: int) -> None:
    """Raise DataError unless `found` bytes are the `size` bytes that the header's promise takes."""
    if found != size:
        state = "cut short" if found < size else "too long"
        raise DataError(f"{where}: {state}: {promise} take {size:,} bytes, {found:,} follow the header. {AGAIN}")


def check_unpacked_size(where: str | Path, promise: str, size: int, packed: int, remedy: str) -> None:
    """Raise DataError if `size` bytes would come of a file of `packed` bytes that no real data pack so well."""
    if size > max(packed, min(MOST_UNPACKED, max(ALWAYS_UNPACKED, MOST_RATIO * packed))):
        raise DataError(f"{where}: refused before unpacking: {promise} would take {size:,} bytes, the file "
                        f"has {packed:,}; at most {MOST_RATIO} times that is unpacked, and never over 2 GiB. "
                        + remedy)


def unpack(where: str | Path, promise: str, stream: Any, size: int) -> bytearray:
    """Return the `size` bytes of a stream that must end there; reading its end also checks the CRC."""
    unpacked = bytearray()                  # grows with what arrives: a header that lies costs no memory
    while len(unpacked) < size:
        piece = stream.read(min(CHUNK, size - len(unpacked)))
        if not piece:
            break
        unpacked += piece
    check_size(where, promise, size, len(unpacked) + len(stream.read(1)))
    return unpacked
