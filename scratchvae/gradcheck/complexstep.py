"""Derivatives by the complex step: no difference is taken, so nothing cancels; a second judge of formulas."""
import types

import numpy as np

from ..errors import ShapeError
from ..validation import function_of, instance_of
from .numerical import require_float64


def complex_step(f, x):
    """Return df/dx for an analytic f of complex input, exact to rounding: Im f(x + i h e_k) / h, h = 1e-30.

    Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions".

    Parameters
    ----------
    f : callable
        f(z) -> complex scalar, for z complex128 like x; without abs, maximum, conjugates or comparisons.
    x : ndarray, float64
        Where.

    Returns
    -------
    ndarray, float64
        Like x.

    Raises
    ------
    ShapeError
        If x is not a float64 array, or f's result is real.

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
        value = f(z)
        if not np.iscomplexobj(value):
            raise ShapeError(f"f returned {type(value).__name__}; expected a complex number. Something in f drops the "
                             "imaginary part: abs, maximum, a comparison, or a float buffer that it writes to.")
        gradient[index] = np.imag(value) / 1e-30
        z[index] = x[index]
    return gradient


class _Continued:
    """NumPy for complex arguments, its functions continued from the real axis, on which they mean the same."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def abs(z):
        """-z left of the imaginary axis, z right of it: analytic on both sides."""
        return np.where(np.real(z) < 0, -z, z)

    @staticmethod
    def maximum(z, w):
        """The one with the larger real part."""
        return np.where(np.real(z) < np.real(w), w, z)

    @staticmethod
    def sum(z, axis=None, dtype=None):
        """The sum; float64, where it is asked for, is complex128 here."""
        return np.sum(z, axis=axis)


def continued(function):
    """Return a NumPy function, such as a kernel's twin, for complex arguments: what `complex_step` needs.

    The same code runs with other abs, maximum and sum, which do not drop the imaginary part; functions of its
    module that it calls are treated alike.

    Parameters
    ----------
    function : function
        Plain Python, written with `np.`; buffers that it writes to must be complex128.

    Examples
    --------
    >>> from scratchvae.kernels.likelihoods import bernoulli_nll_ref
    >>> def nll(logits):
    ...     out = np.empty(1, np.complex128)
    ...     continued(bernoulli_nll_ref)(logits, np.array([[1.0, 0.0]]), out)
    ...     return out[0]
    >>> complex_step(nll, np.array([[0.0, 0.0]])).tolist()
    [[-0.5, 0.5]]
    """
    instance_of("function", function, types.FunctionType, "Pass plain Python, such as a kernel's twin.")
    names = dict(function.__globals__, np=_Continued())
    for name, value in function.__globals__.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is function.__globals__:
            names[name] = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
    return types.FunctionType(function.__code__, names, function.__name__, function.__defaults__,
                              function.__closure__)
