"""Functions whose derivatives the estimators' gradients are, for checks by differences with eps held.

monte_carlo, iwae, analytic and antithetic differentiate the loss that they report.  The others do not: they leave
something out whose expectation is zero, or hold something that moves.  With everything under a bar frozen at the
parameters where the gradient was taken, the gradient of each is the derivative of

    (S11)  A + 1/B sum_n sum_k bar(v) nll(bar(z); theta),   theta the decoder's parameters, phi the encoder's, and

           stl              A = 1/B sum bar(v) [ nll(z; bar(theta)) + beta (log bar(q)(z) - log p(z)) ],    z = z(phi)
           iwae_stl         the same, v the normalised weights
           dreg             the same, bar(v u) in place of bar(v)                                            u as in S8
           score_function   A = 1/B sum bar(v c) log q(bar(z) | x; phi)                                      c as in S9

What runs below are forwards only; none of the derivatives S3 to S9 stands in it, but for the factors u and c.
"""
import numpy as np

from ..estimators import BASELINES, EVERY, forward, heads


def _log_q(head, z, samples):
    """log q(z | x), (B, K), but for a constant; z (B*K, Z)."""
    mu, logvar = (np.repeat(half, samples, axis=0) for half in np.split(head, 2, axis=1))
    return -0.5 * (np.square(z - mu) * np.exp(-logvar) + logvar).sum(axis=1).reshape(-1, samples)


def surrogate(name, vae, ws, beta, baseline="none", average_loss=0.0):
    """Return a function of no arguments: the surrogate loss at vae's present parameters.              (S11)

    Parameters
    ----------
    name : str
        In ESTIMATORS or SPECIMENS.
    vae : VAE
        What is frozen is frozen at the parameters that it has now; later changes of them move the rest.
    ws : Workspace
        With x and eps in it; the returned function overwrites all else, so it must keep to itself.
    beta, baseline, average_loss
        As in `forward_backward`.

    Returns
    -------
    callable
        () -> float, nats per example.
    """
    estimator, p = EVERY[name], vae.parameters
    if estimator.exact:
        return lambda: forward(name, vae, p, ws, beta).loss
    frozen, samples = p.copy(), len(ws.z) // len(ws.x)
    forward(name, vae, frozen, ws, beta)
    bar_head, bar_z = ws.encoder[-1].copy(), ws.z.copy()
    log_w = heads.log_weights(ws.nll, heads.sample_kl(bar_head, ws.eps, bar_z), beta)
    v = estimator.weigh(log_w)
    factor = v * (1 - beta * (1 - v)) if name == "dreg" else v
    c = -log_w - BASELINES[baseline](-log_w, average_loss)

    def nll(parameters, z):
        vae.decoder.forward(parameters.decoder, z, ws.decoder)
        vae.likelihood.nll(parameters.likelihood, ws.decoder[-1], ws.x, ws.nll)
        return ws.nll.reshape(-1, samples).copy()

    def loss():
        vae.encoder.forward(p.encoder, ws.x, ws.encoder)
        head = ws.encoder[-1]
        if name == "score_function":
            moving = v * c * _log_q(head, bar_z, samples)
        else:
            mu, logvar = (np.repeat(half, samples, axis=0) for half in np.split(head, 2, axis=1))
            z = mu + np.exp(logvar / 2) * ws.eps
            log_p = -0.5 * np.square(z).sum(axis=1).reshape(-1, samples)
            moving = factor * (nll(frozen, z) + beta * (_log_q(bar_head, z, samples) - log_p))
        return float((moving + v * nll(p, bar_z)).sum(axis=1).mean())

    return loss
