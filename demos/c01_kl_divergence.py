"""The Kullback-Leibler divergence: what it is, that it is never negative, that its two directions differ.

T1: the definition, as a sum, as an integral on a grid, in closed form, and as an average over draws.
T2: Gibbs' inequality, and the asymmetry: of a p with two humps, the Gaussian of least KL(p || q) covers both, and one
of least KL(q || p) sits on one of them.
T3: KL is the cross entropy less the entropy.

Look at the first figure: a q that misses a hump pays log(p / q) there in KL(p || q), and nothing in KL(q || p).
"""
import numpy as np

from demos.plots.divergence import divergence_curves, nearest_gaussians
from scratchvae.probability.distributions import DiagonalGaussian, Discrete, Grid
from scratchvae.probability.divergences import cross_entropy, entropy, kl
from scratchvae.probability.monte_carlo import kl_from_samples
from scratchvae.probability.projections import information_projection, moment_projection

from .course import Claim, main, Result

TITLE = "KL divergence"
ROUNDING = 1e-12              # nats: sums of some thousand float64 numbers of order 1


def gaussian(mean, sd):
    return DiagonalGaussian([mean], [2 * np.log(sd)])


def definition(settings, x):
    """T1: one divergence, four ways."""
    p, q = gaussian(0.0, 1.0), gaussian(1.0, 2.0)
    exact = kl(p, q)
    integral = kl(*(Grid.from_log(d.log_density(x[:, None]), x) for d in (p, q)))
    draws = p.sample(20_000 if settings.quick else 500_000, np.random.default_rng(settings.seed))
    sampled = kl_from_samples(p.log_density(draws), q.log_density(draws))
    coin, other = Discrete([0.5, 0.5]), Discrete([0.9, 0.1])
    by_hand = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    return [
        Claim("T1", "KL of a fair coin from a (0.9, 0.1) coin: the sum of p log(p / q)", f"{kl(coin, other):.6f} nats",
              f"{by_hand:.6f} nats, by hand", abs(kl(coin, other) - by_hand) < ROUNDING),
        Claim("T1", "KL(N(0, 1) || N(1, 4)): the integral on a grid is the closed form", f"{integral:.6f} nats",
              f"{exact:.6f} nats within 1e-9", abs(integral - exact) < 1e-9),
        Claim("T1", "the same, as the mean of log(p / q) over draws of p",
              f"{sampled.value:.4f} +- {sampled.stderr:.4f} nats", f"{exact:.4f} nats within 4 standard errors",
              abs(sampled.value - exact) < 4 * sampled.stderr)]


def gibbs(settings, rng):
    """T2 and T3 over random pairs of distributions."""
    n = 200 if settings.quick else 2000
    pairs = [[Discrete(w) for w in rng.dirichlet(np.full(6, 0.5), 2)] for _ in range(n)]
    forth, back = (np.array([kl(*pair[::way]) for pair in pairs]) for way in (1, -1))
    parts = np.array([cross_entropy(p, q) - entropy(p) for p, q in pairs])
    return [
        Claim("T2", f"KL >= 0: the least of {2 * n} divergences between random distributions over 6 outcomes",
              f"{min(forth.min(), back.min()):.4f} nats", "above 0", min(forth.min(), back.min()) > 0),
        Claim("T2", "KL = 0 where p = q: the largest KL(p || p)", f"{max(kl(p, p) for p, _ in pairs):.1g} nats",
              "0 nats", max(kl(p, p) for p, _ in pairs) == 0),
        Claim("T2", "KL(p || q) is not KL(q || p): median of how much they differ",
              f"{np.median(abs(forth - back)):.3f} nats", "above 0.1 nats", np.median(abs(forth - back)) > 0.1),
        Claim("T3", "KL = cross entropy - entropy: the largest error over these pairs",
              f"{np.abs(parts - forth).max():.0e} nats", f"below {ROUNDING:.0e} nats",
              np.abs(parts - forth).max() < ROUNDING),
        Claim("T3", "the cross entropy is never below the entropy: least difference", f"{parts.min():.4f} nats",
              "above 0", parts.min() > 0)]


def humps(x):
    """T2 by eye: both projections of a density with two humps."""
    log_p = np.logaddexp(*(np.log(weight) + gaussian(mean, sd).log_density(x[:, None])
                           for weight, mean, sd in ((0.6, -2.0, 0.8), (0.4, 2.5, 0.6))))
    p = Grid.from_log(log_p, x)
    wide = moment_projection(p)
    left, right = (information_projection(p, gaussian(mean, 1.0)) for mean in (-2.5, 2.5))
    density = {name: np.exp(q.log_density(x[:, None])) for name, q in (
        ("least KL(p || q)", wide), ("least KL(q || p), begun at −2.5", left),
        ("least KL(q || p), begun at 2.5", right))}
    mass = [d[x < 0.5].sum() / d.sum() for d in density.values()]
    claims = [
        Claim("T2", "least KL(p || q) covers both humps: its share of mass on the left", f"{mass[0]:.2f}",
              "0.3 to 0.7 (p: 0.60)", 0.3 < mass[0] < 0.7),
        Claim("T2", "least KL(q || p) picks one: share of mass on the left, from either start",
              f"{mass[1]:.3f} and {mass[2]:.3f}", "above 0.99, below 0.01", mass[1] > 0.99 and mass[2] < 0.01)]
    near = abs(x) < 7
    return claims, nearest_gaussians(x[near], np.exp(p.log_density[near]),
                                     {name: d[near] for name, d in density.items()},
                                     "The nearest Gaussian depends on the direction")


def directions():
    """Both directions, and both entropies, for q = N(0, sd^2) and p = N(0, 1)."""
    sd, p = np.linspace(0.4, 3.0, 200), gaussian(0.0, 1.0)
    q = [gaussian(0.0, s) for s in sd]
    return divergence_curves(sd, {
        "Both directions of KL, p = N(0, 1)": {"KL(p || q)": [kl(p, r) for r in q],
                                               "KL(q || p)": [kl(r, p) for r in q]},
        "KL is cross entropy less entropy": {"cross entropy": [cross_entropy(p, r) for r in q],
                                             "entropy of p": [entropy(p)] * len(q),
                                             "KL(p || q)": [kl(p, r) for r in q]},
    }, "standard deviation of q = N(0, sd$^2$)")


def run(settings):
    x = np.linspace(-20, 20, 2001)
    claims, picture = humps(x)
    return Result(definition(settings, x) + gibbs(settings, np.random.default_rng(settings.seed)) + claims,
                  {"nearest_gaussians": picture, "directions": directions()})


if __name__ == "__main__":
    main(run)
