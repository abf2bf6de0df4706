"""What the parameters of a foreign VAE are, found by what its encode does when they change; its head's own check."""
from typing import Any

import numpy as np

from ...elbo import Objective
from ..numerical import restored
from ..properties import kl_closed_form
from .head import BIAS, check_head

MOST_LATENTS = 64                       # of a head whose biases are looked for one by one


class Anatomy:
    """A foreign VAE as `check_head` reads a model: `vae` is a VAEFunctions with encode, objective and params.

    `roles` has "mu", "logvar" and "trunk" (what moves both) for a head of two parts; `places` lists the (array, index)
    of each bias of [mu | logvar], or is empty, and `slopes` how far 1 on it moves that: 2 for the bias of a log sigma.
    """

    def __init__(self, vae: Any):
        self.vae, self.beta, self.arrays = vae, vae.beta, vae.arrays
        self.roles: dict = {"mu": [], "logvar": [], "trunk": []}
        start, slack = self._head(), 1e3 * vae.tolerance
        n_latent, column = start.shape[1] // 2, {}
        for path, array in self.arrays.items():
            moved = np.any(self._head_after(array, ..., 0.1 + 0.1 * np.abs(array)) != start, axis=0)
            if not moved.any():
                continue
            mu, logvar = moved[:n_latent].any(), moved[n_latent:].any()
            self.roles["trunk" if mu and logvar else "mu" if mu else "logvar"].append(path)
            if array.size in (n_latent, 2 * n_latent) and n_latent <= MOST_LATENTS:
                for index in np.ndindex(array.shape):
                    change = self._head_after(array, index, 1) - start
                    one = [(k, slope) for slope in (1, 2)
                           for k in np.flatnonzero(np.all(np.abs(change - slope) <= slack, axis=0))]
                    if len(one) == 1 and np.sum(np.abs(change) > slack) == len(change):
                        column[int(one[0][0])] = (path, index), one[0][1]
        found = [column[k] for k in range(2 * n_latent)] if len(column) == 2 * n_latent else []
        self.places, self.slopes = [place for place, _ in found], np.array([slope for _, slope in found])
        self.encoder = sum(self.roles.values(), [])
        if not (self.roles["mu"] and self.roles["logvar"]):
            self.roles = {}
        self.parameters = {BIAS: np.array([self.arrays[path][index] for path, index in self.places]) * self.slopes}

    def _head(self):
        return np.hstack(self.vae.posterior(self.vae.x))

    def _head_after(self, array, place, step):
        """Return [mu | logvar] with array[place] larger by the step; the array is restored."""
        with restored([array]):
            array[place] += step
            return self._head()

    def _move(self):
        for (path, index), value in zip(self.places, self.parameters[BIAS] / self.slopes):
            self.arrays[path][index] = value

    def encode(self, x: np.ndarray) -> tuple:
        """Return (mu, logvar)."""
        self._move()
        return self.vae.posterior(x)

    def objective(self, x: np.ndarray, eps: np.ndarray) -> Objective:
        """Return the Objective at the biases of `parameters`."""
        self._move()
        parts = self.vae.parts(x, eps)
        if len(parts) == 3:
            return Objective(*parts)
        kl = kl_closed_form(*self.vae.posterior(x)) * (len(x) if self.vae.reduction == "sum" else 1)
        return Objective(parts[0], parts[0] - self.beta * kl, kl)

    def gradient(self, x: np.ndarray, eps: np.ndarray) -> tuple:
        """Return (None, the gradient's part for the head's biases)."""
        self._move()
        found = self.vae.gradient(x, eps)
        return None, {BIAS: np.array([found[path][index] for path, index in self.places]) / self.slopes}

    def head_checks(self, checks: list) -> list:
        """Return the failed Checks of d_mu and d_logvar, if `checks` of the gradient are wrong in the encoder alone."""
        wrong, biases = {check.name for check in checks if not check.ok}, {path for path, _ in self.places}
        right = {check.name for check in checks if check.ok and check.analytic} & set(self.encoder)
        if not wrong or not wrong <= set(self.encoder) or not self.places or not self.vae.takes_eps:
            return []
        if wrong <= biases and right - biases:                    # d_b alone is wrong, and what arrives is right
            return []
        try:
            return check_head(self, self.vae.x, self.vae.eps)
        finally:
            self._move()
