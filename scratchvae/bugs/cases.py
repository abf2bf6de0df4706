"""Small random models and data on which a fault is looked for."""
from typing import NamedTuple

import numpy as np

from ..layers import ACTIVATIONS
from ..vae import VAE

N_ROWS = 12                             # training rows: the chance that two orders of them agree is 2e-9


class Case(NamedTuple):
    """A float64 VAE at random parameters, X (B, D) in [0, 1], eps (B, Z), and what to make more of its kind."""

    model: VAE
    X: np.ndarray
    eps: np.ndarray
    settings: dict
    seed: int

    def new_model(self, **changes):
        """Return a VAE of the same settings, or with some changed, newly initialized."""
        return VAE(**{**self.settings, **changes})

    def rng(self):
        """Return a generator of this case's own."""
        return np.random.default_rng([self.seed, 1])

    def rows(self, n=N_ROWS):
        """Return n training rows, float64 in [0, 1]."""
        return self.rng().random((n, self.model.n_visible))


def random_case(seed, **settings):
    """Return the Case of a seed.

    Parameters
    ----------
    seed : int
        Of the settings, parameters, data and noise.
    settings
        Arguments of `VAE` that are not to be drawn.

    Examples
    --------
    >>> case = random_case(0, likelihood="gaussian")
    >>> case.model.likelihood.name, case.X.shape[1] == case.model.n_visible
    ('gaussian', True)
    """
    rng = np.random.default_rng(seed)
    drawn = {"n_visible": int(rng.integers(4, 8)), "n_latent": int(rng.integers(1, 4)),
             "hidden": [(), (4,), (5, 3)][rng.integers(3)], "activation": str(rng.choice(list(ACTIVATIONS))),
             "likelihood": str(rng.choice(["bernoulli", "gaussian"])), "beta": float(rng.choice([0.4, 1.0, 2.5])),
             "sigma": float(rng.uniform(0.5, 0.9)), "dtype": "float64", "seed": int(rng.integers(1000))}
    drawn.update(settings)
    model = VAE(**drawn)
    model.parameters.flat[:] += 0.3 * rng.standard_normal(model.parameters.flat.size)     # biases, too
    batch = int(rng.choice([3, 5]))
    return Case(model, rng.random((batch, model.n_visible)), rng.standard_normal((batch, model.n_latent)), drawn, seed)
