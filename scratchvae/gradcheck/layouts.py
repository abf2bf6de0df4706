"""What a backward does wrong only in another layout of its arguments, for an empty batch, or for a single row."""
import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .comparison import broken, compare_all

# The neighbors of a strided view's numbers are equal to them: code that reads them instead sees every number twice.
LAYOUTS = {"in C order": lambda array: np.array(array, order="C"),
           "in Fortran order": lambda array: np.array(array, order="F"),
           "strided views": lambda array: np.repeat(array[..., None], 2, axis=-1)[..., 0]}
WRITES = re.compile("(destination|output array) is read-only|Cannot modify readonly array")       # NumPy's, Numba's
ALIKE = 1e-6                            # of the largest entry: what another order of summation may change


class Variant(NamedTuple):
    """A loss at copies of the inputs, by name, and the gradient that the code under test returns for them.

    `terms` is as in `numerical_gradient`, or None.
    """

    loss: Callable
    arrays: dict
    gradients: dict
    terms: Callable | None = None


class Refusal:
    """Takes any error of foreign code as a refusal of what it was given, and keeps it as `error`."""

    error: BaseException | None = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.error = error
        return isinstance(error, (Exception, SystemExit))


def _read_only(array):
    locked = np.array(array)
    locked.flags.writeable = False
    return locked


def _judge(variant, path, where):
    """Return the Check of one gradient of a Variant if differences say that it is wrong, or nothing."""
    check, = compare_all(variant.loss, {path: variant.arrays[path]}, {path: variant.gradients[path]}, {}, {}, 64, 0,
                         terms=variant.terms)
    return [check._replace(hint=f"wrong only {where}").with_hint(check.hint)] if not check.ok and check.judged else []


def _differs(found, expected):
    return not np.allclose(found, expected, rtol=0, atol=ALIKE * np.max(np.abs(expected), initial=0.0))


def check_layouts(checks: list, gradients: dict, variant: Callable, names: tuple, *, rows: tuple = (),
                  batch: int = 0) -> list:
    """Return checks that are all ok, with failed ones in their places, or at the end, if other layouts are wrong.

    `gradients`, {path: array}, are those at the arrays as they were given; variant({name: lay}) returns the `Variant`
    at copies of the inputs `names`, made by lay(array), or plain ones.  `rows` are those whose first axis may be the
    batch, of size `batch`.  An error of the code under test is a refusal, and no fault, and so is NaN as the result of
    one row or none: only a wrong number is one, and to write into an argument, which shows where it is read-only.
    """
    def attempt(lays, finite=False):
        refusal = Refusal()
        with refusal, warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = variant(lays)
            return (None if finite and not np.isfinite(made.loss()) else made), None
        return None, refusal.error

    found = []
    for layout, lay in LAYOUTS.items():
        made, _ = attempt(dict.fromkeys(names, lay))
        for path in made.gradients if made else ():
            if _differs(made.gradients[path], gradients[path]):
                found += _judge(made, path, f"where the arrays are {layout}")
    for name in names:
        if name != "d_y" and WRITES.search(str(attempt({name: _read_only})[1])):
            found.append(broken(name, f"something is written into {name}, and perhaps taken back: it fails where "
                                      f"{name} is read-only. Work on a copy"))
    new = {check.name: check for check in reversed(found + _batches(gradients, attempt, rows, batch))}
    return [new.pop(check.name, check) for check in checks] + list(new.values())


def _batches(gradients, attempt, rows, batch):
    """Return the failed Checks of an empty batch, and of one row alone: the one with the most gradient, if any has."""
    def part(picked):
        """Return the Variant of some rows, or None if the code refuses them, with an error or with NaN."""
        def lay(array):
            return np.array(array[picked] if array.shape[:1] == (batch,) else array)

        return attempt(dict.fromkeys(rows, lay), finite=True)[0] if batch else None

    found, empty = [], part([])
    for path, gradient in empty.gradients.items() if empty else ():
        if np.any(gradient != 0):
            found.append(broken(path, f"wrong for an empty batch (B = 0), where it is 0: got {gradient.flat[0]:.6g}"))
    k = int(np.argmax(sum(np.abs(whole).reshape(batch, -1).sum(axis=1) for whole in gradients.values()
                          if batch and whole.shape[:1] == (batch,))))
    single, others = part([k]), part([i for i in range(batch) if i != k])
    for path, whole in gradients.items() if batch > 1 and single else ():
        one = single.gradients[path]
        if one.shape == whole.shape:                              # a parameter, where rows may add up
            right = others and not _differs(one + others.gradients[path], whole)
        else:                                                     # an input, where rows may stand alone
            right = not _differs(one, whole[[k]])
        found += [] if right else _judge(single, path, "for a batch of one row (B = 1)")
    return found
