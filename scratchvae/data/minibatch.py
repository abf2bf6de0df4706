"""From a data set to the rows that a step reads: checks at the edge, then minibatches into a buffer."""
import numpy as np

from ..arrays import as_array
from ..errors import DataError, ShapeError
from ..kernels import minibatch as kernels
from ..validation import one_of

BINARIZE = {"none": kernels.GREY, "dynamic": kernels.DYNAMIC, "threshold": kernels.THRESHOLD}
CHECKED_ROWS = 4096                                  # rows looked at in one go: bounds the memory of a check


def as_rows(x, n_visible, name="x"):
    """Return x as a C-contiguous (n, n_visible) array of uint8, float32 or float64, copying only where it must.

    Parameters
    ----------
    x : array_like (n, ...)
        Images or rows; uint8 pixels stay uint8 (0..255 stands for 0..1), bool and integers become float32.
    n_visible : int
        Numbers a row.
    name : str
        What to call x in an error.

    Raises
    ------
    ShapeError
        If x is no array of numbers, is empty, or has rows of another length.

    Examples
    --------
    >>> as_rows(np.zeros((5, 28, 28), np.uint8), 784).shape
    (5, 784)
    """
    x = as_array(x, name)
    if x.dtype.kind not in "buif" or x.ndim < 2:
        raise ShapeError(f"{name} has dtype {x.dtype} and shape {x.shape}; expected numbers of shape (n, {n_visible}). "
                         "Pass a two-dimensional array, one example a row.")
    if len(x) == 0:
        raise ShapeError(f"{name} is empty, shape {x.shape}; expected at least one row of {n_visible} numbers. "
                         "Check how the data were loaded or selected.")
    columns = int(np.prod(x.shape[1:]))
    if columns != n_visible:
        raise ShapeError(f"{name} has {columns} columns; this model was built for {n_visible} (n_visible). "
                         f"Reshape the images to (n, {n_visible}), or build the model with n_visible={columns}.")
    native = x.dtype.newbyteorder("=")
    x = x.astype(native if native in (np.uint8, np.float32, np.float64) else np.float32, copy=False)
    x = x.reshape(len(x), columns)
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)


def check_rows(x, likelihood, name="x"):
    """Let the likelihood look at every value of x (n, D), in pieces; uint8 pixels are in range by their type.

    Raises
    ------
    DataError
        What `likelihood.check` raises.
    """
    if x.dtype != np.uint8:
        for start in range(0, len(x), CHECKED_ROWS):
            likelihood.check(x[start:start + CHECKED_ROWS], name)


def binarize_mode(binarize):
    """Return the kernels' code of a binarisation; raises ConfigurationError for an unknown name."""
    return BINARIZE[one_of("binarize", binarize, BINARIZE)]


def read_rows(data, index, mode, seed, step, out):
    """Write the rows `index` of `data` into out (len(index), D), scaled to 0..1 and binarised by `mode`.

    Dynamic binarisation draws each pixel anew from (seed, step).
    """
    scale = 1 / 255 if data.itemsize == 1 else 1.0                  # uint8: a byte
    kernels.gather_rows(data, index, scale, mode, seed, step, out)


def shuffled(n, seed, epoch):
    """Return the order in which epoch `epoch` visits n rows: a pure function of its arguments.

    Examples
    --------
    >>> shuffled(4, seed=0, epoch=1).tolist() == shuffled(4, seed=0, epoch=1).tolist()
    True
    """
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(n)


def training_moments(data, mode):
    """Return the mean row (D,), float64, and the pixels' average variance around it, of `data` as training sees it.

    That is scaled to 0..1, and binarised if it is.

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
        if mode == kernels.GREY:
            squares += np.einsum("ij,ij->", piece, piece, dtype=np.float64)
    scale = 255 if data.dtype == np.uint8 and mode != kernels.THRESHOLD else 1
    mean = total / len(data) / scale
    second = squares / data.size / scale**2 if mode == kernels.GREY else mean.mean()       # of 0 and 1, x^2 = x
    return mean, max(0.0, float(second - np.square(mean).mean()))


def require_unit_range(data, binarize):
    """Raise DataError where data that are to be binarised are no probabilities."""
    if binarize != "none" and data.dtype != np.uint8 and (data.min() < 0 or data.max() > 1):
        raise DataError(f"binarize is {binarize!r} and the data have values from {data.min():g} to {data.max():g}; "
                        "only values in [0, 1] can be binarised. Scale the data or leave binarize='none'.")
