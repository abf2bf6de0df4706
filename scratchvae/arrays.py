"""Arrays of numbers at the public edge, arrays for kernels, and the sum of exponentials that never overflows."""
import functools
import math
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import DataError, ShapeError

CACHE_LINE = 64              # bytes of a cache line, on every processor that the kernels know
MOST_DIMENSIONS = 64         # of an array, and so of the lists that it may be made of
NUMBERED = "Number the classes from 0 on: np.unique(y, return_inverse=True)[1]."
SAMPLE = 1 << 24             # number of values in a sample; to hash so many bytes takes 10 to 40 ms
STRETCHES = 64               # number of parts of a sample; few, because each is a seek on a slow disk


def as_array(values: Any, name: str, labels: bool = False) -> np.ndarray:
    """Return values as an array of real numbers, of any real dtype and shape; they may be `labels` of classes.

    Arrays, nested lists, and all that NumPy can read as an array are taken.  What would lose a part of itself, or would
    have to be computed first, is refused with the call that converts it.  Raises ShapeError for rows of unequal length,
    sparse matrices, tensors that NumPy cannot read, and everything that is not real numbers: complex, structured, text,
    dates, Python objects, nullable and categorical columns.  Raises DataError if values are masked.

    Examples
    --------
    >>> as_array([[1, 2]], "x").shape
    (1, 2)
    >>> as_array(np.ma.masked_less([1.0, -99.0], 0), "x")          # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchvae.errors.DataError: x has 1 masked values; ...
    """
    masked = "numpy.ma" in sys.modules and _masked(values)        # only who has imported it can have a masked array
    if masked:
        raise DataError(f"{name} has {masked} masked values; expected numbers everywhere. Leave such rows out"
                        f"{'' if labels else ', or fill them with .filled(0.0), say'}.")
    if hasattr(values, "toarray"):                    # sparse; NumPy would make an array of one object of it
        raise ShapeError(f"{name} is a sparse {type(values).__name__}; expected an array. Convert it with .toarray().")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        remedy = "Convert it with .detach().cpu().numpy()" if hasattr(values, "detach") else "Pass a NumPy array"
        raise ShapeError(f"{name} is no array ({' '.join(str(error).split())}); expected numbers. {remedy}.") from None
    if array.dtype.kind not in "buif":
        raise ShapeError(f"{name} has dtype {array.dtype} and shape {array.shape}; expected real numbers. "
                         f"{NUMBERED if labels else _conversion(values, array.dtype)}")
    return array


def _masked(values, depth=MOST_DIMENSIONS):
    """Return the number of masked values in an array, or in arrays in lists in lists."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.count_masked(values)
    nested = isinstance(values, (list, tuple)) and depth and any(
        issubclass(kind, (list, tuple, np.ma.MaskedArray)) for kind in set(map(type, values)))
    return sum(_masked(part, depth - 1) for part in values) if nested else 0


def _conversion(values, dtype):
    """Return the sentence that says how to make real numbers of values that are not."""
    columns = getattr(values, "dtypes", None)
    others = [str(column) for column, kind in columns.items() if getattr(kind, "kind", "O") not in "buif"] if hasattr(
        columns, "items") else []
    if others:
        return (f"Encode or drop the columns that are none, the first is {others[0]!r}: .select_dtypes('number') keeps "
                "the others.")
    if hasattr(values, "to_numpy"):                   # columns of numbers, but nullable or of several kinds
        return "Convert it with .to_numpy(float)."
    if not isinstance(values, np.ndarray):
        return "Pass a NumPy array of numbers."
    return {"c": "Put its parts side by side, np.hstack([x.real, x.imag]).",
            "M": "Take the time since some date, (x - x.min()) / np.timedelta64(1, 's').",
            "m": "Take it in some unit, x / np.timedelta64(1, 's').",
            "V": "Convert it with np.lib.recfunctions.structured_to_unstructured(x).",
            }.get(dtype.kind if dtype.kind != "V" or dtype.names else "", "Convert it with .astype(float).")


def as_numbers(values: Any, name: str, ndim: Any = None) -> np.ndarray:
    """Return values, called `name` in an error, as a float64 array; NaN and infinities pass.

    Raises ShapeError if they are not real numbers, if there are none, or if their number of dimensions is not in `ndim`
    (a tuple).

    Examples
    --------
    >>> as_numbers([1, 2], "mu", ndim=(1, 2))
    array([1., 2.])
    """
    values = as_array(values, name)
    if values.size == 0:
        raise ShapeError(f"{name} is empty, shape {values.shape}; expected at least one number. Pass some.")
    if ndim is not None and values.ndim not in ndim:
        raise ShapeError(f"{name} has shape {values.shape}; expected {' or '.join(map(str, ndim))} dimensions. "
                         "Reshape it.")
    return values.astype(np.float64)


def as_finite(values: Any, name: str, ndim: Any = None) -> np.ndarray:
    """Return the same as `as_numbers`; raise DataError if a value is NaN or infinite."""
    values = as_numbers(values, name, ndim)
    if not np.isfinite(values).all():
        raise DataError(f"{name} has {int((~np.isfinite(values)).sum())} values that are NaN or infinite; every value "
                        "must be finite. Look at how it is computed.")
    return values


def require_floats(name: str, array: Any, ndim: int) -> None:
    """Raise ShapeError unless array has `ndim` dimensions of float32 or float64, in the machine's byte order."""
    if (not isinstance(array, np.ndarray) or array.ndim != ndim or array.dtype.type not in (np.float32, np.float64)
            or not array.dtype.isnative):
        found = f"has dtype {array.dtype} and shape {array.shape}" if isinstance(array, np.ndarray) else (
            f"is a {type(array).__name__}")
        raise ShapeError(f"{name} {found}; expected an array of float32 or float64 with {ndim} dimensions. "
                         "Convert it with np.asarray and astype.")


def require_buffer(name: str, array: Any, shape: tuple, dtype: Any, written: bool = False) -> None:
    """Raise ShapeError unless a kernel may be given `array`: kernels look at no size themselves.

    It must have this shape and dtype in the machine's byte order, the numbers of a row side by side and, if it is
    `written`, be writable.  `name` is what an error calls it.
    """
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name} is a {type(array).__name__}; expected an array of {np.dtype(dtype)}, shape {shape}. "
                         "Pass a NumPy array.")
    if array.shape != shape or array.dtype != dtype:
        raise ShapeError(f"{name} has shape {array.shape} and dtype {array.dtype}; expected {shape} and "
                         f"{np.dtype(dtype)}. Pass an array of that shape and dtype.")
    whole_rows = array.flags.c_contiguous or (array.ndim > 1 and min(array.strides) >= 0 and (
        array.strides[-1] == array.itemsize or shape[-1] <= 1))
    if not (whole_rows and array.flags.aligned):
        raise ShapeError(f"{name} has strides {array.strides}, in bytes; expected the numbers of a row side by side. "
                         "Pass np.ascontiguousarray of a transposed or sliced array.")
    if written and not array.flags.writeable:
        raise ShapeError(f"{name} is read-only; expected an array to write to. Pass a copy.")


def once(check: Callable) -> Callable:
    """Let a check of arrays, and of what else has an identity, pass without a look what it has passed the time before.

    A step passes the same arrays as the step before.  They are remembered by weak references: none is kept alive, and
    no new array is taken for an old one that lay at the same address.

    Examples
    --------
    >>> check, array = once(lambda array: print("looked at", array)), np.ones(1)
    >>> check(array), check(array)
    looked at [1.]
    (None, None)
    """
    passed: tuple = ([], [])                # what passed last and references to it: one object, for threads

    def forget(gone):
        nonlocal passed
        passed = ([], [])

    def checked(*things):
        nonlocal passed
        given = [*map(id, things)]              # Python would keep each tuple(map(...)), up to 2,000
        if given != passed[0]:
            check(*things)
            passed = given, [weakref.ref(thing, forget) for thing in things if thing is not None]
    return functools.wraps(check)(checked)


def aligned(shape: tuple, dtype: Any) -> np.ndarray:
    """Return an array whose contents are arbitrary and whose first number begins a cache line.

    NumPy's own large arrays begin in the middle of a line.  Then every long vector touches two lines, and threads that
    share an array by columns write to the same line at every row.

    Examples
    --------
    >>> y = aligned((2, 3), "float32")
    >>> y.shape, y.ctypes.data % CACHE_LINE
    ((2, 3), 0)
    """
    dtype, length = np.dtype(dtype), math.prod(shape)
    memory = np.empty(length * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start:start + length * dtype.itemsize].view(dtype).reshape(shape)


def first_columns(array: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` columns, which are the array itself if it has no others."""
    return array if array.shape[1] == count else array[:, :count]


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """Return a copy of an array whose first number begins a cache line."""
    made = aligned(array.shape, array.dtype.newbyteorder("="))        # a pickle may come from another kind of machine
    made[...] = array
    return made


def stretches(flat: np.ndarray, size: int = SAMPLE, parts: int = STRETCHES) -> Iterator:
    """Yield a flat array whole or, where it has more than `size` values, `parts` stretches with `size` values in all.

    They are spread evenly from the first value to the last, so that a large memory-mapped file is not read whole.

    Examples
    --------
    >>> [stretch.tolist() for stretch in stretches(np.arange(10), size=4, parts=2)]
    [[0, 1], [8, 9]]
    """
    if flat.size <= size:
        yield flat
    else:
        for start in np.linspace(0, flat.size - size // parts, parts).astype(np.int64).tolist():
            yield flat[start:start + size // parts]


def log_sum_exp(values: Any, axis: int | None = None) -> np.ndarray:
    """Return log sum exp(values) along `axis`, without overflow; -inf where every value is -inf.

    Examples
    --------
    >>> round(float(log_sum_exp(np.array([1e4, 1e4])) - 1e4), 6)
    0.693147
    """
    top = np.max(values, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.squeeze(top, axis) + np.log(np.sum(np.exp(values - top), axis=axis))
