"""One divergence between two joint distributions, and what it leaves unmatched.

The encoder makes a joint distribution of the data, p_data(x) q(z | x); the decoder one of the prior, p(z) p(x | z).
T18: their KL is -ELBO, on average, less the entropy of the data, a constant.  It is also KL(p_data || p) +
E KL(q(z | x) || p(z | x)), and KL(q(z) || p(z)) + E KL(q(x | z) || p(x | z)).
T19: training ties both networks to one joint distribution; then each is used without the other.
T20: neither marginal is matched for itself, not p(x) to the data, not q(z), the codes of all data, to p(z).

First a world with one x and one z, where every integral is a sum over a grid; then digits.  There q(z) is known by a
sample of codes only: a density fitted to some, measured on others, bounds KL(q(z) || p(z)) from below, since
E_q log(f / p) = KL(q || p) - KL(q || f).  The mean of the n codes' Gaussians bounds it from above: it was made from
the very images whose codes are drawn from it.

Unreality of an image that the decoder makes: its distance to the nearest real image that nobody was trained on, in
pixels (square root of summed squares).  The decoder's means are all equally smooth, so these distances compare with
each other, and with those of reconstructions of other real images, the best that this decoder does.
"""
import numpy as np

from demos.plots.joint import accounts, joint_densities, unreality
from scratchvae import load_data, VAE
from scratchvae.analysis.elbo_decomposition import ledger
from scratchvae.analysis.latent import AggregatePosterior
from scratchvae.data.meaning import as_floats
from scratchvae.plots.images import image_rows
from scratchvae.probability.distributions import DiagonalGaussian
from scratchvae.probability.joint_distribution import joint_view_on_grid
from scratchvae.probability.mixture import fit_mixture
from scratchvae.probability.monte_carlo import mean_estimate

from .course import Claim, main, Result
from .images import nearest, one_without_the_other
from .worlds import draw_three_humps, log_normal, log_three_humps

TITLE = "The joint view: what is matched, and what is not"
EXACT = 1e-10                                   # nats: sums over some hundred thousand grid points
SIGMA, N_LATENT, N_DRAWS = 0.4, 8, 2000


def small_world(settings):
    """T18 to T20 on a grid, before and after training."""
    x, z = np.linspace(-10, 10, 401), np.linspace(-10, 10, 801)
    near_x, near_z, log_data = abs(x) < 5, abs(z) < 4, log_three_humps(x)
    vae = VAE(1, n_latent=1, hidden=(24,), activation="tanh", likelihood="gaussian", sigma=SIGMA, dtype="float64",
              seed=settings.seed)
    views, rows = [], {}
    for state in ("before", "after"):
        q, means = vae.encode(x.reshape(-1, 1)), vae.decode(z.reshape(-1, 1))
        tables = (log_normal(z, q.mu, np.exp(q.logvar / 2)), log_normal(z, 0.0, 1.0), log_normal(x, means, SIGMA))
        view = joint_view_on_grid(x, z, log_data, *tables)
        encoder, prior, decoder = map(np.exp, tables)
        rows[state] = (encoder[near_x][:, near_z], prior[near_z], decoder[near_z][:, near_x], view.p_x[near_x],
                       view.q_z[near_z], view.joint_kl)
        views.append(view)
        if state == "before":
            vae.fit(draw_three_humps(600, np.random.default_rng(settings.seed)), epochs=60 if settings.quick else 200,
                    batch_size=50, learning_rate=1e-2, seed=settings.seed)
    before, after = views
    apart = max(np.ptp([view.joint_kl, *view.decompositions]) for view in views)
    rise, fall = after.elbo - before.elbo, before.joint_kl - after.joint_kl
    return [
        Claim("T18", "three decompositions of the joint KL, and itself: largest difference, before and after training",
              f"{apart:.0e} nats", f"below {EXACT:.0e} nats", apart < EXACT),
        Claim("T18", "training raised the ELBO by what the joint KL fell", f"{rise:.6f} nats",
              f"{fall:.6f} nats within {EXACT:.0e}", abs(rise - fall) < EXACT),
        Claim("T19", "the two joint distributions are tied together: their KL, before and after",
              f"{before.joint_kl:.3f} and {after.joint_kl:.3f} nats", "less than a fifth",
              after.joint_kl < before.joint_kl / 5),
        Claim("T20", "neither marginal is met after training: KL(p_data || p) and KL(q(z) || p(z))",
              f"{after.kl_x:.3f} and {after.kl_z:.3f} nats", "both above 0.01", min(after.kl_x, after.kl_z) > 0.01),
    ], joint_densities(x[near_x], z[near_z], np.exp(log_data[near_x]), rows)


def digits(settings):
    """T19 and T20: the ledger, KL(q(z) || p(z)) between two bounds, and draws of three kinds."""
    quick, seed = settings.quick, settings.seed
    data = load_data("digits") if quick else settings.images()
    train, test = ((as_floats(rows, float) > 0.5).astype(np.float32) for rows in (data.train, data.test))
    vae = VAE(train.shape[1], n_latent=N_LATENT, hidden=(64,) if quick else (256,), seed=seed)
    vae.fit(train, epochs=settings.epochs(data, 57_520, 100_000), batch_size=64, learning_rate=2e-3, seed=seed)
    found = ledger(vae, test[:150 if quick else 500], importance_samples=100 if quick else 1000,
                   steps=40 if quick else 100, seed=seed)
    codes, prior = AggregatePosterior(*vae.encode(train)), DiagonalGaussian(np.zeros(N_LATENT), np.zeros(N_LATENT))
    mixture = fit_mixture(codes.sample(3000 if quick else 8000, seed=seed), tolerance=1e-3).mixture
    rng = np.random.default_rng(seed)
    held_out = DiagonalGaussian(*vae.encode(test)).sample(20, rng).reshape(-1, N_LATENT)        # 20 draws an image
    below = mean_estimate((mixture.log_density(held_out) - prior.log_density(held_out)).reshape(20, -1).mean(axis=0))
    above = codes.kl_from_prior(400 if quick else N_DRAWS, seed=seed)
    z, half = prior.sample(N_DRAWS, rng), len(test) // 2
    images = {"from p(z)": vae.decode(z), "from a mixture": vae.decode(mixture.sample(N_DRAWS, seed=seed)),
              "from q(z)": vae.decode(codes.sample(N_DRAWS, seed=seed)), "reconstructed": vae.reconstruct(test[:half])}
    distance = {name: nearest(values, test[half:]) for name, values in images.items()}
    mean = {name: mean_estimate(values) for name, values in distance.items()}
    z_scores = [(mean["from p(z)"].value - mean[name].value) / np.hypot(mean["from p(z)"].stderr, mean[name].stderr)
                for name in ("from a mixture", "from q(z)")]
    changed = one_without_the_other(vae, test[:50], z[:50])
    claims = [
        Claim("T19", "codes with the decoder erased, and draws with the encoder erased: numbers that change",
              f"{changed}", "0", changed == 0),
        Claim("T20", "digits: KL(q(z) || p(z)), at least and at most", f"{below.value:.2f} +- {below.stderr:.2f} and "
              f"{above.value:.2f} +- {above.stderr:.2f} nats", "the first above 0 by 4 standard errors",
              below.value > 4 * below.stderr),
        Claim("T20", f"the mean KL(q(z | x) || p(z)) of {found.n} digits is I(x; z), what z tells of x, "
              "+ KL(q(z) || p(z))",
              f"{found.kl:.2f} = {found.mutual_information:.2f} + {found.marginal_kl:.2f} nats",
              f"the first at most log {found.n} = {found.log_n:.2f}, the second above 0",
              found.mutual_information <= found.log_n + 4 * found.mutual_information_stderr and found.marginal_kl > 0),
        Claim("T20", "decoded from p(z), images are further from real ones than from q(z), or a mixture fitted to it",
              ", ".join(f"{name} {value.value:.2f} +- {value.stderr:.2f}" for name, value in mean.items()) + " pixels",
              "p(z) further by 3 standard errors", min(z_scores) > 3)]
    sums = {"loss": {"reconstruction": found.reconstruction, "KL": found.kl},
            "KL": {"I(x; z)": found.mutual_information, "KL(q(z) || p(z))": found.marginal_kl},
            "−ELBO": {"−log p(x)": -found.log_likelihood, "approximation gap": max(found.approximation_gap, 0.0),
                      "amortization gap": found.amortization_gap}}
    shown = np.stack([test[:12], *(values[:12] for values in images.values())])
    return claims, {
        "ledger": accounts(sums, f"The ELBO ledger of {found.n} held-out digits"),
        "draws": image_rows(shown, data.image_shape, ["real", *images],
                            "Decoded: codes from p(z), a mixture fitted to q(z), q(z), and of the real ones"),
        "unreality": unreality(distance, "Draws from the prior lie furthest from real images",
                               "distance to the nearest real image (pixels)")}


def run(settings):
    claims, picture = small_world(settings)
    more, figures = digits(settings)
    return Result(claims + more, {"joint_densities": picture, **figures})


if __name__ == "__main__":
    main(run)
