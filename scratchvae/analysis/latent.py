"""Walks in the latent space, and the aggregate posterior (T20)."""
import math
from typing import Any

import numpy as np

from ..arrays import as_finite, log_sum_exp
from ..errors import ConfigurationError, DataError, ShapeError
from ..probability.distributions import DiagonalGaussian, LOG_2PI
from ..probability.monte_carlo import Estimate, kl_from_samples
from ..validation import check_seed, one_of, rows_at_once

NUMBERS_AT_ONCE = 2**20  # most numbers in one piece of a density's evaluation, to limit memory
OPPOSITE = 1e-6          # closest angle to 180 degrees, in radians, at which the plane of rotation is accurate


def interpolate(a: np.ndarray, b: np.ndarray, n: int, *, path: str = "straight") -> np.ndarray:
    """Return n latents on a path from a to b, including both ends, (n, Z).

    Raises ShapeError, DataError or ConfigurationError if the ends do not fit, n is too small, or a spherical path has
    no plane: an end at the origin, or opposite ends.

    Parameters
    ----------
    a, b : array_like (Z,)
        Ends.
    n : int
        Points, at least 2.
    path : str
        "straight", or "spherical": the direction turns at a constant rate in the plane of a and b, and the length
        changes linearly.  In many dimensions nearly all draws of N(0, I) lie near the sphere of radius sqrt(Z); the
        middle of a straight line between two of them is shorter by sqrt(2).

    Examples
    --------
    >>> interpolate([1.0, 0.0], [0.0, 1.0], 3).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    >>> interpolate([1.0, 0.0], [0.0, 1.0], 3, path="spherical")[1].round(4)
    array([0.7071, 0.7071])
    """
    a, b = as_finite(a, "a", ndim=(1,)), as_finite(b, "b", ndim=(1,))
    if a.shape != b.shape:
        raise ShapeError(f"a has shape {a.shape} and b {b.shape}; expected the same. Pass two latents of one model.")
    if rows_at_once("n", n, len(a)) < 2:
        raise ConfigurationError("n is 1; a path has two ends or more. Choose for example 9.")
    t = np.linspace(0.0, 1.0, n)[:, None]
    if one_of("path", path, ("straight", "spherical")) == "straight":
        return (1 - t) * a + t * b
    length_a, length_b = math.hypot(*a), math.hypot(*b)                      # its squares cannot overflow or vanish
    if not (length_a > 0 and length_b > 0):
        raise DataError("a or b is the origin; expected two ends with a direction. Take path='straight'.")
    u, v = a / length_a, b / length_b
    angle = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))     # unlike arccos, accurate near 0 and pi
    if angle > np.pi - OPPOSITE:
        raise DataError("a and b point in opposite directions, so every plane would do; expected others. "
                        "Take path='straight', or a point between.")
    if angle == 0:
        direction = u
    else:
        direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return ((1 - t) * length_a + t * length_b) * direction


def traverse(base: np.ndarray, dimensions: Any, values: np.ndarray) -> np.ndarray:
    """Return copies of base (Z,) in which one dimension takes each of values (n,): (len(dimensions), n, Z).

    Raises ShapeError, DataError or ConfigurationError if base or values is not a vector of finite numbers, or a
    dimension is not one of 0 to Z - 1.

    Examples
    --------
    >>> traverse([0.0, 5.0], [1], [-1.0, 1.0]).tolist()
    [[[0.0, -1.0], [0.0, 1.0]]]
    """
    base, values = as_finite(base, "base", ndim=(1,)), as_finite(values, "values", ndim=(1,))
    if not isinstance(dimensions, (list, tuple, range, np.ndarray)) or np.ndim(dimensions) != 1:
        raise ConfigurationError(f"dimensions is {dimensions!r}; expected a sequence of latents to sweep, 0 to "
                                 f"{len(base) - 1}. Pass for example [0].")
    z = np.tile(base, (len(dimensions), len(values), 1))
    for row, j in enumerate(dimensions):
        if not isinstance(j, (int, np.integer)) or not 0 <= j < len(base):
            raise ConfigurationError(f"dimensions has {j!r}; the latents of base are 0 to {len(base) - 1}. Choose "
                                     "of these.")
        z[row, :, j] = values
    return z


class AggregatePosterior:
    """q(z) = 1/n sum_i q(z | x_i): the distribution of the codes of a data set (T20).

    Raises ShapeError or DataError if the arrays do not fit, or a value is not finite (with a variance of zero there is
    no density).

    Parameters
    ----------
    mu, logvar : array_like (n, Z)
        The encoder's Gaussians, `vae.encode(X)`.

    Examples
    --------
    >>> prior = AggregatePosterior(np.zeros((3, 2)), np.zeros((3, 2)))
    >>> abs(prior.kl_from_prior(n=100).value) < 1e-12
    True
    """

    def __init__(self, mu: np.ndarray, logvar: np.ndarray) -> None:
        as_finite(mu, "mu", ndim=(2,))
        self.members = DiagonalGaussian(mu, logvar)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Return log q(z), (m,) in nats, at z (m, Z); raises ShapeError or DataError for a z that does not fit."""
        n, n_latent = self.members.mu.shape
        z = as_finite(z, "z", ndim=(2,))
        if z.shape[1] != n_latent:
            raise ShapeError(f"z has {z.shape[1]} columns; expected {n_latent}, the latents of mu. "
                             "Pass latents of the same model.")
        rows = max(1, NUMBERS_AT_ONCE // (n * n_latent))
        return np.concatenate([log_sum_exp(self.members.log_density(z[start:start + rows, None]), axis=1)
                               for start in range(0, len(z), rows)]) - np.log(n)

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """Return n independent draws, (n, Z), each from the Gaussian of a random example."""
        rng = np.random.default_rng(check_seed(seed))
        chosen = rng.integers(len(self.members.mu), size=rows_at_once("n", n, self.members.mu.shape[1]))
        return DiagonalGaussian(self.members.mu[chosen], self.members.logvar[chosen]).sample(1, rng)[0]

    def kl_from_prior(self, n: int = 1000, seed: int = 0) -> Estimate:
        """Estimate KL(q(z) || N(0, I)) in nats from n draws; the time is n times the number of examples (T20).

        It is the average KL(q(z | x) || p(z)) minus the mutual information of codes and examples.
        """
        z = self.sample(n, seed)
        log_prior = -0.5 * (np.square(z) + LOG_2PI).sum(axis=1)
        return kl_from_samples(self.log_density(z), log_prior)
