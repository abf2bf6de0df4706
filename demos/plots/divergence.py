"""Figures of divergences: a density and the Gaussians nearest to it, and what KL, entropy and cross entropy are."""
import numpy as np

from scratchvae.plots.sheet import FAINT, GRAY, INK, laid_out, new_figure, plain_axes, TEST, TRAIN

STYLES = ((TEST, "-", 2.0), (TRAIN, "--", 2.0), (GRAY, ":", 2.0))


def nearest_gaussians(x, p, fits, title):
    """A density as a gray hill, and fitted densities as lines over it.

    p (n,) is the density at x (n,); `fits` maps the text of the legend to a density at x, at most three.
    """
    figure = new_figure(7.2, 3.8, layout="constrained")
    axes = figure.subplots()
    axes.fill_between(x, 0, p, color=FAINT, linewidth=0, label="p")
    for (name, density), (color, style, width) in zip(fits.items(), STYLES):
        axes.plot(x, density, color=color, linestyle=style, linewidth=width, label=name)
    axes.set(xlim=(np.min(x), np.max(x)), ylim=(0, None))
    plain_axes(axes, title, "x", "density")
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return laid_out(figure)


def divergence_curves(parameter, panels, label):
    """Curves of nats against a parameter of q, a panel each.

    `parameter` (n,) varies along x in all panels and `label` names it; `panels` maps a title to curves (n,) by name, at
    most three.
    """
    figure = new_figure(3.7 * len(panels), 3.4, layout="constrained")
    for axes, (title, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items()):
        for (name, values), (color, style, width) in zip(curves.items(), STYLES):
            axes.plot(parameter, values, color=color, linestyle=style, linewidth=width, label=name)
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        plain_axes(axes, title, label, "nats")
        axes.legend(frameon=False, fontsize=9)
        axes.tick_params(color=INK)
    return laid_out(figure)
