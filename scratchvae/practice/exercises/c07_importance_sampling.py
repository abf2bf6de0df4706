"""What a draw from the encoder says about p(x)."""
import numpy as np

from ..exercise import exercise


def samples(rng):
    """Return mu, logvar (B, Z), eps and z (B, K, Z), and nll (B, K)."""
    B, K, Z, *_ = rng.sizes()
    mu, logvar, eps = rng.standard_normal((B, Z)), rng.standard_normal((B, Z)), rng.standard_normal((B, K, Z))
    return {"mu": mu, "logvar": logvar, "eps": eps, "z": mu[:, None] + np.exp(logvar / 2)[:, None] * eps,
            "nll": rng.random((B, K))}


def weighs_the_prior_by_the_likelihood_alone(answer, rng):
    """T13: where q is the prior, z = eps and logvar = 0, the weight is p(x | z)."""
    drawn = samples(rng)
    found = answer(drawn["nll"], drawn["eps"], drawn["eps"], 0 * drawn["logvar"])
    return "" if np.allclose(found, -drawn["nll"]) else "where q is the prior, log w must be -nll"


FAR = {"eps": np.zeros((1, 2, 1)), "z": np.zeros((1, 2, 1)), "logvar": np.zeros((1, 1)), "nll": np.array([[1e3, -1e3]])}
WIDE = {"eps": np.ones((1, 2, 2)), "z": np.ones((1, 2, 2)), "logvar": np.array([[20, -15.0]]), "nll": np.zeros((1, 2))}


@exercise("S2", samples, corners=(FAR, WIDE), laws=(weighs_the_prior_by_the_likelihood_alone,), hints=(
    "w = p(x | z) p(z) / q(z | x), so log w = -nll + log p(z) - log q(z | x).",
    "log q = -1/2 sum (eps^2 + logvar) and log p = -1/2 sum z^2, both less the same constant.",
    "-nll - 0.5 * (z**2 - eps**2 - logvar[:, None]).sum(axis=2)."), slips=(
    ("-nll - 0.5", "nll - 0.5", "log p(x | z) is -nll"),
    ("-nll - 0.5", "-nll + 0.5", "log w has + log p(z) - log q(z | x): the sign of both is flipped"),
    ("- logvar[:, None]", "+ logvar[:, None]", "the sign of logvar: log q holds - logvar / 2, and is subtracted"),
    (" - logvar[:, None]", "", "q's own width is missing: log q holds - logvar / 2"),
    (" - eps ** 2", "", "log q is missing: it holds - eps^2 / 2"),
    ("0.5 * (", "(", "log q - log p is 2.00 x the right one: is the 1/2 missing?"),
    ("z ** 2 - eps ** 2", "eps ** 2 - z ** 2", "z^2 and eps^2 are swapped: log p holds - z^2 / 2, log q - eps^2 / 2")))
def log_weights(nll, z, eps, logvar):
    """The log of each sample's importance weight w = p(x | z) p(z) / q(z | x).

    nll (B, K)           -log p(x | z)
    z, eps (B, K, Z)     samples and the noise that made them, eps = (z - mu) / sigma
    logvar (B, Z)        log sigma^2 of q(z | x)

    Return log w = -nll - 1/2 sum_j (z^2 - eps^2 - logvar), (B, K); it must be finite at nll = 1000, where
    exp(-nll) is 0.                                                               (S1, S2, F27)
    """
    return -nll - 0.5 * (z**2 - eps**2 - logvar[:, None]).sum(axis=2)
