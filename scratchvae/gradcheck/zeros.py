"""Gradients that are right only where entries are exactly 0, as fresh biases are: a multiple of them is unseen."""
from collections.abc import Callable

import numpy as np

from .comparison import compare
from .directions import lift, slope_elsewhere
from .layouts import Refusal


def off_zero(checks: list, arrays: dict, loss: Callable, gradient: Callable, seed: int = 0,
             allow: Callable | None = None) -> list:
    """Return the failed Check of a gradient that is wrong where no entry is 0, or nothing; the arrays are restored.

    `checks` are those of the arrays as they are, and all ok; the others are as in `slope_elsewhere`.  Zeros move up,
    and then down, because 0 may be the end of what code is for: a gradient is wrong if it is so wherever it can be
    judged.  It cannot be where code fails, numbers are not finite, the loss has a kink, or nothing has a slope.  Arrays
    that are at kinks stay: their gradient there may be any between those of the two sides.
    """
    names = [check.name for check in checks if not check.kinks and not arrays[check.name].all()]
    starts, found = {name: array.copy() for name, array in arrays.items()}, []
    for sign in (1, -1) if names else ():
        try:
            with Refusal(), np.errstate(all="ignore"):
                lift([arrays[name] for name in names], np.random.default_rng(seed), sign)
                slope, numerical, slack = slope_elsewhere(arrays, loss, gradient, seed, allow)
                check = compare("elsewhere", slope, numerical, "", {}, slack)
                if np.isfinite([check.analytic, check.error_bound]).all() and not check.kinks and (
                        check.analytic or check.numeric):
                    found.append(check)
        finally:
            for name, array in arrays.items():
                array[...] = starts[name]
    hint = (f"right where entries of {', '.join(names)} are exactly 0, wrong where they are not: does the gradient "
            "leave them out?")
    return [] if any(check.ok for check in found) else [check._replace(hint=hint) for check in found[:1]]
