"""Encoder and decoder as two joint distributions of (x, z), where every sum is exact (T18 to T20).

The encoder's joint is p_data(x) q(z | x), the decoder's p(z) p(x | z).  The chain rule splits the divergence of the
first from the second in three ways:

    KL(p_data(x) q(z | x) || p(z) p(x | z))
        = - E_p_data ELBO(x)  -  H(p_data)                                    the loss of training, and a constant
        = KL(p_data(x) || p(x))  +  E_p_data KL(q(z | x) || p(z | x))          data against model; the ELBO's gap
        = KL(q(z) || p(z))  +  E_q(z) KL(q(x | z) || p(x | z))                 codes against prior; and the decoder

with q(z) = E_p_data q(z | x), q(x | z) = p_data(x) q(z | x) / q(z), p(x) = E_p(z) p(x | z) and
p(z | x) = p(z) p(x | z) / p(x).
The first follows from log [p_data q / (p(z) p(x | z))] = log p_data - [log p(x | z) + log p(z) - log q], averaged.
No decomposition holds a marginal's divergence alone: that is T20.
"""
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_finite, as_numbers, log_sum_exp
from ..errors import DataError, ShapeError
from .distributions import Discrete, Grid
from .divergences import entropy, expectation, kl


class JointView(NamedTuple):
    """The joint divergence and the terms of its three decompositions, in nats; and the two marginals.

    `p_x` (X,) is the model's p(x), `q_z` (Z,) the aggregate posterior q(z): probabilities, or densities on a grid.
    `elbo` is averaged over p_data, and so are (over q(z)) `kl_posterior` and `kl_conditional`.
    """

    joint_kl: float
    elbo: float
    data_entropy: float
    kl_x: float
    kl_posterior: float
    kl_z: float
    kl_conditional: float
    p_x: np.ndarray
    q_z: np.ndarray

    @property
    def decompositions(self) -> tuple:
        """Three sums of terms, each equal to `joint_kl`, in the order of this module's docstring (T18)."""
        return (-self.elbo - self.data_entropy, self.kl_x + self.kl_posterior, self.kl_z + self.kl_conditional)


def joint_view(p_data: Any, q_z_given_x: Any, p_z: Any, p_x_given_z: Any) -> JointView:
    """Return every term of the three decompositions of a finite world (T18, T20).

    Divergences are infinite where the encoder's joint is positive and the decoder's is 0.  Raises ShapeError or
    DataError if the tables do not fit, or a row is no distribution.

    Parameters
    ----------
    p_data : array_like (X,)
        Probabilities of the outcomes of x.
    q_z_given_x : array_like (X, Z)
        The encoder: a distribution over z a row.
    p_z : array_like (Z,)
        The prior.
    p_x_given_z : array_like (Z, X)
        The decoder: a distribution over x a row.

    Examples
    --------
    >>> view = joint_view([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], [0.5, 0.5], [[0.7, 0.3], [0.4, 0.6]])
    >>> bool(np.ptp([view.joint_kl, *view.decompositions]) < 1e-12)
    True
    """
    def log_masses(p):
        return Discrete(p).log_p

    p_data, p_z = _checked("p_data", log_masses, p_data), _checked("p_z", log_masses, p_z)
    q_z_given_x = _rows("q_z_given_x", q_z_given_x, (len(p_data), len(p_z)), log_masses)
    p_x_given_z = _rows("p_x_given_z", p_x_given_z, (len(p_z), len(p_data)), log_masses)
    return _view(p_data, q_z_given_x, p_z, p_x_given_z, np.zeros(len(p_data)), np.zeros(len(p_z)))


def joint_view_on_grid(x: Any, z: Any, log_p_data: Any, log_q_z_given_x: Any, log_p_z: Any,
                       log_p_x_given_z: Any) -> JointView:
    """Return the same for one-dimensional x and z, integrated on a grid; entropy and ELBO are those of densities.

    The decompositions are equal on every grid; the finer it is, the nearer they are to the integrals.  Raises
    ShapeError or DataError if the arrays do not fit the grid, or a density does not integrate to 1 within 1e-3.

    Parameters
    ----------
    x, z : array_like (X,), (Z,)
        Increasing coordinates, wide and fine enough for every density below to integrate to 1.
    log_p_data, log_q_z_given_x, log_p_z, log_p_x_given_z : array_like (X,), (X, Z), (Z,), (Z, X)
        Log densities of the data, the encoder (a row for each x), the prior and the decoder (a row for each z).

    Examples
    --------
    >>> x = np.linspace(-12, 12, 241)
    >>> log_normal = lambda x, mean: -0.5 * (x - mean) ** 2 - 0.5 * np.log(2 * np.pi)
    >>> inner = np.abs(x) <= 6                      # so that every conditional stays on the grid
    >>> z = x[inner]
    >>> view = joint_view_on_grid(x, z, log_normal(x, 0.0), np.tile(log_normal(z, 0.0), (len(x), 1)),
    ...                           log_normal(z, 0.0), log_normal(x, 0.5 * z[:, None]))
    >>> round(view.kl_z, 6), bool(view.kl_x > 0)
    (0.0, True)
    """
    x, z = as_finite(x, "x", ndim=(1,)), as_finite(z, "z", ndim=(1,))
    prior = _checked("log_p_z on z", lambda values: Grid.from_log(values, z), log_p_z)
    data = _checked("log_p_data on x", lambda values: Grid.from_log(values, x), log_p_data)
    q_z_given_x = _rows("log_q_z_given_x", log_q_z_given_x, (len(x), len(z)),
                        lambda row: Grid.from_log(row, z).masses.log_p)
    p_x_given_z = _rows("log_p_x_given_z", log_p_x_given_z, (len(z), len(x)),
                        lambda row: Grid.from_log(row, x).masses.log_p)
    return _view(data.masses.log_p, q_z_given_x, prior.masses.log_p, p_x_given_z, data.log_cell, prior.log_cell)


def _checked(name, make, values):
    """make(values); an error says whose values they are."""
    try:
        return make(as_numbers(values, name, ndim=(1,)))
    except (DataError, ShapeError) as error:
        raise type(error)(f"{name}: {error}") from error


def _rows(name, table, shape, make):
    if as_numbers(table, name).shape != shape:
        raise ShapeError(f"{name} has shape {np.shape(table)}; expected {shape}: a row for each value of what is "
                         "given, and the sizes of p_data and p_z. Transpose it if it is the other way round.")
    return np.array([_checked(f"{name}, row {i}", make, row) for i, row in enumerate(table)])


def _view(p_data, q_z_given_x, p_z, p_x_given_z, log_cell_x, log_cell_z):
    """The terms from log masses: p_data (X,), q (X, Z), p_z (Z,), p_x_given_z (Z, X), and the cells' sizes."""
    encoder, decoder = p_data[:, None] + q_z_given_x, p_z + p_x_given_z.T               # (X, Z), as are the next three
    q_z, p_x = log_sum_exp(encoder, axis=0), log_sum_exp(decoder, axis=1)
    seen = np.isfinite(p_x)                 # where p(x) = 0 there is no p(z | x), and KL(p_data || p) is infinite alone
    posterior = p_data[:, None] + np.where(seen[:, None], decoder - np.where(seen, p_x, 0.0)[:, None], q_z_given_x)
    conditional = q_z + p_x_given_z.T
    product = p_data[:, None] + p_z
    data, encoder = Discrete.from_log(p_data), Discrete.from_log(encoder)

    def to(log_table):
        return kl(encoder, Discrete.from_log(log_table))

    return JointView(
        joint_kl=to(decoder),
        elbo=expectation(encoder, p_x_given_z.T - log_cell_x[:, None]) - to(product),                    # (T15)
        data_entropy=entropy(data) + expectation(data, log_cell_x),
        kl_x=kl(data, Discrete.from_log(p_x)), kl_posterior=to(posterior),
        kl_z=kl(Discrete.from_log(q_z), Discrete.from_log(p_z)), kl_conditional=to(conditional),
        p_x=np.exp(p_x - log_cell_x), q_z=np.exp(q_z - log_cell_z))
