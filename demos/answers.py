"""What demos/predictions.py asks, computed: each function returns an answer as text."""
import numpy as np

from scratchvae.analysis.attribute_vectors import mean_difference
from scratchvae.gradcheck import certify
from scratchvae.optimizers import Adam
from scratchvae.oracles import LinearGaussian
from scratchvae.oracles.rules import gauss_hermite
from scratchvae.probability.distributions import DiagonalGaussian, Discrete
from scratchvae.probability.divergences import kl, kl_terms
from scratchvae.vae import Posterior

from .c13_certificate import draw, draw_vjp
from .tiny import PARAMETERS
from .worked import step
from .worlds import log_normal

EPS, WEIGHTS = gauss_hermite(40, 1)
NODES = EPS[:, 0]                                                   # E f(eps) = WEIGHTS @ f(NODES): exact here
P, Q = Discrete([0.5, 0.5]), Discrete([0.9, 0.1])


def gaussian(mean, var):
    return DiagonalGaussian([mean], [np.log(var)])


def same(left, right):
    return "the same" if np.allclose(left, right, rtol=1e-12, atol=1e-12) else "changed"


def first_example():
    """The worked step, and the step of its first example alone."""
    t = step()
    return t, step(x=t["x"][:1], eps=t["eps"][:2])


def without_noise():
    t = step(eps=np.zeros((4, 2)))
    of_kl = (t["sigma"][0, 0] ** 2 - 1) / 4
    return f"{t['d_v'][0, 0]:.3f}, and (sigma² - 1) / (2 B) is {of_kl:.3f}."


def constant_cost():
    score = 100 * NODES
    return f"0 for the trick, {WEIGHTS @ score ** 2 - (WEIGHTS @ score) ** 2:.0f} for the score function."


def half_a_batch():
    t, one = first_example()
    return (f"l: {same(one['l'], t['l'][:2])}. nll: {same(one['nll'], t['nll'][:2])}. "
            f"d_l: {one['d_l'][0, 0] / t['d_l'][0, 0]:.0f} times as large. "
            f"d_v: {one['d_v'][0, 0] / t['d_v'][0, 0]:.0f} times.")


def each_draw_twice():
    t = step()
    twice = step(eps=np.repeat(t["eps"].reshape(2, 2, 2), 2, axis=1).reshape(8, 2))
    return (f"d_l: {twice['d_l'][0, 0] / t['d_l'][0, 0]:.1f} times as large. d_mu: {same(twice['d_mu'], t['d_mu'])}. "
            f"d_S: {same(twice['d_S'], t['d_S'])}.")


def signs():
    t = step()
    white = np.repeat(t["x"], 2, axis=0) == 1
    return f"{np.sum(t['d_l'][white] > 0)} of {white.sum()} where x = 1, {np.sum(t['d_l'][~white] > 0)} of " \
           f"{np.sum(~white)} where x = 0."


def slopes_of_kl():
    ends = kl_terms(np.array([1e-5, -1e-5, 0.0, 0.0]), np.array([0.0, 0.0, 1e-5, -1e-5]))
    by_mu, by_v = np.abs(ends[::2] - ends[1::2]) / 2e-5
    return f"KL = {kl_terms(np.zeros(1), np.zeros(1))[0]:.3f} nats, slopes {by_mu:.3f} and {by_v:.3f}."


def best_variances():
    var = np.linspace(0, 1, 1001)
    with np.errstate(divide="ignore"):
        cost = kl_terms(np.zeros(1001), np.log(var))                            # infinite where q is one point
    best = [var[np.argmin(var + weight * cost if weight else var)] for weight in (0, 2, 200)]
    return f"{best[0]:.0f}, {best[1]:.3f} and {best[2]:.2f}."


def ledger(q_z_given_x, prior):
    """F37 for images that are equally likely: the KL term, and its two parts."""
    q = np.array(q_z_given_x, dtype=float)
    marginal = Discrete(q.mean(axis=0))
    average, information = (np.mean([kl(Discrete(row), other) for row in q]) for other in (Discrete(prior), marginal))
    return f"{average:.3f} = {information:.3f} + {kl(marginal, Discrete(prior)):.3f} nats."


def forgotten_half():
    right, wrong = step(), step(half=1.0)
    return "Wrong: " + ", ".join("d_" + name for name in PARAMETERS
                                 if not np.allclose(right["d_" + name], wrong["d_" + name])) + "."


def share(sd):
    """E[w]^2 / E[w^2] for the posterior N(0, 1) and draws of N(0, sd^2): E[w^2] is a Gaussian integral if it exists."""
    precision = 2 - 1 / sd ** 2
    return np.sqrt(precision) / sd if precision > 0 else 0.0


def exact_weights():
    world = LinearGaussian(np.array([[2.0]]), np.zeros(1), 1.0)
    q = world.posterior(np.array([[1.0]]))
    mean, sd = q.mean[0, 0], np.sqrt(q.covariance.ravel()[0])
    z = mean + sd * NODES
    log_w = log_normal(1.0, 2 * z, 1.0) + log_normal(z, 0.0, 1.0) - log_normal(z, mean, sd)
    return f"They differ by {np.ptp(log_w):.3f} nats, and each is log p(x) = {world.log_p(np.array([[1.0]]))[0]:.3f}."


def prior_for_posterior():
    world = LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0)
    return f"{world.gap(np.ones((1, 1)), Posterior(np.zeros((1, 1)), np.zeros((1, 1))))[0]:.3f} nats."


def two_humps():
    z = np.linspace(-30, 30, 6001)
    hump = np.exp(log_normal(z, 10.0, 1.0))
    log_p = np.logaddexp(log_normal(z, -10.0, 1.0), log_normal(z, 10.0, 1.0)) - np.log(2)
    return f"{np.sum(hump * (log_normal(z, 10.0, 1.0) - log_p)) * 0.01:.3f} nats."


def staircase():
    w = np.array([1.0, 3.0])
    pairs = np.log((w[:, None] + w) / 2)
    return f"{np.log(w).mean():.3f}, {pairs.mean():.3f} and {np.log(w.mean()):.3f}."


def change_of_a_probe(change):
    """By how much the answers of least squares change with the codes."""
    x, y = np.random.default_rng(0).standard_normal((2, 30, 3))
    before, after = (z @ np.linalg.lstsq(z, y[:, 0], rcond=None)[0] for z in (x, change(x)))
    return f"By {np.abs(before - after).max():.3f}."


def classes_along_the_small_direction():
    across, label = (values.ravel() for values in np.meshgrid(np.linspace(-3, 3, 7), [-1.0, 1.0]))
    x = np.column_stack([across, 0.5 * label])
    pc = x @ np.linalg.eigh(x.T @ x)[1][:, -1]
    return f"{abs(pc[label > 0].mean() - pc[label < 0].mean()):.3f} of {0.5 * 2:.0f}."


def vectors():
    y = np.repeat([1.0, 0.0], 10)
    smile = np.where(y == 1, 0.6, -0.6) + np.tile(np.linspace(-1, 1, 10), 2)
    return np.column_stack([y, smile]), y, smile[:, None]


def mean_vector(change=lambda codes: codes, swap=False):
    codes, y, _ = vectors()
    return "({:.1f}, {:.1f})".format(*(mean_difference(change(codes), 1 - y if swap else y) + 0.0))


def adam_steps():
    moved = []
    for scale in (1, 64):
        w, adam = np.zeros(2), Adam(2, "float64")
        adam.update(w, scale * np.array([0.3, -0.02]))
        moved.append(w)
    return f"{moved[1][0] / moved[0][0]:.3f} times."


def certified_draw():
    latent = {name: np.array([[0.5, -0.5]]) for name in ("mu", "logvar", "eps")}
    return " ".join(certify(draw, draw_vjp, latent).faults) + "."
