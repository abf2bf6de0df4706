"""Estimators whose KL is sampled, not in closed form: the two passes, and the surrogate (S1, S2, S11)."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import elbo
from ..elbo import Objective, Workspace
from ..parameters import Parameters
from ..schedules import KLWeight
from .base import Draws, Estimator


def sample_kl(head: np.ndarray, eps: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return r = log q(z | x) - log p(z) of every sample, (B, K) float64 in nats.                     (S1)

    head (B, 2Z), eps and z (B*K, Z).
    """
    squares = (np.einsum("rj,rj->r", z, z, dtype=np.float64)
               - np.einsum("rj,rj->r", eps, eps, dtype=np.float64)).reshape(len(head), -1)
    return 0.5 * (squares - head[:, head.shape[1] // 2:].sum(axis=1, dtype=np.float64)[:, None])


def log_weights(nll: np.ndarray, kl: np.ndarray, beta: float) -> np.ndarray:
    """Return log w = -nll - beta r, (B, K) float64 in nats; nll (B*K,), kl is r (B, K).               (S2)"""
    return -nll.reshape(kl.shape) - beta * kl


def log_q(head: np.ndarray, z: np.ndarray, samples: int) -> np.ndarray:
    """Return log q(z | x) up to a constant, (B, K) in nats; head (B, 2Z), z (B*K, Z)."""
    mu, logvar = (np.repeat(half, samples, axis=0) for half in np.split(head, 2, axis=1))
    return -0.5 * (np.square(z - mu) * np.exp(-logvar) + logvar).sum(axis=1).reshape(-1, samples)


@dataclass(frozen=True)
class Sampled(Estimator):
    """The protocol of estimators with a sampled KL; a new one adds its `name` and `write_head`.

    Attributes
    ----------
    needs_d_z : bool
        Whether `write_head` uses d_z.  If not, the decoder's backward leaves it out.
    weighs_alike : bool
        Whether `weigh` gives 1/K whatever log w is.  If not, a step needs one more pass over the likelihood.
    """

    needs_d_z: ClassVar[bool] = True
    weighs_alike: ClassVar[bool] = True

    def _objective(self, ws, log_w, kl):
        return Objective(float(self.loss(log_w).mean()), float(ws.nll.mean()), float(kl.mean()))

    def forward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight) -> Objective:
        """Return the Objective; its kl is the mean of S1 over the samples, which may be negative.    (S1, S2, S6)"""
        elbo.encode_sample_decode(vae, p, ws)
        vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.target, ws.nll)
        kl = sample_kl(ws.encoder[-1], ws.eps, ws.z)
        return self._objective(ws, log_weights(ws.nll, kl, weight.slope(None)), kl)

    def forward_backward(self, vae: Any, p: Parameters, ws: Workspace, weight: KLWeight, gradient: Parameters,
                         state: dict | None = None) -> Objective:
        """Return the same, and overwrite `gradient`.                                                 (S1 to S9)"""
        elbo.encode_sample_decode(vae, p, ws)
        head, per_example, beta = ws.encoder[-1], elbo.per_example(ws), weight.slope(None)
        kl = sample_kl(head, ws.eps, ws.z)                                                          # (S1)
        if self.weighs_alike:
            v = self.weigh(kl)
        else:                                             # needs every nll before there is a cotangent: one pass more
            vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.target, ws.nll)
            v = self.weigh(log_weights(ws.nll, kl, beta))                                           # (S6)
        np.multiply(per_example, v.ravel(), out=ws.d_nll)
        elbo.decoder_backward(vae, p, ws, gradient, ws.d_code if self.needs_d_z else None)          # (E5)
        log_w = log_weights(ws.nll, kl, beta)                                                       # (S2)
        draws = Draws(head, ws.eps, ws.z, ws.d_z, log_w, v, beta, per_example)
        self.write_head(draws, ws.d_encoder[-1], state)                                             # (S5, S7 to S9)
        vae.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
        return self._objective(ws, log_w, kl)

    def path_weight(self, draws: Draws) -> np.ndarray:
        """Return what stands before the path derivative in S7 and S8, (B, K): v."""
        return draws.weights

    def moving(self, then: Draws, z: np.ndarray, head: np.ndarray, nll: Callable, state: dict | None) -> np.ndarray:
        """Return each sample's share of S11's A, (B, K) nats.

        `then` are the frozen Draws, z (B*K, Z) and head (B, 2Z) belong to the present parameters, nll(z) -> (B, K) has
        the frozen decoder, and `state` is as in `forward_backward`.
        """
        samples = then.weights.shape[1]
        log_p = -0.5 * np.square(z).sum(axis=1).reshape(-1, samples)
        return self.path_weight(then) * (nll(z) + then.beta * (log_q(then.head, z, samples) - log_p))

    def surrogate(self, vae: Any, ws: Workspace, weight: KLWeight, state: dict | None = None) -> Callable[[], float]:
        """Return S11 as a function () -> float, or the loss itself for an exact estimator."""
        if self.exact:
            return super().surrogate(vae, ws, weight)
        p, samples, frozen = vae.parameters, len(ws.z) // len(ws.x), vae.parameters.copy()
        self.forward(vae, frozen, ws, weight)
        head, z = ws.encoder[-1].copy(), ws.z.copy()
        log_w = log_weights(ws.nll, sample_kl(head, ws.eps, z), weight.slope(None))
        then = Draws(head, ws.eps, z, ws.d_z, log_w, self.weigh(log_w), weight.slope(None), elbo.per_example(ws))

        def nll(parameters, at):
            ws.z[:] = at
            vae.decoder.forward(parameters.decoder, ws.code, ws.decoder)
            vae.likelihood.nll(parameters.likelihood, ws.decoder[-1], ws.target, ws.nll)
            return ws.nll.reshape(-1, samples).copy()

        def loss():
            vae.encoder.forward(p.encoder, ws.x, ws.encoder)
            mu, logvar = (np.repeat(half, samples, axis=0) for half in np.split(ws.encoder[-1], 2, axis=1))
            moved = mu + np.exp(logvar / 2) * ws.eps
            moving = self.moving(then, moved, ws.encoder[-1], lambda at: nll(frozen, at), state)
            return float((moving + then.weights * nll(p, z)).sum(axis=1).mean())

        return loss
