"""What each estimator writes into the encoder's head: the derivations, and one small function for each.

An estimator is a rule that turns K samples an example into a gradient of the ELBO, or of a bound with K samples.  The
decoder's backward is the same for all (E5): sample k of example n enters with a weight v, dL/d(nll) = v / B.  What
differs is the cotangent of the head, per example (n is left out; the 1/B of E4 stands before everything).

Two densities meet a sample z = mu + sigma eps, and the constants of both Gaussians cancel:

    (S1)  r     = log q(z | x) - log p(z) = 1/2 sum_j (z^2 - eps^2 - logvar)           eps = (z - mu) / sigma
    (S2)  log w = -nll - beta r                        so E[-log w] is E4's bracket, and w is T13's weight at beta = 1

z depends on the head, and so does q itself.  Hence r has two derivatives, one along each way:

    (S3)  along z, q held:  dr/dz = z - eps / sigma              d log p(z)/dz = -z;  d log q/dz = -(z - mu) / sigma^2
    (S4)  along q, z held:  dr/dmu = eps / sigma,  dr/dlogvar = (eps^2 - 1) / 2                       the score of q

A cotangent g of z reaches the head as in E6 and E7: d_mu = sum_k g, d_logvar = sum_k g eps sigma / 2.  d_z below is
v J / B with J = d(nll)/dz: what the decoder's backward returned.

Total derivative.  Both ways together: (z - eps / sigma) + eps / sigma = z, and (z - eps / sigma) eps sigma / 2 +
(eps^2 - 1) / 2 = (z eps sigma - 1) / 2, that is

    (S5)  g = d_z + beta v z / B,   and d_logvar gets  -beta / (2 B)  besides                       from sum_k v = 1

with v = 1/K ("monte_carlo"): the derivative of 1/B sum 1/K sum -log w with eps held.  With the K-sample bound

    (S6)  L = -1/B sum_n log 1/K sum_k w_k          dL/d(log w_k) = -v_k / B,  v_k = w_k / sum_l w_l

it is S5 again, v the normalised weights ("iwae"; Burda, Grosse & Salakhutdinov 2016, section 3): the derivative of
logsumexp is exact, nothing has to be held.  At beta = 1, L falls with K to -log p(x) in expectation (T13, T14).

Path derivative.  E[score] = 0, so the second way of r may be dropped from a mean of -log w without changing its
expectation ("stl", sticking the landing; Roeder, Wu & Duvenaud 2017):

    (S7)  g = d_z + beta v (z - eps / sigma) / B

Where q is the posterior and beta = 1, -log w is the constant -log p(x): S7 is zero for every eps.
Under S6's weights the score's mean is not zero any more, because v depends on eps too: dropping it is biased
("iwae_stl", kept as a specimen).  The remedy is to reparameterise that score a second time ("dreg", doubly
reparameterised; Tucker, Lawson, Gu & Maddison 2019): for any f, E[f(z) score] = E[df/dz dz/d(head)], because
both are the derivative of E[f] along q.  With P = J + beta (z - eps / sigma) = -d(log w)/dz, f = beta v_k, and
dv_k/dz_k = -v_k (1 - v_k) P_k, S7's v P becomes v P - beta v (1 - v) P:

    (S8)  g = u (d_z + beta v (z - eps / sigma) / B),   u = 1 - beta (1 - v)                       u = v at beta = 1

Score function.  z is held, and E_q[-log w] moves only with the density that z is drawn from (S4's own mean is 0):

    (S9)  d_mu = sum_k v c eps / sigma / B,  d_logvar = sum_k v c (eps^2 - 1) / 2 / B,   v = 1/K,  c = -log w - b

for any baseline b that does not depend on this sample's eps: "none", b = 0; "moving_average", the average loss of
earlier steps; "leave_one_out", the mean of -log w over the example's K - 1 other samples (Williams 1992; Kool, van
Hoof & Welling 2019).  It needs no derivative of the decoder, and its variance is hundreds of times E6's (T8).

Antithetic pairs.  E6 and E7 averaged over eps and -eps ("antithetic"): the part of J that is odd in eps drops out
of d_mu, so where log p(x | z) is quadratic in z, d_mu is exact.

Which of these is the derivative of the loss that is reported, with eps held?  analytic, antithetic, monte_carlo and
iwae; S7 to S9 are derivatives of other functions, which `surrogates` spells out for checks by differences.
"""
from typing import NamedTuple

import numpy as np

from ..kernels.gaussian import gaussian_backward


class Draws(NamedTuple):
    """K samples an example, and what the decoder said about them; arrays of rows have B*K of them.

    `head` (B, 2Z); `eps`, `z` (B*K, Z); `d_z` (B*K, Z) dL/dz through the nll, consumed; `log_w` (B, K) float64 in
    nats (S2); `weights` (B, K) float64, v, each example's adding up to 1; `beta` a number; `per_example` the 1/B of E4;
    `baseline` b, a number or (B, K).
    """

    head: np.ndarray
    eps: np.ndarray
    z: np.ndarray
    d_z: np.ndarray
    log_w: np.ndarray
    weights: np.ndarray
    beta: float
    per_example: float
    baseline: object = 0.0

    def rows(self, per_sample):
        """Return (B, K) numbers as a column (B*K, 1) in the samples' dtype."""
        return per_sample.astype(self.z.dtype).reshape(-1, 1)

    def eps_over_sigma(self):
        """Return eps / sigma, (B*K, Z)."""
        n_latent = self.z.shape[1]
        inverse = np.exp(-0.5 * self.head[:, n_latent:])
        return (self.eps.reshape(len(inverse), -1, n_latent) * inverse[:, None]).reshape(self.eps.shape)


def sample_kl(head, eps, z):
    """Return r = log q(z | x) - log p(z) of every sample, (B, K) float64 in nats.                     (S1)

    head (B, 2Z), eps and z (B*K, Z).
    """
    squares = (np.einsum("rj,rj->r", z, z, dtype=np.float64)
               - np.einsum("rj,rj->r", eps, eps, dtype=np.float64)).reshape(len(head), -1)
    return 0.5 * (squares - head[:, head.shape[1] // 2:].sum(axis=1, dtype=np.float64)[:, None])


def log_weights(nll, kl, beta):
    """Return log w = -nll - beta r, (B, K) float64 in nats; nll (B*K,), kl is r (B, K).               (S2)"""
    return -nll.reshape(kl.shape) - beta * kl


def uniform(log_w):
    """Return v = 1/K, like log_w (B, K)."""
    return np.full(log_w.shape, 1 / log_w.shape[1])


def normalised(log_w):
    """Return v = w / sum of w over an example's samples, (B, K): the largest exponent is 0.           (S6)

    What the rounding of the sum would lose is 0: as float32 cotangents such weights were subnormal numbers, and a step
    with 50 samples took three times as long.
    """
    w = np.exp(log_w - log_w.max(axis=1, keepdims=True))
    w[w < np.finfo(np.float64).eps] = 0
    return w / w.sum(axis=1, keepdims=True)


def mean_loss(log_w):
    """Return the mean of -log w over an example's samples, (B,) nats."""
    return -log_w.mean(axis=1)


def bound_loss(log_w):
    """Return -log 1/K sum_k w_k, (B,) nats: the largest exponent is 0.                                (S6)"""
    top = log_w.max(axis=1)
    return -top - np.log(np.exp(log_w - top[:, None]).mean(axis=1))


def closed_form(draws, d_head):
    """Write the derivative of nll + beta KL, the KL in closed form.                                   (E6, E7)"""
    gaussian_backward(draws.head, draws.eps, draws.d_z, draws.beta * draws.per_example, d_head)


def total_derivative(draws, d_head):
    """Write the derivative of log w along z and along q.                                              (S5)"""
    draws.d_z[:] += draws.rows(draws.beta * draws.per_example * draws.weights) * draws.z
    gaussian_backward(draws.head, draws.eps, draws.d_z, 0.0, d_head)
    d_head[:, draws.z.shape[1]:] -= 0.5 * draws.beta * draws.per_example


def path_derivative(draws, d_head):
    """Write the derivative of log w along z, q held.                                                  (S7)"""
    draws.d_z[:] += (draws.rows(draws.beta * draws.per_example * draws.weights)
                     * (draws.z - draws.eps_over_sigma()))
    gaussian_backward(draws.head, draws.eps, draws.d_z, 0.0, d_head)


def doubly_reparameterised(draws, d_head):
    """Write the path derivative with the weights' own dependence on z put back.                       (S8)"""
    draws.d_z[:] += (draws.rows(draws.beta * draws.per_example * draws.weights)
                     * (draws.z - draws.eps_over_sigma()))
    draws.d_z[:] *= draws.rows(1 - draws.beta * (1 - draws.weights))
    gaussian_backward(draws.head, draws.eps, draws.d_z, 0.0, d_head)


def score_function(draws, d_head):
    """Write the derivative along q, z held, of the centred loss.                                      (S9)"""
    n_latent, shape = draws.z.shape[1], (len(draws.head), -1, draws.z.shape[1])
    weighted = draws.rows(draws.weights * (-draws.log_w - draws.baseline) * draws.per_example)
    d_head[:, :n_latent] = (weighted * draws.eps_over_sigma()).reshape(shape).sum(axis=1)
    d_head[:, n_latent:] = 0.5 * (weighted * (np.square(draws.eps) - 1)).reshape(shape).sum(axis=1)
