"""Gradient checks of code as other people write it: each style in at most three lines, right and wrong."""
import collections
import copy
import functools
import math
import threading
from collections import namedtuple
from dataclasses import make_dataclass

import numpy as np
import pytest
import styles

from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.gradcheck import (assert_gradient, assert_ok, check_gradient, check_layer, check_value_and_grad,
                                  check_vjp, examine_vae, format_checks, from_vjp, gradient_of_step, GradientMismatch,
                                  numerical_gradient)
from scratchvae.gradcheck.comparison import broken, note
from scratchvae.gradcheck.hints.order import order_hints

X, EPS = styles.data()


def caches(fault, **settings):
    net = styles.Caches(fault)
    params = {f"d{name}": array for name, array in net.weights().items()}
    return check_gradient(lambda: net.forward(X, EPS), net.backward, params, **settings)


def dictionary(fault):
    return check_value_and_grad(styles.loss_and_grad, styles.initial(), X, EPS, fault)


def list_of_arrays(fault):
    return check_value_and_grad(styles.list_loss_and_grad, list(styles.initial().values()), X, EPS, fault)


def column_major(fault, **settings):
    net = styles.Columns(fault)
    return check_gradient(lambda: net.cost(X.T, EPS.T), lambda: net.grads(X.T, EPS.T), net.p, **settings)


def training_step(fault, **settings):
    trainer = styles.Trainer(fault)
    return check_gradient(lambda: trainer.loss(X, EPS),
                          lambda: gradient_of_step(lambda: trainer.step(X, EPS, 0.1), trainer, 0.1), trainer,
                          **settings)


def noisy(fault, **settings):
    net = styles.Noisy(fault)
    return check_gradient(lambda: net.loss(X), lambda: net.gradient(X), net.p,
                          reseed=lambda: setattr(net, "rng", np.random.default_rng(1)), **settings)


def vjp(fault):
    return check_vjp(lambda p, x, eps: styles.forward(p, x, eps)[0],
                     lambda d, p, x, eps: ({k: d * v for k, v in styles.loss_and_grad(p, x, eps, fault)[1].items()},
                                           *input_gradients(d, p, x, eps)), styles.initial(), X, EPS)


def input_gradients(d, p, x, eps):
    """Return d_x and d_eps, right always."""
    h, mu, logvar, sigma, z, logits = styles.forward(p, x, eps)[1]
    d_logits = (1 / (1 + np.exp(-logits)) - x) / len(x)
    d_z = d_logits @ p["Wd"].T
    d_logvar = d_z * eps * sigma / 2 + (sigma**2 - 1) / 2 / len(x)
    d_a = ((d_z + mu / len(x)) @ p["Wm"].T + d_logvar @ p["Wl"].T) * (1 - h**2)
    return d * (d_a @ p["We"].T - logits / len(x)), d * d_z * sigma


STYLES = [caches, dictionary, list_of_arrays, column_major, training_step, noisy, vjp]
checks_of = functools.cache(lambda style, fault: style(fault))


def by_array(checks):
    """Return {array: check}, whatever a style calls its arrays."""
    names = list(styles.SHAPES)
    return {names[int(key)] if (key := check.name.split(".")[-1]).isdigit() else key.removeprefix("d"): check
            for check in checks}


@pytest.mark.parametrize("style", STYLES)
def test_a_right_gradient_passes(style):
    checks = style("")
    assert all(check.ok for check in checks), format_checks(checks)
    assert_ok(checks)
    assert set(styles.SHAPES) <= set(by_array(checks))


EXPECTED = {"sampler sigma^2": {"We", "be", "Wl", "bl"}, "sampler sigma / 2": {"We", "be", "Wl", "bl"},
            "KL times sigma": {"We", "be", "Wl", "bl"}, "trunk from the decoder only": {"We", "be"},
            "missing 1/2": {"We", "be", "Wl", "bl"}, "missing path": {"We", "be", "Wl", "bl"}, "last row": {"We"},
            "sign of one array": {"Wd"}}


@pytest.mark.parametrize("fault", styles.FAULTS)
@pytest.mark.parametrize("style", STYLES)
def test_a_wrong_gradient_is_wrong_where_it_is_wrong(style, fault):
    checks = by_array(checks_of(style, fault))
    assert {name for name, check in checks.items() if not check.ok} == EXPECTED[fault]
    if fault == "sign of one array":
        assert "a sign is flipped" in checks["Wd"].hint


HEAD = "look at sigma = exp(logvar / 2) and its 1/2, at eps"
HINTS = {**dict.fromkeys(styles.FAULTS, HEAD), "eps drawn twice": HEAD, "stale weights": "are old ones remembered?",
         "trunk from the decoder only": "the sum of what each of these sends back",
         "last row": "a part of this gradient never arrives", "sign of one array": "a sign is flipped"}


def test_hints_are_right_with_and_without_roles_and_none_is_wrong():
    """A hint is right if it names the fault or its place; any other one beside a wrong gradient is a wrong hint."""
    runs = [(style, fault) for style in STYLES for fault in styles.FAULTS]
    runs += [(caches, "stale weights"), (noisy, "eps drawn twice")]
    with_roles = {caches: "d{}", column_major: "{}", training_step: "p.{}", noisy: "{}"}
    right, asked = 0, 0
    for style, fault in runs:
        for name in (None, with_roles.get(style))[:1 + (style in with_roles)]:
            roles = {"mu": ["Wm", "bm"], "logvar": ["Wl", "bl"], "trunk": ["We", "be"]}
            checks = checks_of(style, fault) if name is None else style(
                fault, roles={role: [name.format(array) for array in arrays] for role, arrays in roles.items()})
            hints = {check.hint for check in checks if not check.ok and check.hint}
            assert all(HINTS[fault] in hint for hint in hints), (style.__name__, fault, hints)
            right, asked = right + bool(hints), asked + 1
    assert right >= 0.9 * asked and asked == 92, (right, asked)


@pytest.mark.parametrize("fault", ["sampler sigma^2", "missing path", "KL times sigma"])
def test_the_order_of_the_arrays_leads_to_the_fault(fault):
    net = styles.Columns(fault)
    roles = {"mu": ["Wm", "bm"], "logvar": ["Wl", "bl"], "order": ["We", "be"]}
    checks = by_array(check_gradient(lambda: net.cost(X.T, EPS.T), lambda: net.grads(X.T, EPS.T), net.p, roles=roles))
    assert "mu is right and logvar is not" in checks["Wl"].hint and "mu is right" not in checks["We"].hint
    order = {"order": ["We", "be", "Wm"]}
    checks = by_array(check_gradient(lambda: net.cost(X.T, EPS.T), lambda: net.grads(X.T, EPS.T), net.p, roles=order))
    assert "on the way back be is the first that is wrong" in checks["be"].hint


def test_old_weights_in_the_backward_are_found_at_other_parameters():
    checks = caches("stale weights")
    assert checks[-2].name == "elsewhere" and not checks[-2].ok and "old ones" in checks[-2].hint


def test_noise_that_is_drawn_twice_is_wrong():
    assert not all(check.ok for check in noisy("eps drawn twice"))


def test_a_backward_that_reads_caches_is_named_with_the_remedy():
    checks = caches("")
    assert checks[-1].name == "gradient" and checks[-1].ok and "rerun forward inside backward" in checks[-1].hint


def test_a_gradient_that_draws_its_own_noise_passes_with_reseed():
    p, rng = styles.initial(), [np.random.default_rng(0)]
    assert_gradient(lambda: styles.forward(p, X, rng[0].standard_normal((3, 2)))[0],
                    lambda: styles.loss_and_grad(p, X, rng[0].standard_normal((3, 2)))[1], p,
                    reseed=lambda: rng.__setitem__(0, np.random.default_rng(5)))


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_loss_of_one_entry_is_a_number_and_said_to_be(shape):
    x = np.array([1.0, 2.0])
    checks = check_gradient(lambda: np.full(shape, np.sum(x**2)), lambda: 2 * x, x)
    assert all(check.ok for check in checks) and f"returns shape {shape}" in checks[-1].hint
    assert np.allclose(numerical_gradient(lambda: np.full(shape, np.sum(x**2)), x).values, 2 * x)
    check, = check_value_and_grad(lambda x: (np.full(shape, np.sum(x**2)), 2 * x * (1 + x.flags.f_contiguous)),
                                  np.ones((2, 3)))
    assert "wrong only where the arrays are in Fortran order" in check.hint


def test_noise_and_modified_parameters_are_named():
    rng, x = np.random.default_rng(0), np.array([1.0, 2.0])
    check, = check_gradient(lambda: np.sum(x**2) + rng.random(), lambda: 2 * x, x)
    assert not check.ok and "pass reseed=" in check.hint

    def loss():
        x[0] += 1
        return np.sum(x**2)

    check, = check_gradient(loss, lambda: 2 * x, x)
    assert not check.ok and "loss() modifies params" in check.hint and x.tolist() == [1, 2]

    def gradient():
        found = 2 * x
        x[:] -= 0.1 * found
        return found

    check, = check_gradient(lambda: np.sum(x**2), gradient, x)
    assert not check.ok and "gradient() modifies params" in check.hint and x.tolist() == [1, 2]


def test_an_update_in_the_place_of_a_gradient_is_named():
    p = styles.initial()
    checks = check_gradient(lambda: styles.forward(p, X, EPS)[0],
                            lambda: {k: -0.01 * v for k, v in styles.loss_and_grad(p, X, EPS)[1].items()}, p)
    assert not any(check.ok for check in checks)
    assert all("every gradient is -0.01 x the slope: is it an update" in check.hint for check in checks)
    check, = check_gradient(lambda: np.sum(X**3), lambda: -3 * X**2, X)
    assert check.hint == "analytic is -1 x numeric: a sign is flipped"


Pair = namedtuple("Pair", "W b")
Frozen = make_dataclass("Frozen", ["W", "b"], frozen=True)
Slots = make_dataclass("Slots", ["W", "below"], slots=True)


class Unit:
    """A layer as an attribute of a model, which it knows."""

    def __init__(self, above=None):
        self.W, self.above, self.kind = np.ones(2), above, np.float64


def nested():
    """Return an object with another one as an attribute, and once more in a list."""
    model = Unit()
    model.first = Unit(above=model)
    model.layers = [model.first]
    return model


@pytest.mark.parametrize("tree", [
    np.array(2.0), np.ones((2, 3, 2)), {"b": np.ones(2), "a": [np.ones(3), (np.array(0.5),)]},
    Pair(np.ones((2, 2)), np.ones(2)), Frozen(np.ones((2, 2)), np.ones(2)), Slots(np.ones(3), Unit()), nested(),
    {"encoder.0.W": np.ones((2, 2), order="F"), 7: np.ones(6)[::2]}])
def test_any_tree_of_arrays_is_taken(tree):
    def f(params):
        from scratchvae.gradcheck.trees import parameters
        leaves = parameters(params)
        return sum(np.sum(a**3) for a in leaves.values()), {name: 3 * a**2 for name, a in reversed(leaves.items())}

    assert all(check.ok for check in check_value_and_grad(f, tree))
    assert all(check.ok for check in check_gradient(lambda: f(tree)[0], lambda: f(tree)[1], tree))


def test_a_wrong_gradient_in_an_object_of_an_object_is_seen():
    model, gradient = nested(), nested()
    gradient.W *= 2                                               # and first.W is half of what it should be
    checks = check_gradient(lambda: np.sum(model.W**2 + model.first.W**2), lambda: gradient, model)
    assert {check.name: check.ok for check in checks} == {"W": True, "first.W": False}


class Tensor:
    """Like PyTorch's where a gradient is required: an array only once it is detached."""

    def __init__(self, values):
        self.values, self.shape = values, np.shape(values)

    def detach(self):
        return np.asarray(self.values)

    def __array__(self, *args, **kwargs):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def test_tensors_that_require_a_gradient_are_read_and_as_parameters_refused_in_one_sentence():
    x = np.ones(3)
    assert_ok(check_gradient(lambda: Tensor(np.sum(x**2)), lambda: {"x": Tensor(2 * x)}, {"x": x}))
    with pytest.raises(ShapeError, match=r"^x is a Tensor; expected .* Pass .*tensor\.detach\(\)\.numpy\(\)"):
        check_gradient(lambda: 0.0, lambda: {"x": x}, {"x": Tensor(x)})


def test_a_vae_may_return_tensors_that_require_a_gradient():
    p, x = styles.initial(), X

    def objective(x, eps):
        return Tensor(styles.forward(p, x, eps)[0])

    def gradient(x, eps):
        return objective(x, eps), {name: Tensor(array) for name, array in styles.loss_and_grad(p, x, eps)[1].items()}

    def step(x, eps):
        loss, found = gradient(x, eps)
        for name, array in found.items():
            p[name] -= 0.1 * array.values
        return loss

    checks = examine_vae(encode=lambda x: tuple(map(Tensor, styles.encode(p, x))), objective=objective, params=p, x=x,
                         gradient=gradient, step=step, learning_rate=0.1)
    assert_ok(checks)
    assert {"encode one by one", "loss of gradient", "loss of step", "gradient of step"} <= {
        check.name for check in checks if check.judged}


def test_arrays_of_float32_are_judged_by_their_own_noise():
    p = {name: array.astype(np.float32) for name, array in styles.initial().items()}
    x, eps = X.astype(np.float32), EPS.astype(np.float32)
    checks = check_value_and_grad(styles.loss_and_grad, p, x, eps)
    assert all(check.ok and "in float32" in check.hint for check in checks), format_checks(checks)
    for fault in ("missing path", "sign of one array"):
        assert not all(check.ok for check in check_value_and_grad(styles.loss_and_grad, p, x, eps, fault))


def test_a_gradient_that_was_computed_in_float32_is_told_so():
    x, w = np.random.default_rng(0).standard_normal((2, 20, 6))
    for returned in ("f4", "f8"):
        check, = check_gradient(lambda: np.sum(np.tanh(x * w)),
                                lambda: (x * (1 - np.tanh(x * w)**2)).astype("f4").astype(returned), w)
        assert not check.ok and "rounding of float32, in which the gradient was computed" in check.hint
    check, = check_gradient(lambda: (1 + 1e-6) * np.sum(w), lambda: np.ones((20, 6)), w)
    assert not check.ok and "float32" not in check.hint


def test_kinks_in_the_wide_steps_of_float32_are_not_said_to_be_at_the_parameters():
    b, a = np.zeros(1, np.float32), np.linspace(-0.0505, 0.05, 7, dtype=np.float32)
    check, = check_gradient(lambda: np.sum(np.maximum(a + b, 0)) + np.float32(5), lambda: [np.full(1, 6.0)], [b])
    assert check.verdict == "not judged" and "so wide that kinks lie in them" in check.hint, check


@pytest.mark.parametrize("scale, ok", [(1, True), (1.1, False)])
def test_a_long_step_of_float32_across_kinks_is_no_false_alarm(scale, ok):
    """At this seed a step crosses kinks and its bound knows of none; a shorter step has another slope."""
    rng = np.random.default_rng(27)
    W, b, V, x, t = (rng.standard_normal(shape).astype(np.float32) * np.float32(0.5)
                     for shape in ((5, 6), 6, (6, 2), (20, 5), (20, 2)))

    def loss_and_grad(p):
        h = np.maximum(x @ p["W"] + p["b"], 0)
        error = (h @ p["V"] - t) / len(x)
        d_a = (error @ p["V"].T) * (h > 0)
        return 5 + 0.5 * len(x) * np.sum(error**2), {"W": scale * x.T @ d_a, "b": d_a.sum(axis=0), "V": h.T @ error}

    assert check_value_and_grad(loss_and_grad, {"W": W, "b": b, "V": V})[0].ok == ok


def test_an_array_that_is_not_judged_is_no_part_of_a_guess():
    """The bias of mean is not judged, so that the encoder's, of another length, would be taken for it."""
    shapes = {"mean.w": (6, 3), "mean.b": (3,), "var.w": (6, 3), "var.b": (3,), "enc.b": (6,), "dec.b": (6,)}
    checks = [broken(name, "") if name in ("mean.w", "enc.b") else note(name, "") for name in shapes]
    assert "mean.w and enc.b are wrong where var.w and dec.b" in order_hints(checks, {}, shapes)["mean.w"]
    assert not order_hints([check._replace(ok=check.name != "mean.b" and check.ok, judged=check.name != "mean.b")
                            for check in checks], {}, shapes)


def test_rtol_lets_an_epsilon_pass():
    x = np.random.default_rng(0).uniform(0.4, 0.6, 4)
    for rtol, ok in ((0, False), (1e-6, True)):
        check, = check_gradient(lambda: np.sum(np.log(x + 1e-7)), lambda: 1 / x, x, rtol=rtol)
        assert check.ok == ok and ok != ("epsilon" in check.hint)


@pytest.mark.parametrize("at", [0, 1234, 2999])
def test_one_wrong_entry_of_many_is_found(at):
    W, factor = np.random.default_rng(0).standard_normal((60, 50)), np.full((60, 50), 2.0)
    factor.flat[at] = 2.02
    check, = check_gradient(lambda: np.sum(W**2), lambda: factor * W, W)
    assert not check.ok and check.index == tuple(np.unravel_index(at, W.shape))


def test_parts_of_one_buffer_that_do_not_overlap_are_arrays_of_their_own():
    flat = np.arange(1.0, 13.0)
    for parts in ({"W": flat[:8].reshape(4, 2), "b": flat[8:]}, {"even": flat[::2], "odd": flat[1::2]},
                  {"left": flat.reshape(3, 4)[:, :2], "right": flat.reshape(3, 4)[:, 2:], "none": flat[:0]}):
        assert_ok(check_gradient(lambda: np.sum(np.sin(flat)), lambda: {k: np.cos(v) for k, v in parts.items()}, parts))


def loss_of(x):
    return lambda: float(np.sum(x**2))


W, V = np.ones((2, 3)), np.ones(3)
CHANGED = {"W": np.ones((2, 3))}
READ_ONLY = np.ones(2)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("call, message", [
    (lambda: check_gradient(loss_of(W), lambda: {"W": W}, {"W": W, "b": V}), "lacks b.* or leave out"),
    (lambda: check_gradient(loss_of(W), lambda: {"W": W, "c": V}, {"W": W}), "has c in addition"),
    (lambda: check_gradient(loss_of(W), lambda: {"W": W, "b": V}, {"W": W, "b": 1 * (V > 0)}), "b has dtype int64"),
    (lambda: check_value_and_grad(lambda p: (1.0, p), {"W": W, "b": 1j * V}), "b has dtype complex128 and a gradient"),
    (lambda: check_gradient(loss_of(W), lambda: {"W": W.T}, {"W": W}), r"W of shape \(3, 2\) where \(2, 3\)"),
    (lambda: check_gradient(loss_of(W), lambda: [W, V], {"W": W, "b": V}), "lacks W, b and has 0, 1 in addition"),
    (lambda: check_gradient(loss_of(W), lambda: {"W": W}, {"W": W, "b": V.astype(">f8")}), "b has dtype >f8"),
    (lambda: check_gradient(loss_of(W), lambda: None, W), "wrap it in gradient_of_step"),
    (lambda: check_gradient(loss_of(W), lambda: W.__isub__(W / 10) is None or None, W), "training step"),
    (lambda: check_gradient(lambda: W, lambda: W, W), r"returns an array of shape \(2, 3\)"),
    (lambda: check_gradient(lambda: (1.0, W), lambda: W, W), "use check_value_and_grad"),
    (lambda: check_gradient(loss_of(READ_ONLY), lambda: READ_ONLY, READ_ONLY), "read-only"),
    (lambda: check_gradient(loss_of(W), lambda: W, {}), "without arrays"),
    (lambda: check_gradient(loss_of(W), lambda: 2 * W, W.view(np.matrix)), "params is a matrix; expected an array"),
    (lambda: check_gradient(loss_of(V), lambda: 2 * V, np.ma.array(V)), "params is a MaskedArray; expected an array"),
    (lambda: check_gradient(loss_of(W), lambda: 0.0, {"a": 1.0}), "is a float"),
    (lambda: check_gradient(1.0, lambda: W, W), "loss is 1.0"),
    (lambda: check_gradient(loss_of(W), lambda: W, W, rtol=-1), "rtol is -1"),
    (lambda: check_gradient(loss_of(W), lambda: W, W, roles={"sigma": "params"}), "roles has sigma"),
    (lambda: check_value_and_grad(lambda p: 1.0, W), r"expected \(loss, gradients\)"),
    (lambda: check_value_and_grad(lambda p: (1.0, W, 3), W), r"f returns a tuple of 3; expected \(loss, gradients\)"),
    (lambda: check_vjp(lambda x, y: x * y, lambda d, x, y: (d, d, d), W, W), "vjp returns a tuple of 3; expected 2 "),
    (lambda: check_gradient(loss_of(W), lambda: {"W": np.ones((6, 5)).tolist()}, {"W": W}),
     r"lacks W and has W\.0\.0, W\.0\.1, .* and 21 more in addition; expected"),
    (lambda: check_vjp(lambda x, y: x * y, lambda d, x, y: d, W, W), "expected 2 gradients, those of x, y"),
    (lambda: gradient_of_step(lambda: None, W, 0.1), "changes none of the arrays"),
    (lambda: gradient_of_step(lambda: None, W, 0), "learning_rate is 0"),
    (lambda: gradient_of_step(lambda: CHANGED.update(W=V), CHANGED, 0.1), r"after step\(\) has W of shape \(3,\)"),
    (lambda: check_gradient(loss_of(W), lambda: W, np.arange(3)), "params is of int64, and without arrays of float64"),
    (lambda: check_gradient(lambda: "1", lambda: W, W), "returns <U1; expected one real number"),
    (lambda: check_gradient(lambda: 1j, lambda: W, W), "returns complex128; expected one real number"),
    (lambda: check_gradient(loss_of(W), lambda: 1j * W, W), "of complex128 where real numbers are expected"),
    (lambda: check_gradient(lambda p: 1.0, lambda: W, W), r"loss takes \(p\); expected a function loss\(\)"),
    (lambda: check_gradient(loss_of(W), lambda p: W, W), r"gradient takes \(p\)"),
    (lambda: check_value_and_grad(lambda p: 1.0, W, 1), r"f takes \(p\); expected a function f\(params, \*args\)"),
    (lambda: check_vjp(lambda x: x, lambda x: x, W), r"vjp takes \(x\); expected a function vjp\(d_y, \*arrays\)"),
    (lambda: check_vjp(lambda x: x, lambda d, x: None, W), "vjp returns a NoneType; expected 1 gradients"),
    (lambda: check_gradient(loss_of(W), lambda: W, W, roles={"mu": 3}), r"roles\['mu'\] is 3"),
    (lambda: check_gradient(loss_of(W), lambda: W, {"a": W, "b": W}), "one array under the names a, b"),
    (lambda: check_gradient(loss_of(W), lambda: W, {"enc": W, "V": V, "dec": W.T}), "one array under the names enc"),
    (lambda: check_gradient(loss_of(W), lambda: W, [W, W[:1]]), "one array under the names 0, 1"),
    (lambda: check_layer(from_vjp(lambda p, x: x), (), W, W), r"apply returns a ndarray; expected \(y, backprop\)"),
    (lambda: check_layer(from_vjp(lambda p, x: (x, lambda d: d)), (), W, W), "backprop returns a ndarray")])
def test_a_misuse_is_one_sentence(call, message):
    with pytest.raises((ConfigurationError, ShapeError), match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_loss_or_gradient_that_is_not_finite_is_named():
    check, = check_gradient(lambda: np.nan, lambda: V, V)
    assert not check.ok and not check.judged and "loss() is nan at these parameters" in check.hint
    check, = check_gradient(loss_of(V), lambda: np.array([2, np.inf, 2]), V)
    assert not check.ok and check.hint == "1 of 3 entries of the gradient are not finite"


def test_several_units_at_their_kinks_are_not_judged_and_no_false_alarm():
    W, d = np.array([1.0, -1.0, 2.0]), np.array([1.0, 2.0, -1.0])
    for slope, judged in ((0.0, False), (77.0, True)):                  # 0 masks all three; 77 is nobody's slope
        b = np.zeros(())
        check, *_ = check_gradient(lambda: np.sum(d * np.maximum(W * b, 0)), lambda: np.array(slope), b)
        assert not check.ok and check.judged == judged


def test_assert_gradient_raises_with_the_table():
    x = np.array([1.0, 2.0])
    assert_gradient(lambda: np.sum(x**2), lambda: 2 * x, x)
    with pytest.raises(GradientMismatch, match="a 1/2 too many"):
        assert_gradient(lambda: np.sum(x**2), lambda: x, x)


@pytest.mark.parametrize("factor, ok", [(1, True), (2, False)])
def test_a_parameter_without_axes_is_an_array(factor, ok):
    def scale(p, x):
        return p * x, lambda d_y: (p * d_y, factor * np.sum(d_y * x))

    assert [check.ok for check in check_layer(from_vjp(scale), np.array(2.0), X, X)] == [True, ok]


def test_from_vjp_matches_parameters_by_key():
    rng = np.random.default_rng(0)
    p = {"gamma": rng.standard_normal(4), "beta": rng.standard_normal(4)}

    def layer(gradients):
        def apply(p, x):
            return p["gamma"] * x + p["beta"], lambda d_y: (d_y * p["gamma"], gradients(x, d_y))
        return check_layer(from_vjp(apply), p, rng.standard_normal((3, 4)), rng.standard_normal((3, 4)))

    assert all(check.ok for check in layer(lambda x, d_y: {"beta": d_y.sum(0), "gamma": (d_y * x).sum(0)}))
    with pytest.raises(ShapeError, match="d_p lacks beta"):
        layer(lambda x, d_y: {"gamma": (d_y * x).sum(0)})
    with pytest.raises(ShapeError, match=r"d_p has gamma of shape \(1, 4\) where \(4,\)"):
        layer(lambda x, d_y: {"beta": d_y.sum(0), "gamma": (d_y * x).sum(0, keepdims=True)})


def test_several_inputs_and_outputs_have_a_vjp():
    def f(a, b):
        return {"sum": a + b, "product": a * b}

    for factor in (1, 2):
        checks = check_vjp(f, lambda d, a, b: (d["sum"] + d["product"] * b, d["sum"] + factor * d["product"] * a),
                           np.arange(1.0, 4), np.full(3, 2.0))
        assert [(check.name, check.ok) for check in checks] == [("a", True), ("b", factor == 1)]


def test_a_layer_that_caches_its_input_is_told_what_to_do():
    class Caching:
        def forward(self, p, x, y):
            self.x = x.copy()
            y[:] = x @ p

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_p[:], d_x[:] = self.x.T @ d_y, d_y @ p.T

    rng = np.random.default_rng(0)
    checks = check_layer(Caching(), rng.random((4, 5)), rng.random((3, 4)), rng.random((3, 5)))
    assert "rerun forward inside backward, or use check_vjp" in {check.name: check.hint for check in checks}["p"]


@pytest.mark.parametrize("seed", range(8))
def test_a_right_network_is_not_called_wrong_where_many_units_are_at_their_kinks(seed):
    def vjp(d_y, x, W, V):
        h = np.maximum(x @ W, 0)
        d_a = d_y @ V.T * (h > 0)
        return d_a @ W.T, x.T @ d_a, h.T @ d_y

    rng = np.random.default_rng(seed)
    x, W, V = (rng.standard_normal(shape) for shape in ((5, 4), (4, 6), (6, 3)))
    x[2] = 0                                                       # a blank picture, and no biases
    for check in check_vjp(lambda x, W, V: np.maximum(x @ W, 0) @ V, vjp, x, W, V):
        assert check.ok or not check.judged and "several units are at theirs at once" in check.hint
    x[2] = 1
    assert_ok(check_vjp(lambda x, W, V: np.maximum(x @ W, 0) @ V, vjp, x, W, V))


class Keeps:
    """A model that keeps what it computes as attributes, views of its parameters among them."""

    def __init__(self):
        self.W, self.b = np.linspace(-1, 1, 10).reshape(5, 2), np.zeros(2)

    def loss(self, x, eps):
        self.x, self.turned, self.rows = x, self.W.T, np.broadcast_to(self.b, (len(x), 2))
        self.y = x @ self.turned.T + self.rows + eps
        return np.sum(self.y**2) / len(x)

    def gradient(self):
        return {"W": 2 * self.x.T @ self.y / len(self.x), "b": 2 * self.y.sum(axis=0) / len(self.x)}


class Steps(Keeps):
    def loss(self, x, eps):
        self.x, self.y = x, x @ self.W + self.b + eps
        return np.sum(self.y**2) / len(x)

    def step(self, x, eps):
        loss, self.gradients = self.loss(x, eps), self.gradient()
        self.W, self.b = self.W - 0.1 * self.gradients["W"], self.b - 0.1 * self.gradients["b"]
        return loss


def test_an_object_may_keep_what_it_computes():
    """Its arrays were looked for anew after the loss: it "lacks x, y", or "rows is read-only"."""
    x, eps = np.random.default_rng(0).standard_normal((4, 5)), np.random.default_rng(1).standard_normal((4, 2))
    net, steps = Keeps(), Steps()
    assert_ok(check_gradient(lambda: net.loss(x, eps), net.gradient, net))
    assert_ok(check_gradient(lambda: steps.loss(x, eps),
                             lambda: gradient_of_step(lambda: steps.step(x, eps), steps, 0.1), steps))
    net, steps = Keeps(), Steps()
    for checks in (examine_vae(objective=net.loss, gradient=lambda *data: net.gradient(), params=net, x=x, eps=eps),
                   examine_vae(objective=steps.loss, step=steps.step, params=steps, learning_rate=0.1, x=x, eps=eps)):
        assert_ok(checks)
        assert {"gradient: W", "gradient: b"} <= {check.name for check in checks if check.judged}


def test_two_keys_that_are_written_alike_are_refused_and_nothing_is_changed():
    for first, second in ((1, "1"), ("a.b", "a")):
        params = {first: np.ones(2), second: np.full(2, 5.0) if second == "1" else {"b": np.full(2, 5.0)}}
        with pytest.raises(ConfigurationError, match="two arrays whose keys are written"):
            check_gradient(lambda: 0.0, lambda: params, params)
        assert params[first].tolist() == [1, 1]


def test_remedies_are_those_of_the_door():
    def scales(p, batch):
        batch /= 255
        return np.sum(p * batch), batch.copy()

    batch, draws = np.full(3, 255.0), np.random.default_rng(0).random
    [check] = check_value_and_grad(scales, np.ones(3), batch)
    assert "f modifies its argument 1" in check.hint and batch.tolist() == [255] * 3
    [check] = check_value_and_grad(lambda p, pair: scales(p, pair[1]["x"]), np.ones(3), (0, {"x": batch}))
    assert "f modifies its argument 1" in check.hint and batch.tolist() == [255] * 3
    for checks in (check_value_and_grad(lambda a: (np.sum(a * draws()), a), np.ones(3)),
                   check_vjp(lambda a: a * draws(), lambda d, a: d, np.ones(3))):
        assert "hold it fixed" in checks[0].hint and "reseed" not in checks[0].hint
    [check] = check_vjp(lambda a: a, lambda d, a: d * draws(), np.ones(3))
    assert "vjp gives another result on a second call" in check.hint and "reseed" not in check.hint
    for loss, gradient in ((draws, lambda: np.ones(3)), (lambda: 1.0, lambda: draws(3))):
        [check] = check_gradient(loss, gradient, np.ones(3))
        assert "pass reseed=" in check.hint
    for said, call in (("Return the loss alone[.]", lambda: check_value_and_grad(lambda a: ([1.0], a), np.ones(3))),
                       ("Return such arrays", lambda: check_vjp(lambda a: None, lambda d, a: d, np.ones(3)))):
        with pytest.raises(ConfigurationError, match=said):
            call()


def test_a_loss_that_reads_other_arrays_is_told_so():
    p = styles.initial()
    checks = check_gradient(lambda: styles.forward(p, X, EPS)[0], lambda: styles.loss_and_grad(p, X, EPS)[1],
                            copy.deepcopy(p))
    assert not any(check.ok for check in checks)
    assert all(check.hint == "loss() changes with none of params: does it read these arrays, or copies of them?"
               for check in checks)


def test_a_function_that_clips_its_argument_in_place_is_told_so():
    """A second call changes nothing more, and the first one came before anybody looked."""
    def clip(w):
        return np.clip(w, -1, 1, out=w)

    at = np.linspace(-2, 2, 6)
    for checks in (check_value_and_grad(lambda w: (np.sum(clip(w)**2), 2 * w), at),
                   check_vjp(clip, lambda d, w: d * (np.abs(w) < 1), at)):
        assert "f modifies" in checks[0].hint and len(checks) == 1


def test_small_entries_beside_large_ones_get_no_false_hint():
    for small in (1e-3, 1e-8):
        v = np.array([small, 1.0, 5.0])
        for factor in (1.0, 1.001):
            [check] = check_gradient(lambda: float(np.sum(np.log(v))), lambda: np.array([1, factor, 1]) / v, v)
            assert (check.ok, check.judged, check.hint) == (factor == 1, True, "")


@pytest.mark.parametrize("given", [lambda g: (g, np.zeros(3)), lambda g: (g,), lambda g: {"E": g}, lambda g: (g, None),
                                   lambda g: {"E": g, "ids": np.zeros(3)}, lambda g: g])
def test_indices_need_no_gradient(given):
    def vjp(d_y, E, ids):
        d_E = np.zeros_like(E)
        np.add.at(d_E, ids, d_y)
        return given(factor * d_E)

    E, ids = np.random.default_rng(0).random((4, 2)), np.array([0, 1, 1])
    for factor in (1, 1.01):
        [check] = check_vjp(lambda E, ids: E[ids], vjp, E, ids)
        assert check.ok == (factor == 1)


def test_a_step_that_fails_leaves_the_parameters_as_they_were():
    params = {"w": np.ones(2)}

    def step():
        params["w"] = params["w"][:1] - 1

    with pytest.raises(ShapeError):
        gradient_of_step(step, params, 0.1)
    assert params["w"].tolist() == [1, 1]


def test_an_output_without_rows_and_entries_of_many_sizes_are_judged_by_their_own_slopes():
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))
    for factor in (1, 1.01):
        found = by_verdict(check_vjp(lambda x, W: {"y": x @ W, "size": 0.5 * (W**2).sum()}, lambda d, x, W: (
            d["y"] @ W.T, x.T @ d["y"] + factor * d["size"] * W), X, W))
        assert found == {"x": "ok", "W": "ok" if factor == 1 else "WRONG"}
    for x in ([1e-3, 1e9], [1e-3, 1e11], [1e-8, 1e8, -1e-3]):
        for factor in (1, 1.02):
            factors = np.array([factor] + [1.0] * (len(x) - 1))
            found = by_verdict(check_vjp(lambda x: 1 / x, lambda d, x: -factors * d / x**2, np.array(x)))
            assert found == {"x": "ok" if factor == 1 else "WRONG"}


def by_verdict(checks):
    return {check.name: check.verdict for check in checks}


def log_determinant(C):
    """Return log det C of the lower triangle, and its gradient."""
    L = np.linalg.cholesky(C)
    inverse = np.linalg.inv(L @ L.T)
    return 2 * np.log(np.diag(L)).sum(), np.tril(2 * inverse - np.diag(np.diag(inverse)))


def positive(s):
    """Return a loss that is for positive numbers only, and its gradient."""
    assert (s > 0).all()
    return float(np.sum(s * np.log(s))), 1 + np.log(s)


def within(error):
    """Return a loss that is for numbers near 1 only, and its gradient."""
    def f(c):
        if abs(c[0] - 1) > 0.01:
            raise error
        return math.log(c[0]), 1 / c
    return f


@pytest.mark.parametrize("f, at", [
    (within(IndexError("a table has no such row")), [1.0]), (within(RuntimeError("as torch.linalg.cholesky")), [1.0]),
    (lambda t: ((t[0] - 99)**2 + math.log(t[1]), np.array([2 * (t[0] - 99), 1 / t[1]])), [100.0, 0.01]),
    (lambda r: (math.atanh(r[0]), 1 / (1 - r * r)), [0.99]), (positive, [30.0, 0.01]),
    (lambda r: (np.sum(np.arcsin(r)), 1 / np.sqrt(1 - r * r)), [0.99, 0.5]),
    (log_determinant, [[1, 0.999], [0.999, 1]]),
    (lambda a: (np.nansum(a**2), np.where(np.isnan(a), 0, 2 * a)), [1.0, 2.0, np.nan]),
    (lambda a: (np.log(np.exp(a).sum()), np.exp(a) / np.exp(a).sum()), [1.0, 0.5, -np.inf])])
@pytest.mark.parametrize("factor, ok", [(1, True), (1.01, False)])
def test_numbers_at_the_end_of_a_functions_domain_are_judged(f, at, factor, ok):
    """Steps that leave it raise, or give NaN: they are left out, and so is the question about other parameters."""
    checks = check_value_and_grad(lambda p: (f(p)[0], factor * f(p)[1]), np.array(at))
    assert [check.ok for check in checks] == [ok]
    assert not any("other" in check.hint for check in checks)


@pytest.mark.parametrize("factor", [0, -1, 2, 1])
def test_a_loss_that_cancels_hides_no_gradient(factor):
    """The noise of float64 at a loss of 1e-17 was taken for that of float32, and multiplied by 1e16."""
    x = np.linspace(-1, 1, 8)
    check, = check_value_and_grad(lambda x: (np.tanh(x).sum(), factor * (1 - np.tanh(x)**2)), x)
    assert check.ok == (factor == 1) and check.error_bound < 1e-9
    check, = check_value_and_grad(lambda p: (p.sum() - 1, factor * np.ones(3)), np.array([0.7, 0.2, 0.1]))
    assert check.ok == (factor == 1) and check.error_bound < 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_steps_of_the_arrays_size_do_not_alias_small_entries(seed):
    size, factors = np.array([1e-4, 1, 1]), np.ones(3)
    at = size * np.random.default_rng(seed).uniform(0.5, 3, 3)

    def f(x):
        return np.sum(np.sin(1.3 * x / size)), factors * 1.3 / size * np.cos(1.3 * x / size)

    assert all(check.ok for check in check_value_and_grad(f, at))
    factors[seed % 3] = 1.02
    assert not all(check.ok for check in check_value_and_grad(f, at))


@pytest.mark.parametrize("seed", range(6))
def test_a_float32_loss_near_its_minimum_is_no_false_alarm(seed):
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((20, 4)), rng.standard_normal((4, 3))
    T = X @ W + 10.0**rng.uniform(-7, -5) * rng.standard_normal((20, 3))

    def f(W, factor):
        residual = X.astype("f4") @ W.astype("f4") - T.astype("f4")
        return float(np.sum(residual**2)), factor * 2 * X.T @ (X @ W - T)

    assert not any(check.judged and not check.ok for check in check_value_and_grad(lambda W: f(W, 1), W))


def test_masks_of_minus_infinity_are_passed_over():
    rng = np.random.default_rng(0)
    logits = np.where(np.tri(30) > 0, rng.standard_normal((30, 30)), -np.inf)

    def softmax(A):
        e = np.exp(A - A.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    c = rng.standard_normal((30, 30))
    for single in (False, True):
        for factor in (1.0, 1.5):
            def f(A):
                p = softmax(A.astype("f4") if single else A)
                d = p * (c - (p * c).sum(axis=1, keepdims=True))
                d[29, 0] *= factor
                return float((p * c).sum()), d.astype(float)
            checks = check_value_and_grad(f, logits)
            if factor == 1 or not single:
                assert all(check.ok for check in checks) == (factor == 1)
            assert not any("other" in check.hint for check in checks)


@pytest.mark.parametrize("broken", [lambda p: {"w": np.ones(3)}, lambda p: None])
def test_a_gradient_that_breaks_at_other_parameters_is_not_passed_over(broken):
    p = {"w": np.array([1.0, 2.0])}

    def gradient():
        return {"w": 2 * p["w"]} if p["w"].tolist() == [1.0, 2.0] else broken(p)

    with pytest.raises(ShapeError):
        check_gradient(lambda: np.sum(p["w"]**2), gradient, p)


class Attributes(dict):
    """A dict whose items are attributes, as many write it."""

    def __init__(self, **items):
        super().__init__(items)
        self.__dict__ = self


class Answers(dict):
    """A dict that answers to any attribute."""

    __getattr__ = dict.get


class Frozen(dict):
    """A dict that lets nobody assign."""

    def __setitem__(self, key, value):
        raise TypeError("frozen")


class Pair(tuple):
    """A tuple with a constructor of its own."""

    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class Rebound:
    """A model that stores its method."""

    def __init__(self):
        self.w = np.array([1.0, 2.0])
        self.forward = self._forward

    def _forward(self):
        return float(np.sum(self.w**2))


@pytest.mark.parametrize("factor, ok", [(2, True), (3, False)])
def test_containers_of_all_sorts_are_copied_as_what_they_are(factor, ok):
    w = np.array([1.0, 2.0])
    for tree in (Attributes(w=w), Answers(w=w), Frozen(w=w), collections.defaultdict(list, w=w)):
        checks = check_value_and_grad(lambda p: (np.sum(getattr(p, "w", p["w"])**2), {"w": factor * p["w"]}), tree)
        assert [check.ok for check in checks] == [ok] and w.tolist() == [1, 2]
    checks = check_value_and_grad(lambda p: (float(np.sum(p[0]**2) + p[1]), (factor * p[0], np.ones(()))),
                                  Pair(w, np.array(3.0)))
    assert [check.ok for check in checks] == [ok, True]
    checks = check_value_and_grad(lambda model: (model.forward(), {"w": factor * model.w}), Rebound())
    assert [check.ok for check in checks] == [ok]
    assert all(check.ok == ok for check in check_vjp(lambda x: x**2, lambda d, x: [factor * x * d], w))


def test_a_model_that_cannot_be_copied_says_so_itself():
    model = Rebound()
    model.lock = threading.Lock()
    model.__class__ = type("Locked", (Rebound,), {"__reduce_ex__": lambda self, protocol: copy.copy(self.lock)})
    with pytest.raises(TypeError, match="cannot pickle"):
        check_value_and_grad(lambda model: (model.forward(), {"w": 2 * model.w}), model)


def test_a_hint_speaks_of_the_whole_gradient_and_of_whole_words():
    E = np.linspace(1, 2, 2000).reshape(500, 4)

    def gradient():
        d_E = np.zeros_like(E)
        d_E[[3, 5]] = 2 * E[[3, 5]]
        return d_E

    check, = check_gradient(lambda: np.sum(E[[3, 5]]**2) + np.sum(np.sin(E[400:410])), gradient, E)
    assert not check.ok and "0 everywhere" not in check.hint
    p = {"multiplier": np.array([1.0, 2.0]), "resolvent": np.array([3.0])}
    checks = check_gradient(lambda: np.sum(p["multiplier"]**2) + np.sum(p["resolvent"]**2),
                            lambda: {"multiplier": 2 * p["multiplier"], "resolvent": 3 * p["resolvent"]}, p)
    assert [check.ok for check in checks] == [True, False] and "logvar" not in checks[1].hint
    q = {"W": np.array([[1.0, 2.0]]), "bandwidth": np.array([3.0, 4.0])}
    checks = check_gradient(lambda: sum(np.sum(a**2) for a in q.values()),
                            lambda: {"W": 2 * q["W"], "bandwidth": q["bandwidth"]}, q)
    assert "bias" not in checks[1].hint and not checks[1].ok


def test_a_step_below_the_rounding_of_the_parameters_is_not_judged():
    w = 1e6 * np.ones(3)

    def step(rate, factor=2):
        w[...] -= rate * factor * (w - 1e6 + 0.1)

    def checks(rate, factor):
        return check_gradient(lambda: np.sum((w - 1e6 + 0.1)**2),
                              lambda: gradient_of_step(lambda: step(rate, factor), w, rate), w)

    shift = np.array([1e-17])                                     # which the loss does not depend on
    assert all(check.ok for check in check_gradient(lambda: np.sum(np.ones(2)) + 0 * shift[0], lambda: gradient_of_step(
        lambda: shift.__isub__(1e-33), shift, 1.0), shift))
    for factor in (2, 4):
        assert [(check.ok, check.judged) for check in checks(1e-9, factor)] == [(False, False)]
    assert all(check.ok for check in checks(1e-3, 2)) and not checks(1e-3, 4)[0].ok
