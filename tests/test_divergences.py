"""Divergences against answers known exactly: by hand, in closed form, by quadrature, from symmetry (T1 to T3, T6)."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.errors import ConfigurationError, DataError, ShapeError
from scratchvae.kernels.gaussian import gaussian_forward, gaussian_forward_ref
from scratchvae.probability.distributions import DiagonalGaussian, Discrete, FullGaussian, Grid
from scratchvae.probability.divergences import (cross_entropy, entropy, expectation, expm1_minus_x, jensen_shannon, kl,
                                                kl_terms)
from scratchvae.probability.monte_carlo import jensen_shannon_from_samples, kl_from_samples, mean_estimate
from scratchvae.probability.projections import information_projection, moment_projection

ROUNDING = 1e-12                  # float64 sums of up to a few hundred terms of order 1 to 10
QUADRATURE = 1e-10                # trapezoid rule on +-12 standard deviations: its own error is below rounding
AXIS = np.linspace(-12, 12, 961)
SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.integers(1, 8)


def random_discrete(rng, n, sharp=1.0):
    return Discrete(rng.dirichlet(np.full(n, sharp)))


def random_full(rng, n):
    root = rng.standard_normal((n, n)) + 2 * np.eye(n)
    return FullGaussian(rng.standard_normal(n), root @ root.T)


def random_diagonal(rng, n, batch=()):
    return DiagonalGaussian(rng.standard_normal((*batch, n)), rng.uniform(-2, 2, (*batch, n)))


def on_axis(gaussian, axis=AXIS):
    return Grid.from_log(gaussian.log_density(axis[:, None]), axis)


def two_humps(axis=AXIS):
    halves = [DiagonalGaussian([m], [0.0]).log_density(axis[:, None]) for m in (-4.0, 4.0)]
    return Grid.from_log(np.logaddexp(*halves) - math.log(2), axis)


# ---- exact answers ---------------------------------------------------------------------------------------------

def test_kl_of_two_coins_is_what_one_gets_by_hand_and_is_not_symmetric():
    fair, bent = Discrete([0.5, 0.5]), Discrete([0.25, 0.75])
    forward, backward = 0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert kl(fair, bent) == pytest.approx(forward, rel=1e-14)
    assert kl(bent, fair) == pytest.approx(backward, rel=1e-14)
    assert forward != backward
    assert entropy(fair) == pytest.approx(math.log(2), rel=1e-15)


def test_zero_times_log_zero_is_zero_and_what_q_misses_is_infinite():
    narrow, wide, elsewhere = Discrete([1.0, 0.0, 0.0]), Discrete([0.5, 0.5, 0.0]), Discrete([0.0, 0.0, 1.0])
    assert entropy(narrow) == 0
    assert kl(narrow, wide) == cross_entropy(narrow, wide) == pytest.approx(math.log(2), rel=1e-15)
    assert kl(wide, narrow) == cross_entropy(wide, narrow) == math.inf
    assert kl(narrow, narrow) == kl(wide, wide) == 0
    assert jensen_shannon(narrow, elsewhere) == pytest.approx(math.log(2), rel=1e-15)
    assert expectation(narrow, [2.0, np.inf, -np.inf]) == 2.0


def test_one_formula_serves_the_kernel_its_twin_and_every_closed_form():
    """E4's kl, kl_terms, the diagonal and the full divergence from N(0, I) are one number (T6)."""
    rng = np.random.default_rng(0)
    mu, logvar = rng.standard_normal((5, 3)), rng.uniform(-3, 3, (5, 3))
    prior, q = DiagonalGaussian(np.zeros(3), np.zeros(3)), DiagonalGaussian(mu, logvar)
    expected = 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar).sum(axis=1)
    for forward in (gaussian_forward, gaussian_forward_ref):
        z, found = np.empty((5, 3)), np.empty(5)
        forward(np.concatenate([mu, logvar], axis=1), np.zeros((5, 3)), z, found)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(kl_terms(mu, logvar).sum(axis=1), expected, rtol=1e-13)
    np.testing.assert_allclose(kl(q, prior), expected, rtol=1e-13)
    full = [kl(FullGaussian(m, np.diag(np.exp(v))), FullGaussian(np.zeros(3), np.eye(3))) for m, v in zip(mu, logvar)]
    np.testing.assert_allclose(full, expected, rtol=1e-13)


def test_gaussian_closed_forms_are_the_integrals():
    rng = np.random.default_rng(1)
    for _ in range(5):
        p, q = (DiagonalGaussian(rng.uniform(-1, 1, 1), rng.uniform(-1, 1, 1)) for _ in range(2))
        for function in (kl, cross_entropy):
            assert function(p, q) == pytest.approx(function(on_axis(p), on_axis(q)), abs=QUADRATURE)
        assert entropy(p) == pytest.approx(entropy(on_axis(p)), abs=QUADRATURE)


def test_full_gaussian_closed_forms_are_the_integrals_in_the_plane():
    axis = np.linspace(-11, 11, 221)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    gaussians = [FullGaussian([0.3, -0.5], [[1.0, 0.6], [0.6, 0.8]]),
                 FullGaussian([0.0, 0.2], [[1.5, -0.4], [-0.4, 1.0]])]
    p, q = (Grid.from_log(g.log_density(points.reshape(-1, 2)).reshape(221, 221), axis, axis) for g in gaussians)
    assert kl(*gaussians) == pytest.approx(kl(p, q), abs=QUADRATURE)
    assert cross_entropy(*gaussians) == pytest.approx(cross_entropy(p, q), abs=QUADRATURE)
    assert entropy(gaussians[0]) == pytest.approx(entropy(p), abs=QUADRATURE)


def test_the_rule_is_exact_for_straight_lines_on_an_uneven_axis():
    axis = [0.0, 0.5, 2.0]
    uniform = Grid(np.full(3, 0.5), axis)
    np.testing.assert_allclose(np.exp(uniform.masses.log_p), [0.125, 0.5, 0.375], rtol=1e-14)      # half of each step
    assert entropy(uniform) == pytest.approx(math.log(2), rel=1e-14)


def test_a_gaussian_has_the_largest_entropy_of_its_variance():
    axis = np.linspace(-40, 40, 8001)
    laplace = Grid(0.5 * np.exp(-np.abs(axis)), axis)                    # variance 2, entropy 1 + log 2
    assert entropy(laplace) == pytest.approx(1 + math.log(2), abs=1e-4)  # the kink costs the rule step^2 / 12 = 8e-6
    assert entropy(laplace) < entropy(DiagonalGaussian([0.0], [math.log(2)]))


def test_small_divergences_keep_their_digits():
    """Near q = p, KL is half of E (q/p - 1)^2: 1e-14 here, where the plain sum is off by its rounding, 1e-16."""
    p, shift = np.full(4, 0.25), 1e-7 * np.array([1.0, -1.0, 2.0, -2.0])
    assert kl(Discrete(p), Discrete(p * (1 + shift))) == pytest.approx(0.5 * np.mean(shift**2), rel=1e-6)
    p, q = (DiagonalGaussian([0.0], [v]) for v in (1e-6, 0.0))
    assert kl(p, q) == pytest.approx(0.25e-12, rel=1e-6)             # the next term of the series is a third of 1e-6


# ---- properties ------------------------------------------------------------------------------------------------

KINDS = {"discrete": random_discrete, "diagonal": random_diagonal, "full": random_full,
         "grid": lambda rng, n: on_axis(DiagonalGaussian(rng.uniform(-1, 1, 1), rng.uniform(-1, 1, 1)))}


@pytest.mark.parametrize("kind", KINDS)
@given(n=SIDES, seed=SEEDS)
def test_kl_is_never_negative_and_zero_only_where_equal(kind, n, seed):
    rng = np.random.default_rng(seed)
    p, q = (KINDS[kind](rng, n + (kind == "discrete")) for _ in range(2))
    assert kl(p, q) > 0 and kl(q, p) > 0
    # solving L X = L leaves rounding, of which the divergence is the square; elsewhere nothing is left
    assert 0 <= kl(p, p) <= (1e-20 if kind == "full" else 0)


@pytest.mark.parametrize("kind", KINDS)
@given(n=SIDES, seed=SEEDS)
def test_kl_is_cross_entropy_minus_entropy(kind, n, seed):
    """T3."""
    rng = np.random.default_rng(seed)
    p, q = (KINDS[kind](rng, n) for _ in range(2))
    large = max(1.0, abs(cross_entropy(p, q)), abs(entropy(p)))
    assert kl(p, q) == pytest.approx(cross_entropy(p, q) - entropy(p), abs=ROUNDING * large)
    assert cross_entropy(p, q) >= entropy(p) - ROUNDING * large


@given(n=SIDES, m=SIDES, seed=SEEDS)
def test_joint_kl_is_marginal_plus_expected_conditional_kl(n, m, seed):
    rng = np.random.default_rng(seed)
    p, q = (rng.dirichlet(np.ones(n * m)).reshape(n, m) for _ in range(2))
    marginal = kl(Discrete(p.sum(axis=1)), Discrete(q.sum(axis=1)))
    conditional = sum(row.sum() * kl(Discrete(row / row.sum()), Discrete(other / other.sum()))
                      for row, other in zip(p, q))
    assert kl(Discrete(p), Discrete(q)) == pytest.approx(marginal + conditional, rel=1e-9, abs=ROUNDING)
    assert marginal <= kl(Discrete(p), Discrete(q)) + ROUNDING                # merging outcomes never adds


@given(n=SIDES, seed=SEEDS)
def test_kl_of_independent_parts_adds_up(n, seed):
    rng = np.random.default_rng(seed)
    (p1, q1), (p2, q2) = ([random_discrete(rng, n) for _ in range(2)] for _ in range(2))
    both = [Discrete(np.exp(a.log_p[:, None] + b.log_p)) for a, b in ((p1, p2), (q1, q2))]
    assert kl(*both) == pytest.approx(kl(p1, q1) + kl(p2, q2), rel=1e-9, abs=ROUNDING)


@given(n=SIDES, seed=SEEDS)
def test_kl_does_not_depend_on_coordinates(n, seed):
    """Relabeled outcomes, and Gaussians in other affine coordinates."""
    rng = np.random.default_rng(seed)
    p, q = (random_discrete(rng, n) for _ in range(2))
    order = rng.permutation(n)
    assert kl(Discrete.from_log(p.log_p[order]), Discrete.from_log(q.log_p[order])) == pytest.approx(
        kl(p, q), rel=1e-12)
    p, q = (random_full(rng, n) for _ in range(2))
    a, b = np.linalg.qr(rng.standard_normal((n, n)))[0] * rng.uniform(0.5, 2, n), rng.standard_normal(n)
    moved = []
    for g in (p, q):
        covariance = a @ g.covariance @ a.T
        moved.append(FullGaussian(a @ g.mean + b, 0.5 * (covariance + covariance.T)))
    assert kl(*moved) == pytest.approx(kl(p, q), rel=1e-6)             # random_full may be conditioned as 1e6 or worse


@given(n=SIDES, seed=SEEDS)
def test_a_diagonal_gaussian_is_a_full_one_with_a_diagonal_covariance(n, seed):
    rng = np.random.default_rng(seed)
    p, q = (random_diagonal(rng, n) for _ in range(2))
    full_p, full_q = (FullGaussian(g.mu, np.diag(np.exp(g.logvar))) for g in (p, q))
    assert kl(p, q) == pytest.approx(kl(full_p, full_q), rel=1e-9)
    assert cross_entropy(p, q) == pytest.approx(cross_entropy(full_p, full_q), rel=1e-9, abs=ROUNDING)
    assert entropy(p) == pytest.approx(entropy(full_p), rel=1e-9, abs=ROUNDING)
    x = rng.standard_normal((4, n))
    np.testing.assert_allclose(p.log_density(x), full_p.log_density(x), rtol=1e-9, atol=ROUNDING)


def test_a_batch_of_gaussians_is_each_by_itself():
    rng = np.random.default_rng(2)
    p, q = random_diagonal(rng, 3, (4,)), random_diagonal(rng, 3, (4,))
    for function in (kl, cross_entropy):
        one_by_one = [function(DiagonalGaussian(*a), DiagonalGaussian(*b))
                      for a, b in zip(zip(p.mu, p.logvar), zip(q.mu, q.logvar))]
        np.testing.assert_allclose(function(p, q), one_by_one, rtol=1e-14)
    assert entropy(p).shape == (4,)


@given(n=SIDES, seed=SEEDS)
def test_jensen_shannon_is_symmetric_bounded_and_its_root_a_distance(n, seed):
    rng = np.random.default_rng(seed)
    p, q, r = (random_discrete(rng, n + 1, sharp=0.3) for _ in range(3))
    assert 0 < jensen_shannon(p, q) <= math.log(2) + ROUNDING
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), rel=1e-12)
    assert jensen_shannon(p, p) < 1e-30                                   # the square of the rounding of log m
    p_q, q_r, p_r = (math.sqrt(jensen_shannon(a, b)) for a, b in ((p, q), (q, r), (p, r)))
    assert p_r <= p_q + q_r + ROUNDING


@given(d=st.floats(-700, 700))
def test_the_excess_of_the_exponential_over_its_tangent_is_never_negative(d):
    assert expm1_minus_x(np.float64(d)) >= 0


# ---- extreme values --------------------------------------------------------------------------------------------

@given(mu=st.sampled_from([0.0, 1e-300, 1.0, 1e8, 1e200]),
       logvars=st.tuples(*[st.sampled_from([-700.0, -40.0, 0.0, 40.0, 700.0])] * 2))
def test_extreme_gaussians_have_a_divergence_and_never_nan(mu, logvars):
    p, q = (DiagonalGaussian([m], [v]) for m, v in zip((mu, 0.0), logvars))
    assert kl(p, q) >= 0 and not math.isnan(cross_entropy(p, q))
    assert kl(p, p) == 0
    assert np.isfinite(kl(*(DiagonalGaussian([0.0], [v]) for v in (40.0, -40.0))))


def test_extreme_probabilities_have_a_divergence_and_never_nan():
    tiny = Discrete([1 - 1e-300, 1e-300])
    subnormal, even = Discrete([1.0, 5e-324]), Discrete([0.5, 0.5])
    for p in (tiny, subnormal, even):
        for q in (tiny, subnormal, even):
            assert 0 <= kl(p, q) < 400 and np.isfinite(cross_entropy(p, q))
    assert kl(even, tiny) == pytest.approx(0.5 * math.log(0.5) + 0.5 * (math.log(0.5) + 300 * math.log(10)), rel=1e-12)


def test_logarithms_reach_where_densities_underflow():
    """exp(-2000) is 0, and still the divergence of N(0, 1) from N(60, 1) is 60^2 / 2."""
    axis = np.linspace(-75, 75, 6001)
    p, q = (DiagonalGaussian([m], [0.0]).log_density(axis[:, None]) for m in (0.0, 60.0))
    assert np.exp(q[3000]) == 0
    assert kl(Grid.from_log(p, axis), Grid.from_log(q, axis)) == pytest.approx(1800, rel=1e-12)
    assert kl(Grid(np.exp(p), axis), Grid(np.exp(q), axis)) == math.inf


def test_float32_probabilities_are_accepted_and_scaled():
    p = np.random.default_rng(0).dirichlet(np.ones(1000)).astype(np.float32)
    assert math.isclose(np.exp(Discrete(p).log_p).sum(), 1, rel_tol=1e-14)


# ---- from samples ----------------------------------------------------------------------------------------------

def test_both_estimators_agree_with_the_closed_form_and_know_their_error():
    """z-scores over 300 repetitions have mean 0 and spread 1; five standard errors of each are allowed."""
    rng = np.random.default_rng(3)
    p, q = DiagonalGaussian([0.4, -0.2], [0.3, 0.1]), DiagonalGaussian([0.0, 0.0], [0.0, -0.2])    # q / p is bounded
    for estimator in ("plain", "positive"):
        scores = []
        for _ in range(300):
            x = p.sample(400, rng)
            found = kl_from_samples(p.log_density(x), q.log_density(x), estimator=estimator)
            scores.append((found.value - kl(p, q)) / found.stderr)
        assert abs(np.mean(scores)) < 5 / math.sqrt(300)
        assert abs(np.std(scores) - 1) < 5 / math.sqrt(600)


def test_the_positive_estimator_is_never_negative_and_less_noisy_where_p_and_q_are_close():
    rng = np.random.default_rng(4)
    p, q = DiagonalGaussian([0.0], [0.0]), DiagonalGaussian([0.05], [0.0])
    values = {"plain": [], "positive": []}
    for _ in range(200):
        x = p.sample(10, rng)
        for estimator in values:
            values[estimator].append(kl_from_samples(p.log_density(x), q.log_density(x), estimator=estimator).value)
    assert min(values["positive"]) >= 0 > min(values["plain"])
    assert np.std(values["positive"]) < np.std(values["plain"]) / 10


def test_entropy_and_cross_entropy_are_means_over_draws():
    rng = np.random.default_rng(5)
    p, q = random_full(rng, 3), random_full(rng, 3)
    x = p.sample(20_000, rng)
    for found, exact in ((mean_estimate(-p.log_density(x)), entropy(p)),
                         (mean_estimate(-q.log_density(x)), cross_entropy(p, q))):
        assert abs(found.value - exact) < 4 * found.stderr
        assert found.n == 20_000 and found.stderr < 0.05 * abs(exact)


def test_jensen_shannon_from_samples_agrees_with_quadrature():
    rng = np.random.default_rng(6)
    p, q = DiagonalGaussian([-1.0], [0.0]), DiagonalGaussian([1.0], [0.5])
    x, y = p.sample(20_000, rng), q.sample(5_000, seed=5)
    np.testing.assert_array_equal(y, q.sample(5_000, np.random.default_rng(5)))
    found = jensen_shannon_from_samples(p.log_density(x), q.log_density(x), p.log_density(y), q.log_density(y))
    assert abs(found.value - jensen_shannon(on_axis(p), on_axis(q))) < 4 * found.stderr < 0.02
    assert found.n == 25_000
    apart = jensen_shannon_from_samples([0.0, 0.0], [-np.inf, -np.inf], [-np.inf], [0.0])
    assert apart.value == pytest.approx(math.log(2), rel=1e-15)


def test_a_standard_error_is_that_of_a_mean_whose_deviations_are_from_itself():
    assert mean_estimate([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1 / math.sqrt(3), 3))
    rng, p, q = np.random.default_rng(8), DiagonalGaussian([-1.0], [0.0]), DiagonalGaussian([1.0], [0.5])
    found = [jensen_shannon_from_samples(p.log_density(x), q.log_density(x), p.log_density(y), q.log_density(y))
             for x, y in ((p.sample(200, rng), q.sample(50, rng)) for _ in range(300))]
    values, errors = np.array([(each.value, each.stderr) for each in found]).T
    assert np.std(values) == pytest.approx(errors.mean(), rel=5 / math.sqrt(600))


def test_a_draw_that_q_rules_out_makes_the_estimate_infinite():
    for estimator in ("plain", "positive"):
        assert kl_from_samples([0.0, 0.0], [-1.0, -np.inf], estimator=estimator)[:2] == (math.inf, math.inf)
    assert math.isnan(mean_estimate([1.0]).stderr)


# ---- projections (T2) -------------------------------------------------------------------------------------------

def test_forward_kl_covers_both_humps_and_reverse_kl_picks_the_near_one():
    axis = np.linspace(-40, 40, 1601)
    p = two_humps(axis)
    covering = moment_projection(p)
    assert covering.mu[0] == pytest.approx(0, abs=QUADRATURE)
    assert covering.logvar[0] == pytest.approx(math.log(1 + 4.0**2), abs=QUADRATURE)        # law of total variance
    for side in (-1, 1):
        picking = information_projection(p, DiagonalGaussian([side * 1.0], [0.0]))
        assert side * picking.mu[0] == pytest.approx(4, abs=0.01)        # the other hump is e^-8 here
        assert abs(picking.logvar[0]) < 0.05
        narrow, wide = on_axis(picking, axis), on_axis(covering, axis)
        assert kl(narrow, p) == pytest.approx(math.log(2), abs=0.01)          # half of p, and no overlap to speak of
        assert kl(narrow, p) < kl(wide, p) and kl(p, narrow) > kl(p, wide)


def test_both_projections_of_a_gaussian_are_itself():
    p = DiagonalGaussian([0.7], [-0.5])
    for found in (moment_projection(on_axis(p)), information_projection(on_axis(p), DiagonalGaussian([0.0], [0.0]))):
        assert found.mu[0] == pytest.approx(0.7, abs=1e-7)          # KL is flat to second order: sqrt of its rounding
        assert found.logvar[0] == pytest.approx(-0.5, abs=1e-7)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_projections_are_minima(direction):
    """No Gaussian a little off is nearer, in the plane of a correlated Gaussian."""
    axis = np.linspace(-8, 8, 81)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    correlation = np.array([[1.0, 0.7], [0.7, 1.0]])
    log_density = FullGaussian([0.5, 0.0], correlation).log_density(points.reshape(-1, 2))
    p = Grid.from_log(log_density.reshape(81, 81), axis, axis)

    def distance(mu, logvar):
        q = Grid.from_log(DiagonalGaussian(mu, logvar).log_density(points), axis, axis)
        return kl(p, q) if direction == "forward" else kl(q, p)

    found = moment_projection(p) if direction == "forward" else information_projection(
        p, DiagonalGaussian([0.0, 0.0], [0.0, 0.0]))
    exact = np.ones(2) if direction == "forward" else 1 / np.diag(np.linalg.inv(correlation))
    np.testing.assert_allclose(np.exp(found.logvar), exact, rtol=1e-6)
    best = distance(found.mu, found.logvar)
    for j in range(2):
        for step in (-0.05, 0.05):
            off = step * np.eye(2)[j]
            assert distance(found.mu + off, found.logvar) > best and distance(found.mu, found.logvar + off) > best


# ---- refusals -----------------------------------------------------------------------------------------------------

COIN, UNIT, FULL = Discrete([0.5, 0.5]), DiagonalGaussian([0.0], [0.0]), FullGaussian([0.0], [[1.0]])
HALF_AXIS = np.linspace(0, 1, 3)

REFUSED = {
    "unnormalized": (lambda: Discrete([0.5, 0.6]), DataError, r"sum of p is 1.1; .*Divide"),
    "all zero": (lambda: Discrete([0.0, 0.0]), DataError, "sum of p is 0;"),
    "negative": (lambda: Discrete([1.5, -0.5]), DataError, "from -0.5"),
    "nan": (lambda: Discrete([np.nan, 1.0]), DataError, "nan"),
    "infinite": (lambda: Discrete([np.inf, 1.0]), DataError, "inf"),
    "empty": (lambda: Discrete([]), ShapeError, "at least one"),
    "text": (lambda: Discrete(["a"]), ShapeError, "dtype"),
    "ragged": (lambda: Discrete([[0.5], [0.2, 0.3]]), ShapeError, "no array"),
    "log of nan": (lambda: Discrete.from_log([np.nan]), DataError, "NaN"),
    "log unnormalized": (lambda: Discrete.from_log([800.0, 800.0]), DataError, "sum of"),
    "other outcomes": (lambda: kl(COIN, Discrete([1.0])), ShapeError, r"\(2,\) and q \(1,\)"),
    "other kinds": (lambda: kl(COIN, UNIT), ConfigurationError, "Discrete and q a DiagonalGaussian"),
    "no distribution": (lambda: kl([0.5, 0.5], COIN), ConfigurationError, "p is a list"),
    "no distribution's entropy": (lambda: entropy(3), ConfigurationError, "p is a int"),
    "other dimensions": (lambda: kl(UNIT, DiagonalGaussian([0.0, 0.0], [0.0, 0.0])), ShapeError,
                         r"\(1,\) and q \(2,\)"),
    "other batches": (lambda: kl(*(DiagonalGaussian(np.zeros((n, 1)), np.zeros((n, 1))) for n in (2, 3))),
                      ShapeError, "batch of 2 and q of 3"),
    "other full dimensions": (lambda: kl(FULL, FullGaussian([0, 0], np.eye(2))), ShapeError, "shape"),
    "gaussian average": (lambda: jensen_shannon(UNIT, UNIT), ConfigurationError, "no closed form"),
    "unnormalized density": (lambda: Grid([1.0, 2.0, 1.0], HALF_AXIS), DataError, "integral.*is 1.5.*finer grid"),
    "axis of other length": (lambda: Grid([1.0, 1.0], HALF_AXIS), ShapeError, r"\(2,\); expected \(3,\)"),
    "falling axis": (lambda: Grid([1.0, 1.0, 1.0], -HALF_AXIS), DataError, "does not increase"),
    "nan in log density": (lambda: Grid.from_log([0.0, np.nan, 0.0], HALF_AXIS), DataError, "NaN"),
    "other grids": (lambda: kl(Grid([1.0, 1.0, 1.0], HALF_AXIS), Grid([1.0, 1.0], HALF_AXIS[::2])), ShapeError,
                    "different grids"),
    "no variance": (lambda: DiagonalGaussian([0.0], [-np.inf]), DataError, "variance of zero"),
    "too much variance": (lambda: DiagonalGaussian([0.0], [1e4]), DataError, "700"),
    "mu and logvar": (lambda: DiagonalGaussian([0.0, 0.0], [0.0]), ShapeError, r"\(2,\) and logvar \(1,\)"),
    "not symmetric": (lambda: FullGaussian([0, 0], [[1, 0.5], [0, 1]]), DataError, "symmetric"),
    "not positive": (lambda: FullGaussian([0, 0], [[1, 2], [2, 1]]), DataError, "positive definite"),
    "not square": (lambda: FullGaussian([0, 0], [[1, 0]]), ShapeError, r"\(2, 2\)"),
    "points of another width": (lambda: UNIT.log_density(np.zeros((4, 2))), ShapeError, "1 columns"),
    "points of another width for a full one": (lambda: FULL.log_density(np.zeros((4, 2))), ShapeError, "1 columns"),
    "points for another batch": (
        lambda: DiagonalGaussian(np.zeros((3, 1)), np.zeros((3, 1))).log_density(np.zeros((2, 1))), ShapeError,
        "x has shape .* batch of 3"),
    "draws that are no number": (lambda: UNIT.sample("3", np.random.default_rng(0)), ConfigurationError, "n is '3'"),
    "draws that fit in no memory": (lambda: FULL.sample(2**40, np.random.default_rng(0)), ConfigurationError, "n is"),
    "draws from no seed": (lambda: UNIT.sample(3, seed=-1), ConfigurationError, "seed is -1"),
    "values of other outcomes": (lambda: expectation(COIN, [1.0]), ShapeError, "values has shape"),
    "unnormalized log density": (lambda: Grid.from_log([0.0, 1.0, 0.0], HALF_AXIS), DataError, r"exp\(log_density\)"),
    "a start off the grid": (lambda: information_projection(two_humps(), DiagonalGaussian([99.0], [0.0])), DataError,
                             "start does not lie on the grid"),
    "samples of two lengths": (lambda: kl_from_samples([0.0, 0.0], [0.0]), ShapeError, "same draws"),
    "impossible draw": (lambda: kl_from_samples([-np.inf], [0.0]), DataError, "cannot happen"),
    "nan sample": (lambda: kl_from_samples([0.0], [np.nan]), DataError, "NaN"),
    "unknown estimator": (lambda: kl_from_samples([0.0], [0.0], estimator="k3"), ConfigurationError, "plain, positive"),
    "no samples": (lambda: mean_estimate([]), ShapeError, "at least one"),
    "projection of no grid": (lambda: moment_projection(COIN), ConfigurationError, "Grid"),
    "projection onto zeros": (lambda: information_projection(Grid([0.0, 2.0, 0.0], HALF_AXIS), UNIT), DataError,
                              "infinite"),
    "projection of another dimension": (lambda: information_projection(two_humps(), DiagonalGaussian([0, 0], [0, 0])),
                                        ShapeError, r"\(2,\); expected one DiagonalGaussian with 1"),
    "start off the grid": (lambda: information_projection(two_humps(), DiagonalGaussian([30.0], [0.0])), DataError,
                           "integral"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_reason_and_a_remedy(case):
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        call()
