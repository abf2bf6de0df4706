"""One file format for models and runs: an .npz without pickles, saved atomically, loaded with suspicion.

A file holds arrays and one JSON text, `meta`: {"format": 1, "kind": ..., "sha256": ..., ...}.  The checksum
covers the rest of `meta` and every array's name, dtype, shape and bytes.
"""
import hashlib
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .errors import RunError
from .files import write_atomically

FORMAT = 1
DTYPES = ("float32", "float64", "int64")


def _checksum(meta, arrays):
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {a.dtype.str} {a.shape}".encode())
        digest.update(a.data)
    return digest.hexdigest()


def save_arrays(path, kind, meta, arrays):
    """Write arrays and a JSON-able dict to `path`, atomically.

    Parameters
    ----------
    path : str or Path
        The file, by custom model.npz.
    kind : str
        What the file is, for example "vae".
    meta : dict
        Anything that JSON holds.
    arrays : dict of str to ndarray
        float32, float64 or int64.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    meta = {"format": FORMAT, "kind": kind, **meta}
    text = json.dumps({**meta, "sha256": _checksum(meta, arrays)})
    write_atomically(path, lambda file: np.savez(file, meta=np.array(text), **arrays))


def load_arrays(path):
    """Return (kind, meta, arrays) of a file that `save_arrays` wrote.

    Raises
    ------
    RunError
        If the file is missing, damaged, of a later format, or not such a file at all; the message says which.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > size:
                raise RunError(f"{path} promises more bytes than it holds ({size}); it is damaged or compressed by "
                               "another program. Take an intact copy.")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop("meta")))
        kind, version, checksum = meta["kind"], meta["format"], meta.pop("sha256")
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist; expected a model file saved by scratchvae. Check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError, RuntimeError,
            MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"{path} is no intact model file ({type(error).__name__}: {error}). "
                       "Take a copy that scratchvae saved.") from error
    if version != FORMAT:
        raise RunError(f"{path} has format {version!r}; this version of scratchvae reads format {FORMAT}. "
                       "Load it with the version that wrote it.")
    if checksum != _checksum(meta, arrays) or any(a.dtype.name not in DTYPES for a in arrays.values()):
        raise RunError(f"{path} does not match its own checksum: it was damaged or edited. Take an intact copy.")
    for name in ("kind", "format"):
        del meta[name]
    return kind, meta, arrays
