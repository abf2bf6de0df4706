"""Rules that turn expectations under N(0, I) and integrals over one or two latents into sums (G14 to G17)."""
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..validation import positive_integer, rows_at_once

NOTHING = 1e-22                            # smaller weights do not change a float64 sum
GRID = {1: 1001, 2: 161}                   # n_latent -> nodes on an axis; odd, so that every second one is also a grid
EPS_EDGE = 9.5                             # N(0, 1) has a probability of 2e-21 outside of +-EPS_EDGE
HALVINGS = 30                              # of a step, until a peak is found
ROUGH, MOST_NODES = 1e-3, 1 << 20          # change of log p(x) for which a grid gets finer, while it has fewer nodes
LOG_EDGE = 40.0                            # a density is taken as 0 below e^-LOG_EDGE of its largest value


def sigma_points(n_latent: int) -> np.ndarray:
    """Return 2 Z values of eps, (2Z, Z); the average of f over them is E f(eps), eps ~ N(0, I), for some f.

    They are +-sqrt(Z) along each axis.  The average of eps is 0, of eps eps^T is I, and of every third-degree term 0,
    as under N(0, I); so f may be any polynomial of degree 3.  The loss of a linear-Gaussian VAE and its pathwise
    gradients have degree 2: with the data repeated 2 Z times, one call of `vae.gradient` gives G7 to G10.
    (McNamee & Stenger 1967, "Construction of fully symmetric numerical integration formulas", degree 3.)

    Examples
    --------
    >>> eps = sigma_points(3)
    >>> bool(np.allclose(eps.mean(axis=0), 0)), bool(np.allclose(eps.T @ eps / len(eps), np.eye(3)))
    (True, True)
    """
    rows_at_once("n_latent", positive_integer("n_latent", n_latent), 2 * n_latent)
    points = np.sqrt(n_latent) * np.eye(n_latent)
    return np.concatenate([points, -points])


def _product(axis, weights, dimensions):
    """Return the product of a one-dimensional rule with itself: points (m, dimensions), and their weights (m,)."""
    points = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    products = np.prod(np.meshgrid(*[weights] * dimensions, indexing="ij"), axis=0).reshape(-1)
    counts = products > NOTHING
    points, products = points[counts], products[counts] / products[counts].sum()
    for array in (points, products):
        array.flags.writeable = False                                 # because rules are cached
    return points, products


@lru_cache(maxsize=8)
def gauss_hermite(nodes: int, dimensions: int) -> tuple:
    """Return eps (m, dimensions) and weights (m,) of the Gauss-Hermite product rule for N(0, I), read-only.  (G14)"""
    axis, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return _product(axis, weights / weights.sum(), dimensions)


@lru_cache(maxsize=2)
def even_normal(dimensions: int) -> tuple:
    """Return eps (m, dimensions) and weights (m,) of an even grid under N(0, I), read-only.                (G16)"""
    axis = np.linspace(-EPS_EDGE, EPS_EDGE, GRID[dimensions])
    density = np.exp(-0.5 * axis**2)
    return _product(axis, density / density.sum(), dimensions)


def expected_log_sum(log_w: np.ndarray, weights: np.ndarray, n_samples: int) -> float:
    """Return E log(w_1 + ... + w_K) of K independent draws of w: log w is log_w[i] with probability weights[i].

    The integrand of G17 is analytic for |Im u| < pi / 2, so the error of the trapezoid rule with step h is about
    exp(-pi^2 / h), here 1e-17.  Below its window of u K (1 - exp(-t w)) is 0, and above it exp(-t w).  Where no window
    is, the integrand is constant: the time does not grow with the spread of log w.  Where phi is near 1, phi^K has as
    many digits as 1 - phi, which is what is added up.                                                      (G17)
    """
    level, order = np.einsum("i,i->", weights, log_w), np.argsort(log_w)[::-1]
    log_w, weights = log_w[order] - level, weights[order]             # a typical weight becomes 1
    step = max(0.25, 64 * np.spacing(np.abs(log_w).max()))            # a power of 2: u is exact
    edge = LOG_EDGE + math.log(n_samples)
    starts = step * np.ceil((-edge - log_w) / step)
    window = np.arange(0, 7 + edge + step, step)                      # above, exp(-t w) = exp(-e^7) is 0
    ends = np.append(starts, step * np.ceil(-edge / step))            # the reference's window, too
    u = np.unique(np.unique(ends)[:, None] + window)
    above = np.append(0.0, np.cumsum(weights))
    rest, first = above[np.searchsorted(starts + window[-1], u)], np.searchsorted(u, starts)          # rest is 1 - phi
    for place, higher in enumerate(window):
        np.add.at(rest, first + place, -weights * np.expm1(-np.exp(np.minimum(starts + higher + log_w, 7))))
    with np.errstate(divide="ignore"):                                # log 0, where phi is 0
        change = np.exp(-np.exp(np.minimum(u, 7))) - np.exp(n_samples * np.log1p(-np.minimum(rest, 1)))
    return level + np.einsum("i,i->", np.diff(u), change[:-1])


class PosteriorGrid(NamedTuple):
    """The true posterior of one x: axes, (m,) for each latent; log_density (m,) or (m, m'), nats; log p(x), its error.

    `error` is the change of log p(x) if every second node is left out, which is more than its error; infinite if the
    modes are too narrow for as many nodes as are taken.  It knows nothing of modes that no local maximum of the first
    grid shows, because the networks bend within its step: 0.02, or 0.125 with two latents, and more if q is wide.
    """

    axes: tuple
    log_density: np.ndarray
    log_p: float
    error: float


def _peaks(log_joint, z, values, step):
    """Return (k, Z): the places where the density is highest near a local maximum of a grid z, if it is not 0 there.

    From each such node it goes to the best of the 3^Z places around, with half the step each time.
    """
    n_latent = len(step)
    around = sliding_window_view(np.pad(values, 1, constant_values=-np.inf), (3,) * n_latent)
    at = z[values == around.max(axis=tuple(range(-n_latent, 0)))]
    moves = np.stack(np.meshgrid(*[[-1, 0, 1]] * n_latent), axis=-1).reshape(-1, n_latent)
    for halvings in range(1, HALVINGS + 1):
        near = at[:, None] + moves * step / 2**halvings
        found = log_joint(near.reshape(-1, n_latent)).reshape(len(at), -1)
        at, top = near[np.arange(len(at)), found.argmax(axis=1)], found.max(axis=1)
    return at[top > top.max() - LOG_EDGE]


def tabulate(log_joint: Callable, low: np.ndarray, high: np.ndarray) -> PosteriorGrid:
    """Return the PosteriorGrid of log_joint(z), z (m, Z) -> (m,), from a first box low (Z,) to high (Z,).

    The box doubles until the density is 0 at its edges, then shrinks around it.  It keeps the peaks of all modes, which
    may lie between the nodes, and it shrinks in two stages, so that what is narrow on a coarse grid is not lost.  Then
    the axes of which every second node would give another integral get twice as many, as far as it goes.      (G15)
    """
    n_latent = len(low)
    nodes = np.full(n_latent, GRID[n_latent])

    def look():
        axes = tuple(np.linspace(*ends) for ends in zip(low, high, nodes))
        z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return axes, z, log_joint(z.reshape(-1, n_latent)).reshape(z.shape[:-1]), (high - low) / (nodes - 1)

    def extent(edge, *peaks):
        inside = np.concatenate([z[values > values.max() - edge], *peaks])
        return inside.min(axis=0), inside.max(axis=0)

    def log_sum(every):
        """Return log p(x) from every so many nodes of each axis, (Z,)."""
        kept = values[tuple(slice(None, None, n) for n in every)]
        with np.errstate(divide="ignore"):                             # all that is kept may be 0
            return values.max() + np.log(np.prod(step * every) * np.exp(kept - values.max()).sum())

    while True:
        axes, z, values, step = look()
        first, last = extent(LOG_EDGE)
        below, above = first <= low, last >= high
        if not (below | above).any():
            break
        low, high = np.where(below, 2 * low - high, low), np.where(above, 2 * high - low, high)
    peaks = _peaks(log_joint, z, values, step)
    for edge in (10 * LOG_EDGE, LOG_EDGE):
        shrinks = True
        while shrinks:
            first, last = extent(edge, peaks)
            width = high - low
            low, high = np.maximum(low, first - step), np.minimum(high, last + step)
            shrinks = (high - low < 0.8 * width).any()
            axes, z, values, step = look()
    one = np.ones(n_latent, int)
    while True:
        log_p = log_sum(one)
        error = abs(log_p - log_sum(2 * one))
        rough = np.array([abs(log_sum(every) - log_p) > ROUGH for every in one + np.eye(n_latent, dtype=int)])
        finer = np.where(rough | ~rough.any(), 2 * nodes - 1, nodes)       # all axes for a mode that lies across them
        if error <= ROUGH or np.prod(finer) > MOST_NODES:
            break
        nodes = finer
        axes, z, values, step = look()
    return PosteriorGrid(axes, values - log_p, float(log_p), float(error) if error <= ROUGH else math.inf)
