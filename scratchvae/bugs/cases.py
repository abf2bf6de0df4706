"""Small random models and data on which the detectors look for faults."""
from typing import Any, NamedTuple

import numpy as np

from ..layers import ACTIVATIONS
from ..vae import VAE

N_ROWS = 12                             # training rows; two random orders of them are the same with probability 2e-9


class Case(NamedTuple):
    """A float64 VAE with random parameters, X (B, D) in [0, 1], eps (B, Z), and what they were made from."""

    model: VAE
    X: np.ndarray
    eps: np.ndarray
    settings: dict
    seed: int

    def new_model(self, **changes: Any) -> VAE:
        """Return a newly initialized VAE with the same settings, or with some of them changed."""
        return VAE(**{**self.settings, **changes})

    def rng(self) -> np.random.Generator:
        """Return a new random generator with a seed that only this case has."""
        return np.random.default_rng([self.seed, 1])

    def rows(self) -> np.ndarray:
        """Return training rows, (N_ROWS, D) float64 in [0, 1]."""
        return self.rng().random((N_ROWS, self.model.n_visible))


def random_case(seed: int, **settings: Any) -> Case:
    """Return the Case of a seed: its parameters, data, noise, and those arguments of `VAE` that are not given."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {
        "n_visible": int(rng.integers(4, 8)), "n_latent": int(rng.integers(1, 4)),
        "hidden": [(), (4,), (5, 3)][rng.integers(3)], "activation": str(rng.choice(list(ACTIVATIONS))),
        "likelihood": str(rng.choice(["bernoulli", "gaussian"])), "beta": float(rng.choice([0.4, 1.0, 2.5])),
        "sigma": float(rng.uniform(0.5, 0.9)), "dtype": "float64", "seed": int(rng.integers(1000))}
    drawn.update(settings)
    model = VAE(**drawn)
    model.parameters.flat[:] += 0.3 * rng.standard_normal(model.parameters.flat.size)     # also the biases
    batch = int(rng.choice([3, 5]))
    return Case(model, rng.random((batch, model.n_visible)), rng.standard_normal((batch, model.n_latent)), drawn, seed)
