"""Gradient checks: is this backward the derivative of that forward?

    check_layer(layer, p, x, d_y)      any object with forward(p, x, y) and backward(p, x, y, d_y, d_p, d_x)
    check_model(model, X, eps)         every segment of a model's parameters

A numerical derivative comes with an error bound of its own (`scratchvae.differences`), and the verdict is
|analytic - numeric| <= bound: there is no tolerance to guess.  A wrong gradient is compared with the usual mistakes
(`scratchvae.diagnosis`), and a layer is held to its contract: outputs are overwritten, everything else is left
alone, and nothing is remembered from call to call.
"""
from typing import NamedTuple

import numpy as np

from .contract import (BACKWARD, FORWARD, Trial, arrays_of, gradient_fault, map_arrays, named_arrays, output_fault,
                       require_method, require_shapes, same_bits, shaken)
from .diagnosis import diagnose, only_bias_wrong
from .differences import complex_step, numerical_gradient, require_float64, rounding_noise
from .errors import ConfigurationError, ScratchVAEError, ShapeError

__all__ = ["Check", "GradientMismatch", "as_vjp", "assert_ok", "check_layer", "check_model", "complex_step",
           "format_checks", "numerical_gradient"]

ONLY_BIAS = "only the bias is wrong: d_b is the sum of d_a over the batch"


class GradientMismatch(ScratchVAEError, AssertionError):
    """A backward is not the derivative of its forward, or breaks its contract."""


class Check(NamedTuple):
    """The verdict on one array; plain Python values.

    `worst` is the largest relative error |analytic - numeric| / size over the entries that are not kinks; it stands
    at `index`, as do `analytic`, `numeric` and `error_bound`.  The size of an entry that fails is
    max(|analytic|, |numeric|).  The size of one that passes is at least 1e-3 of the array's largest numeric
    gradient and at least 1e7 times its own rounding bound: of smaller entries differences know no relative error.
    Where the contract is broken and there is nothing to compare, `worst` is 1 and `index` empty.
    """

    name: str
    worst: float
    index: tuple
    analytic: float
    numeric: float
    error_bound: float
    ok: bool
    hint: str
    kinks: int


def _broken(name, hint):
    return Check(name, 1.0, (), 0.0, 0.0, 0.0, False, hint, 0)


def _compare(name, analytic, numerical, fault, sizes):
    """Return the Check of one array: its whole analytic gradient against derivatives of some entries."""
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
    at = int(np.argmax(relative + failed - kinks))                # among the failed, if any
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


def _compare_all(f, arrays, gradients, faults, sizes, max_entries, seed, least_noise=0.0):
    """Return the Checks of all arrays, with the hints that need all of them."""
    with np.errstate(all="ignore"):
        noise = max(least_noise, rounding_noise(f, list(arrays.values()), seed))
    checks = []
    for name, array in arrays.items():
        numerical = numerical_gradient(f, array, max_entries=max_entries, seed=seed, noise=noise)
        checks.append(_compare(name, gradients[name], numerical, faults.get(name, ""), sizes))
    wrong = {check.name: not check.ok for check in checks}
    ndims = {name: array.ndim for name, array in arrays.items()}
    return [check._replace(hint="; ".join(filter(None, (check.hint, ONLY_BIAS))))
            if wrong[check.name] and not faults.get(check.name) and only_bias_wrong(check.name, wrong, ndims)
            else check for check in checks]


def check_layer(layer, p, x, d_y, *, max_entries=64, seed=0):
    """Compare layer.backward with differences of <d_y, layer.forward(p, x)>, and hold it to its contract.

    Convicted as well, each with its own hint: outputs left unwritten, `+=` into gradients, arguments modified,
    results that depend on what ran before, results that are not finite.

    Parameters
    ----------
    layer : object
        `forward(p, x, y)` writes y; `backward(p, x, y, d_y, d_p, d_x)` overwrites d_p and d_x and may consume d_y.
        If it has `outputs(batch, dtype)`, a tuple of arrays whose last is the output, y and d_y are such tuples.
    p : array, or NamedTuple, tuple, list or dict of such, float64
        Parameters; () for none.  Neither p nor x nor d_y is changed.
    x : ndarray, float64
        Input.
    d_y : ndarray, float64, shape of the output
        Cotangent.
    max_entries, seed
        As in `numerical_gradient`, for each array.

    Returns
    -------
    list of Check
        One an array: "x", then the parameters by path ("W", "0.W"; "p" for one array alone); "y" only if something
        is wrong with it.

    Raises
    ------
    ShapeError
        If an array does not fit or is not float64.
    ConfigurationError
        If forward or backward is missing or has another signature.

    Examples
    --------
    >>> class Scale:
    ...     def forward(self, p, x, y):
    ...         y[:] = p * x
    ...     def backward(self, p, x, y, d_y, d_p, d_x):
    ...         d_p[:] = 2 * (d_y * x).sum(axis=0)              # the 2 is wrong
    ...         d_x[:] = d_y * p
    >>> x = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 2.0]])
    >>> [(check.name, check.ok) for check in check_layer(Scale(), np.array([2.0, 3.0]), x, np.ones((3, 2)))]
    [('x', True), ('p', False)]
    """
    require_method(layer, FORWARD)
    require_method(layer, BACKWARD)
    require_float64("x", x)
    require_float64("d_y", d_y)
    for name, array in (("x", x), ("d_y", d_y)):
        if not array.ndim:
            raise ShapeError(f"{name} has shape (); expected (batch, ...). Pass one row an example.")
    list(named_arrays(p))                                               # refuses what is not float64
    trial = Trial(layer, map_arrays(np.copy, p), x.copy(), d_y.copy())
    require_shapes(trial)
    other = shaken(trial, np.random.default_rng(seed))
    with np.errstate(all="ignore"):                               # other data may leave the layer's domain
        other.forward()
        other.backward(0.0)                                       # what a layer keeps for ever is wrong from here on
        fault = output_fault(trial)
        if fault:
            return [_broken("y", fault)]
        poisoned = trial.backward(np.nan)
        other.forward()
        other.backward(0.0)
        zeros, ones = trial.backward(0.0), trial.backward(1.0)
    for name in trial.inputs:
        trial.faults.setdefault(name, gradient_fault(poisoned[name], zeros[name], ones[name]))
    gradients = {name: np.where(np.isnan(poisoned[name]), zeros[name], poisoned[name]) for name in poisoned}
    sizes = {"B": len(x), "D": x.shape[-1]} if x.ndim > 1 else {"B": len(x)}
    checks = _compare_all(trial.output, trial.inputs, gradients, trial.faults, sizes, max_entries, seed,
                          trial.output_rounding())
    return checks + [_broken("y", hint) for hint in [trial.faults.get("y")] if hint]


def check_model(model, X, eps, *, max_entries=64, seed=0):
    """Compare model.gradient with differences of model.objective(X, eps).loss, segment by segment.

    Convicted as well: a gradient or an objective that changes what it is given, that depends on what ran before,
    or whose loss is not the loss that is differentiated.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        `parameters` with `flat` (float64) and `segments()`, `objective(X, eps)` with a loss in nats per example,
        `gradient(X, eps)` -> (objective, gradient with the same segments).  Its parameters are varied and restored.
    X : ndarray (B, D)
        Data.
    eps : ndarray or None
        Noise, passed on; None for an autoencoder.
    max_entries, seed
        As in `numerical_gradient`, for each segment.

    Returns
    -------
    list of Check
        One a segment; "arguments", "loss", "elsewhere" (at other parameters) only if something is wrong there.

    Raises
    ------
    ShapeError
        If the parameters are not float64.
    ConfigurationError
        If objective or gradient is missing or has another signature.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=(3,), dtype="float64")
    >>> checks = check_model(vae, np.full((2, 4), 0.3), np.ones((2, 1)))
    >>> all(check.ok for check in checks), checks[0].name
    (True, 'encoder.0.W')
    """
    require_method(model, "objective(X, eps)")
    require_method(model, "gradient(X, eps)")
    flat = model.parameters.flat
    if flat.dtype != np.float64:
        raise ShapeError(f"the model's parameters have dtype {flat.dtype}; gradients are checked in float64. "
                         'Build the model with dtype="float64".')
    given = [flat, *(np.asarray(array) for array in (X, eps) if array is not None)]
    before = [array.copy() for array in given]

    def loss():
        return float(model.objective(X, eps).loss)

    def gradient():
        return {name: np.array(array) for name, array in model.gradient(X, eps)[1].segments()}

    reported = float(model.gradient(X, eps)[0].loss)
    first = gradient()
    modified = not all(map(same_bits, given, before))
    flat[:] = before[0]
    try:
        elsewhere = _compare_elsewhere(model, loss, gradient, seed)
    finally:
        flat[:] = before[0]
    second = gradient()
    arrays = dict(model.parameters.segments())
    faults = {name: gradient_fault(first[name], second[name], second[name]) for name in arrays}
    checks = _compare_all(loss, arrays, first, faults, {"B": len(X), "D": np.shape(X)[-1]}, max_entries, seed)
    if modified:
        checks.append(_broken("arguments", "gradient modifies the model's parameters, X or eps"))
    if abs(loss() - reported) > 1e-9 * abs(reported):
        checks.append(_broken("loss", f"gradient reports a loss of {reported:.9g}, objective one of {loss():.9g}"))
    if all(check.ok for check in checks) and not elsewhere.ok:
        checks.append(elsewhere)
    return checks


def _compare_elsewhere(model, loss, gradient, seed):
    """Return the Check of the slope along one direction at other parameters, to where `flat` is moved."""
    flat, rng = model.parameters.flat, np.random.default_rng(seed)
    flat *= rng.uniform(0.9, 1.1, flat.shape)
    start, t = flat.copy(), np.zeros(1)
    direction = {name: array * rng.uniform(-1, 1, array.shape) for name, array in model.parameters.segments()}
    found = gradient()
    slope = sum(float(np.sum(found[name] * step)) for name, step in direction.items())

    def along():
        flat[:] = start
        for name, array in model.parameters.segments():
            array += t[0] * direction[name]
        return loss()

    check = _compare("elsewhere", np.array([slope]), numerical_gradient(along, t, seed=seed), "", {})
    return check._replace(hint="right at these parameters, wrong at others: are old ones remembered?")


def as_vjp(layer, p):
    """Return the layer at p as a function x -> (y, backprop) with backprop(d_y) -> (d_x, d_p): a closure.

    Parameters
    ----------
    layer : object
        As in `check_layer`, with `outputs(batch, dtype)` or a number `n_out`, which say how large y is.
    p : array or tree of arrays
        Parameters; read at every call, never changed.

    Returns
    -------
    callable

    Raises
    ------
    ConfigurationError
        If the layer does not say how large its output is.

    Examples
    --------
    >>> from scratchvae.layers import Dense
    >>> from scratchvae.parameters import Affine
    >>> layer = as_vjp(Dense(2, 1), Affine(np.array([[1.0], [2.0]]), np.array([3.0])))
    >>> y, backprop = layer(np.array([[1.0, 1.0]]))
    >>> d_x, d_p = backprop(np.array([[10.0]]))
    >>> y.tolist(), d_x.tolist(), d_p.b.tolist()
    ([[6.0]], [[10.0, 20.0]], [10.0])
    """
    require_method(layer, FORWARD)
    require_method(layer, BACKWARD)
    if not hasattr(layer, "outputs") and not hasattr(layer, "n_out"):
        raise ConfigurationError(f"{type(layer).__name__} has neither outputs(batch, dtype) nor n_out; one of them "
                                 "must say how large y is. Add a method outputs that returns a tuple of empty arrays.")

    def apply(x):
        def outputs():
            return layer.outputs(len(x), x.dtype) if hasattr(layer, "outputs") else np.empty((len(x), layer.n_out))

        y = outputs()
        layer.forward(p, x, y)

        def backprop(d_y):
            d_p, d_x, scratch = map_arrays(np.empty_like, p), np.empty_like(x), outputs()
            arrays_of(scratch)[-1][...] = d_y
            layer.backward(p, x, y, scratch, d_p, d_x)
            return d_x, d_p

        return arrays_of(y)[-1], backprop

    return apply


def format_checks(checks):
    """Return the checks as a table for a terminal: one line an array, its hint below it."""
    rows = [("array", "worst error", "at", "analytic", "numeric", "error bound", "verdict")]
    for check in checks:
        verdict = ("ok" if check.ok else "WRONG") + (f", {check.kinks} at kinks" if check.kinks else "")
        rows.append((check.name, f"{check.worst:.1e}", ",".join(map(str, check.index)) or "-",
                     f"{check.analytic:.6g}", f"{check.numeric:.6g}", f"{check.error_bound:.1e}", verdict))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) if k in (0, 6) else cell.rjust(width)
                       for k, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    for k, check in reversed(list(enumerate(checks, start=1))):
        if check.hint:
            lines.insert(k + 1, "    " + check.hint)
    return "\n".join(lines)


def assert_ok(checks):
    """Raise GradientMismatch, with the table of `format_checks`, unless every check is ok."""
    wrong = [check.name for check in checks if not check.ok]
    if wrong:
        raise GradientMismatch(f"{', '.join(wrong)}: got a backward that is wrong or breaks its contract; expected the "
                               f"derivative of forward. Look at the hints.\n{format_checks(checks)}")
