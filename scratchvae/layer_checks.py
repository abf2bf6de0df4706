"""The arrays of a dense layer, checked when the layer first meets them and not again at every step.

A step passes the same arrays as the step before.  A check remembers them by weak references: it keeps no array alive,
and takes no new array for an old one that lay at the same address.
"""
import weakref
from collections.abc import Callable

from .arrays import require_buffer, require_floats


def _none():
    """What stands for the reference to an array that is gone, or to no array."""


def forward_check(n_in: int, n_out: int) -> Callable:
    """Return check(p, x, y), which raises ShapeError unless the arrays of `Dense.forward` fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from scratchvae.parameters import Affine
    >>> check = forward_check(2, 1)
    >>> check(Affine(np.ones((2, 1)), np.ones(1)), np.ones((5, 2)), np.empty((4, 1)))        # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchvae.errors.ShapeError: y has shape (4, 1) and dtype float64; expected (5, 1) and float64. ...
    """
    seen = (_none,) * 4

    def check(p, x, y):
        nonlocal seen
        W, b, x_, y_ = seen
        if W() is not p.W or b() is not p.b or x_() is not x or y_() is not y:
            _require(n_in, n_out, "y", W=p.W, b=p.b, x=x, y=y)
            seen = tuple(map(weakref.ref, (p.W, p.b, x, y)))
    return check


def backward_check(n_in: int, n_out: int) -> Callable:
    """Return check(p, x, y, d_y, d_p, d_x), the same for `Dense.backward`; d_x may be None."""
    seen = (_none,) * 7

    def check(p, x, y, d_y, d_p, d_x):
        nonlocal seen
        W, x_, y_, d_y_, d_W, d_b, d_x_ = seen
        if (W() is not p.W or x_() is not x or y_() is not y or d_y_() is not d_y or d_W() is not d_p.W
                or d_b() is not d_p.b or d_x_() is not d_x):
            written = {"d_x": d_x} if d_x is not None else {}
            _require(n_in, n_out, "d_y d_W d_b d_x", W=p.W, b=p.b, x=x, y=y, d_y=d_y, d_W=d_p.W, d_b=d_p.b, **written)
            known = map(weakref.ref, (p.W, x, y, d_y, d_p.W, d_p.b))
            seen = *known, _none if d_x is None else weakref.ref(d_x)
    return check


def _require(n_in, n_out, written, **arrays):
    """Raise ShapeError unless the arrays fit, and those named in `written` can be written."""
    W, x = arrays["W"], arrays["x"]
    require_floats("W", W, 2)
    require_floats("x", x, 2)
    shapes = {"W": (n_in, n_out), "b": (n_out,), "x": (len(x), n_in), "y": (len(x), n_out)}
    for name, array in arrays.items():
        require_buffer(name, array, shapes[name.removeprefix("d_")], W.dtype, name in written.split())
