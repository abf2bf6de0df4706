"""One file format for models and runs: an .npz without pickles, written atomically and checked as it is read.

A file holds arrays and one JSON text, `meta`: {"format": 1, "kind": ..., "sha256": ..., ...}.  The checksum
covers the rest of `meta` and every array's name, dtype, shape and bytes.
"""
import hashlib
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigurationError, DataError, RunError
from ..validation import file_path
from .atomic import open_regular, write_atomically
from .readers import read_member

FORMAT = 1
DTYPES = ("float32", "float64", "int64", "float16")
RESERVED = ("meta", "file", "allow_pickle")     # names that no array can have: numpy.savez uses them otherwise


def _checksum(meta, arrays):
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {a.dtype.str} {a.shape}".encode())
        digest.update(a.data)
    return digest.hexdigest()


def save_arrays(path: str | Path, kind: str, meta: dict, arrays: dict[str, Any]) -> None:
    """Write arrays of DTYPES and `meta`, which JSON must be able to hold, to `path`, atomically.

    `kind` says what the file is, for example "vae".  Raises RunError if the file cannot be written, and
    ConfigurationError if it cannot hold meta or an array.
    """
    path = file_path("path", path)
    for name, array in arrays.items():
        if name in RESERVED or not isinstance(array, np.ndarray) or array.dtype.name not in DTYPES:
            found = getattr(array, "dtype", type(array).__name__)
            raise ConfigurationError(f"array {name!r} is of {found}; a file holds arrays of {', '.join(DTYPES)}, "
                                     f"not called {', '.join(RESERVED)}. Convert it.")
    meta = {"format": FORMAT, "kind": kind, **meta}
    try:
        text = json.dumps({**meta, "sha256": _checksum(meta, arrays)})
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"meta holds what JSON cannot ({error}); expected text, plain numbers, lists and "
                                 "dicts. Convert it.") from error
    write_atomically(path, lambda file: np.savez(file, meta=np.array(text), **arrays))


def load_arrays(path: str | Path) -> tuple[str, dict, dict[str, np.ndarray]]:
    """Return (kind, meta, arrays) of a file that `save_arrays` wrote; the arrays are read-only.

    Raises RunError if the file is missing, damaged, of another format or no such file at all; the message says which.
    """
    path = file_path("path", path)
    try:
        arrays = _read_members(path)
        meta = json.loads(str(arrays.pop("meta")))
        kind, version, checksum = meta["kind"], meta["format"], meta.pop("sha256", None)
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist; expected a model file saved by scratchvae. Check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile,
            zlib.error) as error:
        raise RunError(f"{path} is no intact model file ({type(error).__name__}: {error!s:.300}). "
                       "Take a copy that scratchvae saved.") from error
    if version != FORMAT:
        raise RunError(f"{path} has format {version!r:.20}; this version of scratchvae reads format {FORMAT}. "
                       "Load it with the version that wrote it.")
    if checksum != _checksum(meta, arrays) or any(a.dtype.name not in DTYPES for a in arrays.values()):
        raise RunError(f"{path} does not match its own checksum: it was damaged or edited. Take an intact copy.")
    del meta["kind"], meta["format"]
    return kind, meta, arrays


def _read_members(path):
    """Return {name: array} of every member; raises DataError or what zipfile does where the file is damaged.

    Members are stored, not deflated, so that together they cannot be larger than the file.
    """
    arrays = {}
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        size = os.fstat(file.fileno()).st_size
        if sum(member.file_size for member in archive.infolist()) > size:
            raise DataError(f"it promises more bytes than it holds ({size:,}): damaged, or compressed elsewhere")
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            arrays[name] = read_member(f"array {name[:40]!r}", archive, member, _check_header)
            arrays[name].flags.writeable = False
    return arrays


def _check_header(where, dtype, shape):
    if dtype.kind not in "biufU":                       # numbers or text; no objects, no fields
        raise DataError(f"{where} holds {dtype.str[:20]!r}; expected {', '.join(DTYPES)}")
