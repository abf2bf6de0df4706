"""The Gaussian encoder: reparameterized samples and the KL divergence, forward and backward.

The head holds both parameters of q(z | x) side by side: head (B, 2Z) = [mu | logvar], logvar = log sigma^2.
With K samples an example, row r of eps and z belongs to example r // K.

`gradcheck` and training run the compiled lines, which bear the same tags: break a twin, and the test that
compares it with its kernel fails, not `gradcheck`.
"""
import numpy as np

from .hints import widest_vectors
from .twins import twin_of, WHOLE, within
from .vectormath import exp, expm1


def gaussian_forward_ref(head, eps, z, kl):
    """Samples z (B*K, Z) of q and its divergence from the prior, kl (B,) float64 in nats per example.

    z = mu + exp(logvar / 2) eps                                                           (E2)
    kl = 1/2 sum_j (mu^2 + exp(logvar) - 1 - logvar)                                       (E4)
    The kernel is within 7 ulp.
    """
    n_latent = head.shape[1] // 2
    mu, logvar = head[:, :n_latent], head[:, n_latent:]
    shape = (len(head), -1, n_latent)
    sigma = np.exp(0.5 * logvar)
    z.reshape(shape)[:] = mu[:, None] + sigma[:, None] * eps.reshape(shape)
    kl[:] = 0.5 * np.sum(mu * mu + (np.expm1(logvar) - logvar), axis=1, dtype=np.float64)


@twin_of(gaussian_forward_ref)
def gaussian_forward(head, eps, z, kl, part=WHOLE):
    # head (B, 2Z), eps and z (B*K, Z), kl (B,)
    n_latent, n_samples = head.shape[1] // 2, len(z) // len(head)
    half = head.dtype.type(0.5)
    for b in within(part, len(head)):
        widest_vectors()
        mu, logvar = head[b, :n_latent], head[b, n_latent:]
        first, last = b * n_samples, (b + 1) * n_samples - 1
        sigma = z[last]                                # waits in the last sample's row until its turn
        total = 0.0
        for j in range(n_latent):
            sigma[j] = exp(half * logvar[j])
            total += mu[j] * mu[j] + (expm1(logvar[j]) - logvar[j])
        kl[b] = 0.5 * total                                                                # (E4)
        for r in range(first, last + 1):
            sample, noise = z[r], eps[r]
            for j in range(n_latent):
                sample[j] = mu[j] + sigma[j] * noise[j]                                    # (E2)


def gaussian_backward_ref(head, eps, d_z, d_kl, d_head):
    """d_head (B, 2Z) = [d_mu | d_logvar] from d_z (B*K, Z) and d_kl (Z,), dL/d(kl) of each latent and example.

    forward was z = mu + exp(logvar / 2) eps and kl = 1/2 sum (mu^2 + exp(logvar) - 1 - logvar), so
        d_mu     = sum over the K samples of d_z  +  d_kl mu                               (E6)
        d_logvar = sum over the K samples of d_z eps exp(logvar / 2) / 2
                   +  d_kl (exp(logvar) - 1) / 2                                           (E7)
    The kernel is within 4 ulp.
    """
    n_latent = head.shape[1] // 2
    mu, logvar = head[:, :n_latent], head[:, n_latent:]
    shape = (len(head), -1, n_latent)
    d_z, eps = d_z.reshape(shape), eps.reshape(shape)
    d_head[:, :n_latent] = d_z.sum(axis=1) + d_kl * mu
    d_head[:, n_latent:] = (0.5 * np.exp(0.5 * logvar) * (d_z * eps).sum(axis=1)
                            + 0.5 * d_kl * np.expm1(logvar))


@twin_of(gaussian_backward_ref)
def gaussian_backward(head, eps, d_z, d_kl, d_head, part=WHOLE):
    # head and d_head (B, 2Z), eps and d_z (B*K, Z), d_kl (Z,)
    n_latent, n_samples = head.shape[1] // 2, len(d_z) // len(head)
    half = head.dtype.type(0.5)
    for b in within(part, len(head)):
        widest_vectors()
        mu, logvar = head[b, :n_latent], head[b, n_latent:]
        d_mu, d_logvar = d_head[b, :n_latent], d_head[b, n_latent:]
        first = b * n_samples
        for j in range(n_latent):
            d_mu[j] = d_z[first, j] + d_kl[j] * mu[j]                                      # (E6)
            d_logvar[j] = d_z[first, j] * eps[first, j]
        for r in range(first + 1, first + n_samples):
            for j in range(n_latent):
                d_mu[j] += d_z[r, j]
                d_logvar[j] += d_z[r, j] * eps[r, j]
        for j in range(n_latent):
            d_logvar[j] = half * (d_logvar[j] * exp(half * logvar[j]) + d_kl[j] * expm1(logvar[j]))        # (E7)
