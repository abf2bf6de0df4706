"""What differences of drawn entries cannot see: one wrong entry of many, kinks, step functions, float32 inside."""
import numpy as np
import pytest

from scratchvae.gradcheck import assert_ok, check_layer, GradientMismatch
from scratchvae.gradcheck.directions import wrong_entry
from scratchvae.gradcheck.numerical import rounding_noise


class Elementwise:
    """y = f(x), whose backward multiplies by `slope`, right or wrong."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, p, x, y):
        y[:] = self.f(x)

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_x[:] = d_y * self.slope


class Affine:
    """y = x W + b, whose d_W lacks its last row."""

    def forward(self, p, x, y):
        y[:] = x @ p["W"] + p["b"]

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_p["W"][:], d_p["b"][:], d_x[:] = x.T @ d_y, d_y.sum(0), d_y @ p["W"].T
        d_p["W"][-1] = 0


@pytest.mark.parametrize("seed", range(10))
def test_one_wrong_row_of_many_is_always_found(seed):
    rng = np.random.default_rng(0)
    p = {"W": rng.standard_normal((200, 50)), "b": rng.standard_normal(50)}
    x, d_y = rng.standard_normal((4, 200)), rng.standard_normal((4, 50))
    checks = {check.name: check for check in check_layer(Affine(), p, x, d_y, seed=seed)}
    assert [name for name, check in checks.items() if not check.ok] == ["W"] and checks["W"].index[0] == 199


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_wrong_entry_of_a_large_array_is_located_within_a_hundred_evaluations(activation):
    rng = np.random.default_rng(0)
    W, x, d_y = 0.05 * rng.standard_normal((784, 400)), rng.random((2, 784)), rng.standard_normal((2, 400))
    act = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[activation]
    calls = 0

    def f():
        nonlocal calls
        calls += 1
        return float(np.sum(d_y * act(x @ W)))

    a = x @ W
    gradient = x.T @ (d_y * {"tanh": 1 - np.tanh(a)**2, "relu": a > 0}[activation])
    noise = rounding_noise(f, [W])
    assert wrong_entry(f, W, gradient, noise) is None
    candidates = np.flatnonzero(np.abs(gradient) > 1e-3 * np.abs(gradient).max())
    for seed in range(12):
        at, wrong, calls = int(rng.choice(candidates)), gradient.copy(), 0
        wrong.flat[at] *= (0, -1, 2, 1.1)[seed % 4]
        assert wrong_entry(f, W, wrong, noise, seed=seed) == at and calls <= 100


def test_the_slope_of_a_kink_lies_between_its_sides():
    for f, right, wrong in ((lambda x: np.maximum(x, 0), (0, 0.5, 1), (5, -0.1)), (np.abs, (-1, 0, 1), (17, 77))):
        for slope in right + wrong:
            check, = check_layer(Elementwise(f, slope), (), np.zeros((2, 2)), np.ones((2, 2)))
            assert check.ok == (slope in right) and check.judged and check.kinks == 4


@pytest.mark.parametrize("f, slope", [(np.round, 1), (np.round, 0), (lambda x: np.round(8 * x) / 8, 3)])
def test_a_step_function_is_not_judged(f, slope):
    checks = check_layer(Elementwise(f, slope), (), np.random.default_rng(0).standard_normal((3, 4)), np.ones((3, 4)))
    assert not checks[0].ok and not checks[0].judged and "step function" in checks[0].hint
    with pytest.raises(GradientMismatch, match="could not be judged"):
        assert_ok(checks)


def test_float32_inside_is_judged_by_its_own_noise():
    class Dense32:
        def __init__(self, factor):
            self.factor = factor

        def forward(self, p, x, y):
            y[:] = x.astype(np.float32) @ p.astype(np.float32)

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_p[:], d_x[:] = self.factor * x.T @ d_y, d_y @ p.T

    for seed in range(40):
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape) for shape in ((5, 3), (20, 5), (20, 3))]
        for factor in (1, -1, 1.1):
            checks = {check.name: check for check in check_layer(Dense32(factor), *arrays)}
            assert checks["x"].ok and checks["p"].ok == (factor == 1) and "in float32" in checks["x"].hint


def test_an_epsilon_on_one_side_is_called_that():
    x = np.random.default_rng(0).uniform(0.4, 0.6, (3, 4))
    check, = check_layer(Elementwise(lambda x: np.log(x + 1e-7), 1 / x), (), x, np.ones((3, 4)))
    assert not check.ok and "an epsilon or an approximation on one side only" in check.hint


def test_a_slope_is_no_bias():
    class PReLU:
        def forward(self, p, x, y):
            y[:] = np.where(x > 0, x, p * x)

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_p[:], d_x[:] = (d_y * x).sum(axis=0), np.where(x > 0, d_y, p * d_y)          # the mask is missing in d_p

    rng = np.random.default_rng(0)
    checks = check_layer(PReLU(), rng.standard_normal(4), rng.standard_normal((5, 4)), rng.standard_normal((5, 4)))
    assert [check.ok for check in checks] == [True, False] and "bias" not in checks[1].hint
