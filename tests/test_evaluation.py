"""Held-out figures against exact ones: a linear decoder with one Gaussian latent has log p(x) in closed form."""
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from scratchvae import evaluate, VAE
from scratchvae.analysis.elbo_decomposition import ledger
from scratchvae.analysis.evaluation import EXAMPLES_AT_ONCE, iwae_bounds
from scratchvae.errors import ConfigurationError, DataError
from scratchvae.likelihoods import Bernoulli, LIKELIHOODS, make_likelihood
from scratchvae.oracles import LinearGaussian


def linear_gaussian(rng, wrong=0.3):
    """A VAE with linear networks and one latent, and its exact log p(x).

    Its encoder is the exact posterior, off by `wrong`: the mean shifted, the log variance raised.
    """
    world = LinearGaussian(rng.standard_normal((1, 5)), rng.standard_normal(5), sigma=0.6).with_best_encoder()
    vae = world.to_vae()
    vae.parameters.encoder.head.b[:] += wrong
    return vae, world.log_p


def test_importance_sampling_tends_to_the_exact_log_likelihood():
    rng = np.random.default_rng(0)
    vae, log_p = linear_gaussian(rng)
    x = rng.standard_normal((200, 5))
    errors = [abs(evaluate(vae, x, importance_samples=k).log_likelihood - log_p(x).mean()) for k in (1, 10, 10_000)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_elbo_never_exceeds_the_log_likelihood_and_the_staircase_rises():
    rng = np.random.default_rng(1)
    vae, log_p = linear_gaussian(rng)
    x = rng.standard_normal((300, 5))
    steps = [evaluate(vae, x, importance_samples=k).log_likelihood for k in (1, 5, 50, 5000)]
    assert steps == sorted(steps)
    result = evaluate(vae, x, importance_samples=5000)
    assert result.elbo < result.log_likelihood < log_p(x).mean() + 1e-3


def test_weights_are_all_equal_where_the_posterior_is_exact():
    """With q = p(z | x) every weight is p(x): one sample gives the exact value and all samples count."""
    rng = np.random.default_rng(0)
    vae, log_p = linear_gaussian(rng, wrong=0.0)
    x = rng.standard_normal((40, 5))
    one, many = evaluate(vae, x, importance_samples=1, seed=1), evaluate(vae, x, importance_samples=500, seed=2)
    np.testing.assert_allclose(one.log_likelihood, log_p(x).mean(), rtol=1e-12)
    np.testing.assert_allclose(many.log_likelihood, log_p(x).mean(), rtol=1e-12)
    np.testing.assert_allclose(one.elbo, log_p(x).mean(), atol=0.2)       # its KL is exact, its nll one draw
    np.testing.assert_allclose(many.effective_samples, 500, rtol=1e-9)


def test_result_does_not_depend_on_how_the_work_is_cut(monkeypatch):
    rng = np.random.default_rng(2)
    vae, _ = linear_gaussian(rng)
    x = rng.standard_normal((130, 5))
    first = evaluate(vae, x, importance_samples=3000)
    monkeypatch.setattr("scratchvae.analysis.evaluation.DECODER_ROWS", 256)
    second = evaluate(vae, x, importance_samples=3000)
    np.testing.assert_allclose(first.log_likelihood, second.log_likelihood, atol=0.02)
    assert first.n == second.n == 130


def test_kl_per_dimension_adds_up_and_active_units_are_counted():
    vae = VAE(6, 4, hidden=(5,), dtype="float64")
    vae.parameters.encoder.head.W[:, 1:4] = 0                    # means of latents 2 to 4 do not move
    vae.parameters.encoder.head.W[:, 0] *= 30
    x = (np.random.default_rng(0).random((100, 6)) < 0.5).astype(float)
    result = evaluate(vae, x, importance_samples=10)
    assert result.active_units == 1
    np.testing.assert_allclose(result.kl_per_dimension.sum(), result.kl, rtol=1e-12)
    np.testing.assert_allclose(result.loss, result.reconstruction + result.kl, rtol=1e-12)


def test_gray_pixels_have_a_loss_but_no_likelihood_under_a_bernoulli():
    vae = VAE(6, 2, hidden=(5,))
    gray = np.random.default_rng(0).random((20, 6))
    result = evaluate(vae, gray, importance_samples=10)
    assert result.binarization == "gray"
    assert math.isnan(result.elbo) and math.isnan(result.log_likelihood) and math.isfinite(result.loss)
    binary = evaluate(vae, gray, importance_samples=10, binarize="dynamic")
    assert binary.binarization == "dynamic" and binary.elbo <= binary.log_likelihood
    assert math.isfinite(evaluate(vae, np.round(gray), importance_samples=10).elbo)


def measured(vae, X):
    """Every figure that the three measurements give."""
    parts = (evaluate(vae, X, importance_samples=9), iwae_bounds(vae, X, importance_samples=(1, 3)),
             ledger(vae, X, importance_samples=9, steps=2))
    return [np.asarray(value) for part in parts for value in part]


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("pixels", ["gray", "binary"])
def test_the_name_and_the_class_of_a_likelihood_change_no_figure(name, hidden, pixels):
    X = np.random.default_rng(0).random((20, 6))
    X = X if pixels == "gray" else np.round(X)
    likelihood = make_likelihood(name, sigma=0.5)
    sigma = [0.5] if hasattr(likelihood, "sigma") else []
    renamed = type("Renamed", (type(likelihood),), {"name": "renamed"})(*sigma)
    first, second = (measured(VAE(6, 2, hidden=hidden, likelihood=one), X) for one in (likelihood, renamed))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("row", [0, EXAMPLES_AT_ONCE + 3])
def test_one_gray_row_among_binary_ones_leaves_no_likelihood_whichever_it_is(row):
    X = np.round(np.random.default_rng(0).random((EXAMPLES_AT_ONCE + 9, 6)))
    vae = VAE(6, 2, hidden=(5,))
    found = evaluate(vae, X, importance_samples=3)
    assert found.binarization == "none" and math.isfinite(found.elbo)
    X[row, 2] = 0.5
    found, stairs = evaluate(vae, X, importance_samples=3), iwae_bounds(vae, X, importance_samples=(1, 3))
    account = ledger(vae, X, importance_samples=3, steps=1)
    assert found.binarization == stairs.binarization == account.binarization == "gray"
    for value in (found.elbo, found.log_likelihood, found.stderr, account.elbo, account.log_likelihood, *stairs.bounds):
        assert math.isnan(value)
    assert math.isfinite(found.loss) and math.isfinite(account.loss) and np.isfinite(stairs.losses).all()


def test_a_likelihood_that_calls_itself_no_density_gets_a_loss_only():
    class Unnormalized(Bernoulli):
        def is_density(self, x):
            return False

    found = evaluate(VAE(6, 2, hidden=(5,), likelihood=Unnormalized()), np.eye(6), importance_samples=3)
    assert math.isnan(found.elbo) and math.isnan(found.log_likelihood) and math.isfinite(found.loss)


@pytest.mark.filterwarnings("ignore:overflow")                      # of squares, in the NumPy twin
def test_a_likelihood_of_zero_is_minus_infinity_and_that_of_other_rows_finite():
    vae, far = VAE(2, 1, hidden=(), likelihood="gaussian", sigma=1e-100, dtype="float64"), np.full((3, 2), 1e60)
    vae.parameters.flat[:] = 0
    found = evaluate(vae, far, importance_samples=3)
    assert found.elbo == found.log_likelihood == -math.inf and found.effective_samples == 0
    assert (iwae_bounds(vae, far, importance_samples=(1, 3)).bounds == -math.inf).all()
    near = evaluate(vae, np.zeros((3, 2)), importance_samples=3)
    assert near.log_likelihood == pytest.approx(200 * math.log(10) - math.log(2 * math.pi))


def test_standard_error_is_that_of_a_mean_over_examples():
    rng = np.random.default_rng(3)
    vae, log_p = linear_gaussian(rng)
    x = rng.standard_normal((400, 5))
    np.testing.assert_allclose(evaluate(vae, x, importance_samples=2000).stderr, log_p(x).std(ddof=1) / 20, rtol=0.02)
    vae, log_p = linear_gaussian(rng, wrong=0.0)
    three = evaluate(vae, x[:3], importance_samples=1)
    np.testing.assert_allclose(three.stderr, log_p(x[:3]).std(ddof=1) / math.sqrt(3), rtol=1e-9)


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_a_number_of_samples_below_one_is_refused(k):
    with pytest.raises(ConfigurationError, match="importance_samples is"):
        evaluate(VAE(6, 2), np.zeros((2, 6)), importance_samples=k)


def test_bad_data_are_refused():
    with pytest.raises(DataError, match="nan"):
        evaluate(VAE(6, 2), np.full((2, 6), np.nan))


def test_an_evaluation_is_a_table_in_a_notebook():
    result = evaluate(VAE(6, 2, hidden=(3,)), np.full((4, 6), 0.25), importance_samples=10)
    table = result._replace(binarization="<gray>")._repr_html_()
    headings, *rows = [[cell.text for cell in row] for row in ElementTree.fromstring(table).findall("tr")]
    assert [name for name, _ in rows] == list(result._fields) and "nats per example" in headings[0]
    shown = dict(rows)
    assert shown["elbo"] == "nan" and shown["n"] == "4" and shown["binarization"] == "<gray>" and "<gray" not in table
    assert float(shown["loss"]) == pytest.approx(result.loss, rel=1e-5)
    np.testing.assert_allclose(np.fromstring(shown["kl_per_dimension"].strip("[]"), sep=" "), result.kl_per_dimension,
                               rtol=1e-2, atol=1e-3)
    wide = evaluate(VAE(6, 300, hidden=()), np.eye(6), importance_samples=2)._repr_html_()
    assert "..." in wide and len(wide) < 2000
