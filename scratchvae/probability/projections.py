"""The Gaussian nearest to a density, in either direction of the KL divergence (T2)."""
import numpy as np

from ..errors import ConfigurationError, DataError, ShapeError
from .distributions import DiagonalGaussian, Grid
from .divergences import kl

MOST_STEPS, MOST_HALVINGS = 500, 30  # most steps, and most times that one of them is halved
CONVERGED = 1e-14                    # gain of a step, in nats, below which the search ends


def _points(p):
    if not isinstance(p, Grid):
        raise ConfigurationError(f"p is a {type(p).__name__}; expected a Grid, whose integrals are sums. Evaluate its "
                                 "density on one.")
    return np.stack(np.meshgrid(*p.axes, indexing="ij"), axis=-1)


def moment_projection(p: Grid) -> DiagonalGaussian:
    """Return the argmin over diagonal Gaussians q of KL(p || q): p's mean and variances (T2).

    E_p log q depends on p only through its moments, and where its derivatives are zero q has the same ones.  So q
    covers all of p, and where p has two peaks it covers the valley between them too.  Raises ConfigurationError if p
    is no Grid.

    Examples
    --------
    >>> x = np.linspace(-10, 10, 401)
    >>> p = Grid(np.exp(-0.5 * (x - 1) ** 2) / np.sqrt(2 * np.pi), x)
    >>> moment_projection(p).mu.round(6)
    array([1.])
    """
    points = _points(p)
    masses, axes = np.exp(p.masses.log_p)[..., None], tuple(range(len(p.axes)))
    mean = np.sum(masses * points, axis=axes)
    return DiagonalGaussian(mean, np.log(np.sum(masses * np.square(points - mean), axis=axes)))


def information_projection(p: Grid, start: DiagonalGaussian) -> DiagonalGaussian:
    """Return a local argmin over diagonal Gaussians q of KL(q || p), downhill from `start` (T2).

    The divergence is large where q is and p is not, so q settles on one of two peaks; `start` decides which.  With
    r = log q - log p and s = (x - mu) / sigma the score of q gives dKL/dmu = E_q[s r] / sigma and
    dKL/dlogvar = E_q[(s^2 - 1) r] / 2.  Divided by the Fisher information, 1 / sigma^2 and 1/2, they are the natural
    gradient.  A step along it is halved until KL falls.

    Raises ConfigurationError, ShapeError or DataError if p is no Grid, has zeros, or `start` does not fit onto it.

    Parameters
    ----------
    p : Grid
        Positive everywhere (q is), and wide enough for every q on the way.
    start : DiagonalGaussian
        mu and logvar (d,), d the dimensions of the grid.

    Examples
    --------
    >>> x = np.linspace(-10, 10, 401)
    >>> p = Grid(np.exp(-0.5 * (x - 1) ** 2) / np.sqrt(2 * np.pi), x)
    >>> information_projection(p, DiagonalGaussian([0.0], [1.0])).mu.round(6)
    array([1.])
    """
    points, axes = _points(p), tuple(range(len(p.axes)))
    if np.isinf(p.log_density).any():
        raise DataError("p is 0 somewhere on the grid, where every Gaussian is not: KL(q || p) is infinite. Build it "
                        "with Grid.from_log, which does not underflow, or cut the grid.")
    if not isinstance(start, DiagonalGaussian) or start.mu.shape != (len(axes),):
        raise ShapeError(f"start is {start!r}{getattr(getattr(start, 'mu', None), 'shape', '')}; expected one "
                         f"DiagonalGaussian with {len(axes)} means, one for each dimension of the grid. Pass that.")

    def on_grid(q):
        return Grid.from_log(q.log_density(points), *p.axes)

    try:
        q, density = start, on_grid(start)
    except DataError as error:
        raise DataError(f"start does not lie on the grid: {error}") from error
    value = kl(density, p)
    for _ in range(MOST_STEPS):
        sigma = np.exp(0.5 * q.logvar)
        s = (points - q.mu) / sigma
        weighted = (np.exp(density.masses.log_p) * (density.log_density - p.log_density))[..., None]
        d_mu, d_logvar = sigma * np.sum(weighted * s, axis=axes), np.sum(weighted * (s * s - 1), axis=axes)
        for halving in range(MOST_HALVINGS):
            step = 0.5 ** halving
            trial = DiagonalGaussian(q.mu - step * d_mu, q.logvar - step * d_logvar)
            try:
                trial_density = on_grid(trial)
            except DataError:                                      # too far or too narrow for the grid: too long a step
                continue
            trial_value = kl(trial_density, p)
            if trial_value < value:
                break
        else:
            return q
        gained, q, density, value = value - trial_value, trial, trial_density, trial_value
        if gained < CONVERGED:
            return q
    raise DataError(f"KL(q || p) still falls after {MOST_STEPS} steps; expected a minimum by then. Start nearer to it.")
