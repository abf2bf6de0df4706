"""Numerical derivatives with error bounds.

The bound on the error of a derivative has two parts.  Rounding: the measured noise of f, divided by the step.
Truncation: central differences at h, h/2, h/4 are extrapolated twice (Richardson), and the change by the second
extrapolation bounds the error that is left.  The left and the right slope, extrapolated to h = 0, must agree; if they
do not, f has a kink inside the step, or curves too much for it, and smaller steps are tried.  If the slopes never
agree, the entry is a kink.  Features of f narrower than 1e-8 of an entry's size look like noise and are not found.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arrays import as_numbers
from ..errors import ConfigurationError, ShapeError
from ..validation import check_seed, function_of, positive_integer

EPS = float(np.finfo(np.float64).eps)
FIRST_STEP = 2.0 ** -8                  # in units of the entry's scale: truncation h^4 / 512 equals rounding 1e-14 / h
LEVELS = range(-5, 7)                   # the steps are FIRST_STEP * 16^-level
STAIR = 16 * EPS                        # noise of many terms 1 + u, each rounded by at most EPS / 2, for any size of f
ENOUGH = 1e-7                           # no further steps are tried below this bound, relative to the entry


class Numerical(NamedTuple):
    """Numerical derivatives of the entries with these flat indices; all arrays have the same length.

    `bounds` holds the bounds on the errors, and `rounding` their part that is rounding.  `kinks` is True where the left
    and right slopes never agreed.
    """

    entries: np.ndarray
    values: np.ndarray
    bounds: np.ndarray
    rounding: np.ndarray
    kinks: np.ndarray


class _Estimate(NamedTuple):
    step: float
    value: float
    roughness: float                    # change by the last extrapolation, plus the difference of the two slopes
    rounding: float

    @property
    def bound(self):
        return 2 * self.roughness + self.rounding


NOTHING = _Estimate(0.0, 0.0, np.inf, 0.0)                        # for an f that is not finite nearby


def rounding_noise(f: Callable[[], float], arrays: list, seed: int = 0) -> float:
    """Return the standard deviation of f()'s rounding errors near the present arrays, which are varied and restored.

    The method is that of Moré & Wild 2011, "Estimating computational noise", section 3: on nine points so close that f
    is straight, fourth differences are noise alone, of variance 70 sigma^2; the largest is used.  The points avoid the
    present values, where there may be a kink.  If such a small change does not change f, then f is a staircase, and its
    noise is the height of the nearest stair.  A single term of f may be a staircase, such as log(1 + u) for small u;
    it has no noise on one stair, so points ten and a hundred times as far apart are used as well.  Their noise is used
    up to `STAIR`: more than that is not the rounding of such a term, but f that is not straight over that distance.
    """
    rng, centers = np.random.default_rng(seed), [array.copy() for array in arrays]
    known = any(array.any() for array in arrays)                  # zeros have no scale for a small change
    directions = [_sizes(array) * rng.uniform(-1, 1, array.shape) * (array.any() or not known) for array in arrays]

    def at(t):
        for array, center, direction in zip(arrays, centers, directions):
            array[...] = center + t * direction
        return float(f())

    try:
        for spacing in 10.0 ** np.arange(-9, 0):
            t = spacing * np.arange(10, 19)
            values = np.array([at(t_k) for t_k in t])
            if np.ptp(values) != 0:
                break
        if np.ptp(values) == 0:
            noise = 0.0
        elif spacing == 1e-9:
            points = [values] + [np.array([at(wider * t_k) for t_k in t]) for wider in (10, 100)]
            noise, *apart = (float(np.max(np.abs(np.diff(spread, 4))) / np.sqrt(70)) for spread in points)
            most = STAIR * max(1.0, float(np.max(np.abs(values))))
            noise = max([noise, *(height for height in apart if height <= most)])
        else:
            k = int(np.argmax(np.diff(values) != 0))
            low, high, floor, stair = t[k], t[k + 1], values[k], values[k + 1]
            for _ in range(40):                                   # bisect to the edge, where a kink has no height
                middle = (low + high) / 2
                value = at(middle)
                low, high, stair = (middle, high, stair) if value == floor else (low, middle, value)
            noise = abs(stair - floor)
    finally:
        for array, center in zip(arrays, centers):
            array[...] = center
    return noise if np.isfinite(noise) else 0.0


def _sizes(x):
    """Return the scale on which every entry of x is varied."""
    mean = np.mean(np.abs(x)) if x.size else 0.0
    return np.maximum(np.abs(x), mean) if mean > 0 else np.ones(x.shape)


def _estimate(f, f_0, x, index, step, noise, terms=None):
    """Return the _Estimate from central and one-sided differences with three steps."""
    center, sizes, central, jumps = float(x[index]), [abs(f_0)], [], []

    def at(value):
        x[index] = value
        found = float(f())
        sizes.extend([abs(found), terms() if terms else 0.0])
        return found

    try:
        for h in (step, step / 2, step / 4):
            up, down = center + h, center - h                     # rounded: they differ from center by h, nearly
            f_up, f_down = at(up), at(down)
            central.append((f_up - f_down) / (up - down))
            jumps.append(((f_up - f_0) / (up - center) - (f_0 - f_down) / (center - down)) / 2)
    finally:
        x[index] = center
    size = max(sizes)
    c, j = central, jumps
    once = (4 * c[1] - c[0]) / 3, (4 * c[2] - c[1]) / 3           # the errors of central slopes are h^2, h^4, ...
    value = (16 * once[1] - once[0]) / 15
    jump = (8 * (2 * j[2] - j[1]) - (2 * j[1] - j[0])) / 7        # the errors of (right - left) / 2 are h, h^3, ...
    # 64 standard deviations of noise / step: the weights above multiply the noise of f by 4, and by 11 in the jump.
    rounding = 16 * (4 * noise + 2 * EPS * size) / step + EPS * abs(center * j[0]) / step
    return _Estimate(step, value, abs(once[1] - once[0]) + abs(jump), rounding)


def _sound(e, level):
    """Return True if e's bound is reliable, which it is not if the step is too long for f.

    The roughness must be small compared with the slope; up to the first step it may also be rounding.
    """
    return e.roughness < 0.1 * abs(e.value) or (level >= 0 and e.roughness <= e.rounding)


def _differentiate(f, f_0, x, index, scale, noise, level, largest, terms=None):
    """Return (_Estimate, kink, level): from `level` on, try longer steps if rounding dominates, else shorter ones."""
    def estimate(level):
        return _estimate(f, f_0, x, index, scale * FIRST_STEP * 16.0 ** -level, noise, terms)

    tried = {}
    while level in LEVELS and level not in tried:
        tried[level] = e = estimate(level)
        sound = _sound(e, level)
        flat = e.value == 0 and e.roughness == 0
        if sound and (flat or e.bound <= ENOUGH * max(abs(e.value), 1e-2 * largest)):
            return e, False, level
        level += -1 if sound and e.rounding >= e.roughness else 1
    best = min((k for k, e in tried.items() if _sound(e, k)), key=lambda k: tried[k].bound, default=None)
    if best is None:                                              # no step is reliable: there is a kink
        return min((e for e in tried.values() if np.isfinite(e.bound)), default=NOTHING), True, 0
    told = max((k for k, e in tried.items() if e.roughness > e.rounding), default=None)
    if told is None or 4 * tried[best].bound <= tried[told].roughness:
        return tried[best], False, best                           # the slopes agree, well above the rounding
    longer = tried.get(told - 1) or estimate(told - 1)
    # A step 16 times shorter reduces the roughness of a smooth f by more than 16^2; at a kink it stays.
    return tried[best], tried[told].roughness > longer.roughness / 16, best


def require_float64(name: str, array: np.ndarray) -> None:
    """Raise ShapeError unless the array called `name` is an array of float64."""
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name} is a {type(array).__name__}; expected a float64 array. "
                         "Pass np.array(..., dtype=np.float64).")
    if array.dtype != np.float64:
        why = ("float32 rounds too coarsely for differences: check in float64" if array.dtype == np.float32
               else "only float64 numbers can be varied a little")
        raise ShapeError(f"{name} has dtype {array.dtype}; expected float64: {why}. "
                         f"Pass {name}.astype(np.float64).")


def numerical_gradient(f: Callable[[], float], x: np.ndarray, *, max_entries: int = 64, seed: int = 0,
                       noise: float | None = None, terms: Callable[[], float] | None = None) -> Numerical:
    """Return the derivatives of f() with respect to entries of x, each with an error bound.

    Parameters
    ----------
    f : callable
        f() -> float, a function of the values in x.
    x : ndarray, float64
        Varied in place, one entry at a time, and restored exactly, also when f raises.
    max_entries : int
        The largest number of entries to differentiate; of a larger array that many are drawn at random.
    seed : int
        Seed of the draw.
    noise : float, optional
        Standard deviation of f's rounding errors; measured if not given.
    terms : callable, optional
        terms() -> float, the sum of the sizes of the terms that f() has just added.  If not given, |f()| is used, which
        is too small if terms cancel.

    Raises
    ------
    ShapeError, ConfigurationError
        If x is not a float64 array, or another argument cannot be used.

    Examples
    --------
    >>> x = np.array([0.5, 2.0])
    >>> found = numerical_gradient(lambda: float(np.sum(x**3)), x)
    >>> bool(np.all(np.abs(found.values - 3 * x**2) <= found.bounds)), bool(found.bounds.max() < 1e-9)
    (True, True)
    """
    require_float64("x", x)
    max_entries, seed = positive_integer("max_entries", max_entries), check_seed(seed)
    function_of("f", f, "f() -> float")
    if noise is not None and as_numbers(noise, "noise", ndim=(0,)) < 0:
        raise ConfigurationError(f"noise is {noise!r}; a standard deviation is not negative. Leave it out.")
    if terms is not None:
        function_of("terms", terms, "terms() -> float")
    entries = np.arange(x.size)
    if x.size > max_entries:
        entries = np.sort(np.random.default_rng(seed).choice(x.size, max_entries, replace=False))
    scales, level, largest, rows = _sizes(x), 0, 0.0, []
    with np.errstate(all="ignore"):                               # a step that leaves f's domain is not used
        f_0 = float(f())
        noise = rounding_noise(f, [x], seed) if noise is None else noise
        for entry in entries:
            index = np.unravel_index(entry, x.shape)
            e, kink, level = _differentiate(f, f_0, x, index, float(scales[index]), noise, level, largest, terms)
            largest = largest if kink else max(largest, abs(e.value))
            rows.append((e.value, e.bound, e.rounding, kink))
    values, bounds, rounding, kinks = np.array(rows).reshape(-1, 4).T
    return Numerical(entries, values, bounds, rounding, kinks.astype(bool))
