"""The arrays of a dense layer, checked when the layer first meets them and not again at every step."""
from collections.abc import Callable

from .arrays import once, require_buffer, require_floats


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
    checked = once(lambda W, b, x, y: _require(n_in, n_out, "y", W=W, b=b, x=x, y=y))
    return lambda p, x, y: checked(p.W, p.b, x, y)


def backward_check(n_in: int, n_out: int) -> Callable:
    """Return check(p, x, y, d_y, d_p, d_x), the same for `Dense.backward`; d_x may be None."""
    def look(W, b, x, y, d_y, d_W, d_b, d_x):
        written = {"d_x": d_x} if d_x is not None else {}
        _require(n_in, n_out, "d_y d_W d_b d_x", W=W, b=b, x=x, y=y, d_y=d_y, d_W=d_W, d_b=d_b, **written)
    checked = once(look)
    return lambda p, x, y, d_y, d_p, d_x: checked(p.W, p.b, x, y, d_y, d_p.W, d_p.b, d_x)


def _require(n_in, n_out, written, **arrays):
    """Raise ShapeError unless the arrays fit, and those named in `written` can be written."""
    W, x = arrays["W"], arrays["x"]
    require_floats("W", W, 2)
    require_floats("x", x, 2)
    shapes = {"W": (n_in, n_out), "b": (n_out,), "x": (len(x), n_in), "y": (len(x), n_out)}
    for name, array in arrays.items():
        require_buffer(name, array, shapes[name.removeprefix("d_")], W.dtype, name in written.split())
