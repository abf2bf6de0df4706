"""Estimators: rules that turn K samples an example into a gradient of the ELBO, or of a bound with K samples.

`VAE(estimator=...)` takes a name or an object of one of the classes below.  The decoder's backward is the same for
all of them (E5): sample k of example n enters with a weight v, dL/d(nll) = v / B.  What differs is the cotangent of the
head.  It is derived here for one example; n is left out, and the 1/B of E4 stands before everything.

Two densities meet a sample z = mu + sigma eps, and the constants of both Gaussians cancel:

    (S1)  r     = log q(z | x) - log p(z) = 1/2 sum_j (z^2 - eps^2 - logvar)           eps = (z - mu) / sigma
    (S2)  log w = -nll - beta r                        so E[-log w] is E4's bracket, and w is T13's weight at beta = 1

The head moves z, and it moves q itself.  So the derivative of r has two parts:

    (S3)  along z, q held:  dr/dz = z - eps / sigma              d log p(z)/dz = -z;  d log q/dz = -(z - mu) / sigma^2
    (S4)  along q, z held:  dr/dmu = eps / sigma,  dr/dlogvar = (eps^2 - 1) / 2                       the score of q

A cotangent g of z reaches the head as in E6 and E7: d_mu = sum_k g, d_logvar = sum_k g eps sigma / 2.  d_z below is
v J / B with J = d(nll)/dz: what the decoder's backward returned.

Total derivative.  Both parts together: (z - eps / sigma) + eps / sigma = z, and (z - eps / sigma) eps sigma / 2 +
(eps^2 - 1) / 2 = (z eps sigma - 1) / 2, that is

    (S5)  g = d_z + beta v z / B,   and d_logvar gets  -beta / (2 B)  besides                       from sum_k v = 1

with v = 1/K ("monte_carlo"): the derivative of 1/B sum 1/K sum -log w with eps held.  With the K-sample bound

    (S6)  L = -1/B sum_n log 1/K sum_k w_k          dL/d(log w_k) = -v_k / B,  v_k = w_k / sum_l w_l

it is S5 again, v the normalized weights ("iwae"; Burda, Grosse & Salakhutdinov 2016, section 3): the derivative of
logsumexp is exact, nothing has to be held.  At beta = 1, L falls with K to -log p(x) in expectation (T13, T14).

Path derivative.  E[score] = 0, so S4 may be left out of the derivative of a mean of -log w without changing its
expectation ("stl", sticking the landing; Roeder, Wu & Duvenaud 2017):

    (S7)  g = d_z + beta v (z - eps / sigma) / B

Where q is the posterior and beta = 1, -log w is the constant -log p(x): S7 is zero for every eps.
Under S6's weights the score's mean is not zero any more, because v depends on eps too: dropping it is biased
("iwae_stl", kept as a specimen).  The remedy is to reparameterize that score a second time ("dreg", doubly
reparameterized; Tucker, Lawson, Gu & Maddison 2019): for any f, E[f(z) score] = E[df/dz dz/d(head)], because
both are the derivative of E[f] along q.  With P = J + beta (z - eps / sigma) = -d(log w)/dz, f = beta v_k, and
dv_k/dz_k = -v_k (1 - v_k) P_k, S7's v P becomes v P - beta v (1 - v) P:

    (S8)  g = u (d_z + beta v (z - eps / sigma) / B),   u = 1 - beta (1 - v)                       u = v at beta = 1

Score function.  z is held, and E_q[-log w] moves only with the density that z is drawn from (S4's own mean is 0):

    (S9)  d_mu = sum_k v c eps / sigma / B,  d_logvar = sum_k v c (eps^2 - 1) / 2 / B,   v = 1/K,  c = -log w - b

for any baseline b that does not depend on this sample's eps: "none", b = 0; "moving_average", the average loss of
earlier steps; "leave_one_out", the mean of -log w over the example's K - 1 other samples (Williams 1992; Kool, van
Hoof & Welling 2019).  It needs no derivative of the decoder, and its variance is far above E6's (T8).

Antithetic pairs.  E6 and E7 averaged over eps and -eps ("antithetic"): the part of J that is odd in eps drops out
of d_mu, so where log p(x | z) is quadratic in z, d_mu is exact.

Which of these is the derivative of the loss that is reported, with eps held?  Those that say `exact`: analytic,
antithetic, monte_carlo and iwae.  The others leave something out whose expectation is zero, or hold something that
moves.  With everything under a bar frozen at the parameters where the gradient was taken, their gradient is the
derivative of

    (S11)  A + 1/B sum_n sum_k bar(v) nll(bar(z); theta),   theta the decoder's parameters, phi the encoder's, and

           stl              A = 1/B sum bar(v) [ nll(z; bar(theta)) + beta (log bar(q)(z) - log p(z)) ],    z = z(phi)
           iwae_stl         the same, v the normalized weights
           dreg             the same, bar(v u) in place of bar(v)                                            u as in S8
           score_function   A = 1/B sum bar(v c) log q(bar(z) | x; phi)                                      c as in S9

`surrogate` computes it for checks by differences.  Only forwards run there; none of the derivatives S3 to S9 stands
in it, except the factors u and c.
"""
from .analytic import Analytic, Antithetic
from .base import Estimator
from .importance import DReG, IWAE, IWAESTL
from .named import ESTIMATORS, EVERY, head_gradient, make_estimator, SPECIMENS
from .pathwise import MonteCarlo, STL
from .sampled import Sampled
from .score_function import BASELINES, ScoreFunction

__all__ = ["Analytic", "Antithetic", "BASELINES", "DReG", "ESTIMATORS", "EVERY", "Estimator", "IWAE", "IWAESTL",
           "MonteCarlo", "SPECIMENS", "STL", "Sampled", "ScoreFunction", "head_gradient", "make_estimator"]
