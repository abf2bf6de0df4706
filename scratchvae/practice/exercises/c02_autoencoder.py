"""A dense layer, backward: what an encoder and a decoder are made of."""
import numpy as np

from ..exercise import exercise


def layer(rng):
    """Return x (B, n_in), W, b, and d_a (B, n_out), the cotangent of a = x W + b."""
    B, n_in, n_out, *_ = rng.sizes()
    return {"x": rng.standard_normal((B, n_in)), "W": rng.standard_normal((n_in, n_out)),
            "b": rng.standard_normal(n_out), "d_a": rng.standard_normal((B, n_out))}


def loss(x, W, b, d_a):
    """Return a number whose derivative by a = x W + b is d_a."""
    return np.sum(d_a * (x @ W + b))


SMALL = {"y": np.array([[0.0, 1e-12, 1e-6, 1e-3, 1e3]])}
SATURATED = {"y": np.array([[-1.0, 0.0, 1.0]])}


def slope_exercise(act, **label):
    """Register the function below as act'(a), written in y = act(a); drawn are a, y, and c, the cotangent of y."""
    def draw(rng):
        B, H, *_ = rng.sizes()
        a, c = rng.standard_normal((2, B, H))
        return {"a": a, "c": c, "y": act(a)}

    return exercise("D2", draw, loss=lambda a, c, **_: np.sum(c * act(a)),
                    by=lambda answer, a, c, **_: {"a": c * answer(act(a))}, **label)


@slope_exercise(lambda a: np.maximum(a, 0), corners=(SMALL,), hints=(
    "relu is y = max(a, 0): a straight line to the right of 0, and flat to the left.",
    "Its slope is 1 where a > 0 and 0 where a < 0. Which of the two it was can be read off y.",
    "y > 0 is True where the slope is 1; NumPy multiplies by True as by 1."), slips=(
    ("y > 0", "y", "this is the output, not its slope: 1 where the unit is on, 0 where it is off"),
    ("y > 0", "y >= 0", "y = 0 means that the unit is off, and there the slope is 0")))
def relu_slope(y):
    """relu'(a), written in the output y = max(a, 0).

    y (B, H)   what the layer put out: all that it remembers

    Return act'(a), (B, H).                                                       (D2, F19)
    """
    return y > 0


@slope_exercise(np.tanh, corners=(SATURATED,), hints=(
    "tanh = sinh / cosh: differentiate the quotient.",
    "The derivative is 1 - tanh(a)^2. You do not have a, but you have y = tanh(a).",
    "1 - y**2."), slips=(
    ("y ** 2", "np.tanh(y) ** 2", "y already is tanh(a): you take tanh twice"),
    ("1 - y ** 2", "y * (1 - y)", "this is the slope of the sigmoid")))
def tanh_slope(y):
    """tanh'(a), written in the output y = tanh(a).

    y (B, H)   what the layer put out: all that it remembers

    Return act'(a), (B, H).                                                       (D2, F19)
    """
    return 1 - y**2


@exercise("D3", layer, loss=loss, by=("W",), hints=(
    "Take one weight, W[i, j]: it multiplies x[n, i] and adds to a[n, j], for every example n.",
    "So d_W[i, j] = sum over n of x[n, i] d_a[n, j]: a product of matrices.",
    "x transposed, times d_a: the batch is what is summed over."), slips=(
    ("x.T @ d_a", "(x.T @ d_a) / len(x)", "the 1/B is in d_a already: nobody divides by it twice"),))
def d_W(x, d_a):
    """The gradient of the weights of a = x W + b.

    x (B, n_in)      the layer's input
    d_a (B, n_out)   dL/da

    Return dL/dW, (n_in, n_out).                                                  (D3, F18)
    """
    return x.T @ d_a


@exercise("D4", layer, loss=loss, by=("b",), hints=(
    "b[j] is added to a[n, j] for every example n, with slope 1.",
    "Every example sends its d_a[n, j] to the same b[j]; they add up.",
    "The sum of d_a over axis 0, the batch."), slips=(
    ("d_a.sum(axis=0)", "d_a.mean(axis=0)", "1/B x: a sum over the batch, not its mean; the 1/B is in d_a already"),
    ("d_a.sum(axis=0)", "d_a.sum(axis=1)", "this is the sum over the units: sum over the batch, axis 0")))
def d_b(d_a):
    """The gradient of the bias of a = x W + b.

    d_a (B, n_out)   dL/da

    Return dL/db, (n_out,).                                                       (D4, F18)
    """
    return d_a.sum(axis=0)


@exercise("D5", layer, loss=loss, by=("x",), hints=(
    "x[n, i] meets every unit j, through W[i, j].",
    "So d_x[n, i] = sum over j of d_a[n, j] W[i, j]: again a product of matrices.",
    "d_a times W transposed: the units are what is summed over."))
def d_x(d_a, W):
    """The gradient of the input of a = x W + b: what is handed down to the layer below.

    d_a (B, n_out)    dL/da
    W (n_in, n_out)   the layer's weights

    Return dL/dx, (B, n_in).                                                      (D5, F18)
    """
    return d_a @ W.T
