"""Walks in the latent space and the aggregate posterior, against geometry and exact cases (T20)."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import VAE
from scratchvae.analysis.latent import AggregatePosterior, interpolate, traverse
from scratchvae.errors import ConfigurationError, DataError, ShapeError
from scratchvae.probability.distributions import DiagonalGaussian, Grid
from scratchvae.probability.divergences import kl, kl_terms

SIDES, SEEDS = st.integers(2, 20), st.integers(0, 2**32 - 1)
PATHS = st.sampled_from(["straight", "spherical"])
ROUNDING = 1e-12


# ---- walks -------------------------------------------------------------------------------------------------------

@given(n_latent=SIDES, n=st.integers(2, 9), path=PATHS, seed=SEEDS)
def test_a_path_runs_from_a_to_b_and_back_the_same_way(n_latent, n, path, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, n_latent))
    walk = interpolate(a, b, n, path=path)
    assert walk.shape == (n, n_latent)
    np.testing.assert_allclose(walk[[0, -1]], [a, b], atol=ROUNDING)
    np.testing.assert_allclose(interpolate(b, a, n, path=path), walk[::-1], atol=1e-10)    # sin near 180 degrees


@given(n_latent=SIDES, seed=SEEDS)
def test_straight_steps_are_equal_and_spherical_steps_turn_equally(n_latent, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, n_latent))
    np.testing.assert_allclose(np.diff(interpolate(a, b, 6), axis=0), np.tile((b - a) / 5, (5, 1)), atol=ROUNDING)
    walk = interpolate(a, b, 6, path="spherical")
    lengths = np.linalg.norm(walk, axis=1)
    np.testing.assert_allclose(np.diff(lengths), (lengths[-1] - lengths[0]) / 5, atol=1e-10)
    units = walk / lengths[:, None]
    turns = np.linalg.norm(np.diff(units, axis=0), axis=1)
    np.testing.assert_allclose(turns, turns[0], rtol=1e-8)
    rank = np.linalg.matrix_rank(np.vstack([a, b, walk]), tol=1e-8 * np.linalg.norm(walk))
    assert rank <= 2                                                           # it never leaves the plane of a and b


def test_a_quarter_circle_passes_the_diagonal():
    middle = interpolate([2.0, 0.0], [0.0, 2.0], 3, path="spherical")[1]
    np.testing.assert_allclose(middle, [math.sqrt(2)] * 2, rtol=1e-15)


def test_a_spherical_path_keeps_the_length_that_a_straight_one_loses():
    a, b = np.random.default_rng(0).standard_normal((2, 400))
    straight, round_trip = (np.linalg.norm(interpolate(a, b, 3, path=path)[1]) for path in ("straight", "spherical"))
    assert round_trip / 20 == pytest.approx(1, abs=0.15)                    # 4 standard deviations of a chi with 400
    assert straight / round_trip == pytest.approx(1 / math.sqrt(2), abs=0.1)


def test_ends_in_the_same_direction_are_no_special_case():
    walk = interpolate([1.0, 1.0], [3.0, 3.0], 3, path="spherical")
    np.testing.assert_allclose(walk, [[1, 1], [2, 2], [3, 3]], rtol=1e-12)
    near = interpolate([1.0, 0.0], [1.0, 1e-9], 3, path="spherical")
    np.testing.assert_allclose(near[1], [1.0, 5e-10], rtol=1e-9)


@pytest.mark.parametrize("length", [1e-200, 1e200])
def test_the_length_of_an_end_may_be_any_that_a_float_holds(length):
    walk = interpolate([length, 0.0], [0.0, length], 3, path="spherical")
    np.testing.assert_allclose(walk / length, [[1, 0], [0.5**0.5] * 2, [0, 1]], atol=1e-12)


@pytest.mark.parametrize("arguments, kind, message", [
    (([1.0], [1.0, 2.0], 3), ShapeError, r"\(1,\) and b \(2,\)"),
    (([1.0], [np.nan], 3), DataError, "b has 1 values"),
    (([[1.0]], [[1.0]], 3), ShapeError, "a has shape"),
    (([1.0], [2.0], 1), ConfigurationError, "two ends"),
    (([1.0], [2.0], 2.5), ConfigurationError, "n is 2.5"),
    (([1.0, 2.0], [2.0, 1.0], 2 * 10**9), ConfigurationError, "n is 2000000000; .* at once"),
    (([1.0], [2.0], 3, "curved"), ConfigurationError, "straight, spherical"),
    (([0.0, 0.0], [1.0, 0.0], 3, "spherical"), DataError, "origin"),
    (([1.0, 2.0], [-2.0, -4.0], 3, "spherical"), DataError, "opposite"),
])
def test_paths_that_do_not_exist_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        interpolate(*arguments[:3], path=arguments[3] if arguments[3:] else "straight")


def test_a_traversal_changes_one_dimension_a_row_and_leaves_its_base_alone():
    base = np.array([1.0, 2.0, 3.0])
    z = traverse(base, [2, 0], [-1, 0, 1, 2])
    assert z.shape == (2, 4, 3)
    np.testing.assert_array_equal(z[0, :, 2], [-1, 0, 1, 2])
    np.testing.assert_array_equal(z[1, :, 0], [-1, 0, 1, 2])
    np.testing.assert_array_equal(z[0, :, :2], np.tile([1, 2], (4, 1)))
    np.testing.assert_array_equal(base, [1, 2, 3])


@pytest.mark.parametrize("dimensions", [[3], [-1], [0.5], ["z1"]])
def test_a_traversal_of_a_dimension_that_is_not_there_is_refused(dimensions):
    with pytest.raises(ConfigurationError, match="0 to 2"):
        traverse(np.zeros(3), dimensions, [0.0])


# ---- the aggregate posterior ---------------------------------------------------------------------------------------

def random_aggregate(rng, n=30, n_latent=2):
    mu, logvar = 1.5 * rng.standard_normal((n, n_latent)), rng.uniform(-3, 0, (n, n_latent))
    return AggregatePosterior(mu, logvar), mu, logvar


def test_density_is_the_average_of_the_members_and_integrates_to_one():
    rng = np.random.default_rng(0)
    aggregate, mu, logvar = random_aggregate(rng)
    z = rng.standard_normal((7, 2))
    members = np.exp([[DiagonalGaussian(m, v).log_density(row) for m, v in zip(mu, logvar)] for row in z])
    np.testing.assert_allclose(np.exp(aggregate.log_density(z)), members.mean(axis=1), rtol=1e-12)
    axis = np.linspace(-10, 10, 201)
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    total = np.exp(aggregate.log_density(plane.reshape(-1, 2))).sum() * (axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1, abs=1e-9)                               # widths are above two cells


def test_work_in_pieces_is_the_same_work(monkeypatch):
    rng = np.random.default_rng(1)
    aggregate, _, _ = random_aggregate(rng)
    z = rng.standard_normal((50, 2))
    whole = aggregate.log_density(z)
    monkeypatch.setattr("scratchvae.analysis.latent.NUMBERS_AT_ONCE", 130)
    np.testing.assert_array_equal(aggregate.log_density(z), whole)


def test_draws_have_the_moments_of_the_mixture():
    aggregate, mu, logvar = random_aggregate(np.random.default_rng(2))
    z = aggregate.sample(40_000, seed=3)
    mean, variance = mu.mean(axis=0), np.exp(logvar).mean(axis=0) + mu.var(axis=0)
    stderr = np.sqrt(variance / len(z))
    assert (np.abs(z.mean(axis=0) - mean) < 4 * stderr).all()
    np.testing.assert_allclose(z.var(axis=0), variance, rtol=0.05)             # 4 sqrt(2 / 40000) = 0.03
    np.testing.assert_array_equal(aggregate.sample(5, seed=3), aggregate.sample(5, seed=3))
    assert (aggregate.sample(5, seed=3) != aggregate.sample(5, seed=4)).all()


def test_kl_from_the_prior_agrees_with_quadrature():
    rng = np.random.default_rng(4)
    aggregate, mu, logvar = random_aggregate(rng, n_latent=1)
    axis = np.linspace(-14, 14, 2801)
    on_axis = [Grid.from_log(log_density, axis) for log_density in
               (aggregate.log_density(axis[:, None]), DiagonalGaussian([0.0], [0.0]).log_density(axis[:, None]))]
    found = aggregate.kl_from_prior(20_000, seed=5)
    assert abs(found.value - kl(*on_axis)) < 4 * found.stderr < 0.1
    assert found.value < kl_terms(mu, logvar).sum(axis=1).mean()             # mutual information is the difference


def test_one_example_has_the_closed_form_and_the_prior_itself_has_nothing():
    mu, logvar = np.array([[0.5, -1.0]]), np.array([[-1.0, 0.3]])
    found = AggregatePosterior(mu, logvar).kl_from_prior(20_000)
    assert abs(found.value - kl_terms(mu, logvar).sum()) < 4 * found.stderr
    nothing = AggregatePosterior(np.zeros((9, 3)), np.zeros((9, 3))).kl_from_prior()
    assert abs(nothing.value) < 1e-13 and nothing.stderr < 1e-13


def test_a_models_posteriors_go_straight_in():
    vae = VAE(n_visible=6, n_latent=2, hidden=(5,))
    x = np.random.default_rng(0).random((8, 6))
    aggregate = AggregatePosterior(*vae.encode(x))
    assert vae.decode(aggregate.sample(3)).shape == (3, 6)
    assert np.isfinite(aggregate.kl_from_prior(50).value)


@pytest.mark.parametrize("value", [-40.0, 40.0])
def test_extreme_variances_stay_finite(value):
    aggregate = AggregatePosterior(np.zeros((2, 1)), np.full((2, 1), value))
    assert np.isfinite(aggregate.kl_from_prior(100).value)
    assert np.isfinite(aggregate.log_density(np.array([[5.0]]))).all()


PRIOR = AggregatePosterior(np.zeros((3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize("call, kind, message", [
    (lambda: AggregatePosterior(np.zeros(3), np.zeros(3)), ShapeError, "mu has shape"),
    (lambda: AggregatePosterior(np.zeros((3, 2)), np.zeros((2, 2))), ShapeError, "logvar"),
    (lambda: AggregatePosterior(np.zeros((3, 2)), np.full((3, 2), -np.inf)), DataError, "variance of zero"),
    (lambda: PRIOR.log_density(np.zeros((4, 3))), ShapeError, "3 columns"),
    (lambda: PRIOR.log_density([[np.nan, 0]]), DataError, "NaN"),
    (lambda: PRIOR.sample(0), ConfigurationError, "n is 0"),
    (lambda: PRIOR.kl_from_prior(2 * 10**9), ConfigurationError, "n is 2000000000; .* at once"),
    (lambda: PRIOR.sample(1, seed=-1), ConfigurationError, "seed"),
])
def test_what_is_no_aggregate_posterior_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
