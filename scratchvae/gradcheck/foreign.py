"""Gradient checks for anybody's code: a loss and its gradient, a function that returns both, or a training step."""
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConfigurationError, ShapeError
from ..validation import at_least, function_of
from .comparison import assert_ok, broken, compare_all, not_finite, note
from .contract import same_bits
from .directions import begin, move
from .elsewhere import check_elsewhere, off_zero
from .hints.order import order_hints, require_roles
from .layouts import check_layouts, Variant
from .numerical import EPS_32, or_nan, restored
from .trees import as_array, as_number, copied, float_leaves, FLOATS, kind, leaves, matched, parameters, Snapshot

MAX_ENTRIES, SEED = 64, 0
ROUNDING_32 = 1e-6                      # of a gradient that is computed in float32, relative to its size
CACHED = ("gradient uses what the last loss() has left, so it was called right after loss(): rerun forward inside "
          "backward, or use check_vjp")
LOST = "the step is no larger than the rounding of the parameters that it changes: use a larger learning_rate"


class StepGradient(dict):
    """{path: gradient} as `gradient_of_step` finds it; `rounding` holds what each may be wrong by."""

    rounding = {}


class Subject:
    """A loss and its gradient, called in the order in which they belong, with the parameters restored."""

    def __init__(self, loss: Callable, gradient: Callable, params: Any, reseed: Callable | None, who: tuple) -> None:
        self.loss, self.gradient, self.who = loss, gradient, who
        self.reseed, self.draws = reseed or (lambda: None), reseed is not None
        self.snapshot = Snapshot(params)
        self.arrays, self.rounding, self.modifies = self.snapshot.arrays, {}, set()

    def value(self) -> float:
        """Return the loss at the present parameters, with the noise of reseed."""
        self.reseed()
        loss = self.loss()
        number = as_number(loss, self.who[0])
        self.shape = np.shape(loss)
        return number

    def take(self, anew: bool = False, after_loss: bool = True) -> dict:
        """Return {path: gradient} at the present parameters; `anew` calls reseed for it once more."""
        if after_loss:
            self.value()
        if anew:
            self.reseed()
        snapshot = Snapshot(self.snapshot.tree, self.arrays)      # by now an object may keep other arrays, too
        found = self.gradient()
        changed = snapshot.changed()
        snapshot.restore()
        if found is None and changed:
            raise ConfigurationError(f"{self.who[1]} returns None and changes {', '.join(changed)}; expected the "
                                     "gradient. A training step goes in as lambda: gradient_of_step(step, params, "
                                     "learning_rate).")
        self.modifies.update(changed)
        if isinstance(found, StepGradient):
            self.rounding, found = ({path: array for path, array in arrays.items() if path in self.arrays}
                                    for arrays in (found.rounding, found))
        return self.matched(found)

    def matched(self, found: Any) -> dict:
        """Return {path: gradient} of what gradient returned; raises ShapeError if it does not fit the parameters."""
        try:
            return matched(found, self.arrays, self.who[1])
        except ShapeError:
            for path in sorted(self.snapshot.now().keys() & leaves(found, self.who[1])):
                dtype = as_array(self.snapshot.now()[path]).dtype
                if dtype not in FLOATS:
                    raise ShapeError(f"{path} has dtype {dtype} and a gradient; expected float64 or float32, which can "
                                     "be varied a little. Convert it with astype, a complex number into two.") from None
            raise


def _same(first, second):
    return all(same_bits(first[path], second[path]) for path in first)


def _rate(checks):
    """Return r if every gradient is -r times the slope, or 0.0; also for 1, which is a sign and no rate."""
    ratios = [check.analytic / check.numeric for check in checks if not check.ok and check.numeric]
    if any(check.ok and check.analytic for check in checks) or not ratios or ratios[0] >= 0:
        return 0.0
    fits = abs(ratios[0] + 1) > 1e-5 and all(abs(ratio / ratios[0] - 1) <= 1e-5 for ratio in ratios)
    hints = [check.hint for check in checks if not check.ok]
    throughout = 2 * sum("x numeric" in hint for hint in hints) >= len(hints)      # arrays of two entries have no hint
    return -ratios[0] if fits and throughout and not any("at the others" in hint for hint in hints) else 0.0


@np.errstate(all="ignore")                                          # a gradient may be infinite
def judge(subject: Subject, roles: dict, rtol: float, terms: Callable | None = None,
          others: Callable | None = None) -> list:
    """Return the Checks of a Subject; others(checks, gradients) adds those of other layouts if all are ok."""
    arrays, who = subject.arrays, subject.who
    first = subject.value()
    if not np.isfinite(first):
        return [not_finite(who[0], first)]
    changed = subject.snapshot.changed()
    if changed:
        subject.snapshot.restore()
        return [broken("loss", f"{who[0]} modifies {', '.join(changed)}: it may only read them. Leave what it "
                       "computes out of params")]
    if subject.value() != first:
        remedy = ("reseed() does not reset all of it, or " if subject.draws else "pass reseed=, which resets it, or "
                  if who[0] == "loss()" else "") + "hold it fixed"
        return [broken("loss", f"{who[0]} gives another value every time: does it draw noise? Then {remedy}")]
    found = subject.take(anew=subject.draws)
    if not _same(found, subject.take(anew=subject.draws)):
        return [broken("gradient", f"{who[1]} gives another result on a second call: does it draw noise of its own, "
                       "add to what it returned before, or change what it keeps? Use the noise of the forward"
                       + "; pass reseed= if it runs its own" * (who[0] == "loss()"))]
    with restored(arrays.values()):
        move(arrays, rng := np.random.default_rng(SEED))
        there = or_nan(subject.value)                             # NaN if the code's domain ends before
        move(arrays, rng)                                         # what is kept from here is wrong at both
        or_nan(subject.value)
    alone = subject.take(anew=subject.draws, after_loss=False)
    cached = not _same(found, alone)
    if cached:                                                    # what the backward of a training loop sees
        found = subject.take()
    anew = subject.draws and not cached
    faults = {path: f"{count} of {found[path].size} entries of the gradient are not finite"
              for path in found if (count := np.count_nonzero(~np.isfinite(found[path])))}
    faults |= {path: f"{who[1]} modifies {path}: it may only return" for path in subject.modifies}

    def allow(found):
        return {path: rtol * np.abs(gradient) + subject.rounding.get(path, 0.0)
                + (ROUNDING_32 * np.max(np.abs(gradient), initial=0.0) if arrays[path].dtype == np.float32 else 0.0)
                for path, gradient in found.items()}

    point = arrays, lambda: subject.value, lambda: subject.take(anew=anew), SEED, allow
    allowed = allow(found)
    lost = {path for path, error in subject.rounding.items() if found[path].any() and np.all(error >= abs(found[path]))}
    least = EPS_32 * abs(first) if any(array.dtype == np.float32 for array in arrays.values()) else 0.0
    elsewhere = check_elsewhere(*point) if np.isfinite(there) else None
    checks = compare_all(subject.value, arrays, found, faults, {}, MAX_ENTRIES, SEED, least, terms, allowed)
    checks = [check._replace(ok=False, judged=False, hint=LOST)
              if check.ok and check.name in lost and abs(check.numeric) > check.error_bound else check
              for check in checks]
    rate = _rate(checks)
    hints = order_hints(checks, roles, {path: array.shape for path, array in arrays.items()})
    if rate:
        hints = {check.name: f"every gradient is {-rate:.6g} x the slope: is it an update, -rate x gradient? Use "
                 "gradient_of_step(step, params, learning_rate), or divide by -rate"
                 for check in checks if not check.ok}
    if not any(check.numeric for check in checks):
        hints = {check.name: f"{who[0]} changes with none of params: does it read these arrays, or copies of them?"
                 for check in checks if check.judged and not check.ok}
    checks = [check.with_hint(hints.get(check.name)) for check in checks]
    if all(check.ok for check in checks):
        wrong = elsewhere and not elsewhere.ok and np.isfinite(elsewhere.error_bound)
        checks += [elsewhere] if wrong else off_zero(checks, *point)
    subject.value()
    if others and all(check.ok and arrays[check.name].dtype == np.float64 for check in checks):
        checks = others(checks, found)
    return checks + [note("gradient", CACHED)] * cached


def check_gradient(loss: Callable, gradient: Callable, params: Any, *, roles: dict | None = None,
                   reseed: Callable | None = None, rtol: float = 0) -> list:
    """Compare a gradient with differences of its loss.

    Parameters
    ----------
    loss : callable
        loss() -> one number, computed from the arrays in params as they are.
    gradient : callable
        gradient() -> a tree like params.  It is called right after loss().
    params : array, dict, list, tuple or object with arrays as attributes
        Of float64; arrays of float32 are judged with bounds of their own noise, in which one wrong entry of a large
        array may hide.  They are varied in place and restored.  Gradients are matched with them by key.
    roles : dict, optional
        What the names mean: {"mu": name, "logvar": name, "trunk": what comes before both, "order": names from the
        input to the output}.  Without them they are guessed from names and shapes.
    reseed : callable, optional
        reseed() resets the generator of a loss that draws noise.
    rtol : float
        What a gradient may be wrong by, relative to the size of each entry.

    Returns
    -------
    list of Check
        One an array, by path; and only if there is something to say about it "loss", "gradient", or "elsewhere" (at
        other parameters).

    Raises
    ------
    ShapeError, ConfigurationError
        If entries are missing, are not expected or have another shape; if loss() is no number.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0]), "b": np.array(0.5)}
    >>> x = np.array([3.0, -1.0])
    >>> error = lambda: params["w"] @ x + params["b"] - 2
    >>> checks = check_gradient(lambda: error()**2, lambda: {"b": 2 * error(), "w": error() * x}, params)
    >>> [(check.name, check.ok) for check in checks]
    [('w', False), ('b', True)]
    >>> checks[0].hint
    'analytic is 1/2 x numeric: is there a 1/2 too many, or one of two equal terms missing?'
    """
    function_of("loss", loss, "loss() -> float", 0)
    function_of("gradient", gradient, "gradient() -> arrays like params", 0)
    if reseed is not None:
        function_of("reseed", reseed, "reseed(), which resets the noise", 0)
    rtol = at_least("rtol", rtol, 0, "Use 0 for a gradient that should be exact.")
    with Snapshot(params) as given:
        begin(given.arrays)
        subject = Subject(loss, gradient, params, reseed, ("loss()", "gradient()"))
        checks = judge(subject, require_roles(roles, subject.arrays), rtol)
    if subject.shape and checks[0].name != "loss":
        checks.append(note("loss", f"loss() returns shape {subject.shape}, which was taken as a number: return "
                           "float(loss) or loss.item()"))
    return checks


def check_value_and_grad(f: Callable, params: Any, *args: Any) -> list:
    """Compare the gradients of a function that returns (loss, gradients) with differences of its loss.

    Parameters
    ----------
    f : callable
        f(params, *args) -> (loss, gradients like params).
    params : array or tree of arrays
        As in `check_gradient`; f gets NumPy copies, also in other layouts and read-only, which it may refuse.
    *args
        Passed on.

    Examples
    --------
    >>> target = np.array([1.0, 2.0])
    >>> checks = check_value_and_grad(lambda x, t: (0.5 * np.sum((x - t)**2), x - t), np.zeros(2), target)
    >>> [check.ok for check in checks]
    [True]
    """
    function_of("f", f, "f(params, *args) -> (loss, gradients)", 1 + len(args))
    params = copied(params)
    begin(parameters(params))

    def pair(params):
        result = f(params, *args)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise ConfigurationError(f"f returns a {kind(result)}; expected (loss, gradients). Return both, "
                                     "or use check_gradient for two functions.")
        return result

    held = [(k, array, array.copy()) for k, tree in enumerate(args, start=1)
            if isinstance(tree, (np.ndarray, dict, list, tuple))
            for array in leaves(tree, f"argument {k}").values() if isinstance(array, np.ndarray)]
    loss, first = pair(copied(params))                            # f may write into them, and judge says so
    changed = [(k, array, old) for k, array, old in held if not same_bits(array, old)]
    for k, array, old in changed:
        array[...] = old
    if changed:
        return [broken("loss", f"f modifies its argument {changed[0][0]}, counted from 0: it may only read it")]
    subject = Subject(lambda: pair(params)[0], lambda: pair(params)[1], params, None, ("f", "f"))
    again, second = pair(params)
    gradients = [subject.matched(found) for found in (first, second)]
    if as_number(loss, "f") == as_number(again, "f") and not _same(*gradients):
        return [broken("gradient", "f returns other gradients on a second call: does it add to what it returned "
                       "before, or change what it keeps?")]

    def variant(lays):
        other = copied(params, lays["params"])
        arrays = float_leaves(other)
        return Variant(lambda: as_number(pair(other)[0], "f"), arrays, matched(pair(other)[1], arrays, "f"))

    return judge(subject, {}, 0.0, None, lambda *found: check_layouts(*found, variant=variant, names=("params",)))


def gradient_of_step(step: Callable, params: Any, learning_rate: float) -> StepGradient:
    """Return the gradient that a step of plain gradient descent has used: (before - after) / learning_rate.

    Parameters
    ----------
    step : callable
        step() changes the parameters, in place or by putting others there, which are restored.
    params : array, dict, list, tuple or object
        As in `check_gradient`.
    learning_rate : float
        Of the step.

    Returns
    -------
    dict of str to ndarray
        By path, as `check_gradient` takes it.

    Raises
    ------
    ConfigurationError
        If the step changes nothing.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> def step(): params["w"] -= 0.5 * np.array([3.0, 4.0])
    >>> gradient_of_step(step, params, 0.5)["w"].tolist(), params["w"].tolist()
    ([3.0, 4.0], [1.0, 2.0])
    """
    function_of("step", step, "step(), which changes the parameters", 0)
    rate = at_least("learning_rate", learning_rate, 0, "Pass the rate of the step.", open_interval=True)
    return used_by(step, Snapshot(params), rate)


def used_by(step: Callable, snapshot: Snapshot, rate: float) -> StepGradient:
    """Return the gradient that a step has used on the arrays of a snapshot, which are restored."""
    with snapshot:
        step()
        if not snapshot.changed():
            raise ConfigurationError("step() changes none of the arrays in params; expected new values. If it replaces "
                                     "them (W = W - ...), pass the object or the dict that holds them.")
        after = matched({path: np.array(leaf) for path, leaf in snapshot.now().items() if path in snapshot.arrays},
                        snapshot.arrays, "params after step()")
    found = StepGradient({path: (np.asarray(before, np.float64) - after[path]) / rate
                          for path, before in snapshot.values.items()})
    found.rounding = {path: 2 * np.finfo(before.dtype).eps * np.abs(before) / rate
                      for path, before in snapshot.values.items()}
    return found


def assert_gradient(loss: Callable, gradient: Callable, params: Any, **settings: Any) -> None:
    """Raise GradientMismatch unless `check_gradient`, with the same arguments, finds everything right.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> assert_gradient(lambda: np.sum(x**2), lambda: 2 * x, x)
    """
    assert_ok(check_gradient(loss, gradient, params, **settings))
