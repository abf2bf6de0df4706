"""What the numbers in data mean: one rule for arrays and files of every dtype.

- Floats mean themselves.
- True means 1 and False means 0.
- Integers of every width are gray levels: 0 to 255 stand for 0 to 1.  Others are refused: measurements are floats.
- Integers of which all are 0 or 1 could be black and white, or the two darkest levels.  They are refused, unless all
  are 0, which is black in both cases.  (Of more than 16 MiB a sample is checked, so that a large mapped file is not
  read whole.)

Levels are kept as uint8, other numbers as float32 or float64; `as_floats` returns the numbers that they mean.
"""
import numpy as np

from ..arrays import stretches
from ..errors import DataError

CHECKED_ROWS = 4096          # rows checked at a time, which bounds the memory of a check


def storage_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype that numbers of `dtype` are kept in: uint8, float32 or float64.

    Examples
    --------
    >>> [storage_dtype(np.dtype(name)).name for name in ("bool", "int64", "float16", ">f8")]
    ['uint8', 'uint8', 'float32', 'float64']
    """
    return np.dtype("uint8" if dtype.kind in "bui" else "float32" if dtype.itemsize <= 4 else "float64")


def as_data(x: np.ndarray, name: str) -> np.ndarray:
    """Return numbers (n, ...) of any real dtype as uint8 levels, float32 or float64: x itself if it is that already.

    The result is in C order, aligned, in the machine's byte order.  Raises DataError, which calls the array `name`, if
    integers are outside 0..255, or all of them are 0 or 1.

    Examples
    --------
    >>> as_data(np.array([[True, False]]), "x"), as_data(np.array([[0, 128]]), "x")
    (array([[255,   0]], dtype=uint8), array([[  0, 128]], dtype=uint8))
    """
    if x.dtype.kind == "b":
        x = x * np.uint8(255)
    elif x.dtype.kind in "ui" and x.dtype != np.uint8 and not 0 <= x.min() <= x.max() <= 255:
        raise DataError(f"{name} has {x.dtype} values from {x.min()} to {x.max()}; integers are gray levels, expected "
                        "in 0..255. Convert measurements with .astype(np.float32); in text write 1.0 for 1.")
    with np.errstate(over="ignore"):                 # a float that becomes infinite is refused by other checks
        x = np.require(x, storage_dtype(x.dtype), ("C", "A"))
    levels = x.reshape(-1)
    if x.dtype == np.uint8 and all(part.max() <= 1 for part in stretches(levels)) and any(
            part.any() for part in stretches(levels)):
        raise DataError(f"{name} has integers of nothing but 0 and 1; expected gray levels of 0..255, or bool or "
                        "floats. Convert it with .astype(bool) if 1 is white, with / 255.0 if 255 is white; in text "
                        "write 1.0 for 1.")
    return x


def as_floats(x: np.ndarray, dtype: type | str) -> np.ndarray:
    """Return the numbers that data from `as_data` mean, in a float dtype.

    Examples
    --------
    >>> as_floats(np.array([[0, 51, 255]], np.uint8), "float64")
    array([[0. , 0.2, 1. ]])
    """
    return np.divide(x, 255, dtype=dtype) if x.dtype == np.uint8 else x.astype(dtype, copy=False)
