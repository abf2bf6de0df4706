"""Codes against the prior: where encoders put the data, and where N(0, I) lies."""
import numpy as np

from scratchvae.plots.sheet import FAINT, INK, laid_out, new_figure, plain_axes, TEST

MAX_POINTS = 1500       # points drawn in a panel


def codes_against_prior(codes):
    """Scatter the two widest dimensions of each model's codes, with the prior's circles, all on the same scale.

    `codes` maps a panel's title to codes (n, Z); at most the first 1,500 rows are drawn.
    """
    shown = {}
    for name, points in codes.items():
        widest = np.sort(np.argsort(-np.var(points, axis=0), kind="stable")[:2])
        shown[name] = widest, np.asarray(points)[:MAX_POINTS, widest]
    limit = 1.05 * max(3.2, *(np.abs(points).max() for _, points in shown.values()))
    figure = new_figure(2.5 * len(shown), 3.5, layout="constrained")
    turn = np.linspace(0, 2 * np.pi, 200)
    for axes, (name, (widest, points)) in zip(np.ravel(figure.subplots(1, len(shown))), shown.items()):
        axes.scatter(*points.T, s=7, color=INK, alpha=0.4, edgecolors="none")
        for radius, style in ((1, "-"), (2, "--")):
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), color=TEST, linestyle=style, linewidth=1.6,
                      label=f"{radius} sd of N(0, I)")
        axes.axhline(0, color=FAINT, linewidth=0.6, zorder=0)
        axes.axvline(0, color=FAINT, linewidth=0.6, zorder=0)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
        axes.set_box_aspect(1)
        plain_axes(axes, name, *(f"z{dimension + 1} (prior sds)" for dimension in widest))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9, frameon=False,
                  title="the two widest dimensions of each", title_fontsize=9)
    return laid_out(figure)
