"""Properties of a right VAE, asked of any code through functions; the bug museum asks them of this package's own."""
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..oracles.rules import gauss_hermite
from .comparison import Check

EXACT = 1e-9                            # tolerance, relative and absolute, for sums of a few hundred float64 numbers
RARE = 20.0                             # fourth moment of noise that is compared at most: 18 of a pixel on at 5 %
SIGMAS = 7.0                            # limit of a z-score; a normal variable exceeds it with probability 3e-12


def differs(found: Any, wanted: Any, tolerance: float = EXACT) -> bool:
    """Return True unless found equals wanted to the tolerance."""
    return not np.allclose(found, wanted, rtol=tolerance, atol=tolerance)


def explain(found: Any, mistakes: dict, tolerance: float = EXACT) -> str:
    """Return the mistakes, {text: what it makes}, that made what was found; "" if none did."""
    return "; or ".join(text for text, made in mistakes.items() if not differs(found, made, tolerance))


def agree(name: str, found: Any, wanted: Any, hint: str, mistakes: dict | None = None,
          tolerance: float = EXACT) -> Check:
    """Return the Check that numbers are what they should be; if not, the hint and the mistakes that explain them."""
    found, wanted = np.broadcast_arrays(np.asarray(found, np.float64), np.asarray(wanted, np.float64))
    bound = tolerance * (1 + np.abs(wanted))
    error = np.where(np.isfinite(found), np.abs(found - wanted), np.inf)
    at = np.unravel_index(int(np.argmax(error / bound)), found.shape)
    size = max(abs(float(found[at])), abs(float(wanted[at]))) if np.isfinite(found[at]) else 1.0
    ok = not differs(found, wanted, tolerance)
    why = "" if ok else ": ".join(filter(None, [hint, explain(found, mistakes or {}, tolerance)]))
    return Check(name, float(error[at] / size) if size else 0.0, tuple(map(int, at)), float(found[at]),
                 float(wanted[at]), float(bound[at]), ok, why, 0)


def sampler(draw: Callable, mu: np.ndarray, logvar: np.ndarray, eps: np.ndarray, tolerance: float = EXACT) -> Check:
    """Return the Check of z = mu + exp(logvar / 2) eps at eps = 0, 1, -1 and at random, each (n, Z)."""
    noise = [np.zeros_like(mu), np.ones_like(mu), -np.ones_like(mu), eps]
    found, sigma = np.array([draw(mu, logvar, e) for e in noise]), np.exp(logvar / 2)

    def at(spread, center=mu):
        return np.array([center + spread * e for e in noise])

    return agree("sampler", found, at(sigma), "z is not mu + exp(logvar / 2) eps", {
        "exp(logvar) = sigma^2 stands for sigma": at(sigma**2),
        "logvar itself stands for sigma": at(logvar), "the noise is halved": at(sigma / 2),
        "the noise is doubled": at(2 * sigma), "exp(-logvar / 2) stands for sigma": at(1 / sigma),
        "the noise lacks sigma": at(1), "z is mu alone: eps is not used": at(0),
        "mu is missing": at(sigma, 0)} | ({} if len(mu) == 1 else {
            "all examples have the noise of the first": np.array([mu + sigma * e[:1] for e in noise])}), tolerance)


def noise_fault(draws: list) -> str:
    """Return what is wrong with two draws of noise (n, Z) that should be standard normal and independent, or ""."""
    root = math.sqrt(len(draws[0]))
    if not np.ptp(draws[0], axis=0).any():
        return "the noise of two examples of a batch is the same"
    for column in draws[0].T:
        mean, spread = float(column.mean()), float(np.mean(column**2))
        if not math.isfinite(spread):
            return "z is not finite"
        if abs(mean) * root > SIGMAS:
            return f"z is {mean:.2f} sigma off its mean mu, on average"
        if abs(spread - 1) * root / math.sqrt(2) > SIGMAS + 3:          # a mean of squares has longer tails
            return f"the variance of z is {spread:.3g} x exp(logvar)"
        inside = float(np.mean(np.abs(column) < 0.67448975))
        if abs(inside - 0.5) * 2 * root > SIGMAS:
            return f"{inside:.0%} of z lie within the quartiles of a normal: another distribution"
    first, second = draws
    pairs = {"two examples of a batch": (first[1:], first[:-1]), "one example at two steps": (first, second)}
    if first.shape[1] > 1:
        pairs["two latents"] = (first[:, 1:], first[:, :-1])
    for what, (a, b) in pairs.items():
        if np.max(np.abs(np.mean(a * b, axis=0))) * root > SIGMAS + 3:
            return f"the noise of {what} is the same, or correlated"
    return ""


def batch_mistakes(right: float, n: int, reduction: str) -> dict:
    """Return what a mean over n examples becomes by wrong handling of the batch, which should be a mean or a sum."""
    fewer = "averaged over the examples" if reduction == "sum" else "divided by the number of examples twice"
    more = "multiplied by the number of examples twice" if reduction == "sum" else "summed over the examples"
    return {f"it is {more}": right * n, f"it is {fewer}": right / n} if n > 1 else {}


def kl_closed_form(mu: np.ndarray, logvar: np.ndarray) -> float:
    """Return the KL of q = N(mu, exp(logvar)), each (n, Z), from the prior, averaged over n examples."""
    return 0.5 * float(np.sum(mu**2 + np.exp(logvar) - logvar - 1)) / len(mu)


def kl_divergence(kl: float, mu: np.ndarray, logvar: np.ndarray, tolerance: float = EXACT,
                  reduction: str = "mean") -> Check:
    """Return the Check that a KL, averaged over n examples, is the closed form of mu and logvar, (n, Z) each."""
    variance, (n, n_latent) = np.exp(logvar), mu.shape

    def half(terms):
        return 0.5 * float(np.sum(terms)) / n

    right = kl_closed_form(mu, logvar)
    mistakes = {"the 1/2 is missing": 2 * right, "there is a 1/2 too many": right / 2, "its sign is flipped": -right,
                "logvar is taken for log sigma": half(mu**2 + variance**2 - 2 * logvar - 1),
                "this is KL(p || q), not KL(q || p)": half((1 + mu**2) / variance - 1 + logvar),
                "the -1 is missing": half(mu**2 + variance - logvar), "mu^2 is missing": half(variance - logvar - 1),
                "-logvar is missing": half(mu**2 + variance - 1),
                "mu stands for mu^2": half(mu + variance - logvar - 1),
                "sigma stands for sigma^2": half(mu**2 + variance**0.5 - logvar - 1),
                "it is multiplied by sigma": half((mu**2 + variance - logvar - 1) * variance**0.5)}
    if n_latent > 1:
        mistakes["it is averaged over the latents, not summed"] = right / n_latent
    return agree("KL", kl, right, f"the KL is {kl:.6g}, its closed form {right:.6g}",
                 mistakes | batch_mistakes(right, n, reduction), tolerance)


def beta_linearity(objective_at: Callable, beta: float, tolerance: float = EXACT) -> list:
    """Return the Checks that loss = reconstruction + beta KL for any beta, and that the KL is not negative.

    objective_at(beta) -> (loss, reconstruction, kl).
    """
    (loss, reconstruction, kl), more = objective_at(beta), objective_at(beta + 1.5)
    return [agree("loss = reconstruction + beta KL", (loss, more[0]),
                  (reconstruction + beta * kl, more[1] + (beta + 1.5) * more[2]),
                  "the loss is not reconstruction + beta KL", {} if beta == 1 else {
                      "the KL that is reported has beta in it already": (reconstruction + kl, more[0])}, tolerance),
            agree("beta", more[0] - loss, 1.5 * kl,
                  "the loss does not grow by 1.5 KL when beta does by 1.5: is beta used?", tolerance=tolerance),
            agree("KL >= 0", min(kl, 0.0), 0.0, f"the KL is {kl:.4g}; no divergence is negative", tolerance=tolerance)]


def independence(objective: Callable, gradient: Callable | None, X: np.ndarray, eps: np.ndarray,
                 reduction: str = "mean", tolerance: float = EXACT) -> list:
    """Return the Checks that a batch is the mean (or sum) over its examples, in any order.

    objective(X, eps) -> loss; gradient(X, eps) -> (m,), all numbers of the gradient.
    """
    n, turned = len(X), slice(None, None, -1)
    checks = []
    for name, f in {"loss": objective, "gradient": gradient}.items():
        if f is None:
            continue
        whole, total = f(X, eps), sum(np.asarray(f(X[i:i + 1], eps[i:i + 1])) for i in range(n))
        made, other = (total / n, total) if reduction == "mean" else (total, total / n)
        other_word = "summed over the examples" if reduction == "mean" else "averaged over the examples"
        checks += [agree(f"{name} of a batch", whole, made,
                         f"the {name} of a batch is not the {reduction} over its examples",
                         {f"it is {other_word}": other} if n > 1 else {}, tolerance),
                   agree(f"{name} in another order", f(X[turned], eps[turned]), whole,
                         f"the {name} depends on the order of the examples", tolerance=tolerance)]
    return checks


def total_probability(nll: Callable, shown: np.ndarray, sigma: float | None = None,
                      tolerance: float = EXACT) -> list:
    """Return the Checks that exp(-nll) adds up to 1 over all x, and x exp(-nll) to the mean that is shown (D,).

    nll(x (D,)) -> nats.  Pixels are black or white if sigma is None.  Otherwise the sum is Gauss-Hermite quadrature
    around their means, which is exact for the density of that sigma.
    """
    n = len(shown)
    if sigma is None:
        pixels = np.array(list(itertools.product((0.0, 1.0), repeat=n)))
        logs = np.zeros(len(pixels))
    else:
        t, shares = gauss_hermite(8, n)
        pixels = shown + sigma * t
        logs = np.log(shares) + 0.5 * n * math.log(2 * math.pi * sigma**2) + 0.5 * np.sum(t * t, axis=1)
    cost = np.array([nll(x) for x in pixels])
    weights = np.exp(logs - cost)
    averaged = sigma is None and n > 1 and not differs(np.exp(-n * cost).sum(), 1.0, tolerance)
    total = float(weights.sum())
    shown_total = f"{total:.6g}" if f"{total:.6g}" != "1" else f"1 {'+' if total > 1 else '-'} {abs(total - 1):.1e}"
    return [agree("exp(-nll) adds up to 1", total, 1.0, f"exp(-nll) adds up to {shown_total} over all x"
                  + ": it is averaged over the pixels, not summed" * averaged, tolerance=tolerance),
            agree("pixel mean", np.sum(weights[:, None] * pixels, axis=0) / weights.sum(), shown,
                  "x averages another value under exp(-nll) than the mean that is shown",
                  {"a sigmoid is applied twice": 0.5 * (1 + np.tanh(0.5 * shown))} if sigma is None else {}, tolerance)]


def extreme_outputs(nll: Callable, logits: bool, tolerance: float = EXACT) -> Check:
    """Return the Check of nll(x, outputs), (3,) each: for logits of up to +-10000, or for probabilities 0 and 1."""
    sizes = [sign * size for size in (30.0, 1e3, 1e4) for sign in (-1, 1)] if logits else []
    pairs = [(out, x) for out in sizes for x in (0.0, 1.0)] or [(0.0, 0.0), (1.0, 1.0)]
    right = [3 * (max(out, 0.0) - x * out) if logits else 0.0 for out, x in pairs]    # softplus(l) - x l at large |l|
    found = [nll(np.full(3, x), np.full(3, out)) for out, x in pairs]
    if not np.isfinite(found).all():
        hint = ("exp(l) overflows: compute softplus as logaddexp(0, l)" if logits else
                "0 log 0 is NaN where a pixel is certain and right: clip, or work with logits")
    else:                                                         # logits of +-1e3 and +-1e4 cost the same
        bounded = logits and not differs(found[-8:-4], found[-4:])
        hint = "another number of nats" + ": probabilities are clipped, or a sigmoid is applied twice" * bounded
    return agree("extreme outputs", found, right, hint, tolerance=max(tolerance, 1e-6 if logits else 1e-3))


def pixel_draws(drawn: np.ndarray, mean: np.ndarray) -> Check:
    """Return the Check that pixels drawn from p(x | z) (n, D) have its mean (D,), and neighbors noise of their own.

    Pixels that are rarely on, or off, would be correlated by a few draws: they are left out.
    """
    found, root = drawn.mean(axis=0), math.sqrt(len(drawn))
    noise = (drawn - found) / np.maximum(drawn.std(axis=0), 1e-12)
    noise = noise[:, np.mean(noise**4, axis=0) < RARE]
    together = np.max(np.abs(np.mean(noise[:, 1:] * noise[:, :-1], axis=0)), initial=0.0)
    error = np.abs(found - mean)
    if np.isin(drawn, (0, 1)).all():                              # Bernstein's inequality: a few draws are not normal
        variance = np.maximum(mean * (1 - mean), 1e-12) + error / 3
    else:
        variance = np.maximum(drawn.var(axis=0), 1e-4)
    off = error / np.sqrt(variance) * root
    at = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
    check = agree("generated pixels", found[at], mean[at], "pixels drawn from p(x | z) do not have its mean")
    ok = bool(off[at] <= SIGMAS)
    if ok and not np.ptp(drawn, axis=0).any() and np.any((mean > 1e-3) & (mean < 1 - 1e-3)):
        return check._replace(ok=False, hint="all pixels drawn from one z are alike: are they the means?")
    if ok and together * root > SIGMAS + 3:
        return check._replace(ok=False, hint="the noise of two pixels of a picture is the same, or correlated")
    return check._replace(index=(at,), ok=ok, error_bound=float(error[at] / off[at] * SIGMAS)
                          if off[at] else 0.0, hint="" if ok else check.hint)
