"""Figures of the lab: estimators side by side, and what the KL's weight does."""
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .sheet import FAINT, GRAY, INK, laid_out, new_figure, note, plain_axes, TEST, TRAIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BIASED = 5.0            # standard errors: an estimator whose bias is larger counts as biased
APART = 0.15            # least distance between points whose beta is written, as a share of an axis
SCENES = {"oracle": (INK, "o"), "digits": (TEST, "s")}          # color and marker of each scene that is drawn
PANELS = {"bias_z": ("Bias", "standard errors"), "variance": ("Variance", "of the head's gradient, nats²"),
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
    figure = new_figure(12.0, 1.3 + 0.27 * len(names), layout="constrained")
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
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    figure.axes[1].legend(frameon=False, fontsize=8)
    return laid_out(figure)


def _name(row):
    baseline = "" if row.baseline == "none" else f", {row.baseline.replace('_', ' ')}"
    return f"{row.estimator.replace('_', ' ')}{baseline}, K = {row.n_samples}"


def rate_distortion(curves: Sequence) -> "Figure":
    """For each data set: the distortion against the KL, and the held-out log-likelihood against the KL's weight.

    Each curve is an `analysis.rate_distortion.Curve`.  Weights that are far worse than the rest lie below the frame,
    and the panel says how many they are.
    """
    if not len(curves):
        raise DataError("there are no curves; expected at least one. Pass what "
                        "analysis.rate_distortion.rate_distortion returns.")
    figure = new_figure(8.6, 3.2 * len(curves), layout="constrained")
    for (left, right), curve in zip(figure.subplots(len(curves), 2, squeeze=False), curves):
        _draw_trade(left, curve)
        _draw_quality(right, curve)
    return laid_out(figure)


def _draw_trade(axes, curve):
    plain_axes(axes, f"{curve.dataset}: rate and distortion", "rate: KL (nats per example)",
               "distortion: squared error a pixel")
    rate, distortion = (np.array([getattr(point, name) for point in curve.points]) for name in ("rate", "distortion"))
    axes.plot(rate, distortion, color=TRAIN, linewidth=1.6, marker="o", markersize=5)
    place = np.column_stack([rate / (np.ptp(rate) or 1), distortion / (np.ptp(distortion) or 1)])
    named = []
    for point, here in zip(curve.points, place):
        if all(np.hypot(*(here - other)) > APART for other in named):       # where points crowd, some are not named
            named.append(here)
            axes.annotate(f"{point.beta:.2g}", (point.rate, point.distortion), xytext=(4, 4),
                          textcoords="offset points", fontsize=8, color=GRAY)
    axes.plot([curve.learned.rate], [curve.learned.distortion], color=TEST, marker="*", markersize=11, linestyle="",
              label="learned sigma")
    axes.legend(frameon=False, fontsize=8)
    note(axes, "numbers: beta")


def _draw_quality(axes, curve):
    K = curve.learned.importance_samples
    plain_axes(axes, "Held-out log-likelihood", "beta = sigma²", f"nats per example, K = {K}")
    beta, quality, error = np.array([(p.beta, p.log_likelihood, p.stderr) for p in curve.points]).T
    axes.errorbar(beta, quality, yerr=error, color=TRAIN, linewidth=1.6, marker="o", markersize=5)
    best = beta.tolist().index(curve.best_beta)
    axes.plot(beta[best], quality[best], marker="o", markersize=10, color=INK, markerfacecolor="none", linestyle="",
              label=f"best of these: {beta[best]:.3g}")
    axes.plot(curve.implied_beta, curve.learned.log_likelihood, marker="*", markersize=11, color=TEST, linestyle="",
              label=f"learned sigma²: {curve.implied_beta:.3g}")
    axes.axvline(curve.implied_beta, color=TEST, linewidth=1.0, linestyle="--", zorder=0.9)
    axes.set_xscale("log")
    top = max(quality.max(), curve.learned.log_likelihood)
    reach = 3 * (top - np.median(quality)) or 1.0
    bottom = max(quality.min() - 0.05 * reach, top - reach)
    axes.set_ylim(bottom, top + 0.1 * (top - bottom))
    hidden = int((quality < bottom).sum())
    if hidden:
        note(axes, f"{hidden} of {len(quality)} lie below")
    axes.legend(frameon=False, fontsize=8, loc="lower center")
