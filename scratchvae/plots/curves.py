"""Figures of numbers: learning curves, and the KL of each latent dimension."""
import textwrap
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, ShapeError
from .sheet import FAINT, GRAY, INK, laid_out, new_figure, note, plain_axes, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = [{"color": color, "linestyle": line} for color, line in zip(
    (INK, TEST, "#2c7a5b", "#74acd5", "#8a5fb0"), ("-", "--", "-.", ":", (0, (8, 2))))]
ACTIVE_NATS = 0.01      # nats per example: a latent dimension that carries less counts as unused
MOST_NATS = 1e9         # nats that are drawn, of an encoder that overflows


def learning_curves(history: Sequence) -> "Figure":
    """Loss, reconstruction and KL against the epoch, for the held-out and the training data.

    A model without a KL term (an autoencoder) gets one panel.  If the first tenth of the epochs would flatten the
    rest, it is cut off, and the panel says at which value training started.

    Parameters
    ----------
    history : sequence of rows
        Each has the fields epoch, train_loss, train_reconstruction, train_kl, test_loss, test_reconstruction
        and test_kl, in nats per example; a test field is NaN where there was no held-out set.
    """
    if not len(history):
        raise DataError("the history has no epochs; expected at least one row. Train for an epoch first.")
    epochs = np.array([row.epoch for row in history], dtype=float)
    panels = {"loss": "Loss", "reconstruction": "Reconstruction", "kl": "KL divergence"}
    kl = np.array([(row.train_kl, row.test_kl) for row in history], dtype=float)
    if not np.any(kl[np.isfinite(kl)]):
        panels = {"loss": "Loss (reconstruction)"}
    figure = new_figure(5.0 if len(panels) == 1 else 8.8, 3.2, layout="constrained")
    for axes, (part, title) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items()):
        curves = {split: np.array([getattr(row, f"{split}_{part}") for row in history], dtype=float)
                  for split in ("train", "test")}
        few = len(epochs) <= 15
        axes.plot(epochs, curves["train"], color=TRAIN, linewidth=2.6, label="training",
                  marker="o" if few else "", markersize=5)
        if np.any(np.isfinite(curves["test"])):
            axes.plot(epochs, curves["test"], color=TEST, linewidth=1.1, label="held-out",
                      marker="s" if few else "", markersize=4)
        plain_axes(axes, title, "epoch", "nats per example")
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        _epoch_axis(axes, epochs)
        _settled_limits(axes, epochs, np.stack(list(curves.values())))
    figure.axes[0].legend(frameon=False, loc="best")
    return laid_out(figure)


def _epoch_axis(axes, epochs):
    """Set ticks at whole epochs only, and leave some room when there are few."""
    first, last = epochs.min(), epochs.max()
    room = max(0.5 if len(epochs) < 4 else 0.0, 0.03 * (last - first))
    axes.set_xlim(first - room, last + room)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def _settled_limits(axes, epochs, curves):
    """Limit y to the epochs after the first tenth if there are ten or more and all need 2.5 times that height."""
    def span(values):
        values = values[np.isfinite(values)]
        return (values.min(), values.max()) if values.size else (0.0, 1.0)

    low, high = span(curves)
    late = epochs >= epochs.min() + 0.1 * (epochs.max() - epochs.min()) * (len(epochs) >= 10)
    late_low, late_high = span(curves[:, late])
    if high - low > 2.5 * (late_high - late_low) > 0.0:
        low, high = late_low, late_high
        note(axes, f"training from {curves[0, 0]:,.1f}")
    room = 0.06 * (high - low) or 0.01 * max(abs(high), 1.0)
    axes.set_ylim(low - room, high + room)
    axes.yaxis.get_major_locator().set_params(steps=[1, 2, 5, 10])
    axes.ticklabel_format(axis="y", useOffset=False)


def kl_per_dimension(kl: np.ndarray) -> "Figure":
    """The KL of each latent dimension, largest first; kl (Z,) is in nats, averaged over the data."""
    kl = np.minimum(np.nan_to_num(np.asarray(kl, dtype=float), nan=np.inf), MOST_NATS)
    if kl.ndim != 1 or not kl.size:
        raise ShapeError(f"kl is {kl.shape}; expected (Z,). Average the KL of each dimension over the data.")
    order = np.argsort(-kl, kind="stable")
    ranked, place = kl[order], np.arange(1, len(kl) + 1)
    used = ranked > ACTIVE_NATS
    figure = new_figure(6.8, 3.6, layout="constrained")
    axes = figure.subplots()
    axes.set(ylim=np.array([-0.03, 1.08]) * max(ranked[0], ACTIVE_NATS), xlim=(0.3, len(kl) + 0.7))
    size = float(np.clip(160 / len(kl), 2.0, 6.0))
    axes.vlines(place, 0, ranked, color=FAINT, linewidth=size / 3, zorder=1)
    for which, face in ((used, INK), (~used, "white")):
        axes.plot(place[which], ranked[which], linestyle="", marker="o", markersize=size, color=INK,
                  markerfacecolor=face, markeredgewidth=size / 6)
    title = f"{used.sum()} of {len(kl)} latent dimensions used, {kl.sum():.2f} nats per example in total"
    plain_axes(axes, title, f"latent dimension, largest KL first (hollow: unused, at most {ACTIVE_NATS:g} nats)",
               "KL divergence (nats per example)")
    if len(kl) <= 32:
        axes.set_xticks(place, [f"z{index + 1}" for index in order], fontsize=9 if len(kl) <= 20 else 7)
    return laid_out(figure)


def bounds_over_epochs(panels: dict[str, tuple]) -> "Figure":
    """Held-out numbers against epochs on a log scale, a panel for each protocol, because those do not compare.

    A published number is a thin line in its row's style.  What comes before the first tick is cut off.

    Parameters
    ----------
    panels : dict of str to (sequence of int, dict)
        {title: (epochs of the ticks, {name: (published number or None, curves, points)})}: a curve (2, m) for each
        seed, and points (2, k) of estimates at some epochs; both have epochs, then nats per example.
    """
    if not panels:
        raise DataError("there is no curve; expected at least one. Train for an epoch first.")
    rows = -(-len(panels) // 2)
    figure = new_figure(10.0, 4.0 * rows, layout="constrained")
    for axes, (title, (ticks, found)) in zip(figure.subplots(rows, 2, squeeze=False).flat, panels.items()):
        first = min([ticks[0], *(curve[0, -1] for _, curves, _ in found.values() for curve in curves)])
        shown, keys = [], {}
        for (name, (published, curves, points)), style in zip(found.items(), cycle(STYLES)):
            for curve in curves:
                axes.plot(*curve, label="" if curve is not curves[0] else name, linewidth=1.2, **style)
                shown.append(curve[1, curve[0] >= first])
            if points.size:
                axes.plot(*points, linestyle="", marker="o", markersize=4, color=style["color"])
                keys["log-likelihood"] = dict(linestyle="", marker="o", markersize=4)
            if published is not None:
                axes.axhline(published, linewidth=0.7, **style)
                keys["published"] = dict(linewidth=0.7)
            shown += [points[1], [] if published is None else [published]]
        for label, look in keys.items():
            axes.plot([], [], color=GRAY, label=label, **look)
        plain_axes(axes, textwrap.fill(title, 50), "epoch", "nats per example")
        axes.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_formatter("")
        low, high = min(map(min, filter(len, shown))), max(map(max, filter(len, shown)))
        room = 0.05 * (high - low) or 1.0
        axes.set(xlim=(0.8 * first, 1.25 * ticks[-1]), ylim=(low - room, high + room))
        axes.legend(frameon=False, fontsize=8)
    for axes in figure.axes[len(panels):]:
        axes.remove()
    return laid_out(figure)
