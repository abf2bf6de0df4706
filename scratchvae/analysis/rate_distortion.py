"""The lambda lab: what the KL's weight does on a data set, and which weight the data want (T9, T16).

A VAE with a Gaussian decoder of sigma = 1 minimizes half the squared error + beta KL + constant.  Divided by beta that
is the negative ELBO of the same networks with sigma^2 = beta (T16): training at beta is maximum likelihood with a fixed
sigma, and this is the sigma to measure it with.  Otherwise a small beta would look bad for its KL alone.  So the best
beta of a data set is the one whose model gives held-out data the largest log p(x), each at its own sigma; and a model
that sets its sigma to the best for its own errors (L11) names a beta without a search.  (Solved for, not learned by
gradient: Adam moves log sigma^2 by one learning rate a step, and a short run would end on the way.)
"""
import math
from typing import NamedTuple

import numpy as np

from ..data.loading import Dataset
from ..errors import ConfigurationError
from ..vae import VAE
from ..validation import function_of, instance_of, positive_integer
from .elbo_decomposition import effective_sigma
from .evaluation import evaluate

BETAS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
BATCH = 64


class Point(NamedTuple):
    """One trained model, measured on held-out data at its own sigma: sigma^2 = beta.

    `rate` is the KL; it, `elbo`, `log_likelihood` (importance sampling, K = `importance_samples`) and its `stderr` are
    nats per example, of densities of pixels on the scale 0 to 1; `distortion` is the squared error a pixel, z drawn
    from q.
    """

    beta: float
    sigma: float
    rate: float
    distortion: float
    elbo: float
    log_likelihood: float
    stderr: float
    importance_samples: int
    binarization: str
    n: int
    active_units: int


class Curve(NamedTuple):
    """A data set's rate-distortion curve: `points` of rising beta, and `learned`, the model that fitted its sigma.

    `best_beta` has the largest held-out log-likelihood of the points; `at_edge` if it is the smallest or the largest
    beta tried, so that a better one may lie beyond.  `implied_beta` is the learned sigma squared.
    """

    dataset: str
    best_beta: float
    at_edge: bool
    implied_beta: float
    learned: Point
    points: list


def _measure(vae, X, importance_samples, seed):
    """Return the Point of a Gaussian VAE; half the squared error is read off its nll (E8)."""
    found, sigma = evaluate(vae, X, importance_samples, seed), vae.likelihood.sigma_of(vae.parameters.likelihood)
    half_log = 0.5 * vae.n_visible * math.log(2 * math.pi * sigma**2)
    half_squares = sigma**2 * (found.reconstruction - half_log)
    return Point(sigma**2, sigma, found.kl, 2 * half_squares / vae.n_visible, found.elbo, found.log_likelihood,
                 found.stderr, importance_samples, found.binarization, found.n, found.active_units)


def check_betas(betas):
    """Return betas as rising floats; raises ConfigurationError unless they are two or more different positive numbers.

    Examples
    --------
    >>> check_betas([0.1, 0.01])
    [0.01, 0.1]
    """
    try:
        found = sorted(float(beta) for beta in betas)
    except (TypeError, ValueError):
        found = []
    if len(set(found)) < max(2, len(found)) or not all(0 < beta < math.inf for beta in found):
        raise ConfigurationError(f"betas is {betas!r}; expected two or more different positive numbers. "
                                 "Take for example 0.01, 0.02, 0.04.")
    return found


def rate_distortion(data, betas=BETAS, epochs=30, hidden=(128,), n_latent=10, importance_samples=100, seed=0,
                    learning_rate=2e-3, after_model=None):
    """Train a small VAE for every beta, and one that fits its sigma; measure them on the held-out part.

    Parameters
    ----------
    data : Dataset
        From `load_data`; its pixels are taken as gray numbers from 0 to 1.
    betas : sequence of float
        Weights of the KL against half the squared error.
    epochs : int
        Of each model.
    hidden : sequence of int
        As in `VAE`.
    n_latent : int
        Z.
    importance_samples : int
        K, for the log-likelihood.
    seed : int
        Of weights, noise and samples: the same for all models.
    learning_rate : float
        Of Adam.
    after_model : callable, optional
        after_model(point) after each model.

    Returns
    -------
    Curve

    Raises
    ------
    ConfigurationError, DataError, TrainingError
        For settings or data that cannot work.

    Examples
    --------
    >>> from scratchvae import load_data
    >>> curve = rate_distortion(load_data("digits"), betas=(0.01, 1.0), epochs=2, hidden=(16,), n_latent=2)
    >>> curve.points[0].rate > curve.points[1].rate                        # the KL is cheap, so more of it is spent
    True
    """
    instance_of("data", data, Dataset, "Pass what load_data returns.")
    if after_model is not None:
        function_of("after_model", after_model, "after_model(point)")
    betas, points = check_betas(betas), []
    positive_integer("epochs", epochs)
    settings = dict(n_visible=data.train.shape[1], n_latent=n_latent, hidden=hidden, seed=seed)
    training = dict(epochs=epochs, batch_size=min(BATCH, len(data.train)), learning_rate=learning_rate, seed=seed)
    for beta in betas:
        trained = VAE(likelihood="gaussian", beta=beta, **settings)
        trained.fit(data.train, **training)
        vae = VAE(likelihood="gaussian", sigma=effective_sigma(beta, "half"), **settings)
        vae.parameters.flat[:] = trained.parameters.flat
        points.append(_measure(vae, data.test, importance_samples, seed)._replace(beta=beta))
        if after_model:
            after_model(points[-1])
    vae = VAE(likelihood="gaussian_optimal", **settings)
    vae.fit(data.train, **training)
    learned = _measure(vae, data.test, importance_samples, seed)
    if after_model:
        after_model(learned)
    best = int(np.argmax([point.log_likelihood for point in points]))
    return Curve(data.name, betas[best], best in (0, len(betas) - 1), learned.beta, learned, points)
