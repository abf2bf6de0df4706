"""A computation drawn as a graph: values in the boxes, local derivatives on the arrows."""
import numpy as np

from scratchvae.plots.sheet import INK, new_figure, TEST, TRAIN


def computation_graph(nodes, edges, title, width=10.0, height=4.6):
    """Boxes with text, and arrows with text, placed by the caller; arrows end at the boxes' borders.

    Parameters
    ----------
    nodes : dict of str to (x, y, text)
        Where the center of each box is, in any units, and what stands in it.
    edges : sequence of (str, str, str) or (str, str, str, bool)
        From, to, and what stands beside the arrow (a local derivative; may be empty); True: upright first, then level.
    title : str
    width, height : float
        Inches.
    """
    figure = new_figure(width, height)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.93))
    across, upwards = ([place[i] for place in nodes.values()] for i in (0, 1))
    for set_limits, places, inches, half in ((axes.set_xlim, across, width, 0.75),
                                             (axes.set_ylim, upwards, height, 0.4)):
        span = (max(places) - min(places)) or 1.0
        margin = span * half / max(inches - 2 * half, 1.0)                               # half a box, in inches
        set_limits(min(places) - margin, max(places) + margin)
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=12)
    boxes = {}
    for name, (x, y, text) in nodes.items():
        boxes[name] = axes.text(x, y, text, ha="center", va="center", fontsize=9.5, zorder=3, color=INK,
                                linespacing=1.35,
                                bbox=dict(boxstyle="round,pad=0.45", facecolor="#f4f4f4", edgecolor=INK, linewidth=0.9))
    figure.draw_without_rendering()                                        # the boxes now have a size
    for source, target, text, *corner in edges:
        start, end = nodes[source][:2], nodes[target][:2]
        axes.annotate("", end, start, zorder=2, arrowprops=dict(
            arrowstyle="-|>", connectionstyle="angle,angleA=90,angleB=0,rad=10" if any(corner) else "arc3",
            color=TRAIN, linewidth=1.6, mutation_scale=14,
            patchA=boxes[source].get_bbox_patch(), patchB=boxes[target].get_bbox_patch(), shrinkA=1, shrinkB=1))
        if text:
            short = start[0] == end[0] and np.ptp(axes.transData.transform([start, end])[:, 1]) < 200
            level = any(corner) or start[1] == end[1]                # then the text stands over the arrow, not on it
            axes.annotate(text, (0.5 * (start[0] + end[0]), end[1] if level else 0.5 * (start[1] + end[1])),
                          xytext=(6 * short, 4 * level), textcoords="offset points",
                          ha="left" if short else "center", va="bottom" if level else "center", fontsize=9, color=TEST,
                          zorder=4, linespacing=1.2,
                          bbox=dict(boxstyle="square,pad=0.1", facecolor="white", edgecolor="none", alpha=0.9))
    return figure
