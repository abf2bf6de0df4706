"""Arrays of exact numbers, and how code that was written for floats is made to run on them.

NumPy runs ordinary code on arrays of objects, but for a few places: buffers that the code makes itself,
`dtype=np.float64`, checks of a dtype, float(...), math.exp.  While `exact_numbers` is open, the modules of some
packages see stand-ins under these names.  NumPy itself is not touched: its random generators write doubles into
what np.empty gives.
"""
import math
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...arrays import aligned
from ...kernels.twins import TWINS
from .exact import Exact, lift

FLOAT64 = np.dtype("float64")


def holds_objects(array: np.ndarray) -> bool:
    """Return True for an array whose numbers are objects, whatever its `dtype` says."""
    return np.ndarray.dtype.__get__(array) == object


class ExactArray(np.ndarray):
    """An array of objects that says it is one of float64, and takes no notice of a dtype of floats."""

    @property
    def dtype(self) -> np.dtype:
        """float64, for code that looks."""
        return FLOAT64 if holds_objects(self) else np.ndarray.dtype.__get__(self)

    def __setitem__(self, place, values):
        # Plain numbers become exact ones, before the code computes with them in floats.
        super().__setitem__(place, LIFT(_plain(values)) if holds_objects(self) else values)

    def fill(self, value: Any) -> None:
        """Write one number everywhere."""
        self[...] = value

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, dtype=None, **settings):
        if out:
            settings["out"] = tuple(map(_plain, out))
        if np.dtype(dtype).kind != "f":
            settings["dtype"] = dtype
        y = getattr(OWN.get(ufunc, ufunc), method)(*map(_plain, inputs), **settings)
        return y.astype(bool) if ufunc in TESTS else exact_array(y)

    def __array_function__(self, function, types, inputs, settings):
        settings = {name: value for name, value in settings.items() if name != "dtype" or np.dtype(value).kind != "f"}
        return exact_array(super().__array_function__(function, types, inputs, settings))

    def astype(self, dtype: Any, *arguments: Any, **settings: Any) -> np.ndarray:
        """Return a copy if the dtype is one of floats."""
        return self.copy() if np.dtype(dtype).kind == "f" else super().astype(dtype, *arguments, **settings)


def _plain(array):
    return array.view(np.ndarray) if isinstance(array, ExactArray) else array


def exact_array(array: Any) -> Any:
    """Return an array of objects as an ExactArray, and anything else as it is."""
    return array.view(ExactArray) if isinstance(array, np.ndarray) and holds_objects(array) else array


def _method(name):
    """Return a ufunc that calls a method of every number; plain numbers may stand among them."""
    return np.frompyfunc(lambda a: getattr(lift(a), name)(), 1, 1)


LIFT = np.frompyfunc(lift, 1, 1)
FUNCTIONS = "exp", "expm1", "log", "log1p", "sqrt", "tanh"
OWN = {getattr(np, name): _method(name) for name in FUNCTIONS}
OWN[np.logaddexp] = np.frompyfunc(lambda a, b: (lift(a).exp() + lift(b).exp()).log(), 2, 1)
OWN[np.isfinite] = np.frompyfunc(lambda a: math.isfinite(lift(a).x), 1, 1)
OWN[np.isnan] = np.frompyfunc(lambda a: math.isnan(lift(a).x), 1, 1)
TESTS = np.isfinite, np.isnan


class _AnyFloat(type):
    def __instancecheck__(cls, a):
        return isinstance(a, float)

    def __eq__(cls, other):
        return other in (float, np.float64) or other is cls

    __hash__ = type.__hash__


class ExactFloat(float, metaclass=_AnyFloat):
    """What `float` and `np.float64` are for the checked code: an Exact stays one."""

    dtype = FLOAT64

    def __new__(cls, a=0.0):
        """Return an Exact as it is, anything else as a float."""
        a = a[()] if isinstance(a, ExactArray) and a.ndim == 0 else a
        return a if type(a) is Exact else float(a)


def _filled(make, number):
    """Return the method for NumPy's `make` of a shape; an array of floats has room for exact numbers, all `number`."""
    def method(self, shape, dtype=float, **settings):
        return self.full(shape, number, dtype) if np.dtype(dtype).kind == "f" else make(shape, dtype, **settings)

    method.__qualname__ = f"ExactNumpy.{make.__name__}"           # which Python says where arguments do not fit
    return method


def _kept(make):
    """Return the method for NumPy's `make` of values; exact ones stay exact, unless the dtype is not one of floats."""
    def method(self, values, dtype=None, **settings):
        y = exact_array(make(values, **settings))
        if not holds_objects(y):
            return make(values, dtype, **settings)
        return y if np.dtype(dtype).kind == "f" else y.astype(dtype)

    method.__qualname__ = f"ExactNumpy.{make.__name__}"
    return method


class ExactNumpy:
    """What `np` is for the checked code: NumPy, whose new arrays of floats have room for exact numbers."""

    float64 = ExactFloat

    def __getattr__(self, name):
        return getattr(np, name)

    empty, zeros, ones = _filled(np.empty, math.nan), _filled(np.zeros, 0.0), _filled(np.ones, 1.0)
    array, asarray, ascontiguousarray = _kept(np.array), _kept(np.asarray), _kept(np.ascontiguousarray)

    def full(self, shape: int | tuple, fill_value: Any, dtype: Any = None, **settings: Any) -> np.ndarray:
        """Return an array full of one number."""
        if np.dtype(dtype).kind != "f" or dtype is None and not isinstance(fill_value, (float, Exact)):
            return np.full(shape, fill_value, dtype, **settings)
        y = np.empty(shape, object).view(ExactArray)
        y.fill(fill_value)
        return y


def _exact_math():
    """Return what `math` is for the checked code."""
    def own(name):
        return lambda a, *rest: getattr(a, name)() if type(a) is Exact and not rest else getattr(math, name)(a, *rest)

    return SimpleNamespace(**{**vars(math), **{name: own(name) for name in FUNCTIONS}})


NUMPY, MATH = ExactNumpy(), _exact_math()


@contextmanager
def exact_numbers(packages: Collection[str]) -> Iterator[None]:
    """While open, the modules of these packages run on exact numbers, and kernels' twins stand for the kernels.

    `packages` are names of top-level packages or modules, "__main__" included.  All threads of the process see it.  Our
    own modules of this folder stay as they are.
    """
    stand_ins = {id(np): NUMPY, id(math): MATH, id(aligned): NUMPY.empty,
                 **{id(twin.compiled): twin.reference for twin in TWINS.values()}}
    changed = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages and not name.startswith(__package__):
            for key, value in list(vars(module).items()):
                if id(value) in stand_ins:
                    changed.append((module, key, value))
                    setattr(module, key, stand_ins[id(value)])
            if "float" not in vars(module):
                changed.append((module, "float", None))
                module.float = ExactFloat
    try:
        yield
    finally:
        for module, key, value in reversed(changed):
            if value is None:
                delattr(module, key)
            else:
                setattr(module, key, value)
