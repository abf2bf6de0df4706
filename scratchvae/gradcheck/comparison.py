"""Compare analytic gradients with numerical derivatives: the verdict on an array, and the table of verdicts."""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import ConfigurationError, ScratchVAEError
from ..tables import html_table
from .hints.patterns import diagnose, only_bias_wrong
from .numerical import Numerical, numerical_gradient, rounding_noise

HEADINGS = ("array", "worst error", "at", "analytic", "numeric", "bound", "verdict")
ONLY_BIAS = "only the bias is wrong: d_b is the sum of d_a over the batch"


class Check(NamedTuple):
    """The verdict on one array, in plain Python values.

    `worst` is the largest relative error |analytic - numeric| / size over the entries that are not kinks.  `index` is
    that entry, and `analytic`, `numeric` and `error_bound` are its values.  The size of an entry that fails is
    max(|analytic|, |numeric|).  The size of an entry that passes is at least 1e-3 of the array's largest numeric
    gradient and at least 1e7 times its rounding bound, because differences give no relative error of smaller entries.
    If the contract is broken and there is nothing to compare, `worst` is 1 and `index` is empty.
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


def broken(name: str, hint: str) -> Check:
    """Return the failed Check of an array for which there is nothing to compare."""
    return Check(name, 1.0, (), 0.0, 0.0, 0.0, False, hint, 0)


def failed(name: str, found: np.ndarray, right: np.ndarray, hint: str) -> Check:
    """Return the failed Check of a part (m,) of a gradient, at the entry that differs most from the right one."""
    at = int(np.argmax(np.abs(found - right)))
    analytic, numeric = float(found[at]), float(right[at])
    worst = abs(analytic - numeric) / max(abs(analytic), abs(numeric))
    return Check(name, worst, (at,), analytic, numeric, 0.0, False, hint, 0)


def compare(name: str, analytic: np.ndarray, numerical: Numerical, fault: str, sizes: dict) -> Check:
    """Return the Check of one array: compare its whole analytic gradient with derivatives of some entries."""
    entries, n, bounds, rounding, kinks = numerical
    if not len(entries):
        return Check(name, 0.0, (), 0.0, 0.0, 0.0, True, "", 0)
    a = analytic.ravel()[entries]
    error, own = np.abs(a - n), np.maximum(np.abs(a), np.abs(n))
    failed = ~kinks & ~(error <= bounds)
    largest = np.max(np.abs(n[~kinks]), initial=0.0)
    floor = np.maximum(1e-3 * largest, 1e7 * rounding)
    size = np.where(failed, own, np.maximum(own, floor))
    relative = np.divide(error, size, out=np.zeros(len(a)), where=~kinks & (size > 0) & np.isfinite(a))
    relative[failed & ~np.isfinite(a)] = np.inf
    at = int(np.argmax(relative + failed - kinks))                # a failed entry, if there is one
    hints = [fault]
    if failed.any() and not fault:
        hints.append(diagnose(analytic, entries[~kinks], n[~kinks], bounds[~kinks], sizes))
    if not kinks.all() and largest > np.median(bounds[~kinks]) > 1e-3 * largest:
        hints.append(f"rounding in forward hides errors below {np.median(bounds[~kinks]):.0e} here: are its units "
                     "saturated?")
    if 2 * kinks.sum() > len(a):
        hints.append(f"{kinks.sum()} of {len(a)} entries are kinks, which differences cannot judge: move the "
                     "parameters off them, for example with random biases")
    return Check(name, float(relative[at]), tuple(map(int, np.unravel_index(entries[at], analytic.shape))),
                 float(a[at]), float(n[at]), float(bounds[at]), not (failed.any() or fault),
                 "; ".join(filter(None, hints)), int(kinks.sum()))


def compare_all(f: Callable[[], float], arrays: dict, gradients: dict, faults: dict, sizes: dict, max_entries: int,
                seed: int, least_noise: float = 0.0, terms: Callable[[], float] | None = None) -> list:
    """Return the Checks of all arrays, with the hints that need all of them."""
    with np.errstate(all="ignore"):
        noise = max(least_noise, rounding_noise(f, list(arrays.values()), seed))
    checks = []
    for name, array in arrays.items():
        numerical = numerical_gradient(f, array, max_entries=max_entries, seed=seed, noise=noise, terms=terms)
        checks.append(compare(name, gradients[name], numerical, faults.get(name, ""), sizes))
    wrong = {check.name: not check.ok for check in checks}
    ndims = {name: array.ndim for name, array in arrays.items()}
    return [check._replace(hint="; ".join(filter(None, (check.hint, ONLY_BIAS))))
            if wrong[check.name] and not faults.get(check.name) and only_bias_wrong(check.name, wrong, ndims)
            else check for check in checks]


def require_checks(checks: list) -> None:
    """Raise ConfigurationError unless checks is a list or tuple of `Check`."""
    if not isinstance(checks, (list, tuple)) or not all(isinstance(check, Check) for check in checks):
        raise ConfigurationError(f"checks is {checks!r}; expected a list of Check. Pass what check_layer or "
                                 "check_model returns.")


def _cells(check):
    verdict = ("ok" if check.ok else "WRONG") + (f", {check.kinks} at kinks" if check.kinks else "")
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
        if check.hint:
            lines.insert(k + 1, "    " + check.hint)
    return "\n".join(lines)


class GradientMismatch(ScratchVAEError, AssertionError):
    """A backward is not the derivative of its forward, or breaks its contract."""


def assert_ok(checks: list) -> None:
    """Raise GradientMismatch, with the table of `format_checks`, unless every check is ok."""
    require_checks(checks)
    wrong = [check.name for check in checks if not check.ok]
    if wrong:
        raise GradientMismatch(f"{', '.join(wrong)}: got a backward that is wrong or breaks its contract; expected the "
                               f"derivative of forward. Look at the hints.\n{format_checks(checks)}")
