"""An optimizer's steps against the rules of SGD and Adam, right and wrong, at whatever rate fits them."""
import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from .comparison import Check
from .numerical import EPS, EPS_32, is_float32
from .properties import agree

FIT, FIT_32 = 1e-6, 1e-4                # steps agree with a rule to this of their size, in float64 and in float32
STEPS = 9                               # the first has a gradient of 0
EPSILONS = [10.0**-k for k in range(3, 13)]                            # of Adam, as packages choose it
WRONG = {"the moments are not divided by 1 - beta^t": [("uncorrected", 1)],
         "epsilon stands under the root": [("under the root", 1)],
         "the step is divided by v, not by its root": [("without root", 1)],
         "the moments are forgotten from step to step": [("forgotten", 1)],
         "moments are kept by slot: each set sees every n-th gradient only": [("", n) for n in range(2, STEPS)]}


def _adam(gradients, betas, epsilon, form="", slots=1):
    """Return the steps that Adam (Kingma & Ba 2015, Algorithm 1) takes at a rate of 1, or a form of it."""
    moments, steps = [(0.0, 0.0)] * slots, []
    for k, g in enumerate(gradients):
        t, (m, v) = k // slots + 1, moments[k % slots]
        if form == "forgotten":
            t, m, v = 1, 0.0, 0.0
        m, v = moments[k % slots] = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        first, second = (1.0, 1.0) if form == "uncorrected" else (1 - betas[0]**t, 1 - betas[1]**t)
        m, v = m / first, v / second
        steps.append(m / {"under the root": np.sqrt(v + epsilon), "without root": v + epsilon,
                          "uncorrected epsilon": np.sqrt(v) + epsilon / math.sqrt(second)}.get(
                              form, np.sqrt(v) + epsilon))
    return np.array(steps)


def _epsilons(steps, gradients, betas, form, rate):
    """Return the epsilon, if any, with which Adam at this rate takes the last step where its effect is largest."""
    with np.errstate(all="ignore"):
        bare, one = (_adam(gradients, betas, e, form)[-1] for e in (0.0, 1.0))         # m / root, m / (root + share)
        share = 1 / one - 1 / bare                                                     # 1 / m, times epsilon's share
        found = ((rate or math.nan) / steps[-1] - 1 / bare) / share
    at = np.unravel_index(np.argmin(np.abs(gradients[-1])), found.shape)
    return [float(found[at])] if found[at] > 0 else []


def _momentum(gradients, decay):
    """Return the steps of gradient descent with momentum (0: without) at a rate of 1."""
    return np.array(list(accumulate(gradients, lambda step, g: decay * step + g)))


def _rate(steps, rule, slack, fit):
    """Return the rate at which a rule takes these steps, or NaN if it takes others at any rate."""
    rate = float(np.sum(steps * rule) / np.sum(rule * rule))
    return rate if np.all(np.abs(steps - rate * rule) <= fit * np.abs(steps) + slack) else math.nan


def optimizer(update: Callable, learning_rate: float | None = None, betas: tuple = (0.9, 0.999),
              rules: Sequence = ("sgd", "adam"), epsilons: Sequence = EPSILONS, seed: int = 0) -> Check:
    """Return the Check that an optimizer moves a few numbers as SGD, with momentum betas[0] or without, or Adam does.

    update(theta, gradient) changes theta or returns the new one.  Without a learning rate any positive one is right.
    The first of the gradients is 0: nothing may move then.  Adam may add epsilon before the correction of its moments.
    """
    rng = np.random.default_rng(seed)
    theta, gradients = rng.standard_normal((2, 3)), rng.standard_normal((STEPS, 2, 3))
    gradients *= 10.0 ** rng.uniform(-4, 1, (2, 3))
    gradients[0] = 0
    visited = [theta.copy()]
    for g in gradients:
        new = update(theta, g.copy())
        theta = theta if new is None else np.array(new)
        visited.append(theta.copy())
    places = np.array(visited, np.float64)
    steps, slack = -np.diff(places, axis=0), 8 * EPS * float(np.max(np.abs(places)))
    fit = FIT_32 if is_float32(steps, slack) else FIT
    slack *= EPS_32 / EPS if is_float32(places[1:]) else 1
    known = {"sgd": [("SGD", _momentum(gradients, decay)) for decay in (0.0, betas[0])],
             "adam": [("Adam", _adam(gradients, betas, e, form)) for form in ("", "uncorrected epsilon")
                      for e in (*epsilons, *_epsilons(steps, gradients, betas, form, learning_rate))]}
    fits = [(name, rule, _rate(steps, rule, slack, fit)) for key in rules for name, rule in known[key]]
    name, rule, rate = next((found for found in fits if not math.isnan(found[2])), fits[0])
    wanted = rate if learning_rate is None else learning_rate
    if math.isnan(rate):
        found = [text for text, forms in WRONG.items() if "adam" in rules and any(
            _rate(steps, _adam(gradients, betas, e, *form), slack, fit) > 0 for e in epsilons for form in forms)]
        hint = ("parameters move where the gradient is 0: by weight decay, which is part of no loss, or by moments of "
                "earlier gradients? Pass the update of a new optimizer" if steps[0].any() else
                "; or ".join(found) or f"it is neither SGD, with momentum {betas[0]} or without, nor Adam with betas "
                f"{betas}")
    else:
        hint = ("nothing moves: update must return the new array or change the one it gets" if rate == 0 else
                f"it moves along the gradient, not against it: a rate of {rate:.6g}" if rate < 0 else
                f"it is {name} with a rate of {rate:.6g}, not {wanted:.6g}" if abs(rate / wanted - 1) > fit else "")
    right = rule * (1.0 if math.isnan(wanted) else abs(wanted))
    return agree("optimizer", steps, right, "", tolerance=fit)._replace(ok=not hint, hint=hint)
