"""Exact: a certificate without step, tolerance or rounding.

A finite difference has a step and rounds, so a wrong gradient passes if it is wrong by little.  Here the code of a
gradient runs, unchanged, on other numbers: on random integers modulo a large prime, where +, -, * and / are exact.

T23: two formulas that differ agree at few such numbers (Schwartz and Zippel).  Of all residues modulo M, two different
polynomials of degree m share at most m.  So if they agree at a random one, they are one formula, but for a chance of
m / M; M has 120 bits here, and every trial draws anew.

A derivative comes along exactly: each number carries its own, by the rules of sums, products and quotients.  exp and
log have no such rules, but what gradients need of them holds.  exp is a power of a fixed number: exponents modulo M
count modulo M - 1, so an exponent is kept modulo a second prime, too, and the exp of a sum is the product of the exps.
A third prime does the same for an exp inside of an exp.  A logarithm is a symbol that remembers its argument, so that
exp undoes it.

A number in the code is taken for the fraction that it rounds, so a factor that differs from 1 by less than 2^-44 is
called not proved, and not wrong.

The certificate proves that one formula is the derivative of the other.  It does not look at branches that these numbers
do not take, at rounding, or at whether the formula is the one that was meant.  The last claims show all three.
"""
import numpy as np

from demos.plots.certificate import caught_errors
from scratchvae.gradcheck import certify, check_vjp

from .course import Claim, main, Result

TITLE = "Exact: a certificate without step, tolerance or rounding"
SMALL_PRIME = 10007


def layer(x, W):
    """y = tanh(x W)."""
    return np.tanh(x @ W)


def layer_vjp(d_y, x, W):
    """Return the gradients of `layer`, right."""
    d_a = d_y * (1 - np.tanh(x @ W)**2)
    return {"x": d_a @ W.T, "W": x.T @ d_a}


def one_entry_off(factor):
    """Return `layer_vjp` with one entry of the gradient of W off by a factor."""
    def vjp(d_y, x, W):
        gradients = layer_vjp(d_y, x, W)
        gradients["W"][2, 1] = gradients["W"][2, 1] * factor
        return gradients
    return vjp


def draw(mu, logvar, eps):
    """z = mu + sigma eps."""
    return mu + np.exp(logvar / 2) * eps


def draw_vjp(d_z, mu, logvar, eps):
    """Return the gradients of `draw`; the 1/2 of d sigma / d logvar is missing."""
    return {"mu": d_z, "logvar": d_z * eps * np.exp(logvar / 2)}


def wrong_draw(mu, logvar, eps):
    """z = mu + sigma^2 eps, which nobody means."""
    return mu + np.exp(logvar) * eps


def softplus(x):
    """log(1 + e^x), which overflows in floats."""
    return np.log(1 + np.exp(x))


def relu(x):
    """max(x, 0), by a branch for each entry."""
    return np.where(x > 0, x, 0 * x)


def shared_roots():
    """Return at how many residues (1 + x)^3 equals 1 + 3x + 3x^2 + x^3, and the same with a 2 for one 3."""
    x = np.arange(SMALL_PRIME)
    left = (1 + x)**3 % SMALL_PRIME
    return [int(np.sum(left == (1 + 3 * x + c * x**2 + x**3) % SMALL_PRIME)) for c in (3, 2)]


def run(settings):
    """Certify right and wrong gradients, and see what a certificate does not say."""
    rng = np.random.default_rng(settings.seed)
    same, other = shared_roots()
    arrays = {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 2))}
    large = {"x": rng.standard_normal((4, 60)), "W": 0.1 * rng.standard_normal((60, 40))}
    latent = {name: rng.standard_normal((3, 2)) for name in ("mu", "logvar", "eps")}
    right = certify(layer, layer_vjp, arrays)
    tiny = certify(layer, one_entry_off(1 + 2.0**-40), large)
    half = certify(draw, draw_vjp, latent)
    powers = list(range(0, 45, 4))
    by_differences = [not all(check.ok for check in check_vjp(layer, one_entry_off(1 + 2.0**-k), *arrays.values()))
                      for k in powers]
    by_certificate = [not certify(layer, one_entry_off(1 + 2.0**-k), arrays, trials=1).ok for k in powers]
    meant = certify(wrong_draw, lambda d, mu, logvar, eps: {"mu": d, "logvar": d * eps * np.exp(logvar)}, latent)
    overflows = certify(softplus, lambda d, x: {"x": d * np.exp(x) / (1 + np.exp(x))}, {"x": arrays["x"]})
    with np.errstate(over="ignore"):
        at_1000 = float(softplus(np.array(1000.0)))
    branches = [certify(relu, lambda d, x: {"x": d}, {"x": sign * np.abs(arrays["x"])}) for sign in (1, -1)]
    claims = [
        Claim("T23", f"(1 + x)^3 is 1 + 3x + 3x^2 + x^3 at all residues modulo {SMALL_PRIME}; with a 2 for a 3, at few",
              f"{same} and {other}", f"{SMALL_PRIME} and at most 3", same == SMALL_PRIME and other <= 3),
        Claim("T23", "The right gradient of tanh(x W) is certified, every entry at once",
              f"{right.numbers} entries, false pass below 2^-{right.bits:.0f}", "20 entries, below 2^-61",
              right.ok and right.numbers == 20 and right.bits > 61),
        Claim("T23", "One of 2,640 entries that is 1 + 2^-40 times the right one is named, with its factor",
              " ".join(tiny.faults) or "0 faults", "W[2, 1]: exactly 1 + 1/1099511627776 x",
              tiny.faults == (f"W[2, 1]: exactly 1 + 1/{2**40} x",)),
        Claim("T23", "A missing 1/2 of d sigma / d logvar is named; mu is right", " ".join(half.faults) or "0 faults",
              "logvar: exactly 2 x", half.faults == ("logvar[0, 0] and others: exactly 2 x",)),
        Claim("T23", "Of factors 1 + 2^-k, k = 0 to 44, all are caught; finite differences miss the small ones",
              f"{sum(by_certificate)} and {sum(by_differences)} of {len(powers)}", f"{len(powers)} and fewer",
              all(by_certificate) and by_differences[0] and not by_differences[-1]),
        Claim("T23", "Not proved: that the right formula was meant. sigma^2 for sigma passes with its own gradient",
              f"{len(meant.faults)} faults", "0 faults", meant.ok),
        Claim("T23", "Not proved: what rounding does. log(1 + e^x) passes, and overflows in floats at x = 1000",
              f"{len(overflows.faults)} faults, {at_1000}", "0 faults, inf", overflows.ok and at_1000 == np.inf),
        Claim("T23", "Not proved: other branches. d_x = d_y for max(x, 0) passes where all x are positive, there alone",
              f"{len(branches[0].faults)} and {len(branches[1].faults)} faults", "0 and 1 faults",
              branches[0].ok and len(branches[1].faults) == 1)]
    return Result(claims, {"caught": caught_errors(powers, by_differences, by_certificate)})


if __name__ == "__main__":
    main(run)
