"""Data sets as arrays of rows: bundled and fetched ones by name, IDX folders, .npz and .npy files by path."""
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ConfigurationError, DataError
from ..storage.readers import read_idx, read_npy, read_npz
from .download import cache_folder, missing_files, SETS
from .faces import IMAGE_SHAPE, is_large, load_faces
from .meaning import as_data, storage_dtype

BUNDLED = ("mnist5k", "digits")
DATASETS = Path(__file__).parents[1] / "datasets"           # the folder of the bundled files
DRAWN = ("faces",)          # data sets that are computed when they are loaded

MOST_HELD_OUT = 10_000      # most rows of an .npy file that are held out, as many as in MNIST
MOST_CONVERTED = 1 << 31    # most bytes of a mapped file that are converted in memory

TAKEN = "a bundled name ({}), a name that can be fetched ({}), the folder of IDX files, an .npz or an .npy file".format(
    ", ".join(BUNDLED + DRAWN), ", ".join(SETS))


class Dataset(NamedTuple):
    """A data set, split in two.

    Attributes
    ----------
    train : ndarray (n, D), uint8, float32 or float64
        One example a row, in C order. uint8 means pixels 0..255; floats are as stored (NaN included).
    test : ndarray (m, D), same dtype
        Held out from training.
    train_labels, test_labels : ndarray (n,) and (m,) int64, or None
    name : str
        The bundled name, or the file's or folder's name.
    image_shape : (int, int)
        Rows and columns of one image, rows * columns = D, or (1, D) for rows that are no images.
    """

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    name: str
    image_shape: tuple[int, int]

    def __repr__(self) -> str:
        labels = "without labels" if self.train_labels is None else "with labels"
        return (f"<Dataset {self.name!r}: {len(self.train):,} training and {len(self.test):,} held-out rows of "
                f"{self.train.shape[1]:,} {self.train.dtype} numbers, {labels}>")


def load_data(source: str | Path) -> Dataset:
    """Load a data set by its name or from a path.

    Names are "mnist5k" and "digits", which are bundled; "mnist" and "fashion", fetched once with `scratchvae data
    fetch`; and "faces", drawn by `scratchvae.data.faces`: 5,000 and 1,000 pictures, labeled 1 where the eyes are larger
    than the median.  Write "./mnist" for a folder of that name.  A path may be

    - a folder with train-images-idx3-ubyte and t10k-images-idx3-ubyte, gzipped or not, and optionally
      train-labels-idx1-ubyte and t10k-labels-idx1-ubyte (the form of MNIST and its kin);
    - an .npz with `train` and `test`, optionally `train_labels` and `test_labels`;
    - an .npy with one array, whose last tenth of the rows (at most 10,000) is held out: mix the rows
      before saving if they are sorted.

    Images are (n, rows, columns), (n, rows, columns, 1) or rows (n, D), which are taken as square images if D is a
    square.  `scratchvae.data.meaning` says what their numbers mean.  Labels are whole numbers, one an image.

    Plain IDX and .npy files are memory-mapped, read-only, so they may be larger than memory; a file that has to be
    converted (bool, wide integers, float16, foreign byte order, Fortran order) is held in memory.  Do not write into a
    mapped file while it is in use: training would read the new numbers, and to read rows that were cut off kills the
    process with SIGBUS.  Training stops if a file's size or time changes.  To replace a file, write another and rename
    it.

    Raises ConfigurationError if `source` is no known name and no path, and DataError, which names the file and the
    fault, if a file or folder is missing, damaged, or holds something else.

    Examples
    --------
    >>> digits = load_data("digits")
    >>> digits.train.shape, digits.test.shape, digits.train.dtype.name, digits.image_shape
    ((1438, 64), (359, 64), 'float32', (8, 8))
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigurationError(f"source is {type(source).__name__}; expected {TAKEN}, as str or Path.")
    if source in BUNDLED:
        return _load_bundled(source)
    if source in DRAWN:
        return _draw_faces()
    if source in SETS:
        return _load_fetched(source)
    path = Path(source)
    try:
        is_folder, is_file, is_there = path.is_dir(), path.is_file(), path.exists()
    except (OSError, ValueError) as error:          # too long a name, no permission, a null byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(path)[:200]!r}: cannot be looked up ({reason}). Check the path.") from error
    if source == "" or not is_there and path.name == str(source) and not path.suffix:
        raise ConfigurationError(f"unknown data set {str(source)[:200]!r}, and no such path. Give {TAKEN}.")
    if not is_there:
        raise DataError(f"{path}: no such file or folder. Give {TAKEN}.")
    if is_folder:
        return _load_idx_folder(path)
    if is_file and path.suffix.lower() == ".npz":
        return _load_npz(path)
    if is_file and path.suffix.lower() == ".npy":
        return _load_npy(path)
    raise DataError(f"{path}: not a file that can be read as data. Give {TAKEN}.")


def _load_bundled(name):
    data = _load_npz(DATASETS / f"{name}.npz")
    if name == "digits":                            # 0..16 counts of dark points in 4 x 4 blocks
        sixteenth = np.float32(1 / 16)
        data = data._replace(train=data.train * sixteenth, test=data.test * sixteenth)
    return data


def _draw_faces():
    train, test = load_faces()
    return Dataset(train.images, test.images, is_large(train.factors["eye_size"]), is_large(test.factors["eye_size"]),
                   "faces", IMAGE_SHAPE)


def _load_fetched(name):
    folder, missing = cache_folder() / name, missing_files(name)
    if missing:
        raise DataError(f"{name} is not on this machine: {folder} lacks {', '.join(file.name for file in missing)}. "
                        f"Run `scratchvae data fetch {name}` once with a network, or copy these files there.")
    return _load_idx_folder(folder)._replace(name=name)


def _load_idx_folder(folder):
    found = {}
    for part in ("train", "t10k"):
        for kind, n_axes in (("images", 3), ("labels", 1)):
            stems = [f"{part}-{kind}{mark}idx{n_axes}-ubyte" for mark in "-."]
            names = [*stems, *(stem + ".gz" for stem in stems)]
            path = next((folder / name for name in names if (folder / name).is_file()), None)
            if path is None and kind == "images":
                raise DataError(f"{folder}: it holds no images. Looked for {', '.join(names)}. "
                                "Give the folder that holds the IDX files.")
            found[part, kind] = path and read_idx(path, kind)
    data = _dataset(folder, found["train", "images"], found["t10k", "images"],
                    found["train", "labels"], found["t10k", "labels"])
    return data._replace(name=folder.resolve().name)


def _load_npz(path):
    arrays = read_npz(path, ("train", "test"), ("train_labels", "test_labels"))
    return _dataset(path, arrays["train"], arrays["test"],
                    arrays.get("train_labels"), arrays.get("test_labels"))


def _load_npy(path):
    array, image_shape = _as_rows(path, read_npy(path))
    n_test = max(1, min(len(array) // 10, MOST_HELD_OUT))
    if len(array) < 2:
        raise DataError(f"{path}: holds one row; expected at least 2, as the last tenth is held out. "
                        "Add rows.")
    return Dataset(array[:-n_test], array[-n_test:], None, None, path.stem, image_shape)


def _dataset(path, train, test, train_labels, test_labels):
    train, image_shape = _as_rows(f"{path}, train", train)
    test, test_shape = _as_rows(f"{path}, test", test)
    if test_shape != image_shape:
        sizes = "the training images are {} x {}, the test images {} x {}".format(*image_shape, *test_shape)
        raise DataError(f"{path}: {sizes}. Give both the same size.")
    if test.dtype != train.dtype:                   # uint8 is scaled by 1/255, floats are not
        raise DataError(f"{path}: train is {train.dtype}, test is {test.dtype}. Save both in one dtype.")
    return Dataset(train, test, _as_labels(f"{path}, training", train_labels, len(train)),
                   _as_labels(f"{path}, test", test_labels, len(test)), path.stem, image_shape)


def _as_rows(where, images):
    """Return images of any accepted shape as C-ordered rows (n, D) of a pixel dtype, and their (rows, columns)."""
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (2, 3):
        raise DataError(f"{where}: shape {images.shape}; expected (n, rows, columns) or (n, D). "
                        "Reshape the images, for example x.reshape(len(x), -1).")
    image_shape = images.shape[1:]
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        image_shape = (side, side) if side * side == images.shape[1] else (1, images.shape[1])
    return _as_pixels(where, images).reshape(len(images), -1), image_shape


def _as_pixels(where, array):
    """Return a file's numbers as `meaning` says: the array itself, still mapped, if nothing has to be converted."""
    dtype = storage_dtype(array.dtype)
    is_ready = array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
    if array.nbytes > MOST_CONVERTED and not is_ready:
        raise DataError(f"{where}: {array.nbytes:,} bytes of {array.dtype.str} would be converted "
                        f"in memory; at most {MOST_CONVERTED:,} are. Save it as {dtype}, in C order.")
    return np.asarray(as_data(array, where))         # a plain ndarray, not a memmap


def _as_labels(where, labels, n_rows):
    if labels is None:
        return None
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind == "f" and not (np.rint(labels) == labels).all():
        raise DataError(f"{where} labels: {labels.dtype} of shape {labels.shape}; expected whole numbers of shape "
                        f"({n_rows},). Save one class number an image, as integers.")
    if len(labels) != n_rows:
        raise DataError(f"{where} labels: {len(labels):,} labels for {n_rows:,} images. "
                        "Give one label an image.")
    low, high = labels.min().item(), labels.max().item()
    if not -2**63 <= low <= high < 2**63:
        raise DataError(f"{where} labels: from {low} to {high}; expected -2**63 to 2**63 - 1. "
                        "Number the classes from 0.")
    return labels.astype(np.int64)
