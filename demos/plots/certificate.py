"""Figure of the certificate: how small an error is caught, by differences and by exact numbers."""
from scratchvae.plots.sheet import INK, laid_out, new_figure, plain_axes, TEST


def caught_errors(powers, by_differences, by_certificate):
    """A row of dots for each way to check: filled where it catches a factor 1 + 2^-k on one entry.

    The three lists have one entry for each k: the k, and whether it was caught.
    """
    figure = new_figure(7.2, 2.2, layout="constrained")
    axes = figure.subplots()
    for row, (found, color) in enumerate(((by_certificate, INK), (by_differences, TEST))):
        for k, caught in zip(powers, found):
            axes.plot(k, row, marker="o", markersize=7, color=color, markerfacecolor=color if caught else "white")
    plain_axes(axes, "One entry is $1 + 2^{-k}$ times the right one (filled: caught)", "k", "")
    axes.set(ylim=(-0.6, 1.6))
    axes.set_yticks([0, 1], ["certificate", "finite differences"])
    return laid_out(figure)
