"""Gradient checks: is this backward the derivative of that forward?

    check_gradient(loss, gradient, params)    loss() -> float, gradient() -> arrays like params
    check_value_and_grad(f, params, *args)    f(params, *args) -> (loss, gradients)
    check_vjp(f, vjp, *arrays)                vjp(d_y, *arrays) -> gradients
    gradient_of_step(step, params, rate)      what a training step really used
    check_layer(layer, p, x, d_y)      any object with forward(p, x, y) and backward(p, x, y, d_y, d_p, d_x)
    check_model(model, X, eps)         every segment of a model's parameters

A numerical derivative comes with an error bound of its own (`gradcheck.numerical`), and the verdict is
|analytic - numeric| <= bound: there is no tolerance to guess.  A wrong gradient is compared with the usual mistakes
(`gradcheck.hints.patterns`), and a layer is held to its contract: outputs are overwritten, everything else is left
alone, and nothing is remembered from call to call.
"""
from .comparison import assert_ok, Check, format_checks, GradientMismatch
from .complexstep import complex_step, continued
from .foreign import assert_gradient, check_gradient, check_value_and_grad, check_vjp, gradient_of_step
from .layercheck import check_layer
from .modelcheck import check_model
from .numerical import numerical_gradient
from .vjp import as_vjp, from_vjp

__all__ = ["Check", "GradientMismatch", "as_vjp", "assert_gradient", "assert_ok", "check_gradient", "check_layer",
           "check_model", "check_value_and_grad", "check_vjp", "complex_step", "continued", "format_checks", "from_vjp",
           "gradient_of_step", "numerical_gradient"]
