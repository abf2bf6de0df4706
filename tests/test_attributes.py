"""Attribute vectors on codes whose factors are known (T22)."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.analysis.attribute_vectors import (balanced_difference, logistic_direction, logistic_regression,
                                                   mean_difference)
from scratchvae.errors import ConfigurationError, DataError, ShapeError

SEEDS = st.integers(0, 2**32 - 1)


def faces(rng, n=400, correlation=0.8, noise=0.0):
    """Codes that are a linear map of two correlated factors, and the factors."""
    eyes = rng.standard_normal(n)
    mouth = correlation * eyes + np.sqrt(1 - correlation**2) * rng.standard_normal(n)
    directions = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    codes = np.stack([eyes, mouth], axis=1) @ directions + 0.5 + noise * rng.standard_normal((n, 3))
    return codes, eyes, mouth, directions


def leak(vector, directions):
    """How far a step along the vector moves the mouth, relative to the eyes."""
    eyes, mouth = np.linalg.lstsq(directions.T, vector, rcond=None)[0]
    return abs(mouth / eyes)


def test_plain_vector_is_the_difference_of_class_means():
    codes = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    np.testing.assert_allclose(mean_difference(codes, [False, True, True]), [3.0, 3.0], rtol=1e-15)
    np.testing.assert_allclose(mean_difference(codes.astype(np.float32), np.array([1, 0, 0], np.uint8)), [-3, -3])


def test_balanced_vector_is_exact_where_codes_are_linear_in_label_and_others():
    rng = np.random.default_rng(0)
    mouth = rng.standard_normal(200)
    large = mouth + rng.standard_normal(200) > 0
    v, b = np.array([1.0, -2.0, 0.5]), np.array([3.0, 1.0, -1.0])
    codes = 0.7 + large[:, None] * v + mouth[:, None] * b
    np.testing.assert_allclose(balanced_difference(codes, large, mouth), v, rtol=1e-10)
    assert np.abs(mean_difference(codes, large) - v).max() > 1                   # and the plain one is far off


def test_balanced_vector_averages_the_differences_within_groups():
    """Weighted by n p (1 - p), p the share of the label in the group; the groups given as indicators."""
    rng = np.random.default_rng(1)
    group, codes = rng.integers(3, size=300), rng.standard_normal((300, 2))
    labels = rng.random(300) < np.array([0.2, 0.5, 0.9])[group]
    weights = [np.sum(group == g) * labels[group == g].var() for g in range(3)]
    within = [mean_difference(codes[group == g], labels[group == g]) for g in range(3)]
    found = balanced_difference(codes, labels, np.eye(3)[group])
    np.testing.assert_allclose(found, np.average(within, axis=0, weights=weights), rtol=1e-10)


def test_other_attributes_may_be_whatever_numpy_reads_as_an_array():
    class Offered:
        def __array__(self, dtype=None, copy=None):
            return np.arange(6.0) ** 2

    np.testing.assert_array_equal(balanced_difference(CODES, LABELS, Offered()),
                                  balanced_difference(CODES, LABELS, np.arange(6.0) ** 2))


def test_with_nothing_to_balance_both_vectors_are_one():
    rng = np.random.default_rng(2)
    codes, labels = rng.standard_normal((50, 3)), np.arange(50) % 2
    found = balanced_difference(codes, labels, np.ones(50))
    np.testing.assert_allclose(found, mean_difference(codes, labels), atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_correlated_factors_leak_into_the_plain_vector_and_at_most_half_as_much_into_the_balanced(noise):
    rng = np.random.default_rng(3)
    codes, eyes, mouth, directions = faces(rng, n=1000, noise=noise)
    plain, balanced = mean_difference(codes, eyes > 0), balanced_difference(codes, eyes > 0, mouth)
    assert leak(plain, directions) > 0.6
    assert leak(balanced, directions) < 0.5 * leak(plain, directions)


@given(seed=SEEDS)
def test_vectors_follow_the_codes_coordinates(seed):
    """Codes moved by z -> z A + b have the vectors v A; the other label has -v."""
    rng = np.random.default_rng(seed)
    codes, eyes, mouth, _ = faces(rng, n=60, noise=1.0)
    labels, a, b = eyes > np.median(eyes), rng.standard_normal((3, 3)), rng.standard_normal(3)
    for vector in (mean_difference, lambda z, y: balanced_difference(z, y, mouth)):
        np.testing.assert_allclose(vector(codes @ a + b, labels), vector(codes, labels) @ a, atol=1e-9)
        np.testing.assert_allclose(vector(codes, ~labels), -vector(codes, labels), atol=1e-9)
    scaled = balanced_difference(codes, labels, np.stack([1e6 * mouth - 1e7, mouth], axis=1))       # unit and origin
    np.testing.assert_allclose(scaled, balanced_difference(codes, labels, mouth), atol=1e-6)


# ---- the logistic direction ------------------------------------------------------------------------------------------

@given(seed=SEEDS, ridge=st.sampled_from([1e-3, 1.0, 100.0]))
def test_logistic_regression_ends_where_its_gradient_vanishes(seed, ridge):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 3)) * rng.uniform(0.1, 10, 3) + rng.uniform(-5, 5, 3)
    labels = np.append(rng.random(38) < 0.3, [0, 1])
    weights, bias = logistic_regression(x, labels, ridge=ridge)
    error = 1 / (1 + np.exp(-(x @ weights + bias))) - labels
    gradient = np.append(x.T @ error + ridge * weights, error.sum())
    assert np.abs(gradient).max() < 1e-6 * np.abs(x).sum()


def test_separable_and_unbalanced_classes_have_finite_weights():
    x = np.append(np.linspace(-1e3, -1.0, 99), 1e3)[:, None]
    for ridge in (1e-6, 1.0):
        weights, bias = logistic_regression(x, x[:, 0] > 0, ridge=ridge)
        assert np.isfinite(weights).all() and np.isfinite(bias)
        assert ((x @ weights + bias > 0) == (x[:, 0] > 0)).all()


def test_one_example_in_a_thousand_is_fitted_where_whole_newton_steps_go_round_in_circles():
    """At the start p (1 - p) is 0.001, so the first step overshoots to where it is 0, and the next leads back."""
    x = np.append(np.zeros(999), 1.0)[:, None]
    weights, bias = logistic_regression(x, x[:, 0], ridge=0.01)
    rest = 1 / (1 + np.exp(weights[0] + bias))                               # 1 - p of the one example
    assert 0.01 * weights[0] == pytest.approx(rest, rel=1e-8)                   # its gradient vanishes


def test_two_normal_classes_of_one_covariance_have_the_direction_of_the_linear_discriminant():
    """Their log odds are linear, with weights S^-1 (m1 - m0); 40,000 draws leave about 2 %."""
    rng = np.random.default_rng(4)
    covariance, shift = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([1.0, 0.0])
    labels = np.arange(40_000) % 2
    codes = rng.standard_normal((40_000, 2)) @ np.linalg.cholesky(covariance).T + labels[:, None] * shift
    weights, _ = logistic_regression(codes, labels, ridge=1e-3)
    np.testing.assert_allclose(weights, np.linalg.solve(covariance, shift), atol=0.08)
    direction = logistic_direction(codes, labels)
    np.testing.assert_allclose(direction / np.linalg.norm(direction), weights / np.linalg.norm(weights), atol=1e-3)


@given(seed=SEEDS)
def test_logistic_direction_moves_the_score_from_class_to_class(seed):
    rng = np.random.default_rng(seed)
    codes, eyes, _, _ = faces(rng, n=60, noise=1.0)
    difference, direction = mean_difference(codes, eyes > 0), logistic_direction(codes, eyes > 0)
    assert direction @ difference > 0
    assert direction @ difference == pytest.approx(direction @ direction, rel=1e-9)
    np.testing.assert_allclose(logistic_direction(codes, ~(eyes > 0)), -direction, rtol=1e-4, atol=1e-6)


# ---- refusals --------------------------------------------------------------------------------------------------------

CODES, LABELS = np.random.default_rng(0).standard_normal((6, 2)), [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("function", [mean_difference, lambda z, y: balanced_difference(z, y, np.arange(6.0) ** 2),
                                      logistic_direction, logistic_regression])
@pytest.mark.parametrize("codes, labels, kind, message", [
    (CODES, [0, 1], ShapeError, r"labels has shape \(2,\); expected \(6,\)"),
    (CODES, [1] * 6, DataError, r"values \[1.0\].*both"),
    (CODES, [0, 0, 0, 1, 1, 2], DataError, "0 and 1"),
    (CODES, [0, 0, 0, 1, 1, np.nan], DataError, "NaN"),
    (CODES, list("aaabbb"), ShapeError, "dtype"),
    (CODES[:, 0], LABELS, ShapeError, "(codes|x) has shape"),
    (np.full((6, 2), np.inf), LABELS, DataError, "(codes|x) has 12 values"),
])
def test_labels_and_codes_that_do_not_fit_are_refused(function, codes, labels, kind, message):
    with pytest.raises(kind, match=message):
        function(codes, labels)


@pytest.mark.parametrize("call, kind, message", [
    (lambda: balanced_difference(CODES, LABELS, LABELS), DataError, "others determine the labels"),
    (lambda: balanced_difference(CODES, LABELS, np.eye(6)), DataError, "others determine the labels"),
    (lambda: balanced_difference(CODES, LABELS, np.zeros(5)), ShapeError, "5 rows; expected 6"),
    (lambda: balanced_difference(CODES, LABELS, [np.nan] * 6), DataError, "others has"),
    (lambda: logistic_regression(CODES, LABELS, ridge=0), ConfigurationError, "ridge is 0"),
    (lambda: logistic_regression(CODES, LABELS, ridge="1"), ConfigurationError, "ridge is '1'"),
    (lambda: logistic_direction(np.ones((6, 2)), LABELS), DataError, "same mean"),
])
def test_what_leaves_no_direction_is_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
