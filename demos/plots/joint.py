"""Figures of the joint view: two joint densities, the ELBO's accounts, and how far draws are from the data."""
import numpy as np

from scratchvae.plots.sheet import FAINT, GRAY, INK, laid_out, new_figure, plain_axes, TEST, TRAIN

LETTER = 0.0155          # width of a letter, as a share of the longest bar
TICKS = 300              # most values drawn as ticks in a row: more of them hide each other


def joint_densities(x, z, p_data, rows):
    """For each state of a one-dimensional world: the joints of encoder and decoder, and their marginals.

    Parameters
    ----------
    x, z : (X,), (Z,) coordinates, evenly spaced.
    p_data : (X,) density of the data.
    rows : dict of str to (q_z_given_x (X, Z), p_z (Z,), p_x_given_z (Z, X), p_x (X,), q_z (Z,), joint_kl)
        By name of the state, densities; joint_kl in nats.
    """
    p_data = np.asarray(p_data)
    figure = new_figure(7.2, 9.6, layout="constrained")
    panels = figure.subplots(4, len(rows), squeeze=False, sharey="row")
    for axes, (name, (q_z_given_x, p_z, p_x_given_z, p_x, q_z, joint_kl)) in zip(panels.T, rows.items()):
        joints = {f"{name}: data and encoder": p_data[:, None] * q_z_given_x,
                  f"{name}: prior and decoder": (np.asarray(p_z)[:, None] * p_x_given_z).T}
        for panel, (title, joint) in zip(axes, joints.items()):
            panel.imshow(np.sqrt(joint), cmap="Grays", origin="lower", aspect="auto", extent=(z[0], z[-1], x[0], x[-1]))
            plain_axes(panel, title, "z", "x")
        axes[1].text(0.97, 0.05, f"KL of the two:\n{joint_kl:.2f} nats", transform=axes[1].transAxes, ha="right",
                     fontsize=10)
        for panel, (at, target, got, names, label) in zip(axes[2:], (
                (x, p_data, p_x, ("data", "p(x), model"), "x"), (z, p_z, q_z, ("prior p(z)", "q(z), codes"), "z"))):
            panel.fill_between(at, target, color=FAINT, linewidth=0, label=names[0])
            panel.plot(at, got, color=TEST, linewidth=1.6, label=names[1])
            plain_axes(panel, f"{name}: marginals of {label}", label, "density")
    for panel in panels[2:, 0]:
        panel.legend(frameon=False, fontsize=9, loc="upper right")
    return laid_out(figure)


def accounts(sums, title):
    """Sums of nats as bars: each account's total, and below it its parts, end to end.

    `sums` maps a total's name to its parts by name, in nats, none negative.
    """
    figure = new_figure(7.4, 0.9 + 0.62 * len(sums), layout="constrained")
    axes = figure.subplots()
    longest = max(sum(parts.values()) for parts in sums.values())
    for row, parts in enumerate(sums.values()):
        start, narrow = 0.0, []
        for shade, (name, nats) in zip((FAINT, TRAIN, GRAY), parts.items()):
            axes.barh(row, nats, left=start, color=shade, edgecolor=INK, linewidth=0.8, height=0.62)
            text = f"{name}: {nats:.1f}"
            if nats > LETTER * longest * len(text):
                axes.text(start + nats / 2, row, text, ha="center", va="center", fontsize=9, color=INK)
            else:
                narrow.append(text)
            start += nats
        axes.text(start + 0.01 * longest, row, "\n".join(narrow), ha="left", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(sums)), [f"{name} = {sum(parts.values()):.1f}" for name, parts in sums.items()])
    axes.set_ylim(len(sums) - 0.5, -0.5)
    axes.set_xlim(0, 1.25 * longest)
    plain_axes(axes, title, "nats per example", "")
    return laid_out(figure)


def unreality(distances, title, label):
    """Distances of draws from the data, one row a kind: each a tick, the mean a mark with its standard error.

    `distances` maps a kind of image to (n,) distances; of each kind the first 300 are ticks, the mean is of all.
    """
    figure = new_figure(7.2, 0.9 + 0.55 * len(distances), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(distances.values()):
        values = np.asarray(values, dtype=float)
        some = values[:TICKS]
        axes.plot(some, np.full(len(some), row), linestyle="", marker="|", markersize=14, color=TRAIN, alpha=0.5)
        axes.errorbar(values.mean(), row, xerr=values.std() / np.sqrt(len(values)), color=TEST, marker="o",
                      markersize=6, capsize=4)
        axes.annotate(f"{values.mean():.2f}", (values.mean(), row), xytext=(0, 9), textcoords="offset points",
                      ha="center", fontsize=9, color=TEST)
    axes.set_yticks(range(len(distances)), list(distances))
    axes.set_ylim(len(distances) - 0.5, -0.7)
    plain_axes(axes, title, label, "")
    return laid_out(figure)
