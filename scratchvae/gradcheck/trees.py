"""Trees of arrays as other people keep them: by path, matched by key and never by position."""
import copy
import itertools
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import ConfigurationError, ShapeError

FLOATS = (np.float64, np.float32)
OTHERS = "matrix", "MaskedArray"                        # of NumPy, whose * or sums are not those of arrays
MOST_NAMES = 9                                          # in a message
CODE = (type, ModuleType, FunctionType, MethodType)     # has attributes, and they are nobody's parameters


def is_array(node: Any) -> bool:
    """Return True for an array or a number of NumPy, PyTorch or the like."""
    return hasattr(type(node), "__array__") or not isinstance(node, (dict, list, tuple, type)) and callable(
        getattr(node, "__array__", None))                         # a dict may answer to any name


def as_array(leaf: Any) -> np.ndarray:
    """Return a leaf as an array; a tensor of PyTorch may need a gradient."""
    return np.asarray(leaf.detach() if hasattr(leaf, "detach") else leaf)


def kind(value: Any) -> str:
    """Return what a value is, for a message: a tuple or list by how many it holds, too."""
    return type(value).__name__ + (f" of {len(value)}" if isinstance(value, (tuple, list)) else "")


def as_number(value: Any, who: str) -> float:
    """Return a loss as a float: a number, or an array of one."""
    if isinstance(value, (tuple, list, dict)) or value is None:
        alone = ", or use check_value_and_grad for a function that returns (loss, gradients)" * (who == "loss()")
        raise ConfigurationError(f"{who} returns a {type(value).__name__}; expected one number. Return the loss alone"
                                 f"{alone}.")
    value = as_array(value)
    if value.dtype.kind in "cOSU":
        raise ConfigurationError(f"{who} returns {value.dtype}; expected one real number. Return the loss as a float.")
    if value.size != 1:
        raise ShapeError(f"{who} returns an array of shape {value.shape}; expected one number. Return its sum or its "
                         "mean, or use check_vjp.")
    return float(value.reshape(()))


def branches(node: Any) -> dict:
    """Return {key: branch} of a dict, list, tuple, NamedTuple or object; {} for what has no branches."""
    if isinstance(node, dict):
        return node
    if hasattr(type(node), "_asdict"):
        return node._asdict()
    if isinstance(node, (list, tuple)):
        return dict(enumerate(node))
    if isinstance(node, CODE):
        return {}
    slots = [name for kind in type(node).__mro__ for name in np.atleast_1d(vars(kind).get("__slots__", ())).tolist()]
    return {name: getattr(node, name) for name in slots if hasattr(node, name)} | getattr(node, "__dict__", {})


def _is_object(node):
    return not (is_array(node) or isinstance(node, (dict, list, tuple, int, float)))


def _walk(node, keys=(), seen=None):
    """Yield (keys, array or number) of the tree; numbers of objects, and objects that were met before, are left out."""
    if is_array(node) or isinstance(node, (int, float)) and not isinstance(node, bool):
        yield keys, node
        return
    seen = {id(node)} if seen is None else seen
    for key, branch in branches(node).items():
        known = _is_object(branch) and id(branch) in seen
        if not known and not (_is_object(node) and isinstance(branch, (int, float))):
            seen |= {id(branch)} if _is_object(branch) else set()
            yield from _walk(branch, (*keys, key), seen)


def leaves(tree: Any, name: str) -> dict:
    """Return {path: leaf}; one leaf alone has the path `name`.  Raises ConfigurationError for two of one path."""
    found: dict = {}
    for keys, leaf in _walk(tree):
        path = ".".join(map(str, keys)) or name
        if path in found:
            raise ConfigurationError(f"{name} has two arrays whose keys are written {path!r}; expected keys that "
                                     "differ as text. Rename one.")
        found[path] = leaf
    return found


def float_leaves(tree: Any, name: str = "params") -> dict:
    """Return {path: leaf} of the leaves of float64 or float32."""
    return {path: leaf for path, leaf in leaves(tree, name).items() if as_array(leaf).dtype in FLOATS}


def parameters(tree: Any, name: str = "params") -> dict:
    """Return {path: array} of the float arrays in a tree: an array, or a dict, list, tuple or object that holds some.

    Raises
    ------
    ShapeError, ConfigurationError
        If there are none, one cannot be varied in place, or two share memory.

    Examples
    --------
    >>> list(parameters({"W": np.ones((2, 2)), "head": [np.ones(2)]}))
    ['W', 'head.0']
    """
    found = float_leaves(tree, name)
    for path, leaf in found.items():
        if not isinstance(leaf, np.ndarray) or type(leaf).__name__ in OTHERS:
            raise ShapeError(f"{path} is a {type(leaf).__name__}; expected an array of float64 or float32, which is "
                             "varied in place. Pass np.array(...), or tensor.detach().numpy(), or use "
                             "check_value_and_grad, which makes copies.")
        if not leaf.flags.writeable:
            raise ShapeError(f"{path} is read-only; expected an array that can be varied in place. Pass a copy, or use "
                             "check_value_and_grad, which makes copies.")
    pairs = [pair for pair in itertools.combinations(found, 2) if np.shares_memory(*(found[path] for path in pair))]
    twice = [path for path in found if any(path in pair for pair in pairs)]
    if twice:
        raise ConfigurationError(f"{name} holds one array under the names {', '.join(twice)}; expected it once. Leave "
                                 "all but one out, and add up their gradients.")
    if not found:
        kinds = sorted({str(as_array(leaf).dtype) for leaf in leaves(tree, name).values()})
        found_is = f"of {', '.join(kinds)}, and" if kinds else f"a {type(tree).__name__}"
        remedy = "Return such arrays" if name.startswith("what f") else "Pass the model's parameters"
        raise ConfigurationError(f"{name} is {found_is} without arrays of float64 or float32; expected an array, or a "
                                 f"dict, list, tuple or object that holds some. {remedy}.")
    return found


def copied(tree: Any, make: Callable = np.array, made: dict | None = None) -> Any:
    """Return the same tree with NumPy copies of its arrays, writable if `make` does not say else; others are shared.

    `made` holds the copies of its objects so far, by the id of the original.
    """
    made = {} if made is None else made
    if is_array(tree) or isinstance(tree, float):
        return make(as_array(tree))
    if isinstance(tree, int) or _is_object(tree) and (id(tree) in made or not float_leaves(tree)):
        return made.get(id(tree), tree)
    inside = branches(tree)
    if isinstance(tree, tuple):
        return tuple.__new__(type(tree), (copied(branch, make, made) for branch in inside.values()))
    try:
        copy_of: Any = copy.copy(tree)
    except TypeError:
        if not isinstance(tree, dict):
            raise
        copy_of = {}                                              # it lets nobody assign
    if isinstance(tree, (dict, list)):
        if getattr(tree, "__dict__", None) is tree:               # its attributes are its items
            copy_of.__dict__ = copy_of
        for key, branch in inside.items():                        # whatever its own way to assign is
            (dict if isinstance(tree, dict) else list).__setitem__(copy_of, key, copied(branch, make, made))
        return copy_of
    made[id(tree)] = copy_of
    for key, branch in inside.items():
        if isinstance(branch, MethodType) and branch.__self__ is tree:
            branch = MethodType(branch.__func__, copy_of)
        if not isinstance(branch, float):
            object.__setattr__(copy_of, key, copied(branch, make, made))          # it may be a frozen dataclass
    return copy_of


def _listed(names):
    """Return names for a message, of many the first."""
    return ", ".join(names[:MOST_NAMES]) + f" and {len(names) - MOST_NAMES} more" * (len(names) > MOST_NAMES)


def matched(tree: Any, arrays: dict, name: str) -> dict:
    """Return {path: float array} of the tree `name`, with exactly the paths and shapes of `arrays`.

    Raises
    ------
    ShapeError
        Naming what is missing, what is there in addition, and what has another shape.

    Examples
    --------
    >>> matched({"b": np.ones(1)}, {"W": np.ones(2), "b": np.ones(1)}, "vjp")
    Traceback (most recent call last):
    scratchvae.errors.ShapeError: vjp lacks W; expected one array for each of W, b. Return them by the same names.
    """
    given = leaves(tree, name)
    if len(arrays) == len(given) == 1 and not {name, "0"}.isdisjoint(given):       # one array alone has no name
        given = dict(zip(arrays, given.values()))
    if not given:
        raise ShapeError(f"{name} is {tree!r}; expected arrays like {', '.join(arrays)}. Return them; if the function "
                         "is a training step that changes the parameters, wrap it in gradient_of_step.")
    lacks, extra = [path for path in arrays if path not in given], [path for path in given if path not in arrays]
    found = {path: as_array(leaf) for path, leaf in given.items() if path in arrays}
    bad = [f"{path} of shape {array.shape} where {arrays[path].shape} is expected" for path, array in found.items()
           if array.shape != arrays[path].shape]
    bad += [f"{path} of {array.dtype} where real numbers are expected" for path, array in found.items()
            if array.dtype.kind in "cOSU"]
    wrong = [f"lacks {_listed(lacks)}"] * bool(lacks) + [f"has {_listed(extra)} in addition"] * bool(extra)
    wrong += [f"has {_listed(bad)}"] * bool(bad)
    if wrong:
        leave = ", or leave out of params what has no gradient" if lacks and name.startswith("gradient") else ""
        raise ShapeError(f"{name} {' and '.join(wrong)}; expected one array for each of {_listed(list(arrays))}. "
                         f"Return them by the same names{leave}.")
    return {path: np.array(found[path], np.float64) for path in arrays}


class Snapshot:
    """A tree's arrays, or those known, and their values: says what changed, and brings all back, as `with` does."""

    def __init__(self, tree: Any, arrays: dict | None = None) -> None:
        self.tree, self.arrays = tree, arrays or parameters(tree)
        for path, leaf in () if arrays else self.now().items():
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and leaf.dtype not in FLOATS:
                raise ShapeError(f"{path} has dtype {leaf.dtype}; expected float64 or float32. Convert it with astype.")
        self.values = {path: array.copy() for path, array in self.arrays.items()}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.restore()

    def now(self) -> dict:
        """Return {path: array} of the tree as it is, in which arrays may have been replaced."""
        return leaves(self.tree, "params")

    def changed(self) -> list:
        """Return the paths of arrays that are not where or what they were."""
        now = self.now()
        return [path for path, array in self.arrays.items()
                if now.get(path) is not array or array.tobytes() != self.values[path].tobytes()]

    def restore(self) -> None:
        """Put the same array objects with the same values back."""
        for path in self.changed():
            self.arrays[path][...] = self.values[path]
        for keys, leaf in list(_walk(self.tree)):
            array = self.arrays.get(".".join(map(str, keys)) or "params")
            if array is None or leaf is array:
                continue
            holder = self.tree
            for key in keys[:-1]:
                holder = branches(holder)[key]
            if isinstance(holder, (dict, list)):
                holder[keys[-1]] = array
            else:
                object.__setattr__(holder, keys[-1], array)
