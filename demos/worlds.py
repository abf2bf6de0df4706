"""Small worlds of chapters 7 to 9, in which p(x) and the posterior are known."""
import numpy as np

from scratchvae import VAE
from scratchvae.optimizers import Adam
from scratchvae.oracles import LinearGaussian
from scratchvae.probability.distributions import DiagonalGaussian

HUMPS = ((0.4, -2.0, 0.5), (0.35, 0.5, 0.3), (0.25, 3.0, 0.4))         # weight, mean, standard deviation
FOLDED_SIGMA = 0.4                                                      # of x given z, in the folded world


def log_normal(x, mean, sd):
    """log N(x; mean, sd^2), elementwise."""
    return -0.5 * (np.square((x - mean) / sd) + np.log(2 * np.pi * sd**2))


def random_world(n_latent, n_visible, length, rng):
    """Linear-Gaussian, sigma = 1: rows of W of one length in random directions, and the best encoder of its kind."""
    W = rng.standard_normal((n_latent, n_visible))
    W *= length / np.linalg.norm(W, axis=1, keepdims=True)
    return LinearGaussian(W, np.zeros(n_visible), 1.0).with_best_encoder()


def angled_world(cosine, rng):
    """Linear-Gaussian, eight pixels, two latents, and the best encoder: rows of W of length 3, at an angle."""
    directions = np.linalg.qr(rng.standard_normal((8, 2)))[0].T
    mixing = np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])
    return LinearGaussian(3.0 * mixing @ directions, rng.standard_normal(8), 1.0).with_best_encoder()


def proposals(world, x):
    """The prior, and the encoder's q of one x (D,)."""
    mu, logvar = world.q(x[None])
    return {"prior": DiagonalGaussian(np.zeros(world.n_latent), np.zeros(world.n_latent)),
            "encoder": DiagonalGaussian(mu[0], logvar[0])}


def log_weights(world, x, z, log_q):
    """T13: log p(x | z) + log p(z) - log q(z), (K,), at draws z (K, Z) of q."""
    squares = np.square(x - world.b - z @ world.W).sum(axis=1)
    log_likelihood = -0.5 * (squares / world.sigma**2 + world.n_visible * np.log(2 * np.pi * world.sigma**2))
    return log_likelihood - 0.5 * (np.square(z) + np.log(2 * np.pi)).sum(axis=1) - log_q


def folded_world(n, seed):
    """A VAE of one x and one z with dec(z) = tanh(2z + 2) - tanh(2z - 2) = dec(-z), and n examples of its p(x).

    Its encoder starts on one side: a q that starts in the middle may never choose one.
    """
    vae = VAE(1, n_latent=1, hidden=(8,), activation="tanh", likelihood="gaussian", sigma=FOLDED_SIGMA, dtype="float64",
              estimator="stl", seed=seed)
    first, head = vae.parameters.decoder[0], vae.parameters.decoder.head
    first.W[:], first.b[:], head.W[:], head.b[:] = 2.0, 0.0, 0.0, 0.0
    first.b[:2], head.W[:2, 0] = (2.0, -2.0), (1.0, -1.0)
    vae.parameters.encoder.head.b[:] = 1.0, -2.0
    rng = np.random.default_rng(seed)
    means = vae.decode(rng.standard_normal((n, 1)))
    return vae, means + FOLDED_SIGMA * rng.standard_normal((n, 1))


def train_encoder(vae, X, n_steps, seed, record=lambda: None):
    """Adam on the encoder alone; return what `record()` gave before the first step and after each."""
    adam, rng, rows = Adam(vae.parameters.flat.size, "float64"), np.random.default_rng(seed), [record()]
    for step in range(n_steps):
        _, gradient = vae.gradient(X, rng.standard_normal((len(X), vae.n_latent)))
        for name, values in gradient.segments():
            values[:] = 0 if name.startswith("decoder") else values
        adam.learning_rate = 0.05 * (1 - step / n_steps)
        adam.update(vae.parameters.flat, gradient.flat)
        rows.append(record())
    return rows


def log_three_humps(x):
    """Log density of one-dimensional data with three humps."""
    return np.logaddexp.reduce([np.log(weight) + log_normal(x, mean, sd) for weight, mean, sd in HUMPS])


def draw_three_humps(n, rng):
    """n draws of it, (n, 1)."""
    weights, means, sds = np.array(HUMPS).T
    chosen = rng.choice(len(HUMPS), n, p=weights)
    return rng.normal(means[chosen], sds[chosen])[:, None]
