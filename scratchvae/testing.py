"""Hypothesis strategies and assertions for property tests of this package's layers and models, and of your own.

Hypothesis draws sides, scales and a seed, and the numbers come from the seed: an example is quick to make, shrinks to
the smallest layer that fails, and contains no extreme numbers.  Biases are random, because a zero bias and a blank
example put a ReLU exactly on its kink.

To test a layer of your own, say what its parameters look like (only their shapes count) and how wide its input and
output are; `layer_problems` draws the rest.  The contract is that of `scratchvae.gradcheck.check_layer`.

>>> from hypothesis import given
>>> class Gate:
...     '''y = x s(p x), s the sigmoid: a column opens the further the larger it is, at a pace that is learned.'''
...     def forward(self, p, x, y):
...         y[:] = x / (1 + np.exp(-p * x))
...     def backward(self, p, x, y, d_y, d_p, d_x):
...         s = 1 / (1 + np.exp(-p * x))
...         d_a = d_y * x * s * (1 - s)                     # a = p x
...         d_p[:] = (d_a * x).sum(axis=0)
...         d_x[:] = d_y * s + d_a * p
>>> @given(sides().flatmap(lambda n: layer_problems(Gate(), np.empty(n), n, n)))
... def test_gate(problem):
...     assert_layer_gradients(*problem)
>>> test_gate()

Making a strategy of problems runs once what its examples will run, because loading the kernels takes longer than the
200 ms that Hypothesis allows an example.  The first time on a machine they are compiled, which can take minutes.

This module needs hypothesis, which the rest of the package does not.
"""
import contextlib
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .autoencoder import Autoencoder
from .errors import ConfigurationError
from .gradcheck import assert_ok, check_layer, check_model
from .gradcheck.contract import named_arrays
from .gradcheck.own import own_checks
from .gradcheck.trees import copied
from .kernels.threads import set_threads
from .layers import ACTIVATIONS, Dense, MLP
from .likelihoods import LIKELIHOODS
from .parameters import Affine
from .vae import VAE
from .validation import at_least, positive_integer

try:
    from hypothesis import currently_in_test_context
    from hypothesis import strategies as st
    from hypothesis import target
    from hypothesis.errors import InvalidArgument
except ImportError as error:
    raise ImportError("scratchvae.testing needs hypothesis, which is not installed; the rest of scratchvae works "
                      "without it. Install it: pip install hypothesis") from error

__all__ = ["LayerProblem", "ModelProblem", "assert_checks", "assert_layer_gradients", "assert_model_gradients",
           "autoencoder_problems", "batches", "dense_problems", "extreme_logits", "extreme_logvars", "generators",
           "layer_problems", "mlp_problems", "scales", "sides", "vae_problems"]

MAX_SIDE = 5                            # longest side of an array: differences check every entry of 25 or fewer
LOGVAR_LIMIT, LOGIT_LIMIT = 40.0, 1e4   # bounds of |logvar| and |logit|: sigma from 2e-9 to 5e8; probabilities 0, 1


class LayerProblem(NamedTuple):
    """The arguments of `check_layer`: a layer, its parameters, x (B, n_in) and d_y (B, n_out), all float64."""

    layer: object
    p: object
    x: np.ndarray
    d_y: np.ndarray


class ModelProblem(NamedTuple):
    """The arguments of `check_model`: a float64 model, X (B, D), or [X | y], and eps (B, Z), (B, K, Z) or None."""

    model: object
    X: np.ndarray
    eps: object

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in self.model.get_params().items())
        return f"ModelProblem({type(self.model).__name__}({settings}), X={self.X!r}, eps={self.eps!r})"


def generators() -> st.SearchStrategy:
    """Return a strategy of np.random.Generators, each from a seed of its own."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def sides(max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of lengths from 1 to max_side."""
    return st.integers(1, positive_integer("max_side", max_side))


def scales(low: float = 0.01, high: float = 10.0) -> st.SearchStrategy:
    """Return a strategy of positive numbers from low to high, even on a logarithmic scale; it shrinks toward 1."""
    low = at_least("low", low, 0, "Choose for example 0.01.", open_interval=True)
    high = at_least("high", high, low, "It is the largest scale, at least low: choose for example 10.")
    return st.floats(math.log10(low), math.log10(high)).map(lambda exponent: 10.0**exponent)


@st.composite
def batches(draw: Callable, n_columns: int | None = None, max_side: int = MAX_SIDE) -> np.ndarray:
    """Draw data (B, n_columns), float64 in [0, 1]: gray or black and white, with or without a blank example."""
    shape = draw(sides(max_side)), n_columns or draw(sides(max_side))
    x = draw(generators()).random(shape)
    if draw(st.booleans()):
        x.round(out=x)
    if draw(st.booleans()):
        x[0] = 0
    return x


@st.composite
def _extremes(draw, limit, max_side):
    """Draw an array in [-limit, limit], half of whose entries are an end, 0 or -0."""
    rng, shape = draw(generators()), (draw(sides(max_side)), draw(sides(max_side)))
    marks = rng.choice([-limit, limit, 0.0, -0.0], shape)
    return np.where(rng.random(shape) < 0.5, marks, rng.uniform(-limit, limit, shape))


def extreme_logvars(limit: float = LOGVAR_LIMIT, max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of log variances (B, Z), float64: up to +-limit, which is often reached, and often zero."""
    return _extremes(at_least("limit", limit, 0, "Choose for example 40."), positive_integer("max_side", max_side))


def extreme_logits(limit: float = LOGIT_LIMIT, max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of logits (B, D), float64: up to +-limit, which is often reached, and often zero."""
    return _extremes(at_least("limit", limit, 0, "Choose for example 10000."), positive_integer("max_side", max_side))


@functools.cache
def _load_dense_kernels():
    """Load what `check_layer` runs of a `Dense` layer, which in the first example would exceed the deadline."""
    one = np.ones((1, 1))
    check_layer(Dense(1, 1), Affine(one, one[0]), one, one)


def layer_problems(layer: Any, p: Any, n_in: int, n_out: int, *, max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of `LayerProblem`s of one layer.

    Raises ShapeError if p holds anything else than float64 arrays.

    Parameters
    ----------
    layer : object
        As in `check_layer`.
    p : array, or NamedTuple, tuple, list or dict of such, float64
        What its parameters look like; only the shapes count.  Arrays of two axes or more are drawn at a scale of
        their own, the others (biases, gains) at size 1.
    n_in, n_out : int
        Columns of x and of d_y.
    max_side : int
        The largest batch.

    Examples
    --------
    >>> from hypothesis import given
    >>> affine = Affine(np.empty((3, 2)), np.empty(2))
    >>> @given(layer_problems(Dense(3, 2, "relu"), affine, n_in=3, n_out=2))
    ... def test_dense(problem):
    ...     assert_layer_gradients(*problem)
    >>> test_dense()
    """
    list(named_arrays(p))                                               # refuses what is not float64
    n_in, n_out = positive_integer("n_in", n_in), positive_integer("n_out", n_out)
    positive_integer("max_side", max_side)
    _load_dense_kernels()                                               # a layer may be made of `Dense` ones

    @st.composite
    def problems(draw):
        rng, batch, weight_scale = draw(generators()), draw(sides(max_side)), draw(scales())
        drawn = copied(p, lambda like: np.asarray(rng.standard_normal(like.shape)
                                                  * (weight_scale if like.ndim > 1 else 1)))
        return LayerProblem(layer, drawn, draw(scales()) * rng.standard_normal((batch, n_in)),
                            rng.standard_normal((batch, n_out)))

    return problems()


def _affine(n_in, n_out):
    return Affine(np.empty((n_in, n_out)), np.empty(n_out))


def dense_problems(max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of `LayerProblem`s of a `Dense` layer with any activation."""
    side = sides(max_side)
    _load_dense_kernels()

    @st.composite
    def problems(draw):
        n_in, n_out = draw(side), draw(side)
        layer = Dense(n_in, n_out, draw(st.sampled_from(list(ACTIVATIONS))))
        return draw(layer_problems(layer, _affine(n_in, n_out), n_in, n_out, max_side=max_side))

    return problems()


def mlp_problems(max_layers: int = 3, max_side: int = MAX_SIDE) -> st.SearchStrategy:
    """Return a strategy of `LayerProblem`s of an `MLP` of one to max_layers layers with any activation."""
    side, max_layers = sides(max_side), positive_integer("max_layers", max_layers)
    _load_dense_kernels()

    @st.composite
    def problems(draw):
        sizes = draw(st.lists(side, min_size=2, max_size=max_layers + 1))
        network = MLP.build(sizes, draw(st.sampled_from(list(ACTIVATIONS))))
        p = tuple(_affine(*pair) for pair in zip(sizes, sizes[1:]))
        return draw(layer_problems(network, p, sizes[0], sizes[-1], max_side=max_side))

    return problems()


def _load_model_kernels(build, settings):
    """Load what models of `build` run, with every likelihood and dtype that `settings` leave open."""
    known = {"likelihood": LIKELIHOODS, "dtype": ("float32", "float64")}
    likely = [(settings[name],) if isinstance(settings.get(name), str) else values for name, values in known.items()]
    X, eps = np.full((2, 2), 0.5), np.zeros((2, 1))
    for likelihood, dtype in itertools.product(*likely):
        with contextlib.suppress(ConfigurationError):                   # an unknown name: drawing says so
            model = build(n_visible=2, n_latent=1, hidden=(2,), likelihood=likelihood, dtype=dtype)
            model.objective(X, eps)
            model.gradient(X, eps)
            model.fit(X, epochs=1, batch_size=1)


def _model_problems(build, settings, drawn):
    """Return a strategy of ModelProblems of build(**settings), those not given from the strategies in `drawn`."""
    settings = {"dtype": "float64", **settings}
    _load_model_kernels(build, settings)
    drawn = {"n_visible": st.integers(1, 7), "n_latent": st.integers(1, 3), "hidden": st.lists(sides(), max_size=2),
             "activation": st.sampled_from(list(ACTIVATIONS)), "likelihood": st.sampled_from(list(LIKELIHOODS)),
             "sigma": scales(0.3, 3.0), **drawn}
    given = {name: value if isinstance(value, st.SearchStrategy) else st.just(value)
             for name, value in settings.items()}

    @st.composite
    def problems(draw):
        model = build(**draw(st.fixed_dictionaries({**drawn, **given})))
        rng, flat = draw(generators()), model.parameters.flat
        flat += draw(scales(0.1, 0.5)) * rng.standard_normal(flat.size)         # biases, too
        X = draw(batches(model.n_visible))
        if model.n_conditions:
            X = model.join(X, rng.integers(0, model.n_conditions, len(X)))
        eps = rng.standard_normal((len(X), model.n_samples, model.n_latent))
        return ModelProblem(model, X, eps if model.n_samples > 1 else eps[:, 0])

    return problems()


def vae_problems(**settings: Any) -> st.SearchStrategy:
    """Return a strategy of `ModelProblem`s of a VAE with any likelihood, activation, beta and number of samples.

    `settings` are arguments of `VAE`, or strategies of them, that replace those drawn here.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(vae_problems(likelihood="bernoulli", n_latent=st.integers(1, 2)))
    ... def test_kl_is_not_negative(problem):
    ...     assert problem.model.objective(problem.X, problem.eps).kl >= 0
    >>> test_kl_is_not_negative()
    """
    return _model_problems(VAE, settings, {"beta": st.sampled_from([0.0, 0.5, 1.0, 4.0]),
                                           "n_samples": st.integers(1, 3)})


def autoencoder_problems(**settings: Any) -> st.SearchStrategy:
    """Return a strategy of `ModelProblem`s of an Autoencoder, whose eps is None; settings as in `vae_problems`."""
    return _model_problems(Autoencoder, settings, {}).map(lambda problem: problem._replace(eps=None))


def _assert_ok_and_climb(check, *arguments, **options):
    """Assert that all checks of check(...) are ok; in an example, tell Hypothesis the worst error.

    An example runs on one thread: to wake the others takes several times as long as the work on such small arrays.
    """
    if not currently_in_test_context():
        assert_ok(check(*arguments, **options))
        return
    threads = set_threads(1)
    try:
        checks = check(*arguments, **options)
    finally:
        set_threads(threads)
    assert_ok(checks)
    with contextlib.suppress(InvalidArgument):                    # called twice in an example: the first one counts
        target(max((check.worst for check in checks), default=0.0), label="worst relative error")


def assert_checks(function: Callable, rng: np.random.Generator) -> None:
    """Assert that all checks are ok that function(rng) returns, or function(), there at arrays up to a tenth off.

    `scratchvae gradcheck --write-test MODULE:FUNCTION` prints a test that calls this.  Raises GradientMismatch as
    `assert_layer_gradients` does, and ConfigurationError if the function takes or returns something else.

    Examples
    --------
    >>> from scratchvae.gradcheck import check_gradient
    >>> x = np.ones(3)
    >>> assert_checks(lambda: check_gradient(lambda: np.sum(x**2), lambda: 2 * x, x), np.random.default_rng(0))
    """
    _assert_ok_and_climb(own_checks, function, rng, move=True)


def assert_layer_gradients(layer: Any, p: Any, x: np.ndarray, d_y: np.ndarray, *, max_entries: int = 64,
                           seed: int = 0) -> None:
    """Assert that layer.backward is the derivative of layer.forward and keeps the contract of `check_layer`.

    The arguments are those of `check_layer`.  Inside a test with `@given`, Hypothesis is told the worst relative error
    and climbs toward it.  Raises GradientMismatch, an AssertionError with a table of all arrays and a hint for each
    wrong one, and ShapeError or ConfigurationError if the layer cannot be checked at all.

    Examples
    --------
    >>> class Square:
    ...     def forward(self, p, x, y):
    ...         y[:] = x * x
    ...     def backward(self, p, x, y, d_y, d_p, d_x):
    ...         d_x[:] = d_y * x
    >>> assert_layer_gradients(Square(), (), np.ones((1, 2)), np.ones((1, 2)))      # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    scratchvae.gradcheck.comparison.GradientMismatch: x: got what is wrong ...
    """
    _assert_ok_and_climb(check_layer, layer, p, x, d_y, max_entries=max_entries, seed=seed)


def assert_model_gradients(model: Any, X: np.ndarray, eps: Any, *, max_entries: int = 64, seed: int = 0) -> None:
    """Assert that model.gradient is that of model.objective in every segment, as `assert_layer_gradients` does.

    Arguments are those of `check_model`, errors those of `assert_layer_gradients`.  A model of `vae_problems` takes
    some 20 ms; for larger ones, or on a busy machine, give Hypothesis more time: `@settings(deadline=None)`.

    Examples
    --------
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=(3,), dtype="float64")
    >>> assert_model_gradients(vae, np.full((2, 4), 0.3), np.ones((2, 1)))
    """
    _assert_ok_and_climb(check_model, model, X, eps, max_entries=max_entries, seed=seed)
