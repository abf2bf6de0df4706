"""Gray pixels with a density of their own: the continuous Bernoulli."""
import numpy as np

from ..exercise import exercise

SMALL = np.array([0.0, 1e-12, 1.1e-11, 1.3e-10, 1e-9, 1e-8, 3e-8, 1e-6, 1e-4, 9e-4, 0.0092, 0.019, 0.02])


def corner(a):
    """Return the logits a and -a, each in a row of its own: A(a) - A(-a) = a hides what a sum has of both."""
    both = np.concatenate([a, -a])[:, None]
    return {"a": both, "x": np.linspace(0.1, 0.9, both.size)[:, None]}


TINY, LARGE = corner(SMALL), corner(np.array([1000.0]))


def gray(rng):
    """Return logits a and pixels x in [0, 1], (B, D); near a = 0, where answers take a series, no certificate holds."""
    B, D, *_ = rng.sizes()
    a = rng.standard_normal((B, D))
    return {"a": 3 * a + np.copysign(0.1, a), "x": rng.random((B, D))}


def loss(a, x):
    """Return the mean over the batch, by the formula as it is derived: wrong at 0, right elsewhere."""
    return np.sum(np.log((np.exp(a) - 1) / a) - x * a) / len(a)


def is_a_density_on_0_to_1(answer, rng):
    """Gauss-Legendre quadrature of exp(-nll) over one pixel."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    x = 0.5 + 0.5 * nodes[:, None]
    total = float(0.5 * weights @ np.exp(-answer(np.full_like(x, 2.5), x)))
    return "" if abs(total - 1) < 1e-9 else f"the integral of p(x | z) over 0 to 1 is {total:.4g}, not 1"


@exercise("L1", gray, corners=(TINY, LARGE), laws=(is_a_density_on_0_to_1,), hints=(
    "p(x) = exp(a x) / integral of exp(a x) from 0 to 1, and that integral is (exp(a) - 1) / a.",
    "A(a) = log((exp(a) - 1) / a) overflows at a = 1000 and is 0/0 at a = 0. With t = |a|: A(a) = max(a, 0) + A(-t).",
    "A(-t) = log(-expm1(-t) / t), which is 0 at t = 0; divide by np.where(t > 0, t, 1) and choose with np.where."),
    slips=((" - x * a", " + x * a", "the sign of x a: a white pixel wants a large logit"),
           ("np.maximum(a, 0) + ", "", "A(a) = max(a, 0) + A(-|a|): the first part is missing"),
           ("np.where(t > 0, np.log(-np.expm1(-safe) / safe), 0)", "np.log1p(np.exp(-t))",
            "this is softplus, the Bernoulli's: for gray pixels that is no density")))
def continuous_bernoulli_nll(a, x):
    """-log p(x | z) of gray pixels under a continuous Bernoulli, in nats.

    a (B, D)   logits
    x (B, D)   pixels, from 0 to 1

    Return sum_d [A(a) - x a], (B,), with A(a) = log((exp(a) - 1) / a).  It must be right at a = 0, where
    A is 0, near it, and at a = 1000 and -1000.                                   (L1)
    """
    t = np.abs(a)
    safe = np.where(t > 0, t, 1)
    A = np.maximum(a, 0) + np.where(t > 0, np.log(-np.expm1(-safe) / safe), 0)
    return (A - x * a).sum(axis=1)


@exercise("L2", gray, loss=loss, by=("a",), corners=(TINY, LARGE), hints=(
    "The slope of A is the mean of x under p(x), as for every exponential family.",
    "A'(a) = 1 / (1 - exp(-a)) - 1 / a. Near 0 both terms are huge and cancel; there A' is 1/2 + a/12.",
    "np.where(abs(a) < 1e-3, 0.5 + a / 12, -1 / expm1(-safe) - 1 / safe), less x, over B; safe is a, or 1 where |a| is "
    "small."), slips=(
    (" / len(a)", "", "B x: the loss averages over the batch"),
    (" - x) ", ") ", "x is missing: the slope of - x a is - x"),
    ("mean = np.where(small, 0.5 + a / 12, -1 / np.expm1(-safe) - 1 / safe)", "mean = 1 / (1 + np.exp(-a))",
     "this is the sigmoid, the Bernoulli's mean")))
def d_l_continuous(a, x):
    """The gradient of the mean nll by the logits, for gray pixels.

    a (B, D)   logits
    x (B, D)   pixels, from 0 to 1

    The loss is 1/B sum_n sum_d A(a) - x a.  Return dL/da, (B, D), right to 1e-9 at any a, 0 too.   (L2)
    """
    small = np.abs(a) < 1e-3
    safe = np.where(small, 1, a)
    mean = np.where(small, 0.5 + a / 12, -1 / np.expm1(-safe) - 1 / safe)
    return (mean - x) / len(a)
