"""check_model: compare every segment of a model's gradient with differences of its objective."""
import numpy as np

from ..arrays import as_array
from ..errors import ConfigurationError, ShapeError
from ..validation import check_seed, positive_integer
from .comparison import broken, Checks, compare_all, not_finite
from .contract import gradient_fault, require_method, same_bits
from .directions import begin
from .elsewhere import check_elsewhere, off_zero
from .hints.model import find_causes
from .numerical import restored
from .trees import matched


def check_model(model: object, X: np.ndarray, eps: np.ndarray | None, *, max_entries: int = 64, seed: int = 0) -> list:
    """Compare model.gradient with differences of model.objective(X, eps).loss, segment by segment.

    Some estimators of a VAE are not the derivative of their loss at fixed eps.  Such a model has a method
    `surrogate(X, eps)`, which returns a function () -> float whose derivative is the gradient; that is used instead.

    These faults fail too: a gradient or an objective that changes its arguments or depends on earlier calls, or a
    reported loss that is not the one that is differentiated.

    Parameters
    ----------
    model : VAE, Autoencoder or the like
        `parameters` with `flat` (float64) and `segments()`, `objective(X, eps)` with a loss in nats per example,
        `gradient(X, eps)` -> (objective, gradient with the same segments).  Its parameters are varied and restored.
    X : ndarray (B, D)
        Data.
    eps : ndarray or None
        Noise, (B, Z) or (B, K, Z); None for an autoencoder.
    max_entries, seed
        As in `numerical_gradient`, for each segment.

    Returns
    -------
    Checks
        One for each segment; failed ones also for "arguments", "loss", "elsewhere" (at other parameters), and the parts
        that cause the fault: "encoder.0: d_W", "likelihood: d_outputs", "d_mu", "d_logvar", "sample weights", or else
        one "cause".

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
    require_method("model", model, "objective(X, eps)")
    require_method("model", model, "gradient(X, eps)")
    max_entries, seed = positive_integer("max_entries", max_entries), check_seed(seed)
    X, eps = as_array(X, "X"), None if eps is None else as_array(eps, "eps")
    _require_protocol(model, X, eps)
    flat = model.parameters.flat
    if flat.dtype != np.float64:
        raise ShapeError(f"the model's parameters have dtype {flat.dtype}; gradients are checked in float64. "
                         'Build the model with dtype="float64".')
    with restored([flat]):
        begin({"parameters": flat})
        return _judged(model, X, eps, max_entries, seed)


def _judged(model, X, eps, max_entries, seed):
    """Return the Checks of a model with its parameters as they are."""
    flat = model.parameters.flat
    given = [flat, *(array for array in (X, eps) if array is not None)]
    before = [array.copy() for array in given]

    def loss():
        return float(model.objective(X, eps).loss)

    def differentiated():
        return model.surrogate(X, eps) if hasattr(model, "surrogate") else loss

    def gradient():
        return {name: np.array(array) for name, array in model.gradient(X, eps)[1].segments()}

    if not np.isfinite(loss()):
        return Checks([not_finite("objective's loss", loss())])
    reported = float(model.gradient(X, eps)[0].loss)
    first = gradient()
    modified = not all(map(same_bits, given, before))
    flat[:] = before[0]
    arrays = dict(model.parameters.segments())
    elsewhere = check_elsewhere(arrays, differentiated, gradient, seed)
    second = gradient()
    faults = {name: gradient_fault(first[name], second[name], second[name]) for name in arrays}
    sizes = {"B": len(X), "D": np.shape(X)[-1]}
    checks = compare_all(differentiated(), arrays, first, faults, sizes, max_entries, seed)
    if loss() != loss():
        return Checks([broken("loss", "objective gives another loss every time: it draws noise; take it from eps")])
    if modified:
        checks.append(broken("arguments", "gradient modifies the model's parameters, X or eps"))
    if abs(loss() - reported) > 1e-9 * abs(reported):
        checks.append(broken("loss", f"gradient reports a loss of {reported:.9g}, objective one of {loss():.9g}")
                      ._replace(analytic=reported, numeric=loss()))
    if all(check.ok for check in checks):
        more = off_zero(checks, arrays, differentiated, gradient, seed) if elsewhere.ok else [elsewhere]
        return Checks(checks + more)
    return Checks(checks + find_causes(model, X, eps, checks, seed))


def _require_protocol(model, X, eps):
    """Raise ConfigurationError or ShapeError unless parameters, objective and gradient are what check_model reads."""
    kind, parameters = type(model).__name__, getattr(model, "parameters", None)
    if not hasattr(parameters, "flat") or not callable(getattr(parameters, "segments", None)):
        raise ConfigurationError(f"{kind}.parameters is a {type(parameters).__name__}; expected an object with flat "
                                 "and segments(). For a dict, a list or other arrays use check_gradient(loss, "
                                 "gradient, params).")
    objective, pair = model.objective(X, eps), model.gradient(X, eps)
    if np.ndim(getattr(objective, "loss", ())) or not hasattr(objective, "loss"):
        raise ConfigurationError(f"{kind}.objective returns a {type(objective).__name__} without a number as its loss; "
                                 "expected an object with .loss, a float. Return one, or use check_gradient.")
    if not isinstance(pair, tuple) or len(pair) != 2 or not callable(getattr(pair[1], "segments", None)):
        raise ConfigurationError(f"{kind}.gradient returns a {type(pair).__name__}; expected (objective, gradient), "
                                 "the gradient with segments(). Return both, or use check_gradient.")
    matched(dict(pair[1].segments()), dict(parameters.segments()), "gradient")
