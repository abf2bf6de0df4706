"""Derivatives by the complex step, a second way to check formulas: there is no difference, so nothing cancels."""
from collections.abc import Callable

import numpy as np

from ..errors import ShapeError
from ..validation import function_of
from .numerical import require_float64


def complex_step(f: Callable[..., complex], x: np.ndarray) -> np.ndarray:
    """Return df/dx, like x, for an analytic f of complex input, exact to rounding: Im f(x + i h e_k) / h, h = 1e-30.

    Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions".

    Parameters
    ----------
    f : callable
        f(z) -> complex scalar, for z complex128 like x; without abs, maximum, conjugates or comparisons.
    x : ndarray, float64
        The point at which the derivative is taken.

    Raises
    ------
    ShapeError
        If x is not a float64 array, or f's result is real or not one number.

    Examples
    --------
    >>> float(complex_step(lambda z: np.sum(np.exp(z)), np.array([1.0]))[0]) == float(np.exp(1.0))
    True
    """
    require_float64("x", x)
    function_of("f", f, "f(z) -> complex")
    z, gradient = x.astype(np.complex128), np.empty_like(x)
    for index in np.ndindex(x.shape):
        z[index] += 1e-30j
        value = f(z.copy())                                       # f may work in place
        if not np.iscomplexobj(value):
            raise ShapeError(f"f returned {type(value).__name__}; expected a complex number. Something in f drops the "
                             "imaginary part: abs, maximum, a comparison, or a float buffer that it writes to.")
        if np.size(value) != 1:
            raise ShapeError(f"f returned an array of shape {np.shape(value)}; expected one number. Return its sum or "
                             "its mean.")
        gradient[index] = np.imag(value).item() / 1e-30
        z[index] = x[index]
    return gradient
