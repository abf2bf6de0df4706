"""Numbers that went wrong in a step: whether, where first, and what the likely cause is."""
import math

import numpy as np

from .kernels.totals import totals

POLICIES = ("stop", "skip")
UNSCALED = 50.0             # |x|: data scaled to 0..1, or to unit variance, stay far below
GROWN = 1e3                 # |parameter|: weights of networks that learn stay far below
WIDE = 60.0                 # |logvar|: a sigma of 1e13, or of 1e-13


def step_is_finite(loss, gradient):
    """Whether a step's loss and gradient may be used.

    Of the gradient only each network's first bias is looked at, and the likelihood's own.  A bias's gradient is the
    sum of its layer's cotangent over the batch, infinite or NaN wherever the cotangent is; and the first layer's
    cotangent is made from those of all layers above it, through products in which even 0 times infinity is NaN.
    A sum of them tells: one number that is not finite makes it so.

    Parameters
    ----------
    loss : float
        In nats per example.
    gradient : Parameters
        dL/d(parameters).

    Returns
    -------
    bool

    Examples
    --------
    >>> from scratchvae.parameters import Layout, Parameters
    >>> gradient = Parameters.zeros(Layout({"encoder.head.W": (3, 2), "encoder.head.b": (2,)}), "float32")
    >>> step_is_finite(1.5, gradient), step_is_finite(math.nan, gradient)
    (True, False)
    """
    first = [network[0].b for network in (gradient.encoder, gradient.decoder) if network]
    own = [view.reshape(-1) for view in gradient.likelihood.values()]
    return math.isfinite(loss) and all(map(math.isfinite, totals(*first, *own)))


def not_finite(named):
    """Return the first name of (name, array) pairs whose array holds an infinity or a NaN, or None."""
    return next((name for name, array in named if not np.isfinite(array).all()), None)


def explain(model, ws, gradient, learning_rate):
    """Say where in a step the numbers were first not finite, and what to do about the likely cause.

    Parameters
    ----------
    model : VAE or Autoencoder
        Its parameters are those that the step began with.
    ws : Workspace
        As forward and backward left it.
    gradient : Parameters
        As backward left it.
    learning_rate : float
        The optimiser's.

    Returns
    -------
    str
        Two sentences: the segment, the cause and its remedy.
    """
    layers = [(f"the output of {name.removesuffix('.W')}", output) for name, output in zip(
        (name for name, _ in model.parameters.segments() if name.endswith(".W")), (*ws.encoder, *ws.decoder))]
    backward = [(f"the gradient of {name}", view) for name, view in reversed(list(gradient.segments()))]
    where = not_finite([("the data", ws.x), *model.parameters.segments(), *layers, *backward])
    with np.errstate(all="ignore"):
        return f"First not finite: {where or 'the loss itself'}. {_cause(model, ws, learning_rate)}"


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
