"""Checks of data sets, and the minibatches that are read from them into a buffer."""
import math
from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import DataError, ShapeError
from ..kernels import minibatch as kernels
from ..likelihoods.base import ROUNDING
from ..validation import one_of
from .identity import check_mapped
from .meaning import as_data, CHECKED_ROWS

BINARIZE = {"none": kernels.GRAY, "dynamic": kernels.DYNAMIC, "threshold": kernels.THRESHOLD}


def as_rows(x: np.ndarray, n_visible: int, name: str = "X") -> np.ndarray:
    """Return images or rows x (n, ...) as rows (n, n_visible) of uint8 levels, float32 or float64.

    `scratchvae.data.meaning` says what the numbers mean; they are copied only if necessary.  Raises ShapeError if x is
    no array of numbers, is empty, or has rows of another length, and DataError if values are masked or integers have
    no clear meaning; both call x by `name`.

    Examples
    --------
    >>> as_rows(np.zeros((5, 28, 28), np.uint8), 784).shape
    (5, 784)
    """
    x = as_array(x, name)
    if x.ndim < 2:
        raise ShapeError(f"{name} has shape {x.shape}; expected numbers of shape (n, {n_visible}). "
                         "Pass a two-dimensional array, one example a row.")
    if x.size == 0:
        raise ShapeError(f"{name} is empty, shape {x.shape}; expected at least one row of {n_visible} numbers. "
                         "Check how the data were loaded or selected.")
    columns = math.prod(x.shape[1:])
    if columns != n_visible:
        raise ShapeError(f"{name} has {columns} columns; this model was built for {n_visible} (n_visible). "
                         f"Reshape the images to (n, {n_visible}), or build the model with n_visible={columns}.")
    check_mapped(x, name)
    return as_data(x, name).reshape(len(x), columns)


def one_hot(y: Any, n: int, n_conditions: int) -> np.ndarray:
    """Return labels y, (n,) or one for all, as bool columns (n, n_conditions).

    Raises DataError unless they are whole numbers of 0 to n_conditions - 1.

    Examples
    --------
    >>> one_hot([0, 2], 2, 3).astype(int)
    array([[1, 0, 0],
           [0, 0, 1]])
    """
    labels = as_array(y, "y", labels=True)
    if labels.shape not in ((), (n,)) or not np.isin(labels, np.arange(n_conditions)).all():
        values = f"the value {labels}" if labels.ndim == 0 else f"shape {labels.shape}" + (
            f" and values from {labels.min()} to {labels.max()}" if labels.size else "")
        raise DataError(f"y has {values}; expected whole numbers of 0 to {n_conditions - 1}, one for each of the {n} "
                        "rows, or one for all. Number the classes from 0, or set n_conditions.")
    return np.broadcast_to(labels, n)[:, None] == np.arange(n_conditions)


def join_labels(rows: np.ndarray, y: Any, n_conditions: int) -> np.ndarray:
    """Return [rows | one-hot columns of y], (n, D + n_conditions), in the dtype of the rows; 255 is a level's 1."""
    columns = one_hot(y, len(rows), n_conditions)
    return np.hstack([rows, columns * rows.dtype.type(255 if rows.dtype == np.uint8 else 1)])


def check_data(x: np.ndarray, model: Any, name: str = "X", binarize: str = "none") -> np.ndarray:
    """Return x as `as_rows` does, after a check of every value in the model's dtype, as the model will read it.

    Raises what `as_rows` and `model.likelihood.check` raise, and DataError if a finite value is infinite in the model's
    dtype, if x is to be binarized and has values outside [0, 1], or if the columns of a model's conditions are not as
    `join_labels` makes them.
    """
    x = as_array(x, name)
    if model.n_conditions and x.ndim > 1 and math.prod(x.shape[1:]) == model.n_visible:
        raise ShapeError(f"{name} has {model.n_visible} columns and no labels y; expected [x | y] for n_conditions="
                         f"{model.n_conditions}. Pass y, or what join(X, y) returns.")
    x = as_rows(x, model.n_visible + model.n_conditions, name)
    if model.n_conditions:
        labels, one = x[:, -model.n_conditions:], 255 if x.dtype == np.uint8 else 1
        wrong = ((labels != 0).sum(axis=1) != 1) | (labels != one).all(axis=1)
        if wrong.any():
            row = wrong.argmax()
            raise DataError(f"{name} has the labels {labels[row].tolist()} at row {row}; expected n_conditions="
                            f"{model.n_conditions} columns of {x.dtype}, one {one} and else 0. Pass what join(X, y) "
                            "returns.")
    if x.dtype == np.uint8:                          # all levels are allowed
        return x
    for start in range(0, len(x), CHECKED_ROWS):
        piece = x[start:start + CHECKED_ROWS]
        with np.errstate(over="ignore"):
            read = piece.astype(model.dtype, copy=False)
        if read.dtype != piece.dtype and not (np.isfinite(read) | ~np.isfinite(piece)).all():
            raise DataError(f"{name} has values up to {np.abs(piece[np.isfinite(piece)]).max():.3g}; a model of dtype "
                            f"{model.dtype} reads at most {np.finfo(model.dtype).max:.3g}. Scale the data, or build "
                            'the model with dtype="float64".')
        model.likelihood.check(read, f"{name}[{start}:]" if start else name)
        if binarize != "none" and (read.min() < -ROUNDING or read.max() > 1 + ROUNDING):
            raise DataError(f"binarize is {binarize!r} and {name} has values from {read.min():.16g} to "
                            f"{read.max():.16g}; only values in [0, 1] can be binarized. Scale the data or leave "
                            "binarize='none'.")
    return x


def binarize_mode(binarize: str) -> int:
    """Return the kernels' code of a binarization; raises ConfigurationError for an unknown name."""
    return BINARIZE[one_of("binarize", binarize, BINARIZE)]


def load_batch(data: np.ndarray, index: np.ndarray, mode: int, seed: int, step: int, out: np.ndarray) -> None:
    """Write the rows `index` of `data` into out (len(index), D), scaled to 0..1 and binarized by `mode`.

    Dynamic binarization draws each pixel anew from (seed, step).
    """
    scale = 1 / 255 if data.itemsize == 1 else 1.0                  # levels are bytes
    kernels.gather_rows(data, index, scale, mode, seed if mode == kernels.DYNAMIC else None, step, out)


def epoch_permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which epoch `epoch` visits n rows: a pure function of its arguments."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(n)


def training_moments(data: np.ndarray, mode: int) -> tuple[np.ndarray, float]:
    """Return the mean row (D,), float64, and the pixels' average variance around it.

    Both are of the data as training reads them: scaled to 0..1, and binarized by `mode`.

    Examples
    --------
    >>> mean, variance = training_moments(np.array([[0, 255], [255, 255]], np.uint8), BINARIZE["none"])
    >>> mean.tolist(), variance
    ([0.5, 1.0], 0.125)
    """
    total, squares = np.zeros(data.shape[1]), 0.0
    for start in range(0, len(data), CHECKED_ROWS):
        piece = data[start:start + CHECKED_ROWS]
        if mode == kernels.THRESHOLD:
            piece = piece > (127 if data.dtype == np.uint8 else 0.5)
        total += piece.sum(axis=0, dtype=np.float64)
        if mode == kernels.GRAY:
            squares += np.einsum("ij,ij->", piece, piece, dtype=np.float64)
    scale = 255 if data.dtype == np.uint8 and mode != kernels.THRESHOLD else 1
    mean = total / len(data) / scale
    second = squares / data.size / scale**2 if mode == kernels.GRAY else mean.mean()       # of 0 and 1, x^2 = x
    return mean, max(0.0, float(second - np.square(mean).mean()))
