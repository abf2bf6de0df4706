"""Held-out quality: the ELBO, the importance-sampled log-likelihood, the bounds between them, and latents in use.

If the likelihood is not a density of the rows, there is only a loss.  This is so for gray pixels under a Bernoulli,
whose p(x | z) is a distribution of zeros and ones.
"""
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arrays import log_sum_exp
from ..data.minibatch import binarize_mode, check_data, load_batch
from ..elbo import join_conditions
from ..errors import ConfigurationError
from ..kernels.gaussian import gaussian_forward
from ..kernels.random import SAMPLES, standard_normal
from ..probability.divergences import kl_terms
from ..tables import html_table
from ..training import HELD_OUT_SEED
from ..vae import VAE
from ..validation import check_seed, instance_of, one_of, positive_integer, rows_at_once

EXAMPLES_AT_ONCE = 128                # examples in a chunk
DECODER_ROWS = 1024                   # decoder rows in a chunk: examples times samples
ACTIVE = 0.01                         # a latent is in use if the variance of its posterior mean is larger than this
PROPOSALS = ("encoder", "prior")


class Evaluation(NamedTuple):
    """What `evaluate` measures, in nats per example; `stderr` is that of `log_likelihood`, the mean over n examples.

    If the likelihood is not a density of the rows (gray pixels under a Bernoulli), `elbo`, `log_likelihood` and
    `stderr` are NaN, `binarization` is "gray", and only `loss` (reconstruction + kl) is given.
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
    proposal: str

    def _repr_html_(self) -> str:
        """Return the figures as a table for a notebook."""
        with np.printoptions(precision=3, threshold=20):
            rows = [(name, f"{value:.6g}" if isinstance(value, float) else str(value))
                    for name, value in self._asdict().items()]
        return html_table(("nats per example, and counts", "value"), rows)


class IWAEBounds(NamedTuple):
    """The bounds L_K that `iwae_bounds` measures: each K, L_K and their standard errors in nats, (m,) each.

    If the likelihood is not a density of the rows (gray pixels under a Bernoulli), `bounds` and `stderrs` are NaN,
    and only `losses`, -L_K, are given.
    """

    importance_samples: np.ndarray
    bounds: np.ndarray
    stderrs: np.ndarray
    losses: np.ndarray
    binarization: str
    n: int


def log_mean_exp(total: np.ndarray, top: np.ndarray, count: int) -> np.ndarray:
    """Return log(1/count sum exp(log_w)) from top = max log_w and total = sum exp(log_w - top); -inf if total is 0."""
    with np.errstate(divide="ignore"):
        return top + np.log(total) - math.log(count)


class HeldOut:
    """Checked held-out rows, which are read and encoded in chunks; the arguments are those of `evaluate`.

    `vae` is the model that measures (`for_evaluation`).  `is_density` is True if the likelihood is a density of all
    rows.
    """

    def __init__(self, vae: VAE, X: np.ndarray, seed: int, binarize: str) -> None:
        instance_of("vae", vae, VAE, "Only a VAE has an ELBO.")
        self.binarize, self.mode, self.seed = binarize, binarize_mode(binarize), check_seed(seed) + HELD_OUT_SEED
        self.vae = vae = vae.for_evaluation()
        self.rows = check_data(X, vae, "X", binarize)
        self.n, self.most = len(self.rows), min(EXAMPLES_AT_ONCE, len(self.rows))
        self.is_density = all(vae.likelihood.is_density(x[:, :vae.n_visible]) for _, _, x in self._batches())

    @property
    def binarization(self) -> str:
        """The `binarize` of the settings, or "gray" if the likelihood is not a density of the rows."""
        return self.binarize if self.is_density else "gray"

    def likelihoods(self, values: Any) -> Any:
        """Return values, or NaN of the same shape if the likelihood is not a density of the rows."""
        return values if self.is_density else np.full_like(values, np.nan)

    def _batches(self):
        """Yield (number, slice of the rows, x (k, D)) of every chunk, in a buffer that the next chunk reuses."""
        buffer = np.empty((self.most, self.vae.n_visible + self.vae.n_conditions), self.vae.dtype)
        for number, start in enumerate(range(0, self.n, EXAMPLES_AT_ONCE)):
            here = slice(start, min(start + EXAMPLES_AT_ONCE, self.n))
            x = buffer[:here.stop - start]
            load_batch(self.rows, np.arange(here.start, here.stop), self.mode, self.seed, number, x)
            yield number, here, x

    def chunks(self) -> Iterator:
        """Yield (number, slice of the rows, x (k, D), head (k, 2Z)) of every chunk, in buffers that are reused."""
        vae = self.vae
        outputs = vae.encoder.outputs(self.most, vae.dtype)
        for number, here, x in self._batches():
            y = tuple(layer[:len(x)] for layer in outputs)
            vae.encoder.forward(vae.parameters.encoder, x, y)
            yield number, here, x, y[-1]


class Sampler:
    """Draws z ~ q for up to `most` examples at a time, computes their weights, and holds the buffers for that."""

    def __init__(self, vae: VAE, most: int) -> None:
        self.vae, rows = vae, most * max(1, DECODER_ROWS // most)
        self.eps, self.code = (np.empty((rows, vae.n_latent + n), vae.dtype) for n in (0, vae.n_conditions))
        self.nll, self.kl, self.outputs = np.empty(rows), np.empty(most), vae.decoder.outputs(rows, vae.dtype)

    def draws(self, head: np.ndarray, x: np.ndarray, importance_samples: int, seed: int, number: int) -> Iterator:
        """Yield (log w, nll), (n, k) float64 in nats, until every row of x (n, D) has importance_samples draws.

        log w = log p(x | z) + log p(z) - log q(z | x)                                                       (T13)
              = -nll - z^2 / 2 + eps^2 / 2 + logvar / 2, summed over latents; the Gaussians' constants cancel.
        """
        vae, n = self.vae, len(x)
        half_logvar = 0.5 * head[:, vae.n_latent:].sum(axis=1, dtype=np.float64)
        per_chunk = max(1, DECODER_ROWS // n)
        for part, start in enumerate(range(0, importance_samples, per_chunk)):
            k = min(per_chunk, importance_samples - start)
            eps, code, nll = self.eps[:n * k], self.code[:n * k], self.nll[:n * k]
            z = code[:, :vae.n_latent]
            y = tuple(layer[:n * k] for layer in self.outputs)
            standard_normal(seed, SAMPLES, (number << 32) + part, eps)
            gaussian_forward(head, eps, z, self.kl[:n])
            join_conditions(vae.n_latent, x, code)
            vae.decoder.forward(vae.parameters.decoder, code, y)
            vae.likelihood.nll(vae.parameters.likelihood, y[-1], x[:, :vae.n_visible], nll)
            squares = np.einsum("ij,ij->i", eps, eps) - np.einsum("ij,ij->i", z, z)
            yield (0.5 * squares - nll).reshape(n, k) + half_logvar[:, None], nll.reshape(n, k)

    def summary(self, head: np.ndarray, x: np.ndarray, importance_samples: int, seed: int, number: int) -> tuple:
        """Return, for each row of x: log p(x) = log 1/K sum w, the mean nll, and the effective number of samples.

        The sum is over chunks of samples, relative to a running maximum, so memory does not grow with K.
        """
        n = len(x)
        top, total = np.full(n, -np.inf), np.zeros(n)
        total_squares, nll_sum = np.zeros(n), np.zeros(n)
        for log_w, nll in self.draws(head, x, importance_samples, seed, number):
            new_top = np.maximum(top, log_w.max(axis=1))
            finite = np.where(new_top > -np.inf, new_top, 0.0)                # all weights may be 0 so far
            weights = np.exp(log_w - finite[:, None])
            shrink = np.exp(top - finite)
            total = total * shrink + weights.sum(axis=1)
            total_squares = total_squares * shrink**2 + np.square(weights).sum(axis=1)
            top = new_top
            nll_sum += nll.sum(axis=1)
        log_p = log_mean_exp(total, top, importance_samples)
        return log_p, nll_sum / importance_samples, total**2 / np.maximum(total_squares, 1)    # the largest weight is 1


def standard_error(values: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean of values (n,), or of each column of (n, m); NaN if n is 1."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    with np.errstate(invalid="ignore"):                              # of -inf it is NaN
        return values.std(axis=0, ddof=1) / math.sqrt(len(values))


def evaluate(vae: VAE, X: np.ndarray, *, importance_samples: int = 5000, seed: int = 0, binarize: str = "none",
             proposal: str = "encoder") -> Evaluation:
    """Measure a VAE on held-out data, in bounded memory.

    Raises ConfigurationError, ShapeError or DataError for settings or data that cannot work.

    Parameters
    ----------
    vae : VAE
        Unchanged.
    X : array_like (n, D)
        Held-out rows: floats, or uint8 images; of a VAE with conditions what `vae.join(X, y)` returns.
    importance_samples : int
        K: samples of z for each example.  The estimate of log p(x) is a lower bound in expectation that rises with K
        (T13, T14), so report it with its K.
    seed : int
        Seed of the samples and the binarization.
    binarize : str
        "none", "dynamic" (each pixel is drawn once) or "threshold".
    proposal : str
        The distribution of z, q in T13: "encoder", or "prior", which needs no encoder but fails in many dimensions
        (T12; `effective_samples` shows it).  All results are then those of q = p(z), whose KL is 0.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=())
    >>> result = evaluate(vae, np.eye(4), importance_samples=100)
    >>> result.n, bool(result.log_likelihood >= result.elbo)
    (4, True)
    """
    importance_samples = positive_integer("importance_samples", importance_samples)
    one_of("proposal", proposal, PROPOSALS)
    held = HeldOut(vae, X, seed, binarize)
    sampler, n, n_latent = Sampler(held.vae, held.most), held.n, held.vae.n_latent
    log_p, nll, kl, effective = (np.empty(n) for _ in range(4))
    mu, kl_per_dimension = np.empty((n, n_latent)), np.zeros(n_latent)
    for number, here, x, head in held.chunks():
        if proposal == "prior":
            head[:] = 0
        mu[here] = head[:, :n_latent]
        terms = kl_terms(mu[here], head[:, n_latent:])                                               # (E4)
        kl_per_dimension += terms.sum(axis=0)
        kl[here] = terms.sum(axis=1)
        log_p[here], nll[here], effective[here] = sampler.summary(head, x, importance_samples, held.seed, number)
    loss, log_p = float(nll.mean() + kl.mean()), held.likelihoods(log_p)
    return Evaluation(
        elbo=float(held.likelihoods(-loss)), log_likelihood=float(log_p.mean()), stderr=float(standard_error(log_p)),
        importance_samples=importance_samples, effective_samples=float(effective.mean()),
        active_units=int((mu.var(axis=0) > ACTIVE).sum()), binarization=held.binarization, n=n, loss=loss,
        reconstruction=float(nll.mean()), kl=float(kl.mean()), kl_per_dimension=kl_per_dimension / n,
        proposal=proposal)


def iwae_bounds(vae: VAE, X: np.ndarray, *, importance_samples: Iterable[int] = (1, 5, 50, 500), seed: int = 0,
                binarize: str = "none") -> IWAEBounds:
    """Measure the bounds L_K on log p(x) for several K, all from the draws for the largest K.

    The draws are divided into disjoint groups of K, and L_K is the mean of log 1/K sum w over groups.  Every K divides
    the next, so each group consists of smaller ones, and Jensen's inequality holds for the measured numbers: the bounds
    never fall, not even by chance (T14).  L_1 is the ELBO with a sampled KL.  Raises ConfigurationError, ShapeError or
    DataError for settings or data that cannot work.

    Parameters
    ----------
    vae, X
        As in `evaluate`.
    importance_samples : sequence of int
        Every K, in rising order, each a multiple of the one before.
    seed, binarize
        As in `evaluate`.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> found = iwae_bounds(VAE(n_visible=4, n_latent=1, hidden=()), np.eye(4), importance_samples=(1, 10, 100))
    >>> bool((np.diff(found.bounds) >= 0).all())
    True
    """
    try:
        ladder = [positive_integer("importance_samples", k) for k in importance_samples]
    except TypeError:
        ladder = []
    if not ladder or any(b % a or b == a for a, b in zip(ladder, ladder[1:])):
        raise ConfigurationError(f"importance_samples is {importance_samples!r}; expected rising integers, each a "
                                 "multiple of the one before. Take for example (1, 5, 50, 500).")
    held = HeldOut(vae, X, seed, binarize)
    rows_at_once("importance_samples", ladder[-1], held.most)
    sampler, bounds = Sampler(held.vae, held.most), np.empty((held.n, len(ladder)))
    for number, here, x, head in held.chunks():
        draws = sampler.draws(head, x, ladder[-1], held.seed, number)
        log_w = np.concatenate([log_w for log_w, _ in draws], axis=1)
        length = 1
        for step, k in enumerate(ladder):
            parts, length = k // length, k                    # a group of K consists of so many groups of the K before
            log_w = log_sum_exp(log_w.reshape(len(x), -1, parts), axis=2) - math.log(parts)
            bounds[here, step] = log_w.mean(axis=1)
    known = held.likelihoods(bounds)
    return IWAEBounds(np.array(ladder), known.mean(axis=0), standard_error(known), -bounds.mean(axis=0),
                      held.binarization, held.n)
