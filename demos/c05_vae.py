"""The variational autoencoder, trained on digits: what it reconstructs, what it makes, and its latent plane.

T6: the encoder's mu and log sigma^2 of an image are a Gaussian, and its divergence from N(0, I) has a closed form.
T7: the KL term of the loss is that, averaged over the images.
T10: the head puts out log sigma^2, which may be any real number, and sigma = exp(logvar / 2) is positive.  That eps is
multiplied by sigma, and not by sigma^2, is seen in the draws.

The last figure is of a VAE that is given the digit as well, q(z | x, y) and p(x | z, y): z is left to tell the style.

Look at the samples: blurred, and some are no digits.  Chapter 9 asks why.  In the plane, near codes give like images.
`scratchvae explore RUN --open` makes a page of a run: draw, encode, walk, and draw from prior and q(z).
"""
import numpy as np

from scratchvae import plots, VAE
from scratchvae.data.meaning import as_floats
from scratchvae.kernels.gaussian import gaussian_forward
from scratchvae.plots.images import image_rows
from scratchvae.probability.distributions import DiagonalGaussian
from scratchvae.probability.divergences import kl, kl_terms
from scratchvae.probability.monte_carlo import kl_from_samples

from .course import Claim, main, Result

TITLE = "The VAE, trained on digits"


def train(settings, data, n_latent, n_conditions=0):
    """A VAE with n_latent latents, given the labels if there are conditions, and its history."""
    vae = VAE(data.train.shape[1], n_latent=n_latent, hidden=(64,) if settings.quick else (400,), seed=settings.seed,
              n_conditions=n_conditions)
    vae.fit(data.train, data.train_labels, epochs=settings.epochs(data, 60_000, 120_000), batch_size=64,
            learning_rate=4e-3 if settings.quick else 1e-3,
            validation=vae.join(data.test, data.test_labels), seed=settings.seed)
    return vae, vae.history_


def every_digit(vae, data, n=6):
    """Decode z of n images for every digit: the style is held in a row, the digit is changed."""
    digits = np.arange(vae.n_conditions)
    z = vae.transform(vae.join(data.test[:n], data.test_labels[:n]))
    images = vae.decode(np.repeat(z, len(digits), axis=0), np.tile(digits, n)).reshape(n, len(digits), -1)
    return image_rows(images, data.image_shape, [f"image of {label}" for label in data.test_labels[:n]],
                      "z of an image, decoded for every digit", values=digits, label="digit")


def divergence(settings, vae, data, rng):
    """T6 and T7: the closed form against draws, and against the loss's own term."""
    mu, logvar = (half.astype(float) for half in vae.encode(data.test))
    q, p = DiagonalGaussian(mu[0], logvar[0]), DiagonalGaussian(np.zeros(vae.n_latent), np.zeros(vae.n_latent))
    z = q.sample(20_000 if settings.quick else 200_000, rng)
    sampled = kl_from_samples(q.log_density(z), p.log_density(z))
    by_hand = 0.5 * np.sum(np.exp(logvar) + mu ** 2 - 1 - logvar, axis=1)
    there = kl_terms(np.zeros((1, 1)), np.zeros((1, 1))).item()
    term = vae.objective(data.test, rng.standard_normal(mu.shape)).kl
    return [
        Claim("T6", "KL(q(z | x) || N(0, I)) of one image: (sigma^2 + mu^2 - 1 - log sigma^2) / 2, summed, and draws",
              f"{by_hand[0]:.3f} nats; draws {sampled.value:.3f} +- {sampled.stderr:.3f}",
              "equal within 4 standard errors",
              abs(by_hand[0] - sampled.value) < 4 * sampled.stderr and abs(by_hand[0] - kl(q, p)) < 1e-9),
        Claim("T6", "a latent's term is 0 only at mu = 0, sigma = 1: least term of the encoder's, and the one there",
              f"{kl_terms(mu, logvar).min():.1e} and {there:.0f} nats", "above 0, and 0",
              kl_terms(mu, logvar).min() > 0 == there),
        Claim("T7", f"the loss's KL term is that averaged over the {len(mu)} held-out images", f"{term:.4f} nats",
              f"{by_hand.mean():.4f} nats within 1e-3", abs(term - by_hand.mean()) < 1e-3)]


def log_variance(vae, data, rng):
    """T10: what the head puts out, and the spread of the draws made from it."""
    mu, logvar = vae.encode(data.test)
    head, n = np.concatenate([mu[:1], logvar[:1]], axis=1).repeat(10_000, axis=0), 10_000
    z, eps = np.empty((n, vae.n_latent), mu.dtype), rng.standard_normal((n, vae.n_latent)).astype(mu.dtype)
    gaussian_forward(head, eps, z, np.empty(n))
    off = np.abs(z.std(axis=0, dtype=float) / np.exp(logvar[0] / 2) - 1).max()
    apart = np.abs(np.exp(logvar[0]) / np.exp(logvar[0] / 2) - 1).max()
    return [
        Claim("T10", "the head's log sigma^2 is any real number; sigma = exp(logvar / 2) is positive",
              f"logvar {logvar.min():.2f} to {logvar.max():.2f}, least sigma {np.exp(logvar.min() / 2):.3f}",
              "least sigma above 0, some logvar below 0", np.exp(logvar.min() / 2) > 0 > logvar.min()),
        Claim("T10",
              "the draws' standard deviation is exp(logvar / 2): worst latent (exp(logvar) would be off by "
              f"{100 * apart:.0f} %)", f"off by {100 * off:.1f} %", "below 4 %", off < 0.04)]


def run(settings):
    data = settings.images(quick="digits")
    rng = np.random.default_rng(settings.seed)
    vae, history = train(settings, data, 8 if settings.quick else 20)
    flat, _ = train(settings, data, 2)
    first, last = history[0], history[-1]
    before = VAE(**vae.get_params()).score(data.test)
    claims = divergence(settings, vae, data, rng) + log_variance(vae, data, rng) + [
        Claim("T7", "training lowers the held-out loss, reconstruction + KL",
              f"{-before:.1f} to {last.test_loss:.1f} = {last.test_reconstruction:.1f} + {last.test_kl:.1f} nats",
              "below three quarters of the start", last.test_loss < 0.75 * -before),
        Claim("T6", "the codes stay informative, the KL does not collapse to 0: held-out KL, first and last epoch",
              f"{first.test_kl:.1f} and {last.test_kl:.1f} nats", "above 1 nat at the end", last.test_kl > 1)]
    z = np.linspace(-3, 3, 13 if settings.quick else 19)
    grid = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    real = as_floats(data.test[:20], float)
    figures = {} if data.test_labels is None else {
        "every_digit": every_digit(train(settings, data, 8, n_conditions=10)[0], data)}
    return Result(claims, {
        **figures,
        "learning": plots.learning_curves(history),
        "reconstructions": plots.reconstructions(real, vae.reconstruct(data.test[:20]), data.image_shape),
        "samples": plots.image_grid(vae.sample(48, seed=settings.seed), data.image_shape,
                                    "Decoded draws of z from N(0, I)", columns=12),
        "decoded_plane": plots.decoded_grid(flat.decode(grid), data.image_shape, z, z),
        "codes_plane": plots.latent_plane(flat.encode(data.test).mu, data.test_labels)})


if __name__ == "__main__":
    main(run)
