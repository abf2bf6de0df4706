"""Find the part of a model that makes its gradient wrong: a layer, the likelihood, or the encoder's head."""

import numpy as np

from ...model import Model
from ..comparison import broken, compare
from ..layercheck import check_layer
from ..numerical import numerical_gradient
from .head import check_head
from .sample_weights import check_weights

ROWS = 7                                # rows of a batch for the parts; no other size is likely to be 7


def _check_layers(model, rng):
    """Yield the failed Checks of every layer of the model's networks, at the model's own parameters."""
    for side in ("encoder", "decoder"):
        layers, stack = getattr(getattr(model, side, None), "layers", ()), getattr(model.parameters, side, ())
        for i, (layer, p) in enumerate(zip(layers, stack)):
            x, d_y = (rng.standard_normal((ROWS, n)) for n in p.W.shape)
            name = f"{side}.{'head' if i == len(layers) - 1 else i}"
            for check in check_layer(layer, p, x, d_y):
                if not check.ok:
                    yield check._replace(name=f"{name}: d_{check.name}", hint=f"in {type(layer).__name__}.backward: "
                                         f"{check.hint or 'this layer alone is wrong already'}")


def _check_likelihood(model, X, rng):
    """Yield the failed Check of d_outputs and of each parameter of the likelihood, at random outputs."""
    likelihood = model.likelihood
    x = np.asarray(X)[np.arange(ROWS) % len(X)].astype(np.float64)
    outputs = rng.standard_normal((ROWS, likelihood.n_outputs(x.shape[1])))
    p = {name: array.copy() for name, array in model.parameters.likelihood.items()}
    weights, nll = rng.uniform(0.5, 1.5, ROWS), np.empty(ROWS)

    def value():
        likelihood.nll(p, outputs, x, nll)
        return float(weights @ nll)

    sizes = {"D": x.shape[1], "sigma": getattr(likelihood, "sigma", 1.0)}
    arrays = {"outputs": outputs, **p}
    found = {name: np.empty_like(array) for name, array in arrays.items()}
    d_p = {name: found[name] for name in p}
    likelihood.nll_backward(p, outputs, x, weights.copy(), nll, d_p, found["outputs"])
    for name, array in arrays.items():
        check = compare(f"likelihood: d_{name}", found[name], numerical_gradient(value, array), "", sizes)
        if not check.ok:
            hint = check.hint or (_link_hint(likelihood, p, outputs, x, weights, found["outputs"], value)
                                  if name == "outputs" else "")
            yield check._replace(hint=f"in {type(likelihood).__name__}.nll_backward: {hint or 'this alone is wrong'}")


def _link_hint(likelihood, p, outputs, x, weights, found, value):
    """Return a hint if mean(outputs), such as the sigmoid, is differentiated or applied once too often."""
    mean, step = likelihood.mean(p, outputs), 1e-5
    right = numerical_gradient(value, outputs, max_entries=outputs.size).values.reshape(outputs.shape)
    scale = 1e-5 * np.max(np.abs(found))
    if mean.shape != outputs.shape:
        s = 1 / (1 + np.exp(-outputs))
        off = np.abs(found - right) > scale
        if off.any() and np.all(np.abs(found - right * s * (1 - s))[off] <= scale):
            return "right at some entries, and times a sigmoid's slope at the others: these outputs pass none"
        return ""
    link = (likelihood.mean(p, outputs + step) - likelihood.mean(p, outputs - step)) / (2 * step)
    if np.all(np.abs(found - right * link) <= scale):
        return "the slope of mean (the sigmoid's) is multiplied in once more: nll of logits has it already"
    if np.all(np.abs(found - weights[:, None] * (likelihood.mean(p, mean) - x)) <= scale):
        return "mean (the sigmoid) is applied twice: the outputs are logits, mean(outputs) - x is the slope"
    return ""


def _first_on_the_way_back(checks):
    """Return the first layer with a wrong segment in the order of the backward pass, and the layer above; or None."""
    names = [check.name for check in checks]
    networks = [side for side in ("decoder.", "encoder.") if any(name.startswith(side) for name in names)]
    way = [layer for side in networks for layer in reversed(list(dict.fromkeys(
        name.rpartition(".")[0] for name in names if name.startswith(side))))]
    wrong = {check.name.rpartition(".")[0] for check in checks if not check.ok}
    return next(((layer, above) for layer, above in zip(way, [None, *way]) if layer in wrong), (None, None))


def _own_fault(layer, checks, gradient):
    """Return a hint that a layer itself is at fault, if one of its two arrays is right, or "".

    d_W = x^T d_a and d_b = sum of d_a share the cotangent d_a.  If one of them is right, then so is d_a, except perhaps
    for the order of its rows.  A gradient of zeros says nothing.
    """
    ok = {check.name: check.ok for check in checks}
    for wrong, right, rule in (("W", "b", "d_W = x^T d_a, and the order of its rows"),
                               ("b", "W", "d_b, the sum of d_a over the rows")):
        if not ok.get(f"{layer}.{wrong}", True) and ok.get(f"{layer}.{right}") and gradient[f"{layer}.{right}"].any():
            return (f"{layer}.{wrong} is wrong where {layer}.{right} is right, and both are made of the cotangent that "
                    f"arrives there: look at {layer} itself, at what is done with its {rule}")
    return ""


def check_parts(model: object, X: np.ndarray, rng: np.random.Generator) -> list:
    """Return the failed Checks of every layer and of the likelihood, each alone, at random inputs."""
    return [*_check_layers(model, rng), *_check_likelihood(model, X, rng)]


def find_causes(model: object, X: np.ndarray, eps: np.ndarray | None, checks: list, seed: int = 0) -> list:
    """Return the failed Checks of the parts of a model whose segments fail `checks`; the seed draws test data.

    They are called "encoder.0: d_W", "likelihood: d_outputs", "d_mu", "d_logvar" or "sample weights"; where no part is
    wrong alone, there is one "cause".
    """
    if not isinstance(model, Model):                              # names like ours do not make the parts ours
        return []
    found = check_parts(model, X, np.random.default_rng(seed))
    first, above = _first_on_the_way_back(checks)
    if found or first is None:
        return found
    hint = _own_fault(first, checks, model.gradient(X, eps)[1])
    if not hint and first.startswith("decoder."):
        found = check_weights(model, X, eps) if eps is not None and eps.ndim == 3 and eps.shape[1] > 1 else []
    elif not hint and first == "encoder.head" and eps is not None and eps.ndim == 2 and model.estimator.exact:
        found = check_head(model, X, eps)                         # for which the gradient is the loss's at fixed eps
    if not hint and above:
        hint = (f"on the way back {first} is the first that is wrong: look at what {above}'s backward returns for its "
                f"input and how that reaches {first}")
    if not found and hint and not any("never arrives" in check.hint for check in checks):
        found = [broken("cause", hint)]
    return found
