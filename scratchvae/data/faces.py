"""Faces: 32 x 32 gray pictures drawn from nine known factors, and the factors read back from pixels (T22).

`make_faces` draws them at random, `render` from given factors, and `measure` finds the factors of any picture, by
fitting what `scratchvae.data.face_painter` paints.
"""
import math
from typing import NamedTuple

import numpy as np

from ..arrays import as_finite
from ..errors import ConfigurationError, ShapeError
from ..validation import check_seed, integer, number
from .face_painter import FACTORS, HIGH, LOW, paint, SIDE

IMAGE_SHAPE = (SIDE, SIDE)
N_TRAIN, N_TEST = 5000, 1000  # faces of `load_faces`
MOST_FACES = 1_000_000        # most faces drawn at once: 4 GB
OUTSIDE = 0.5                 # how far a measured factor may lie outside its range, as a share of it
DIFFERENCE_STEP = 1e-4        # step of the forward differences, as a share of a factor's range
GAUSS_NEWTON_STEPS = 30
STILL = 1e-3                  # a face whose last step was shorter is done, as a share of a factor's range


class Faces(NamedTuple):
    """Pictures, (n, 1024) float32 from 0 black to 1 white, and their factors by name, (n,) float64 each."""

    images: np.ndarray
    factors: dict


def _as_matrix(factors, what="factors"):
    if not isinstance(factors, dict) or set(factors) != set(FACTORS):
        got = sorted(map(str, factors)) if isinstance(factors, dict) else type(factors).__name__
        raise ConfigurationError(f"{what} is {got}; expected a dict with the names {', '.join(FACTORS)}. "
                                 "Begin from make_faces(n).factors.")
    columns = [as_finite(factors[name], name, ndim=(1,)) for name in FACTORS]
    lengths = {name: len(column) for name, column in zip(FACTORS, columns)}
    if len(set(lengths.values())) != 1:
        raise ShapeError(f"{what} has arrays of these lengths: {lengths}; expected the same length, one number for "
                         "each face. Make an array of one value with np.full.")
    return np.column_stack(columns)


def _as_dict(matrix):
    return dict(zip(FACTORS, matrix.T.copy()))


def render(factors: dict[str, np.ndarray]) -> np.ndarray:
    """Return the pictures (n, 1024), float64 from 0 black to 1 white, of faces with given factors.

    `factors` has an array (n,) for every name of `FACTORS`, in its unit; values somewhat outside the range are allowed.
    Raises ConfigurationError for other names, ShapeError for unequal lengths, DataError for values that are not finite.

    Examples
    --------
    >>> middle = {name: [(factor.low + factor.high) / 2] for name, factor in FACTORS.items()}
    >>> face = render(middle).reshape(IMAGE_SHAPE)
    >>> bool(np.abs(face - face[:, ::-1]).max() < 1e-12)              # looks straight ahead: symmetric
    True
    """
    return paint(_as_matrix(factors))


# ---- drawing at random ------------------------------------------------------------------------------------------

def _correlation_matrix(correlation):
    names, matrix = list(FACTORS), np.eye(len(FACTORS))
    if not isinstance(correlation, dict):
        raise ConfigurationError(f"correlation is {type(correlation).__name__}; expected a dict of pairs. Pass for "
                                 'example {("eye_size", "mouth_curve"): 0.8}.')
    for pair, value in correlation.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or len({*pair} & {*names}) != 2:
            raise ConfigurationError(f"correlation has {pair!r}; expected two different factors of {', '.join(names)}. "
                                     'Pass for example {("eye_size", "mouth_curve"): 0.8}.')
        i, j = map(names.index, pair)
        value = number(f"correlation of {pair}", value, -1, 1, "Choose for example 0.8.", closed="neither")
        matrix[i, j] = matrix[j, i] = value
    if np.linalg.eigvalsh(matrix)[0] <= 1e-9:
        raise ConfigurationError(f"correlation is {correlation}; no factors can have all of these correlations. Choose "
                                 "smaller ones.")
    return matrix


def make_faces(n: int, seed: int = 0, *, correlation: dict[tuple[str, str], float] | None = None) -> Faces:
    """Draw n faces at random, at most a million.

    The same seed always gives the same faces; a larger n begins with those of a smaller one.  Each factor is uniform
    over its range.  Pairs in `correlation`, which maps them to a number r between -1 and 1, are joined by a Gaussian
    copula: normal draws with correlation r, each put through the normal distribution function.  The correlation of the
    factors is then 6/pi asin(r / 2), 0.786 for r = 0.8.  Raises ConfigurationError for an impossible argument.

    Examples
    --------
    >>> faces = make_faces(1000, correlation={("eye_size", "mouth_curve"): 0.8})
    >>> faces.images.shape, faces.images.dtype.name
    ((1000, 1024), 'float32')
    >>> print(np.corrcoef(faces.factors["eye_size"], faces.factors["mouth_curve"])[0, 1].round(1))
    0.8
    """
    n = integer("n", n, 1, MOST_FACES, "Draw more in parts, each with a seed of its own.")
    root = np.linalg.cholesky(_correlation_matrix({} if correlation is None else correlation))
    normal = np.random.default_rng(check_seed(seed)).standard_normal((n, len(FACTORS)))
    normal = np.einsum("nj,ij->ni", normal, root)
    share = [0.5 + 0.5 * math.erf(value) for value in (normal / math.sqrt(2)).ravel().tolist()]
    matrix = LOW + (HIGH - LOW) * np.reshape(share, normal.shape)
    return Faces(paint(matrix, np.float32), _as_dict(matrix))


def load_faces() -> tuple[Faces, ...]:
    """Return (train, test), the Faces of `load_data("faces")`: 5,000 and 1,000 with independent factors."""
    whole = make_faces(N_TRAIN + N_TEST)
    return tuple(Faces(whole.images[part], {name: values[part] for name, values in whole.factors.items()})
                 for part in (slice(N_TRAIN), slice(N_TRAIN, None)))


def is_large(factor: np.ndarray) -> np.ndarray:
    """Return labels (n,) int64: 1 where a factor is above the median of its values.

    Examples
    --------
    >>> is_large(np.array([1.2, 2.0, 1.4, 2.2]))
    array([0, 1, 0, 1])
    """
    factor = as_finite(factor, "factor", ndim=(1,))
    return (factor > np.median(factor)).astype(np.int64)


# ---- reading the factors back -----------------------------------------------------------------------------------

def _slopes(u, pictures):
    """Return d pictures / d u by forward differences, (n, 9, 1024); u (n, 9) are factors as shares of their range."""
    slopes = np.empty((*u.shape, pictures.shape[1]))
    for k in range(u.shape[1]):
        moved = u.copy()
        moved[:, k] += DIFFERENCE_STEP
        slopes[:, k] = (paint(LOW + (HIGH - LOW) * moved) - pictures) / DIFFERENCE_STEP
    return slopes


def measure(images: np.ndarray,
            start: dict[str, np.ndarray] | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Find the factors of pictures (n, 1024), 0 to 1: those whose drawing has the least squared difference from them.

    Gauss-Newton for all pictures at once, each step damped until the fit improves (Levenberg 1944, Marquardt 1963).
    `start` has the factors (n,) to begin from, by default the middle of each range.  Returns the factors (n,) by name,
    each at most half its range outside of it, and the root mean squared difference of the pixels that is left, (n,).
    Raises ConfigurationError, ShapeError or DataError for arrays that do not fit.

    Examples
    --------
    >>> faces = make_faces(3)
    >>> found, error = measure(faces.images)
    >>> bool(np.abs(found["eye_size"] - faces.factors["eye_size"]).max() < 1e-4)
    True
    """
    images = as_finite(images, "images", ndim=(2,))
    if images.shape[1] != SIDE * SIDE:
        raise ShapeError(f"images has {images.shape[1]} columns; a face has {SIDE * SIDE} pixels. Reshape them to "
                         f"(n, {SIDE * SIDE}).")
    if start is None:
        u = np.full((len(images), len(FACTORS)), 0.5)
    else:
        u = (_as_matrix(start, "start") - LOW) / (HIGH - LOW)
        if len(u) != len(images):
            raise ShapeError(f"start has {len(u)} faces and images {len(images)}; expected as many. Give each a start.")
    u = np.clip(u, -OUTSIDE, 1 + OUTSIDE)
    pictures = paint(LOW + (HIGH - LOW) * u)
    loss = np.sum((images - pictures)**2, axis=1)
    damping = np.full(len(u), 1e-2)
    moving = np.arange(len(u))
    for _ in range(GAUSS_NEWTON_STEPS):
        here, drawn = u[moving], pictures[moving]
        slopes = _slopes(here, drawn)
        downhill = np.einsum("nid,nd->ni", slopes, images[moving] - drawn)[:, :, None]
        curvature = np.einsum("nid,njd->nij", slopes, slopes)
        ridge = damping[moving] * curvature.trace(axis1=1, axis2=2) / len(FACTORS)
        curvature += ridge[:, None, None] * np.eye(len(FACTORS))
        tried = np.clip(here + np.linalg.solve(curvature, downhill)[:, :, 0], -OUTSIDE, 1 + OUTSIDE)
        drawn = paint(LOW + (HIGH - LOW) * tried)
        left = np.sum((images[moving] - drawn)**2, axis=1)
        better = left < loss[moving]
        u[moving[better]], pictures[moving[better]], loss[moving[better]] = tried[better], drawn[better], left[better]
        damping[moving] *= np.where(better, 0.2, 5.0)
        moving = moving[np.abs(tried - here).max(axis=1) > STILL]
        if not len(moving):
            break
    return _as_dict(LOW + (HIGH - LOW) * u), np.sqrt(loss / images.shape[1])
