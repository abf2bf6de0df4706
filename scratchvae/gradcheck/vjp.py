"""Convert between the two ways to write a layer: forward and backward over buffers, or a function with its VJP."""
from collections.abc import Callable

import numpy as np

from ..arrays import as_numbers
from ..errors import ConfigurationError, ShapeError
from ..validation import function_of
from .contract import arrays_of, BACKWARD, FORWARD, map_arrays, named_arrays, require_method
from .numerical import require_float64
from .trees import matched


def as_vjp(layer: object, p: tuple | list | dict | np.ndarray) -> Callable:
    """Return the layer at p as a function x -> (y, backprop) with backprop(d_y) -> (d_x, d_p): a closure.

    Parameters
    ----------
    layer : object
        As in `check_layer`, with `outputs(batch, dtype)` or a number `n_out`, which give the size of y.
    p : array or tree of arrays, float64
        Parameters; read at every call, never changed.

    Raises
    ------
    ConfigurationError, ShapeError
        If the layer does not give the size of its output, or p holds anything but float64 arrays; from the function,
        if x or d_y does not fit.

    Examples
    --------
    >>> from scratchvae.layers import Dense
    >>> from scratchvae.parameters import Affine
    >>> layer = as_vjp(Dense(2, 1), Affine(np.array([[1.0], [2.0]]), np.array([3.0])))
    >>> y, backprop = layer(np.array([[1.0, 1.0]]))
    >>> d_x, d_p = backprop(np.array([[10.0]]))
    >>> y.tolist(), d_x.tolist(), d_p.b.tolist()
    ([[6.0]], [[10.0, 20.0]], [10.0])
    """
    require_method("layer", layer, FORWARD)
    require_method("layer", layer, BACKWARD)
    list(named_arrays(p))                                               # raises unless all arrays are float64
    if not hasattr(layer, "outputs") and not hasattr(layer, "n_out"):
        raise ConfigurationError(f"{type(layer).__name__} has neither outputs(batch, dtype) nor n_out; one of them "
                                 "must say how large y is. Add a method outputs that returns a tuple of empty arrays.")

    def apply(x):
        require_float64("x", x)
        width = getattr(layer, "n_in", x.shape[-1] if x.ndim else 0)
        if x.ndim < 1 or x.shape[-1] != width:
            raise ShapeError(f"x has shape {x.shape}; expected {width} columns. Pass one row an example.")

        def outputs():
            return layer.outputs(len(x), x.dtype) if hasattr(layer, "outputs") else np.empty((len(x), layer.n_out))

        y = outputs()
        layer.forward(p, x, y)

        def backprop(d_y):
            d_p, d_x, scratch = map_arrays(np.empty_like, p), np.empty_like(x), outputs()
            d_y = as_numbers(d_y, "d_y")
            if d_y.shape != arrays_of(y)[-1].shape:
                raise ShapeError(f"d_y has shape {d_y.shape}; expected {arrays_of(y)[-1].shape}, that of y. Pass a "
                                 "cotangent of the output.")
            arrays_of(scratch)[-1][...] = d_y
            layer.backward(p, x, y, scratch, d_p, d_x)
            return d_x, d_p

        return arrays_of(y)[-1], backprop

    return apply


class _Layer:
    """A layer with forward and backward that calls a function apply(p, x) -> (y, backprop)."""

    def __init__(self, apply):
        self.apply = apply

    def forward(self, p, x, y):
        """Write the function's value into y."""
        y[...] = self.apply(p, x)[0]

    def backward(self, p, x, y, d_y, d_p, d_x):
        """Overwrite d_p and d_x with what a fresh backprop returns for d_y."""
        found_x, found_p = self.apply(p, x)[1](d_y)
        d_x[...] = matched(found_x, {"x": d_x}, "d_x")["x"]
        arrays = dict(named_arrays(d_p))
        for name, found in (matched(found_p, arrays, "d_p") if arrays else {}).items():
            arrays[name][...] = found


def from_vjp(apply: Callable) -> object:
    """Return a layer with forward and backward that calls a function like those of `as_vjp`, for `check_layer`.

    Parameters
    ----------
    apply : callable
        apply(p, x) -> (y, backprop) with backprop(d_y) -> (d_x, d_p), d_p a tree like p.

    Examples
    --------
    >>> from scratchvae.gradcheck import check_layer
    >>> def scale(p, x):
    ...     def backprop(d_y):
    ...         return p * d_y, (x * d_y).sum(axis=0)
    ...     return p * x, backprop
    >>> x = np.array([[1.0, 2.0], [3.0, -1.0]])
    >>> all(check.ok for check in check_layer(from_vjp(scale), np.array([2.0, 3.0]), x, np.ones((2, 2))))
    True
    """
    return _Layer(function_of("apply", apply, "apply(p, x) -> (y, backprop)"))
