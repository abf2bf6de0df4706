"""Data sets as arrays of rows: bundled, drawn and fetched ones by name, files and folders by path."""
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ConfigurationError, DataError
from ..validation import positive_integer
from .download import cache_folder, missing_files, SETS
from .faces import IMAGE_SHAPE, is_large, load_faces
from .meaning import as_data, storage_dtype
from .sources import LEAST_PICTURE, PATHS, read_source, Source

BUNDLED = ("mnist5k", "digits")
DATASETS = Path(__file__).parents[1] / "datasets"           # the folder of the bundled files
DRAWN = ("faces",)          # data sets that are computed when they are loaded

MOST_HELD_OUT = 10_000      # most rows that are held out of a file without test examples, as many as in MNIST
MOST_CONVERTED = 1 << 31    # most bytes of a mapped file that are converted in memory

TAKEN = "a bundled name ({}), a name that can be fetched ({}), {}".format(
    ", ".join(BUNDLED + DRAWN), ", ".join(SETS), PATHS)


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
    image_shape : (int, int) or (int, int, 3)
        Rows and columns of one image, whose product is D, and 3 for color; or (1, D) for rows that are no images.
    fields : tuple of str
        Names of the D columns where the file has some.
    """

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    name: str
    image_shape: tuple[int, ...]
    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        labels = "without labels" if self.train_labels is None else "with labels"
        return (f"<Dataset {self.name!r}: {len(self.train):,} training and {len(self.test):,} held-out rows of "
                f"{self.train.shape[1]:,} {self.train.dtype} numbers, {labels}>")


def load_data(source: str | Path, *, image_shape: Sequence[int] | None = None,
              transpose: bool | None = None) -> Dataset:
    """Load a data set by its name or from a path.

    Names are "mnist5k" and "digits", which are bundled; "mnist" and "fashion", fetched once with `scratchvae data
    fetch`; and "faces", drawn by `scratchvae.data.faces`: 5,000 and 1,000 pictures, labeled 1 where the eyes are larger
    than the median.  Write "./mnist" for a folder of that name.  A path may be

    - an IDX file of training images, or the folder of one set of IDX files, gzipped or not, named as in MNIST,
      Fashion-MNIST and EMNIST: train-images-idx3-ubyte, t10k-images... or test-images..., and labels beside them;
    - an .npz or a .mat (version 5 to 7) whose arrays are called train and test, x_train and x_test (Keras),
      train_images and test_images (MedMNIST), or images, data or x alone, with their labels.  In a .mat an example is a
      column, unless only the columns can be pictures;
    - an .npy with one array;
    - a .csv, .tsv, .txt or .amat of numbers, gzipped or not, with names in its first line or not.  A column of
      whole numbers called label, labels, class, digit or target (or the first of pixels and one more) is the labels.
      A file with "train" in its name finds its "test", of the same columns;
    - the folder of CIFAR-10's or CIFAR-100's binary version;
    - a folder of PNG or JPEG files of one size, in the order of their names, or of one folder of them a class, with
      `train` and `test`, or `val` where there is no `test`, above them or not.

    Where there are no test examples, a tenth of the rows is held out, at most 10,000: the last ones, so mix the rows
    before saving if they are sorted, or, where there are labels, rows spread evenly over all.

    Images are (n, rows, columns), (n, rows, columns, 1 or 3), (n, 1 or 3, rows, columns) or rows (n, D).
    `scratchvae.data.meaning` says what their numbers mean.  Labels are whole numbers, one an image.

    Plain IDX and .npy files are memory-mapped, read-only, so they may be larger than memory; a file that has to be
    converted (bool, wide integers, float16, foreign byte order, Fortran order) is held in memory.  Do not write into a
    mapped file while it is in use: training would read the new numbers, and to read rows that were cut off kills the
    process with SIGBUS.  Training stops if a file's size or time changes.  To replace a file, write another and rename
    it.

    Raises ConfigurationError if `source` is no known name and no path, or image_shape does not fit the data, and
    DataError, which names the file and the fault, if a file or folder is missing, damaged, or holds something else.

    Parameters
    ----------
    source : str or Path
        A name or a path.
    image_shape : (rows, columns) or (rows, columns, 3), optional
        Of the images in rows (n, D); without it they are taken as square gray images if D is a square, and as no
        images if it is not, or if fewer than 64 columns have names.
    transpose : bool, optional
        Whether the file holds the columns of an image before its rows; without it, whether its name is that of EMNIST
        or of another set of which this is known.

    Examples
    --------
    >>> digits = load_data("digits")
    >>> digits.train.shape, digits.test.shape, digits.train.dtype.name, digits.image_shape
    ((1438, 64), (359, 64), 'float32', (8, 8))
    """
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigurationError(f"source is {type(source).__name__}; expected {TAKEN}, as str or Path.")
    if image_shape is not None:
        image_shape = check_image_shape(image_shape)
    if not isinstance(transpose, (bool, type(None))):
        raise ConfigurationError(f"transpose is {transpose!r}; expected True, False or None. Leave it out.")
    for names, load in ((BUNDLED, _load_bundled), (DRAWN, _draw_faces), (SETS, _load_fetched)):
        if source in names:
            return load(source, image_shape, transpose)
    path = Path(source)
    try:
        is_there = path.exists()
    except (OSError, ValueError) as error:          # too long a name, no permission, a null byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{str(path)[:200]!r}: cannot be looked up ({reason}). Check the path.") from error
    if source == "" or not is_there and path.name == str(source) and not path.suffix:
        raise ConfigurationError(f"unknown data set {str(source)[:200]!r}, and no such path. Give {TAKEN}.")
    if not is_there:
        raise DataError(f"{path}: no such file or folder. Give {TAKEN}.")
    return _load_path(path, image_shape, transpose)


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, ...]:
    """Return (rows, columns) or (rows, columns, 3) as a tuple; raises ConfigurationError for anything else."""
    is_shape = isinstance(image_shape, (tuple, list)) and len(image_shape) in (2, 3)
    sides = tuple(positive_integer("image_shape", side) for side in image_shape) if is_shape else ()
    if not is_shape or sides[2:] not in ((), (1,), (3,)):
        raise ConfigurationError(f"image_shape is {image_shape!r}; expected (rows, columns), or (rows, columns, 3) for "
                                 "color. Pass for example (28, 20).")
    return sides[:2] + (3,) * (sides[2:] == (3,))


def _load_bundled(name, image_shape, transpose):
    data = _load_path(DATASETS / f"{name}.npz", image_shape, transpose)
    if name == "digits":                            # 0..16 counts of dark points in 4 x 4 blocks
        sixteenth = np.float32(1 / 16)
        data = data._replace(train=data.train * sixteenth, test=data.test * sixteenth)
    return data


def _draw_faces(name, image_shape, transpose):
    faces = load_faces()
    images = (part.images.reshape(-1, *IMAGE_SHAPE) for part in faces)
    labels = (is_large(part.factors["eye_size"]) for part in faces)
    return _dataset(name, Source(*images, *labels, name=name), image_shape, transpose)


def _load_fetched(name, image_shape, transpose):
    folder, missing = cache_folder() / name, missing_files(name)
    if missing:
        raise DataError(f"{name} is not on this machine: {folder} lacks {', '.join(file.name for file in missing)}. "
                        f"Run `scratchvae data fetch {name}` once with a network, or copy these files there.")
    return _load_path(folder, image_shape, transpose)._replace(name=name)


def _load_path(path, image_shape, transpose):
    source = read_source(path, image_shape and math.prod(image_shape))
    return _dataset(path, source, image_shape, source.transposed if transpose is None else transpose)


def _dataset(path, source, image_shape, transpose):
    if image_shape is None and source.fields and len(source.fields) < LEAST_PICTURE:
        image_shape = (1, len(source.fields))       # a table of measurements, although their number may be a square
    train, shape = _as_rows(f"{path}, train" if source.test is not None else path, source.train, image_shape, transpose)
    labels = _as_labels(f"{path}, training", source.train_labels, len(train))
    if source.test is None:
        parts = _held_out(path, train, labels)
    else:
        test, test_shape = _as_rows(f"{path}, test", source.test, image_shape, transpose)
        if test_shape != shape:
            sizes = " x ".join(map(str, shape)), " x ".join(map(str, test_shape))
            raise DataError(f"{path}: the training images are {sizes[0]}, the test images {sizes[1]}. Give both the "
                            "same size.")
        if test.dtype != train.dtype:               # uint8 is scaled by 1/255, floats are not
            raise DataError(f"{path}: train is {train.dtype}, test is {test.dtype}. Save both in one dtype.")
        parts = train, test, labels, _as_labels(f"{path}, test", source.test_labels, len(test))
    return Dataset(*parts, source.name, shape, source.fields)


def _held_out(path, rows, labels):
    """Return (train, test, train labels, test labels): the last rows are held out or, with labels, some of all."""
    if len(rows) < 2:
        raise DataError(f"{path}: holds one row; expected at least 2, as a tenth is held out. Add rows.")
    n_test = max(1, min(len(rows) // 10, MOST_HELD_OUT))
    if labels is None or rows.nbytes > MOST_CONVERTED:          # slices stay mapped
        kept, held = slice(-n_test), slice(-n_test, None)
    else:
        held = np.zeros(len(rows), bool)
        held[np.linspace(0, len(rows) - 1, n_test).astype(int) if n_test > 1 else [-1]] = True
        kept = ~held
    return rows[kept], rows[held], *((None, None) if labels is None else (labels[kept], labels[held]))


def _as_rows(where, images, image_shape, transpose):
    """Return images of any accepted shape as C-ordered rows (n, D) of a pixel dtype, and their (rows, columns)."""
    given = images.shape
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = np.moveaxis(images, 1, 3)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (2, 3) and images.shape[3:] != (3,):
        raise DataError(f"{where}: shape {given}; expected (n, rows, columns), (n, rows, columns, 3) or (n, D). "
                        "Reshape the images, for example x.reshape(len(x), -1).")
    if images.ndim == 2:
        D = images.shape[1]
        side = math.isqrt(D)
        shape = image_shape or ((side, side) if side * side == D else (1, D))
        if math.prod(shape) == D:
            stored = (shape[1], shape[0]) if transpose else shape[:2]
            images = images.reshape(len(images), *stored, *shape[2:])
    if transpose and images.ndim > 2:               # rows that the image shape does not fit are refused below
        images = images.swapaxes(1, 2)
    if image_shape not in (None, images.shape[1:]):
        raise ConfigurationError(f"image_shape is {image_shape}, but the examples of {where} are of shape "
                                 f"{given[1:]}. Leave it out, or give the rows and columns of these images.")
    return _as_pixels(where, images).reshape(len(images), -1), images.shape[1:]


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
        raise DataError(f"{where} labels: {len(labels):,} labels for {n_rows:,} images. Give one label an image.")
    low, high = labels.min().item(), labels.max().item()
    if not -2**63 <= low <= high < 2**63:
        raise DataError(f"{where} labels: from {low} to {high}; expected -2**63 to 2**63 - 1. "
                        "Number the classes from 0.")
    return labels.astype(np.int64)
