"""The arrays of a dense layer: whether they fit it and each other."""
from itertools import combinations
from typing import Any

import numpy as np

from .arrays import require_buffer, require_floats
from .errors import ShapeError

NAMES = ("W", "b", "x", "y", "d_y", "d_W", "d_b", "d_x")


def require_fitting(layer: Any, *arrays: Any) -> None:
    """Raise ShapeError unless arrays fit the layer and each other, and those that a pass writes can be written.

    They are W, b, x, y for `Dense.forward`, and also d_y, d_W, d_b, d_x for `Dense.backward`; d_x may be None.  What is
    written must not lie where another array does: kernels write some numbers before they read others.

    Examples
    --------
    >>> import numpy as np
    >>> from scratchvae.layers import Dense
    >>> W, b, x = np.ones((2, 1)), np.ones(1), np.ones((5, 2))
    >>> require_fitting(Dense(2, 1), W, b, x, np.empty((4, 1)))                              # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchvae.errors.ShapeError: y has shape (4, 1) and dtype float64; expected (5, 1) and float64. ...
    """
    W, _, x, *_ = arrays
    require_floats("W", W, 2)
    require_floats("x", x, 2)
    shapes = {"W": (layer.n_in, layer.n_out), "b": (layer.n_out,),
              "x": (len(x), layer.n_in), "y": (len(x), layer.n_out)}
    written = NAMES[4:] if len(arrays) == len(NAMES) else ("y",)
    named = {name: array for name, array in zip(NAMES, arrays) if name != "d_x" or array is not None}
    for name, array in named.items():
        require_buffer(name, array, shapes[name.removeprefix("d_")], W.dtype, name in written)
    for name, other in combinations(named, 2):
        if other in written and np.shares_memory(named[name], named[other]):
            raise ShapeError(f"{other} shares memory with {name}; expected arrays of their own. Pass a new array.")
