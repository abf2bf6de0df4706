"""Trees of arrays as other people keep them: by path, matched by key and never by position."""
import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigurationError, ShapeError

FLOATS = (np.float64, np.float32)


def _is_array(node):
    return isinstance(node, (np.ndarray, np.generic)) or hasattr(node, "__array__")


def _branches(node):
    """Return {key: branch} of a dict, list, tuple, NamedTuple or object; None for what has no branches."""
    if isinstance(node, dict):
        return node
    if hasattr(node, "_asdict"):
        return node._asdict()
    if isinstance(node, (list, tuple)):
        return dict(enumerate(node))
    return getattr(node, "__dict__", None)


def _walk(node, keys=()):
    """Yield (keys, array or number) of the tree; other attributes of objects, and None, are passed over."""
    if _is_array(node) or isinstance(node, (int, float)) and not isinstance(node, bool):
        yield keys, node
        return
    is_object = not isinstance(node, (dict, list, tuple))
    for key, branch in (_branches(node) or {}).items():
        if not is_object or _is_array(branch) or isinstance(branch, (dict, list, tuple)):
            yield from _walk(branch, (*keys, key))


def _leaves(tree, name):
    """Return {path: leaf}; one leaf alone has the path `name`."""
    return {".".join(map(str, keys)) or name: leaf for keys, leaf in _walk(tree)}


def float_leaves(tree: Any, name: str = "params") -> dict:
    """Return {path: leaf} of the leaves of float64 or float32."""
    return {path: leaf for path, leaf in _leaves(tree, name).items() if np.asarray(leaf).dtype in FLOATS}


def parameters(tree: Any, name: str = "params") -> dict:
    """Return {path: array} of the float arrays in a tree: an array, or a dict, list, tuple or object that holds some.

    Raises
    ------
    ShapeError, ConfigurationError
        If there are none, or one cannot be varied in place.

    Examples
    --------
    >>> list(parameters({"W": np.ones((2, 2)), "head": [np.ones(2)]}))
    ['W', 'head.0']
    """
    found = float_leaves(tree, name)
    for path, leaf in found.items():
        if not isinstance(leaf, np.ndarray):
            raise ShapeError(f"{path} is a {type(leaf).__name__}; expected an array of float64 or float32, which is "
                             "varied in place. Pass np.array(...), or use check_value_and_grad, which makes copies.")
        if not leaf.flags.writeable:
            raise ShapeError(f"{path} is read-only; expected an array that can be varied in place. Pass a copy, or use "
                             "check_value_and_grad, which makes copies.")
    twice = [path for path, leaf in found.items() if sum(leaf is other for other in found.values()) > 1]
    if twice:
        raise ConfigurationError(f"{name} holds one array under the names {', '.join(twice)}; expected it once. Leave "
                                 "all but one out, and add up their gradients.")
    if not found:
        kinds = sorted({str(np.asarray(leaf).dtype) for leaf in _leaves(tree, name).values()})
        kind = f"of {', '.join(kinds)}, and" if kinds else f"a {type(tree).__name__}"
        raise ConfigurationError(f"{name} is {kind} without arrays of float64 or float32; expected an "
                                 "array, or a dict, list, tuple or object that holds some. Pass the model's "
                                 "parameters.")
    return found


def copied(tree: Any, make: Callable = np.array) -> Any:
    """Return the same tree with NumPy copies of its arrays, writable if `make` does not say else; others are shared."""
    if _is_array(tree) or isinstance(tree, float):
        return make(np.asarray(tree))
    branches = _branches(tree)
    if branches is None:
        return tree
    if isinstance(tree, (dict, list, tuple)):
        made = {key: copied(branch, make) for key, branch in branches.items()}
        if isinstance(tree, dict):
            return made
        return type(tree)(**made) if hasattr(tree, "_asdict") else type(tree)(made.values())
    made = copy.copy(tree)
    for key, branch in branches.items():
        if _is_array(branch) or isinstance(branch, (dict, list, tuple)):
            setattr(made, key, copied(branch, make))
    return made


def matched(tree: Any, arrays: dict, name: str) -> dict:
    """Return {path: float array} of the tree `name`, with exactly the paths and shapes of `arrays`.

    Raises
    ------
    ShapeError
        Naming what is missing, what is there in addition, and what has another shape.

    Examples
    --------
    >>> matched({"b": np.ones(1)}, {"W": np.ones(2), "b": np.ones(1)}, "gradient")
    Traceback (most recent call last):
    scratchvae.errors.ShapeError: gradient lacks W; expected one array for each of W, b. Return them by the same names.
    """
    leaves = _leaves(tree, name)
    if len(arrays) == len(leaves) == 1 and name in leaves:        # one array alone has no name
        leaves = dict(zip(arrays, leaves.values()))
    if not leaves:
        raise ShapeError(f"{name} is {tree!r}; expected arrays like {', '.join(arrays)}. Return them; if the function "
                         "is a training step that changes the parameters, wrap it in gradient_of_step.")
    lacks, extra = [path for path in arrays if path not in leaves], [path for path in leaves if path not in arrays]
    found = {path: np.asarray(leaf) for path, leaf in leaves.items() if path in arrays}
    bad = [f"{path} of shape {array.shape} where {arrays[path].shape} is expected" for path, array in found.items()
           if array.shape != arrays[path].shape]
    bad += [f"{path} of {array.dtype} where real numbers are expected" for path, array in found.items()
            if array.dtype.kind in "cOSU"]
    wrong = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(extra)} in addition"] * bool(extra)
    wrong += [f"has {', '.join(bad)}"] * bool(bad)
    if wrong:
        raise ShapeError(f"{name} {' and '.join(wrong)}; expected one array for each of {', '.join(arrays)}. Return "
                         "them by the same names.")
    return {path: np.array(found[path], np.float64) for path in arrays}


class Snapshot:
    """The arrays of a tree and their values: says what has changed, and brings all back."""

    def __init__(self, tree: Any) -> None:
        self.tree, self.arrays = tree, parameters(tree)
        self.values = {path: array.copy() for path, array in self.arrays.items()}

    def now(self) -> dict:
        """Return {path: array} of the tree as it is, in which arrays may have been replaced."""
        return _leaves(self.tree, "params")

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
                holder = _branches(holder)[key]
            if isinstance(holder, (dict, list)):
                holder[keys[-1]] = array
            else:
                setattr(holder, keys[-1], array)
