"""The mixture of Gaussians against exact fits, and its likelihood against falling."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.errors import ConfigurationError, DataError, ShapeError
from scratchvae.probability.distributions import FullGaussian
from scratchvae.probability.mixture import fit_mixture, GaussianMixture

SEEDS = st.integers(0, 2**32 - 1)


def three_clusters(rng, n=600):
    truth = GaussianMixture([0.5, 0.3, 0.2], [
        FullGaussian([-5, 0], [[1.0, 0.8], [0.8, 1.0]]), FullGaussian([5, 5], np.eye(2)),
        FullGaussian([5, -5], [[0.3, 0.0], [0.0, 2.0]])])
    return truth, truth.sample(n, seed=int(rng.integers(2**31)))


@given(seed=SEEDS, n=st.integers(5, 40), k=st.integers(1, 5), n_latent=st.integers(1, 4),
       floor=st.sampled_from([1e-6, 0.3]))
def test_log_likelihood_never_falls(seed, n, k, n_latent, floor):
    """Also where the floor binds: fewer rows than dimensions, or a floor that most variances lie under."""
    z = np.random.default_rng(seed).standard_normal((n, n_latent)) ** 3
    fit = fit_mixture(z, k, seed=seed % 1000, floor=floor, max_steps=50)
    gains = np.diff(fit.log_likelihoods)
    assert (gains > -1e-9).all()                                        # rounding, with densities of up to exp(20)
    assert len(gains) <= 50 and (gains[:-1] >= 1e-4).all() and fit.converged == (gains[-1] < 1e-4)
    assert fit.log_likelihoods[-1] == pytest.approx(fit.mixture.log_density(z).mean(), abs=1e-9)
    smallest = min(np.linalg.eigvalsh(c.covariance)[0] for c in fit.mixture.components)
    assert smallest > (1 - 1e-6) * floor * z.var(axis=0).mean()


@given(seed=SEEDS)
def test_one_component_is_the_mean_and_covariance_of_the_data(seed):
    z = np.random.default_rng(seed).standard_normal((30, 3)) @ np.diag([1.0, 2.0, 3.0])
    fit = fit_mixture(z, 1)
    np.testing.assert_allclose(fit.mixture.components[0].mean, z.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(fit.mixture.components[0].covariance, np.cov(z.T, bias=True), atol=1e-10)
    assert fit.converged and len(fit.log_likelihoods) == 2


def test_clusters_are_found_and_their_draws_look_like_the_data():
    truth, z = three_clusters(np.random.default_rng(0), n=3000)
    fit = fit_mixture(z, 3)
    order = np.argsort(fit.mixture.weights)[::-1]
    np.testing.assert_allclose(fit.mixture.weights[order], truth.weights, atol=0.04)        # 4 sqrt(p (1 - p) / n)
    for found, true in zip(order, truth.components):
        component = fit.mixture.components[found]
        np.testing.assert_allclose(component.mean, true.mean, atol=0.25)                    # 4 sigma / sqrt(600)
        np.testing.assert_allclose(component.covariance, true.covariance, atol=0.5)         # 4 variance sqrt(2 / 600)
    assert truth.log_density(z).mean() <= fit.log_likelihoods[-1] < truth.log_density(z).mean() + 0.01
    draws = fit.mixture.sample(20_000, seed=1)
    np.testing.assert_allclose(draws.mean(axis=0), z.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(z.T), rtol=0.05, atol=0.5)


def test_density_is_the_weighted_sum_of_components_and_integrates_to_one():
    truth, _ = three_clusters(np.random.default_rng(0))
    axis = np.linspace(-15, 15, 301)
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(truth.log_density(plane))
    assert density.sum() * 0.1**2 == pytest.approx(1, abs=1e-9)
    by_hand = sum(w * np.exp(c.log_density(plane)) for w, c in zip(truth.weights, truth.components))
    np.testing.assert_allclose(density, by_hand, rtol=1e-10, atol=1e-300)


def test_the_same_seed_gives_the_same_fit_and_draws():
    _, z = three_clusters(np.random.default_rng(1), n=100)
    first, second = (fit_mixture(z, 4, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.log_likelihoods, second.log_likelihoods)
    np.testing.assert_array_equal(first.mixture.sample(9, seed=2), second.mixture.sample(9, seed=2))


def test_far_rows_and_repeated_rows_do_not_break_the_fit():
    rng = np.random.default_rng(2)
    z = np.concatenate([rng.standard_normal((50, 2)), [[1e6, 0.0]], np.zeros((50, 2))])
    fit = fit_mixture(z, 3)
    assert np.isfinite(fit.log_likelihoods).all() and np.isfinite(fit.mixture.sample(100)).all()
    line = np.linspace(0, 1, 20)[:, None] * np.ones(3)                     # a line in space: rank 1
    assert np.isfinite(fit_mixture(line, 2).log_likelihoods).all()


@pytest.mark.parametrize("call, kind, message", [
    (lambda: fit_mixture(np.zeros(5)), ShapeError, "z has shape"),
    (lambda: fit_mixture([[np.nan]]), DataError, "NaN"),
    (lambda: fit_mixture(np.ones((5, 2)), 2), DataError, "the same"),
    (lambda: fit_mixture(np.eye(3), 4), ConfigurationError, "3 different rows"),
    (lambda: fit_mixture(np.eye(3), 0), ConfigurationError, "n_components is 0"),
    (lambda: fit_mixture(np.eye(3), 10**9), ConfigurationError, "n_components is 1000000000"),
    (lambda: fit_mixture(1e200 * np.eye(3), 2), DataError, r"z has values up to 1e\+200"),
    (lambda: fit_mixture([[9e153], [-9e153], [0.0]], 2), DataError, r"z has values up to 9e\+153"),
    (lambda: fit_mixture(np.eye(3), 2, floor=0), ConfigurationError, "floor is 0"),
    (lambda: fit_mixture(np.eye(3), 2, tolerance=math.nan), ConfigurationError, "tolerance"),
    (lambda: fit_mixture(np.eye(3), 2, seed=0.5), ConfigurationError, "seed"),
    (lambda: GaussianMixture([1.0], [FullGaussian([0], [[1]])]).log_density(np.eye(2)), ShapeError, "z has 2 columns"),
    (lambda: GaussianMixture([1.0], [None]), ConfigurationError, "components is"),
    (lambda: GaussianMixture([1.0], []), ShapeError, "0 components"),
    (lambda: GaussianMixture([0.5, 0.6], [FullGaussian([0], [[1]])] * 2), DataError, "weights: The sum of p is 1.1"),
    (lambda: GaussianMixture([0.5, 0.5], [FullGaussian([0], [[1]]), FullGaussian([0, 0], np.eye(2))]), ShapeError,
     r"\[1, 2\]"),
])
def test_what_is_no_mixture_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
