"""Every formula of the course's text, demos/README.md, evaluated on both sides: F1 to F41, in NumPy alone.

Integrals over the line are sums on GRID (the trapezoid rule on smooth densities that vanish at both ends is exact to
rounding); expectations over eps are sums over NODES with WEIGHTS (Gauss-Hermite: exact for polynomials, and to
rounding for the smooth functions here).  CLOSE allows for rounding of sums of some thousand terms.
"""
import math
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "demos" / "README.md").read_text(encoding="utf-8")
CLOSE = dict(rtol=1e-9, atol=1e-10)
SLOPES = dict(rtol=1e-7, atol=1e-8)           # central differences of step 1e-5
GRID = np.linspace(-16, 16, 4001)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
MU, V = 0.4, -0.7                             # one q(z | x)
SIGMA = np.exp(V / 2)


def integral(values):
    return float(np.sum(values) * (GRID[1] - GRID[0]))


def log_normal(x, mu, var):
    return -0.5 * ((x - mu) ** 2 / var + np.log(2 * np.pi * var))


def kl(log_p, log_q):
    return integral(np.exp(log_p) * (log_p - log_q))


def discrete_kl(p, q):
    return float(np.sum(p * np.log(p / q)))


def slope(f, at, step=1e-5):
    return (f(at + step) - f(at - step)) / (2 * step)


def gradient(f, at, step=1e-5):
    """Central differences of the number f() by every entry of the array `at`."""
    slopes = np.empty_like(at)
    for i in np.ndindex(at.shape):
        kept, ends = at[i], []
        for value in (kept + step, kept - step):
            at[i] = value
            ends.append(f())
        at[i] = kept
        slopes[i] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def softplus(l):
    return np.logaddexp(0, l)


def sigmoid(l):
    return 1 / (1 + np.exp(-l))


def likelihood(z):
    """A p(x | z) at one x that is no Gaussian in z: a network's, say."""
    return np.exp(log_normal(1.3, np.tanh(2 * z) + 0.3 * z, 0.5))


def log_joint(z):
    return np.log(likelihood(z)) + log_normal(z, 0, 1)


def f1():                   # F1
    mean, var = (0.3, 1.2), (0.8, 1.7)
    closed = 0.5 * (var[0] / var[1] + (mean[1] - mean[0]) ** 2 / var[1] - 1 + np.log(var[1] / var[0]))
    yield kl(log_normal(GRID, mean[0], var[0]), log_normal(GRID, mean[1], var[1])), closed


def f2():                   # F2
    log_p, log_q = log_normal(GRID, 0.3, 0.8), log_normal(GRID, 1.2, 1.7)
    d = log_q - log_p
    yield kl(log_p, log_q), integral(np.exp(log_q) - np.exp(log_p) - np.exp(log_p) * d)       # E_p[e^d - 1 - d]
    yield float(np.min(np.expm1(d) - d) >= 0), 1
    p, q = np.array([1.0, 0.0]), np.array([0.5, 0.5])              # q has mass off p's support: it is to be added
    excess = p[0] * (q[0] / p[0] - 1 - np.log(q[0] / p[0]))
    yield p[0] * np.log(p[0] / q[0]), excess + q[p == 0].sum()


def f3():                   # F3
    log_p, log_q = log_normal(GRID, 0.3, 0.8), log_normal(GRID, 1.2, 1.7)
    yield kl(log_p, log_q), -integral(np.exp(log_p) * log_q) + integral(np.exp(log_p) * log_p)


def f4():                   # F4
    log_p = np.logaddexp(np.log(0.6) + log_normal(GRID, -2, 0.6), np.log(0.4) + log_normal(GRID, 2.5, 0.4))
    p, mu, var = np.exp(log_p), 0.7, 2.0
    yield slope(lambda m: kl(log_p, log_normal(GRID, m, var)), mu), (mu - integral(p * GRID)) / var
    yield (slope(lambda s: kl(log_p, log_normal(GRID, mu, s)), var),
           (var - integral(p * (GRID - mu) ** 2)) / (2 * var ** 2))


def f5():                   # F5
    """PCA is the best linear pair: no step from it lowers the loss, which is the discarded variance."""
    x = np.random.default_rng(0).standard_normal((50, 4)) @ np.diag([3.0, 2.0, 1.0, 0.5])
    x -= x.mean(axis=0)
    E = np.linalg.svd(x)[2][:2].T.copy()
    D = E.T.copy()

    def loss():
        return np.mean(np.sum((x - x @ E @ D) ** 2, axis=1))
    yield loss(), np.sum(np.linalg.svd(x)[1][2:] ** 2) / len(x)
    yield np.abs(np.concatenate([gradient(loss, E).ravel(), gradient(loss, D).ravel()])).max(), 0


def f6():                   # F6
    x, c = GRID[::100], 7.0
    yield np.tanh(3 * ((c * np.sin(x)) / c)), np.tanh(3 * np.sin(x))


def f7():                   # F7
    mu, v = np.array([0.4, -1.1]), np.array([-0.7, 0.5])
    yield (sum(kl(log_normal(GRID, m, np.exp(w)), log_normal(GRID, 0, 1)) for m, w in zip(mu, v)),
           0.5 * np.sum(np.exp(v) + mu ** 2 - 1 - v))


def f8():                   # F8
    mu, v = np.random.default_rng(1).normal(0, 0.7, (2, 3, 2))
    yield (np.mean([[kl(log_normal(GRID, m, np.exp(w)), log_normal(GRID, 0, 1)) for m, w in zip(*row)]
                    for row in zip(mu, v)]) * 2,
           np.sum(np.exp(v) + mu ** 2 - 1 - v) / 2 / 3)


def f9():                   # F9
    yield slope(lambda v: np.exp(v / 2), V), SIGMA / 2
    yield slope(lambda v: 0.5 * (np.exp(v) + MU ** 2 - 1 - v), V), (SIGMA ** 2 - 1) / 2


def f10():                  # F10
    """z = mu + sigma eps has the distribution that it should: the same expectation of any function."""
    yield WEIGHTS @ np.cos(MU + SIGMA * NODES), integral(np.exp(log_normal(GRID, MU, SIGMA ** 2)) * np.cos(GRID))


def expected_sine(mu, v):
    return integral(np.exp(log_normal(GRID, mu, np.exp(v))) * np.sin(2 * GRID))


def f11():                  # F11
    z = MU + SIGMA * NODES
    yield slope(lambda m: expected_sine(m, V), MU), WEIGHTS @ (2 * np.cos(2 * z))
    yield slope(lambda v: expected_sine(MU, v), V), WEIGHTS @ (2 * np.cos(2 * z) * SIGMA * NODES / 2)


def f12():                  # F12
    z = MU + SIGMA * NODES
    yield slope(lambda m: expected_sine(m, V), MU), WEIGHTS @ (np.sin(2 * z) * NODES / SIGMA)
    yield slope(lambda v: expected_sine(MU, v), V), WEIGHTS @ (np.sin(2 * z) * (NODES ** 2 - 1) / 2)
    jump = np.exp(log_normal(MU / SIGMA, 0, 1)) / SIGMA            # E[eps; z > 0] / sigma, where F11 would give 0
    yield slope(lambda m: math.erf(m / SIGMA / np.sqrt(2)) / 2, MU), jump


def f13():                  # F13
    """The variances for Z = 5, from the moments of one dimension: f is a sum of independent terms."""
    n, term = 5, 0.5 * (NODES - 1) ** 2
    mean, spread = WEIGHTS @ term, WEIGHTS @ term ** 2 - (WEIGHTS @ term) ** 2
    first, second = WEIGHTS @ (NODES ** 2 * term), WEIGHTS @ (NODES ** 2 * term ** 2)

    def second_moment(baseline):                                   # E eps_1^2 (term_1 + rest - baseline)^2
        rest = (n - 1) * mean - baseline
        return second + 2 * first * rest + rest ** 2 + (n - 1) * spread
    yield WEIGHTS @ (NODES - 1) ** 2 - 1, 1                       # each has the mean -1: E[eps_1 - 1] = E[eps_1 f] = -1
    yield WEIGHTS @ (NODES * term), -1
    yield second_moment(2.5), 17 / 2 + 4 * 1.5 + 1.5 ** 2 + 1.5 * (n - 1)                            # r = n - 1 - 2.5
    yield second_moment(0.0) - 1, (n - 1) ** 2 + 5.5 * (n - 1) + 7.5
    yield second_moment(n * mean) - 1, 1.5 * (n - 1) + 4.5
    best = first + (n - 1) * mean                                  # E[eps_1^2 f]; the quadratic's vertex, E eps_1^2 = 1
    yield best, n + 1
    yield second_moment(best) - 1, 1.5 * (n - 1) + 3.5
    yield slope(second_moment, best), 0
    yield mean, 1


def f14():                  # F14
    """For D(z) = w z both terms have closed forms, and the minimum over sigma is where their slopes cancel."""
    x, w, weight = 1.3, 0.8, 0.6

    def loss(v):
        return (WEIGHTS @ (x - w * (MU + np.exp(v / 2) * NODES)) ** 2
                + weight * 0.5 * (np.exp(v) + MU ** 2 - 1 - v))
    yield loss(V), (x - w * MU) ** 2 + w ** 2 * SIGMA ** 2 + weight * kl(log_normal(GRID, MU, SIGMA ** 2),
                                                                         log_normal(GRID, 0, 1))
    yield slope(loss, np.log(weight / (weight + 2 * w ** 2))), 0


class Step:
    """A batch through an encoder's head and a tanh decoder, for F15 to F23."""

    def __init__(self, gaussian=False):
        rng = np.random.default_rng(3)
        self.x = rng.random((3, 4)) if gaussian else (rng.random((3, 4)) < 0.5).astype(float)
        self.mu, self.v = rng.normal(0, 0.6, (3, 2)), rng.normal(0, 0.6, (3, 2))
        self.beta, self.sigma_x, self.gaussian = 0.7, 0.6, gaussian
        self.eps = rng.standard_normal((3, 5, 2))                                # B = 3, K = 5, Z = 2
        self.R, self.S = rng.normal(0, 0.8, (2, 3)), rng.normal(0, 0.8, (3, 4))
        self.forward()

    def forward(self):
        self.z = self.mu[:, None] + np.exp(self.v / 2)[:, None] * self.eps
        self.h = np.tanh(self.z @ self.R)
        self.l = self.h @ self.S

    def nll(self):
        x = self.x[:, None]
        if self.gaussian:
            return ((x - self.l) ** 2 / (2 * self.sigma_x ** 2) + np.log(self.sigma_x)
                    + 0.5 * np.log(2 * np.pi)).sum(axis=2)
        return (softplus(self.l) - x * self.l).sum(axis=2)

    def loss(self):
        kl = 0.5 * (self.mu ** 2 + np.exp(self.v) - 1 - self.v).sum(axis=1)
        return float(np.mean(self.nll().mean(axis=1) + self.beta * kl))

    def from_inputs(self):
        self.forward()
        return self.loss()

    def d_l(self):
        x = self.x[:, None]
        return ((self.l - x) / self.sigma_x ** 2 if self.gaussian else sigmoid(self.l) - x) / 15

    def d_z(self):
        return (self.d_l() @ self.S.T * (1 - self.h ** 2)) @ self.R.T


def f15():                  # F15
    """Against the ELBO of its definition, term by term with log densities: the pixels' and both Gaussians'."""
    step = Step()
    p, x = sigmoid(step.l), step.x[:, None]
    log_likelihood = np.sum(np.log(np.where(x == 1, p, 1 - p)), axis=2)
    divergence = [sum(kl(log_normal(GRID, m, np.exp(w)), log_normal(GRID, 0, 1)) for m, w in zip(*row))
                  for row in zip(step.mu, step.v)]
    yield step.loss(), -log_likelihood.mean() + 0.7 * np.mean(divergence)


def f16():                  # F16
    l, x = np.linspace(-6, 6, 25), np.linspace(0, 1, 25)
    yield softplus(l) - x * l, -x * np.log(sigmoid(l)) - (1 - x) * np.log(1 - sigmoid(l))


def f17():                  # F17
    step = Step()
    yield gradient(step.loss, step.l), step.d_l()


def f18():                  # F18
    rng = np.random.default_rng(4)
    x, W, b, d_y = (rng.standard_normal(shape) for shape in ((5, 3), (3, 2), (2,), (5, 2)))

    def f():
        return float(np.sum(d_y * np.tanh(x @ W + b)))
    d_a = d_y * (1 - np.tanh(x @ W + b) ** 2)
    yield gradient(f, W), x.T @ d_a
    yield gradient(f, b), d_a.sum(axis=0)
    yield gradient(f, x), d_a @ W.T


def f19():                  # F19
    a = np.array([-2.3, -0.4, 0.7, 1.9])
    for act, of_output in ((lambda a: np.maximum(a, 0), lambda y: y > 0), (np.tanh, lambda y: 1 - y ** 2),
                           (sigmoid, lambda y: y * (1 - y)), (softplus, lambda y: 1 - np.exp(-y))):
        yield slope(act, a), of_output(act(a))


def f20():                  # F20
    step = Step()
    d_mu = step.d_z().sum(axis=1) + step.beta * step.mu / 3
    yield gradient(step.from_inputs, step.mu), d_mu


def f21():                  # F21
    step = Step()
    sigma = np.exp(step.v / 2)
    d_v = (step.d_z() * step.eps).sum(axis=1) * sigma / 2 + step.beta * (sigma ** 2 - 1) / 6
    yield gradient(step.from_inputs, step.v), d_v


def f22():                  # F22
    step = Step(gaussian=True)
    yield step.nll(), -log_normal(step.x[:, None], step.l, step.sigma_x ** 2).sum(axis=2)


def f23():                  # F23
    step = Step(gaussian=True)
    yield gradient(step.loss, step.l), step.d_l()


def f24():                  # F24
    """p(x) as an average over the prior, and p is a density over x: for p(x | z) = N(x; tanh 2z, 1/2)."""
    p = [WEIGHTS @ np.exp(log_normal(x, np.tanh(2 * NODES), 0.5)) for x in np.linspace(-7, 7, 281)]
    yield sum(p) * 0.05, 1
    yield (WEIGHTS @ np.exp(log_normal(1.3, 0.4 * NODES, 0.5)), np.exp(log_normal(1.3, 0, 0.5 + 0.16)))


def f25():                  # F25
    W, b, var, x = np.array([[0.9, -0.4]]), np.array([0.2, 0.5]), 0.3, np.array([1.0, -0.7])
    cov = W.T @ W + var * np.eye(2)
    closed = -0.5 * ((x - b) @ np.linalg.solve(cov, x - b) + np.linalg.slogdet(2 * np.pi * cov)[1])
    log_p_x_given_z = sum(log_normal(x[d], GRID * W[0, d] + b[d], var) for d in range(2))
    yield np.log(integral(np.exp(log_p_x_given_z + log_normal(GRID, 0, 1)))), closed


def f26():                  # F26
    """Independent dimensions multiply: two of them by a double sum, against one squared; p(x | z) = N(1; z, 1/10)."""
    w, weights = np.exp(log_normal(1.0, GRID, 0.1)), np.exp(log_normal(GRID, 0, 1)) * (GRID[1] - GRID[0])
    few, weights_few = w[::10], weights[::10] * 10
    both, pairs = few[:, None] * few, weights_few[:, None] * weights_few
    one = (weights @ w) ** 2 / (weights @ w ** 2)
    yield np.sum(pairs * both) ** 2 / np.sum(pairs * both ** 2), one ** 2
    yield float(one < 1), 1


def f27():                  # F27
    p_x = integral(np.exp(log_joint(GRID)))
    for mu, var in ((MU, SIGMA ** 2), (0.9, 1.5)):
        q = np.exp(log_normal(GRID, mu, var))
        inside = q > 0
        ratio = np.exp(log_joint(GRID[inside])) / q[inside]
        yield integral(q[inside] * ratio), p_x


def elbo(mu=MU, var=SIGMA ** 2):
    log_q = log_normal(GRID, mu, var)
    return integral(np.exp(log_q) * (log_joint(GRID) - log_q))


def f28():                  # F28
    log_p = np.log(integral(np.exp(log_joint(GRID))))
    bounds = [elbo(mu, var) for mu in (-1, 0, 1, 2) for var in (0.1, 0.5, 1.5)]
    yield float(max(bounds) < log_p), 1
    log_q = log_normal(GRID, MU, SIGMA ** 2)                          # and Jensen's gap is what F31 says
    yield elbo(), log_p - kl(log_q, log_joint(GRID) - log_p)


def f29():                  # F29
    log_q = log_normal(GRID, MU, SIGMA ** 2)
    yield elbo(), integral(np.exp(log_q) * np.log(likelihood(GRID))) - 0.5 * (SIGMA ** 2 + MU ** 2 - 1 - V)


def f30():                  # F30
    x, l, sigma_x, divergence = np.array([0.3, 0.9, 0.1]), np.array([0.5, 0.6, 0.2]), 0.4, 2.1
    one_draw = log_normal(x, l, sigma_x ** 2).sum() - divergence
    weight, const = 2 * sigma_x ** 2, 3 * sigma_x ** 2 * np.log(2 * np.pi * sigma_x ** 2)
    yield -2 * sigma_x ** 2 * one_draw, np.sum((x - l) ** 2) + weight * divergence + const
    half = 0.5 * np.sum((x - l) ** 2) + sigma_x ** 2 * divergence
    mean = np.mean((x - l) ** 2) + 2 * sigma_x ** 2 / 3 * divergence
    yield [2 * half, 3 * mean], [np.sum((x - l) ** 2) + weight * divergence] * 2


def f31():                  # F31
    log_p = np.log(integral(np.exp(log_joint(GRID))))
    yield log_p - elbo(), kl(log_normal(GRID, MU, SIGMA ** 2), log_joint(GRID) - log_p)
    exact = log_joint(GRID) - log_p                                  # q = the posterior: nothing is left
    yield integral(np.exp(exact) * (log_joint(GRID) - exact)), log_p


def f32():                  # F32
    eps = np.linspace(-9, 9, 91)                            # tanh is not entire: the trapezoid rule does better here
    z, p = MU + SIGMA * eps, np.exp(log_normal(eps, 0, 1)) * (eps[1] - eps[0])
    w = np.exp(log_joint(z) - log_normal(z, MU, SIGMA ** 2))
    log_p = np.log(integral(np.exp(log_joint(GRID))))
    first, second = p @ np.log(w), p @ np.log((w[:, None] + w) / 2) @ p
    third = np.log((w[:, None, None] + w[:, None] + w) / 3) @ p @ p @ p
    yield first, elbo()
    yield float(first < second < third < log_p), 1


def world():
    """Tables of p_data(x), q(z | x), p(z), p(x | z) over 4 x and 3 z."""
    rng = np.random.default_rng(5)
    return (rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3), 4),
            rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4), 3))


def joint_kl():
    p_data, q, p_z, p_x = world()
    return discrete_kl(p_data[:, None] * q, (p_z[:, None] * p_x).T)


def f33():                  # F33
    p_data, q, p_z, p_x = world()
    bound = np.sum(q * (np.log(p_x.T) + np.log(p_z) - np.log(q)), axis=1)
    yield joint_kl(), -p_data @ bound + p_data @ np.log(p_data)


def f34():                  # F34
    p_data, q, _, _ = world()
    q_z = p_data @ q
    backward = p_data[:, None] * q / q_z
    yield [q_z.sum(), *backward.sum(axis=0)], np.ones(4)                     # both are distributions ...
    yield backward @ q_z, p_data                                              # ... with the data as their average


def f35():                  # F35
    p_data, q, p_z, p_x = world()
    p = p_z @ p_x
    posterior = (p_z[:, None] * p_x / p).T
    yield joint_kl(), discrete_kl(p_data, p) + sum(weight * discrete_kl(a, b)
                                                   for weight, a, b in zip(p_data, q, posterior))


def f36():                  # F36
    p_data, q, p_z, p_x = world()
    q_z = p_data @ q
    backward = (p_data[:, None] * q / q_z).T
    yield joint_kl(), discrete_kl(q_z, p_z) + sum(weight * discrete_kl(a, b)
                                                  for weight, a, b in zip(q_z, backward, p_x))


def f37():                  # F37
    p_data, q, p_z, _ = world()
    q_z, joint = p_data @ q, p_data[:, None] * q
    information = discrete_kl(joint, p_data[:, None] * q_z)
    yield p_data @ [discrete_kl(row, p_z) for row in q], information + discrete_kl(q_z, p_z)


def faces():
    rng = np.random.default_rng(6)
    other = rng.standard_normal((200, 2))
    label = (other[:, 0] + rng.standard_normal(200) > 0).astype(float)
    codes = rng.standard_normal((200, 3)) + np.outer(label, [1, 0, 2]) + other @ rng.standard_normal((2, 3))
    return label, other, codes


def f38():                  # F38
    """The mean difference is the least-squares slope on the label alone."""
    label, _, codes = faces()
    slopes = np.linalg.lstsq(np.stack([np.ones(200), label], axis=1), codes, rcond=None)[0]
    yield codes[label == 1].mean(axis=0) - codes[label == 0].mean(axis=0), slopes[1]


def f39():                  # F39
    label, other, codes = faces()
    plain, apart = (a[label == 1].mean(axis=0) - a[label == 0].mean(axis=0) for a in (codes, other))
    solution = np.linalg.lstsq(np.column_stack([np.ones(200), label, other]), codes, rcond=None)[0]
    yield solution[1], plain - apart @ solution[2:]


def f40():                  # F40
    """Two polynomials of degree d share at most d residues: what is more than that is nothing."""
    p, rng = 101, np.random.default_rng(0)
    x = np.arange(p)
    for degree in range(1, 7):
        f, g = rng.integers(0, p, (2, degree + 1))
        powers = np.array([pow(int(base), k, p) for base in x for k in range(degree + 1)]).reshape(p, -1)
        yield max(0, np.count_nonzero(powers @ f % p == powers @ g % p) - degree), 0


def f41():                  # F41
    """P = 2 Q + 1: powers of a square modulo P add their exponents modulo Q."""
    P, Q = 23, 11
    for a, b in np.ndindex(Q, Q):
        yield pow(4, (a + b) % Q, P), pow(4, a, P) * pow(4, b, P) % P


FORMULAS = {name.upper(): sides for name, sides in list(globals().items()) if re.fullmatch(r"f\d+", name)}
BY_DIFFERENCES = {"F4", "F5", "F9", "F11", "F12", "F14", "F17", "F18", "F19", "F20", "F21", "F23"}


@pytest.mark.parametrize("name", FORMULAS)
def test_both_sides_of_the_formula_agree(name):
    pairs = list(FORMULAS[name]())
    assert pairs
    for left, right in pairs:
        np.testing.assert_allclose(left, right, **(SLOPES if name in BY_DIFFERENCES else CLOSE))


def test_every_formula_of_the_text_has_its_test():
    tagged = re.findall(r"\\tag\{(F\d+)\}", TEXT)
    assert tagged == [f"F{i + 1}" for i in range(len(tagged))]
    assert set(tagged) == set(FORMULAS)
    blocks = re.findall(r"```math\n(.*?)```", TEXT, flags=re.DOTALL)
    assert all(block.count(r"\tag{") == 1 for block in blocks)


def test_what_the_text_points_at_exists():
    rows = re.findall(r"^- \[(T\d+)\]\((\S+)\) .*: \[`(\w+)`\]\((\S+)\), \[`(\w+)`\]\((\S+)\)$", TEXT,
                      flags=re.MULTILINE)
    assert [row[0] for row in rows] == [f"T{i + 1}" for i in range(23)]
    for tag, script, name, code, test, tests in rows:
        for wanted, path in ((name, code), (test, tests)):
            source = (ROOT / "demos" / path).read_text(encoding="utf-8")
            assert re.search(rf"(?m)^\s*(def|class) {wanted}\b", source), f"{tag}: no {wanted} in {path}"
        text = (ROOT / "demos" / script).read_text(encoding="utf-8")
        assert re.search(rf"\b{tag}\b|\bT\d+ (to|-) ", text), f"{tag} is not in {script}"


def test_the_text_says_what_the_formulas_need():
    """F2's condition, F13's best baseline, brackets around what is summed, and one meaning for lambda and for beta."""
    assert "if $q = 0$ wherever $p = 0$" in TEXT and "best constant baseline" not in TEXT and "= Z + 1$" in TEXT
    assert "(`beta` in code)" not in TEXT and r"\beta = \lambda / 2" in TEXT
    assert "row $k$" not in TEXT                                             # k counts the draws of one example
    f22 = re.search(r"```math\n([^`]*)\\tag\{F22\}", TEXT)[1]
    assert re.search(r"\\sum_d \\Big\[.*\\log\\sigma_x.*\\Big\]", f22)
    for file in ("elbo.py", "likelihoods/__init__.py", "kernels/likelihoods.py", "kernels/continuous_bernoulli.py",
                 "kernels/learned_sigma.py"):
        text = (ROOT / "scratchvae" / file).read_text(encoding="utf-8")
        sums = re.findall(r"nll(?: \(B\*K,\))? = (?:1/2 )?sum_d (.)", text)
        assert sums and set(sums) <= set("[("), (file, sums)
    for file in (ROOT / "README.md", ROOT / "demos" / "README.md"):
        assert "five files" not in file.read_text(encoding="utf-8")


# Of the letters that a course on networks is tempted to use twice: the formulas that have them, each in one meaning.
HOMES = {**dict.fromkeys("abchtAHPQUW", set()), **dict.fromkeys("rRC", {"F18"}), **dict.fromkeys("sS", {"F25"}),
         "y": {"F38", "F39"}, "u": {"F39"}, "w": {"F26", "F32"}, "g": {"F18", "F19"}, "m": {"F40"}, "M": {"F40", "F41"},
         "N": {"F41"}}


def test_a_letter_has_one_meaning():
    for formula, tag in re.findall(r"```math\n([^`]*)\\tag\{(F\d+)\}", TEXT):
        formula = re.sub(r"\\(?:mathrm|mathcal|mathbb|mathsf|mathtt|text)\s*(?:\{[^}]*\}|T)|\\[a-zA-Z]+", " ", formula)
        for letter in set(re.findall(r"[A-Za-z]", formula)) & set(HOMES):
            assert tag in HOMES[letter], f"{letter} stands in {tag}"


def test_a_forgotten_half_is_seen_in_the_graph_of_chapter_4():
    """The part of d_v that comes through the draw is more than half of it."""
    from demos.c04_backprop_by_hand import example, walk
    _, _, eps, t = example(0)
    walk(t)
    assert t["d_z"] * eps[0, 0] * t["sigma"] / 2 / t["d_v"] > 0.5
