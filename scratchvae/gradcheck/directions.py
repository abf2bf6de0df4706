"""One slope for all entries: where it is off, halving leads to the entry that is wrong.

A large array has too many entries to differentiate each.  The slope of f along a direction that moves every entry is
one number, and the gradient says what it must be.  No component of the direction is small, so that no entry hides.
"""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from .numerical import BLIND, EPS, or_nan, restored, sizes_of, slope_of_entry, TINY

_MOVER: ContextVar = ContextVar("the generator that moves what checks start from", default=None)


@contextmanager
def moving(rng: np.random.Generator) -> Iterator[None]:
    """While open, checks start from arrays that are up to a tenth off those they are given."""
    token = _MOVER.set(rng)
    try:
        yield
    finally:
        _MOVER.reset(token)


def begin(arrays: dict) -> None:
    """Move the arrays of a check that begins, if `moving` is open."""
    if _MOVER.get():
        move(arrays, _MOVER.get())


def move(arrays: dict, rng: np.random.Generator) -> None:
    """Change every entry of {name: array} by up to a tenth of it, in place."""
    for array in arrays.values():
        array *= rng.uniform(0.9, 1.1, array.shape)


def wrong_entry(f: Callable, x: np.ndarray, analytic: np.ndarray, noise: float,
                terms: Callable | None = None, *, seed: int = 0, allowed: np.ndarray | None = None,
                sure: bool = False) -> int | None:
    """Return the flat index of the entry that makes a slope along all entries wrong, or None if the slope is right.

    f, x, noise and terms are as in `numerical_gradient`; `analytic` is the gradient, of x's shape, and `allowed` what
    each entry of it may be wrong by.  The seed draws the direction.  With `sure`, a slope is left out at a kink, where
    several units may be at theirs: then it may be off, and no entry.
    """
    if not np.isfinite(analytic).all():
        return int(np.argmin(np.isfinite(analytic)))
    rng, center, t = np.random.default_rng(seed), x.copy(), np.zeros(1)
    sizes = np.where(np.isfinite(x), sizes_of(x), 0)
    signs = rng.uniform(0.5, 1, x.shape) * rng.choice([-1.0, 1.0], x.shape)

    def along(low=0, high=x.size):
        step = np.zeros(x.size)
        step[low:high] = t[0] * direction.ravel()[low:high]
        x[...] = center + step.reshape(x.shape)
        return or_nan(f)

    def difference(h, low, high):
        t[0] = h
        up = along(low, high)
        t[0] = -h
        return (up - along(low, high)) / (2 * h)

    def slope(low, high):
        return (4 * difference(e.step / 8, low, high) - difference(e.step / 4, low, high)) / 3

    with restored([x]), np.errstate(all="ignore"):
        directions = [sizes * signs]
        if 0 < np.count_nonzero(x) < x.size:                      # at 0 there may be a kink, or the end of f's domain
            directions.append(np.where(x, sizes, 0) * signs)
        if np.max(sizes) < TINY:
            directions.append(signs)
        for direction in directions:
            parts, t[0] = (analytic * direction).ravel(), 0.0
            e, kink, _ = slope_of_entry(along, along(), t, (0,), 1.0, noise, 0, 0.0, terms)
            error, size = parts.sum() - e.value, np.abs(parts).sum()
            spared = 0.0 if allowed is None else float(np.sum(allowed * np.abs(direction)))
            if abs(error) > e.bound + 4 * EPS * size + spared and not (sure and kink):
                break
            if e.bound <= BLIND * size:
                return None
        else:
            return None
        low, high = 0, x.size
        while high - low > 1:
            middle = (low + high) // 2
            half = parts[low:middle].sum() - slope(low, middle)
            first = abs(half) >= abs(error - half)
            low, high, error = (low, middle, half) if first else (middle, high, error - half)
    return low
