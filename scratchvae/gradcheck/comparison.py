"""Compare analytic gradients with numerical derivatives: the verdict on an array, and the table of verdicts."""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import ConfigurationError, ScratchVAEError
from ..tables import html_table
from .directions import wrong_entry
from .hints.patterns import diagnose, only_bias_wrong
from .numerical import BLIND, COARSE, differentiate, draw_entries, ENOUGH, Numerical, rounding_noise, STAIR

CANCELED = 10                           # how many times its sum one part of a slope may be
STAIRS = 1e-5                           # noise of f, relative to its size, that tells a step function from float32
IN_FLOAT32 = "forward computes in float32: the bounds are those of its own noise"
SEVERAL = ("outside of the two sides' slopes, at kinks: right only if several units are at theirs at once. Move the "
           "parameters off them, for example with random biases")
WIDE = "float32 takes steps so wide that kinks lie in them, and the gradient is outside of all slopes: use float64"
SPREAD = ("the slope along all entries is wrong, and no entry is wrong by more than its own bound: many entries are "
          "off by little")
HEADINGS = ("array", "worst error", "at", "analytic", "numeric", "bound", "verdict")
ONLY_BIAS = "only the bias is wrong: d_b is the sum of d_a over the batch"


class Check(NamedTuple):
    """The verdict on one array, in plain Python values.

    `ok` is True if the gradient was judged and is right; `judged` is False if nothing could be said about it.  Both
    are otherwise only for what `examine_vae` was given no functions to ask: it is ok, and not judged.
    `worst` is the largest relative error |analytic - numeric| / size over the entries that are not kinks or that lie
    outside of a kink's two slopes, of which `numeric` is the middle and `error_bound` the half distance; it stands at
    `index`, as do `analytic`, `numeric` and `error_bound`.  The size of an entry that fails is
    max(|analytic|, |numeric|).  The size of one that passes is at least 1e-3 of the array's largest numeric
    gradient and at least 1e7 times its own rounding bound: of smaller entries differences know no relative error.
    Where the contract is broken and there is nothing to compare, `worst` is 1 and `index` empty.
    """

    name: str
    worst: float
    index: tuple                           # type: ignore[assignment]      # tuple's method of this name is hidden
    analytic: float
    numeric: float
    error_bound: float
    ok: bool
    hint: str
    kinks: int
    judged: bool = True

    @property
    def verdict(self) -> str:
        """Return "ok", "WRONG", "not judged", or "not asked" with what it needs."""
        if self.judged:
            return "ok" if self.ok else "WRONG"
        return f"not asked: {self.hint}" if self.ok else "not judged"

    def with_hint(self, hint: str | None) -> "Check":
        """Return the same Check, with one more hint if there is one."""
        return self._replace(hint="; ".join(filter(None, (self.hint, hint))))


class Checks(list):
    """The `Check`s of one layer or model, in order.  `print` shows them as a table, and so does a notebook.

    Examples
    --------
    >>> print(Checks([Check("W", 2e-11, (0, 1), 0.5, 0.5, 1e-9, True, "", 0)]))
    array  worst error   at  analytic  numeric    bound  verdict
    W          2.0e-11  0,1       0.5      0.5  1.0e-09  ok
    """

    def __str__(self) -> str:
        return format_checks(self)

    def _repr_html_(self) -> str:
        require_checks(self)
        return html_table([*HEADINGS, "hint"], [(*_cells(check), check.hint) for check in self])


def note(name: str, hint: str) -> Check:
    """Return a Check that is ok: there is nothing to compare, and perhaps something to say."""
    return Check(name, 0.0, (), 0.0, 0.0, 0.0, True, hint, 0)


def not_asked(name: str, needs: str) -> Check:
    """Return the Check of a question that was not asked, because something is not given that it needs."""
    return note(name, f"needs {needs}")._replace(judged=False)


def broken(name: str, hint: str) -> Check:
    """Return the failed Check of an array for which there is nothing to compare."""
    return Check(name, 1.0, (), 0.0, 0.0, 0.0, False, hint, 0)


def not_finite(who: str, loss: float) -> Check:
    """Return the Check of a loss that differences cannot follow: nothing is judged."""
    return broken("loss", f"{who} is {loss} at these parameters: differences need a finite loss; move the "
                  "parameters")._replace(judged=False)


def failed(name: str, found: np.ndarray, right: np.ndarray, hint: str) -> Check:
    """Return the failed Check of a part (m,) of a gradient, at the entry that differs most from the right one."""
    at = int(np.argmax(np.abs(found - right)))
    analytic, numeric = float(found[at]), float(right[at])
    worst = abs(analytic - numeric) / max(abs(analytic), abs(numeric))
    return Check(name, worst, (at,), analytic, numeric, 0.0, False, hint, 0)


def _off(analytic, numerical, allowed):
    """Return where the compared entries of a gradient are off by more than their bounds and what is `allowed`."""
    entries, n, bounds, _, _ = numerical
    more = 0.0 if allowed is None else allowed.ravel()[entries]
    return ~(np.abs(analytic.ravel()[entries] - n) <= bounds + more)


def compare(name: str, analytic: np.ndarray, numerical: Numerical, fault: str, sizes: dict,
            allowed: np.ndarray | None = None) -> Check:
    """Return the Check of one array: its whole analytic gradient against derivatives of some entries.

    `allowed` (of its shape) is what each entry may be wrong by in addition.
    """
    entries, n, bounds, rounding, kinks = numerical
    if not len(entries):
        return note(name, "")
    a = analytic.ravel()[entries]
    error, own = np.abs(a - n), np.maximum(np.abs(a), np.abs(n))
    off = _off(analytic, numerical, allowed)
    largest = np.max(np.abs(n[~kinks]), initial=0.0)
    floor = np.maximum(1e-3 * largest, 1e7 * rounding)
    size = np.where(off, own, np.maximum(own, floor))
    relative = np.divide(error, size, out=np.zeros(len(a)), where=(off | ~kinks) & (size > 0) & np.isfinite(a))
    relative[off & ~np.isfinite(a)] = np.inf
    at = int(np.argmax(relative + 2 * off - kinks))               # among those that are off, if any
    hints = [fault]
    if off.any() and not fault:
        hints.append(diagnose(analytic, entries[~kinks], n[~kinks], bounds[~kinks], sizes))
    if not kinks.all() and largest > np.median(bounds[~kinks]) > 1e-3 * largest:
        hints.append(f"rounding in forward hides errors below {np.median(bounds[~kinks]):.0e} here: are its units "
                     "saturated, or does it compute in float32?")
    if 2 * kinks.sum() > len(a) and np.isfinite(bounds).any():
        hints.append(f"{kinks.sum()} of {len(a)} entries are kinks, where any slope between the two sides' passes: "
                     "move the parameters off them, for example with random biases")
    return Check(name, float(relative[at]), tuple(map(int, np.unravel_index(entries[at], analytic.shape))),
                 float(a[at]), float(n[at]), float(bounds[at]), not (off.any() or fault),
                 "; ".join(filter(None, hints)), int(kinks.sum()))


def _not_judged(check, numerical, noise, size, largest):
    """Return the Check, as "not judged" if no bound is small enough to tell its gradient from another.

    `size` is that of f, and `largest` the largest entry of all gradients.
    """
    if not len(numerical.entries) or not check.ok:
        return check
    _, n, bounds, _, kinks = numerical
    value, coarse, stairs = np.maximum(np.abs(n), abs(check.analytic)), noise > max(COARSE * size, STAIR), STAIRS * size
    clear = np.maximum(value, max(ENOUGH, BLIND * largest))       # a bound below this says that a gradient is small
    if not np.isfinite(bounds).any():
        why = "forward fails or is not finite anywhere near here: move the parameters"
    elif coarse and np.all(bounds >= value) and (noise > stairs > 0 or value.any()):
        why = (f"forward rounds to {noise:.0e}, and the bounds are wider than the gradient: is it a step function "
               "such as round, or float32 inside? Check it without the rounding")
    elif not coarse and not kinks.any() and np.all(bounds >= clear):
        why = ("the bounds are wider than the gradient: forward rounds away what this array changes. Take out of it "
               "what is so much larger, or move the parameters")
    else:
        return check.with_hint(IN_FLOAT32 if coarse and noise < stairs else "")
    return check._replace(ok=False, judged=False).with_hint(why)


def _only_at_kinks(analytic, numerical, allowed):
    """Return True if a gradient is off at kinks alone, and no larger there than what several kinks at once can make."""
    entries, n, bounds, _, kinks = numerical
    a, off = analytic.ravel()[entries], _off(analytic, numerical, allowed)
    size = np.abs(n) + bounds                                     # of the larger slope
    return bool(kinks[off].any() and kinks[off].all() and np.all(np.abs(a[off]) <= CANCELED * size[off]))


def compare_all(f: Callable[[], float], arrays: dict, gradients: dict, faults: dict, sizes: dict, max_entries: int,
                seed: int, least_noise: float = 0.0, terms: Callable | None = None,
                allowed: dict | None = None) -> list:
    """Return the Checks of all arrays, with the hints that need all of them.

    Of a large array drawn entries are compared, and with them the one that a slope along all entries leads to.
    """
    with np.errstate(all="ignore"):
        noise = max(least_noise, rounding_noise(f, list(arrays.values()), seed))
        slopes = (float(np.nansum(np.abs(gradients[name] * array))) for name, array in arrays.items())
        size = max(abs(float(f())), *slopes)
    finite = (gradient[np.isfinite(gradient)] for gradient in gradients.values())
    largest = max((float(np.max(np.abs(numbers), initial=0.0)) for numbers in finite), default=0.0)
    coarse = noise > max(COARSE * size, STAIR)
    checks = []
    for name, array in arrays.items():
        extra = allowed[name] if allowed else None
        entries, found = draw_entries(array.size, max_entries, seed), None
        if array.size > max_entries:
            found = wrong_entry(f, array, gradients[name], noise, terms, seed=seed, allowed=extra)
            entries = entries if found is None else np.union1d(entries, found)
        numerical = differentiate(f, array, entries, noise, terms)
        if coarse:                                                # float32 hides how rough f is from extrapolation, too
            numerical = numerical._replace(bounds=2 * numerical.bounds)
        check = compare(name, gradients[name], numerical, faults.get(name, ""), sizes, extra)
        if check.ok and found is not None and wrong_entry(
                f, array, gradients[name], noise, terms, seed=seed + 1, allowed=extra, sure=True) is not None:
            check = check._replace(ok=False, hint=SPREAD)
        composed = terms is None or allowed is not None           # foreign code may be; of a layer, a term has one unit
        if composed and not faults.get(name) and _only_at_kinks(gradients[name], numerical, extra):
            check = check._replace(judged=False, hint=WIDE if coarse else SEVERAL)
        checks.append(_not_judged(check, numerical, noise, size, largest))
    wrong = {check.name: check.judged and not check.ok for check in checks}
    shapes = {name: array.shape for name, array in arrays.items()}
    return [check.with_hint(ONLY_BIAS)
            if wrong[check.name] and not faults.get(check.name) and only_bias_wrong(check.name, wrong, shapes)
            else check for check in checks]


def require_checks(checks: list) -> None:
    """Raise ConfigurationError unless checks is a list or tuple of `Check`."""
    if not isinstance(checks, (list, tuple)) or not all(isinstance(check, Check) for check in checks):
        raise ConfigurationError(f"checks is {checks!r}; expected a list of Check. Pass what check_layer or "
                                 "check_model returns.")


def _cells(check):
    if check.ok and not check.judged:
        return (check.name, *"-----", check.verdict)
    verdict = check.verdict + (f", {check.kinks} at kinks" if check.kinks else "")
    return (check.name, f"{check.worst:.1e}", ",".join(map(str, check.index)) or "-", f"{check.analytic:.6g}",
            f"{check.numeric:.6g}", f"{check.error_bound:.1e}", verdict)


def format_checks(checks: list) -> str:
    """Return the checks as a table for a terminal: one line for each array, with its hint below."""
    require_checks(checks)
    rows = [HEADINGS, *map(_cells, checks)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) if k in (0, 6) else cell.rjust(width)
                       for k, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    for k, check in reversed(list(enumerate(checks, start=1))):
        if check.hint and (check.judged or not check.ok):
            lines.insert(k + 1, "    " + check.hint)
    return "\n".join(lines)


class GradientMismatch(ScratchVAEError, AssertionError):
    """A backward is not the derivative of its forward, or breaks its contract."""


def assert_ok(checks: list) -> None:
    """Raise GradientMismatch, with the table of `format_checks`, unless every check is ok.

    Raises ConfigurationError if there is none: a selection that finds no check must not pass.
    """
    require_checks(checks)
    if not checks:
        raise ConfigurationError("checks is empty; expected at least one Check. Look at how they were selected.")
    wrong = [check for check in checks if not check.ok]
    if wrong:
        found = ("what is wrong or breaks its contract; expected what the formulas give"
                 if any(check.judged for check in wrong) else
                 "a gradient that could not be judged; expected a function that differences can follow")
        raise GradientMismatch(f"{', '.join(check.name for check in wrong)}: got {found}. Look at the hints.\n"
                               f"{format_checks(checks)}")
