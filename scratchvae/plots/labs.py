"""Figures of the lab: estimators side by side, and what the KL's weight does."""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .sheet import FAINT, GRAY, INK, laid_out, log_ticks, new_figure, note, plain_axes, plain_text, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIASED = 5.0            # standard errors: an estimator whose bias is larger counts as biased
NAME_PLACES = ((0, 1), (1, 1), (0, -1), (-1, -1))               # across and up from a point
NEAR = 8.0              # pixels of the file around a point that stay free of names
SCENES = {"oracle": (INK, "o"), "digits": (TEST, "s")}          # color and marker of each scene that is drawn
PANELS = {"bias_z": ("Bias", "standard errors"), "variance": ("Variance", "of the gradient, nats²"),
          "signal_to_noise": ("Signal to noise", "|expectation| / deviation"),
          "step_time": ("Cost", "time / analytic, K = 1")}


def estimator_lab(rows: Sequence) -> "Figure":
    """Bias, variance, signal-to-noise and cost of each estimator, one a line, in the scenes "oracle" and "digits".

    Each row has the fields of `analysis.estimator_comparison.Measurement`.
    """
    rows = [row for row in rows if row.scene in SCENES]
    if not rows:
        raise DataError("there are no rows of the scenes 'oracle' or 'digits'; expected at least one. "
                        "Pass what measure_estimators returns.")
    names, scenes = list(dict.fromkeys(map(_name, rows))), {row.scene for row in rows}
    figure = new_figure(11.0, 1.3 + 0.27 * len(names), layout="constrained")
    for axes, (field, (title, unit)) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items()):
        plain_axes(axes, title, unit, "")
        axes.hlines(range(len(names)), 0, 1, color=FAINT, linewidth=0.5, transform=axes.get_yaxis_transform())
        for scene, (color, marker) in SCENES.items():
            here = [row for row in rows if row.scene == scene and np.isfinite(getattr(row, field))]
            if here and not (field == "step_time" and scene == "oracle" and "digits" in scenes):
                axes.plot([getattr(row, field) for row in here], [names.index(_name(row)) for row in here],
                          linestyle="", marker=marker, color=color, markersize=5, markerfacecolor="none", label=scene)
        axes.set_xscale("log")
        if field == "bias_z":
            axes.axvline(BIASED, color=TEST, linewidth=1.0, linestyle="--", zorder=0.9)
            note(axes, f"biased right of {BIASED:g}")
            axes.set_xlim(left=0.1)
        log_ticks(axes.xaxis)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    figure.axes[-1].legend(*figure.axes[1].get_legend_handles_labels(), fontsize=9, loc="upper right",
                           facecolor="white", edgecolor="none", framealpha=1.0)
    return laid_out(figure)


def _name(row):
    baseline = "" if row.baseline == "none" else f", {row.baseline.replace('_', ' ')}"
    return f"{row.estimator.replace('_', ' ')}{baseline}, K = {row.n_samples}"


def rate_distortion(curves: Sequence, as_lambda: bool = False) -> "Figure":
    """For each data set: the distortion against the KL, and the held-out log-likelihood against the KL's weight.

    Each curve is an `analysis.rate_distortion.Curve`.  The weight is written as beta = sigma^2, that of the KL beside
    half the squared error, or as lambda = 2 sigma^2, that beside the whole of it.  Weights that are far worse than the
    rest lie below the frame, and the panel says how many they are.
    """
    if not len(curves):
        raise DataError("there are no curves; expected at least one. Pass what "
                        "analysis.rate_distortion.rate_distortion returns.")
    figure = new_figure(7.4, 2.9 * len(curves), layout="constrained")
    panels = figure.subplots(len(curves), 2, squeeze=False)
    weight, times = ("lambda", 2) if as_lambda else ("beta", 1)
    for (left, right), curve in zip(panels, curves):
        _draw_trade(left, curve, weight)
        _draw_quality(right, curve, weight, times)
    laid_out(figure)
    for left, curve in zip(panels[:, 0], curves):
        _name_points(left, [(point.rate, point.distortion, f"{times * point.beta:.2g}") for point in curve.points])
    return figure


def _draw_trade(axes, curve, weight):
    plain_axes(axes, plain_text(curve.dataset), "rate: KL (nats per example)", "squared error a pixel")
    axes.plot(*np.transpose([(point.rate, point.distortion) for point in curve.points]), color=TRAIN, linewidth=1.6,
              marker="o", markersize=5)
    axes.plot([curve.learned.rate], [curve.learned.distortion], color=TEST, marker="*", markersize=11, linestyle="",
              label="learned sigma²")
    axes.margins(0.18, 0.18)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    note(axes, f"numbers: {weight}")


def _name_points(axes, points):
    """Write each point's name on the first side of it where it meets no line, no marker and no other name."""
    curve, star = axes.lines
    path = curve.get_path().transformed(curve.get_transform())
    taken = [_square(place) for place in (*path.vertices, *star.get_transform().transform(star.get_xydata()))]
    for k, (x, y, name) in enumerate(points):
        above, below = NAME_PLACES[:2], NAME_PLACES[2:]
        for across, up in (*(below + above if k % 2 else above + below), (1, 0)):               # in turn
            text = axes.annotate(name, (x, y), xytext=(5 * across, 6 * up), textcoords="offset points", fontsize=9,
                                 color=GRAY, ha=("right", "center", "left")[across + 1],
                                 va=("top", "center", "bottom")[up + 1])
            box = text.get_window_extent()
            inside = not up or axes.bbox.count_contains([box.min, box.max]) == 2      # there is no frame on the right
            if inside and not path.intersects_bbox(box, filled=False) and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


def _square(center):
    from matplotlib.transforms import Bbox
    return Bbox.from_extents(*(center - NEAR), *(center + NEAR))


def _draw_quality(axes, curve, weight, times):
    plain_axes(axes, f"Held-out log p(x), K = {curve.learned.importance_samples}",
               f"{weight} = {'2 ' * (times == 2)}sigma²", "nats per example ± s.e.")
    at, quality, error = np.array([(times * p.beta, p.log_likelihood, p.stderr) for p in curve.points]).T
    learned = times * curve.implied_beta
    axes.errorbar(at, quality, yerr=error, color=TRAIN, linewidth=1.6, marker="o", markersize=5)
    best = at.tolist().index(times * curve.best_beta)
    axes.plot(at[best], quality[best], marker="o", markersize=10, color=INK, markerfacecolor="none", linestyle="",
              label=f"best: {at[best]:.2g}")
    axes.plot(learned, curve.learned.log_likelihood, marker="*", markersize=11, color=TEST, linestyle="",
              label=f"learned: {learned:.2g}")
    axes.set_xscale("log")
    top = max(quality.max(), curve.learned.log_likelihood)
    reach = 3 * (top - np.median(quality)) or 1.0
    bottom = max(quality.min() - 0.05 * reach, top - reach)
    hidden = int((quality < bottom).sum())
    axes.set_ylim(bottom, top + 0.1 * (top - bottom))
    log_ticks(axes.xaxis)
    if hidden:
        note(axes, f"{hidden} of {len(quality)} lower")
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
