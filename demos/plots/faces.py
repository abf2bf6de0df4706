"""Figures of attribute vectors: faces along a direction, what comes out in numbers, what leaks (T22)."""
import numpy as np

from scratchvae.plots.sheet import FAINT, GRAY, INK, laid_out, new_figure, plain_axes, TEST, TRAIN

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
COLORS = (TEST, INK, GRAY, TRAIN)


def measured_sweep(values, measured, factor, unit, reach):
    """A factor measured in decoded images against how much of its vector was added, one line a face.

    Parameters
    ----------
    values : (columns,) the multiples of the vector.
    measured : (faces, columns) the factor.
    factor, unit : str
    reach : (low, high) the range of the factor in the data.
    """
    figure = new_figure(7.2, 3.8, layout="constrained")
    axes = figure.subplots()
    axes.axhspan(*reach, color="#f0f0f0", zorder=0, label="range in the data")
    for k, row in enumerate(np.asarray(measured)):
        axes.plot(values, row, color=COLORS[k % 4], linestyle="-" if k < 4 else "--", linewidth=1.2,
                  marker=MARKERS[k % len(MARKERS)], markersize=5, markerfacecolor="white", label=f"face {k + 1}")
    plain_axes(axes, f"{factor.capitalize()} of dec(enc(x) + tΔ), read off the pixels", "t, how many times Δ is added",
               f"{factor} ({unit})")
    figure.legend(frameon=False, fontsize=9, loc="outside right center")
    return laid_out(figure)


def leaks(effects, factors, wanted):
    """What one unit of each direction does to every factor, a panel a set of labels.

    Parameters
    ----------
    effects : dict of dict of (m,)
        Labels' name -> direction's name -> change of the m factors, in their standard deviations.
    factors : sequence of str, m of them.
    wanted : str, the factor that was to change.
    """
    figure = new_figure(3.3 * len(effects) + 0.8, 4.3, layout="constrained")
    panels = np.ravel(figure.subplots(1, len(effects), sharey=True, sharex=True))
    place = np.arange(len(factors))
    for axes, (labels, directions) in zip(panels, effects.items()):
        for k, (direction, change) in enumerate(directions.items()):
            rows = place + 0.24 * (k - (len(directions) - 1) / 2)
            axes.hlines(rows, 0, change, color=COLORS[k], linewidth=1.0)
            axes.plot(change, rows, linestyle="", marker=MARKERS[k], color=COLORS[k], markersize=6,
                      label=direction)
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.axhspan(factors.index(wanted) - 0.45, factors.index(wanted) + 0.45, color="#f0f0f0", zorder=0)
        plain_axes(axes, f"Labels: {labels}", "mean change for t = 1 (sd of the factor)", "")
        axes.set_yticks(place, factors)
    panels[0].invert_yaxis()
    panels[0].set_ylabel("measured in the decoded face")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    return laid_out(figure)
