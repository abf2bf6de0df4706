"""The closed form with a penalty on the KL in place of beta times it: free bits and capacity.

With kl_nj the closed form's share of latent j in example n and its mean over the batch, KL_j = 1/B sum_n kl_nj, the
objective is

    (S10)  L = 1/B sum_n 1/K sum_k nll  +  R(KL_1, ..., KL_Z)
           free bits   R = beta sum_j max(f, KL_j)             dR/dKL_j = beta where KL_j > f, else 0
           capacity    R = beta |sum_j KL_j - C|               dR/dKL_j = beta sign(sum_j KL_j - C)

and since dKL_j/dmu_nj = mu_nj / B and dKL_j/dlogvar_nj = (sigma_nj^2 - 1) / (2 B), E6 and E7 hold with dR/dKL_j in the
place of beta.  On their kinks (KL_j = f, sum = C) the derivative is taken as 0.  R looks at the whole batch, so the
gradient of a batch is not the mean of its examples' gradients.  (Kingma et al. 2016, appendix C.8; Burgess et al.
2018.)
"""
import numpy as np

from .. import elbo
from ..elbo import Objective
from ..kernels.gaussian import gaussian_backward
from ..probability.divergences import kl_terms


def _mean_kl(ws):
    """KL_j, (Z,)."""
    return kl_terms(*np.split(ws.encoder[-1], 2, axis=1)).mean(axis=0)


def _objective(ws, penalty, kl):
    reconstruction = float(ws.nll.mean())
    return Objective(reconstruction + penalty.value(kl), reconstruction, float(kl.sum()))


def forward(vae, p, ws, penalty):
    """Compute the objective; `penalty` is R, from `scratchvae.schedules`, the rest as in `elbo.forward`.       (S10)"""
    elbo.forward_to_outputs(vae, p, ws)
    vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.x, ws.nll)
    return _objective(ws, penalty, _mean_kl(ws))


def forward_backward(vae, p, ws, penalty, gradient):
    """Compute the objective and overwrite `gradient` with dL/d(parameters).                                    (S10)"""
    elbo.forward_to_outputs(vae, p, ws)
    ws.d_nll.fill(1.0 / len(ws.z))
    elbo.decoder_backward(vae, p, ws, gradient, ws.d_z)                                                       # (E5)
    kl, head, d_head = _mean_kl(ws), ws.encoder[-1], ws.d_encoder[-1]
    n_latent = len(kl)
    slope = (penalty.slope(kl) / len(ws.x)).astype(head.dtype)
    gaussian_backward(head, ws.eps, ws.d_z, 0.0, d_head)
    d_head[:, :n_latent] += slope * head[:, :n_latent]               # z and the KL depend on the head: their sum
    d_head[:, n_latent:] += 0.5 * slope * np.expm1(head[:, n_latent:])
    vae.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
    return _objective(ws, penalty, kl)
