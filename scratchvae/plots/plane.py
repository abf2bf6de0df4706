"""The latent plane: posterior means as points, or their two principal directions."""
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ShapeError
from .sheet import GRAY, INK, laid_out, new_figure, note, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 4000       # points in the latent plane: more of them hide each other

# Ten hues that color-blind readers can tell apart, after Paul Tol's muted scheme (personal.sron.nl/~pault).
CLASS_COLORS = ("#332288", "#cc6677", "#117733", "#aa4499", "#44aa99",
                "#882255", "#999933", "#4477aa", "#555555", "#b8860b")


def principal_directions(mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project centered rows on the two directions of largest variance.

    Each direction's largest loading is positive, so the same data always give the same picture.

    Parameters
    ----------
    mu : (n, Z) posterior means.

    Returns
    -------
    projected : (n, 2) float64; the second column is zero if Z = 1, both if n < 2.
    explained : (2,) float64, fractions of the total variance.

    Examples
    --------
    >>> projected, explained = principal_directions([[0., 0., 3.], [0., 0., -3.]])
    >>> projected[:, 0], explained
    (array([ 3., -3.]), array([1., 0.]))
    """
    mu = np.atleast_2d(np.asarray(mu, dtype=np.float64))
    projected, explained = np.zeros((len(mu), 2)), np.zeros(2)
    if len(mu) < 2:
        return projected, explained
    centered = mu - mu.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centered, full_matrices=False)
    kept = min(2, len(lengths))
    directions = directions[:kept]
    largest = directions[np.arange(kept), np.argmax(np.abs(directions), axis=1)]
    projected[:, :kept] = centered @ (directions * np.sign(largest)[:, None]).T
    total = np.sum(lengths ** 2)
    if total > 0.0:
        explained[:kept] = lengths[:kept] ** 2 / total
    return projected, explained


def latent_plane(mu: np.ndarray, labels: np.ndarray | None, *, explained: np.ndarray | None = None) -> "Figure":
    """Posterior means in a plane; each point is drawn as its label, each class named at its middle.

    Parameters
    ----------
    mu : (n, 2) posterior means, or their projections on two principal directions.
        If n is larger than 4,000, so many of them are drawn, evenly chosen.
    labels : (n,) integers or short strings, or None.
    explained : (2,) fractions of the variance, if mu are projections. Without it mu are the latents themselves, and
        circles of one and two standard deviations of the prior are drawn.
    """
    mu = np.asarray(mu, dtype=float)
    if mu.ndim != 2 or mu.shape[1] != 2:
        raise ShapeError(f"mu is {mu.shape}; expected (n, 2). Project with principal_directions(mu) first.")
    if labels is not None and np.shape(labels) != (len(mu),):
        raise ShapeError(f"labels is {np.shape(labels)}; expected ({len(mu)},), one for each row of mu. "
                         "Pass None if there are none.")
    shown = np.arange(len(mu))
    title = "Posterior means"
    if len(mu) > MAX_POINTS:
        shown = np.linspace(0, len(mu) - 1, MAX_POINTS).astype(int)
        title += f" ({MAX_POINTS:,} of {len(mu):,})"
    figure = new_figure(6.4, 6.4, layout="constrained")
    axes = figure.subplots()
    axes.set_aspect("equal", adjustable="datalim")
    if explained is None:
        names = [f"z{axis} (prior standard deviations)" for axis in (1, 2)]
        note(axes, "circles: one and two standard deviations of the prior")
        turn = np.linspace(0.0, 2.0 * np.pi, 200)
        for radius in (1, 2):
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), color=GRAY, linewidth=0.8,
                      linestyle=(0, (5, 4)), zorder=0.5, gid="prior")
    else:
        names = [f"{which} principal direction ({100 * part:.0f} % of variance)"
                 for which, part in zip(("first", "second"), explained)]
    plain_axes(axes, title, *names)
    if labels is None:
        axes.scatter(*mu[shown].T, s=9, color=INK, edgecolors="none", alpha=0.45)
    else:
        _classes(axes, mu[shown], np.asarray(labels)[shown])
    return laid_out(figure)


def _classes(axes, points, labels):
    """Draw points as their own label, and a bold label at the median of each class.

    The classes take turns, a quarter of their points at a time, so that none hides another.
    """
    from matplotlib.patheffects import withStroke
    names = np.unique(labels)
    size = float(np.clip(3.2e4 / max(len(points), 1), 14.0, 40.0))
    glyphs = [_glyph(str(name)) for name in names]
    for turn in range(4):
        for index, name in enumerate(names):
            members = points[labels == name][turn::4]
            axes.scatter(*members.T, s=size, marker=glyphs[index], linewidths=0, gid=f"class {name}",
                         color=CLASS_COLORS[index % len(CLASS_COLORS)])
    middles = np.array([np.median(points[labels == name], axis=0) for name in names]).reshape(-1, 2)
    apart = 0.06 * max(axes.dataLim.width, axes.dataLim.height)
    for index, place in enumerate(_spread(middles, apart)):
        axes.annotate(str(names[index]), place, ha="center", va="center", zorder=5,
                      fontsize=20, fontweight="bold", color=CLASS_COLORS[index % len(CLASS_COLORS)],
                      path_effects=[withStroke(linewidth=4, foreground="white")])


def _spread(places, apart):
    """Push places (k, 2) that are closer than `apart` away from each other, a little at a time."""
    turn = 2.4 * np.arange(len(places))             # places that coincide part in different directions
    places = places + 1e-6 * apart * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for _ in range(100):
        between = places[:, None] - places[None]
        distance = np.linalg.norm(between, axis=2)
        np.fill_diagonal(distance, np.inf)
        lack = np.maximum(apart - distance, 0.0) / np.maximum(distance, 1e-12)
        places = places + 0.25 * np.sum(lack[:, :, None] * between, axis=1)
    return places


def _glyph(text):
    """Return the outline of a text as a marker, centered."""
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath
    outline = TextPath((0, 0), text, size=10)
    box = outline.get_extents()
    return Path(outline.vertices - [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2], outline.codes)
