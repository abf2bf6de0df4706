"""Quadrature: the expectations and integrals of any VAE with one or two latents, without sampling.

With z = mu + sigma eps (E2), an expectation over q is one over eps ~ N(0, I).  A product of Gauss-Hermite rules with
nodes eps_i and weights w_i gives it: exactly for polynomials, and with few nodes for smooth networks:

    (G14) E f(eps) = sum_i w_i f(eps_i)                     f a loss or a gradient: both are functions of eps alone

For the noise of K samples the same holds with K Z variables.  The true posterior may be narrow, wide, skewed or have
several modes, so it is tabulated instead, on an even grid around all of it (h^Z is the volume of a cell):

    (G15) log p(x) = log sum_i h^Z p(x | z_i) p(z_i),       log p(z_i | x) = log p(x | z_i) + log p(z_i) - log p(x)

This is the trapezoid rule, if the integrand is 0 at the edges.  For a smooth integrand it converges faster than any
power of h (Trefethen & Weideman 2014, "The exponentially convergent trapezoidal rule"); with the kinks of a ReLU the
error is h^2.  The sum over every second node is another estimate and shows the error.  On an even grid of eps with
weights v_i:

    (G16) KL(q || p(z | x)) = sum_i v_i [ log q(z_i) - log p(z_i | x) ]                                      (T17)

The K-sample bound L_K = E log(1/K sum_k w_k), w = p(x, z) / q(z | x), is an integral over K Z variables.  But for
any c > 0, log c is the integral of (e^-t - e^-tc) / t over t > 0 (Frullani).  The w_k are independent, so with t = e^u

    (G17) L_K + log K = E log sum_k w_k = integral of [ exp(-e^u) - phi(e^u)^K ] du,  phi(t) = E e^(-t w),

where phi needs Z variables only: any K costs as much as one.  (L_K: Burda et al. 2016, "Importance weighted
autoencoders", section 3 and theorem 1.)  G15 to G17 use another rule than G14 on purpose: if ELBO, L_K, log p(x) and
KL are consistent, the reason is not that they share their nodes.
"""
from dataclasses import dataclass

import numpy as np

from ..arrays import as_array
from ..data.meaning import as_floats
from ..data.minibatch import check_data
from ..elbo import Objective
from ..errors import ConfigurationError, DataError
from ..parameters import Parameters
from ..probability.divergences import kl_terms
from ..vae import VAE
from ..validation import integer, positive_integer
from .rules import even_normal, expected_log_sum, gauss_hermite, GRID, PosteriorGrid, tabulate

MOST_NODES = 300                 # most nodes of a Gauss-Hermite rule: not far above, numpy's overflows
NODES = {1: 200, 2: 100, 3: 24}  # number of noise variables -> nodes for each, if not given
MOST_POINTS = 40_000             # most points of a product rule: each is a call of the model
DECODER_ROWS = 4096              # rows that the decoder takes at a time


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Exact expectations and integrals of a VAE with one or two latents, with any networks and likelihood.

    X is (n, D); results are in nats, float64.  `elbo`, `log_p`, `gap` and `iwae` do not depend on the model's beta and
    estimator; `expected_objective` and `expected_gradient` are averages of what it trains on.  The error is 1e-10 or
    less for a float64 VAE with smooth activations, unless q is much wider than the bends of its networks.  It is about
    1e-3 with ReLU.  Where the `error` of the `posterior` is infinite, log_p and gap are NaN.  T17 by log_p, elbo and
    gap shows the error of the nodes over q; it holds for any log_p, whose own error the posterior shows.  Raises
    ConfigurationError if vae is not a VAE with one or two latents, or nodes is out of range; from `expected_objective`
    and `expected_gradient` also if n_samples makes too many noise variables, or a loss depends on other examples.

    Parameters
    ----------
    vae : VAE
        Read at every call, so it may be trained in between; never changed.
    nodes : int, optional
        Gauss-Hermite nodes for each noise variable, at most 300; if not given, 200 for one variable and 100 for two.

    Examples
    --------
    T17, log p(x) = ELBO + KL(q || p(z | x)), for a network with a hidden layer:

    >>> vae = VAE(n_visible=3, n_latent=1, hidden=(4,), activation="tanh", dtype="float64")
    >>> exact, X = Quadrature(vae), np.eye(3)
    >>> bool(np.allclose(exact.log_p(X), exact.elbo(X) + exact.gap(X), rtol=0, atol=1e-10))
    True
    """

    vae: VAE
    nodes: int | None = None

    def __post_init__(self):
        if not isinstance(self.vae, VAE) or self.vae.n_latent not in GRID or self.vae.n_conditions:
            raise ConfigurationError(f"vae is a {type(self.vae).__name__} with n_latent="
                                     f"{getattr(self.vae, 'n_latent', None)} and n_conditions="
                                     f"{getattr(self.vae, 'n_conditions', 0)}; quadrature needs a VAE with one or two "
                                     "latents. For more, LinearGaussian or evaluate.")
        if self.nodes is not None:
            integer("nodes", self.nodes, 1, MOST_NODES, "Take 200.")

    def elbo(self, X: np.ndarray) -> np.ndarray:
        """Return E_q log p(x | z) - KL(q || p(z)) of every row, (n,), at beta = 1.                     (G14, T15)"""
        X, (mu, logvar) = self._rows(X), self._q(X)
        eps, weights = self._rule(self.vae.n_latent)
        expected = [np.einsum("i,i->", weights, self._log_likelihood(x, m + np.exp(0.5 * v) * eps))
                    for x, m, v in zip(X, mu, logvar)]
        return np.array(expected) - kl_terms(mu, logvar).sum(axis=1)

    def log_p(self, X: np.ndarray) -> np.ndarray:
        """Return log p(x) of every row, (n,); NaN where the modes are too narrow for the nodes.             (G15)"""
        X = self._rows(X)
        found = [self._posterior(x, m, v) for x, m, v in zip(X, *self._q(X))]
        return np.array([grid.log_p if np.isfinite(grid.error) else np.nan for grid in found])

    def gap(self, X: np.ndarray) -> np.ndarray:
        """Return KL(q || p(z | x)) = log p(x) - ELBO of every row, (n,), T17.                               (G16)"""
        _, weights = even_normal(self.vae.n_latent)
        return self.log_p(X) - np.array([np.einsum("i,i->", weights, log_w) for log_w in self._log_weights(X)])

    def iwae(self, X: np.ndarray, n_samples: int) -> np.ndarray:
        """Return the expected K-sample bound of every row, (n,), K = n_samples: K = 1 is the ELBO.          (G17)"""
        K, (_, weights) = positive_integer("n_samples", n_samples), even_normal(self.vae.n_latent)
        return np.array([expected_log_sum(log_w, weights, K) for log_w in self._log_weights(X)]) - np.log(K)

    def posterior(self, x: np.ndarray) -> PosteriorGrid:
        """Return p(z | x) of one example x (D,) as a PosteriorGrid.                                         (G15)"""
        X = self._rows(as_array(x, "x").reshape(1, -1), "x")
        mu, logvar = self._q(X)
        return self._posterior(X[0], mu[0], logvar[0])

    def expected_objective(self, X: np.ndarray) -> Objective:
        """Return the mean of `vae.objective(X, eps)` over all eps.                                          (G14)"""
        parts = [weight * np.array(self.vae.objective(X, eps)) for eps, weight in self._noise(X)]
        return Objective(*np.sum(parts, axis=0).tolist())

    def expected_gradient(self, X: np.ndarray) -> tuple:
        """Return the mean of `vae.gradient(X, eps)` over all eps: (Objective, Parameters).

        All examples have the same node at the same time, because the loss of each depends on its own noise alone. (G14)
        """
        parts, total = [], Parameters.zeros(self.vae.parameters.layout, "float64")
        for eps, weight in self._noise(X):
            objective, gradient = self.vae.gradient(X, eps)
            parts.append(weight * np.array(objective))
            total.flat[:] += weight * gradient.flat
        return Objective(*np.sum(parts, axis=0).tolist()), total

    def _rule(self, variables):
        nodes = self.nodes or NODES.get(variables, MOST_NODES)
        if nodes**variables > MOST_POINTS:
            raise ConfigurationError(f"{variables} noise variables (n_samples times n_latent) at {nodes} nodes each "
                                     f"are {float(nodes)**variables:.2g} points; at most {MOST_POINTS} are feasible. "
                                     "Take fewer samples, or fewer nodes.")
        return gauss_hermite(nodes, variables)

    def _noise(self, X):
        """Yield (eps (n, K, Z), weight) for every node of the rule over all K Z noise variables.            (G14)"""
        if self.vae.for_evaluation() is not self.vae:
            raise ConfigurationError(f"likelihood {self.vae.likelihood.name!r} depends on the noise of the whole batch;"
                                     " expected one where an example depends on its own. Take vae.for_evaluation().")
        n, shape = len(self._rows(X)), (self.vae.n_samples, self.vae.n_latent)
        for eps, weight in zip(*self._rule(shape[0] * shape[1])):
            yield np.broadcast_to(eps.reshape(shape), (n, *shape)), weight

    def _rows(self, X, name="X"):
        return as_floats(check_data(X, self.vae, name), np.float64)

    def _q(self, X):
        return tuple(part.astype(np.float64) for part in self.vae.encode(X))

    def _log_likelihood(self, x, z):
        """Return log p(x | z), (m,), of one x (D,) and many z (m, Z)."""
        vae, nll = self.vae.for_evaluation(), np.empty(len(z))
        x = np.ascontiguousarray(x[None], vae.dtype)
        for start in range(0, len(z), DECODER_ROWS):
            outputs = vae.decode_outputs(z[start:start + DECODER_ROWS])
            vae.likelihood.nll(vae.parameters.likelihood, outputs, x, nll[start:start + DECODER_ROWS])
        if not np.isfinite(nll).all():
            raise DataError("log p(x | z) is not finite for some z near the prior or q; expected finite numbers. Check "
                            "vae.parameters for NaN, or use dtype='float64'.")
        return -nll

    def _log_joint(self, x, z):
        """Return log p(x | z) + log p(z), (m,)."""
        return self._log_likelihood(x, z) - 0.5 * (np.square(z) + np.log(2 * np.pi)).sum(axis=1)

    def _log_weights(self, X):
        """Yield log w = log p(x, z) - log q(z | x), (m,), on the even grid of eps, for every row of X."""
        X, (eps, _) = self._rows(X), even_normal(self.vae.n_latent)
        for x, mu, logvar in zip(X, *self._q(X)):
            log_q = -0.5 * (np.square(eps) + logvar + np.log(2 * np.pi)).sum(axis=1)
            yield self._log_joint(x, mu + np.exp(0.5 * logvar) * eps) - log_q

    def _posterior(self, x, mu, logvar):
        """Return p(z | x) on a grid; the search for it starts around the prior and q.                       (G15)"""
        reach = 10 * np.exp(0.5 * logvar)
        return tabulate(lambda z: self._log_joint(x, z), np.minimum(-10, mu - reach), np.maximum(10, mu + reach))
