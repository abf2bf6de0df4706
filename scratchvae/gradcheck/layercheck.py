"""The check of one layer: any object with forward(p, x, y) and backward(p, x, y, d_y, d_p, d_x)."""
import numpy as np

from ..errors import ShapeError
from ..layers import Dense, MLP
from ..validation import check_seed, positive_integer
from .comparison import broken, Checks, compare_all
from .contract import arrays_of, gradient_fault, output_fault, require_layer, require_shapes, shaken, Trial
from .directions import begin
from .elsewhere import check_elsewhere, is_sure, off_zero
from .hints.dense import affine_hints
from .layouts import check_layouts, Refusal, Variant
from .numerical import require_float64
from .trees import copied


def check_layer(layer: object, p: tuple | list | dict | np.ndarray, x: np.ndarray, d_y: np.ndarray, *,
                max_entries: int = 64, seed: int = 0) -> list:
    """Compare layer.backward with differences of <d_y, layer.forward(p, x)>, and check the layer's contract.

    These faults fail too, each with its own hint: outputs left unwritten, `+=` into gradients, arguments modified,
    results that depend on earlier calls, results that are not finite.  A layer that is right so far is tried with no
    row and with one, and with its arguments in C order, in Fortran order, as strided views, and read-only.  There only
    a wrong number fails: a layer may refuse any of these with an error.

    Parameters
    ----------
    layer : object
        `forward(p, x, y)` writes y; `backward(p, x, y, d_y, d_p, d_x)` overwrites d_p and d_x and may consume d_y.
        If it has `outputs(batch, dtype)`, a tuple of arrays whose last is the output, y and d_y are such tuples.
    p : array, or NamedTuple, tuple, list or dict of such, float64
        Parameters; () for none.  p, x and d_y stay as they are.
    x : ndarray, float64
        Input.
    d_y : ndarray, float64, shape of the output
        Cotangent.
    max_entries, seed
        As in `numerical_gradient`, for each array.

    Returns
    -------
    Checks
        One for each array: "x", then the parameters by path ("W", "0.W"; "p" for a single array); "y" only if it is
        wrong, and "elsewhere" only if a gradient is right here and wrong at other numbers.

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
    require_layer(layer, p)
    max_entries, seed = positive_integer("max_entries", max_entries), check_seed(seed)
    for name, array in (("x", x), ("d_y", d_y)):
        require_float64(name, array)
        if not array.ndim:
            raise ShapeError(f"{name} has shape (); expected (batch, ...). Pass one row an example.")
    trial = Trial(layer, copied(p), x.copy(), d_y.copy())
    require_shapes(trial)
    begin(trial.inputs)
    other = shaken(trial, np.random.default_rng(seed))
    with np.errstate(all="ignore"):                               # other data may leave the layer's domain
        with Refusal():
            other.anew()                                          # what a layer remembers from here on is wrong
        fault = output_fault(trial)
        if fault:
            return Checks([broken("y", fault)])
        poisoned = trial.backward(np.nan)
        with Refusal():
            other.anew()
        zeros, ones = trial.backward(0.0), trial.backward(1.0)
    for name in trial.inputs:
        trial.faults.setdefault(name, gradient_fault(poisoned[name], zeros[name], ones[name]))
    gradients = {name: np.where(np.isnan(poisoned[name]), zeros[name], poisoned[name]) for name in poisoned}
    sizes = {"B": len(x), "D": x.shape[-1]} if x.ndim > 1 else {"B": len(x)}
    checks = compare_all(trial.output, trial.inputs, gradients, trial.faults, sizes, max_entries, seed,
                         trial.output_rounding(), trial.output_terms)
    wrong = [check.name for check in checks if check.judged and not check.ok]
    if wrong and not any(trial.faults.values()):
        trial.forward()
        hints = {"": f"x has shape {x.shape}, which is a batch of {len(x)} numbers; is it one example? Pass x[None] "
                     "and d_y[None]"} if x.ndim == 1 else {}
        with Refusal():                                           # it may take no single row
            hints = hints or affine_hints(layer, trial.p, trial.x, arrays_of(trial.y)[-1], trial.d_y, gradients["x"])
        checks = [check.with_hint(hints.get(check.name) or hints.get("")) if check.name in wrong else check
                  for check in checks]
    if trial.faults.get("y"):
        checks.append(broken("y", trial.faults["y"]))
    if all(check.ok for check in checks):
        point = trial.inputs, lambda: trial.output, trial.anew, seed
        found = []
        with Refusal(), np.errstate(all="ignore"):                # at other numbers the layer may refuse, too
            elsewhere = check_elsewhere(*point, least_noise=trial.output_rounding)
            found = [elsewhere] if is_sure(elsewhere) and not elsewhere.ok else []
        checks += found or off_zero(checks, *point)
    return Checks(checks if any(not check.ok for check in checks) else _other_layouts(trial, gradients, checks))


def _other_layouts(trial, gradients, checks):
    """Return the checks, with the failed ones of other layouts and batches."""
    def variant(lays):
        names = iter(list(trial.inputs)[1:])                      # of the parameters, which follow x
        p = copied(trial.p, lambda array: lays.get(next(names), np.array)(array))
        x, d_y = (lays.get(name, np.array)(array) for name, array in (("x", trial.x), ("d_y", trial.d_y)))
        other = Trial(trial.layer, p, x, d_y, lays.get("d_y", np.copy) if len(x) == len(trial.x) else np.copy)
        other.forward()
        return Variant(other.output, other.inputs, other.backward(np.nan), other.output_terms)

    own = isinstance(trial.layer, (Dense, MLP))                   # which would be compiled anew for a layout
    return check_layouts(checks, gradients, variant, () if own else (*trial.inputs, "d_y"), rows=("x", "d_y"),
                         batch=len(trial.x))
