"""Gradient checks: is this backward the derivative of that forward?

    check_gradient(loss, gradient, params)    loss() -> float, gradient() -> arrays like params
    check_value_and_grad(f, params, *args)    f(params, *args) -> (loss, gradients)
    check_vjp(f, vjp, *arrays)                vjp(d_y, *arrays) -> gradients
    gradient_of_step(step, params, rate)      what a training step really used
    examine_vae(encode=, draw=, ...)          every detector that the functions of a VAE allow
    transplant(mapping, vae)                  the weights of a foreign model in one of ours
    check_layer(layer, p, x, d_y)      any object with forward(p, x, y) and backward(p, x, y, d_y, d_p, d_x)
    check_model(model, X, eps)         every segment of a model's parameters
    certify(f, vjp, arrays)            exactly, without step, tolerance or rounding (also certify_layer, certify_model)

`adapters.md`, beside this file, has one to three lines for every usual style of code, NumPy, PyTorch or JAX.

A numerical derivative comes with its own error bound (`gradcheck.numerical`), and a gradient is right if
|analytic - numeric| <= bound: there is no tolerance to guess.  A wrong gradient is compared with the usual mistakes
(`gradcheck.hints.patterns`).  A layer must keep its contract: it overwrites its outputs, changes nothing else, and
remembers nothing from call to call.
"""
from .certificate import Certificate, certify, certify_layer, certify_model
from .comparison import assert_ok, Check, Checks, format_checks, GradientMismatch
from .complexstep import complex_step
from .examination import examine_vae
from .foreign import assert_gradient, check_gradient, check_value_and_grad, gradient_of_step
from .layercheck import check_layer
from .modelcheck import check_model
from .numerical import numerical_gradient
from .transplant import transplant
from .vjp import as_vjp, check_vjp, from_vjp

__all__ = ["Certificate", "Check", "Checks", "GradientMismatch", "as_vjp", "assert_gradient", "assert_ok", "certify",
           "certify_layer", "certify_model", "check_gradient", "check_layer", "check_model", "check_value_and_grad",
           "check_vjp", "complex_step", "examine_vae", "format_checks", "from_vjp", "gradient_of_step",
           "numerical_gradient", "transplant"]
