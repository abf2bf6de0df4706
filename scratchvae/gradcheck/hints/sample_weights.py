"""Find the weights that a gradient gives the K samples of an example, from the decoder's part of the gradient.

The decoder's parameters change the loss through the samples' nll alone: dL = sum_k v_k d(nll_k), where v_k = 1/K for a
mean and w_k / sum w for the bound of K samples.  If the noise of sample k stands in all K places, the reconstruction is
nll_k and the loss is -log w_k.  So differences give every d(nll_k), and least squares give v: that of the gradient, and
that of the loss.
"""
import numpy as np

from ..comparison import failed
from ..numerical import numerical_gradient

FIT = 1e-5                              # largest difference of two v that agree; v lies between 0 and 1
APART = 1e-4                            # least relative singular value: errors of 1e-10 then become 1e-6 in v


def _softmax(a):
    w = np.exp(a - a.max())
    return w / w.sum()


def _hint(found, right, cost, nll):
    """Return a hint about the weights found; cost is -log w and nll is -log p(x | z), (K,) each."""
    candidates = {
        "they are softmax(-log w): the worst sample weighs most, where the best should": _softmax(cost),
        "every sample weighs 1/K: that is the slope of the mean, not of the bound": np.full(len(cost), 1 / len(cost)),
        "they lack log p(z) - log q(z | x), or have in its place the KL's closed form, which drops out of them":
            _softmax(-nll),
        "the weights of the bound are differentiated too: they are to be held": right * (1 - cost + right @ cost),
        "w is not divided by the sum of w": np.exp(-cost)}
    ratio = float(found @ right / (right @ right))
    candidates[f"they are {ratio:.3g} x what they should be"] = ratio * right
    for hint, candidate in candidates.items():
        if np.all(np.abs(found - candidate) <= FIT * max(1.0, np.max(np.abs(candidate)))):
            return hint
    return "they are none of the usual ones: are the samples in another order?"


def check_weights(model: object, X: np.ndarray, eps: np.ndarray) -> list:
    """Return the failed Check of the weights of the first of X (B, D) with eps (B, K, Z), if they are wrong."""
    x, noise = X[:1], eps[:1]
    arrays = {name: array for name, array in model.parameters.segments() if name.startswith("decoder.head")}

    def slopes(f):
        return np.concatenate([numerical_gradient(f, array, max_entries=array.size).values
                               for array in arrays.values()])

    def alone(k):
        return model.objective(x, np.repeat(noise[:, k:k + 1], noise.shape[1], axis=1))

    samples = range(noise.shape[1])
    each = np.stack([slopes(lambda k=k: alone(k).reconstruction) for k in samples], axis=1)
    gradient = model.gradient(x, noise)[1]
    found, right = (np.linalg.lstsq(each, slope, rcond=None)[0] for slope in (
        np.concatenate([gradient[name].ravel() for name in arrays]), slopes(lambda: model.objective(x, noise).loss)))
    if np.linalg.matrix_rank(each, rtol=APART) < len(samples) or np.all(np.abs(found - right) <= FIT):
        return []
    costs = [alone(k) for k in samples]
    hint = _hint(found, right, np.array([cost.loss for cost in costs]),
                 np.array([cost.reconstruction for cost in costs]))
    return [failed("sample weights", found, right, f"the weights of an example's samples: {hint}")]
