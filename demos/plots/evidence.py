"""Figures of log p(x): estimating it by draws, bounding it from below, and what the bound leaves."""
import numpy as np

from scratchvae.plots.sheet import FAINT, GRAY, INK, laid_out, new_figure, note, plain_axes, TEST, TRAIN

PROPOSALS = {"prior": (TEST, "s"), "encoder": (INK, "o")}           # color, marker
EARLY = 5                 # the ELBO is drawn over the first fifth (1 / EARLY) of training, where it still moves


def collapse(dimensions, share, exact, error, n_draws):
    """How many draws count, and how far off log p(x) is, against the number of latents.

    Parameters
    ----------
    dimensions : (m,) latents Z, rising.
    share : dict of str to (m, n)
        Of "prior" and "encoder": effective draws as a share of all, for n examples.
    exact : (m, n) the limit of the prior's share for many draws.
    error : dict of str to (m, n), nats: estimated less exact log p(x).
    n_draws : int
    """
    figure = new_figure(7.4, 3.9, layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, (color, marker) in PROPOSALS.items():
        left.plot(dimensions, share[name].mean(axis=1), color=color, marker=marker, linewidth=1.6,
                  label=f"{name}, measured")
        middle, low, high = (np.quantile(error[name], q, axis=1) for q in (0.5, 0.05, 0.95))
        right.errorbar(dimensions, middle, (middle - low, high - middle), color=color, marker=marker, capsize=3,
                       label=name)
    left.plot(dimensions, np.exp(np.log(exact).mean(axis=1)), color=TEST, linestyle="--", linewidth=1.2,
              label="prior, exact (many draws)")
    left.axhline(1 / n_draws, color=GRAY, linewidth=1.0, linestyle=":", label=f"a single draw of {n_draws}")
    left.set_yscale("log")
    plain_axes(left, "How many draws count", "latent dimensions Z", "effective draws / draws")
    plain_axes(right, "How far log p(x) is missed", "latent dimensions Z", "estimated − exact log p(x) (nats)")
    right.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(dimensions, [f"{z:g}" for z in dimensions])
        axes.legend(frameon=False, fontsize=9, loc="lower left")
    right.get_legend().set_title("bars: 5 to 95 % of examples", dict(size=9))
    return laid_out(figure)


def draws_in_the_plane(side, posterior, draws):
    """Draws of several proposals over the contours of the posterior of one example, two latents.

    Parameters
    ----------
    side : (m,) coordinates of both axes.
    posterior : (m, m) density p(z | x) at (z2, z1).
    draws : dict of str to (n, 2), of the names "prior" and "encoder".
    """
    figure = new_figure(3.6 * len(draws), 4.0, layout="constrained")
    for axes, (name, z) in zip(figure.subplots(1, len(draws), squeeze=False)[0], draws.items()):
        color, marker = PROPOSALS[name]
        levels = posterior.max() * np.exp(-0.5 * np.array([9, 4, 1]))              # at 3, 2 and 1 standard deviations
        axes.contour(side, side, posterior, levels, colors=INK, linewidths=1.0)
        axes.plot(*z.T, linestyle="", marker=marker, markersize=3.5, color=color, markerfacecolor="none")
        axes.set(aspect="equal", xlim=side[[0, -1]], ylim=side[[0, -1]])
        plain_axes(axes, f"{len(z)} draws of the {name}", *(f"z{j} (prior standard deviations)" for j in (1, 2)))
        axes.text(0.97, 0.97, "contours: p(z | x)\nat 1, 2 and 3 sd", transform=axes.transAxes, ha="right", va="top",
                  fontsize=9)
    return laid_out(figure)


def closing_gap(steps, runs):
    """The ELBO below log p(x) as an encoder trains, and KL(q || posterior) on a log scale, one line a world.

    Parameters
    ----------
    steps : (n,) of training.
    runs : dict of str to (elbo (n,), log_p float, gap (n,), least float)
        By world, at most two: nats a row; `least` is the KL of the best q of the encoder's kind, 0 if it is exact.
    """
    figure = new_figure(7.4, 3.7, layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = ((INK, "-", "o"), (TEST, "--", "s"))
    some = np.unique(np.linspace(0, len(steps) - 1, 12).astype(int))
    (elbo, log_p, _, _), first = next(iter(runs.values())), next(iter(runs))
    early = slice(max(2, len(steps) // EARLY))
    left.fill_between(steps[early], elbo[early], log_p, color=FAINT, linewidth=0, label="gap")
    left.plot(steps[early], elbo[early], color=INK, linewidth=1.6, label="ELBO")
    left.axhline(log_p, color=TEST, linestyle="--", linewidth=1.4, label="log p(x), exact")
    plain_axes(left, f"ELBO, {first}", "training steps of the encoder", "nats per example")
    left.legend(frameon=False, fontsize=9, loc="lower right")
    for (name, (_, _, gap, least)), (color, style, marker) in zip(runs.items(), styles):
        right.plot(steps, gap, color=color, linestyle=style, marker=marker, markevery=some, markersize=4, label=name)
        if least > 0:
            right.axhline(least, color=GRAY, linestyle=":", linewidth=1.4,
                          label="best independent q")
    right.set_yscale("log")
    plain_axes(right, "The gap, KL(q || posterior)", "training steps of the encoder", "nats")
    right.legend(frameon=False, fontsize=9, loc="best")
    return laid_out(figure)


def iwae_bounds(samples, stairs):
    """The bounds L_K of several examples, climbing from the ELBO toward log p(x).

    `samples` (m,) are the K, rising from 1; `stairs` maps at most three examples to L_K - log p(x) (m,), in nats.
    """
    figure = new_figure(7.0, 4.2, layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color=GRAY, linewidth=1.2, label="log p(x)")
    looks = ((INK, "-", "o"), (TRAIN, "--", "^"), (TEST, "-.", "s"))
    for (name, heights), (color, style, marker) in zip(stairs.items(), looks):
        axes.step(samples, heights, where="post", color=color, linestyle=style, linewidth=1.2)
        axes.plot(samples, heights, color=color, linestyle="", marker=marker, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(samples, [f"{k:g}" for k in samples])
    plain_axes(axes, "More draws close the gap, where q has some mass", "K, draws inside the logarithm",
               "L$_K$ − log p(x) (nats)")
    note(axes, "K = 1: the ELBO")
    axes.legend(frameon=False, fontsize=9, loc="center right")
    return laid_out(figure)


def posterior_and_q(panels):
    """The true posterior of single examples as gray hills, and the encoder's q as lines.

    `panels` maps a title to (z (n,), p (n,), q (n,)), both densities along z.
    """
    figure = new_figure(2.5 * len(panels), 3.4, layout="constrained")
    for axes, (title, (z, p, q)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        axes.fill_between(z, p, color=FAINT, linewidth=0, label="posterior p(z | x), exact")
        axes.plot(z, p, color=GRAY, linewidth=1.0)
        axes.plot(z, q, color=TEST, linewidth=1.8, label="encoder q(z | x)")
        plain_axes(axes, title, "z (prior sds)", "density")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return laid_out(figure)
