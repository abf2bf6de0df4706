"""The ELBO: a lower bound on log p(x), by how much it is too low, and how to come nearer.

T14: log E w >= E log w, with w = p(x, z) / q(z | x), makes E_q log w, the ELBO, a lower bound on log p(x).  The mean of
K weights inside the logarithm gives bounds that climb toward it.
T15: the same number is E_q log p(x | z) - KL(q(z | x) || p(z)).
T17: what is missing is KL(q(z | x) || p(z | x)), and so nothing where q is the posterior.

In these worlds the decoder is fixed, and only the encoder trains (`demos/worlds.py`).  In the linear-Gaussian ones all
is in closed form.  In the other one the decoder is folded, dec(z) = dec(-z): z and -z explain x equally well, so where
the posterior has two humps apart, a Gaussian that sits on one of them is best (T2), with a gap of log 2.  There every
integral is by quadrature.
"""
import numpy as np

from demos.plots.evidence import closing_gap, iwae_bounds, posterior_and_q
from scratchvae.oracles import LinearGaussian, Quadrature
from scratchvae.parameters import Affine
from scratchvae.probability.distributions import DiagonalGaussian
from scratchvae.probability.monte_carlo import mean_estimate

from .course import Claim, main, Result
from .worlds import angled_world, folded_world, log_weights, proposals, train_encoder

TITLE = "The ELBO, and the gap to log p(x)"
CLOSED_FORM, QUADRATURE = 1e-10, 1e-6       # nats: rounding of closed forms; of rules with finitely many nodes


def closed_form(settings):
    """T14, T15 and T17 in two linear worlds: one whose posterior the encoder can be, one whose posterior it cannot."""
    n_steps, runs, claims = 400 if settings.quick else 2000, {}, []
    for name, correlation in (("independent latents", 0.0), ("correlated latents", 0.8)):
        world = angled_world(correlation, np.random.default_rng(settings.seed))
        X = world.sample(256, seed=settings.seed)
        blank = LinearGaussian(world.W, world.b, world.sigma, Affine(np.zeros((8, 4)), np.zeros(4)))
        vae = blank.to_vae(estimator="stl")

        def record():
            now = LinearGaussian.of(vae)
            return now.elbo(X), now.log_p(X), now.gap(X)
        elbo, log_p, gap = np.array(train_encoder(vae, X, n_steps, settings.seed, record)).transpose(1, 0, 2)
        least, start, end = world.gap(X).mean(), gap[0].mean(), gap[-1].mean()
        error = np.abs(log_p - elbo - gap).max()
        runs[name] = (elbo.mean(axis=1), log_p[0].mean(), gap.mean(axis=1), least if correlation else 0.0)
        claims += [
            Claim("T17", f"{name}: log p(x) - ELBO is KL(q || posterior), each by its own formula, at every step and x",
                  f"{error:.0e} nats", f"below {CLOSED_FORM:.0e} nats", error < CLOSED_FORM),
            Claim("T14", f"{name}: log p(x) - ELBO is never negative: least of all steps and x",
                  f"{(log_p - elbo).min():.1e} nats", f"at least 0, less {CLOSED_FORM:.0e}",
                  (log_p - elbo).min() >= -CLOSED_FORM),
            Claim("T17", f"{name}: the gap as the encoder trains", f"{start:.2f} to {end:.4f} nats",
                  f"down to {least:.4f} nats, the best q's, within 1 % of the start", 0 <= end - least < 0.01 * start)]
        if not correlation:
            claims.append(Claim("T17", f"{name}: the gap where q is the posterior", f"{abs(least):.0e} nats",
                                f"0 within {CLOSED_FORM:.0e} nats", abs(least) < CLOSED_FORM))
    q = proposals(world, X[0])["encoder"]                                               # T15, in the correlated world
    z = q.sample(100_000, np.random.default_rng(settings.seed))
    drawn = mean_estimate(log_weights(world, X[0], z, q.log_density(z)))
    exact = world.elbo(X)[0]
    claims.append(Claim("T15", "E_q log[p(x, z) / q], over draws, is E_q log p(x | z) - KL(q || p(z)), in closed form",
                        f"{drawn.value:.4f} +- {drawn.stderr:.4f} nats", f"{exact:.4f} nats within 4 standard errors",
                        abs(drawn.value - exact) < 4 * drawn.stderr))
    return claims, closing_gap(np.arange(n_steps + 1), runs)


def folded(settings):
    """T14 and T17 by quadrature: posteriors with two humps, and stairs."""
    vae, X = folded_world(500, settings.seed)
    train_encoder(vae, X, 400 if settings.quick else 2000, settings.seed)
    X = np.concatenate([vae.decode(np.array([[0.0], [0.7], [1.3]])), X[:13 if settings.quick else 61]])
    exact = Quadrature(vae)
    elbo, log_p, gap = exact.elbo(X), exact.log_p(X), exact.gap(X)
    K = 4 ** np.arange(5 if settings.quick else 6)
    bounds = np.array([exact.iwae(X, int(k)) for k in K])
    error, first_stair = np.abs(log_p - elbo - gap).max(), np.abs(bounds[0] - elbo).max()
    panels, stairs = {}, {}
    for i in range(3):
        grid, (mu, logvar) = exact.posterior(X[i]), vae.encode(X[i:i + 1])
        shown = np.abs(grid.axes[0]) < 3.5
        z, p = grid.axes[0][shown], np.exp(grid.log_density[shown])
        q = np.exp(DiagonalGaussian(mu[0], logvar[0]).log_density(z.reshape(-1, 1)))
        panels[f"x = {X[i, 0]:.2f}: KL = {gap[i]:.2f} nats"] = z, p, q
        stairs[f"x = {X[i, 0]:.2f}"] = bounds[:, i] - log_p[i]
    return [
        Claim("T17", "folded: log p(x) - ELBO is KL(q || posterior), by three integrals: largest error",
              f"{error:.0e} nats", f"below {QUADRATURE:.0e} nats", error < QUADRATURE),
        Claim("T17", f"folded, x = {X[2, 0]:.2f}: the gap where q sits on one of two equal humps", f"{gap[2]:.4f} nats",
              f"log 2 = {np.log(2):.4f} nats or up to 0.2 more", -QUADRATURE < gap[2] - np.log(2) < 0.2),
        Claim("T14", "the first stair, K = 1, is the ELBO: largest difference", f"{first_stair:.0e} nats",
              f"below {QUADRATURE:.0e} nats", first_stair < QUADRATURE),
        Claim("T14", f"no stair is lower than the one before, for any x; on average, K = {', '.join(map(str, K))}",
              " ".join(f"{value:.4f}" for value in bounds.mean(axis=1)) + " nats", "rising",
              bool((np.diff(bounds, axis=0) > -QUADRATURE).all() and (np.diff(bounds.mean(axis=1)) > 0).all())),
        Claim("T14", "and none is above log p(x): least distance of any", f"{(log_p - bounds).min():.1e} nats",
              f"at least 0, less {QUADRATURE:.0e}", (log_p - bounds).min() > -QUADRATURE),
    ], {"staircase": iwae_bounds(K, stairs), "posteriors": posterior_and_q(panels)}


def run(settings):
    claims, closing = closed_form(settings)
    more, figures = folded(settings)
    return Result(claims + more, {"closing_gap": closing, **figures})


if __name__ == "__main__":
    main(run)
