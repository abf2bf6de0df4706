"""Autoencoder: the VAE's networks without noise and without a prior."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .elbo import decoder_backward, Objective, per_example, Workspace
from .model import Model
from .parameters import Parameters


class Autoencoder(Model):
    """A plain autoencoder (T4): the VAE's networks without noise and without a prior.

    Parameters
    ----------
    n_visible, n_latent, hidden, activation, likelihood, dtype, seed, sigma
        As in `VAE`.  With likelihood "gaussian" the loss is half the squared error over sigma^2 plus a constant,
        with "bernoulli" the cross entropy.

    Examples
    --------
    >>> Autoencoder(n_visible=6, n_latent=2, hidden=()).transform(np.ones((3, 6))).shape
    (3, 2)
    """

    kind = "ae"

    def __init__(self, n_visible: int, n_latent: int = 20, *, hidden: Sequence[int] = (400,), activation: str = "relu",
                 likelihood: Any = "bernoulli", dtype: Any = "float32", seed: int = 0, sigma: float = 1.0):
        given = dict(locals())
        self.build(n_visible, n_latent, hidden, activation, likelihood, sigma, dtype, seed)
        self._remember(given)

    def _decode_codes(self, ws):
        p = self.parameters
        self.encoder.forward(p.encoder, ws.x, ws.encoder)
        self.decoder.forward(p.decoder, ws.encoder[-1], ws.decoder)

    def forward(self, ws: Workspace, beta: Any = None) -> Objective:
        """Return the Objective of the batch in ws.x; its kl is 0, and beta is ignored."""
        self._decode_codes(ws)
        self.likelihood.nll(self.parameters.likelihood, ws.decoder[-1], ws.x, ws.nll)
        loss = float(ws.nll.mean())
        return Objective(loss, loss, 0.0)

    def forward_backward(self, ws: Workspace, gradient: Parameters, beta: Any = None,
                         state: dict | None = None) -> Objective:
        """Return the same, and overwrite `gradient` with dL/d(parameters)."""
        p = self.parameters
        self._decode_codes(ws)
        ws.d_nll.fill(per_example(ws))
        decoder_backward(self, p, ws._replace(code=ws.encoder[-1]), gradient, ws.d_encoder[-1])
        self.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
        loss = float(ws.nll.mean())
        return Objective(loss, loss, 0.0)

    def objective(self, X: Any, eps: Any = None) -> Objective:
        """Return the Objective of X (n, D), in nats per example; there is no noise, eps is ignored."""
        return self.forward(self._workspace_of(X))

    def gradient(self, X: Any, eps: Any = None) -> tuple[Objective, Parameters]:
        """Return (Objective, Parameters): the loss and dL/d(parameters), in a fresh Parameters."""
        gradient = Parameters.zeros(self.parameters.layout, self.dtype)
        return self.forward_backward(self._workspace_of(X), gradient), gradient

    def surrogate(self, X: Any, eps: Any = None) -> Callable[[], float]:
        """Return a function () -> float, the loss at the present parameters: its derivative is `gradient`."""
        ws = self._workspace_of(X)
        return lambda: self.forward(ws).loss

    def encode(self, X: Any) -> np.ndarray:
        """Return the codes of X (n, D), (n, Z)."""
        return self._encode(X)

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of X (n, D), (n, Z)."""
        return self.encode(X)
