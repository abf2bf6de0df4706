"""The likelihood of one example, estimated by draws: badly from the prior, well from the encoder.

The world is linear-Gaussian: x is linear in z, plus noise.  So log p(x) is known exactly, and each estimate held to it.
T11: maximum likelihood makes -sum_n log p(x_n) smallest.
T12: p(x) = E p(x | z) over draws of the prior.  In many dimensions hardly a draw explains x: the effective number of
draws, (sum w)^2 / sum w^2 with w = p(x | z), collapses, and the estimate with it.
T13: p(x) = E_q [p(x | z) p(z) / q(z)] for any proper density q, and the encoder knows a good one.

How fast it collapses is exact: of K draws, K (E w)^2 / E w^2 count in the long run, and E w^2 under the prior is
(4 pi sigma^2)^(-D/2) times p(x) of the same world with sigma^2 / 2, because a squared Gaussian is a narrower one.
"""
import numpy as np

from demos.plots.evidence import collapse, draws_in_the_plane
from scratchvae.oracles import LinearGaussian, ppca
from scratchvae.probability.distributions import DiagonalGaussian
from scratchvae.probability.monte_carlo import mean_estimate

from .course import Claim, main, Result
from .worlds import log_weights, proposals, random_world

TITLE = "Importance sampling: p(x) from the prior, and from the encoder"
N_VISIBLE, LENGTH = 64, 3.0              # each latent moves x by so many standard deviations of the noise
DIMENSIONS = (1, 2, 4, 8, 16, 32)


def estimates(world, X, n_draws, rng):
    """For each proposal: effective share of the draws, and error of log p(x), (2, n)."""
    found, exact = {"prior": [], "encoder": []}, world.log_p(X)
    for x, log_p in zip(X, exact):
        for name, q in proposals(world, x).items():
            z = q.sample(n_draws, rng)
            log_w = log_weights(world, x, z, q.log_density(z))
            w = np.exp(log_w - log_w.max())
            found[name].append((w.sum()**2 / np.square(w).sum() / n_draws, log_w.max() + np.log(w.mean()) - log_p))
    return {name: np.array(values).T for name, values in found.items()}


def expected_share(world, X):
    """(E w)^2 / E w^2 of draws from the prior, exactly, (n,)."""
    narrow = LinearGaussian(world.W, world.b, world.sigma / np.sqrt(2))
    return np.exp(2 * world.log_p(X) + 0.5 * N_VISIBLE * np.log(4 * np.pi * world.sigma**2) - narrow.log_p(X))


def maximum_likelihood(rng):
    """T11: the world that makes the data most likely, against the one that made them and against its neighbors."""
    truth = random_world(2, N_VISIBLE, LENGTH, rng)
    X = truth.sample(200, seed=int(rng.integers(2**31)))
    best = ppca(X, 2).world
    others = max(LinearGaussian(best.W + 0.1 * rng.standard_normal(best.W.shape), best.b, best.sigma).log_p(X).mean()
                 for _ in range(100))
    top, made = best.log_p(X).mean(), truth.log_p(X).mean()
    return [Claim("T11", "mean -log p(x) of the maximum-likelihood world, against the world that drew the data",
                  f"{-top:.3f} nats", f"below {-made:.3f} nats", top > made),
            Claim("T11", "and against the best of 100 neighbors", f"{-top:.3f} nats", f"below {-others:.3f} nats",
                  top > others)]


def any_density(rng, n_draws):
    """T13 with two latents: four densities, one p(x); and where the draws of two of them fall."""
    world = random_world(2, N_VISIBLE, LENGTH, rng)
    x = world.sample(1, seed=int(rng.integers(2**31)))[0]
    exact, both = world.log_p(x[None])[0], proposals(world, x)
    mu, sd = both["encoder"].mu, np.exp(both["encoder"].logvar / 2)
    drawn = {}
    for name, q in {"the prior": both["prior"], "the encoder": both["encoder"],
                    "a Gaussian twice as wide": DiagonalGaussian(mu, 2 * np.log(2 * sd))}.items():
        z = q.sample(n_draws, rng)
        drawn[name] = z, q.log_density(z)
    z = rng.laplace(mu, sd, (n_draws, 2))
    drawn["a Laplace density"] = z, -(np.abs(z - mu) / sd + np.log(2 * sd)).sum(axis=1)
    claims = []
    for name, (z, log_q) in drawn.items():
        ratio = mean_estimate(np.exp(log_weights(world, x, z, log_q) - exact))
        claims.append(Claim("T13", f"any proper q: mean weight / p(x), drawn from {name}",
                            f"{ratio.value:.4f} +- {ratio.stderr:.4f}", "1 within 4 standard errors",
                            abs(ratio.value - 1) <= 4 * ratio.stderr))
    side = np.linspace(-3.5, 3.5, 141)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    posterior = np.exp(log_weights(world, x, grid, 0.0) - exact).reshape(141, 141)
    return claims, draws_in_the_plane(side, posterior, {name: q.sample(200, rng) for name, q in both.items()})


def run(settings):
    rng, z = np.random.default_rng(settings.seed), DIMENSIONS[-1]
    n_draws, n = (500, 12) if settings.quick else (5000, 40)
    rows, exact = [], []
    for n_latent in DIMENSIONS:
        world = random_world(n_latent, N_VISIBLE, LENGTH, rng)
        X = world.sample(n, seed=settings.seed)
        rows.append(estimates(world, X, n_draws, rng))
        exact.append(expected_share(world, X))
    share, error = ({name: np.array([row[name][part] for row in rows]) for name in rows[0]} for part in (0, 1))
    counted = {name: values.mean(axis=1) * n_draws for name, values in share.items()}
    size = {name: np.sqrt(np.square(values).mean(axis=1)) for name, values in error.items()}
    needed = np.exp(-np.log(exact[-1]).mean())
    claims, plane = any_density(rng, 20_000 if settings.quick else 200_000)
    claims = maximum_likelihood(rng) + [
        Claim("T12", f"draws that count, of {n_draws} from the prior, Z = {', '.join(map(str, DIMENSIONS))}",
              " ".join(f"{count:.3g}" for count in counted["prior"]), "falling, until hardly two do",
              bool((np.diff(np.maximum(counted["prior"], 2)) <= 0).all() and counted["prior"][-1] < 2)),
        Claim("T12", f"draws from the prior for one that counts, Z = {z}, exactly", f"{needed:.1e}", "above a billion",
              needed > 1e9),
        Claim("T12", f"so log p(x) is off by, Z = {z}, root mean square", f"{size['prior'][-1]:.1f} nats",
              "above 10 nats", size["prior"][-1] > 10)] + claims + [
        Claim("T13", f"draws that count, of {n_draws} from the encoder, Z = {', '.join(map(str, DIMENSIONS))}",
              " ".join(f"{count:.3g}" for count in counted["encoder"]), "more than from the prior, for each Z",
              bool((counted["encoder"] > counted["prior"]).all())),
        Claim("T13", f"and log p(x) is off by, Z = 8 and Z = {z}, root mean square",
              f"{size['encoder'][3]:.3f} and {size['encoder'][-1]:.3f} nats",
              "below 0.1 nats, and a tenth of the prior's", size["encoder"][3] < 0.1
              and size["encoder"][-1] < 0.1 * size["prior"][-1])]
    return Result(claims, {"collapse": collapse(DIMENSIONS, share, np.array(exact), error, n_draws), "draws": plane})


if __name__ == "__main__":
    main(run)
