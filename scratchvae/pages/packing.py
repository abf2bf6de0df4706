"""Arrays as text for a page: rounded to a few levels, compressed, in base 85; `explore/unpack.js` reads it."""
import base64
import zlib

import numpy as np

BYTE_LEVELS = 127                   # most levels on either side of 0 that a signed byte holds
INSTEAD = str.maketrans("<", ",")   # base 85 has the one, which HTML would have to escape, and not the other


def rounded(values: np.ndarray, levels: int) -> tuple[np.ndarray, float]:
    """Return (whole numbers of 8 or 16 bits, step) whose product is about `values`; the largest number is `levels`.

    Examples
    --------
    >>> numbers, step = rounded(np.array([-1.0, 0.26]), 127)
    >>> numbers.dtype.name, numbers.tolist(), round(127 * step, 6)
    ('int8', [-127, 33], 1.0)
    """
    step = float(np.abs(values).max(initial=0.0)) / levels or 1.0
    return np.rint(np.asarray(values, "float64") / step).astype("int8" if levels <= BYTE_LEVELS else "int16"), step


def pack(arrays: dict[str, tuple[np.ndarray, float]]) -> dict:
    """Return {"parts": [[name, kind, shape, step], ...], "text"} of (numbers of 8 or 16 bits, step) by name.

    Examples
    --------
    >>> pack({"a": (np.zeros((2, 3), "int8"), 0.5)})["parts"]
    [['a', 'i1', [2, 3], 0.5]]
    """
    ordered = sorted(arrays.items(), key=lambda item: -item[1][0].itemsize)   # so that each begins where its kind may
    raw = b"".join(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes() for _, (numbers, _) in ordered)
    return {"parts": [[name, numbers.dtype.str[1:], list(numbers.shape), step] for name, (numbers, step) in ordered],
            "text": base64.b85encode(zlib.compress(raw, 9)).decode().translate(INSTEAD)}
