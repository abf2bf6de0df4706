"""Functions with a VJP: checked, or converted to and from layers, which have forward and backward over buffers."""
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import as_numbers
from ..errors import ConfigurationError, ShapeError
from ..validation import function_of
from .contract import layer_with_backprop, named_arrays, require_layer
from .directions import begin
from .foreign import judge, SEED, Subject
from .layouts import check_layouts, Variant
from .numerical import require_float64
from .trees import copied, float_leaves, kind, matched, parameters


def check_vjp(f: Callable, vjp: Callable, *arrays: Any) -> list:
    """Compare a vector-Jacobian product with differences of <d_y, f(*arrays)>, for a random cotangent d_y.

    Parameters
    ----------
    f : callable
        f(*arrays) -> an array or a tree of arrays.
    vjp : callable
        vjp(d_y, *arrays) -> one gradient for each of the arrays: a tuple, or a dict by f's argument names; d_y is
        a tree like f's result.  It runs right after f(*arrays).
    *arrays : arrays or trees of arrays
        Integers are taken for indices, which have no gradient.  Copied, also into other layouts, and into
        batches of no row and of one, as in `check_layer`.

    Returns
    -------
    list of Check
        One an array, by f's argument names.

    Examples
    --------
    >>> def scale(p, x): return p * x
    >>> def scale_vjp(d_y, p, x): return (d_y * x).sum(axis=0), d_y * p
    >>> x = np.array([[1.0, 2.0], [3.0, -1.0]])
    >>> [(check.name, check.ok) for check in check_vjp(scale, scale_vjp, np.array([2.0, 3.0]), x)]
    [('p', True), ('x', True)]
    """
    function_of("f", f, "f(*arrays) -> array", len(arrays))
    function_of("vjp", vjp, "vjp(d_y, *arrays) -> gradients", 1 + len(arrays))
    params = dict(zip(_argument_names(f, len(arrays)), map(copied, arrays)))
    begin(parameters(params, "what check_vjp gets"))
    d_y = copied(f(*map(copied, params.values())))                # f may write into what it gets, and judge says so
    rng = np.random.default_rng(SEED)
    for array in parameters(d_y, "what f returns").values():
        array[...] = rng.standard_normal(array.shape)

    def functions(params, d_y, lay=np.array):
        """Return loss(), gradient() and terms() at these inputs; vjp gets copies of d_y that lay makes."""
        cotangents, last = parameters(d_y, "what f returns"), []

        def loss():
            y = matched(f(*params.values()), cotangents, "what f returns")
            last[:] = [(array * y[path]).ravel() for path, array in cotangents.items()]
            return float(sum(np.sum(part) for part in last))

        def gradient():
            return _by_name(vjp(copied(d_y, lay), *params.values()), params)

        return loss, gradient, lambda: np.concatenate(last)

    def variant(lays):
        other = {name: copied(tree, lays.get(name, np.array)) for name, tree in params.items()}
        lay = lays.get("d_y", np.array)
        loss, gradient, terms = functions(other, copied(d_y, lay), lay)
        loss()
        arrays = float_leaves(other)
        return Variant(loss, arrays, matched(gradient(), arrays, "vjp"), terms)

    loss, gradient, terms = functions(params, d_y)
    subject = Subject(loss, gradient, params, None, ("f", "vjp"))
    names, sizes = (*params, "d_y"), {len(y) if y.ndim else 0 for y in parameters(d_y).values()}
    batch = min(sizes) if len(sizes) == 1 else 0                  # an output may have no row an example
    return judge(subject, {}, 0.0, terms, lambda *found: check_layouts(
        *found, variant=variant, names=names, rows=names, batch=batch))


def _by_name(found, params):
    """Return {name: gradient} of what vjp returned for params, {name: tree}; trees of indices have no gradient."""
    names = [name for name, tree in params.items() if float_leaves(tree)]
    if isinstance(found, dict) and found.keys() <= params.keys() and found.keys() >= set(names):
        return {name: found[name] for name in names}
    several = (tuple,) if len(names) == 1 and isinstance(params[names[0]], list) else (tuple, list)
    if len(names) == 1 and found is not None and not (isinstance(found, several) and len(found) in (1, len(params))):
        found = (found,)
    if not isinstance(found, (tuple, list)) or len(found) not in (len(names), len(params)):
        raise ShapeError(f"vjp returns a {kind(found)}; expected {len(names)} gradients, those of "
                         f"{', '.join(names)}. Return a tuple in this order.")
    given = dict(zip(names if len(found) == len(names) else params, found))
    return {name: given[name] for name in names}


def _argument_names(f, count):
    """Return the names of the first arguments of f, or numbers where it does not say."""
    try:
        names = [name for name, argument in inspect.signature(f).parameters.items()
                 if argument.kind in (argument.POSITIONAL_ONLY, argument.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        names = []
    return names[:count] if len(names) >= count else [str(k) for k in range(count)]


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
    require_layer(layer, p)
    if not hasattr(layer, "outputs") and not hasattr(layer, "n_out"):
        raise ConfigurationError(f"{type(layer).__name__} has neither outputs(batch, dtype) nor n_out; one of them "
                                 "must say how large y is. Add a method outputs that returns a tuple of empty arrays.")

    def apply(x):
        require_float64("x", x)
        width = getattr(layer, "n_in", x.shape[-1] if x.ndim else 0)
        if x.ndim < 1 or x.shape[-1] != width:
            raise ShapeError(f"x has shape {x.shape}; expected {width} columns. Pass one row an example.")

        y, backprop = layer_with_backprop(layer, p, x)

        def checked(d_y):
            d_y = as_numbers(d_y, "d_y")
            if d_y.shape != y.shape:
                raise ShapeError(f"d_y has shape {d_y.shape}; expected {y.shape}, that of y. Pass a cotangent of the "
                                 "output.")
            return backprop(d_y)

        return y, checked

    return apply


class _Layer:
    """A layer with forward and backward that calls a function apply(p, x) -> (y, backprop)."""

    def __init__(self, apply):
        self.apply = apply

    def _pair(self, p, x):
        found = self.apply(p, x)
        if not isinstance(found, tuple) or len(found) != 2 or not callable(found[1]):
            raise ConfigurationError(f"apply returns a {type(found).__name__}; expected (y, backprop), the second a "
                                     "function backprop(d_y) -> (d_x, d_p). Return both.")
        return found

    def forward(self, p, x, y):
        """Write the function's value into y."""
        y[...] = self._pair(p, x)[0]

    def backward(self, p, x, y, d_y, d_p, d_x):
        """Overwrite d_p and d_x with what a fresh backprop returns for d_y."""
        pair = self._pair(p, x)[1](d_y)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ShapeError(f"backprop returns a {type(pair).__name__}; expected (d_x, d_p). Return both, () for d_p "
                             "if there are no parameters.")
        found_x, found_p = pair
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
