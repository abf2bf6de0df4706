"""What a failed check says: the cause inside a layer, a likelihood or a head; the complex step as a second judge."""
import types

import numpy as np
import pytest

from scratchvae import VAE
from scratchvae.estimators import IWAE, pathwise, sampled
from scratchvae.estimators.importance import normalized
from scratchvae.gradcheck import check_layer, check_model, complex_step, from_vjp
from scratchvae.kernels import dense, gaussian, likelihoods
from scratchvae.kernels.twins import TWINS
from scratchvae.layers import ACTIVATIONS, Dense, MLP
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.parameters import Affine

SECOND_JUDGE = 1e-13                    # relative: the complex step's own error is a few roundings
KERNELS = 1e-12                         # a compiled kernel sums in another order than its twin

# The complex step of the twins ----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X, W, B, D_Y = (RNG.standard_normal(shape) for shape in ((4, 3), (3, 5), 5, (4, 5)))


class Continued:
    """NumPy for complex arguments, its functions continued from the real axis, on which they mean the same."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def abs(z):
        return np.where(np.real(z) < 0, -z, z)

    @staticmethod
    def maximum(z, w):
        return np.where(np.real(z) < np.real(w), w, z)

    @staticmethod
    def sum(z, axis=None, dtype=None):
        """float64, where it is asked for, is complex128 here."""
        return np.sum(z, axis=axis)


def continued(function):
    """Return a kernel's twin for complex arguments: the same code with other abs, maximum and sum.

    Functions of its module that it calls are treated alike.
    """
    names = dict(function.__globals__, np=Continued())
    for name, value in function.__globals__.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is function.__globals__:
            names[name] = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
    return types.FunctionType(function.__code__, names, function.__name__, function.__defaults__,
                              function.__closure__)


def test_a_continued_function_has_the_complex_step_of_the_original():
    def nll(logits):
        out = np.empty(1, np.complex128)
        continued(likelihoods.bernoulli_nll_ref)(logits, np.array([[1.0, 0.0]]), out)
        return out[0]
    assert complex_step(nll, np.array([[0.0, 0.0]])).tolist() == [[-0.5, 0.5]]


def both(name):
    """The twin and the compiled kernel of a name, each with its tolerance."""
    return [(TWINS[name].reference, SECOND_JUDGE), (TWINS[name].compiled, KERNELS)]


def assert_close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * np.max(np.abs(wanted)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_dense_backward_agrees_with_the_complex_step_of_its_forward(activation):
    code = ACTIVATIONS[activation]

    def loss(x, weight, bias):
        y = np.empty((4, 5), np.complex128)
        continued(dense.dense_forward_ref)(x, weight, bias, code, y)
        return np.sum(D_Y * y)

    wanted = [complex_step(lambda z, i=i: loss(*(z if i == k else array for k, array in enumerate((X, W, B)))), array)
              for i, array in enumerate((X, W, B))]
    for backward, tolerance in both("dense_backward"):
        y, d_x, d_W, d_b = np.empty((4, 5)), np.empty(X.shape), np.empty(W.shape), np.empty(5)
        dense.dense_forward_ref(X, W, B, code, y)
        backward(X, W, y, D_Y.copy(), code, d_W, d_b, d_x)
        for found, right in zip((d_x, d_W, d_b), wanted):
            assert_close(found, right, tolerance)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_the_gaussian_backward_agrees_with_the_complex_step_of_its_forward(n_samples):
    head, eps, d_z = (RNG.standard_normal(shape) for shape in ((3, 4), (3 * n_samples, 2), (3 * n_samples, 2)))

    def loss(h):
        z, kl = np.empty(eps.shape, np.complex128), np.empty(3, np.complex128)
        continued(gaussian.gaussian_forward_ref)(h, eps, z, kl)
        return np.sum(d_z * z) + 0.7 * np.sum(kl)

    for backward, tolerance in both("gaussian_backward"):
        d_head = np.empty(head.shape)
        backward(head, eps, d_z.copy(), np.full(2, 0.7), d_head)
        assert_close(d_head, complex_step(loss, head), tolerance)


@pytest.mark.parametrize("name, extra", [("bernoulli", ()), ("gaussian", (0.7,))])
def test_the_likelihoods_agree_with_the_complex_step_of_their_nll(name, extra):
    outputs, x, d_nll = RNG.standard_normal((4, 5)), RNG.random((4, 5)), RNG.uniform(0.5, 1.5, 4)

    def loss(o):
        nll = np.empty(4, np.complex128)
        continued(getattr(likelihoods, f"{name}_nll_ref"))(o, x, *extra, nll)
        return np.sum(d_nll * nll)

    for backward, tolerance in both(f"{name}_nll_backward"):
        nll, d_outputs = np.empty(4), np.empty((4, 5))
        backward(outputs, x, *extra, d_nll.copy(), nll, d_outputs)
        assert_close(d_outputs, complex_step(loss, outputs), tolerance)


# Inside a layer -------------------------------------------------------------------------------------------------------


class Sigmoid:
    """y = s(x W + b), s the sigmoid; the slope that backward uses is given."""

    def __init__(self, slope):
        self.slope = slope

    def forward(self, p, x, y):
        y[:] = 1 / (1 + np.exp(-(x @ p.W + p.b)))

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_a = d_y * self.slope(x @ p.W + p.b, y, d_y)
        d_p.W[:] = x.T @ d_a
        d_p.b[:] = d_a.sum(axis=0)
        d_x[:] = d_a @ p.W.T


@pytest.mark.parametrize("slope, hint", [
    (lambda a, y, d_y: 1.0, "act' is missing"), (lambda a, y, d_y: (y * (1 - y))**2, "multiplied in twice"),
    (lambda a, y, d_y: y, "act itself stands"), (lambda a, y, d_y: a * (1 - a), "a (1 - a) stands"),
    (lambda a, y, d_y: -y * (1 - y), "a sign is flipped"),
    (lambda a, y, d_y: np.exp(-y) / (1 + np.exp(-y))**2, "act' is taken at the output y"),
    (lambda a, y, d_y: y * (1 - y) * (d_y > 0), "the sign of d_y"), (lambda a, y, d_y: 0.9 * y * (1 - y) + 0.01, "")])
def test_a_wrong_slope_is_named(slope, hint):
    checks = {check.name: check for check in check_layer(Sigmoid(slope), Affine(W, B), X, D_Y)}
    for name in ("x", "W", "b"):
        assert not checks[name].ok and hint in checks[name].hint
        assert bool(hint) == bool(checks[name].hint)


def test_a_forgotten_transpose_is_named_at_x_alone():
    class Straight(Dense):
        def backward(self, p, x, y, d_y, d_p, d_x):
            super().backward(p, x, y, d_y, d_p, d_x)
            d_x[:] = d_y @ p.W

    square = Affine(RNG.standard_normal((4, 4)), RNG.standard_normal(4))
    x, d_y = RNG.standard_normal((2, 5, 4))
    checks = {check.name: check for check in check_layer(Straight(4, 4, "tanh"), square, x, d_y)}
    assert "takes its transpose" in checks["x"].hint and checks["W"].ok and checks["b"].ok


def test_a_clamp_without_its_mask_is_named():
    class Clamp:
        def forward(self, p, x, y):
            y[:] = np.clip(x, -0.5, 0.5)

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_x[:] = d_y

    x = np.linspace(-0.9, 0.7, 11)[:, None]
    check, = check_layer(Clamp(), (), x, np.ones((11, 1)))
    assert not check.ok and "does the forward clamp there" in check.hint


def test_a_function_that_returns_its_vjp_is_checked_as_a_layer():
    def affine(factor):
        def apply(p, x):
            def backprop(d_y):
                return d_y @ p.W.T, Affine(factor * x.T @ d_y, d_y.sum(axis=0))
            return x @ p.W + p.b, backprop
        return apply

    assert all(check.ok for check in check_layer(from_vjp(affine(1)), Affine(W, B), X, D_Y))
    wrong = {check.name: check.hint for check in check_layer(from_vjp(affine(2)), Affine(W, B), X, D_Y) if not check.ok}
    assert wrong.keys() == {"W"} and "2 x numeric" in wrong["W"]


# Inside a model -------------------------------------------------------------------------------------------------------


def hints(**settings):
    vae = VAE(**{**dict(n_visible=6, n_latent=2, hidden=(4,), activation="tanh", dtype="float64"), **settings})
    vae.parameters.flat += 0.3 * np.random.default_rng(1).standard_normal(vae.parameters.flat.size)
    rng = np.random.default_rng(2)
    shape = (3, 2) if vae.n_samples == 1 else (3, vae.n_samples, 2)
    checks = check_model(vae, rng.random((3, 6)), rng.standard_normal(shape))
    return {check.name: check.hint for check in checks if not check.ok}


def replace_gaussian_backward(monkeypatch, kernel):
    for room in ("elbo", "estimators.analytic", "estimators.pathwise"):
        monkeypatch.setattr(f"scratchvae.{room}.gaussian_backward", kernel, raising=False)


def test_a_wrong_layer_of_a_model_is_found_by_itself(monkeypatch):
    original = Dense.backward

    def backward(self, p, x, y, d_y, d_p, d_x):
        original(self, p, x, y, d_y, d_p, d_x)
        d_p.b[:] *= 2
    monkeypatch.setattr(Dense, "backward", backward)
    assert "in Dense.backward: analytic is 2 x numeric" in hints()["encoder.0: d_b"]


@pytest.mark.parametrize("factor, why", [(0.5, "a 1/2 too many"), (3.0, "a factor B too many"),
                                         (0.0, "it never arrives"), (-1.0, "a sign is flipped"),
                                         (1.37, "1.37 x what it should be")])
def test_the_reconstructions_part_of_the_head_is_told_from_the_kls(monkeypatch, factor, why):
    original = gaussian.gaussian_backward
    replace_gaussian_backward(monkeypatch, lambda head, eps, d_z, d_kl, d_head: original(head, eps, factor * d_z, d_kl,
                                                                                         d_head))
    found = hints()
    for name in ("d_mu", "d_logvar"):
        assert f"the reconstruction part of {name} is {factor:.2f} x" in found[name] and why in found[name]
        assert "the KL part" not in found[name]


def test_several_wrong_terms_are_written_out_in_the_basis(monkeypatch):
    original = gaussian.gaussian_backward

    def mixed(head, eps, d_z, d_kl, d_head):
        original(head, eps, d_z, d_kl, d_head)
        d_head[:, 2:] += 0.25 * d_z + 2 * d_kl * head[:, :2] + 0.125 * d_kl
    replace_gaussian_backward(monkeypatch, mixed)
    hint = hints()["d_logvar"]
    assert "0.5 J eps sigma + 0.25 J + 0.5 (sigma^2 - 1) + 2 mu + 0.125 1" in hint
    assert "should be 1/2 J eps sigma" in hint


@pytest.mark.parametrize("is_encoder, layer, name", [(True, -1, "encoder.head.W"), (True, -1, "encoder.head.b"),
                                                     (True, 0, "encoder.0.W"), (False, -1, "decoder.head.W"),
                                                     (False, 0, "decoder.0.b")])
def test_an_array_of_a_layer_that_is_wrong_alone_is_laid_to_its_own_layer(monkeypatch, is_encoder, layer, name):
    original = MLP.backward

    def backward(self, p, x, y, d_y, d_p, d_x):
        original(self, p, x, y, d_y, d_p, d_x)
        if is_encoder == (d_x is None):
            getattr(d_p[layer], name[-1])[:] *= 2
    monkeypatch.setattr(MLP, "backward", backward)
    found = hints()
    assert found.keys() == {name, "cause"} and "2 x numeric" in found[name]
    assert f"look at {name[:-2]} itself" in found["cause"] and "'s backward returns" not in found["cause"]


def test_a_gradient_of_zeros_acquits_no_cotangent(monkeypatch):
    original = gaussian.gaussian_backward
    replace_gaussian_backward(monkeypatch, lambda head, eps, d_z, d_kl, d_head: original(head, eps, 2 * d_z, d_kl,
                                                                                         d_head))
    vae = VAE(n_visible=6, n_latent=2, hidden=(4,), activation="relu", dtype="float64")
    vae.parameters.encoder[0].b[:] = -50                     # a dead trunk: the head's input is 0, and so is its d_W
    rng = np.random.default_rng(2)
    wrong = {check.name: check.hint for check in check_model(vae, rng.random((3, 6)), rng.standard_normal((3, 2)))
             if not check.ok}
    assert "encoder.head.W" not in wrong and "the reconstruction part of d_mu is 2.00 x" in wrong["d_mu"]


def test_rows_in_another_order_are_laid_to_the_layer_whose_bias_cannot_tell(monkeypatch):
    original = MLP.backward

    def backward(self, p, x, y, d_y, d_p, d_x):
        original(self, p, x, y, d_y, d_p, d_x)
        if d_x is None:
            d_p[-1].W[:] = y[-2].T @ d_y[-1][::-1]
    monkeypatch.setattr(MLP, "backward", backward)
    hint = hints()["cause"]
    assert "look at encoder.head itself" in hint and "the order of its rows" in hint


# The samples of an example --------------------------------------------------------------------------------------------


def moving(log_w):
    v = normalized(log_w)
    return v * (1 + log_w - np.sum(v * log_w, axis=1, keepdims=True))


@pytest.mark.parametrize("weigh, hint", [
    (moving, "they are to be held"),
    (lambda log_w: np.exp(log_w), "w is not divided by the sum of w"),
    (lambda log_w: 3 * normalized(log_w), "they are 3 x"),
    (lambda log_w: normalized(log_w)[:, ::-1], "are the samples in another order?")])
def test_wrong_weights_of_samples_are_named_also_those_that_no_bug_of_the_museum_has(monkeypatch, weigh, hint):
    monkeypatch.setattr(IWAE, "weigh", lambda self, log_w: weigh(log_w))
    assert hint in hints(estimator="iwae", n_samples=3)["sample weights"]


def test_weights_without_the_kl_of_their_own_sample_are_named(monkeypatch):
    original = IWAE.forward_backward

    def forward_backward(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(sampled, "sample_kl", lambda head, eps, z: np.ones((len(head), len(z) // len(head))))
            return original(*arguments)
    monkeypatch.setattr(IWAE, "forward_backward", forward_backward)
    assert "they lack log p(z) - log q(z | x)" in hints(estimator="iwae", n_samples=3)["sample weights"]


@pytest.mark.parametrize("estimator", ["monte_carlo", "iwae", "dreg"])
def test_right_weights_are_not_accused_of_a_wrong_head(monkeypatch, estimator):
    original = pathwise.gaussian_backward

    def doubled(head, eps, d_z, d_kl, d_head):
        original(head, eps, 2 * d_z, d_kl, d_head)
    monkeypatch.setattr(pathwise, "gaussian_backward", doubled)
    found = hints(estimator=estimator, n_samples=3)
    assert "encoder.head.b" in found and "sample weights" not in found


def test_a_sigmoids_slope_where_outputs_pass_none_is_named(monkeypatch):
    diagonal = LIKELIHOODS["gaussian_diagonal"]
    original = diagonal.nll_backward

    def nll_backward(self, p, outputs, x, d_nll, nll, d_p, d_outputs):
        original(self, p, outputs, x, d_nll, nll, d_p, d_outputs)
        s = 1 / (1 + np.exp(-outputs[:, 6:]))
        d_outputs[:, 6:] *= s * (1 - s)
    monkeypatch.setattr(diagonal, "nll_backward", nll_backward)
    assert "times a sigmoid's slope at the others" in hints(likelihood="gaussian_diagonal")["likelihood: d_outputs"]


def test_the_head_is_not_held_against_the_loss_where_the_gradient_is_not_its_derivative(monkeypatch):
    """STL's d_mu differs from the slope of the loss at fixed eps also where it is right: neither half is compared."""
    original = pathwise.STL.write_head

    def doubled(self, draws, d_head, state=None):
        original(self, draws, d_head, state)
        d_head[:, d_head.shape[1] // 2:] *= 2

    monkeypatch.setattr(pathwise.STL, "write_head", doubled)
    rng = np.random.default_rng(0)
    vae = VAE(5, n_latent=2, hidden=(), estimator="stl", dtype="float64", seed=1)
    vae.parameters.flat[:] += 0.3 * rng.standard_normal(vae.parameters.flat.size)
    failed = [check.name for check in check_model(vae, rng.random((3, 5)), rng.standard_normal((3, 2))) if not check.ok]
    assert "encoder.head.b" in failed and "d_mu" not in failed
