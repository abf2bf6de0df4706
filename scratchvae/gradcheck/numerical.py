"""Numerical derivatives that know how wrong they may be.

A derivative comes with a bound on its error, of two parts.  Rounding: the noise of f, measured, over the step taken.
Truncation: central differences at h, h/2, h/4 are extrapolated twice (Richardson), and what the second
extrapolation changes bounds what is left.  The left and the right slope, extrapolated to h = 0, must meet; by as
much as they do not, f has a kink inside the step or curves too sharply for it.  Then smaller steps are tried; if the
slopes never meet, the entry is a kink.  Features of f narrower than 1e-8 of an entry's size are beyond this: they
look like noise.
"""
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..arrays import as_numbers
from ..errors import ConfigurationError, ShapeError
from ..validation import check_seed, function_of, positive_integer
from .trees import as_number

EPS, EPS_32 = (float(np.finfo(dtype).eps) for dtype in (np.float64, np.float32))
# Of the entry's scale: truncation h^4 / 512 meets rounding 1e-14 / h here.  Steps that are binary fractions, as periods
# often are, would miss what lies between.
FIRST_STEP = 2.0 ** -8.1
LEVELS = range(-5, 7)                   # steps are FIRST_STEP * 16^-level
STAIR = 16 * EPS                        # noise of many terms 1 + u, each rounded by at most EPS / 2, whatever f's size
SPACINGS = (1e-7, 1e-6, 1e-5)           # of points between which float32 inside f is noise
FLOAT32 = 1e-6                          # noise relative to f that float32 makes at most
COARSE = 1e-9                           # noise relative to f that tells float32 from float64
ENOUGH = 1e-7                           # a bound this small, relative to the entry, needs no further steps
TINY = 16.0 ** LEVELS[0]                # at a scale below it the longest step is shorter than the first at scale 1
BLIND = 1e-3                            # a bound above this, relative to the slope, tells too little of it
OUTSIDE = ArithmeticError, ValueError, AssertionError, LookupError, RuntimeError  # what code outside its domain raises


class Numerical(NamedTuple):
    """Numerical derivatives of the entries with these flat indices; arrays of one length.

    `bounds` holds the errors' bounds, `rounding` the part of them that is rounding, `kinks` is True where the left
    and right slopes never met.
    """

    entries: np.ndarray
    values: np.ndarray
    bounds: np.ndarray
    rounding: np.ndarray
    kinks: np.ndarray


class _Estimate(NamedTuple):
    step: float
    value: float
    roughness: float                    # what extrapolation and the two sides disagree by
    rounding: float

    @property
    def bound(self):
        return 2 * self.roughness + self.rounding


NOTHING = _Estimate(0.0, 0.0, np.inf, 0.0)                        # f is not finite anywhere near


def or_nan(f: Callable) -> float:
    """Return f() at numbers that were varied, NaN where the code refuses them."""
    try:
        return float(f())
    except OUTSIDE:
        return math.nan


@contextmanager
def restored(arrays: Collection) -> Iterator[list]:
    """While open, arrays may be changed; yield copies of their values, which they have again in the end."""
    kept = [array.copy() for array in arrays]
    try:
        yield kept
    finally:
        for array, values in zip(arrays, kept):
            array[...] = values


def rounding_noise(f: Callable, arrays: list, seed: int = 0) -> float:
    """Return the standard deviation of f()'s rounding errors near the present arrays, which are varied and restored.

    After Moré & Wild 2011, "Estimating computational noise", section 3: on nine points so close that f is straight,
    fourth differences are noise alone, of variance 70 sigma^2; the largest counts.  The points stay clear of the
    present ones, where there may be a kink.  Where f rounds so small a change away, it is a staircase: its noise is
    the height of the nearest stair.  One term of f may be a staircase beside others that are not, as log(1 + u) is
    where u is small, and makes no noise on one stair; so the points are spread ten and a hundred times as wide, too.
    What they say counts up to `STAIR`: more is not the rounding of such a 1, but f that is not straight so far.
    Where f rounds away all changes of tiny numbers, the points spread as they do for numbers of size 1.
    Rounding in float32 makes the same noise on the three `SPACINGS`; what a kink makes grows tenfold.  If f is the same
    to the bit at the float32 values of its numbers, its noise is that of float32, also where its stairs are wider.
    """
    rng = np.random.default_rng(seed)
    known = any(array.any() for array in arrays)                  # zeros do not say what a small change of them is

    def at(t):
        for array, center, direction in zip(arrays, centers, directions):
            array[...] = center + t * direction
        return or_nan(f)

    def on_points(spacing):
        return np.array([at(t) for t in spacing * np.arange(10, 19)])

    def spread(values):
        """Return the fourth differences of f on nine points, in standard deviations of its noise."""
        return np.abs(np.diff(values, 4)) / np.sqrt(70)

    def in_float32():
        """Return True if f sees no more of its numbers than float32 holds, and more would change it."""
        found = []
        for t in (0.1, 0.101):
            found.append(at(t))
            moved = [array.copy() for array in arrays]
            for array in arrays:
                array[...] = array.astype(np.float32)
            if or_nan(f) != found[-1] or all(map(np.array_equal, arrays, moved)):
                return False
        return np.ptp(found) > COARSE * np.max(np.abs(found))

    with restored(arrays) as centers, np.errstate(all="ignore"):
        for scale_of in (np.abs, sizes_of) if known else (sizes_of,):       # f may curve over an entry's own size
            scales = [scale_of(array) for array in arrays]
            directions = [np.where(np.isfinite(scale), scale, 0) * rng.uniform(-1, 1, scale.shape) for scale in scales]
            longest = max((float(np.max(np.abs(direction), initial=0.0)) for direction in directions), default=0.0)
            spacings = 10.0 ** np.arange(-9, 6)
            if 1e-300 < longest < TINY:
                spacings = np.append(spacings, spacings / longest)
            for spacing in spacings:
                values = on_points(spacing)
                if np.ptp(values) != 0:
                    break
            if np.ptp(values) != 0:                               # else f may change with the zeros alone
                break
        size = max(1.0, float(np.max(np.abs(values))))
        if np.ptp(values) == 0:
            noise = 0.0
        elif spacing == 1e-9:
            wider = [np.max(spread(on_points(further))) for further in (1e-8, 1e-7)]
            noise = float(max([np.max(spread(values)), *(height for height in wider if height <= STAIR * size)]))
        else:
            k = int(np.argmax(np.diff(values) != 0))
            low, high, floor, stair = spacing * (10 + k), spacing * (11 + k), values[k], values[k + 1]
            for _ in range(60):                                   # to the stair's edge: a kink has no height there
                middle = (low + high) / 2
                value = at(middle)
                low, high, stair = (middle, high, stair) if value == floor else (low, middle, value)
            noise = abs(stair - floor)
        coarse = [spread(on_points(spacing)) for spacing in SPACINGS]
        sizes = [np.sqrt(np.mean(heights**2)) for heights in coarse]
        single = in_float32()
        if single or max(sizes) < 8 * min(sizes) and max(sizes) < FLOAT32 * size:
            noise = max(noise, *(float(np.max(heights)) for heights in coarse))
        if single:
            noise = max(noise, EPS_32 * float(np.max(np.abs(values))))
    return noise if np.isfinite(noise) else 0.0


def is_float32(x: np.ndarray, slack: float = 0.0) -> bool:
    """Return True if all numbers are those of float32, up to a slack."""
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(x - x.astype(np.float32)) <= slack))


def sizes_of(x: np.ndarray) -> np.ndarray:
    """Return what counts as a change of size 1 of every entry of x."""
    finite = np.isfinite(x)
    mean = np.mean(np.abs(x[finite])) if finite.any() else 0.0
    return np.maximum(np.abs(x), mean) if mean > 0 else np.ones(x.shape)


def _estimate(f, f_0, x, index, step, noise, terms=None):
    """Return the _Estimate from central and one-sided differences with three steps."""
    center = float(x[index])
    size, central, jumps = abs(f_0), [], []
    terms = terms or (lambda: 0.0)
    with restored([x[*index, ...]]):
        for h in (step, step / 2, step / 4):
            x[index] = center + h                                 # the steps taken are up - center and center - down
            up, f_up = float(x[index]), or_nan(f)
            size = max(size, np.sum(np.abs(terms())))
            x[index] = center - h
            down, f_down = float(x[index]), or_nan(f)
            size = max(size, np.sum(np.abs(terms())))
            if not down < center < up:                            # the step is below x's rounding
                return NOTHING
            central.append((f_up - f_down) / (up - down))
            jumps.append(((f_up - f_0) / (up - center) - (f_0 - f_down) / (center - down)) / 2)
            size = max(size, abs(f_up), abs(f_down))
    c, j = central, jumps
    once = (4 * c[1] - c[0]) / 3, (4 * c[2] - c[1]) / 3           # central slopes err by h^2, h^4, ...
    value = (16 * once[1] - once[0]) / 15
    jump = (8 * (2 * j[2] - j[1]) - (2 * j[1] - j[0])) / 7        # half of right less left errs by h, h^3, ...
    if noise > COARSE * abs(f_0) > 0 and (noise < 10 * FLOAT32 * abs(f_0) or is_float32(np.array([f_up, f_down]))):
        noise = max(noise, min(noise * size / abs(f_0), 10 * FLOAT32 * size))      # float32 rounds a larger f by more
    # 64 standard deviations of noise / step: the weights above make 4 of them of one in f, and 11 in the jump.
    rounding = 16 * (4 * noise + 2 * EPS * size) / step + EPS * abs(center * j[0]) / step
    return _Estimate(step, value, abs(once[1] - once[0]) + abs(jump), rounding)


def _at_kink(f, x, index, e, terms):
    """Return e with the middle between the left and the right slope, and half their distance in its bound.

    Several terms may have a kink at once, and a backward may choose a side for each: the distances add up.
    """
    center = float(x[index])

    def at(value):
        x[index] = value
        f_x = or_nan(f)
        return np.array(terms() if terms else f_x)

    with restored([x[*index, ...]]):
        y_0, slopes = at(center), []
        for h in (e.step / 4, e.step / 8, -e.step / 4, -e.step / 8):
            y = at(center + h)
            slopes.append((y - y_0) / (float(x[index]) - center))
    right, left = slopes[1], slopes[3]
    low, high = np.sum(np.minimum(left, right)), np.sum(np.maximum(left, right))
    curved = 4 * np.sum(np.abs(slopes[0] - right) + np.abs(slopes[2] - left))
    if not np.isfinite(low + high + curved):
        return NOTHING
    return e._replace(value=float(low + high) / 2, roughness=float((high - low) / 4 + curved / 2))


def _sound(e, level):
    """Return True if e's bound can be believed: a step that is too long for f does not know how wrong it is.

    The roughness must be small beside the slope; up to the first step it may be rounding, too.
    """
    return e.roughness < 0.1 * abs(e.value) or (level >= 0 and e.roughness <= e.rounding)


def _best(tried):
    """Return the level of the least bound that can be believed, or None; {level: _Estimate}.

    What a shorter step contradicts by more than both bounds is wrong: a long step may lie across kinks and see none.
    """
    sound = {k: e for k, e in tried.items() if _sound(e, k)}
    return min((k for k, e in sound.items() if not any(
        m > k and abs(e.value - other.value) > e.bound + other.bound for m, other in sound.items())),
        key=lambda k: sound[k].bound, default=None)


def slope_of_entry(f: Callable, f_0: float, x: np.ndarray, index: tuple, scale: float, noise: float, level: int,
                   largest: float, terms: Callable | None = None) -> tuple:
    """Return (_Estimate, kink, level): try steps from `level` on, larger where rounding rules, smaller elsewhere."""
    def estimate(level):
        return _estimate(f, f_0, x, index, scale * FIRST_STEP * 16.0 ** -level, noise, terms)

    def at_kink(e):
        return _at_kink(f, x, index, e, terms) if e.step else e

    tried = {}
    while level in LEVELS and level not in tried:
        tried[level] = e = estimate(level)
        sound = _sound(e, level)
        flat = e.value == 0 and e.roughness == 0
        if sound and (flat or e.bound <= ENOUGH * max(abs(e.value), 1e-2 * largest)):
            return e, False, level
        level += -1 if sound and e.rounding >= e.roughness else 1
    best = _best(tried)
    if best in LEVELS[:-1] and best + 1 not in tried:
        tried[best + 1] = estimate(best + 1)
        best = _best(tried)
    if best is not None and best < 0 and best + 1 in tried:       # a long step: what the shorter one adds is doubt
        e, apart = tried[best], abs(tried[best].value - tried[best + 1].value)
        tried[best] = e._replace(roughness=max(e.roughness, apart / 2))
    if best is None:                                              # no step tells: the shortest shows the kink
        return at_kink(min((e for e in tried.values() if np.isfinite(e.bound)), default=NOTHING)), True, 0
    told = max((k for k, e in tried.items() if e.roughness > e.rounding), default=None)
    if told is None or 4 * tried[best].bound <= tried[told].roughness:
        return tried[best], False, best                           # the slopes meet, and rounding does not hide it
    longer = tried.get(told - 1) or estimate(told - 1)
    # Where f is smooth, a step 16 times shorter leaves less than 1/16^2 of the roughness; a kink keeps it.
    kink = tried[told].roughness > longer.roughness / 16
    return at_kink(tried[best]) if kink else tried[best], kink, best


def require_float64(name: str, array: object) -> None:
    """Raise ShapeError unless the array called `name` is an array of float64."""
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{name} is a {type(array).__name__}; expected a float64 array. "
                         "Pass np.array(..., dtype=np.float64).")
    if array.dtype != np.float64:
        why = ("float32 rounds too coarsely for differences: check in float64" if array.dtype == np.float32
               else "only float64 numbers can be varied a little")
        raise ShapeError(f"{name} has dtype {array.dtype}; expected float64: {why}. "
                         f"Pass {name}.astype(np.float64).")


def numerical_gradient(f: Callable, x: np.ndarray, *, max_entries: int = 64, seed: int = 0,
                       noise: float | None = None, terms: Callable | None = None) -> Numerical:
    """Return the derivatives of f() with respect to entries of x, each with an error bound.

    Parameters
    ----------
    f : callable
        f() -> float, a function of the values in x.
    x : ndarray, float64
        Varied in place, one entry at a time, and restored exactly, also when f raises.
    max_entries : int
        Up to this many entries are all differentiated; of a larger array as many are drawn.
    seed : int
        Of the draw.
    noise : float, optional
        Standard deviation of f's rounding errors; measured if not given.
    terms : callable, optional
        terms() -> ndarray, the terms that f() has just added.  Their sizes say how f() is rounded where they cancel,
        and their slopes what is right where several have a kink.

    Raises
    ------
    ShapeError, ConfigurationError
        If x is not a float64 array, f() is not one number, or another argument cannot be used.

    Examples
    --------
    >>> x = np.array([0.5, 2.0])
    >>> found = numerical_gradient(lambda: float(np.sum(x**3)), x)
    >>> bool(np.all(np.abs(found.values - 3 * x**2) <= found.bounds)), bool(found.bounds.max() < 1e-9)
    (True, True)
    """
    require_float64("x", x)
    if not x.flags.writeable:
        raise ShapeError("x is read-only; expected an array that can be varied in place. Pass a copy.")
    max_entries, seed = positive_integer("max_entries", max_entries), check_seed(seed)
    function_of("f", f, "f() -> float")
    if noise is not None and as_numbers(noise, "noise", ndim=(0,)) < 0:
        raise ConfigurationError(f"noise is {noise!r}; a standard deviation is not negative. Leave it out.")
    if terms is not None:
        function_of("terms", terms, "terms() -> ndarray")

    def number():
        return as_number(f(), "f()")

    number()
    noise = rounding_noise(number, [x], seed) if noise is None else noise
    return differentiate(number, x, draw_entries(x.size, max_entries, seed), noise, terms)


def draw_entries(size: int, max_entries: int, seed: int) -> np.ndarray:
    """Return the flat indices of the entries to differentiate: all of them, or `max_entries` drawn ones."""
    if size <= max_entries:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, max_entries, replace=False))


def differentiate(f: Callable, x: np.ndarray, entries: np.ndarray, noise: float,
                  terms: Callable | None = None) -> Numerical:
    """Return the Numerical derivatives of f() along these entries of x, float64 or float32; `noise` is that of f."""
    scales, level, largest, rows = sizes_of(x), 0, 0.0, []
    with np.errstate(all="ignore"):                               # a large step may leave f's domain: it is dropped
        f_0 = float(f())
        for entry in entries:
            index = np.unravel_index(entry, x.shape)
            e, kink, level = slope_of_entry(f, f_0, x, index, float(scales[index]), noise, level, largest, terms)
            own = abs(float(x[index]))
            if 0 < own < scales[index] and (kink or own < scales[index] / 16):   # the array's steps may not fit
                fine, fine_kink, _ = slope_of_entry(f, f_0, x, index, own, noise, 0, largest, terms)
                apart = abs(fine.value - e.value) > fine.bound + e.bound
                if kink or not fine_kink and (apart or fine.bound < e.bound):
                    e, kink = fine, fine_kink
            if scales[index] < TINY and not e.bound <= BLIND * abs(e.value):     # f may not notice so small a step
                long, long_kink, _ = slope_of_entry(f, f_0, x, index, 1.0, noise, 0, largest, terms)
                if long.bound < e.bound and abs(long.value - e.value) <= long.bound + e.bound:
                    e, kink = long, long_kink
            largest = largest if kink else max(largest, abs(e.value))
            rows.append((e.value, e.bound, e.rounding, kink))
    values, bounds, rounding, kinks = np.array(rows).reshape(-1, 4).T
    return Numerical(entries, values, bounds, rounding, kinks.astype(bool))
