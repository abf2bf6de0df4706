"""Numbers of a step that are not finite: where they first appear, and the likely cause."""
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

POLICIES = ("stop", "skip")
UNSCALED = 50.0             # bound of |x|: data scaled to 0..1, or to unit variance, stay far below
GROWN = 1e3                 # bound of |parameter|: weights of networks that learn stay far below
WIDE = 60.0                 # bound of |logvar|: there sigma is 1e13 or 1e-13


def not_finite(named: Iterable, limit: float = math.inf) -> str | None:
    """Return the first name of (name, array) pairs whose array holds a NaN or a |number| not below limit, or None."""
    return next((name for name, array in named if not (np.abs(array) < limit).all()), None)


def explain(model: Any, ws: Any, gradient: Any, optimizer: Any) -> str:
    """Return where in a step the numbers were first not finite, and what to do about the likely cause.

    The model's parameters are those that the step began with; ws and gradient are as backward left them, and the
    optimizer's `limit` tells which numbers are too large.
    """
    layers = [(f"the output of {name.removesuffix('.W')}", output) for name, output in zip(
        (name for name, _ in model.parameters.segments() if name.endswith(".W")), (*ws.encoder, *ws.decoder))]
    backward = [(f"the gradient of {name}", view) for name, view in reversed(list(gradient.segments()))]
    where = not_finite([("the data", ws.x), *model.parameters.segments(), *layers, *backward])
    large = not_finite(backward, optimizer.limit)
    first = f"First too large: {large}" if large and not where else f"First not finite: {where or 'the loss itself'}"
    with np.errstate(all="ignore"):
        return f"{first}. {_cause(model, ws, optimizer.learning_rate)}"


def _cause(model, ws, learning_rate):
    low, high = float(ws.x.min()), float(ws.x.max())
    if max(-low, high) > UNSCALED:
        return (f"The data are unscaled: this batch has values from {low:g} to {high:g}. Scale them to 0..1 or to "
                "unit variance.")
    lower = f"Lower the learning rate (now {learning_rate:g})"
    largest = float(np.abs(model.parameters.flat).max())
    if not largest < GROWN:
        return f"The parameters have grown to {largest:.1e}: the steps are too long. {lower}."
    logvar = ws.encoder[-1][:, model.n_latent:]                  # an Autoencoder has none
    if logvar.size and not np.abs(logvar).max() < WIDE:
        return (f"The encoder's logvar ranges from {logvar.min():g} to {logvar.max():g}, and its exponential "
                f"overflows. {lower}, or raise beta slowly.")
    return f"{lower}, or check the data's scale."
