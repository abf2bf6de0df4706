"""The checker checked: right gradients pass, wrong ones are found by name, and the error bound is honest."""
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import Autoencoder, ScratchVAEError, VAE
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.gradcheck import (as_vjp, assert_ok, certify_layer, check_layer, check_model, Checks, complex_step,
                                  format_checks, from_vjp, GradientMismatch, numerical_gradient)
from scratchvae.gradcheck.comparison import compare
from scratchvae.gradcheck.numerical import _estimate, Numerical, rounding_noise
from scratchvae.layers import ACTIVATIONS, Dense, MLP
from scratchvae.parameters import Affine

ALMOST_EXACT = 1e-13                   # the complex step's relative error: a few roundings
WORST = 1e-6                           # of differences, relative, on right gradients

# act(a), and its derivative from a
TOYS = {"relu": (lambda a: np.maximum(a, 0), lambda a: np.where(a > 0, 1.0, 0.0)),
        "tanh": (np.tanh, lambda a: 1 - np.tanh(a)**2),
        "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda a: 1 / (2 + np.exp(a) + np.exp(-a))),
        "softplus": (lambda a: np.logaddexp(0, a), lambda a: 1 / (1 + np.exp(-a)))}


class Toy:
    """y = act(x W + b) in plain NumPy; faults are planted by overriding one method."""

    def __init__(self, activation="tanh"):
        self.act, self.slope = TOYS[activation]

    def forward(self, p, x, y):
        y[:] = self.act(x @ p.W + p.b)

    def d_a(self, p, x, y, d_y):
        return d_y * self.slope(x @ p.W + p.b)

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_a = self.d_a(p, x, y, d_y)
        d_p.W[:] = x.T @ d_a
        d_p.b[:] = d_a.sum(axis=0)
        d_x[:] = d_a @ p.W.T


def problem(batch=5, n_in=3, n_out=4, seed=0, scale=1.0):
    """(p, x, d_y) for an affine layer; biases are not zero."""
    rng = np.random.default_rng(seed)
    p = Affine(scale * rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out))
    return p, rng.standard_normal((batch, n_in)), rng.standard_normal((batch, n_out))


def by_name(checks):
    return {check.name: check for check in checks}


def assert_passes(checks):
    table = format_checks(checks)
    assert all(check.ok for check in checks), table
    assert max(check.worst for check in checks) <= WORST, table


# Right gradients pass -------------------------------------------------------------------------------------------------

scales = st.sampled_from([1e-3, 0.1, 1.0, 10.0])
sides, seeds = st.integers(1, 6), st.integers(0, 2**32 - 1)


@given(st.sampled_from(sorted(TOYS)), sides, sides, sides, seeds, scales)
def test_a_right_layer_passes(activation, batch, n_in, n_out, seed, scale):
    assert_passes(check_layer(Toy(activation), *problem(batch, n_in, n_out, seed, scale)))


@given(st.sampled_from(sorted(ACTIVATIONS)), sides, sides, sides, seeds, scales)
def test_dense_passes(activation, batch, n_in, n_out, seed, scale):
    assert_passes(check_layer(Dense(n_in, n_out, activation), *problem(batch, n_in, n_out, seed, scale)))


@given(st.sampled_from(sorted(ACTIVATIONS)), st.lists(sides, min_size=2, max_size=4), sides, seeds, scales)
def test_a_network_passes_and_its_arrays_are_named_by_path(activation, sizes, batch, seed, scale):
    rng = np.random.default_rng(seed)
    p = tuple(Affine(scale * rng.standard_normal(pair), rng.standard_normal(pair[1])) for pair in zip(sizes, sizes[1:]))
    checks = check_layer(MLP.build(sizes, activation), p, rng.standard_normal((batch, sizes[0])),
                         rng.standard_normal((batch, sizes[-1])))
    assert_passes(checks)
    assert [check.name for check in checks] == ["x"] + [f"{i}.{name}" for i in range(len(p)) for name in "Wb"]


class Add:
    """A layer with any tree of parameters that holds one array."""

    def __init__(self, get):
        self.get = get

    def forward(self, p, x, y):
        y[:] = x + self.get(p)

    def backward(self, p, x, y, d_y, d_p, d_x):
        self.get(d_p)[:] = d_y.sum(axis=0)
        d_x[:] = d_y


@pytest.mark.parametrize("p, name, get", [
    (np.ones(3), "p", lambda p: p), ({"shift": np.ones(3)}, "shift", lambda p: p["shift"]),
    ({"y": np.ones(3)}, "y", lambda p: p["y"]),
    ([np.ones(3)], "0", lambda p: p[0]), ((), None, lambda p: np.zeros(3)),
    ({"deep": (Affine(np.zeros((1, 1)), np.ones(3)),)}, "deep.0.b", lambda p: p["deep"][0].b)])
def test_parameters_are_any_tree_of_arrays(p, name, get):
    checks = by_name(check_layer(Add(get), p, np.ones((2, 3)), np.ones((2, 3))))
    assert checks["x"].ok
    assert name is None or checks[name].ok


@pytest.mark.parametrize("model, eps", [(VAE(5, 2, hidden=(4,), activation="tanh", dtype="float64"), np.ones((3, 2))),
                                        (Autoencoder(5, 2, hidden=(4,), dtype="float64"), None)])
def test_models_pass_and_keep_their_parameters(model, eps):
    before = model.parameters.flat.copy()
    checks = check_model(model, np.random.default_rng(0).random((3, 5)), eps)
    assert_passes(checks)
    assert [check.name for check in checks] == list(model.parameters.layout.names)
    np.testing.assert_array_equal(model.parameters.flat, before)


def test_arguments_are_not_changed():
    p, x, d_y = problem()
    before = [array.copy() for array in (*p, x, d_y)]
    check_layer(Toy(), p, x, d_y)
    for now, then in zip((*p, x, d_y), before):
        np.testing.assert_array_equal(now, then)


# Kinks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_forgotten_mask_is_found_where_every_unit_is_dead(seed):
    class NoMask(Toy):
        def d_a(self, p, x, y, d_y):
            return d_y

    p, x, d_y = Affine(np.ones((1, 1)), np.full(1, -1.05)), np.ones((1, 1)), np.ones((1, 1))
    assert not any(check.ok for check in check_layer(NoMask("relu"), p, x, d_y, seed=seed))


def test_entries_on_a_kink_are_counted_and_not_failed():
    p, x, d_y = problem(n_out=3)
    p.b[:], x[0] = 0, 0                              # a dead example and zero biases: every unit sits on its kink
    checks = by_name(check_layer(Toy("relu"), p, x, d_y))
    assert all(check.ok for check in checks.values())
    assert checks["b"].kinks == 3 and "3 of 3 entries are kinks" in checks["b"].hint
    assert checks["W"].kinks == 0
    assert "kinks" in format_checks(list(checks.values()))


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-4, 1e-6])
def test_a_kink_inside_the_first_step_but_beside_its_center_is_stepped_around(distance):
    x = np.array([1.0, 1.0 + distance, 1.0 - distance])
    found = numerical_gradient(lambda: float(np.sum(np.maximum(x - 1.0, 0) + x**2)), x)
    np.testing.assert_array_equal(found.kinks, [True, False, False])
    exact = np.array([1.0, 0.0]) + 2 * x[1:]
    assert np.all(np.abs(found.values[1:] - exact) <= found.bounds[1:]) and np.all(found.bounds[1:] < 1e-5)


@pytest.mark.parametrize("position", np.linspace(0.01, 1.2, 60))
def test_the_bound_of_one_step_covers_a_kink_anywhere_in_it(position):
    x, step = np.zeros(1), 0.5

    def f():
        return float(np.maximum(x[0] - position * step, 0) + 3 * x[0])

    found = _estimate(f, f(), x, (0,), step, 0.0)
    assert abs(found.value - 3) <= found.bound


def test_zero_biases_where_kinks_are_a_millionth_away_pass():
    for seed in range(20):
        p, x, d_y = problem(seed=seed, scale=1e-3)
        p.b[:] = 0                                   # zeros do not say what a small change of them is
        assert_passes(check_layer(Toy("relu"), p, 1e-3 * x, d_y))


def test_kinks_whose_slopes_nearly_agree_are_kinks():
    """Several units on their kinks at once: the jump is a thirtieth of the slope, and no step resolves it."""
    p, x, d_y = Affine(np.array([[2.0, -1.0, 1e-3]]), np.zeros(3)), np.zeros((2, 1)), np.ones((2, 3))
    p.W[:], d_y[0], x[1], d_y[1] = 1e-3 * p.W, (0.5, -0.93, 1.0), 0.7, 1e3      # the last hides short steps
    checks = by_name(check_layer(Toy("relu"), p, x, d_y))
    assert checks["x"].ok and checks["x"].kinks == 1


def test_terms_that_cancel_in_the_output_are_no_false_alarm():
    """d_x is a sum whose terms cancel to a thousandth: it is rounded by more than the output, which cancels alike."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        p, d_y = Affine(rng.standard_normal((1, 4)), np.zeros(4)), rng.standard_normal((1, 4))
        d_y[0, 3] -= (d_y @ p.W.T)[0, 0] / p.W[0, 3] * (1 - 1e-3)
        assert_passes(check_layer(Dense(1, 4), p, np.zeros((1, 1)), d_y))


def test_kinks_do_not_excuse_wrong_entries_beside_them():
    class Wrong(Toy):
        def backward(self, p, x, y, d_y, d_p, d_x):
            super().backward(p, x, y, d_y, d_p, d_x)
            d_p.b[1] *= 1.01

    p, x, d_y = problem(n_out=3)
    p.b[:], x[0] = (0, 5, 0), 0
    check = by_name(check_layer(Wrong("relu"), p, x, d_y))["b"]
    assert (check.ok, check.kinks, check.index) == (False, 2, (1,))


# The error bound is honest --------------------------------------------------------------------------------------------

FUNCTIONS = {"sin": (np.sin, np.cos), "exp": (np.exp, np.exp), "cube": (lambda x: x**3, lambda x: 3 * x**2),
             "log": (np.log, lambda x: 1 / x), "tanh": (np.tanh, lambda x: 1 / np.cosh(x)**2),
             "root": (np.sqrt, lambda x: 0.5 / np.sqrt(x)), "offset": (lambda x: 1e3 + np.sin(x), np.cos),
             "straight": (lambda x: 3 * x, lambda x: 3 + 0 * x), "constant": (lambda x: 0 * x + 7, lambda x: 0 * x)}


@given(st.sampled_from(sorted(FUNCTIONS)), st.floats(-8, 8), st.floats(-8, 8), st.floats(-1, 1), seeds)
def test_numeric_minus_exact_is_within_the_bound_over_all_scales(name, in_scale, out_scale, stretch, seed):
    f, slope = FUNCTIONS[name]
    s, a = 10.0**in_scale, 10.0**out_scale                 # a f(x / s): arguments of size s, curving over a length s
    x = s * np.random.default_rng(seed).uniform(0.1, 3, 8) * 10.0**stretch

    def loss():
        return float(a * np.sum(f(x / s)))

    found = numerical_gradient(loss, x)
    exact, rounding = a * slope(x / s) / s, np.finfo(np.float64).eps * abs(loss())
    assert np.all(np.abs(found.values - exact) <= found.bounds)
    assert np.all(found.bounds <= 1e-5 * np.max(np.abs(exact)) + 2**15 * rounding / np.mean(x))   # over the step


def test_two_extrapolations_gain_two_orders_each():
    x = np.ones(1)
    errors = [abs(_estimate(lambda: float(np.exp(x[0])), np.e, x, (0,), h, 0.0).value - np.e) for h in (0.5, 0.25)]
    assert 60 < errors[0] / errors[1] < 70           # the sixth power of 2


@pytest.mark.parametrize("frequency", [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7])
def test_a_large_third_derivative_makes_the_step_smaller_or_the_bound_larger(frequency):
    x = np.random.default_rng(0).uniform(0.5, 2, 64)
    found = numerical_gradient(lambda: float(np.sum(np.sin(frequency * x))), x)
    exact = frequency * np.cos(frequency * x)
    assert not found.kinks.any()
    assert np.all(np.abs(found.values - exact) <= found.bounds)
    assert np.median(found.bounds) <= 1e-2 * frequency


@pytest.mark.parametrize("at", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("k", [10, 12, 14])
def test_steps_are_no_multiples_of_a_period_that_is_a_binary_fraction(at, k):
    """At x = 1 all steps were whole periods of sin(2^12 pi x): the slope was 1, the bound 1e-8."""
    x, w = np.array([at]), 2.0**k * np.pi
    found = numerical_gradient(lambda: float(x[0] + np.sin(w * x[0] + 0.3)), x)
    assert abs(found.values[0] - 1 - w * np.cos(w * at + 0.3)) <= found.bounds[0] < 1e-2 * w


def test_a_noisy_function_has_a_large_bound():
    x = np.linspace(1, 2, 8)
    coarse = numerical_gradient(lambda: float(np.sum(np.sin(x.astype(np.float32)), dtype=np.float32)), x)
    fine = numerical_gradient(lambda: float(np.sum(np.sin(x))), x)
    assert np.all(np.abs(coarse.values - np.cos(x)) <= coarse.bounds)
    assert coarse.bounds.min() > 1e3 * fine.bounds.max()


def test_a_forward_that_computes_in_float32_passes_and_its_faults_are_still_seen():
    class Coarse(Spoiled):
        def forward(self, p, x, y):
            y[:] = np.tanh((x @ p.W + p.b).astype(np.float32))

    assert_passes(check_layer(Coarse(times(1, "W")), *problem()))
    check = by_name(check_layer(Coarse(times(1.01, "W")), *problem()))["W"]
    assert not check.ok and "1.01 x numeric" in check.hint


@pytest.mark.parametrize("seed", [15, 18, 21, 23])
def test_a_staircase_beside_a_finer_term_is_heard_as_noise(seed):
    x = np.array([0.00374])                  # as it was in a continuous Bernoulli: nine points lay on one stair

    def f():
        return float(np.log(1 + x[0] ** 2 / 24) - 0.3 * x[0])

    noise = rounding_noise(f, [x], seed)
    assert 0.1 * np.finfo(float).eps < noise < np.finfo(float).eps         # of 1 + u: half an eps at most, and often


@pytest.mark.parametrize("height", [1e-12, 1e-13, 1e-14])
def test_a_slope_hidden_by_noise_is_not_looked_for_with_steps_too_long_for_it(height):
    x = np.random.default_rng(0).uniform(-1, 1, 20)
    found = numerical_gradient(lambda: float(np.sum(np.sin(x)**2 + np.cos(x)**2 + height * np.tanh(x))), x)
    assert np.all(np.abs(found.values - height / np.cosh(x)**2) <= found.bounds)


class Rounded(Toy):
    """The sigmoid as 1/2 (1 + tanh(a / 2)), which rounds small values away: a staircase, its stairs are the noise."""

    def __init__(self):
        self.act = lambda a: 0.5 * (1 + np.tanh(0.5 * a))
        self.slope = lambda a: 1 / (2 + np.exp(a) + np.exp(-a))


@pytest.mark.parametrize("bias", [-18.0, -20.6, -30.0, 15.0, 19.0])
def test_a_saturated_unit_is_no_false_alarm(bias):
    p, x, d_y = problem(n_out=1, batch=1, seed=3)
    p.b[:] = bias
    p.W[:] *= 1e-3
    assert_passes(check_layer(Rounded(), p, x, d_y))


@pytest.mark.parametrize("seed", [1268, 2194, 2664])              # a = -18.85 and 18.85, or a little more
def test_saturated_units_that_cancel_in_the_sum_are_no_false_alarm(seed):
    """The slope from the output, 1 - y^2, is rounding here, and f = <d_y, y> is 0 without a trace of it."""
    class FromOutput(Toy):
        def d_a(self, p, x, y, d_y):
            return d_y * (1 - y * y)

    rng = np.random.default_rng(seed)
    p, x = Affine(9 * rng.standard_normal((3, 1)), np.full(1, 0.003)), 10 * rng.standard_normal((1, 3))
    assert_passes(check_layer(FromOutput(), p, np.concatenate([x, -x]), np.ones((2, 1))))


def test_what_rounding_hides_is_said():
    p, x, d_y = problem(n_out=1)
    p.b[:] = -31.5
    assert any("saturated" in check.hint for check in check_layer(Rounded(), p, x, d_y))


def test_x_is_restored_exactly_also_when_the_function_raises():
    x = np.array([-0.0, 0.1, 1e300, 5e-324, 3.0])
    before = x.tobytes()
    numerical_gradient(lambda: float(np.sum(np.sin(x))), x)
    assert x.tobytes() == before
    for fatal in (5, 15, 32, 45):                   # while the noise is measured, in the first entry, later
        calls = iter(range(fatal))
        with pytest.raises(StopIteration):
            numerical_gradient(lambda: float(next(calls) + x.sum()), x)
        assert x.tobytes() == before


def test_of_a_large_array_entries_are_drawn_by_seed():
    x, calls = np.random.default_rng(0).standard_normal((1000, 1000)), []
    weights = np.random.default_rng(1).standard_normal((1000, 1000))

    def f():
        calls.append(1)
        return float(np.vdot(weights, x))

    found = numerical_gradient(f, x, max_entries=10, seed=3)
    assert len(found.entries) == len(set(found.entries)) == 10 and len(calls) < 400
    assert np.all(np.abs(found.values - weights.ravel()[found.entries]) <= found.bounds)
    other = numerical_gradient(f, x, max_entries=10, seed=4)
    assert not np.array_equal(found.entries, other.entries)
    few = np.ones(12)
    assert len(set(numerical_gradient(lambda: few.sum(), few, max_entries=11).entries)) == 11


def test_complex_step_is_exact_to_rounding():
    x = np.random.default_rng(0).standard_normal((3, 2))
    W = np.random.default_rng(1).standard_normal((2, 4))
    found = complex_step(lambda z: np.sum(np.log1p(np.exp(np.tanh(z @ W)))), x)
    y = np.tanh(x @ W)
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-y)) * (1 - y * y)) @ W.T, rtol=ALMOST_EXACT, atol=ALMOST_EXACT)


def test_complex_step_passes_a_copy_to_code_that_works_in_place():
    def f(z):
        z *= 2
        return np.prod(z)

    assert complex_step(f, np.array([1.0, 2.0, 3.0])).tolist() == [48, 24, 16]


def test_complex_step_refuses_a_function_that_drops_the_imaginary_part():
    with pytest.raises(ShapeError, match="drops the imaginary part"):
        complex_step(lambda z: np.sum(np.abs(z)), np.ones(2))


# Wrong gradients are found, with the right hint -------------------------------------------------------------------


def times(factor, *names):
    def spoil(d_p, d_x):
        for name, array in (("W", d_p.W), ("b", d_p.b), ("x", d_x)):
            if name in names:
                array *= factor
    return spoil


def transpose(d_p, d_x):
    d_p.W[:] = d_p.W.T.copy()


def shift_rows(d_p, d_x):
    d_p.W[:] = np.roll(d_p.W, 1, axis=0)


def nearly_twice(d_p, d_x):
    d_p.W[:] *= np.linspace(1.98, 2.02, d_p.W.size).reshape(d_p.W.shape)


class Spoiled(Toy):
    def __init__(self, spoil):
        super().__init__("tanh")
        self.spoil = spoil

    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        self.spoil(d_p, d_x)


SPOILED = {                                          # B = 7, D = n_in = 4, n_out = 4
    "twice": (times(2, "W", "b", "x"), "Wbx", "analytic is 2 x numeric"),
    "half": (times(0.5, "W"), "W", "analytic is 1/2 x numeric"),
    "flipped": (times(-1, "x"), "x", "a sign is flipped"),
    "zero": (times(0, "W"), "W", "analytic is 0 everywhere"),
    "sum for mean": (times(7, "W"), "W", "analytic is B = 7 x numeric"),
    "mean for sum": (times(1 / 7, "b"), "b", "analytic is 1/B = 1/7 x numeric"),
    "width": (times(4, "W"), "W", "analytic is D = 4 x numeric"),
    "1 / width": (times(0.25, "x"), "x", "analytic is 1/D = 1/4 x numeric"),
    "bias alone": (times(1 / 7, "b"), "b", "only the bias is wrong"),
    "constant": (times(1.7, "W"), "W", "analytic is 1.7 x numeric throughout"),
    "transposed": (transpose, "W", "transpose"),
    "in the fifth digit": (times(1 + 1e-5, "W"), "W", ""),
    "nearly twice": (nearly_twice, "W", None), "rows shifted": (shift_rows, "W", None)}


@pytest.mark.parametrize("fault", SPOILED)
def test_a_wrong_factor_is_found_and_named(fault):
    spoil, wrong, hint = SPOILED[fault]
    checks = check_layer(Spoiled(spoil), *problem(batch=7, n_in=4, n_out=4))
    assert {check.name for check in checks if not check.ok} == set(wrong)
    for check in checks:
        if check.name not in wrong or hint is None:
            assert check.hint == ""
        else:
            assert hint in check.hint
        assert ("only the bias" in check.hint) == (wrong == check.name == "b")


def test_a_size_that_is_also_two_is_named_both_ways():
    check = by_name(check_layer(Spoiled(times(2, "W")), *problem(batch=2)))["W"]
    assert "2 x numeric" in check.hint and "B = 2" in check.hint


class WrongSlope(Toy):
    """tanh' taken as 1 - a^2: right activation, wrong point."""

    def d_a(self, p, x, y, d_y):
        return d_y * (1 - (x @ p.W + p.b)**2)


class OnlyFirstRow(Toy):
    """numpy broadcasting: the first example's bias gradient instead of the sum."""

    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        d_p.b[:] = self.d_a(p, x, y, d_y)[0]


@pytest.mark.parametrize("layer, wrong, hint", [(WrongSlope(), "Wbx", "1 - a^2 stands"),
                                                (OnlyFirstRow(), "b", "only the bias")])
def test_other_mistakes_are_found_without_a_false_hint(layer, wrong, hint):
    checks = check_layer(layer, *problem())
    assert {check.name for check in checks if not check.ok} == set(wrong)
    for check in checks:
        assert "numeric" not in check.hint
        assert check.name not in wrong or hint in check.hint


# The contract ---------------------------------------------------------------------------------------------------------


class Unwritten(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        w = d_p.W[0].copy()
        super().backward(p, x, y, d_y, d_p, d_x)
        d_p.W[0] = w


class Adds(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        d_a = self.d_a(p, x, y, d_y)
        d_p.W[:] += x.T @ d_a
        d_p.b[:] = d_a.sum(axis=0)
        d_x[:] = d_a @ p.W.T


class ChangesInput(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        x *= 2


class ChangesParameters(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        p.W[0, 0] += 1


class ChangesOutput(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        y[:] = 1 - y * y


class ForwardChangesInput(Toy):
    def forward(self, p, x, y):
        x -= 0.1
        super().forward(p, x, y)


class StaleInput(Toy):
    """The commonest form: forward keeps x, backward uses what it kept."""

    def forward(self, p, x, y):
        self.x = x.copy()
        super().forward(p, x, y)

    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, self.x, y, d_y, d_p, d_x)


class FirstWeights(Toy):
    """RV29/VAE: backward keeps the weights that it saw first."""

    W = None

    def backward(self, p, x, y, d_y, d_p, d_x):
        self.W = p.W.copy() if self.W is None else self.W
        super().backward(Affine(self.W, p.b), x, y, d_y, d_p, d_x)


class Counts(Toy):
    calls = 0

    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        self.calls += 1
        d_p.b[:] *= 1 + 1e-15 * self.calls


class NotFinite(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        super().backward(p, x, y, d_y, d_p, d_x)
        d_x[0, 0] = np.inf


@pytest.mark.parametrize("layer, name, hint", [
    (Unwritten(), "W", "leaves 4 of 12 entries unwritten"), (Adds(), "W", "= in place of +="),
    (ChangesInput(), "x", "backward modifies x"), (ChangesParameters(), "W", "backward modifies W"),
    (ChangesOutput(), "y", "backward modifies y"), (ForwardChangesInput(), "x", "forward modifies x"),
    (StaleInput(), "W", "when other data run in between"), (Counts(), "b", "changes when"),
    (NotFinite(), "x", "1 of 15 entries of the gradient are not finite"), (FirstWeights(), "x", "")])
def test_a_broken_contract_is_found(layer, name, hint):
    checks = by_name(check_layer(layer, *problem()))
    assert not checks[name].ok and hint in checks[name].hint
    with pytest.raises(GradientMismatch):
        assert_ok(list(checks.values()))


@pytest.mark.parametrize("error", [ValueError, AssertionError, RuntimeError])
def test_a_layer_that_refuses_other_data_is_judged(error):
    """The data that run in between are up to half as large again, and may lie outside of its domain."""
    class Logit:
        def __init__(self, factor):
            self.factor = factor

        def forward(self, p, x, y):
            if not np.all((x > 0) & (x < 1)):
                raise error("x is no probability")
            y[:] = np.log(x / (1 - x))

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_x[:] = self.factor * d_y / (x * (1 - x))

    x = np.linspace(0.1, 0.95, 12).reshape(3, 4)
    for factor in (1, 1.1):
        assert [check.ok for check in check_layer(Logit(factor), (), x, D_Y[:3])] == [factor == 1]


class HalfWritten(Toy):
    def forward(self, p, x, y):
        y[1:] = x[1:] @ p.W


class Rebinds(Toy):
    def forward(self, p, x, y):
        y = x @ p.W                                                      # noqa: F841


class Overflows(Toy):
    def forward(self, p, x, y):
        y[:] = np.inf


class Draws(Toy):
    rng = np.random.default_rng(0)

    def forward(self, p, x, y):
        y[:] = x @ p.W + self.rng.standard_normal(y.shape)


@pytest.mark.parametrize("layer, hint", [
    (HalfWritten(), "leaves 4 entries of y unwritten"), (Rebinds(), "leaves 20 entries"),
    (Draws(), "pass its noise"), (Overflows(), "infinities")])
def test_a_forward_that_gives_nothing_to_check_is_found(layer, hint):
    check, = check_layer(layer, *problem())
    assert check.name == "y" and not check.ok and hint in check.hint


def test_another_array_in_the_place_of_the_gradients_is_found():
    class Replaces(Add):
        def backward(self, p, x, y, d_y, d_p, d_x):
            d_x[:] = d_y
            d_p["shift"] = p["shift"]

    layer = Replaces(lambda p: p["shift"])
    checks = by_name(check_layer(layer, {"shift": np.ones(3)}, np.ones((2, 3)), np.ones((2, 3))))
    assert "another array into d_p (an input!)" in checks["shift"].hint


def test_outputs_that_share_memory_are_refused():
    class Shared(Toy):
        def outputs(self, batch, dtype):
            return (np.empty((batch, 4)),) * 2

    with pytest.raises(ShapeError, match="share memory"):
        check_layer(Shared(), *problem())


# Learners' mistakes ---------------------------------------------------------------------------------------------------


class Returns(Toy):
    def forward(self, p, x, y):
        return x @ p.W


class ShortBackward(Toy):
    def backward(self, x, d_y):
        pass


class WrongShape(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        d_p.W[:] = d_y.T @ x


class Assigns(Toy):
    def backward(self, p, x, y, d_y, d_p, d_x):
        d_p.W += x.T @ d_y


class NoBackward:
    forward = Toy.forward


P, X, D_Y = problem()


@pytest.mark.parametrize("layer, p, x, d_y, kind, words", [
    (Toy(), P, X, D_Y[:, :3], ShapeError, "d_y must have the shape of the layer's output"),
    (Dense(3, 4), P, X, D_Y[:, :3], ShapeError, r"4 columns \(n_out\)"),
    (Dense(3, 4), P, X[:, :2], D_Y, ShapeError, r"3 columns \(n_in\)"),
    (Toy(), P, X, D_Y[:3], ShapeError, "rows"),
    (Toy(), P, X.astype(int), D_Y, ShapeError, r"x has dtype int64.*x.astype\(np.float64\)"),
    (Toy(), P, X.astype(np.float32), D_Y, ShapeError, "x has dtype float32.*check in float64"),
    (Toy(), P, X, D_Y.astype(np.float32), ShapeError, "d_y has dtype float32"),
    (Toy(), Affine(P.W.astype(np.float32), P.b), X, D_Y, ShapeError, "W has dtype float32"),
    (Toy(), P, X.tolist(), D_Y, ShapeError, "x is a list"),
    (Toy(), Affine(P.W, 0.0), X, D_Y, ShapeError, "b is a float"),
    (ShortBackward(), P, X, D_Y, ConfigurationError, r"takes \(x, d_y\); expected backward\(p, x, y, d_y, d_p, d_x\)"),
    (NoBackward(), P, X, D_Y, ConfigurationError, "without the method backward"),
    (Toy, P, X, D_Y, ConfigurationError, r"Pass Toy\(...\)"),
    (WrongShape(), P, X, D_Y, ShapeError, r"gradients of these shapes: x \(5, 3\), W \(3, 4\), b \(4,\)"),
    (Assigns(), P, X, D_Y, ConfigurationError, r"d_p.W\[:\] = ..., not"),
    (Returns(), P, X, D_Y, ShapeError, "forward returned a ndarray")])
def test_a_learners_mistake_gets_one_error_that_says_what_to_do(layer, p, x, d_y, kind, words):
    with pytest.raises(kind, match=words) as caught:
        check_layer(layer, p, x, d_y)
    assert isinstance(caught.value, ScratchVAEError) and len(str(caught.value)) < 400


@pytest.mark.parametrize("call, words", [
    (lambda: numerical_gradient(3, np.ones(2)), "f is 3; expected a function"),
    (lambda: numerical_gradient(lambda: 0.0, np.ones(2), noise=-1.0), "noise is -1"),
    (lambda: numerical_gradient(lambda: 0.0, np.ones(2), terms=1), "terms is 1"),
    (lambda: numerical_gradient(lambda: 0.0, np.ones(2), max_entries=0), "max_entries is 0"),
    (lambda: complex_step(None, np.ones(2)), "f is None"),
    (lambda: numerical_gradient(lambda: np.ones(2), np.ones(2)), r"f\(\) returns an array of shape \(2,\)"),
    (lambda: numerical_gradient(lambda: None, np.ones(2)), r"f\(\) returns a NoneType; expected one number"),
    (lambda: complex_step(np.exp, np.ones(2)), r"f returned an array of shape \(2,\)"),
    (lambda: from_vjp(Toy()), "apply is <"), (lambda: assert_ok(None), "checks is None"),
    (lambda: assert_ok([]), "checks is empty"),
    (lambda: format_checks([None]), r"checks is \[None\]"),
    (lambda: as_vjp(Dense(3, 4), P)(X[:, :2]), "x has shape .* expected 3 columns"),
    (lambda: as_vjp(Dense(3, 4), P)(X.astype(np.float32)), "x has dtype float32"),
    (lambda: as_vjp(Dense(3, 4), P)(X)[1](D_Y[:1]), "d_y has shape")])
def test_an_argument_of_a_wrong_kind_is_named(call, words):
    with pytest.raises(ScratchVAEError, match=words):
        call()


def test_one_example_passed_as_a_vector_is_asked_about_where_the_gradient_is_wrong():
    p, x, d_y = problem(n_in=3, n_out=3)
    checks = check_layer(Toy(), p, x[0], d_y[0])
    wrong = [check for check in checks if not check.ok]
    assert wrong and all("x has shape (3,), which is a batch of 3 numbers" in check.hint for check in wrong)
    assert all("Pass x[None]" not in check.hint for check in check_layer(WrongSlope(), P, X, D_Y))


def test_a_float32_model_is_refused_with_the_remedy():
    with pytest.raises(ShapeError, match='Build the model with dtype="float64"'):
        check_model(VAE(4, 1, hidden=(3,)), np.zeros((2, 4)), np.zeros((2, 1)))


# Models ---------------------------------------------------------------------------------------------------------------


def spoiled_vae(change):
    class Spoiled(VAE):
        kind = "spoiled"

        def gradient(self, X, eps):
            return change(self, X, eps, *super().gradient(X, eps))
    return Spoiled(6, 2, hidden=(5,), activation="tanh", dtype="float64", seed=1)


def twice_a_segment(model, X, eps, objective, gradient):
    gradient["decoder.0.W"][:] *= 2
    return objective, gradient


def forgotten_mean(model, X, eps, objective, gradient):
    gradient.flat[:] *= len(X)
    return objective, gradient


def first_gradient_for_ever(model, X, eps, objective, gradient):
    model.kept = getattr(model, "kept", gradient)
    return objective, model.kept


def other_loss(model, X, eps, objective, gradient):
    return objective._replace(loss=objective.loss / len(X)), gradient


def moves_the_data(model, X, eps, objective, gradient):
    eps += 1
    return objective, gradient


@pytest.mark.parametrize("change, names, hint", [
    (twice_a_segment, {"decoder.0.W"}, "2 x numeric"), (forgotten_mean, None, "B = 3 x numeric"),
    (first_gradient_for_ever, {"elsewhere"}, "are old ones remembered"),
    (other_loss, {"loss"}, "gradient reports a loss of"), (moves_the_data, {"arguments"}, "modifies")])
def test_a_wrong_model_is_found_by_segment_with_a_hint(change, names, hint):
    model, rng = spoiled_vae(change), np.random.default_rng(0)
    checks = check_model(model, rng.random((3, 6)), rng.standard_normal((3, 2)))
    wrong = {check.name: check.hint for check in checks if not check.ok}
    assert set(wrong) >= (names or set(model.parameters.layout.names))
    assert all(hint in wrong[name] for name in names or model.parameters.layout.names)


def test_a_model_whose_loss_is_not_finite_is_not_judged():
    vae = VAE(4, 1, hidden=(3,), dtype="float64")
    vae.parameters.encoder.head.b[0] = np.nan
    with np.errstate(invalid="ignore"):
        checks = check_model(vae, np.full((2, 4), 0.3), np.ones((2, 1)))
    assert isinstance(checks, Checks) and [check.verdict for check in checks] == ["not judged"]
    assert "loss is nan at these parameters" in checks[0].hint


def test_a_model_that_draws_noise_is_told_so_in_a_table():
    rng = np.random.default_rng(0)

    class Draws(VAE):
        kind = "draws"

        def objective(self, X, eps):
            objective = super().objective(X, eps)
            return objective._replace(loss=objective.loss + rng.random())

    checks = check_model(Draws(4, 1, hidden=(3,), dtype="float64"), np.full((2, 4), 0.3), np.ones((2, 1)))
    assert isinstance(checks, Checks) and "WRONG" in str(checks) and "it draws noise" in checks[0].hint


def test_a_layer_that_cannot_be_judged_gets_no_hint_of_a_mistake():
    """a is so large that a step of 1e-5 is lost in it: the slope of act would be 0."""
    with np.errstate(over="ignore"):
        checks = check_layer(Dense(3, 4), P._replace(b=np.full(4, 1e300)), X, D_Y)
    assert {check.verdict for check in checks} == {"not judged"}
    assert not any("act'" in check.hint for check in checks)


# Results --------------------------------------------------------------------------------------------------------------


def test_checks_are_plain_values_that_json_takes():
    for check in (*check_layer(Toy(), *problem()), *check_layer(Draws(), *problem())):
        assert json.loads(json.dumps(check._asdict()))["name"] == check.name
        assert [type(value) for value in check] == [str, float, tuple, float, float, float, bool, str, int, bool]
        assert all(type(i) is int for i in check.index)


def test_an_entry_that_fails_is_shown_before_one_that_only_has_a_larger_error():
    n, bounds = np.array([1.0, 1.0]), np.array([1e-12, 1e-3])
    numerical = Numerical(np.arange(2), n, bounds, np.zeros(2), np.zeros(2, bool))
    assert compare("b", n + [1e-9, 1e-4], numerical, "", {}).index == (0,)


def test_the_table_says_what_is_wrong_where_and_why():
    checks = check_layer(Spoiled(times(2, "W")), *problem())
    lines = format_checks(checks).splitlines()
    assert len(lines) == 5 and "verdict" in lines[0] and lines[1].endswith("ok")
    assert lines[2].startswith("W ") and lines[2].endswith("WRONG") and "2 x numeric" in lines[3]
    with pytest.raises(GradientMismatch, match="2 x numeric") as caught:
        assert_ok(checks)
    assert isinstance(caught.value, AssertionError)
    assert assert_ok(checks[:1]) is None


def cells_of(table):
    """Return the texts in an HTML table, row by row, as a browser would show them."""
    rows = ElementTree.fromstring(table).findall("tr")
    return [[cell.text or "" for cell in row] for row in rows]


@pytest.mark.parametrize("checks", [check_layer(Toy(), *problem()), check_layer(Spoiled(times(2, "W")), *problem()),
                                    check_model(VAE(3, 1, hidden=(), dtype="float64"), np.full((2, 3), 0.5),
                                                np.ones((2, 1)))], ids=["right", "wrong", "model"])
def test_checks_are_a_table_when_they_are_printed_or_shown_in_a_notebook(checks):
    assert str(checks) == format_checks(checks) and checks == list(checks)
    headings, *rows = cells_of(checks._repr_html_())
    assert headings[0] == "array" and headings[-1] == "hint" and len(rows) == len(checks)
    for check, row in zip(checks, rows):
        assert len(row) == len(headings) and (row[0], row[-1]) == (check.name, check.hint)
        assert row[-2] == ("ok" if check.ok else "WRONG")


def test_a_name_that_looks_like_markup_is_shown_as_it_is():
    [check] = check_layer(Toy(), *problem())[:1]
    name = "<script>alert('&amp;')</script>"
    table = Checks([check._replace(name=name, hint="a < b & b > c")])._repr_html_()
    assert "<script" not in table and cells_of(table)[1][0] == name and cells_of(table)[1][-1] == "a < b & b > c"


@given(sides, sides, sides, seeds)
def test_a_layer_as_a_vjp_gives_what_backward_gives(batch, n_in, n_out, seed):
    p, x, d_y = problem(batch, n_in, n_out, seed)
    layer = Dense(n_in, n_out, "tanh")
    y, backprop = as_vjp(layer, p)(x)
    d_x, d_p = backprop(d_y)
    np.testing.assert_allclose(y, np.tanh(x @ p.W + p.b), rtol=1e-12, atol=1e-12)
    d_a = d_y * (1 - y * y)
    np.testing.assert_allclose(d_x, d_a @ p.W.T, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(d_p.W, x.T @ d_a, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(backprop(d_y)[0], d_x)


def test_a_network_as_a_vjp_gives_its_last_output():
    network, rng = MLP.build((3, 4, 2), "tanh"), np.random.default_rng(0)
    p = tuple(Affine(rng.standard_normal(pair), rng.standard_normal(pair[1])) for pair in ((3, 4), (4, 2)))
    y, backprop = as_vjp(network, p)(rng.standard_normal((5, 3)))
    assert y.shape == (5, 2) and backprop(np.ones((5, 2)))[1][0].W.shape == (3, 4)


class MaxOfPairs:
    """The larger of each two columns, times p; y are (the place of the larger one, the output)."""

    def outputs(self, batch, dtype):
        return np.empty((batch, 2), np.intp), np.empty((batch, 2), dtype)

    def forward(self, p, x, y):
        pairs = x.reshape(-1, 2, 2)
        y[0][:] = pairs.argmax(axis=2)
        y[1][:] = np.take_along_axis(pairs, y[0][..., None], 2)[..., 0] * p

    def backward(self, p, x, y, d_y, d_p, d_x):
        is_larger = np.arange(2) == y[0][..., None]
        d_x[:] = (is_larger * (d_y[1] * p)[..., None]).reshape(x.shape)
        d_p[:] = np.einsum("npk,npk,np->p", is_larger, x.reshape(-1, 2, 2), d_y[1])


def test_a_layer_may_keep_places_beside_its_output():
    x = np.array([[1.0, 2, 4, 3]])
    y, backprop = as_vjp(MaxOfPairs(), np.array([5.0, 6]))(x)
    d_x, d_p = backprop(np.ones((1, 2)))
    assert (y.tolist(), d_x.tolist(), d_p.tolist()) == ([[10, 24]], [[0, 5, 6, 0]], [2, 4])
    assert certify_layer(MaxOfPairs(), np.array([5.0, 6]), x).ok


def test_as_vjp_needs_to_know_the_outputs_shape():
    with pytest.raises(ConfigurationError, match="outputs"):
        as_vjp(Toy(), P)
