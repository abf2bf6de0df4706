"""Figures of the bug museum: which detector convicts which bug, and learning curves that give nothing away."""
import numpy as np

from scratchvae.plots.sheet import FAINT, INK, laid_out, new_figure, plain_axes, TEST, TRAIN


def conviction_matrix(convictions, detectors):
    """A dot where a detector convicts a bug; the dots of bugs that the gradient check does not see are hollow.

    `convictions` maps a bug's name to the names of the detectors that convict it; `detectors` are all that were asked,
    the gradient check first.
    """
    detectors = list(detectors)
    first = detectors[0]
    figure = new_figure(3.4 + 0.34 * len(detectors), 2.8 + 0.17 * len(convictions), layout="constrained")
    axes = figure.subplots()
    for row, found in enumerate(convictions.values()):
        seen = first in found
        axes.axhline(row, color=FAINT, linewidth=0.5, zorder=0)
        places = [detectors.index(name) for name in found]
        axes.plot(places, [row] * len(places), linestyle="", marker="o", markersize=6, color=INK if seen else TEST,
                  markerfacecolor=INK if seen else "white", markeredgewidth=1.4)
    counts = [sum(name in found for found in convictions.values()) for name in detectors]
    plain_axes(axes, f"{len(convictions)} planted bugs, and what convicts them (hollow: no gradient check)", "", "")
    axes.set(xlim=(-0.6, len(detectors) - 0.4), ylim=(len(convictions) - 0.4, -0.6))
    axes.set_xlabel("detector (how many of these bugs it convicts)")
    axes.set_ylabel("bug")
    axes.set_xticks(range(len(detectors)), [f"{name} ({n})" for name, n in zip(detectors, counts)], rotation=60,
                    ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(convictions)), list(convictions), fontsize=8)
    return laid_out(figure)


def curves_with_bugs(right, wrong):
    """Held-out loss without a bug and with it, one panel for each bug.

    `right` and `wrong` map a bug's name to the held-out loss of each epoch without it and with it, in nats per example.
    """
    figure = new_figure(4.4 * len(right) + 0.4, 3.3, layout="constrained")
    for axes, name in zip(np.ravel(figure.subplots(1, len(right))), right):
        for losses, label, color, width, marker in ((right[name], "right", TRAIN, 2.6, "o"),
                                                    (wrong[name], "with the bug", TEST, 1.2, "s")):
            axes.plot(np.arange(1, len(losses) + 1), losses, color=color, linewidth=width, marker=marker,
                      markersize=4, label=label)
        plain_axes(axes, name, "epoch", "held-out loss (nats per example)")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return laid_out(figure)
