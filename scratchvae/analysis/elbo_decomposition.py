"""The ELBO ledger: what the loss, and the difference between ELBO and log p(x), consist of.

The loss.  With q(z) the aggregate posterior of n equally likely examples (T20),

    loss = reconstruction + KL,    mean KL(q(z | x) || p(z)) = I + KL(q(z) || p(z)),    I = E log q(z | x) / q(z)

I is the information that a draw of z has about which of the n examples it came from.  It is at most log n, because
q(z) >= q(z | x) / n.  If I is near log n, then n is too small to measure it.

The difference.  T17 says log p(x) - ELBO = KL(q || p(z | x)).  Let q* be the best Gaussian for this x:

    log p(x) = ELBO + amortization gap + approximation gap

The first gap, ELBO(q*) - ELBO(q), is the cost of one network for all x.  `optimize_posteriors` finds q* by gradient
descent on mu and logvar of each example at a fixed decoder, with the gradient that trains the encoder (E5 to E7).  The
second gap, KL(q* || p(z | x)), is the cost of a Gaussian with independent latents.  (Cremer, Li & Duvenaud 2018,
"Inference suboptimality in variational autoencoders".)
"""
import math
from typing import NamedTuple

import numpy as np

from ..elbo import decoder_backward, join_conditions, Workspace
from ..errors import TrainingError
from ..estimators import Antithetic
from ..kernels.gaussian import gaussian_backward, gaussian_forward
from ..kernels.random import EPS, standard_normal
from ..optimizers import Adam
from ..oracles import LinearGaussian, Quadrature
from ..parameters import Parameters
from ..probability.divergences import kl_terms
from ..probability.monte_carlo import Estimate, mean_estimate
from ..vae import Posterior, VAE
from ..validation import at_least, check_seed, one_of, positive_integer
from .evaluation import HeldOut, Sampler, standard_error
from .latent import AggregatePosterior

REFINING_SAMPLES = 4                  # draws for an example in one step: two pairs of eps and -eps
LEARNING_RATE = 0.05                  # first learning rate of mu and logvar; it falls to 0, to average the noise
LEAST_DRAWS = 2000                    # fewest draws for the mutual information, from all examples together
SAMPLING = "importance sampling"
REDUCTIONS = {"sum": lambda weight, D: weight / 2, "half": lambda weight, D: weight,
              "mean": lambda weight, D: weight * D / 2}                # lambda -> sigma^2                       (T16)


class Ledger(NamedTuple):
    """What `ledger` finds, in nats per example.

    loss = reconstruction + kl; kl = mutual_information + marginal_kl, mutual_information <= log_n;
    log_likelihood = elbo + amortization_gap + approximation_gap.

    `log_likelihood_by` says how log p(x) was found: "linear-Gaussian oracle", "quadrature", or "importance sampling"
    with q* as the proposal, which gives lower bounds of it and of the approximation gap.  The last is also taken if
    the posterior of an example is too narrow for quadrature.  If the likelihood is not a density of the rows, every
    likelihood is NaN.  `effective_sigma` is that of T16, NaN without a Gaussian sigma.
    """

    loss: float
    reconstruction: float
    kl: float
    mutual_information: float
    mutual_information_stderr: float
    log_n: float
    marginal_kl: float
    elbo: float
    elbo_stderr: float
    amortization_gap: float
    amortization_gap_stderr: float
    approximation_gap: float
    log_likelihood: float
    stderr: float
    log_likelihood_by: str
    importance_samples: int
    effective_sigma: float
    binarization: str
    n: int


def effective_sigma(weight: float, reduction: str = "sum", *, n_visible: int = 1) -> float:
    """Return the standard deviation of a pixel that makes squared error + weight KL an ELBO, up to a factor (T16).

    The negative ELBO of a Gaussian decoder times 2 sigma^2 is: squared error summed over pixels + 2 sigma^2 KL +
    constant.  Raises ConfigurationError if weight is not a positive number, or the reduction is unknown.

    Parameters
    ----------
    weight : float
        lambda, the weight of the KL summed over latents.
    reduction : str
        How the squared error is reduced over pixels: "sum" (lambda = 2 sigma^2), "half", half the sum (sigma^2), or
        "mean" (2 sigma^2 / D).
    n_visible : int
        D; only "mean" needs it.

    Examples
    --------
    >>> effective_sigma(2.0), effective_sigma(1.0, "half"), effective_sigma(2.0 / 4, "mean", n_visible=4)
    (1.0, 1.0, 1.0)
    """
    weight = at_least("weight", weight, 0, "It is the KL's: pass for example 1.0.", open_interval=True)
    reduction = one_of("reduction", reduction, REDUCTIONS)
    return math.sqrt(REDUCTIONS[reduction](weight, positive_integer("n_visible", n_visible)))


def mutual_information(mu: np.ndarray, logvar: np.ndarray, *, seed: int = 0) -> Estimate:
    """Estimate I = E log q(z | x) / q(z): the information of a latent about which example it belongs to (T20).

    The result is in nats, at most log n; its standard error is over examples.

    Raises ShapeError, DataError or ConfigurationError if the arrays do not fit or are not finite.

    Parameters
    ----------
    mu, logvar : array_like (n, Z)
        The encoder's Gaussians, `vae.encode(X)`.
    seed : int
        Seed of the draws; every example has the same number of them.

    Examples
    --------
    Ten codes far apart are told apart by log 10 nats.

    >>> mu = 100.0 * np.arange(10)[:, None]
    >>> abs(mutual_information(mu, np.zeros((10, 1))).value - math.log(10)) < 1e-12
    True
    """
    aggregate = AggregatePosterior(mu, logvar)
    members, rng = aggregate.members, np.random.default_rng(check_seed(seed))
    z = members.sample(max(1, LEAST_DRAWS // len(members.mu)), rng)                     # (draws, n, Z)
    log_ratio = members.log_density(z) - aggregate.log_density(z.reshape(-1, z.shape[2])).reshape(z.shape[:2])
    return mean_estimate(log_ratio.mean(axis=0))


def optimize_posteriors(vae: VAE, X: np.ndarray, *, steps: int = 100, seed: int = 0,
                        binarize: str = "none") -> Posterior:
    """Return the best Gaussian for each example: the encoder's, optimized for the ELBO at beta = 1.

    Raises ConfigurationError, ShapeError or DataError for settings or data that cannot work, and TrainingError if the
    gradient of an example is not finite.

    Parameters
    ----------
    vae : VAE
        Unchanged.
    X : array_like (n, D)
        Rows.
    steps : int
        Steps of Adam on all mu and logvar.
    seed, binarize
        As in `evaluate`.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=4, n_latent=2, hidden=(), dtype="float64")
    >>> optimize_posteriors(vae, np.eye(4), steps=10).mu.shape
    (4, 2)
    """
    positive_integer("steps", steps)
    better = [better for *_, better in _refined(HeldOut(vae, X, seed, binarize), steps)]
    return Posterior(*np.hsplit(np.concatenate(better), 2))


def _refined(held, steps):
    """Yield what `held.chunks` does and, for each head (n, 2Z), one with a larger ELBO, by gradient descent."""
    vae = held.vae
    workspace = Workspace.allocate(vae.encoder, vae.decoder, held.most, REFINING_SAMPLES, vae.dtype, vae.n_conditions)
    gradient = Parameters.zeros(vae.parameters.layout, vae.dtype)                       # a buffer that is not read
    for number, here, x, head in held.chunks():
        ws, better, adam = workspace.first(len(x)), head.copy(), Adam(head.size, head.dtype)
        d_better, ws.x[:], ws.d_kl[:] = ws.d_encoder[-1], x, 1
        for step in range(steps):
            standard_normal(held.seed, EPS, (number << 32) + step, ws.eps)
            Antithetic().pair(ws.eps, len(x))
            gaussian_forward(better, ws.eps, ws.z, ws.kl)                                           # (E2)
            join_conditions(vae.n_latent, ws.x, ws.code)
            vae.decoder.forward(vae.parameters.decoder, ws.code, ws.decoder)                        # (E3)
            ws.d_nll.fill(1 / REFINING_SAMPLES)
            decoder_backward(vae, vae.parameters, ws, gradient, ws.d_code)                          # (E5)
            gaussian_backward(better, ws.eps, ws.d_z, ws.d_kl, d_better)            # (E6, E7) without 1/B: a sum
            adam.learning_rate = LEARNING_RATE * (1 - step / steps)
            try:
                adam.update(better.reshape(-1), d_better.reshape(-1))
            except TrainingError as error:
                mu, logvar = np.hsplit(better, 2)
                raise TrainingError(f"refining mu and logvar: {error} The encoder's logvar reaches {logvar.max():g}, "
                                    f"its mu {np.abs(mu).max():g}: train it further first, or take dtype='float64'."
                                    ) from None
        yield number, here, x, head, better


def _oracle(vae, sigma):
    """Return the name and function of what gives log p(x) exactly in a short time; the function gives NaN if none."""
    if not vae.n_conditions and not vae.hidden and sigma is not None:
        return "linear-Gaussian oracle", LinearGaussian.of(vae).log_p
    if not vae.n_conditions and vae.n_latent == 1:
        return "quadrature", Quadrature(vae).log_p
    return SAMPLING, lambda x: np.full(len(x), np.nan)


def ledger(vae: VAE, X: np.ndarray, *, importance_samples: int = 1000, steps: int = 100, seed: int = 0,
           binarize: str = "none") -> Ledger:
    """Find the parts of the loss, and of log p(x) - ELBO, in nats per example at beta = 1.

    If the VAE was trained at another beta, the amortization gap contains the effect of that.  Raises what
    `evaluate` and `optimize_posteriors` do.

    Parameters
    ----------
    vae, X, importance_samples
        As in `evaluate`.
    steps, seed, binarize
        As in `optimize_posteriors`.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=(), dtype="float64")
    >>> found = ledger(vae, np.eye(4), importance_samples=100, steps=20)
    >>> bool(np.isclose(found.log_likelihood, found.elbo + found.amortization_gap + found.approximation_gap))
    True
    """
    importance_samples = positive_integer("importance_samples", importance_samples)
    positive_integer("steps", steps)
    held = HeldOut(vae, X, seed, binarize)
    vae, sampler = held.vae, Sampler(held.vae, held.most)
    sigma = vae.likelihood.sigma_of(vae.parameters.likelihood)
    log_likelihood_by, exact_log_p = _oracle(vae, sigma)
    heads = np.empty((held.n, 2 * vae.n_latent))
    nll, kl, best, log_p, exact = (np.empty(held.n) for _ in range(5))
    for number, here, x, head, better in _refined(held, steps):
        heads[here] = head
        kl[here] = kl_terms(*np.hsplit(head, 2)).sum(axis=1)                                        # (E4)
        _, nll[here], _ = sampler.summary(head, x, importance_samples, held.seed, number)
        log_p[here], best_nll, _ = sampler.summary(better, x, importance_samples, held.seed, number)
        best[here] = -best_nll - kl_terms(*np.hsplit(better, 2)).sum(axis=1)
        exact[here] = exact_log_p(x)
    if np.isnan(exact).any():                                     # all examples are measured alike
        log_likelihood_by, exact = SAMPLING, log_p
    information = mutual_information(*np.hsplit(heads, 2), seed=seed)
    loss, elbo, log_p = nll + kl, held.likelihoods(-nll - kl), held.likelihoods(exact)
    return Ledger(
        loss=float(loss.mean()), reconstruction=float(nll.mean()), kl=float(kl.mean()),
        mutual_information=information.value, mutual_information_stderr=information.stderr, log_n=math.log(held.n),
        marginal_kl=float(kl.mean()) - information.value,
        elbo=float(elbo.mean()), elbo_stderr=float(standard_error(elbo)),
        amortization_gap=float((best + loss).mean()), amortization_gap_stderr=float(standard_error(best + loss)),
        approximation_gap=float((log_p - best).mean()), log_likelihood=float(log_p.mean()),
        stderr=float(standard_error(log_p)),
        log_likelihood_by=log_likelihood_by, importance_samples=importance_samples,
        effective_sigma=math.nan if sigma is None or vae.beta == 0 else sigma * effective_sigma(vae.beta, "half"),
        binarization=held.binarization, n=held.n)
