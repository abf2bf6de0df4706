"""Held-out quality: the ELBO, the importance-sampled log-likelihood, and how many latents are used."""
import math
from typing import NamedTuple

import numpy as np

from .batches import as_rows, binarize_mode, check_rows, read_rows, require_unit_range
from .errors import ConfigurationError
from .kernels.gaussian import gaussian_forward
from .kernels.random import SAMPLES, standard_normal
from .training import HELD_OUT_SEED, check_seed

EXAMPLES, ROWS = 128, 1024            # examples a chunk, and decoder rows (examples times samples) a chunk
ACTIVE = 0.01                         # variance of a posterior mean over the data that counts as in use


class Evaluation(NamedTuple):
    """What `evaluate` measures; all figures are nats per example.

    For grey pixels under a Bernoulli nothing is a likelihood: `elbo`, `log_likelihood` and `stderr` are then NaN
    and only `loss` (reconstruction + kl) is given.
    """

    elbo: float
    log_likelihood: float
    stderr: float
    importance_samples: int
    effective_samples: float
    active_units: int
    binarization: str
    n: int
    loss: float
    reconstruction: float
    kl: float
    kl_per_dimension: np.ndarray


def kl_terms(mu, logvar):
    """Return KL(q(z_j | x) || p(z_j)), (n, Z) float64 in nats, of means and log variances (n, Z).     (E4)"""
    mu, logvar = mu.astype(np.float64), logvar.astype(np.float64)
    return 0.5 * (np.square(mu) + np.expm1(logvar) - logvar)


def log_mean_exp(total, top, count):
    """Return log(1/count sum exp(log_w)) from top = max log_w and total = sum exp(log_w - top)."""
    return top + np.log(total) - math.log(count)


def _importance_sample(vae, head, x, importance_samples, seed, chunk, decoder_buffers):
    """Return, for each row of x: log p(x), the mean nll, and the effective number of samples.

    log p(x) = log 1/K sum_k w_k, with log w = log p(x | z) + log p(z) - log q(z | x)                  (T13)
             = -nll - z^2 / 2 + eps^2 / 2 + logvar / 2, summed over latents: both Gaussians' constants cancel.
    The sum runs in chunks of samples against a running maximum, so memory does not grow with K.
    """
    n, n_latent = len(x), vae.n_latent
    half_logvar = 0.5 * head[:, n_latent:].sum(axis=1, dtype=np.float64)
    top, total = np.full(n, -np.inf), np.zeros(n)
    total_squares, nll_sum = np.zeros(n), np.zeros(n)
    per_chunk = max(1, ROWS // n)
    kl = np.empty(n)
    for part, start in enumerate(range(0, importance_samples, per_chunk)):
        k = min(per_chunk, importance_samples - start)
        eps, z, nll, y = (buffer[:n * k] if not isinstance(buffer, tuple) else tuple(layer[:n * k] for layer in buffer)
                          for buffer in decoder_buffers)
        standard_normal(seed, SAMPLES, (chunk << 32) + part, eps.reshape(-1))
        gaussian_forward(head, eps, z, kl)
        vae.decoder.forward(vae.parameters.decoder, z, y)
        vae.likelihood.nll(y[-1], x, nll)
        squares = np.einsum("ij,ij->i", eps, eps) - np.einsum("ij,ij->i", z, z)
        log_w = (0.5 * squares - nll).reshape(n, k) + half_logvar[:, None]
        new_top = np.maximum(top, log_w.max(axis=1))
        weights = np.exp(log_w - new_top[:, None])
        shrink = np.exp(top - new_top)
        total = total * shrink + weights.sum(axis=1)
        total_squares = total_squares * shrink**2 + np.square(weights).sum(axis=1)
        top = new_top
        nll_sum += nll.reshape(n, k).sum(axis=1)
    return log_mean_exp(total, top, importance_samples), nll_sum / importance_samples, total**2 / total_squares


def evaluate(vae, X, importance_samples=5000, seed=0, binarize="none"):
    """Measure a VAE on held-out data, in bounded memory.

    Parameters
    ----------
    vae : VAE
        Unchanged.
    X : array_like (n, D)
        Held-out rows: floats, or uint8 images.
    importance_samples : int
        K: samples of z an example.  The estimate of log p(x) is a lower bound in expectation that rises with K
        (T13, T14), so a figure without its K means little.
    seed : int
        Of the samples and the binarisation.
    binarize : str
        "none", "dynamic" (each pixel drawn once) or "threshold".

    Returns
    -------
    Evaluation
        Nats per example; `stderr` is the standard error of the mean over the n examples.

    Raises
    ------
    ConfigurationError, ShapeError, DataError
        For settings or data that cannot work.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=())
    >>> result = evaluate(vae, np.eye(4), importance_samples=100)
    >>> result.n, bool(result.log_likelihood >= result.elbo)
    (4, True)
    """
    if not isinstance(importance_samples, (int, np.integer)) or importance_samples < 1:
        raise ConfigurationError(f"importance_samples is {importance_samples!r}; it must be an integer of at least 1. "
                                 "Use 5000 for a figure to publish, 100 for a look.")
    mode, seed = binarize_mode(binarize), check_seed(seed) + HELD_OUT_SEED
    rows = as_rows(X, vae.n_visible, "X")
    check_rows(rows, vae.likelihood, "X")
    require_unit_range(rows, binarize)
    n_latent = vae.n_latent
    log_p, nll, kl, effective = (np.empty(len(rows)) for _ in range(4))
    mu, kl_per_dimension = np.empty((len(rows), n_latent)), np.zeros(n_latent)
    grey = False
    most = min(EXAMPLES, len(rows))
    decoder_rows = most * max(1, ROWS // most)
    latent = [np.empty((decoder_rows, n_latent), vae.dtype) for _ in range(2)]
    buffers = (*latent, np.empty(decoder_rows), vae.decoder.outputs(decoder_rows, vae.dtype))
    x_buffer, encoder_buffer = np.empty((most, vae.n_visible), vae.dtype), vae.encoder.outputs(most, vae.dtype)
    for chunk, start in enumerate(range(0, len(rows), EXAMPLES)):
        here = slice(start, min(start + EXAMPLES, len(rows)))
        n = here.stop - start
        x, y = x_buffer[:n], tuple(layer[:n] for layer in encoder_buffer)
        read_rows(rows, np.arange(here.start, here.stop), mode, seed, chunk, x)
        grey |= vae.likelihood.name == "bernoulli" and bool(((x != 0) & (x != 1)).any())
        vae.encoder.forward(vae.parameters.encoder, x, y)
        head = y[-1]
        mu[here] = head[:, :n_latent]
        terms = kl_terms(mu[here], head[:, n_latent:])                                               # (E4)
        kl_per_dimension += terms.sum(axis=0)
        kl[here] = terms.sum(axis=1)
        log_p[here], nll[here], effective[here] = _importance_sample(
            vae, head, x, importance_samples, seed, chunk, buffers)
    loss = float(nll.mean() + kl.mean())
    known = math.nan if grey else 1.0
    return Evaluation(
        elbo=-loss * known, log_likelihood=float(log_p.mean()) * known,
        stderr=float(log_p.std(ddof=1) / math.sqrt(len(rows))) * known if len(rows) > 1 else math.nan,
        importance_samples=int(importance_samples), effective_samples=float(effective.mean()),
        active_units=int((mu.var(axis=0) > ACTIVE).sum()),
        binarization="grey" if grey else binarize, n=len(rows), loss=loss,
        reconstruction=float(nll.mean()), kl=float(kl.mean()), kl_per_dimension=kl_per_dimension / len(rows))
