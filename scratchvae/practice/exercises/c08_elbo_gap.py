"""Bounds of several samples, and gradients that vanish where q is the posterior."""
import numpy as np

from ..exercise import exercise
from .c07_importance_sampling import samples, WIDE


def is_tighter_than_the_mean(answer, rng):
    """T14: -log of a mean is at most the mean of -log; for equal weights the two are equal."""
    log_w = rng.standard_normal((3, 4))
    loss, v = answer(log_w)
    if np.any(loss > -log_w.mean(axis=1)):
        return "the loss of K samples exceeds the mean loss of one: the bound must be tighter"
    return "" if np.allclose(answer(np.full((1, 4), 2.0))[0], -2) else "of equal weights the loss must be -log w"


@exercise("S6", lambda rng: {"log_w": samples(rng)["nll"] * 4},
          corners=({"log_w": np.array([[-1e4, -1e4 - 1, -1e5], [0.0, -1, -2], [1e4, 0, 1e4]])},),
          loss=lambda log_w: np.sum(-np.log(np.exp(log_w).sum(axis=1) / log_w.shape[1])),
          by=lambda answer, log_w: {"log_w": -answer(log_w)[1]}, laws=(is_tighter_than_the_mean,), hints=(
    "exp(-10000) is 0, and log(0) is -inf: first subtract the largest log w of each example.",
    "With top the largest, log 1/K sum w = top + log of the mean of exp(log w - top); v is the same for log w - top.",
    "top = log_w.max(axis=1, keepdims=True); w = np.exp(log_w - top); return -(top[:, 0] + log(w.mean(axis=1))), "
    "w / w.sum(axis=1, keepdims=True)."), slips=(
    ("w.mean(axis=1)", "w.sum(axis=1)", "it is log K too small: the mean of the weights, not their sum"),
    ("-top[:, 0] - np.log", "top[:, 0] + np.log", "the loss is -1.00 x: minus the bound"),
    ("top = log_w.max(axis=1, keepdims=True)", "top = np.zeros((len(log_w), 1))",
     "exp(-10000) is 0: subtract the largest log w first"),
    ("top = log_w.max(axis=1, keepdims=True)", "top = np.full((len(log_w), 1), log_w.max())",
     "the largest log w of all examples is far above those of one: subtract each example's own"),
    ("np.exp(log_w - top)", "np.exp(top - log_w)", "the worst sample weighs most: the sign of log w")))
def iwae(log_w):
    """The bound of K samples, and the weights with which it is differentiated.

    log_w (B, K)   the log of the importance weights w

    Return (loss, v): loss = -log 1/K sum_k w, (B,), and v = w / sum_k w, (B, K).  Both must be right
    at log w = -10000 and 10000, in one batch.                                                           (S6, F32)
    """
    top = log_w.max(axis=1, keepdims=True)
    w = np.exp(log_w - top)
    return -top[:, 0] - np.log(w.mean(axis=1)), w / w.sum(axis=1, keepdims=True)


def several(rng):
    """Return what samples returns, d_z and J (B, K, Z), and the normalized weights v (B, K)."""
    drawn = samples(rng)
    w = rng.random(drawn["nll"].shape)
    return {**drawn, "d_z": rng.standard_normal(drawn["z"].shape), "J": rng.standard_normal(drawn["z"].shape),
            "v": w / w.sum(axis=1, keepdims=True)}


FAR = {**WIDE, "d_z": WIDE["z"], "J": WIDE["z"], "v": np.array([[0.25, 0.75]])}


def _path(weight, J, moved, held):
    """Return sum weight (J z + log q(z) - log p(z)) / B, where q is held and z moves along its path."""
    z = moved["mu"][:, None] + np.exp(moved["logvar"] / 2)[:, None] * held["eps"]
    squares = (z - held["mu"][:, None])**2 * np.exp(-held["logvar"])[:, None]
    return float(np.sum(J * z) + np.sum(weight[:, :, None] * 0.5 * (z**2 - squares)) / len(z))


def vanishes_where_q_is_the_posterior(answer, rng):
    """p(x | z) = N(z, 1): the posterior is N(x/2, 1/2), where every draw must give 0."""
    x, logvar, eps = rng.standard_normal((3, 1)), np.full((3, 1), np.log(0.5)), rng.standard_normal((3, 4, 1))
    z = x[:, None] / 2 + np.sqrt(0.5) * eps
    found = answer((z - x[:, None]) / 12, z, eps, logvar)
    return "" if np.allclose(found, 0) else "where q is the posterior every draw must give 0, and does not"


@exercise("S7", several, by=("mu", "logvar"), corners=(FAR,), laws=(vanishes_where_q_is_the_posterior,),
          surrogate=lambda moved, held: _path(np.ones(held["v"].shape) / held["v"].shape[1], held["d_z"], moved, held),
          hints=(
    "z depends on the head; q itself is held. Two things move with z: the reconstruction, and log q(z) - log p(z).",
    "The slope of log q - log p along z, q held, is z - eps / sigma. So g = d_z + (z - eps / sigma) / (B K).",
    "Then d_mu = sum over k of g, d_logvar = sum over k of g eps sigma / 2."), slips=(
    (" - eps / sigma", "", "the slope of log q along z is missing: this is the total derivative's z"),
    ("eps / sigma", "eps", "the sigma of eps / sigma is missing"),
    ("eps / sigma", "eps * sigma", "eps / sigma, not eps sigma"),
    (" / eps[..., 0].size", "", "the KL part is B K x: the mean is missing"),
    ("eps[..., 0].size", "len(z)", "the KL part is K x: the mean over samples is missing"),
    ("eps * sigma / 2)", "eps * sigma)", "d_logvar is 2.00 x the right one: is the 1/2 missing?")))
def stl(d_z, z, eps, logvar):
    """Sticking the landing: the path derivative, q held, with a sampled KL.

    d_z (B, K, Z)      dL/dz through the reconstruction, with 1/B and 1/K already in it
    z, eps (B, K, Z)   samples and their noise
    logvar (B, Z)      log sigma^2 of q(z | x)

    Return (d_mu, d_logvar), (B, Z) each: d_mu = sum_k g and d_logvar = sum_k g eps sigma / 2, with
    g = d_z + (z - eps / sigma) / (B K).                                          (S7)
    """
    sigma = np.exp(logvar / 2)[:, None]
    g = d_z + (z - eps / sigma) / eps[..., 0].size
    return g.sum(axis=1), (g * eps * sigma / 2).sum(axis=1)


@exercise("S8", several, by=("mu", "logvar"), corners=(FAR,),
          surrogate=lambda moved, held: _path(
              held["v"]**2, held["v"][:, :, None]**2 * held["J"] / len(held["z"]), moved, held),
          hints=("It is S7's g under the weights v, times v once more: the weights depend on z, too.",
                 "g = v^2 (J + z - eps / sigma) / B, where v[:, :, None] stands beside z.",
                 "Then d_mu = sum over k of g, d_logvar = sum over k of g eps sigma / 2."), slips=(
              ("v[:, :, None] ** 2", "v[:, :, None]", "v stands for v^2: this is S7 under weights, which is biased"),
              (" - eps / sigma", "", "the slope of log q along z is missing"),
              ("eps / sigma", "eps * sigma", "eps / sigma, not eps sigma"),
              (" / len(z)", "", "B x: the mean over the batch is missing"),
              ("eps * sigma / 2)", "eps * sigma)", "d_logvar is 2.00 x the right one: is the 1/2 missing?")))
def dreg(J, z, eps, logvar, v):
    """The doubly reparameterized gradient of the bound of K samples.

    J (B, K, Z)        d(nll)/dz of each sample, without weights and without 1/B
    z, eps (B, K, Z)   samples and their noise
    logvar (B, Z)      log sigma^2 of q(z | x)
    v (B, K)           normalized weights, as `iwae` returns them

    Return (d_mu, d_logvar), (B, Z) each: d_mu = sum_k g and d_logvar = sum_k g eps sigma / 2, with
    g = v^2 (J + z - eps / sigma) / B.                                            (S8)
    """
    sigma = np.exp(logvar / 2)[:, None]
    g = v[:, :, None]**2 * (J + z - eps / sigma) / len(z)
    return g.sum(axis=1), (g * eps * sigma / 2).sum(axis=1)
