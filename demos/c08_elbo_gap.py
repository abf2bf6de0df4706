"""The ELBO: a lower bound on log p(x), by how much it is too low, and how to come nearer.

T14: log E w >= E log w, with w = p(x, z) / q(z | x), makes E_q log w, the ELBO, a lower bound on log p(x).  The mean of
K weights inside the logarithm gives bounds that climb towards it.
T15: the same number is E_q log p(x | z) - KL(q(z | x) || p(z)).
T17: what is missing is KL(q(z | x) || p(z | x)), and so nothing where q is the posterior.

Two worlds with a fixed decoder, in which only the encoder trains.  A linear-Gaussian one, all in closed form.  And one whose
decoder is folded, D(z) = D(-z): z and -z explain x equally well, so the posterior has two equal humps, and of all Gaussians
one that sits on a single hump is best (T2): a gap of log 2.  There every integral is by quadrature: no sampling error.
"""
import numpy as np

from scratchvae import VAE
from scratchvae.distributions import DiagonalGaussian
from scratchvae.monte_carlo import mean_estimate
from scratchvae.optimizers import Adam
from scratchvae.oracles import LinearGaussian, Quadrature
from scratchvae.parameters import Affine
from scratchvae.plots.evidence import closing_gap, posterior_and_q, staircase

from .course import Claim, Result, main

TITLE = "The ELBO, and the gap to log p(x)"
SIGMA = 0.4                                 # of x in the folded world
CLOSED_FORM, QUADRATURE = 1e-10, 1e-6       # nats: rounding of closed forms; of rules with finitely many nodes


def make_world(correlation, seed):
    """x = z W + b + noise, eight pixels, two latents; rows of W at an angle with this cosine."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((8, 2)))[0].T
    mixing = np.array([[1.0, 0.0], [correlation, np.sqrt(1 - correlation**2)]])
    return LinearGaussian(3.0 * mixing @ directions, rng.standard_normal(8), 1.0)


def train_encoder(vae, X, n_steps, seed, record=lambda: None):
    """Adam on the encoder alone, sticking the landing; return what `record()` gave before each step and at the end."""
    adam, rng, rows = Adam(vae.parameters.flat.size, "float64"), np.random.default_rng(seed), [record()]
    for step in range(n_steps):
        _, gradient = vae.gradient(X, rng.standard_normal((len(X), vae.n_latent)))
        for name, values in gradient.segments():
            values[:] = 0 if name.startswith("decoder") else values
        adam.learning_rate = 0.05 * (1 - step / n_steps)
        adam.update(vae.parameters.flat, gradient.flat)
        rows.append(record())
    return rows


def closed_form(settings):
    """T14, T15 and T17 in two linear worlds: one whose posterior the encoder can be, one whose posterior it cannot."""
    n_steps, runs, claims = 400 if settings.quick else 2000, {}, []
    for name, correlation in (("independent latents", 0.0), ("correlated latents", 0.8)):
        world = make_world(correlation, settings.seed)
        X = world.sample(256, seed=settings.seed)
        best = LinearGaussian(world.W, world.b, world.sigma, world.with_best_encoder().encoder)
        vae = LinearGaussian(world.W, world.b, world.sigma, Affine(np.zeros((8, 4)), np.zeros(4))).to_vae(estimator="stl")

        def record():
            now = LinearGaussian.of(vae)
            return now.elbo(X), now.log_p(X), now.gap(X)
        elbo, log_p, gap = np.array(train_encoder(vae, X, n_steps, settings.seed, record)).transpose(1, 0, 2)
        least, start, end = best.gap(X).mean(), gap[0].mean(), gap[-1].mean()
        error = np.abs(log_p - elbo - gap).max()
        runs[name] = (elbo.mean(axis=1), log_p[0].mean(), gap.mean(axis=1), least if correlation else 0.0)
        claims += [
            Claim("T17", f"{name}: log p(x) - ELBO is KL(q || posterior), each by its own formula, at every step and x",
                  f"{error:.0e} nats", f"below {CLOSED_FORM:.0e} nats", error < CLOSED_FORM),
            Claim("T14", f"{name}: log p(x) - ELBO is never negative: least of all steps and x", f"{(log_p - elbo).min():.1e} nats",
                  f"at least 0, less {CLOSED_FORM:.0e}", (log_p - elbo).min() >= -CLOSED_FORM),
            Claim("T17", f"{name}: the gap as the encoder trains", f"{start:.2f} to {end:.4f} nats",
                  f"down to {least:.4f} nats, the best q's, within 1 % of the start", 0 <= end - least < 0.01 * start)]
        if not correlation:
            claims.append(Claim("T17", f"{name}: the gap where q is the posterior", f"{abs(least):.0e} nats",
                                f"0 within {CLOSED_FORM:.0e} nats", abs(least) < CLOSED_FORM))
    q = best.q(X)                                                                      # T15, in the correlated world
    z = DiagonalGaussian(q.mu[0], q.logvar[0]).sample(100_000, np.random.default_rng(settings.seed))
    squares = np.square(X[0] - world.b - z @ world.W).sum(axis=1) / world.sigma**2
    log_joint = -0.5 * (squares + 8 * np.log(2 * np.pi * world.sigma**2) + np.square(z).sum(axis=1) + 2 * np.log(2 * np.pi))
    drawn = mean_estimate(log_joint - DiagonalGaussian(q.mu[0], q.logvar[0]).log_density(z))
    exact = best.elbo(X)[0]
    claims.append(Claim("T15", "E_q log[p(x, z) / q], over draws, is E_q log p(x | z) - KL(q || p(z)), in closed form",
                        f"{drawn.value:.4f} +- {drawn.stderr:.4f} nats", f"{exact:.4f} nats within 4 standard errors",
                        abs(drawn.value - exact) < 4 * drawn.stderr))
    return claims, closing_gap(np.arange(n_steps + 1), runs)


def folded(settings):
    """T14 and T17 by quadrature: posteriors with two humps, and stairs."""
    vae = VAE(1, n_latent=1, hidden=(8,), activation="tanh", likelihood="gaussian", sigma=SIGMA, dtype="float64",
              estimator="stl", seed=settings.seed)
    first, head = vae.parameters.decoder[0], vae.parameters.decoder.head
    first.W[:], first.b[:], head.W[:], head.b[:] = 2.0, 0.0, 0.0, 0.0
    first.b[:2], head.W[:2, 0] = (2.0, -2.0), (1.0, -1.0)               # D(z) = tanh(2z + 2) - tanh(2z - 2)
    vae.parameters.encoder.head.b[:] = 1.0, -2.0           # on one side: a q that starts in the middle may never choose
    rng = np.random.default_rng(settings.seed)
    z = rng.standard_normal((500, 1))
    X = vae.decode(z) + SIGMA * rng.standard_normal((500, 1))
    train_encoder(vae, X, 400 if settings.quick else 2000, settings.seed)
    exact, X = Quadrature(vae), np.concatenate([vae.decode(np.array([[0.0], [0.7], [1.3]])), X[:13 if settings.quick else 61]])
    elbo, log_p, gap = exact.elbo(X), exact.log_p(X), exact.gap(X)
    K = 4 ** np.arange(5 if settings.quick else 6)
    bounds = np.array([exact.iwae(X, int(k)) for k in K])
    error, first_stair = np.abs(log_p - elbo - gap).max(), np.abs(bounds[0] - elbo).max()
    panels, stairs = {}, {}
    for i in range(3):
        grid, (mu, logvar) = exact.posterior(X[i]), vae.encode(X[i:i + 1])
        z = grid.axes[0][np.abs(grid.axes[0]) < 3.5]
        q = np.exp(DiagonalGaussian(mu[0], logvar[0]).log_density(z.reshape(-1, 1)))
        panels[f"x = {X[i, 0]:.2f}: KL = {gap[i]:.2f} nats"] = z, np.exp(grid.log_density[np.abs(grid.axes[0]) < 3.5]), q
        stairs[f"x = {X[i, 0]:.2f}"] = bounds[:, i] - log_p[i]
    return [
        Claim("T17", "folded: log p(x) - ELBO is KL(q || posterior), by three integrals: largest error", f"{error:.0e} nats",
              f"below {QUADRATURE:.0e} nats", error < QUADRATURE),
        Claim("T17", f"folded, x = {X[2, 0]:.2f}: the gap where q sits on one of two equal humps", f"{gap[2]:.4f} nats",
              f"log 2 = {np.log(2):.4f} nats or up to 0.2 more", -QUADRATURE < gap[2] - np.log(2) < 0.2),
        Claim("T14", "the first stair, K = 1, is the ELBO: largest difference", f"{first_stair:.0e} nats",
              f"below {QUADRATURE:.0e} nats", first_stair < QUADRATURE),
        Claim("T14", f"each stair is at least as high as the one before, for every x; on average, K = {', '.join(map(str, K))}",
              " ".join(f"{value:.4f}" for value in bounds.mean(axis=1)) + " nats", "rising",
              bool((np.diff(bounds, axis=0) > -QUADRATURE).all() and (np.diff(bounds.mean(axis=1)) > 0).all())),
        Claim("T14", "and none is above log p(x): least distance of any", f"{(log_p - bounds).min():.1e} nats",
              f"at least 0, less {QUADRATURE:.0e}",
              (log_p - bounds).min() > -QUADRATURE),
    ], {"staircase": staircase(K, stairs), "posteriors": posterior_and_q(panels)}


def run(settings):
    claims, closing = closed_form(settings)
    more, figures = folded(settings)
    return Result(claims + more, {"closing_gap": closing, **figures})


if __name__ == "__main__":
    main(run)
