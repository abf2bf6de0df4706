"""Reader of tables of numbers as text: .csv, .tsv, .txt and .amat, gzipped or not."""
import csv
import gzip
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import DataError
from .readers import CHUNK, MOST_UNPACKED, names_faults

LINES = 4096                    # lines that are turned into numbers at a time
MOST_RATIO = 60                 # times the packed size: digits as text deflate by 8 to 20
MOST_LINE = 1 << 22             # bytes of a line: a color picture of 512 x 512 takes less
COUNTED = (2, 4), (4, 10)       # names that count from 0, and from 1: how few may be names, and how many must be
WHOLE = 2**53                   # a float holds smaller whole numbers exactly
MOST_NAME = 40                  # letters of a column's name that are kept


@names_faults
def read_table(path: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return (numbers, names): an array (n, columns), and the names of the columns if the first line has some.

    Columns are separated by commas, semicolons, tabs or spaces.  Where no number has a point or an exponent, the
    numbers are integers; those of an .amat file are floats in any case.  Raises DataError if a line has another number
    of columns, or something that is no number, or if names have none of the first column.
    """
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        lines = _lines(path, gzip.GzipFile(fileobj=file) if is_gzip else file, os.fstat(file.fileno()).st_size)
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path}: holds no numbers; expected one example a line. Write it again.")
        if "\r" in first.strip("\r\n"):
            raise DataError(f"{path}: lines that end in a carriage return alone. Write it with line feeds.")
        separator = next((mark for mark in "\t;," if mark in re.sub('"[^"]*"', "", first)), None)
        head = first.removeprefix("#").strip()                                    # numpy.savetxt writes it before names
        fields = head.split() if separator is None else next(csv.reader([head], delimiter=separator))
        names = tuple(field.strip().strip('"')[:MOST_NAME] for field in fields)
        below = list(itertools.islice(lines, LINES))
        nameless = names[:1] == ("",)
        is_named, lines = _are_names(names[nameless:], below, separator), itertools.chain(below, lines)
        if is_named and nameless:
            raise DataError(f"{path}: the first column has no name, like row numbers of pandas and R; expected data "
                            "under names. Write it with index=False (R: row.names=FALSE), or give it a name.")
        if not is_named:
            names, lines = (), itertools.chain([first], lines)
        always_floats, pieces = ".amat" in Path(path).suffixes, []
        while chunk := list(itertools.islice(lines, LINES)):
            pieces.append(_numbers(path, chunk, separator, len(pieces) * LINES, always_floats))
            if pieces[-1].shape[1] != (len(names) or pieces[0].shape[1]):
                raise DataError(f"{path}: {pieces[-1].shape[1]} columns after line {len(pieces) * LINES - LINES + 1}; "
                                f"expected {len(names) or pieces[0].shape[1]}. Give every line as many numbers.")
    if not pieces:
        raise DataError(f"{path}: holds no numbers below the names of its columns. Write it again.")
    return np.concatenate(pieces), names


def _lines(path, stream, packed) -> Iterator[str]:
    """Yield the lines that are not empty."""
    total = 0
    while line := stream.readline(MOST_LINE):
        total += len(line)
        if total > max(CHUNK, min(MOST_UNPACKED, MOST_RATIO * packed)):
            raise DataError(f"{path}: more than {total:,} bytes of text in a file of {packed:,}; expected at most "
                            f"{MOST_RATIO} times as many, and never over 2 GiB. Save the numbers as .npy.")
        if len(line) == MOST_LINE:
            raise DataError(f"{path}: a line of more than {MOST_LINE:,} bytes; expected numbers, one example a line. "
                            "Save the numbers as .npy.")
        if text := line.decode("utf-8-sig" if total == len(line) else "utf-8").strip():
            yield text


def _are_names(fields, below, separator):
    """Return whether the fields of a first line name the columns: one is a word, or they count from 0 or 1.

    A few that count could be numbers, too: they are names if no number below is written as whole.
    """
    for k, (least, certain) in enumerate(COUNTED):
        if len(fields) >= least and fields == tuple(map(str, range(k, k + len(fields)))):
            return len(fields) >= certain or bool(below) and not any(
                text.strip().lstrip("+-").isdigit() for line in below for text in line.split(separator))
    try:
        return not [float(field) for field in fields if field]
    except ValueError:
        return True


def _numbers(path, lines, separator, done, always_floats):
    try:
        found = np.loadtxt(lines, delimiter=separator, ndmin=2, comments=None, quotechar='"')
    except ValueError as error:
        reason, first = str(error).split("; use")[0].rstrip("."), "convert" in str(error)  # then NumPy counts from 0
        reason = re.sub(r"row (\d+)", lambda row: f"line {done + int(row[1]) + first} of the numbers", reason)
        raise DataError(f"{path}: {reason}; expected numbers alone, the same count on every line. Write classes as "
                        "whole numbers, and leave out other text.") from None
    if always_floats or any(mark in line for line in lines for mark in ".eEnN"):
        return found
    if not (np.abs(found) < WHOLE).all():
        raise DataError(f"{path}: integers of more than 15 digits; expected gray levels of 0..255 or numbers with a "
                        "decimal point. Leave that column out.")
    return found.astype(np.uint8 if 0 <= found.min() <= found.max() <= 255 else np.int64)
