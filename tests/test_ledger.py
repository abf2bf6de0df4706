"""The ledger's two accounts against closed forms, the staircase, and the prior as a proposal."""
import functools
import json
import math

import numpy as np
import pytest
from test_cli import command, result

from scratchvae import evaluate, VAE
from scratchvae.analysis.elbo_decomposition import effective_sigma, ledger, mutual_information, optimize_posteriors
from scratchvae.analysis.evaluation import HeldOut, iwae_bounds, Sampler
from scratchvae.analysis.latent import AggregatePosterior
from scratchvae.errors import ConfigurationError, ShapeError, TrainingError
from scratchvae.oracles import LinearGaussian, Quadrature
from scratchvae.parameters import Affine


def world(n_latent=2, off=0.3, seed=0, sigma=0.6):
    """A linear-Gaussian VAE; its encoder is the best diagonal one, mu and logvar moved by `off`."""
    rng = np.random.default_rng(seed)
    best = LinearGaussian(rng.standard_normal((n_latent, 5)), rng.standard_normal(5), sigma).with_best_encoder()
    return LinearGaussian(best.W, best.b, sigma, Affine(best.encoder.W, best.encoder.b + off))


# The staircase and the prior ------------------------------------------------------------------------------------------

def test_the_stairs_never_fall_and_each_is_the_bound_of_its_own_k():
    oracle = world(n_latent=1)
    X = oracle.sample(60)
    vae = oracle.to_vae()
    stairs = iwae_bounds(vae, X, importance_samples=(1, 4, 32))
    assert (np.diff(stairs.bounds) > 0).all() and stairs.bounds[-1] < oracle.log_p(X).mean() + 1e-3
    exact = [Quadrature(vae).iwae(X, k).mean() for k in (1, 4, 32)]
    noise = [0.05, 0.03, 0.02]                            # measured over seeds: 0.011, 0.007, 0.004 standard deviation
    assert (np.abs(stairs.bounds - exact) < noise).all()
    same_draws = evaluate(vae, X, importance_samples=32)
    np.testing.assert_allclose(stairs.bounds[-1], same_draws.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(stairs.stderrs[-1], same_draws.stderr, rtol=1e-12)


def test_the_stairs_do_not_depend_on_how_the_samples_are_cut(monkeypatch):
    oracle = world()
    X, vae = oracle.sample(10), oracle.to_vae()
    monkeypatch.setattr("scratchvae.analysis.evaluation.DECODER_ROWS", 70)  # 7 samples of each of 10 examples at a time
    stairs = iwae_bounds(vae, X, importance_samples=(1, 10, 100))
    assert (np.diff(stairs.bounds) > 0).all() and stairs.n == 10
    np.testing.assert_allclose(stairs.bounds[-1], evaluate(vae, X, importance_samples=100).log_likelihood, rtol=1e-12)


def test_the_effective_number_of_samples_is_that_of_all_weights_however_they_are_cut(monkeypatch):
    oracle = world(off=1.0)
    X, vae = oracle.sample(10), oracle.to_vae()
    monkeypatch.setattr("scratchvae.analysis.evaluation.DECODER_ROWS", 30)   # 3 at a time: the maximum moves
    held = HeldOut(vae, X, 0, "none")
    (number, _, x, head), = held.chunks()
    sampler = Sampler(vae, 10)
    log_w = np.concatenate([piece for piece, _ in sampler.draws(head, x, 100, held.seed, number)], axis=1)
    weights = np.exp(log_w - log_w.max())
    effective = weights.sum(axis=1)**2 / np.square(weights).sum(axis=1)
    np.testing.assert_allclose(sampler.summary(head, x, 100, held.seed, number)[2], effective, rtol=1e-12)
    assert evaluate(vae, X, importance_samples=100).effective_samples == pytest.approx(effective.mean())


@pytest.mark.parametrize("samples", [(), (0, 5), (1, 5, 12), (5, 5), (5, 1), 5, (1, 2.0)])
def test_stairs_that_are_no_multiples_of_each_other_are_refused(samples):
    with pytest.raises(ConfigurationError, match="samples is"):
        iwae_bounds(VAE(4, 1, hidden=()), np.eye(4), importance_samples=samples)


def test_with_the_prior_for_q_few_samples_count_and_fewer_in_more_dimensions():
    share, short = [], []
    for n_latent in (1, 4, 12):
        oracle = world(n_latent=n_latent, off=0.0, sigma=0.3)
        X = oracle.sample(40)
        found = evaluate(oracle.to_vae(), X, importance_samples=500, proposal="prior")
        assert found.proposal == "prior" and found.kl == 0 and found.active_units == 0
        share.append(found.effective_samples / 500)
        short.append(oracle.log_p(X).mean() - found.log_likelihood)
    assert share == sorted(share, reverse=True) and short == sorted(short)        # T12
    assert share[0] > 0.03 > 0.005 > share[2] and short[2] > 10 > 0.2 > abs(short[0])


def test_importance_sampling_is_right_within_three_standard_errors_in_nineteen_of_twenty_worlds():
    """Of one example each: the error of log of a mean is (standard error of the weights) / mean."""
    inside = 0
    for seed in range(20):
        oracle = world(n_latent=2, seed=seed)
        X = oracle.sample(1, seed)
        found = evaluate(oracle.to_vae(), X, importance_samples=1000, seed=seed)
        error = math.sqrt(1 / found.effective_samples - 1 / 1000)      # relative variance of the mean weight, by ESS
        inside += abs(found.log_likelihood - oracle.log_p(X)[0]) < 3 * error
    assert inside >= 19


# The ledger -----------------------------------------------------------------------------------------------------------

def test_both_accounts_add_up_and_the_gaps_are_those_of_the_oracle():
    oracle = world()
    X = oracle.sample(100)
    found = ledger(oracle.to_vae(), X, importance_samples=400)
    assert found.loss == pytest.approx(found.reconstruction + found.mutual_information + found.marginal_kl)
    assert found.log_likelihood == pytest.approx(found.elbo + found.amortization_gap + found.approximation_gap)
    best = oracle.best_diagonal(X)
    assert found.log_likelihood_by == "linear-Gaussian oracle"
    assert found.log_likelihood == pytest.approx(oracle.log_p(X).mean(), rel=1e-12)
    assert found.elbo == pytest.approx(oracle.elbo(X).mean(), abs=0.03)           # 400 draws for each of 100 rows
    exact = (oracle.elbo(X, best) - oracle.elbo(X)).mean()
    assert abs(found.amortization_gap - exact) < 0.03 < 0.5 < exact               # measured: 0.004
    assert abs(found.approximation_gap - oracle.gap(X, best).mean()) < 0.03       # measured: 0.005
    assert found.effective_sigma == 0.6 and (found.n, found.binarization) == (100, "none")
    assert found.stderr == pytest.approx(oracle.log_p(X).std(ddof=1) / 10, rel=1e-9)
    assert found.elbo_stderr == pytest.approx(oracle.elbo(X).std(ddof=1) / 10, rel=0.1)
    assert found.amortization_gap_stderr < 0.1 * found.elbo_stderr     # this gap is the same for all x; draws are left


def test_a_gaussian_of_any_name_has_the_oracles_log_likelihood():
    oracle = world()
    X, vae = oracle.sample(10), oracle.to_vae()
    learned = oracle.to_vae(likelihood="gaussian_scalar")
    assert ledger(learned, X, importance_samples=9, steps=1).log_likelihood_by == "linear-Gaussian oracle"
    np.testing.assert_allclose(LinearGaussian.of(learned).log_p(X), LinearGaussian.of(vae).log_p(X), rtol=1e-12)


def test_refining_finds_the_best_diagonal_gaussian():
    oracle = world()
    X = oracle.sample(40)
    q, best = optimize_posteriors(oracle.to_vae(), X, steps=200), oracle.best_diagonal(X)
    lost = (oracle.elbo(X, best) - oracle.elbo(X, q)).mean()
    assert 0 < lost < 0.02                                                        # measured: 0.003, of a gap of 1.1
    assert (oracle.elbo(X, q) > oracle.elbo(X)).all()


@pytest.mark.filterwarnings("error")
def test_a_posterior_too_wide_to_refine_is_refused_and_never_nan():
    vae = VAE(6, 2, hidden=(5,), likelihood="gaussian_diagonal")
    vae.parameters.encoder.head.b[2:] = 40
    with pytest.raises(TrainingError, match=r"beyond the range of float32.*logvar reaches 4.*, its mu 0\.0.*float64"):
        ledger(vae, np.eye(6), importance_samples=5, steps=3)
    wide = VAE(**{**vae.get_params(), "dtype": "float64"})
    wide.parameters.encoder.head.b[2:] = 40
    assert all(np.isfinite(array).all() for array in optimize_posteriors(wide, np.eye(6), steps=3))


def test_the_gap_of_one_latent_is_found_by_quadrature_and_otherwise_from_below():
    for n_latent, by in ((1, "quadrature"), (2, "importance sampling")):
        vae = VAE(4, n_latent, hidden=(3,), activation="tanh", dtype="float64", seed=1)
        vae.parameters.flat[:] *= 3
        X = (np.random.default_rng(0).random((12, 4)) < 0.5) * 1.0
        found = ledger(vae, X, importance_samples=300, steps=60)
        assert found.log_likelihood_by == by and found.approximation_gap > -0.01   # 300 draws leave about 0.003
        assert found.log_likelihood == pytest.approx(Quadrature(vae, 48).log_p(X).mean(), abs=0.01)
        assert math.isnan(found.effective_sigma)


def test_a_posterior_too_narrow_for_quadrature_is_not_called_so():
    """x | z is N(|z|, sigma^2), so half of p(z | x) lies far from the other half, in two narrow modes."""
    vae = VAE(1, 1, hidden=(2,), likelihood="gaussian", sigma=1e-6, dtype="float64")
    vae.parameters.flat[:] = 0
    vae.parameters.decoder[0].W[:], vae.parameters.decoder.head.W[:] = [[1, -1]], 1
    X = np.array([[1.3], [0.0], [2.7]])                                          # at 0 both modes are one
    found = ledger(vae, X, importance_samples=100, steps=5)
    assert found.log_likelihood_by == "importance sampling" and found.log_likelihood < -1e6        # a lower bound
    assert np.isnan(Quadrature(vae).log_p(X)).tolist() == [True, False, True]
    assert ledger(vae, X[1:2], importance_samples=100, steps=5).log_likelihood_by == "quadrature"


def test_gray_pixels_under_a_bernoulli_have_losses_and_gaps_of_losses_but_no_likelihood():
    vae, gray = VAE(6, 2, hidden=(4,), dtype="float64"), np.random.default_rng(0).random((10, 6))
    found = ledger(vae, gray, importance_samples=20, steps=3)
    assert found.binarization == "gray" and math.isfinite(found.loss) and math.isfinite(found.amortization_gap)
    for name in ("elbo", "elbo_stderr", "log_likelihood", "stderr", "approximation_gap"):
        assert math.isnan(getattr(found, name))
    stairs = iwae_bounds(vae, gray, importance_samples=(1, 5))
    assert np.isnan(stairs.bounds).all() and np.isnan(stairs.stderrs).all() and np.isfinite(stairs.losses).all()
    drawn = ledger(vae, gray, importance_samples=20, steps=3, binarize="dynamic")
    assert drawn.binarization == "dynamic" and math.isfinite(drawn.log_likelihood)


def test_an_optimal_sigma_is_measured_frozen_and_at_beta_is_widened():
    vae = VAE(5, 2, hidden=(), likelihood="gaussian_optimal", sigma=0.5, beta=4.0, dtype="float64")
    found = ledger(vae, np.random.default_rng(0).random((8, 5)), importance_samples=10, steps=2)
    assert found.effective_sigma == pytest.approx(1.0)


# Mutual information ---------------------------------------------------------------------------------------------------

def test_information_runs_from_nothing_to_log_n_and_never_beyond():
    same = np.zeros((50, 2))
    assert mutual_information(same, same).value == pytest.approx(0, abs=1e-12)
    apart = 100.0 * np.arange(50)[:, None] * np.ones(2)
    found = mutual_information(apart, same)
    assert found.value == pytest.approx(math.log(50), rel=1e-12) and found.stderr < 1e-9
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 10.0):
        found = mutual_information(scale * rng.standard_normal((30, 3)), 0.1 * np.ones((30, 3)))
        assert 0 < found.value <= math.log(30)


def test_information_and_the_divergence_of_the_aggregate_make_the_mean_kl():
    """Two estimates from different draws and different formulas."""
    rng = np.random.default_rng(0)
    mu, logvar = 1.5 * rng.standard_normal((80, 2)), rng.standard_normal((80, 2)) - 1
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()
    information, marginal = mutual_information(mu, logvar), AggregatePosterior(mu, logvar).kl_from_prior(4000, seed=1)
    assert abs(information.value + marginal.value - kl) < 4 * math.hypot(information.stderr, marginal.stderr)
    assert kl - information.value > 4 * information.stderr                        # something is left for q(z)


# T16 ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reduction", ["sum", "half", "mean"])
def test_a_weight_is_the_elbo_of_its_effective_sigma(reduction):
    """The weighted loss, whatever its reduction, is the negative ELBO of a VAE with that sigma, scaled and shifted."""
    rng, D, weight = np.random.default_rng(0), 5, 0.37
    X, eps = rng.random((4, D)), rng.standard_normal((4, 2))
    sigma = effective_sigma(weight, reduction, n_visible=D)
    losses, elbos = [], []
    for seed in range(3):
        vae = VAE(D, 2, hidden=(3,), likelihood="gaussian", sigma=sigma, dtype="float64", seed=seed)
        objective = vae.objective(X, eps)
        error = 2 * sigma**2 * (objective.reconstruction - D / 2 * math.log(2 * math.pi * sigma**2))
        losses.append({"sum": error, "half": error / 2, "mean": error / D}[reduction] + weight * objective.kl)
        elbos.append(-objective.loss)
    np.testing.assert_allclose(np.diff(losses), -weight * np.diff(elbos), rtol=1e-9)    # -weight ELBO + constant


@pytest.mark.parametrize("weight", [0, -1.0, math.inf, math.nan, "1", True])
def test_a_weight_that_is_not_positive_is_refused(weight):
    with pytest.raises(ConfigurationError, match="weight is"):
        effective_sigma(weight)


# At the edges ---------------------------------------------------------------------------------------------------------

def test_wrong_settings_and_data_are_refused():
    vae, X = VAE(4, 1, hidden=()), np.eye(4)
    for wrong, words in (({"importance_samples": 0}, "importance_samples is 0"), ({"steps": 0}, "steps is 0"),
                         ({"binarize": "gray"}, "binarize is"), ({"seed": -1}, "seed is")):
        with pytest.raises(ConfigurationError, match=words):
            ledger(vae, X, **wrong)
    with pytest.raises(ConfigurationError, match="proposal is"):
        evaluate(vae, X, importance_samples=10, proposal="posterior")
    with pytest.raises(ConfigurationError, match="vae is a str"):
        ledger("model", X)
    with pytest.raises(ShapeError, match="columns"):
        iwae_bounds(vae, np.eye(3))
    with pytest.raises(ConfigurationError, match="reduction is"):
        effective_sigma(1.0, "median")


def test_evaluate_prints_the_ledger(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("scratchvae.cli.run_folder.Run.draw", lambda *_: [])          # no figures: they take longest
    monkeypatch.setattr("scratchvae.cli.evaluate.ledger", functools.partial(ledger, steps=3))
    folder = tmp_path / "run"
    result(capsys, "train", "--data", "digits", "--hidden", 8, "--latent", 2, "--epochs", 1, "--batch-size", 400,
           "--binarize", "dynamic", "--out", folder)
    status, out, _ = command(capsys, "evaluate", folder, "--importance-samples", 3, "--ledger", "--json")
    for word in ("information", "log n", "amortization", "approximation", "importance sampling"):
        assert status == 0 and word in out
    found = json.loads(out.splitlines()[-1])["ledger"]
    assert found["log_likelihood"] == pytest.approx(
        found["elbo"] + found["amortization_gap"] + found["approximation_gap"])
    assert found["binarization"] == "dynamic" and found["importance_samples"] == 3 and found["n"] == 359
