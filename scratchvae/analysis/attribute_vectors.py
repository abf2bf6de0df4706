"""Attribute vectors: directions in the latent space that change one feature of what is decoded (T22)."""
import numpy as np

from ..arrays import as_finite
from ..errors import DataError, ShapeError, TrainingError
from ..validation import at_least

NEWTON_STEPS = 100            # most steps of a logistic regression
CONVERGED = 1e-13             # relative gain that is left when the last Newton step is taken
EXPLAINED = 1e-9              # least share of a label's variance that the other attributes must leave unexplained


def _codes_and_labels(codes, labels, name="codes"):
    codes = as_finite(codes, name, ndim=(2,))
    labels = as_finite(labels, "labels")
    if labels.shape != (len(codes),):
        raise ShapeError(f"labels has shape {labels.shape}; expected ({len(codes)},), one for each row of {name}. "
                         "Pass the labels of the same examples.")
    classes = np.unique(labels)
    if classes.tolist() != [0.0, 1.0]:
        raise DataError(f"labels has the values {classes[:5].tolist()}; expected 0 and 1, both of them. Pass a boolean "
                        "array, such as factor > np.median(factor), in which both happen.")
    return codes, labels


def mean_difference(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the plain attribute vector (Z,): mean code with the attribute minus mean code without it (T22).

    Raises ShapeError or DataError for labels of another length, other values than 0 and 1, or a single class.

    Parameters
    ----------
    codes : array_like (n, Z)
        Posterior means, `vae.encode(X).mu`.
    labels : array_like (n,)
        1 or True where an example has the attribute, otherwise 0.

    Examples
    --------
    >>> mean_difference([[0.0], [2.0], [4.0]], [0, 1, 1])
    array([3.])
    """
    codes, labels = _codes_and_labels(codes, labels)
    return codes[labels == 1].mean(axis=0) - codes[labels == 0].mean(axis=0)


def balanced_difference(codes: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the attribute vector (Z,) corrected for other attributes (T22).

    It is v of the least-squares fit  codes = c + label v + others B.  If large eyes and a wide mouth occur together,
    the plain difference moves both; v moves the eyes and keeps the mouth.  If `others` are 0/1 indicators of groups, v
    is the average of the mean differences within the groups, each weighted by its number of examples times the
    variance of the label in it.

    Raises what `mean_difference` does, and DataError if the others determine the label.

    Parameters
    ----------
    codes, labels
        As in `mean_difference`.
    others : array_like (n,) or (n, m)
        The other attributes: measured factors, or 0/1 labels.

    Examples
    --------
    >>> eyes, mouth = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1])
    >>> codes = np.stack([2.0 * eyes, 5.0 * mouth], axis=1)
    >>> mean_difference(codes, eyes).round(3), balanced_difference(codes, eyes, mouth).round(3) + 0.0
    (array([2.   , 1.667]), array([2., 0.]))
    """
    codes, labels = _codes_and_labels(codes, labels)
    others = as_finite(others, "others", ndim=(1, 2))
    others = others.reshape(len(others), -1)
    if len(others) != len(codes):
        raise ShapeError(f"others has {len(others)} rows; expected {len(codes)}, one for each row of codes. "
                         "Pass the attributes of the same examples.")
    # Frisch and Waugh (1933): v regresses codes on the part of the label that the others do not explain
    spread = others.std(axis=0)
    standard = (others - others.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    centered = labels - labels.mean()
    rest = centered - np.einsum("ni,i->n", standard, np.linalg.lstsq(standard, centered, rcond=None)[0])
    if np.square(rest).sum() < EXPLAINED * np.square(centered).sum():
        raise DataError("others determine the labels; expected some examples where they leave them open. "
                        "Drop the attribute that says the same, or add examples.")
    return np.einsum("n,ni->i", rest, codes) / np.square(rest).sum()


def logistic_direction(codes: np.ndarray, labels: np.ndarray, *, ridge: float = 1.0) -> np.ndarray:
    """Return the attribute vector (Z,) along the weights of a logistic regression, which separates the classes.

    Its length is that of the mean difference projected onto it.  So a step of 1 leads from the mean score of one class
    to that of the other, as with `mean_difference`.  Raises what `logistic_regression` does, and DataError if the
    classes have the same mean code.

    Parameters
    ----------
    codes, labels
        As in `mean_difference`.
    ridge : float
        As in `logistic_regression`.

    Examples
    --------
    >>> logistic_direction([[0.0, 1.0], [0.0, -1.0], [2.0, 1.0], [2.0, -1.0]], [0, 0, 1, 1]).round(6) + 0.0
    array([2., 0.])
    """
    difference = mean_difference(codes, labels)
    weights, _ = logistic_regression(codes, labels, ridge=ridge)
    if not weights.any():
        raise DataError("The codes of both classes have the same mean; there is no direction between them. "
                        "Look for a collapsed encoder, or an attribute that it does not see.")
    unit = weights / np.linalg.norm(weights)
    return (difference @ unit) * unit


def logistic_regression(x: np.ndarray, labels: np.ndarray, *, ridge: float = 1.0) -> tuple:
    """Fit p(label = 1 | x) = sigmoid(x w + b) by Newton's method; return the weights w (d,) and the bias b.

    The loss is sum_i [softplus(s_i) - label_i s_i] + ridge |w|^2 / 2 with s = x w + b: strictly convex.  With
    p = sigmoid(s) its gradient is X^T (p - labels) + ridge w, and its Hessian X^T diag(p (1 - p)) X + ridge I.
    A step is halved until the loss falls enough.  (This is iteratively reweighted least squares.)

    Raises ShapeError, DataError or ConfigurationError for arrays that do not fit, labels other than 0 and 1 or of a
    single class, or a ridge that is not positive, and TrainingError if 100 steps do not lead to the minimum.

    Parameters
    ----------
    x : array_like (n, d)
        Features.
    labels : array_like (n,)
        0 or 1.
    ridge : float
        Weight of |w|^2 / 2, positive: without it, w would grow without bound for separable classes.

    Examples
    --------
    >>> weights, bias = logistic_regression([[-1.0], [1.0]], [0, 1])
    >>> bool(weights[0] > 0), round(bias, 6) + 0.0
    (True, 0.0)
    """
    x, labels = _codes_and_labels(x, labels, "x")
    ridge = at_least("ridge", ridge, 0, "Use 1 for latents.", open_interval=True)
    n, d = x.shape
    center = x.mean(axis=0)                                        # improves the Hessian, does not change w
    features = np.column_stack([x - center, np.ones(n)])
    penalty = np.append(np.full(d, ridge), 0.0)
    rate = labels.mean()
    w = np.append(np.zeros(d), np.log(rate) - np.log1p(-rate))

    def loss(w):
        score = np.einsum("ni,i->n", features, w)
        return np.sum(np.logaddexp(0.0, score) - labels * score) + 0.5 * np.sum(penalty * w * w)

    value = loss(w)
    for _ in range(NEWTON_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * np.einsum("ni,i->n", features, w)))
        gradient = np.einsum("ni,n->i", features, p - labels) + penalty * w
        hessian = np.einsum("ni,nj->ij", (p * (1 - p))[:, None] * features, features) + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step < CONVERGED * (1 + value):
            w = w - step
            return w[:-1], float(w[-1] - w[:-1] @ center)
        while loss(w - step) > value - 0.1 * (gradient @ step):
            step *= 0.5
        w = w - step
        value = loss(w)
    raise TrainingError(f"The logistic regression still improves after {NEWTON_STEPS} steps; expected a minimum by "
                        "then. Scale the features, or raise ridge.")
