"""certify_layer and certify_model: this package's contracts put to `certify`."""

import numpy as np

from ...errors import ConfigurationError
from ...model import Model
from ...parameters import Parameters
from ...schedules import Constant
from ...validation import instance_of, keep
from ..contract import layer_with_backprop, named_arrays, require_layer
from ..trees import copied
from .exact import lift
from .trial import Certificate, certify, still


def _floats(array):
    """Return the floats of an array; a workspace holds exact numbers while another thread certifies something."""
    return np.array([lift(a).x for a in array.ravel()]).reshape(array.shape)


def certify_layer(layer: object, p: tuple | list | dict | np.ndarray, x: np.ndarray, *, y: np.ndarray | None = None,
                  trials: int = 20, seed: int = 0, packages: tuple = ()) -> Certificate:
    """Certify a layer: is its backward, as a formula, the derivative of its forward?

    What that proves and what not is said in `certify`.  A compiled kernel of this package is replaced by its twin.

    Parameters
    ----------
    layer : object
        With `forward(p, x, y)` and `backward(p, x, y, d_y, d_p, d_x)`, as in `check_layer`.
    p : array, or NamedTuple, tuple, list or dict of such, float64
        Parameters; () for none.
    x : ndarray (B, n_in), float64
        The input.
    y : array, optional
        One of the output's shape, for a layer that has neither `outputs(batch, dtype)` nor `n_out`.
    trials, seed, packages
        As in `certify`; the package of the layer's class is among them.

    Returns
    -------
    Certificate
        Its entries are called "x" and as the parameters are.

    Examples
    --------
    >>> from scratchvae.layers import Dense
    >>> from scratchvae.parameters import Affine
    >>> rng = np.random.default_rng(0)
    >>> p, x = Affine(rng.standard_normal((4, 3)), rng.standard_normal(3)), rng.standard_normal((2, 4))
    >>> certify_layer(Dense(4, 3, "tanh"), p, x).ok
    True
    """
    arrays = {"x": x, **require_layer(layer, p)}
    if y is None and not hasattr(layer, "outputs") and not hasattr(layer, "n_out"):
        raise ConfigurationError(f"{type(layer).__name__} has neither outputs(batch, dtype) nor n_out; one of them "
                                 "must say how large y is. Pass y, an array of the output's shape.")

    def at(x, parameters):
        values = iter(parameters.values())
        return layer_with_backprop(layer, copied(p, lambda array: next(values)), x, y)

    def f(x, **parameters):
        return at(x, parameters)[0]

    def vjp(d_y, x, **parameters):
        d_x, d_p = at(x, parameters)[1](d_y)
        return {"x": d_x, **dict(named_arrays(d_p))}

    return certify(f, vjp, arrays, trials=trials, seed=seed,
                   packages=(*packages, type(layer).__module__.partition(".")[0]))


def certify_model(model: object, X: np.ndarray, eps: np.ndarray | None = None, *, trials: int = 20, seed: int = 0,
                  packages: tuple = ()) -> Certificate:
    """Certify a model: is its gradient, as a formula, the derivative of its loss?

    What that proves and what not is said in `certify`.  Kernels are replaced by their twins, and beta is a variable: it
    holds for every beta.  Estimators that are not the derivative of their loss are held to their `surrogate`.

    Parameters
    ----------
    model : VAE or Autoencoder
        Unchanged.
    X : array_like (B, D)
        Data; its numbers, as the model's parameters, choose the branches.
    eps : array_like (B, Z) or (B, K, Z)
        Noise; None for an autoencoder.
    trials, seed, packages
        As in `certify`.

    Returns
    -------
    Certificate
        Its entries are called as the parameters' segments are.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=3, n_latent=1, hidden=(2,), activation="tanh", dtype="float64")
    >>> vae.parameters.flat[:] += 0.1
    >>> certify_model(vae, np.full((2, 3), 0.25), np.ones((2, 1)), trials=2).ok
    True
    """
    instance_of("model", model, Model, "Use certify for other code.")
    layout, estimator = model.parameters.layout, getattr(model, "estimator", None)
    given = model._workspace_of(X) if estimator is None else model._workspace_of(X, eps)      # refuses misfits
    arrays = {"x": _floats(given.x), **dict(model.parameters.segments())}
    if estimator is not None:
        arrays |= {"eps": _floats(given.eps), "beta": model.beta}

    def start(x, theta, eps=None, beta=None):
        """Return a model of exact numbers, its workspace, and the weight of its KL."""
        exact = object.__new__(type(model))                    # copy.copy would make each of its floats an exact number
        vars(exact).update(vars(model), _parameters=Parameters.zeros(layout, np.dtype("float64")), dtype="float64")
        for name, view in exact.parameters.segments():
            view[...] = theta[name]
        ws, weight = exact.workspace(len(x)), Constant()
        ws.x[:] = x
        if estimator is not None:
            ws.eps[:] = eps
            keep(weight, beta=beta[()])
        return exact, ws, weight

    def f(x, eps=None, beta=None, **theta):
        if estimator is None or estimator.exact:
            exact, ws, weight = start(x, theta, eps, beta)
            return exact.forward(ws, weight).loss
        exact, ws, weight = start(x, {name: still(a) for name, a in theta.items()}, eps, beta)
        loss = estimator.surrogate(exact, ws, weight)
        for name, view in exact.parameters.segments():
            view[...] = theta[name]
        return loss()

    def vjp(d_loss, x, eps=None, beta=None, **theta):
        exact, ws, weight = start(x, theta, eps, beta)
        gradient = Parameters.zeros(layout, np.dtype("float64"))
        exact.forward_backward(ws, gradient, weight)
        return {name: view * d_loss[()] for name, view in gradient.segments()}

    return certify(f, vjp, arrays, trials=trials, seed=seed,
                   packages=(*packages, type(model.likelihood).__module__.partition(".")[0]))
