"""A mixture of Gaussians fitted by expectation-maximization, to sample latents from (T20)."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_finite, as_numbers, log_sum_exp
from ..errors import ConfigurationError, DataError, ShapeError
from ..validation import check_seed, number, positive_integer, rows_at_once
from .distributions import Discrete, FullGaussian

LEAST_FLOOR = 1e-13            # least `floor`: below it, rounding makes eigenvalues negative


class GaussianMixture:
    """sum_k weights_k N(mean_k, covariance_k), with weights (K,) and K components (FullGaussian) of one dimension.

    Raises ConfigurationError, ShapeError or DataError if the weights are not probabilities of the components, or these
    are not FullGaussians of one dimension.

    Examples
    --------
    >>> mixture = GaussianMixture([0.5, 0.5], [FullGaussian([m], [[1.0]]) for m in (-3.0, 3.0)])
    >>> mixture.sample(5, seed=0).shape
    (5, 1)
    """

    def __init__(self, weights: Any, components: Sequence):
        if not isinstance(components, (list, tuple)) or not all(isinstance(c, FullGaussian) for c in components):
            raise ConfigurationError(f"components is {components!r}; expected a list of FullGaussian. Wrap each mean "
                                     "and covariance in one.")
        try:
            self.log_weights, self.components = Discrete(weights).log_p, tuple(components)
        except (ShapeError, DataError) as error:
            raise type(error)(f"weights: {error}") from error
        sizes = {len(component.mean) for component in self.components}
        if self.log_weights.shape != (len(self.components),) or len(sizes) != 1:
            raise ShapeError(f"weights has shape {self.log_weights.shape}, and there are {len(self.components)} "
                             f"components of dimensions {sorted(sizes)}; expected one weight a component, and one "
                             "dimension. Pass equally long sequences.")

    @property
    def weights(self) -> np.ndarray:
        """Probabilities of the components, (K,)."""
        return np.exp(self.log_weights)

    def log_joint(self, z: Any) -> np.ndarray:
        """Return log [weight_k N(z; mean_k, covariance_k)], (n, K), for z (n, Z), in nats."""
        z, n_latent = as_numbers(z, "z", ndim=(2,)), len(self.components[0].mean)
        if z.shape[1] != n_latent:
            raise ShapeError(f"z has {z.shape[1]} columns; expected {n_latent}, the components' dimension. "
                             "Pass latents of the same model.")
        return np.stack([log_weight + component.log_density(z)
                         for log_weight, component in zip(self.log_weights, self.components)], axis=1)

    def log_density(self, z: Any) -> np.ndarray:
        """Return the log density at z (n, Z), (n,) in nats."""
        return log_sum_exp(self.log_joint(z), axis=1)

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """Return n draws, (n, Z)."""
        rng = np.random.default_rng(check_seed(seed))
        counts = rng.multinomial(rows_at_once("n", n, len(self.components[0].mean)), self.weights)
        drawn = [component.sample(count, rng) for count, component in zip(counts, self.components)]
        return rng.permutation(np.concatenate(drawn))


class MixtureFit(NamedTuple):
    """A fitted mixture, the log-likelihood after each step (nats a row; it never falls), and whether it converged."""

    mixture: GaussianMixture
    log_likelihoods: np.ndarray
    converged: bool


def fit_mixture(z: Any, n_components: int = 10, *, seed: int = 0, floor: float = 1e-6, tolerance: float = 1e-4,
                max_steps: int = 500) -> MixtureFit:
    """Fit a mixture of full-covariance Gaussians by expectation-maximization.

    Raises ConfigurationError, ShapeError or DataError for settings out of range, or rows that are not finite or all the
    same.

    Parameters
    ----------
    z : array_like (n, Z)
        Draws from the aggregate posterior, or an autoencoder's codes.
    n_components : int
        K, at most the number of different rows.
    seed : int
        Seed of the first centers, drawn as in k-means++: each row with a probability proportional to its squared
        distance from the nearest center so far.
    floor : float
        Smallest eigenvalue of a covariance, as a fraction of the mean variance of z.  Without one the likelihood
        is unbounded: a component that shrinks onto one row has infinite density there.
    tolerance : float
        Stop when a step gains less, in nats for each row.
    max_steps : int
        The largest number of steps.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = np.concatenate([rng.normal(-4, 1, (500, 1)), rng.normal(4, 1, (500, 1))])
    >>> fit = fit_mixture(z, n_components=2)
    >>> sorted(round(float(component.mean[0])) for component in fit.mixture.components), fit.converged
    ([-4, 4], True)
    """
    z = as_finite(z, "z", ndim=(2,))
    n_components, max_steps = positive_integer("n_components", n_components), positive_integer("max_steps", max_steps)
    for name, value, least in (("floor", floor, LEAST_FLOOR), ("tolerance", tolerance, 0)):
        number(name, value, least, 1, "Leave it out.", closed="neither")
    with np.errstate(over="ignore"):
        floor = floor * z.var(axis=0).mean()
        farthest = len(z) * np.square(np.ptp(z, axis=0)).sum()         # bounds the sum of squared distances
    if not np.isfinite(farthest):
        raise DataError(f"z has values up to {np.abs(z).max():g}, whose squares are beyond float64; expected smaller "
                        "ones. Scale the latents.")
    if not floor > 0:
        raise DataError(f"All {len(z)} rows of z are the same; expected some variance. Look for a collapsed encoder.")
    if n_components > len(z):
        raise ConfigurationError(f"n_components is {n_components}, and z has at most {len(z)} different rows; expected "
                                 "at least one for each component. Choose fewer components.")
    mixture = _start(z, n_components, np.random.default_rng(check_seed(seed)), floor)
    log_likelihoods = []
    while True:
        log_joint = mixture.log_joint(z)
        log_density = log_sum_exp(log_joint, axis=1)
        log_likelihoods.append(float(log_density.mean()))
        converged = len(log_likelihoods) > 1 and log_likelihoods[-1] - log_likelihoods[-2] < tolerance
        if converged or len(log_likelihoods) > max_steps:
            return MixtureFit(mixture, np.array(log_likelihoods), converged)
        mixture = _maximize(z, np.exp(log_joint - log_density[:, None]), mixture.components, floor)


def _start(z, n_components, rng, floor):
    """Draw centers as in k-means++; return the maximum-likelihood components of the rows nearest to each."""
    distances = np.full((len(z), n_components), np.inf)
    probability = np.full(len(z), 1 / len(z))
    for k in range(n_components):
        distances[:, k] = np.square(z - z[rng.choice(len(z), p=probability)]).sum(axis=1)
        nearest = distances.min(axis=1)
        if k + 1 < n_components:
            if not nearest.any():
                raise ConfigurationError(f"n_components is {n_components}, and z has {k + 1} different rows; expected "
                                         "at least one for each component. Choose fewer components.")
            probability = nearest / nearest.sum()
    responsibility = np.eye(n_components)[distances.argmin(axis=1)]
    return _maximize(z, responsibility, None, floor)


def _maximize(z, responsibility, previous, floor):
    """Return the most likely mixture, given the share (n, K) of each component in each row.

    With eigenvalues of at least `floor`, the best covariance is the weighted one whose smaller eigenvalues are raised
    to it: the minimum of log v + s / v over v >= floor is at v = max(s, floor).  If the floor were added instead, the
    likelihood could fall.
    """
    counts = responsibility.sum(axis=0)
    components = []
    for k, count in enumerate(counts):
        if not count > 0:                                         # nothing to learn from, and no weight
            components.append(previous[k])
            continue
        mean = np.einsum("n,ni->i", responsibility[:, k], z) / count
        centered = z - mean
        spread = np.einsum("ni,nj->ij", responsibility[:, k, None] * centered, centered)
        values, vectors = np.linalg.eigh(spread / count)
        covariance = np.einsum("ik,jk->ij", vectors * np.maximum(values, floor), vectors)
        components.append(FullGaussian(mean, 0.5 * (covariance + covariance.T)))
    return GaussianMixture(counts / counts.sum(), components)
