"""How far apart two distributions are."""
import numpy as np

from ..exercise import exercise


def two_distributions(rng):
    """Return p and q (n,), where p is 0 at one place."""
    p, q = rng.random((2, rng.sizes()[0]))
    p[0] = 0
    return {"p": p / p.sum(), "q": q / q.sum()}


def is_zero_where_p_equals_q(answer, rng):
    """F2: the divergence of p from itself."""
    p = two_distributions(rng)["q"]
    return "" if abs(answer(p, p)) < 1e-12 else f"KL(p || p) is {float(answer(p, p)):.4g}"


RARE = {"p": np.array([0.0, 1e-7, 1e-3, 0.999 - 1e-7]), "q": np.array([0.1, 0.2, 0.3, 0.4])}


@exercise("F1", two_distributions, corners=(RARE,), laws=(is_zero_where_p_equals_q,), hints=(
    "It is an average over p: each log(p / q) counts p times.",
    "Where p is 0 nothing happens, so the term is 0; but log(0) is -inf, and 0 times that is nan.",
    "Choose the places first, seen = p > 0, and sum p[seen] log(p[seen] / q[seen])."), slips=(
    ("np.log(p[seen] / q[seen])", "np.log(q[seen] / p[seen])", "the fraction is upside down: p / q"),
    ("p[seen] * np.log", "q[seen] * np.log", "the average is over p, not over q"),
    ("p[seen] * np.log(p[seen] / q[seen])", "q[seen] * np.log(q[seen] / p[seen])",
     "p and q have changed places: this is the other direction, KL(q || p)"),
    ("p[seen] * np.log", "np.log", "each term counts p times: it is an average over p")))
def kl_discrete(p, q):
    """KL(p || q) of two distributions on n outcomes, in nats.

    p, q (n,)   probabilities; q > 0, and p may be 0 somewhere: such a term is 0

    Return sum p log(p / q), a number.                                            (F1)
    """
    seen = p > 0
    return np.sum(p[seen] * np.log(p[seen] / q[seen]))


def head(rng):
    """Return mu and logvar, (B, Z)."""
    B, Z, *_ = rng.sizes()
    return {"mu": rng.standard_normal((B, Z)), "logvar": rng.standard_normal((B, Z))}


def is_the_integral_of_log_q_less_log_p(answer, rng):
    """Gauss-Hermite quadrature: log q - log p is quadratic, so a few nodes give it exactly."""
    drawn = head(rng)
    mu, logvar = (drawn[name][..., None] for name in ("mu", "logvar"))
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    z = mu + np.exp(0.5 * logvar) * nodes
    wanted = (0.5 * (z**2 - nodes**2 - logvar) * weights / weights.sum()).sum(axis=(1, 2))
    found = answer(**drawn)
    return "" if np.allclose(found, wanted) else f"it is {found[0]:.4g}, and log q - log p averages {wanted[0]:.4g}"


NEAR = {"mu": np.array([[0.0, 0.0], [0.0, 0.1]]), "logvar": np.array([[0.0, 0.0], [0.1, 0.0]])}
NARROW = {"mu": np.array([[30.0]]), "logvar": np.array([[-40.0]])}
WIDE = {"mu": np.array([[-1.0]]), "logvar": np.array([[30.0]])}


@exercise("E4", head, corners=(NEAR, NARROW, WIDE), laws=(is_the_integral_of_log_q_less_log_p,), hints=(
    "On average over q, z^2 is mu^2 + sigma^2 and eps^2 is 1, with eps = (z - mu) / sigma.",
    "log q - log p = (z^2 - eps^2 - logvar) / 2 for each latent; sum over the latents, not over the batch.",
    "Half of the sum over axis 1 of mu**2 + np.exp(logvar) - 1 - logvar."), slips=(
    ("0.5 * np.sum", "np.sum", "it is 2.00 x the right one: is the 1/2 missing?"),
    (", axis=1", "", "one number an example: sum over the latents alone, axis 1"),
    ("np.exp(logvar)", "np.exp(0.5 * logvar)", "sigma stands for sigma^2: exp(logvar) is the variance"),
    (" - logvar", " + logvar", "the sign of logvar: -log q has + logvar / 2, and log q stands here"),
    (" - 1", "", "the -1 is missing: the KL must be 0 at mu = 0, logvar = 0")))
def kl_normal(mu, logvar):
    """KL(N(mu, sigma^2) || N(0, 1)), summed over the latents, in nats.

    mu, logvar (B, Z)   of q(z | x), logvar = log sigma^2

    Return 1/2 sum_j (mu^2 + sigma^2 - 1 - logvar) for each example, (B,).        (E4, F7)
    """
    return 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar, axis=1)
