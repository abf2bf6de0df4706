"""How far estimates scatter: variance against a size, and histograms of single estimates."""
import numpy as np

from scratchvae.plots.sheet import GRAY, INK, laid_out, new_figure, plain_axes, TEST, TRAIN

MARKS = ((TRAIN, "o", "-"), (GRAY, "s", "--"), (TEST, "^", "-."))


def variance_against(sizes, measured, exact, title, labels):
    """Measured variances as marks over exact ones as lines, both axes logarithmic.

    Parameters
    ----------
    sizes : (n,) what varies.
    measured : dict of str to (n,), at most three.
    exact : dict of str to (n,), the same names.
    title : str
    labels : (str, str), of the axes.
    """
    figure = new_figure(6.6, 4.2, layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    for (name, values), (color, marker, style) in zip(measured.items(), MARKS):
        axes.plot(sizes, exact[name], color=color, linestyle=style, linewidth=1.5)
        axes.plot(sizes, values, color=color, linestyle="", marker=marker, markersize=7, markeredgecolor=INK,
                  markeredgewidth=0.5, label=name)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    axes.xaxis.set_minor_locator(axes.xaxis.get_major_locator())
    plain_axes(axes, title, *labels)
    axes.legend(frameon=False, fontsize=9, loc="upper left", title="marks: measured, lines: exact", title_fontsize=8)
    return laid_out(figure)


def estimate_histograms(estimates, exact, title, label):
    """One histogram a kind of estimate, one above the other on the same axis, and the exact value as a line.

    `estimates` maps a kind to single estimates (n,); those outside the middle 99 % of the widest kind are left out.
    """
    widest = max(estimates.values(), key=np.std)
    bins = np.linspace(*np.quantile(widest, (0.005, 0.995)), 81)
    figure = new_figure(6.6, 1.2 + 1.5 * len(estimates), layout="constrained")
    panels = np.ravel(figure.subplots(len(estimates), 1, sharex=True))
    for axes, (name, values) in zip(panels, estimates.items()):
        axes.hist(values, bins, density=True, color=TRAIN, edgecolor=INK, linewidth=0.3)
        axes.axvline(exact, color=TEST, linestyle="--", linewidth=1.4)
        plain_axes(axes, f"{name}: standard deviation {np.std(values):.3g}", "", "density")
    panels[-1].set_xlabel(label)
    return laid_out(figure)
