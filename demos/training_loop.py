"""The whole training loop on one page: minibatches, noise, `vae.gradient`, Adam.  `fit` takes the same steps.

    python -m demos.training_loop
"""
import numpy as np

from scratchvae import load_data, VAE
from scratchvae.data.minibatch import shuffled
from scratchvae.kernels.random import EPS, standard_normal
from scratchvae.optimizers import Adam


def train(vae, X, epochs, batch_size=128, learning_rate=1e-3, seed=0):
    """Train vae on X (n, D), floats in [0, 1]; yield the mean loss of each epoch, in nats per example."""
    theta = vae.parameters.flat                              # every weight and bias, in one vector
    adam = Adam(theta.size, vae.dtype, learning_rate)
    for epoch in range(epochs):
        total, order = 0.0, shuffled(len(X), seed, epoch)    # a permutation of the rows
        for start in range(0, len(X), batch_size):
            x = X[order[start:start + batch_size]]
            eps = np.empty((len(x), vae.n_latent), vae.dtype)
            standard_normal(seed, EPS, adam.step, eps)       # as rng.standard_normal, but a function of (seed, step)
            objective, gradient = vae.gradient(x, eps)
            adam.update(theta, gradient.flat)
            total += len(x) * objective.loss
        yield total / len(X)


if __name__ == "__main__":
    digits = load_data("digits")
    for epoch, loss in enumerate(train(VAE(64, n_latent=4, hidden=(32,)), digits.train, epochs=20), start=1):
        print(f"epoch {epoch:2d}  training loss {loss:6.2f} nats")
