"""Figure of a linear probe: how well classes are told apart from different features of the same images (T21)."""
import numpy as np

from scratchvae.errors import ShapeError
from scratchvae.plots.sheet import FAINT, GRAY, INK, laid_out, new_figure, plain_axes, TEST, TRAIN

STYLES = ((TEST, "o", "-"), (INK, "s", "--"), (GRAY, "^", "-."), (TRAIN, "D", ":"))


def probe_accuracy(n_labels, accuracy, title):
    """Accuracy against the number of labeled examples, one line a kind of features, with standard errors.

    Parameters
    ----------
    n_labels : (m,) labeled examples.
    accuracy : dict of (draws, m)
        Features' name -> held-out accuracy, 0 to 1, for several draws of the labeled examples.
    title : str
    """
    figure = new_figure(6.4, 4.2, layout="constrained")
    axes = figure.subplots()
    for (name, draws), (color, marker, line) in zip(accuracy.items(), STYLES):
        draws = 100 * np.asarray(draws, dtype=float)
        if draws.ndim != 2 or draws.shape[1] != len(n_labels) or len(draws) < 2:
            raise ShapeError(f"accuracy of {name} is {draws.shape}; expected (draws, {len(n_labels)}) with at least 2 "
                             "draws. Repeat the probe with other labeled examples.")
        stderr = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
        axes.errorbar(n_labels, draws.mean(axis=0), stderr, color=color, marker=marker, linestyle=line, capsize=3,
                      markersize=6, markerfacecolor="white", label=name)
    plain_axes(axes, title, "labeled examples (log scale)", "held-out images classified right (%)")
    axes.set_xscale("log")
    axes.set_xticks(n_labels, [f"{n:,}" for n in n_labels])
    axes.minorticks_off()
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.legend(frameon=False, loc="lower right", fontsize=9, title_fontsize=9,
                title=f"bars: standard error over {len(draws)} draws of the labels")
    return laid_out(figure)
