"""Gradients that are right only at the numbers that they are asked at: wrong at others, or where no entry is 0."""
from collections.abc import Callable

import numpy as np

from .comparison import Check, compare
from .directions import move
from .layouts import Refusal
from .numerical import numerical_gradient, restored, rounding_noise, sizes_of

WRONG_ELSEWHERE = ("right at these parameters as far as differences tell, wrong at others: are old ones remembered? "
                   "Or is one of many entries a little off?")


def check_elsewhere(arrays: dict, loss: Callable, gradient: Callable, seed: int = 0, allow: Callable | None = None,
                    least_noise: Callable | None = None) -> Check:
    """Return the Check "elsewhere" of a slope along one direction, at other values of the arrays; they are restored.

    There `gradient()` returns {name: gradient}, and after it `loss()` returns the function to be differentiated.
    allow(gradients) returns what each entry may be wrong by, and least_noise() that of the loss at least.
    """
    rng, t = np.random.default_rng(seed), np.zeros(1)
    with restored(arrays.values()):
        move(arrays, rng)
        starts = {name: array.copy() for name, array in arrays.items()}
        direction = {name: np.where(np.isfinite(array), array, 0) * rng.uniform(-1, 1, array.shape)
                     for name, array in arrays.items()}
        found, loss_there = gradient(), loss()
        slope = sum(float(np.sum(found[name] * step, where=step != 0)) for name, step in direction.items())
        slack = sum(float(np.sum(error * np.abs(starts[name]), where=direction[name] != 0))
                    for name, error in (allow(found) if allow else {}).items())

        def along():
            for name, array in arrays.items():
                array[...] = starts[name] + t[0] * direction[name]
            return loss_there()

        noise = max(least_noise() if least_noise else 0.0, rounding_noise(loss_there, list(arrays.values()), seed))
        numerical = numerical_gradient(along, t, seed=seed, noise=noise)
        return compare("elsewhere", np.array([slope]), numerical, "", {}, np.array([slack]))._replace(
            hint=WRONG_ELSEWHERE)


def is_sure(check: Check) -> bool:
    """Return True if a slope was judged: it is finite and not 0, and the loss has no kink there."""
    return bool(np.isfinite([check.analytic, check.error_bound]).all() and not check.kinks and (
        check.analytic or check.numeric))


def _lift(arrays, rng, sign):
    """Move entries that are exactly 0 off it in place, up (sign 1) or down (-1), and by little: much may saturate.

    What is quadratic in so small a number is still far above the rounding.
    """
    for array in arrays:
        size = (1e-3 if array.dtype == np.float64 else 1e-2) * np.minimum(sizes_of(array), 1)
        array += sign * size * rng.uniform(0.5, 1, array.shape) * (array == 0)


def off_zero(checks: list, arrays: dict, loss: Callable, gradient: Callable, seed: int = 0,
             allow: Callable | None = None) -> list:
    """Return the failed Check of a gradient that is wrong where no entry is 0, or nothing; the arrays are restored.

    A multiple of an entry is unseen where the entry is 0, as fresh biases are.  `checks` are those of the arrays as
    they are, and all ok; the others are as in `check_elsewhere`.  Zeros move up, and then down, because 0 may be the
    end of what code is for: a gradient is wrong if it is so wherever it can be judged.  It cannot be where code fails,
    numbers are not finite, the loss has a kink, or nothing has a slope.  Arrays that are at kinks stay: their gradient
    there may be any between those of the two sides.
    """
    names = [check.name for check in checks if not check.kinks and not arrays[check.name].all()]
    found = []
    for sign in (1, -1) if names else ():
        with restored(arrays.values()), Refusal(), np.errstate(all="ignore"):
            _lift([arrays[name] for name in names], np.random.default_rng(seed), sign)
            check = check_elsewhere(arrays, loss, gradient, seed, allow)
            if is_sure(check):
                found.append(check)
    hint = (f"right where entries of {', '.join(names)} are exactly 0, wrong where they are not: does the gradient "
            "leave them out?")
    return [] if any(check.ok for check in found) else [check._replace(hint=hint) for check in found[:1]]
