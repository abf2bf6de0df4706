"""Figures of the bug museum: how many bugs each detector finds, and learning curves that give nothing away."""
import numpy as np

from scratchvae.plots.sheet import FAINT, INK, laid_out, new_figure, plain_axes, TEST, TRAIN


def convictions_by_group(groups, detectors):
    """A number for each detector and group of bugs: how many it finds, over a disk whose area is their share.

    `groups` maps a group's name to its bugs, each the names of the detectors that find it; `detectors`
    are all that were asked, in the order of the rows.
    """
    figure = new_figure(7.2, 1.1 + 0.27 * len(detectors), layout="constrained")
    axes = figure.subplots()
    for column, bugs in enumerate(groups.values()):
        for row, detector in enumerate(detectors):
            caught = sum(detector in found for found in bugs)
            if caught:
                axes.scatter(column, row, s=330 * caught / len(bugs), color=FAINT, linewidth=0)
                axes.text(column, row, str(caught), ha="center", va="center", fontsize=9, color=INK)
    plain_axes(axes, "How many bugs of each group a detector finds (disk: share)", "", "")
    axes.set(xlim=(-0.6, len(groups) - 0.4), ylim=(len(detectors) - 0.4, -0.6))
    axes.set_xticks(range(len(groups)), [f"{name}\n{len(bugs)} bugs" for name, bugs in groups.items()], fontsize=9)
    axes.set_yticks(range(len(detectors)), detectors, fontsize=9)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return laid_out(figure)


def curves_with_bugs(panels):
    """Held-out loss without a bug and with it, one panel for each bug and a line for each seed.

    `panels` maps a title to (right, wrong): for each seed the losses after each epoch, in nats per example.
    """
    figure = new_figure(7.4, 3.3, layout="constrained")
    for axes, (title, both) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items()):
        for seeds, label, color, marker in zip(both, ("right", "with the bug"), (TRAIN, TEST), ("o", "s")):
            for k, losses in enumerate(seeds):
                axes.plot(np.arange(1, len(losses) + 1), losses, color=color, linewidth=1.3, marker=marker,
                          markersize=3.5, label=label if k == 0 else None)
        plain_axes(axes, "", "epoch", "")
        axes.set_title(title, loc="left", fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].set_ylabel("held-out loss (nats per example)")
    figure.axes[0].legend(frameon=False, fontsize=9, loc="upper right", title=f"{len(both[0])} seeds each",
                          title_fontsize=9)
    return laid_out(figure)
