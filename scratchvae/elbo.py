"""The objective and its gradient: the whole derivation, and its one implementation.

Notation.  x (B, D) data; mu, logvar (B, Z) the encoder's head, logvar = log sigma^2; eps, z (B*K, Z) noise and
samples, K of them an example; l (B*K, D) the decoder's outputs (logits, or means).  n runs over examples, k over
samples, d over pixels, j over latents.  Everything is in nats.

The model is p(z) = N(0, I) and p(x | z), read off the decoder; q(z | x) = N(mu, diag sigma^2) is read off the
encoder.  For any q that is positive wherever p(x, z) is (T13 to T15),

    log p(x) = log E_q[p(x | z) p(z) / q(z | x)]  >=  E_q[log p(x | z)] - KL(q(z | x) || p(z))  =  ELBO.

The loss L is the negative ELBO, with the KL weighted by beta and the expectation replaced by K samples, averaged
over the batch.  Forward, in order:

    (E1)  [mu | logvar] = encoder(x)
    (E2)  z = mu + sigma eps,  sigma = exp(logvar / 2),  eps ~ N(0, I)             given, an argument
    (E3)  l = decoder(z)
    (E4)  L = 1/B sum_n [ 1/K sum_k nll(l, x)  +  beta kl ]
          nll = sum_d [softplus(l) - x l]                                          Bernoulli, l a logit
          kl  = 1/2 sum_j (mu^2 + sigma^2 - 1 - logvar)                            N(mu, sigma^2) from N(0, 1)

E4's nll: with p = sigmoid(l), -log p = softplus(-l) = softplus(l) - l and -log(1 - p) = softplus(l), so
-x log p - (1 - x) log(1 - p) = softplus(l) - x l.  E4's kl: E_q[log q - log p] = 1/2 E[(z^2 - eps^2) - logvar]
with E z^2 = mu^2 + sigma^2 and E eps^2 = 1.

Backward, from the loss to the parameters, each line one factor of the chain rule.  d_name is dL/d(name):

    (E5)  d_l = (sigmoid(l) - x) / (B K)                     from softplus' = sigmoid
          d_z = what the decoder's backward returns for its input
    (E6)  d_mu = sum_k d_z  +  beta mu / B                   dz/dmu = 1; dkl/dmu = mu
    (E7)  d_logvar = sum_k d_z eps sigma / 2  +  beta (sigma^2 - 1) / (2 B)
                                                             dz/dlogvar = eps dsigma/dlogvar = eps sigma / 2;
                                                             dkl/dlogvar = (sigma^2 - 1) / 2

The 1/2 in both terms of E7 is that of dsigma/dlogvar = sigma / 2: in terms of sigma, dkl/dsigma = sigma - 1 / sigma.

With a Gaussian likelihood of fixed sigma_x the decoder puts out means, and instead of E4's and E5's lines

    (E8)  nll = sum_d [(x - l)^2 / (2 sigma_x^2) + log sigma_x + log(2 pi) / 2]
    (E9)  d_l = (l - x) / (sigma_x^2 B K)

With conditions y, given as C one-hot columns, the encoder reads [x | y] and the decoder [z | y]: E1 to E9 hold for each
y as they stand, of log p(x | y) with the prior N(0, I), and nobody wants the cotangents of y's columns.

The likelihoods that learn their sigma, or have gray pixels, are L1 to L12 in `likelihoods/__init__.py`; the dense
layers' own derivatives are D1 to D5 in `kernels/dense.py`.  (Kingma & Welling 2014, section 2.3 and
appendix B, derive the same objective; T6 to T10, T14 to T16 name its claims.)
"""
from typing import Any, NamedTuple

import numpy as np

from .arrays import aligned, aligned_copy, first_columns
from .kernels.gaussian import gaussian_backward, gaussian_forward
from .kernels.totals import add_up, fill_both
from .layers import MLP
from .parameters import Parameters
from .probability.divergences import kl_terms
from .schedules import KLWeight


class Objective(NamedTuple):
    """The loss and its two parts, in nats per example: loss = reconstruction + beta kl."""

    loss: float
    reconstruction: float
    kl: float


class Workspace(NamedTuple):
    """Every array that a step writes, allocated once for the largest batch.

    `encoder` and `decoder` hold each layer's output, `d_encoder` and `d_decoder` the cotangents of the same
    shapes.  `nll`, `d_nll` and `kl` are float64, a number a row, `sums` two; `d_kl` has one a latent.  Where there are
    conditions y, in one-hot columns, `x` is [x | y], of which `target` is x, and `code` is [z | y]; else `code` is z.
    """

    x: np.ndarray
    eps: np.ndarray
    encoder: tuple
    code: np.ndarray
    decoder: tuple
    nll: np.ndarray
    d_nll: np.ndarray
    kl: np.ndarray
    d_kl: np.ndarray
    sums: np.ndarray
    d_decoder: tuple
    d_code: np.ndarray
    d_encoder: tuple

    @property
    def z(self) -> np.ndarray:
        """The latents, the first columns of `code`."""
        return first_columns(self.code, self.eps.shape[1])

    @property
    def d_z(self) -> np.ndarray:
        """Their cotangents: nobody wants those of y."""
        return first_columns(self.d_code, self.eps.shape[1])

    @property
    def target(self) -> np.ndarray:
        """What the decoder is to put out, the first columns of `x`."""
        return first_columns(self.x, self.x.shape[1] - self.code.shape[1] + self.eps.shape[1])

    @classmethod
    def allocate(cls, encoder: MLP, decoder: MLP, batch: int, n_samples: int, dtype: Any,
                 n_conditions: int = 0) -> "Workspace":
        """Return a workspace for `batch` examples of `n_samples` samples each."""
        rows, width = batch * n_samples, decoder.layers[0].n_in
        code, d_code = (aligned((rows, width), dtype) for _ in range(2))
        return cls(x=aligned((batch, encoder.layers[0].n_in), dtype), eps=aligned((rows, width - n_conditions), dtype),
                   encoder=encoder.outputs(batch, dtype), code=code, decoder=decoder.outputs(rows, dtype),
                   nll=np.empty(rows), d_nll=np.empty(rows), kl=np.empty(batch), sums=np.empty(2), d_code=d_code,
                   d_kl=np.empty(width - n_conditions, dtype), d_decoder=decoder.outputs(rows, dtype),
                   d_encoder=encoder.outputs(batch, dtype))

    def first(self, batch: int) -> "Workspace":
        """Return the same workspace cut to its first `batch` examples: views, nothing is copied."""
        if batch == len(self.x):
            return self
        cut = _with_each(lambda array: array[:len(array) // len(self.x) * batch], self)
        return cut._replace(d_kl=self.d_kl, sums=self.sums)                    # which have no rows for the examples

    def __reduce__(self):
        return _own, tuple(self)


def _own(*fields):
    """Return a Workspace over copies: a copied or pickled one shares nothing with the original."""
    return _with_each(aligned_copy, fields)


def _with_each(change, fields):
    """Return the Workspace of fields with `change` made to each array."""
    return Workspace(*(tuple(map(change, field)) if isinstance(field, tuple) else change(field) for field in fields))


def encode_sample_decode(vae: Any, p: Parameters, ws: Workspace) -> None:
    """Write E1 to E3, and E4's kl: read ws.x and ws.eps, write up to ws.decoder[-1] and ws.kl."""
    vae.encoder.forward(p.encoder, ws.x, ws.encoder)                                            # (E1)
    gaussian_forward(ws.encoder[-1], ws.eps, ws.z, ws.kl)                                       # (E2), kl of (E4)
    join_conditions(ws.z.shape[1], ws.x, ws.code)
    vae.decoder.forward(p.decoder, ws.code, ws.decoder)                                         # (E3)


def join_conditions(n_latent: int, x: np.ndarray, code: np.ndarray) -> None:
    """Write y, the last columns of x (B, D + C), into those of code (B*K, Z + C); C may be 0."""
    if code.shape[1] > n_latent:
        code.reshape(len(x), -1, code.shape[1])[:, :, n_latent:] = x[:, None, n_latent - code.shape[1]:]


def decoder_backward(vae: Any, p: Parameters, ws: Workspace, gradient: Parameters, d_code: np.ndarray | None) -> None:
    """Write E5: from ws.d_nll, which is consumed, the decoder's part of `gradient` and, unless it is None,
    d_code, whose first columns are d_z.

    The likelihood gives ws.nll in the same pass: value and gradient need the same exponential.
    """
    vae.likelihood.nll_backward(p.likelihood, ws.decoder[-1], ws.target, ws.d_nll, ws.nll,
                                gradient.likelihood, ws.d_decoder[-1])                          # (E5)
    vae.decoder.backward(p.decoder, ws.code, ws.decoder, ws.d_decoder, gradient.decoder, d_code)


def per_example(ws: Workspace) -> float:
    """Return the 1/B of E4's mean over the batch.  It stands in no other place."""
    return 1.0 / len(ws.x)


def mean_latent_kl(ws: Workspace, weight: KLWeight) -> np.ndarray | None:
    """Return KL_j of S10, (Z,), for a weight that looks at each latent; None for one to which ws.kl is enough."""
    return kl_terms(*np.split(ws.encoder[-1], 2, axis=1)).mean(axis=0) if weight.by_latent else None


def negative_elbo(ws: Workspace, weight: KLWeight, latent_kl: np.ndarray | None) -> Objective:
    """Return E4: the two parts averaged over the batch (and the samples), and their sum."""
    add_up(ws.nll, ws.kl, ws.sums)
    reconstruction, kl = ws.sums.item(0) / len(ws.nll), ws.sums.item(1) / len(ws.kl)
    return Objective(reconstruction + weight.value(kl if latent_kl is None else latent_kl), reconstruction, kl)


def forward(vae: Any, p: Parameters, ws: Workspace, weight: KLWeight) -> Objective:
    """Return the Objective of ws.x and ws.eps at the parameters p, in nats per example; overwrite the rest of ws.

    Of the vae only `encoder`, `decoder` and `likelihood` are used.  `weight` is the KL's weight
    (`scratchvae.schedules`), Constant(beta) for E4's beta.                                             (E4)
    """
    encode_sample_decode(vae, p, ws)
    vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.target, ws.nll)
    return negative_elbo(ws, weight, mean_latent_kl(ws, weight))


def forward_backward(vae: Any, p: Parameters, ws: Workspace, weight: KLWeight, gradient: Parameters) -> Objective:
    """Return what `forward` returns, and overwrite `gradient` with dL/d(parameters).                   (E4 to E7)"""
    encode_sample_decode(vae, p, ws)
    latent_kl = mean_latent_kl(ws, weight)
    fill_both(ws.d_nll, per_example(ws) * len(ws.x) / len(ws.eps), ws.d_kl, weight.slope(latent_kl) * per_example(ws))
    decoder_backward(vae, p, ws, gradient, ws.d_code)                                           # (E5)
    gaussian_backward(ws.encoder[-1], ws.eps, ws.d_z, ws.d_kl, ws.d_encoder[-1])                # (E6, E7)
    vae.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
    return negative_elbo(ws, weight, latent_kl)
