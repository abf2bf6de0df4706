"""What differences of drawn entries cannot see: one wrong entry of many, kinks, step functions, float32 inside."""
import numpy as np
import pytest

from scratchvae import VAE
from scratchvae.gradcheck import assert_ok, check_gradient, check_layer, check_model, check_vjp, GradientMismatch
from scratchvae.gradcheck.directions import wrong_entry
from scratchvae.gradcheck.numerical import rounding_noise
from scratchvae.testing import assert_checks


class Elementwise:
    """y = f(x), whose backward multiplies by `slope`, a number, an array or a function, right or wrong."""

    def __init__(self, f, slope):
        self.f, self.slope = f, slope

    def forward(self, p, x, y):
        y[:] = self.f(x)

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_x[:] = d_y * (self.slope(x) if callable(self.slope) else self.slope)


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


@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_row_is_found_where_zeros_are_at_their_kinks(seed):
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((60, 50)), 0)
    for factor in (1, 3):
        factors = np.where(np.arange(60) == 59, factor, 1)[:, None]
        for f, slope in ((lambda x: np.maximum(x, 0), lambda x: x > 0), (lambda x: x**1.5, lambda x: 1.5 * x**0.5)):
            check, = check_layer(Elementwise(f, lambda x: factors * slope(x)), (), x, np.ones(x.shape), seed=seed)
            assert check.ok == (factor == 1)


@pytest.mark.parametrize("seed", [75, 240, 247])
def test_several_units_at_their_kinks_in_a_large_array_are_no_false_alarm(seed):
    """The slope along all entries was outside of those of its two sides, and no entry was."""
    rng = np.random.default_rng(seed)
    W, x, d_y = rng.standard_normal((5, 20)), rng.standard_normal((2, 5)), rng.standard_normal((2, 20))
    W[:, 5:] = 0
    check, = check_gradient(lambda: np.sum(d_y * np.maximum(x @ W, 0)), lambda: x.T @ (d_y * (x @ W > 0)), W)
    assert check.ok


def log_cosh_of_biases(b, factor):
    """Return the checks of b in the mean of log cosh(b - t), with one entry of its gradient multiplied."""
    t = np.random.default_rng(0).standard_normal(b.shape)

    def gradient():
        slope = np.tanh(b - t) / b.size
        slope[-1] *= factor
        return slope

    return check_gradient(lambda: np.mean(np.log(np.cosh(b - t))), gradient, b)


@pytest.mark.parametrize("error", [1e-5, 1e-6])
def test_one_entry_of_sixty_thousand_that_is_a_little_off_is_named(error):
    rng = np.random.default_rng(0)
    x, W = rng.standard_normal((16, 300)), rng.standard_normal((300, 200)) / 17

    def gradient():
        slope = x.T @ (1 - np.tanh(x @ W)**2)
        slope[123, 45] += error
        return slope

    check, = check_gradient(lambda: np.sum(np.tanh(x @ W)), gradient, W)
    assert not check.ok and check.index == (123, 45) and "many entries" not in check.hint


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("start", [1e-12, 1e-17, 1e-100])
def test_a_step_is_not_tiny_because_the_array_is(start, size):
    for factor in (1, 2, 0, -1):
        check, = log_cosh_of_biases(np.full(size, start), factor)
        assert check.judged and check.ok == (factor == 1) and check.error_bound < 1e-3 * abs(check.numeric)
    check, = check_gradient(lambda: np.sum(np.abs(b)), lambda: np.ones(size), b := np.full(size, start))
    assert check.ok                                               # what sees a number of this size is judged at it


@pytest.mark.parametrize("unit", [1e-9, 1e-17, 1e-27])
def test_an_array_in_a_tiny_unit_is_judged_in_it(unit):
    for shape in ((4, 3), (30, 10)):
        x = unit * np.random.default_rng(0).standard_normal(shape)
        for factor in (1, 1.01):
            check, = check_gradient(lambda: np.sum(np.cos(x / unit)), lambda: -factor * np.sin(x / unit) / unit, x)
            assert check.judged and check.ok == (factor == 1)


def test_float32_inside_is_heard_where_all_numbers_are_tiny():
    b, t = np.full(3, 1e-17), np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    check, = check_gradient(lambda: float(np.sum((b.astype(np.float32) - t)**2)), lambda: 2 * (b - t).sum(axis=0), b)
    assert check.ok and "in float32" in check.hint


@pytest.mark.parametrize("constant", [1e14, 1e16])
def test_what_a_large_loss_rounds_away_is_not_judged(constant):
    x = np.full(3, 0.5)
    for factor in (1, -1, 0, 100):
        check, = check_gradient(lambda: constant + np.sum(np.tanh(x)), lambda: factor * (1 - np.tanh(x)**2), x)
        assert not check.ok and not check.judged and "rounds away" in check.hint


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


@pytest.mark.parametrize("f, slope, seeds", [
    (np.sin, np.cos, (11, 13, 24)), (np.square, lambda x: 2 * x, (32, 48)),
    (np.tanh, lambda x: 1 - np.tanh(x)**2, (143,)),
    (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x), (15, 16, 20, 28, 35, 41, 48))])
def test_float32_inside_is_heard_where_each_number_has_stairs_of_its_own(f, slope, seeds):
    """Nine points lay on one wide stair, and the noise was that of the finest: slopes were 0, and right ones wrong."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x, w = rng.standard_normal(4) * 10.0**rng.uniform(-2, 1, 4), rng.standard_normal(4)
        for factor in (1, 1.5):
            check, = check_gradient(lambda: np.sum(w * f(x.astype(np.float32))), lambda: factor * w * slope(x), x)
            assert check.ok == (factor == 1) and check.judged


def test_a_saturated_softmax_is_not_taken_for_float32():
    for seed in range(30):
        x, w = np.random.default_rng(seed).standard_normal((2, 5, 4)) * [[[1000]], [[1]]]
        assert rounding_noise(lambda: float(np.sum(w * softmax(x))), [x]) < 1e-12


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_last_layer_of_zeros_is_judged_in_its_dtype(dtype):
    """The loss does not change with the others, and no noise was heard: in float32 every right gradient was wrong."""
    rng = np.random.default_rng(0)
    p = {"W": rng.standard_normal((3, 4)), "V": np.zeros((4, 2)), "c": np.zeros(2)}
    x, t = rng.standard_normal((6, 3)).astype(dtype), rng.standard_normal((6, 2)).astype(dtype)

    def error():
        return np.tanh(x @ p["W"].astype(dtype)) @ p["V"].astype(dtype) + p["c"].astype(dtype) - t

    for factor in (1, 1.01):
        checks = check_gradient(lambda: np.sum(error()**2), lambda: {
            "W": 0 * p["W"], "V": factor * 2 * np.tanh(x @ p["W"]).T @ error(), "c": 2 * error().sum(axis=0)}, p)
        assert [check.ok for check in checks[:3]] == [True, factor == 1, True]


def test_an_epsilon_on_one_side_is_called_that():
    x = np.random.default_rng(0).uniform(0.4, 0.6, (3, 4))
    check, = check_layer(Elementwise(lambda x: np.log(x + 1e-7), 1 / x), (), x, np.ones((3, 4)))
    assert not check.ok and "an epsilon or an approximation on one side only" in check.hint
    assert "check_gradient's rtol" in check.hint                  # of check_layer it is no argument


def test_a_slope_is_no_bias():
    class PReLU:
        def forward(self, p, x, y):
            y[:] = np.where(x > 0, x, p * x)

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_p[:], d_x[:] = (d_y * x).sum(axis=0), np.where(x > 0, d_y, p * d_y)          # the mask is missing in d_p

    rng = np.random.default_rng(0)
    checks = check_layer(PReLU(), rng.standard_normal(4), rng.standard_normal((5, 4)), rng.standard_normal((5, 4)))
    assert [check.ok for check in checks] == [True, False] and "bias" not in checks[1].hint


class Tanh:
    """y = tanh(x W + b), whose backward sees `share` of the bias."""

    def __init__(self, share):
        self.share = share

    def forward(self, p, x, y):
        y[:] = np.tanh(x @ p["W"] + p["b"])

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_a = d_y * (1 - np.tanh(x @ p["W"] + self.share * p["b"])**2)
        d_p["W"][:], d_p["b"][:], d_x[:] = x.T @ d_a, d_a.sum(0), d_a @ p["W"].T


class SeesLessBias:
    """A VAE whose gradient sees `share` of its biases."""

    def __init__(self, share):
        self.vae, self.share = VAE(n_visible=4, n_latent=1, hidden=(3,), dtype="float64"), share
        self.parameters, self.objective = self.vae.parameters, self.vae.objective

    def gradient(self, X, eps):
        objective, flat = self.objective(X, eps), self.parameters.flat.copy()
        for name, array in self.parameters.segments():
            array *= self.share if name.endswith("b") else 1
        gradient = self.vae.gradient(X, eps)[1]
        self.parameters.flat[:] = flat
        return objective, gradient


def regression(right, dtype):
    x, y = np.random.default_rng(0).standard_normal((2, 7, 3))
    p = {"W": np.eye(3, dtype=dtype), "b": np.zeros(3, dtype)}

    def error(share=1):
        return x @ p["W"] + share * p["b"] - y

    return check_gradient(lambda: 0.5 * np.sum(error()**2), lambda: {"W": x.T @ error(right), "b": error().sum(0)}, p)


def decayed(right, dtype):
    x, w = np.random.default_rng(0).standard_normal((7, 3)), np.zeros(3, dtype)
    return check_gradient(lambda: 0.5 * np.sum((x @ w - 1)**2) + 0.01 * np.sum(w**2),
                          lambda: x.T @ (x @ w - 1) + right * 0.02 * w, w)


def square(right, dtype):
    w = np.zeros((), dtype)
    return check_gradient(lambda: np.sum(w**2), lambda: (2 if right else 9) * w, w)


def layer_arguments():
    rng = np.random.default_rng(0)
    return {"W": rng.standard_normal((3, 2)), "b": np.zeros(2)}, rng.standard_normal((4, 3)), np.ones((4, 2))


def vjp(right, dtype):
    def backward(d_y, p, x):
        gradients = {"W": np.empty((3, 2)), "b": np.empty(2)}, np.empty((4, 3))
        Tanh(right).backward(p, x, None, d_y, *gradients)
        return gradients

    p, x, _ = layer_arguments()
    p = {name: array.astype(dtype) for name, array in p.items()}
    return check_vjp(lambda p, x: np.tanh(x @ p["W"] + p["b"]), backward, p, x.astype(dtype))


def layer(right, dtype):
    return check_layer(Tanh(right), *layer_arguments())


def model(right, dtype):
    return check_model(SeesLessBias(right), np.random.default_rng(0).random((3, 4)), np.ones((3, 1)))


class Squares:
    """y = x^2 W, whose d_W takes x for x^2, or d_x takes W for its transpose."""

    def __init__(self, fault):
        self.fault = fault

    def forward(self, p, x, y):
        y[:] = x**2 @ p

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_p[:] = (x if self.fault == "x" else x**2).T @ d_y
        d_x[:] = 2 * x * (d_y @ (p if self.fault == "W" else p.T))


@pytest.mark.parametrize("fault", ["", "x", "W"])
def test_ones_hide_no_power_and_no_transpose_of_a_layer(fault):
    wrong = [check.name for check in check_layer(
        Squares(fault), np.ones((3, 3)), np.ones((4, 3)), np.random.default_rng(0).standard_normal((4, 3)))
        if not check.ok]
    assert wrong == ["elsewhere"] * bool(fault)


@pytest.mark.parametrize("checks, dtype", [
    *((checks, "f8") for checks in (regression, decayed, square, vjp, layer, model)),
    *((checks, "f4") for checks in (regression, decayed, square))])
def test_what_is_wrong_where_zeros_move_is_wrong(checks, dtype):
    assert_ok(checks(1, dtype))
    failed, = [check for check in checks(0, dtype) if not check.ok]
    assert failed.name == "elsewhere" and failed.judged and "exactly 0, wrong where they are not" in failed.hint
    with pytest.raises(GradientMismatch):
        assert_checks(lambda: checks(0, dtype), np.random.default_rng(0))


def softmax(a):
    e = np.exp(a - a.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PIXELS = 255 * np.random.default_rng(0).integers(0, 2, (5, 100)).astype(float)
SHOWN = np.random.default_rng(1).integers(0, 2, (3, 3)).astype(float)
RIGHT = {"a kink of both sides": (np.abs, np.sign),
         "a kink whose gradient is for w >= 0": (np.abs, np.ones_like),
         "dead below": (lambda w: np.maximum(w, 0)**2, lambda w: 2 * np.maximum(w, 0)),
         "a root that ends at 0": (lambda w: np.sqrt(w + 1e-12), lambda w: 0.5 / np.sqrt(w + 1e-12)),
         "a logarithm": (np.log1p, lambda w: 1 / (1 + w)),
         "a clipped logarithm": (lambda w: np.log(np.maximum(w, 0) + 1e-3),
                                 lambda w: (w > 0) / (np.maximum(w, 0) + 1e-3)),
         "a narrow Huber loss": (lambda w: np.where(np.abs(w) < 7e-4, w * w / 2, 7e-4 * np.abs(w) - 2.45e-7),
                                 lambda w: np.clip(w, -7e-4, 7e-4)),
         "stairs": (lambda w: np.floor(50 * w), np.zeros_like),
         "a mask": (lambda w: np.sin(3 * w * SHOWN), lambda w: 3 * SHOWN * np.cos(3 * w * SHOWN)),
         "saturated, with an epsilon": (lambda w: -np.log(softmax(PIXELS[:, :3] @ w) + 1e-12) / 2, lambda w: PIXELS[
             :, :3].T @ (3 * softmax(PIXELS[:, :3] @ w) - 1) / 2)}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_right_gradient_passes_where_zeros_move(name, dtype):
    f, slope = RIGHT[name]
    w = np.zeros((3, 3), dtype)
    checks = check_gradient(lambda: float(np.sum(f(w))), lambda: slope(w), w)
    assert "elsewhere" not in [check.name for check in checks], checks


def test_a_gradient_that_is_one_call_late_is_wrong_elsewhere():
    class Late:
        kept = None

        def loss(self):
            self.y = np.tanh(x @ W)
            return np.sum(self.y**2)

        def gradient(self):
            late, self.kept = self.kept, x.T @ (2 * self.y * (1 - self.y**2))
            return self.kept if late is None else late

    rng = np.random.default_rng(0)
    x, W, model = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), Late()
    *_, check = check_gradient(model.loss, model.gradient, W)
    assert not check.ok and check.name == "elsewhere" and "are old ones remembered?" in check.hint


def test_code_that_fails_where_zeros_move_is_judged_as_it_is():
    def gradient():
        if w.any():
            raise ValueError("out of the domain")
        return 2 * w

    w = np.zeros(3)
    check, = check_gradient(lambda: np.sum(w**2), gradient, w)
    assert check.ok and not w.any()
