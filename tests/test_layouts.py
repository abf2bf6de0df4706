"""What a backward does wrong only for an empty batch or a single row, in another layout, or on a second call."""
import numpy as np
import pytest

from scratchvae.gradcheck import check_layer, check_value_and_grad, check_vjp, from_vjp
from scratchvae.gradcheck.layouts import LAYOUTS
from scratchvae.parameters import Affine
from scratchvae.testing import assert_layer_gradients

RNG = np.random.default_rng(0)
P = {"W": RNG.standard_normal((4, 3)), "b": RNG.standard_normal(3)}
X, D_Y = RNG.standard_normal((5, 4)), RNG.standard_normal((5, 3))


def is_strided(array):
    return not (array.flags.c_contiguous or array.flags.f_contiguous)


def empty(x, d_W, d_b, calls):
    if not len(x):
        d_b += np.mean(d_b[:0])                                   # NaN


def single(x, d_W, d_b, calls):
    if len(x) == 1:
        d_W *= 2


def fortran(x, d_W, d_b, calls):
    if not x.flags.c_contiguous and not is_strided(x):
        d_W *= -1


def strided(x, d_W, d_b, calls):
    if is_strided(x):
        d_b[0] = 0


def writing(x, d_W, d_b, calls):
    x *= 2                                                        # exactly undone: the bits are the same
    x /= 2


def second(x, d_W, d_b, calls):
    if calls and calls[-1] == x.tobytes():
        d_W *= 2
    calls.append(x.tobytes())


FAULTS = {empty: ("b", "wrong for an empty batch (B = 0), where it is 0: got nan"),
          single: ("W", "wrong only for a batch of one row (B = 1); analytic is 2 x numeric"),
          fortran: ("W", "wrong only where the arrays are in Fortran order; analytic is -1 x numeric"),
          strided: ("b", "wrong only where the arrays are strided views; analytic is 0 at some"),
          writing: ("x", "written into x, and perhaps taken back: it fails where x is read-only"),
          second: ("W", "another gradient on a second call")}


class Layer:
    """y = tanh(x W + b), or max(x W + b, 0) without tanh, with a fault in its backward."""

    def __init__(self, fault=None, tanh=True):
        self.fault, self.tanh, self.calls = fault, tanh, []

    def forward(self, p, x, y):
        a = x @ p["W"] + p["b"]
        y[:] = np.tanh(a) if self.tanh else np.maximum(a, 0)

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_a = d_y * ((1 - y**2) if self.tanh else y > 0)
        d_p["W"][:], d_p["b"][:], d_x[:] = x.T @ d_a, d_a.sum(0), d_a @ p["W"].T
        if self.fault:
            self.fault(x, d_p["W"], d_p["b"], self.calls)


def test_the_single_row_is_one_that_has_a_gradient():
    x = X * (np.arange(5) > 0)[:, None]                           # the first row has no active unit
    checks = check_layer(Layer(single, tanh=False), {"W": P["W"], "b": np.full(3, -0.1)}, x, D_Y)
    assert [check.name for check in checks if not check.ok] == ["W"] and "one row (B = 1)" in checks[1].hint


def vjp_of(fault):
    calls = []

    def vjp(d_y, W, b, x):
        d_a = d_y * (1 - np.tanh(x @ W + b)**2)
        d_W, d_b, d_x = x.T @ d_a, d_a.sum(0), d_a @ W.T
        if fault:
            fault(x, d_W, d_b, calls)
        return d_W, d_b, d_x
    return vjp


def checked_vjp(vjp):
    return check_vjp(lambda W, b, x: np.tanh(x @ W + b), vjp, P["W"], P["b"], X)


def wrapped(fault):
    vjp = vjp_of(fault)

    def apply(p, x):
        def backprop(d_y):
            d_W, d_b, d_x = vjp(d_y, p["W"], p["b"], x)
            return d_x, {"b": d_b, "W": d_W}
        return np.tanh(x @ p["W"] + p["b"]), backprop
    return check_layer(from_vjp(apply), P, X, D_Y)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("check", [lambda fault: check_layer(Layer(fault), P, X, D_Y), wrapped,
                                   lambda fault: checked_vjp(vjp_of(fault))], ids=["layer", "from_vjp", "vjp"])
def test_a_fault_that_only_one_layout_batch_or_call_shows_is_found_and_named(check, fault):
    name, hint = FAULTS[fault]
    wrong = {check.name: check.hint for check in check(fault) if not check.ok}
    if fault is second and "gradient" in wrong:
        name, hint = "gradient", "another result on a second call"
    assert list(wrong) == [name] and hint in wrong[name]


@pytest.mark.parametrize("fault, name, hint", [
    (fortran, "W", "in Fortran order"), (strided, "W", "strided views"), (writing, "params", "written into params"),
    (second, "gradient", "on a second call")])
def test_a_function_that_returns_loss_and_gradients_is_asked_too(fault, name, hint):
    calls = []

    def f(p):
        y = np.tanh(X @ p["W"] + p["b"])
        d_W, d_b, _ = vjp_of(None)(2 * y, p["W"], p["b"], X)
        fault(p["W"], d_W, d_W[0], calls)
        return np.sum(y**2), {"W": d_W, "b": d_b}

    wrong = {check.name: check.hint for check in check_value_and_grad(f, P) if not check.ok}
    assert list(wrong) == [name] and hint in wrong[name]


class Refusing(Layer):
    """Takes nothing but rows, in C order."""

    def backward(self, p, x, y, d_y, d_p, d_x):
        class Refusal(Exception):
            """Of no kind that is known elsewhere."""

        if not len(x) or not all(array.flags.c_contiguous and array.flags.writeable for array in (x, d_y)):
            raise Refusal("a batch in C order, please: x is read-only")
        super().backward(p, x, y, d_y, d_p, d_x)


class Normalized(Layer):
    """Columns less their mean over the batch: rows do not stand alone, and a batch of one is all zeros."""

    def forward(self, p, x, y):
        y[:] = (x - x.mean(0)) @ p["W"] * p["b"]

    def backward(self, p, x, y, d_y, d_p, d_x):
        centered, d_a = x - x.mean(0), d_y * p["b"]
        d_p["W"][:], d_p["b"][:] = centered.T @ d_a, (d_y * (centered @ p["W"])).sum(0)
        d_x[:] = (d_a - d_a.mean(0)) @ p["W"].T


class Standardized(Layer):
    """Columns over their sample deviation, which one row has none of: y is NaN there."""

    def forward(self, p, x, y):
        y[:] = x / np.std(x, axis=0, ddof=1) @ p["W"] * p["b"]

    def backward(self, p, x, y, d_y, d_p, d_x):
        s, d_a = np.std(x, axis=0, ddof=1), d_y * p["b"]
        d_p["W"][:], d_p["b"][:], d_h = (x / s).T @ d_a, (d_y * (x / s @ p["W"])).sum(0), d_a @ p["W"].T
        d_x[:] = d_h / s - (d_h * x).sum(0) / s**3 * (x - x.mean(0)) / (len(x) - 1)


@pytest.mark.parametrize("layer", [Refusing(), Normalized(), Standardized(), Layer()])
def test_a_refusal_is_no_fault_and_rows_need_not_stand_alone(layer):
    checks = check_layer(layer, P, X, D_Y)
    assert [(check.name, check.ok, check.hint) for check in checks] == [(name, True, "") for name in ("x", "W", "b")]


def test_a_wrong_layer_that_takes_no_single_row_is_wrong_and_no_error():
    class Buffers(Layer):
        def forward(self, p, x, y):
            np.tanh(np.dot(x, p.W, out=np.empty((5, 3))) + p.b, out=y)

        def backward(self, p, x, y, d_y, d_p, d_x):
            d_p.W[:], d_p.b[:], d_x[:] = x.T @ d_y, d_y.sum(0), d_y @ p.W.T

    checks = check_layer(Buffers(), Affine(**P), X, D_Y)
    assert [check.verdict for check in checks] == ["WRONG"] * 3


def test_a_refusal_of_a_vjp_is_no_fault():
    def vjp(d_y, W, b, x):
        assert len(x) and x.flags.c_contiguous and d_y.flags.c_contiguous
        return vjp_of(None)(d_y, W, b, x)

    assert all(check.ok and not check.hint for check in checked_vjp(vjp))


def test_kinks_that_rounding_puts_on_another_side_are_no_fault():
    """Small integers put many units at their kinks, in sums whose order depends on the layout."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, d, h = rng.integers(1, 6, 3)
        p = {"W": rng.integers(-3, 4, (d, h)) / 10, "b": rng.integers(-1, 2, h) / 10}
        x = rng.integers(-2, 3, (n, d)) / 10
        assert_layer_gradients(Layer(tanh=False), p, x, rng.standard_normal((n, h)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_keeps_the_numbers(layout):
    for array in (np.array(2.0), np.arange(3.0), np.arange(6.0).reshape(2, 3), np.empty((0, 3))):
        laid = LAYOUTS[layout](array)
        np.testing.assert_array_equal(laid, array)
        assert laid.shape == array.shape and not np.shares_memory(laid, array)
