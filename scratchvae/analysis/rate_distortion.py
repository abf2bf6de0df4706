"""The lambda lab: the effect of the KL's weight on a data set, and the best weight for it (T9, T16).

A VAE with a Gaussian decoder of sigma = 1 minimizes half the squared error + beta KL + constant.  Divided by beta this
is the negative ELBO of the same networks with sigma^2 = beta (T16): training at beta is maximum likelihood with this
fixed sigma, so the model is measured with this sigma.  The best beta of a data set is the one whose model gives
held-out data the largest log p(x), each at its own sigma.  A model that computes the best sigma for its own errors
(L11) gives a beta without a search.  (Its sigma is not learned by gradient descent: Adam moves log sigma^2 by one
learning rate in each step, which is too slow for a short run.)
"""
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..data.loading import Dataset
from ..errors import ConfigurationError
from ..vae import VAE
from ..validation import function_of, instance_of, positive_integer
from .elbo_decomposition import effective_sigma
from .evaluation import evaluate

BETAS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
BATCH_SIZE = 64      # rows in a training batch


class Point(NamedTuple):
    """One trained model, measured on held-out data at its own sigma: sigma^2 = beta.

    `rate`, the KL, `elbo`, `log_likelihood` (importance sampling, K = `importance_samples`) and its `stderr` are in
    nats per example, for pixels on the scale 0 to 1.  `distortion` is the mean squared error of a pixel for z from q.
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

    `best_beta` has the largest held-out log-likelihood of the points.  If it is the smallest or the largest beta tried,
    `at_edge` is True: a better one may lie beyond.  `implied_beta` is the learned sigma squared.
    """

    dataset: str
    best_beta: float
    at_edge: bool
    implied_beta: float
    learned: Point
    points: list


def _measure(vae, X, importance_samples, seed):
    """Return the Point of a Gaussian VAE; half the squared error follows from its nll (E8)."""
    found = evaluate(vae, X, importance_samples=importance_samples, seed=seed)
    sigma = vae.likelihood.sigma_of(vae.parameters.likelihood)
    half_log = 0.5 * vae.n_visible * math.log(2 * math.pi * sigma**2)
    half_squares = sigma**2 * (found.reconstruction - half_log)
    return Point(sigma**2, sigma, found.kl, 2 * half_squares / vae.n_visible, found.elbo, found.log_likelihood,
                 found.stderr, importance_samples, found.binarization, found.n, found.active_units)


def check_betas(betas: Iterable) -> list:
    """Return betas in rising order; raises ConfigurationError unless they are two or more different positive floats."""
    try:
        found = sorted(float(beta) for beta in betas)
    except (TypeError, ValueError):
        found = []
    if len(set(found)) < max(2, len(found)) or not all(0 < beta < math.inf for beta in found):
        raise ConfigurationError(f"betas is {betas!r}; expected two or more different positive numbers. "
                                 "Take for example 0.01, 0.02, 0.04.")
    return found


def rate_distortion(data: Dataset, betas: Iterable = BETAS, *, epochs: int = 30, hidden: tuple = (128,),
                    n_latent: int = 10, importance_samples: int = 100, seed: int = 0, learning_rate: float = 2e-3,
                    after_model: Callable | None = None) -> Curve:
    """Train a small VAE for every beta, and one that fits its sigma; measure them on the held-out part.

    Raises ConfigurationError, DataError or TrainingError for settings or data that cannot work.

    Parameters
    ----------
    data : Dataset
        From `load_data`; its pixels are taken as gray numbers from 0 to 1.
    betas : sequence of float
        Weights of the KL against half the squared error.
    epochs : int
        Epochs of training of each model.
    hidden, n_latent
        As in `VAE`.
    importance_samples : int
        K, for the log-likelihood.
    seed : int
        Seed of weights, noise and samples, the same for all models.
    learning_rate : float
        The learning rate of Adam.
    after_model : callable, optional
        after_model(point) is called after each model.

    Examples
    --------
    >>> from scratchvae import load_data
    >>> curve = rate_distortion(load_data("digits"), betas=(0.01, 1.0), epochs=2, hidden=(16,), n_latent=2)
    >>> curve.points[0].rate > curve.points[1].rate                        # a smaller weight gives a larger KL
    True
    """
    instance_of("data", data, Dataset, "Pass what load_data returns.")
    if after_model is not None:
        function_of("after_model", after_model, "after_model(point)")
    betas, points, after_model = check_betas(betas), [], after_model or (lambda point: None)
    positive_integer("epochs", epochs)
    settings: dict[str, Any] = dict(n_visible=data.train.shape[1], n_latent=n_latent, hidden=hidden, seed=seed)
    training: dict[str, Any] = dict(epochs=epochs, batch_size=min(BATCH_SIZE, len(data.train)),
                                    learning_rate=learning_rate, seed=seed)
    for beta in betas:
        trained = VAE(likelihood="gaussian", beta=beta, **settings).fit(data.train, **training)
        vae = VAE(likelihood="gaussian", sigma=effective_sigma(beta, "half"), **settings)
        vae.parameters.flat[:] = trained.parameters.flat
        points.append(_measure(vae, data.test, importance_samples, seed)._replace(beta=beta))
        after_model(points[-1])
    fitted = VAE(likelihood="gaussian_optimal", **settings).fit(data.train, **training)
    learned = _measure(fitted, data.test, importance_samples, seed)
    after_model(learned)
    best = int(np.argmax([point.log_likelihood for point in points]))
    return Curve(data.name, betas[best], best in (0, len(betas) - 1), learned.beta, learned, points)
