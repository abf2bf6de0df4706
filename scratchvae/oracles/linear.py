"""The linear-Gaussian VAE: one affine map each way, and every quantity of the theory in closed form.

The notation is that of `elbo`, with the decoder's head as the package stores it: W (Z, D) and b (D,); W_j is row j.
s is the standard deviation of a pixel; x, z, mu are rows; n numbers the B examples.

    (G1)  z ~ N(0, I),  x | z ~ N(z W + b, s^2 I)

As a function of z, log p(x | z) + log p(z) is the quadratic -|x - b - z W|^2 / (2 s^2) - |z|^2 / 2 + constant, so the
posterior is Gaussian.  Its precision A is minus the second derivative, its mean m is where the first one,
(x - b - z W) W^T / s^2 - z, vanishes:

    (G2)  p(z | x) = N(m, A^-1),  A = I + W W^T / s^2,  m = (x - b) W^T A^-1 / s^2

Bayes' rule, p(x) = p(x | z) p(z) / p(z | x), holds at every z.  At z = m the exponent of the denominator is 0, and
the (2 pi)^(Z/2) of p(m) and of p(m | x) cancel:

    (G3)  log p(x) = -1/2 [ D log(2 pi s^2) + |x - b - m W|^2 / s^2 + |m|^2 + log det A ]

Now any Gaussian q = N(mu, C); the encoder's has C = diag sigma^2.  With r = x - b - mu W and z = mu + e, E e = 0 and
E e^T e = C, so E |x - b - z W|^2 = |r|^2 + E |e W|^2, and E |e W|^2 = tr(C W W^T) = sum_j sigma_j^2 |W_j|^2:

    (G4)  E_q nll = 1/2 [ D log(2 pi s^2) + (|r|^2 + tr(C W W^T)) / s^2 ]
    (G5)  kl = KL(q || p(z)) = 1/2 [ |mu|^2 + tr C - Z - log det C ],   ELBO = -E_q nll - kl              (T15)
    (G6)  KL(q || p(z | x)) = 1/2 [ (mu - m) A (mu - m)^T + tr(A C) - Z - log det C - log det A ]         (T17)

Both divergences are E_q log q = -1/2 [Z log(2 pi) + log det C + Z], minus E_q of the other Gaussian's log density.
G6 is derived without G3 and G5, so G3 = G5 + G6 checks all three.

The gradient of the expected loss, L = 1/B sum_n [E_q nll + beta kl], follows by differentiating G4 and G5 with
dr/dmu = -W^T, dsigma^2/dlogvar = sigma^2:

    (G7)  E d_mu = [ -r W^T / s^2 + beta mu ] / B
    (G8)  E d_logvar = [ sigma_j^2 |W_j|^2 / s^2 + beta (sigma_j^2 - 1) ] / (2 B)
    (G9)  E d_W = sum_n [ diag(sigma^2) W - mu^T r ] / (B s^2),   E d_b = -sum_n r / (B s^2)
    (G10) E d_V = x^T E d_head,  E d_c = sum_n E d_head        for the encoder's head [mu | logvar] = x V + c

At beta = 1, G7 and G8 vanish where q is the best diagonal Gaussian:

    (G11) mu = m,  sigma_j^2 = 1 / A_jj,  and G6 is then 1/2 [ sum_j log A_jj - log det A ],

which is zero if the rows of W are orthogonal (A is then diagonal) and positive otherwise (Hadamard's inequality).
"""
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np

from ..arrays import as_finite
from ..data.meaning import as_floats
from ..data.minibatch import as_rows
from ..elbo import Objective
from ..errors import ConfigurationError, ShapeError
from ..likelihoods import Gaussian
from ..parameters import Affine, Parameters
from ..schedules import check_beta
from ..vae import Posterior, VAE
from ..validation import check_seed, instance_of, keep, rows_at_once


class GaussianPosterior(NamedTuple):
    """Gaussians over z with any covariance: mean (n, Z), covariance (Z, Z) or (n, Z, Z)."""

    mean: np.ndarray
    covariance: np.ndarray


Gaussians = Posterior | GaussianPosterior


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """The linear-Gaussian VAE, every quantity exact.                                                  (G1 to G11)

    All arrays are float64, all results in nats.  X is always (n, D).  q is a `Posterior` (mu, logvar), a
    `GaussianPosterior`, or None for the encoder's.  Raises ShapeError or DataError if the arrays do not fit each other
    or hold NaN or infinities, and ConfigurationError if sigma is not positive, beta is negative, or the encoder is not
    a pair of arrays.  A full covariance is rounded where it is stored: the ELBO and gap of a GaussianPosterior are off
    by some 1e-16 times the condition number of A.

    Parameters
    ----------
    W : ndarray (Z, D)
        The decoder's weights.
    b : ndarray (D,)
        The decoder's bias.
    sigma : float
        Standard deviation of a pixel.
    encoder : Affine, optional
        V (D, 2Z) and c (2Z,): [mu | logvar] = x V + c.
    beta : float
        Weight of the KL term in `expected_objective` and the gradients; `elbo` and `gap` have beta = 1.

    Examples
    --------
    T17, log p(x) - ELBO = KL(q || p(z | x)):

    >>> world = LinearGaussian(W=np.array([[1.0, 2.0]]), b=np.zeros(2), sigma=0.5)
    >>> X, q = world.sample(3), Posterior(mu=np.zeros((3, 1)), logvar=np.zeros((3, 1)))
    >>> bool(np.allclose(world.log_p(X) - world.elbo(X, q), world.gap(X, q), atol=1e-12))
    True
    """

    W: np.ndarray
    b: np.ndarray
    sigma: float
    encoder: Optional[Affine] = None
    beta: float = 1.0

    def __post_init__(self):
        W, b, encoder = as_finite(self.W, "W"), as_finite(self.b, "b"), self.encoder
        if W.ndim != 2 or b.shape != W.shape[1:]:
            raise ShapeError(f"W has shape {W.shape} and b {b.shape}; expected (Z, D) and (D,). "
                             "Pass the decoder's head as parameters.decoder.head holds it.")
        if encoder is not None:
            if not isinstance(encoder, tuple) or len(encoder) != 2:
                raise ConfigurationError(f"encoder is {encoder!r}; expected an Affine of V and c. Pass one, or leave "
                                         "it out and use with_best_encoder().")
            encoder = Affine(as_finite(encoder[0], "V of encoder"), as_finite(encoder[1], "c of encoder"))
            wanted = ((W.shape[1], 2 * len(W)), (2 * len(W),))
            if (encoder.W.shape, encoder.b.shape) != wanted:
                raise ShapeError(f"the encoder has shapes {encoder.W.shape} and {encoder.b.shape}; this W needs "
                                 f"{wanted[0]} and {wanted[1]}, for [mu | logvar] = x V + c.")
        keep(self, W=W, b=b, sigma=Gaussian(self.sigma).sigma, beta=check_beta(self.beta), encoder=encoder)

    @classmethod
    def of(cls, vae: VAE) -> "LinearGaussian":
        """Return the oracle of a linear Gaussian VAE, with a copy of its parameters; raises ConfigurationError."""
        sigma = vae.likelihood.sigma_of(vae.parameters.likelihood) if isinstance(vae, VAE) else None
        if sigma is None or vae.hidden or vae.n_conditions:
            raise ConfigurationError(f"vae is {vae!r}, which has no closed form; expected VAE(hidden=(), "
                                     "likelihood='gaussian'). For one or two latents, Quadrature takes any VAE.")
        p = vae.parameters
        return cls(p.decoder.head.W, p.decoder.head.b, sigma, p.encoder.head, vae.beta)

    def to_vae(self, **settings: Any) -> VAE:
        """Return a float64 VAE with these parameters; settings (estimator, n_samples, ...) are those of `VAE`."""
        vae = VAE(self.n_visible, self.n_latent, **{"hidden": (), "likelihood": "gaussian", "sigma": self.sigma,
                                                    "beta": self.beta, "dtype": "float64", **settings})
        self._write(vae.parameters, self._encoder(), Affine(self.W, self.b))
        return vae

    @staticmethod
    def _write(parameters, encoder, decoder):
        for layer, values in ((parameters.encoder.head, encoder), (parameters.decoder.head, decoder)):
            layer.W[:], layer.b[:] = values

    def with_best_encoder(self) -> "LinearGaussian":
        """Return the same decoder with the encoder that gives every x its best diagonal q.            (G2, G11)

        An affine encoder can do that, because m is affine in x and A does not depend on x.
        """
        U, t, V = self._factors()
        V = (U / t @ V).T / self.sigma
        spread = -np.log(np.diag(self._precision()))
        encoder = Affine(np.hstack([V, np.zeros_like(V)]), np.concatenate([-self.b @ V, spread]))
        return LinearGaussian(self.W, self.b, self.sigma, encoder, self.beta)

    @property
    def n_latent(self) -> int:
        """Z."""
        return self.W.shape[0]

    @property
    def n_visible(self) -> int:
        """D."""
        return self.W.shape[1]

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """Draw n examples from p(x), (n, D).                                                                (G1)"""
        rng = np.random.default_rng(check_seed(seed))
        z = rng.standard_normal((rows_at_once("n", n, self.n_visible), self.n_latent))
        return z @ self.W + self.b + self.sigma * rng.standard_normal((n, self.n_visible))

    def posterior(self, X: np.ndarray) -> GaussianPosterior:
        """Return p(z | x) of every row: mean (n, Z), one covariance (Z, Z).                                 (G2)"""
        U, t, V = self._factors()
        mean = np.einsum("nd,zd->nz", self._rows(X) - self.b, U / t @ V) / self.sigma
        return GaussianPosterior(mean, U / t**2 @ U.T)

    def log_p(self, X: np.ndarray) -> np.ndarray:
        """Return log p(x) of every row, (n,).                                                               (G3)"""
        m, (_, t, _) = self.posterior(X).mean, self._factors()
        return -0.5 * (self._twice_nll(X, m) + np.square(m).sum(axis=1) + 2 * np.log(t).sum())

    def q(self, X: np.ndarray) -> Posterior:
        """Return the encoder's Posterior of every row: mu and logvar, (n, Z) each."""
        V, c = self._encoder()
        return Posterior(*np.hsplit(np.einsum("nd,dz->nz", self._rows(X), V) + c, 2))

    def best_diagonal(self, X: np.ndarray) -> Posterior:
        """Return the Posterior of largest ELBO among those with independent latents.                       (G11)"""
        mean = self.posterior(X).mean
        return Posterior(mean, np.tile(-np.log(np.diag(self._precision())), (len(mean), 1)))

    def elbo(self, X: np.ndarray, q: Gaussians | None = None) -> np.ndarray:
        """Return the expected ELBO of every row at beta = 1, (n,).                                      (G4, G5)"""
        nll, kl = self._parts(X, q)
        return -nll - kl

    def gap(self, X: np.ndarray, q: Gaussians | None = None) -> np.ndarray:
        """Return KL(q || p(z | x)) = log p(x) - ELBO of every row, (n,), T17.                               (G6)"""
        A, (U, t, _), (mu, C) = self._precision(), self._factors(), self._moments(X, q)
        off = np.einsum("ni,ij->nj", mu - self.posterior(X).mean, U * t)
        return 0.5 * (np.square(off).sum(axis=1) + np.einsum("ij,nji->n", A, C) - self.n_latent
                      - _log_det(C) - 2 * np.log(t).sum())

    def expected_objective(self, X: np.ndarray, q: Gaussians | None = None) -> Objective:
        """Return the mean of `vae.objective` over all eps, beta included; that of a K-sample bound is another."""
        nll, kl = (float(part.mean()) for part in self._parts(X, q))
        return Objective(nll + self.beta * kl, nll, kl)

    def expected_head_gradient(self, X: np.ndarray, q: Posterior | None = None) -> tuple:
        """Return E d_mu and E d_logvar, (n, Z) each, 1/B included; q is None or a Posterior.            (G7, G8)"""
        q = self._checked_q(X, q)
        if not isinstance(q, Posterior):
            raise ConfigurationError("q is a GaussianPosterior; expected a Posterior: the gradient is that along its "
                                     "mu and logvar. Pass one, or None for the encoder's.")
        mu, logvar = q
        r = self._rows(X) - self.b - mu @ self.W
        variance, pull = np.exp(logvar), np.square(self.W).sum(axis=1) / self.sigma**2
        d_mu = -r @ self.W.T / self.sigma**2 + self.beta * mu
        d_logvar = 0.5 * (variance * pull + self.beta * (variance - 1))
        return d_mu / len(mu), d_logvar / len(mu)

    def expected_gradient(self, X: np.ndarray) -> tuple:
        """Return the mean of `vae.gradient` over all eps, not of a K-sample bound: Objective, Parameters.  (G9, G10)"""
        X, (mu, logvar) = self._rows(X), self.q(X)
        r, per_example = X - self.b - mu @ self.W, 1 / (len(X) * self.sigma**2)
        spread = np.exp(logvar).sum(axis=0)[:, None] * self.W
        d_head = np.hstack(self.expected_head_gradient(X))
        gradient = Parameters.zeros(self.to_vae().parameters.layout, "float64")
        self._write(gradient, Affine(X.T @ d_head, d_head.sum(axis=0)),
                    Affine((spread - mu.T @ r) * per_example, -r.sum(axis=0) * per_example))
        return self.expected_objective(X), gradient

    def _rows(self, X):
        rows = as_floats(as_rows(X, self.n_visible, "X"), np.float64)
        Gaussian(self.sigma).check(rows, "X")
        return rows

    def _encoder(self):
        if self.encoder is None:
            raise ConfigurationError("this LinearGaussian has no encoder and no q was given; expected one of them. "
                                     "Pass q, or use with_best_encoder().")
        return self.encoder

    def _checked_q(self, X, q):
        """Return q, or the encoder's for None; raise an error unless it holds a Gaussian for every row of X."""
        if q is None:
            return self.q(X)
        instance_of("q", q, (Posterior, GaussianPosterior), "Pass one, or None for the encoder's.")
        n, n_latent = len(self._rows(X)), self.n_latent
        spread = ((n, n_latent),) if isinstance(q, Posterior) else (2 * (n_latent,), (n, n_latent, n_latent))
        shapes = tuple(as_finite(part, f"{name} of q").shape for name, part in zip(q._fields, q))
        if shapes[0] != (n, n_latent) or shapes[1] not in spread:
            raise ShapeError(f"q has arrays of shape {shapes[0]} and {shapes[1]}; expected {(n, n_latent)} and "
                             f"{' or '.join(map(str, spread))}, a Gaussian for each row of X. Pass such a one.")
        return q

    def _precision(self):
        return np.eye(self.n_latent) + np.einsum("id,jd->ij", self.W, self.W) / self.sigma**2

    def _factors(self):
        """Return U (Z, Z), t (Z,) and V (Z, D) with A = U diag(t^2) U^T and A^-1 W / sigma = U diag(1 / t) V.

        They are those of [I | W / sigma], whose condition number is the root of A's: A itself would lose an
        eigenvalue of 1 beside one of 1e16, where rows of W depend on each other and sigma is small.
        """
        U, t, V = np.linalg.svd(np.hstack([np.eye(self.n_latent), self.W / self.sigma]), full_matrices=False)
        return U, t, V[:, self.n_latent:]

    def _twice_nll(self, X, z):
        """Return -2 log p(x | z) of every row of X with its z, (n,).                                        (G1)"""
        r = self._rows(X) - self.b - np.einsum("nz,zd->nd", z, self.W)
        return np.square(r).sum(axis=1) / self.sigma**2 + self.n_visible * np.log(2 * np.pi * self.sigma**2)

    def _moments(self, X, q):
        """Return q's means (n, Z) and covariances (n, Z, Z)."""
        q = self._checked_q(X, q)
        if isinstance(q, Posterior):
            return q.mu, np.exp(q.logvar)[:, :, None] * np.eye(self.n_latent)
        return q.mean, np.broadcast_to(q.covariance, (*q.mean.shape, self.n_latent))

    def _parts(self, X, q):
        """Return E_q nll and kl of every row, (n,) each.                                                (G4, G5)"""
        mu, C = self._moments(X, q)
        spread = np.einsum("nij,jd,id->n", C, self.W, self.W) / self.sigma**2
        kl = np.square(mu).sum(axis=1) + np.trace(C, axis1=1, axis2=2) - self.n_latent - _log_det(C)
        return 0.5 * (self._twice_nll(X, mu) + spread), 0.5 * kl


def _log_det(matrix):
    return np.linalg.slogdet(matrix)[1]
