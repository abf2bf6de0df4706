"""What the files of a path hold: arrays of examples and labels, as they are stored."""
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..storage import text_tables
from ..storage.matlab import read_mat
from ..storage.pictures import read_pictures, SUFFIXES
from ..storage.readers import read_cifar, read_idx, read_npy, read_npz

PATHS = ("an IDX file with a name like train-images-idx3-ubyte or a folder of them, an .npz, .npy, .csv or .mat file, "
         "the folder of CIFAR's binary version, or a folder of PNG or JPEG files")

# Names of arrays in .npz and .mat files, in small letters: training and test examples, and their labels.
SPLIT = (("train", "test", "train_labels", "test_labels"), ("x_train", "x_test", "y_train", "y_test"),
         ("train_images", "test_images", "train_labels", "test_labels"),
         ("train_data", "test_data", "train_labels", "test_labels"),
         ("data", "testdata", "targetchar", "testtargetchar"))
WHOLE = ("images", "data", "x", "ff", "faces", "arr_0")                # examples that are not split
LABELS = ("label", "labels", "class", "target", "y", "digit")         # of these
COLUMNS = ("label", "labels", "class", "digit", "target")             # of a table; y may be a coordinate
LEAST_PICTURE = 64                                                     # pixels of an example that is taken for one
TRANSPOSED = r"(^|[^a-z])(emnist|chardata|olivettifaces)"               # names of files that hold columns before rows

IDX = re.compile(r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-\w+(\.gz)?")
CIFAR = {"data_batch_1.bin": ("data_batch_*.bin", "test_batch.bin", 1), "train.bin": ("train.bin", "test.bin", 2)}
PARTS = (("train", "training"), ("test", "testing", "val", "valid", "validation"))          # folders of pictures


class Source(NamedTuple):
    """Examples and labels as they are stored; without test examples some of the others will be held out."""

    train: np.ndarray
    test: np.ndarray | None = None
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    fields: tuple[str, ...] = ()
    name: str = ""
    transposed: bool = False


def read_source(path: Path, n_pixels: int | None = None) -> Source:
    """Return what a file or folder holds; raises DataError, which names it, for one that is no data or damaged.

    n_pixels, the numbers in an example where they are known, tells examples from their labels or columns from rows.
    """
    suffix = next((s for s in map(str.lower, reversed(path.suffixes)) if s != ".gz"), "")
    found = IDX.fullmatch(path.name)
    try:
        if path.is_dir():
            source = _read_folder(path)
        elif not path.is_file() or not found and suffix not in READERS:
            raise DataError(f"{path}: not a file that can be read as data. Give {PATHS}.")
        else:
            source = _read_idx(path.parent, found["set"]) if found else READERS[suffix](path, n_pixels)
    except OSError as error:                        # of a folder: the readers answer for files
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check its permissions.") from error
    stem = path.resolve().name if path.is_dir() else Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
    name = source.name or stem
    return source._replace(name=name, transposed=bool(re.search(TRANSPOSED, name.lower())))


def _read_folder(folder):
    names = {path.name for path in folder.iterdir()}
    for first, (train, test, n_labels) in CIFAR.items():
        if first in names:
            return _read_cifar(sorted(folder.glob(train)), folder / test, n_labels)
    if not any(map(IDX.fullmatch, names)) and (pictures := _read_pictures(folder)):
        return pictures
    if "batches.meta" in names:
        _refuse_pickles(folder, None)
    return _read_idx(folder)


def _read_idx(folder, prefix=None):
    """Read the four files of an IDX set: those that begin with the prefix, or the only ones in the folder."""
    files = [(found, path) for path in sorted(folder.iterdir()) if (found := IDX.fullmatch(path.name))]
    sets = {found["set"] for found, _ in files} if prefix is None else {prefix}
    if len(sets) > 1:
        raise DataError(f"{folder}: holds several sets, {', '.join(sorted(sets))}; expected one. Name the file of "
                        "training images of one of them.")
    prefix, arrays = min(sets, default=""), []
    for kind in ("images", "labels"):
        for parts in (("train",), ("t10k", "test")):
            path = next((path for found, path in files if found["set"] == prefix and found["part"] in parts
                         and found["kind"] == kind), None)
            if path is None and kind == "images":
                looked_for = ", ".join(f"{prefix}{part}-images-idx3-ubyte{gz}" for part in parts for gz in ("", ".gz"))
                raise DataError(f"{folder}: no images to be found there. Looked for {looked_for}, or PNG or JPEG "
                                "files. Give the folder that holds them.")
            arrays.append(path and read_idx(path, kind))
    return Source(*arrays, name=prefix.strip("-_") or folder.resolve().name)


def _read_cifar(train, test, n_labels):
    if not test.is_file():
        raise DataError(f"{test.parent}: {test.name} is missing. Unpack the archive of CIFAR's binary version again.")
    parts = [read_cifar(path, n_labels) for path in train]
    (images, labels), (test_images, test_labels) = map(np.concatenate, zip(*parts)), read_cifar(test, n_labels)
    return Source(images, test_images, labels, test_labels)


def _read_pictures(folder):
    """Return the pictures of a folder, of its folders train and test, or of one folder a class; None without any.

    The names of the two may be others of PARTS, in letters of any case; the first that is there is taken.
    """
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    parts = [next((inside[name] for name in names if name in inside), folder) for names in PARTS]
    parts = [folder] if folder in parts else parts
    found = [_pictures_of(part) for part in parts]
    if not all(paths for paths, _ in found):
        return None
    pixels = [read_pictures(paths) for paths, _ in found]
    numbers = _class_numbers({name for _, names in found for name in names or ()})
    labels = [None if names is None else np.array([numbers[name] for name in names]) for _, names in found]
    return Source(*pixels, *labels) if parts[1:] else Source(pixels[0], None, *labels)


def _pictures_of(folder):
    """Return a folder's pictures, in the order of their names, and the names of their folders, or None without any."""
    def seen(place):
        return sorted(path for path in place.iterdir() if not path.name.startswith("."))       # other programs' own

    def pictures(place):
        return [path for path in seen(place) if path.suffix.lower() in SUFFIXES]

    found = [path for place in seen(folder) if place.is_dir() for path in pictures(place)]
    if not (paths := pictures(folder)):
        return found, [path.parent.name for path in found]
    if found:
        raise DataError(f"{paths[0]}: a picture beside folders of pictures, such as {found[0].parent.name}; expected "
                        "pictures alone, or a folder of them for each class. Move one or the other.")
    return paths, None


def _class_numbers(names):
    """Return {name: label}: the names themselves if all are different numbers, and else their places in order."""
    numbers = {name: int(name) if name.isdecimal() else -1 for name in sorted(names)}
    if len(set(numbers.values())) == len(numbers) and all(0 <= number < 2**63 for number in numbers.values()):
        return numbers
    return {name: place for place, name in enumerate(numbers)}


def _choose(path, names):
    """Return the names of the arrays that are training and test examples, and their labels; None for what is absent."""
    if len(names) == 1:
        return [*names, None, None, None]
    known = {name.lower(): name for name in names}
    for spelling in SPLIT:
        if spelling[1] in known or spelling[0] in known and spelling[0] not in WHOLE:
            missing = [name for name in spelling[:2] if name not in known]
            if missing:
                break
            return [known.get(name) for name in spelling]
    else:
        missing = ["train"]
        examples = next((known[name] for name in WHOLE if name in known), None)
        if examples:
            return [examples, None, next((known[name] for name in LABELS if name in known), None), None]
    held = ", ".join(repr(name[:40]) for name in names[:8]) or "nothing"
    raise DataError(f"{path}: no array {missing[0]!r}; it holds {held}. Write it as np.savez_compressed(path, "
                    "train=..., test=..., train_labels=..., test_labels=...).")


def _read_mat(path, n_pixels):
    train, test, train_labels, test_labels = read_mat(path, _choose)
    return Source(_examples_first(train, train_labels, n_pixels), _examples_first(test, test_labels, n_pixels),
                  *(labels.reshape(-1) if labels is not None and 1 in labels.shape else labels
                    for labels in (train_labels, test_labels)))


def _examples_first(array, labels, n_pixels):
    """Return an array of MATLAB with one example a row.

    An example is a column or, of three or more axes, what the last axis counts; unless the labels are as many as the
    rows, or the columns alone are as many as the pixels of a picture.
    """
    if array is None:
        return None
    if array.ndim > 2:
        return np.moveaxis(array, -1, 0)
    as_rows = [_is_picture(side) if n_pixels is None else side == n_pixels for side in array.shape] == [False, True]
    if labels is not None and labels.size in array.shape and n_pixels is None:
        as_rows = labels.size == len(array)
    return array if as_rows else array.T


def _is_picture(n):
    return n >= LEAST_PICTURE and any(math.isqrt(n // colors)**2 * colors == n for colors in (1, 3))


def _read_table(path, n_pixels):
    """Read a table and, if its name says that it is for training, the one beside it that is for testing."""
    other = path.with_name(path.name.replace("train", "test"))
    table, fields = text_tables.read_table(path)
    place = _label_column(path, table, fields, n_pixels)
    rows, labels = _without_labels(path, table, place)
    kept = fields if place is None else fields[:place] + fields[place + 1:]
    if other == path or not other.is_file():
        return Source(rows, None, labels, None, kept)
    test, names = text_tables.read_table(other)
    if fields and names and names != fields:
        if sorted(names) == sorted(fields) and len(set(names)) == len(names):
            test = test[:, [names.index(name) for name in fields]]
        elif names != kept:
            raise DataError(f"{other}: columns {', '.join(names[:8])}; those of {path.name} are "
                            f"{', '.join(fields[:8])}. Give both the same ones.")
    missing = table.shape[1] - test.shape[1]
    if missing and not (missing == 1 and place is not None):                # a test part without labels
        raise DataError(f"{other}: {test.shape[1]} columns, but {path.name} has {table.shape[1]}. Give both the same.")
    test, test_labels = (test, None) if missing else _without_labels(other, test, place)
    return Source(rows, test, labels, test_labels, kept)


def _label_column(path, table, fields, n_pixels):
    """Return the place of the labels: of whole numbers under one of their names, or None.

    In a table without names that has a column more than a picture has pixels, it is the first column or, if that is
    the same everywhere, the last.
    """
    columns, names = table.shape[1], [name.lower() for name in fields]
    for name in COLUMNS:
        if name in names:
            place = names.index(name)
            if columns == 1:
                raise DataError(f"{path}: has a column {fields[place]!r} alone; expected numbers beside it. Add them.")
            if (np.rint(table[:, place]) == table[:, place]).all():
                return place
            if name in COLUMNS[:2]:
                raise DataError(f"{path}: the column {fields[place]!r} is not of whole numbers. Number the classes, or "
                                "give the column another name.")
    if not fields and columns > 1 and (columns - 1 == n_pixels if n_pixels else _is_picture(columns - 1)):
        return next((end for end in (0, columns - 1) if (table[:, end] != table[0, end]).any()), None)
    return None


def _without_labels(path, table, place):
    """Return (examples, labels), the latter None if there is no place of theirs."""
    if place is None:
        return table, None
    labels = table[:, place]
    if labels.dtype.kind == "f" and (np.abs(labels) >= text_tables.WHOLE).any():
        raise DataError(f"{path}: labels of more than 15 digits, which are rounded. Number the classes from 0.")
    return np.delete(table, place, axis=1), labels


def _refuse_pickles(path, _):
    convert = ('python -c "import gzip, pickle, numpy as np; a, _, b = pickle.load(gzip.open(\'mnist.pkl.gz\'), '
               "encoding='latin1'); np.savez('mnist.npz', train=a[0], train_labels=a[1], test=b[0], "
               'test_labels=b[1])"')
    raise DataError(f"{path}: pickled Python objects, which can run code and are never loaded. Convert what you trust, "
                    f"as in {convert} for mnist.pkl.gz.")


READERS = {".npz": lambda path, _: Source(*read_npz(path, _choose)), ".npy": lambda path, _: Source(read_npy(path)),
           ".mat": _read_mat,
           **dict.fromkeys((".csv", ".tsv", ".txt", ".amat"), _read_table),
           **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth"), _refuse_pickles)}
