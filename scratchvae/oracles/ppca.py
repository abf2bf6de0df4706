"""Probabilistic PCA: the optimum of a linear VAE, and which of its latents collapse there.

Which W is the most likely?  The covariance of p(x) is M = W^T W + s^2 I.  If b is the data's mean and S the data's
covariance, -2 mean log p(x) = D log(2 pi) + log det M + tr(M^-1 S).  Let M have S's eigenvectors u_i, with eigenvalues
l_1 >= l_2 >= ... of S.  Then each direction costs log v + l_i / v for its variance v >= s^2 (v = s^2 in all but Z of
them).  This is least at v = l_i if l_i > s^2, else at v = s^2.  v = |W_i|^2 + s^2, so

    (G12) W_i = sqrt(max(l_i - s^2, 0)) u_i:  a latent whose eigenvalue is not above s^2 dies
    (G13) s^2 = mean of the D - Z smallest eigenvalues,  where s is fitted too

from d/ds^2 of (D - Z) log s^2 + sum_{i > Z} l_i / s^2.  (Tipping & Bishop 1999, "Probabilistic principal component
analysis", section 3.2 and appendix A, also show that no other basis does better; Lucas et al. 2019, "Don't blame
the ELBO!", draw the conclusion about posterior collapse.)
"""
from typing import NamedTuple

import numpy as np

from ..arrays import as_array, as_finite
from ..data.meaning import as_floats
from ..data.minibatch import as_rows
from ..errors import ConfigurationError, DataError
from ..likelihoods import Gaussian
from ..validation import positive_integer
from .linear import LinearGaussian


class PPCA(NamedTuple):
    """The most likely linear-Gaussian model of some data.

    `eigenvalues` (D,) are in falling order, and `dead` (Z,) is True for collapsed latents.  `log_p` is the mean
    log p(x) of the data under `world`, in nats: the largest that a linear VAE with this sigma and Z latents can reach.
    """

    world: LinearGaussian
    eigenvalues: np.ndarray
    dead: np.ndarray
    log_p: float


def ppca(X: np.ndarray, n_latent: int, *, sigma: float | None = None) -> PPCA:
    """Return the linear-Gaussian model that makes X most likely, with its best encoder, and its collapsed latents.

    The rows of W are orthogonal, so the encoder is exact and the mean ELBO of X equals `log_p`: this is the optimum
    that a linear VAE is trained toward.                                                              (G12, G13)

    Raises ShapeError, DataError or ConfigurationError if X is no table of finite numbers, n_latent does not fit it, or
    no noise is left to fit sigma to.

    Parameters
    ----------
    X : array_like (n, D)
        Data.
    n_latent : int
        Z, at most D.
    sigma : float, optional
        Standard deviation of a pixel; fitted too if not given, which needs Z below D.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((500, 4)) * [3.0, 2.0, 0.3, 0.2]
    >>> ppca(X, n_latent=3, sigma=1.0).dead.tolist()
    [False, False, True]
    """
    X = as_array(X, "X")
    X = as_finite(as_floats(as_rows(X, X.shape[-1] if X.ndim else 0, "X"), np.float64), "X")
    if sigma is not None:
        Gaussian(sigma)                                               # to check sigma
    most = X.shape[1] - (sigma is None)
    if positive_integer("n_latent", n_latent) > most:
        raise ConfigurationError(f"n_latent is {n_latent}; data with {X.shape[1]} columns allow at most {most}. "
                                 "Take fewer latents" + (", or give sigma." if sigma is None else "."))
    b = X.mean(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        covariance = (X - b).T @ (X - b) / len(X)
    if not np.isfinite(covariance).all():
        raise DataError(f"X has values up to {np.abs(X).max():g}, whose squares are beyond float64; expected smaller "
                        "ones. Scale the data.")
    eigenvalues, vectors = np.linalg.eigh(covariance)
    eigenvalues, vectors = np.maximum(eigenvalues[::-1], 0), vectors[:, ::-1]
    if sigma is None:
        sigma = float(np.sqrt(eigenvalues[n_latent:].mean()))                                             # (G13)
        if sigma**2 <= np.finfo(np.float64).eps * eigenvalues[0]:
            raise ConfigurationError(f"n_latent is {n_latent} and leaves no variance of X to fit sigma to; expected "
                                     "some noise. Take fewer latents, or give sigma.")
    above = eigenvalues[:n_latent] - sigma**2
    W = np.sqrt(np.maximum(above, 0))[:, None] * vectors[:, :n_latent].T                                  # (G12)
    world = LinearGaussian(W, b, sigma).with_best_encoder()
    return PPCA(world, eigenvalues, above <= 0, float(world.log_p(X).mean()))
