"""What numbers in data mean: the one rule for arrays and files of every dtype.

- Floats mean themselves.
- True means 1 and False means 0.
- Integers of every width are gray levels: 0 to 255 stand for 0 to 1. Others are refused: measurements are floats.
- Integers of nothing but 0 and 1 could be black and white or the two darkest levels. They are refused, however few
  they are: the meaning of a row must not depend on the rows beside it. Nothing but 0 is black by either reading.
  (Of more than 16 MiB a sample is looked at, so that a large mapped file is not read whole.)

Data are kept as uint8 for levels and as float32 or float64 for other numbers; `as_floats` gives what they mean.
"""
import numpy as np

from ..arrays import stretches
from ..errors import DataError

CHECKED_ROWS = 4096          # rows looked at in one go: bounds the memory of a check


def storage_dtype(dtype):
    """Return the dtype that numbers of `dtype` are kept in: uint8, float32 or float64.

    Examples
    --------
    >>> [storage_dtype(np.dtype(name)).name for name in ("bool", "int64", "float16", ">f8")]
    ['uint8', 'uint8', 'float32', 'float64']
    """
    return np.dtype("uint8" if dtype.kind in "bui" else "float32" if dtype.itemsize <= 4 else "float64")


def as_data(x, name):
    """Return numbers (n, ...) of any real dtype as uint8 levels, float32 or float64: x itself where it is that already.

    Parameters
    ----------
    x : ndarray (n, ...)
        bool, integers or floats, n at least 1.
    name : str
        What to call x in an error.

    Returns
    -------
    ndarray
        The same shape, in C order, aligned, in the machine's byte order.

    Raises
    ------
    DataError
        If integers are outside 0..255, or nothing but 0 and 1.

    Examples
    --------
    >>> as_data(np.array([[True, False]]), "x"), as_data(np.array([[0, 128]]), "x")
    (array([[255,   0]], dtype=uint8), array([[  0, 128]], dtype=uint8))
    """
    if x.dtype.kind == "b":
        x = x * np.uint8(255)
    elif x.dtype.kind in "ui" and x.dtype != np.uint8 and not 0 <= x.min() <= x.max() <= 255:
        raise DataError(f"{name} has {x.dtype} values from {x.min()} to {x.max()}; integers are gray levels, expected "
                        "in 0..255. Convert measurements with .astype(np.float32).")
    with np.errstate(over="ignore"):                 # a wider float may become infinite, which every check refuses
        x = np.require(x, storage_dtype(x.dtype), ("C", "A"))
    if x.dtype == np.uint8 and _highest(x) == 1:
        raise DataError(f"{name} has integers of nothing but 0 and 1; expected gray levels of 0..255, or bool or "
                        "floats. Convert it with .astype(bool) if 1 is white, with / 255.0 if 255 is.")
    return x


def _highest(x):
    """Return the highest level of a sample of x, or the first above 1 that is met: the rest need not be read."""
    highest = 0
    for stretch in stretches(x.reshape(-1)):
        highest = max(highest, stretch.max())
        if highest > 1:
            break
    return highest


def as_floats(x, dtype):
    """Return the numbers that data from `as_data` mean, in a float dtype.

    Examples
    --------
    >>> as_floats(np.array([[0, 51, 255]], np.uint8), "float64")
    array([[0. , 0.2, 1. ]])
    """
    return np.divide(x, 255, dtype=dtype) if x.dtype == np.uint8 else x.astype(dtype, copy=False)
