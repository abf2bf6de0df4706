"""The labs: what they must find where the answer is known, and their commands."""
import json
import math

import numpy as np
import pytest
from test_cli import command, result

from scratchvae import plots, VAE
from scratchvae.analysis.estimator_comparison import (_examples, _measure, bound_gradient, digits_scene,
                                                      measure_estimators, oracle_scene, SETTINGS, step_times)
from scratchvae.analysis.rate_distortion import Curve, Point, rate_distortion
from scratchvae.data.loading import Dataset, load_data
from scratchvae.errors import ConfigurationError, DataError
from scratchvae.estimators import EVERY
from scratchvae.oracles import LinearGaussian, Quadrature


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:                 # the one thing that takes long, and has its own test
        patch.setattr("scratchvae.analysis.estimator_comparison.step_times", lambda *_, **__: [1.0] * len(SETTINGS))
        return measure_estimators(draws=8192, epochs=2)


def find(rows, scene, estimator, samples, baseline="none"):
    (row,) = [row for row in rows if row[:4] == (scene, estimator, samples, baseline)]
    return row


def test_every_estimator_is_measured_in_every_scene(rows):
    assert {row.estimator for row in rows} == set(EVERY)
    assert len(rows) == 3 * len(SETTINGS) == len({row[:4] for row in rows})
    for row in rows:
        assert row.variance >= 0 and row.step_time > 0 and row.bias_z >= 0 and row.n_samples >= 1


def test_the_specimen_and_nothing_else_is_found_to_be_biased(rows):
    found = {(row.scene, row.estimator) for row in rows if row.biased}
    assert found == {("oracle", "iwae_stl"), ("digits", "iwae_stl")}      # with q the posterior there is no bias
    assert find(rows, "oracle", "iwae_stl", 8).bias_z > 10
    assert max(row.bias_z for row in rows if row.estimator != "iwae_stl") < 4.5      # 300 numbers: chance gives 3.3


def test_few_gradients_give_no_verdict_on_the_bias(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("scratchvae.analysis.estimator_comparison.step_times", lambda *_, **__: [1.0] * len(SETTINGS))
    few = measure_estimators(draws=1024, epochs=1)
    assert all(math.isnan(row.bias_z) == (row.n_samples == 64) for row in few)
    monkeypatch.setattr("scratchvae.cli.estimators.measure_estimators", lambda *_, **__: few)
    _, out, _ = command(capsys, "estimators", "--figure", tmp_path / "lab.png")
    lines = [line.split() for line in out.splitlines() if line.startswith(("iwae  ", "dreg  "))]
    assert {(words[1], words[3] == "-") for words in lines} == {("1", False), ("8", False), ("64", True)}


def test_variances_vanish_where_q_is_the_posterior(rows):
    for name, samples in (("stl", 1), ("dreg", 8), ("dreg", 64)):
        row = find(rows, "posterior", name, samples)
        assert row.variance < 1e-20 and math.isnan(row.signal_to_noise)
    assert find(rows, "posterior", "analytic", 1).variance > 0.1


def test_signal_to_noise_falls_with_k_for_iwae_and_rises_for_dreg(rows):
    iwae, dreg = ([find(rows, "oracle", name, k).signal_to_noise for k in (1, 8, 64)] for name in ("iwae", "dreg"))
    assert iwae == sorted(iwae, reverse=True) and dreg == sorted(dreg)


def test_the_score_function_is_noisier_by_hundreds_on_digits_and_a_baseline_helps(rows):
    plain = find(rows, "digits", "score_function", 1).variance
    assert plain > 100 * find(rows, "digits", "analytic", 1).variance
    assert plain > 10 * find(rows, "digits", "score_function", 1, "moving_average").variance


def test_pairs_take_more_noise_away_than_two_draws_do(rows):
    """Where the decoder is linear nothing is left in d_mu; two independent draws would leave half of all."""
    assert find(rows, "oracle", "antithetic", 2).variance < 0.4 * find(rows, "oracle", "analytic", 1).variance


def test_the_exact_gradient_of_one_sample_is_the_closed_form_and_falls_to_zero_with_k():
    scene = oracle_scene("oracle", off=0.2)
    head = np.hstack(scene.vae.encode(scene.X))[0]
    closed = np.hstack(LinearGaussian.of(scene.vae).expected_head_gradient(scene.X))[0]
    one, eight, many = (bound_gradient(scene.vae, scene.X, head, k) for k in (1, 8, 64))
    np.testing.assert_allclose(one, closed, rtol=0, atol=1e-9)
    assert np.abs(one).max() > 5 * np.abs(eight).max() > 10 * np.abs(many).max()


def test_the_exact_gradient_of_two_samples_is_what_iwae_averages_to():
    """By Gauss-Hermite nodes for both samples' noise: other nodes, and another derivation, than the lab's."""
    scene = oracle_scene("oracle", off=0.2)
    head = np.hstack(scene.vae.encode(scene.X))[0]
    vae = VAE(5, 1, hidden=(), likelihood="gaussian", sigma=0.8, estimator="iwae", n_samples=2, dtype="float64")
    vae.parameters.flat[:] = scene.vae.parameters.flat
    _, gradient = Quadrature(vae, nodes=60).expected_gradient(scene.X)
    np.testing.assert_allclose(bound_gradient(vae, scene.X, head, 2), gradient.encoder.head.b, rtol=0, atol=1e-7)


def test_the_example_and_the_draws_of_a_scene_share_no_number_with_its_world():
    """NumPy pads a seed with zeros: [seed, 0] is seed, and the first draws of eps were the world's W and b."""
    scene = oracle_scene("oracle", off=0.2, seed=7)
    world, ((_, draws, *_),) = LinearGaussian.of(scene.vae), _examples(scene, 128, seed=7)
    assert not np.intersect1d(draws.eps, [*world.W[0], *world.b]).size
    z = world.W[0, 0]                                             # it was the example's latent, and its noise W and b
    assert np.abs(scene.X - z * world.W - world.b - world.sigma * np.append(world.W[0, 1:], world.b[0])).max() > 0.1


def test_the_variance_of_two_gradients_is_right_on_average():
    """About their own mean it was half of that: the least setting has two gradients of 64 samples."""
    scene, analytic = oracle_scene("oracle", off=0.2), ("analytic", 1, "none")
    few, (many,) = ([_measure(scene, analytic, list(_examples(scene, draws, seed)))[2] for seed in range(seeds)]
                    for draws, seeds in ((2, 400), (20_000, 1)))
    assert np.mean(few) == pytest.approx(many, rel=0.3)          # standard error 0.07


def test_the_digits_of_the_lab_are_digits():
    X, gray = digits_scene(epochs=1).X, load_data("digits").test[:32]
    assert X.shape == gray.shape and set(np.unique(X)) == {0.0, 1.0} and np.abs(X - gray).max() <= 0.5
    assert len(np.unique(X, axis=0)) == len(X)


def test_step_times_are_multiples_of_the_first():
    vae = VAE(6, 2, hidden=(4,), dtype="float64")
    times = step_times(vae, np.ones((3, 6)), settings=(("analytic", 1, "none"), ("dreg", 4, "none")), rounds=3)
    assert times[0] == 1.0 and times[1] > 0


def test_draws_that_do_not_make_whole_groups_are_refused():
    for draws in (0, 64, 100, 2.5, 2 * 10**9):
        with pytest.raises(ConfigurationError, match="draws is"):
            measure_estimators(draws=draws)
    with pytest.raises(ConfigurationError, match="epochs is"):
        measure_estimators(draws=128, epochs=0)


# lambda ---------------------------------------------------------------------------------------------------------------

def noisy_line(sigma, n=940):
    """Points near a line in ten dimensions: what a linear VAE with one latent and this sigma draws."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 1)) * np.full(10, 0.3) + sigma * rng.standard_normal((n, 10))
    return Dataset(x[:640], x[640:], None, None, f"line, sigma {sigma}", (1, 10))


@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_the_best_beta_and_the_learned_one_are_the_noise_of_the_data(sigma):
    """T16: beta = sigma^2, and data with more noise want more of it (T9)."""
    betas = [sigma**2 / 4, sigma**2, 4 * sigma**2]
    curve = rate_distortion(noisy_line(sigma), betas, epochs=40, hidden=(), n_latent=1, importance_samples=20,
                            learning_rate=2e-2)
    assert curve.best_beta == pytest.approx(sigma**2) and not curve.at_edge
    assert curve.implied_beta == pytest.approx(sigma**2, rel=0.1)       # measured: 1.07, 1.03; training on: 1.02, 1.01
    rates, distortions = ([getattr(point, name) for point in curve.points] for name in ("rate", "distortion"))
    assert rates == sorted(rates, reverse=True) and distortions == sorted(distortions)
    assert curve.learned.log_likelihood > max(point.log_likelihood for point in curve.points) - 0.2
    for point in (*curve.points, curve.learned):
        assert point.beta == pytest.approx(point.sigma**2) and point.n == 300 and point.importance_samples == 20
        assert point.binarization == "none" and point.stderr > 0
        assert point.elbo < point.log_likelihood + 0.1        # equal where q is the posterior, but for the draws: 0.03
    assert curve.learned.distortion == pytest.approx(sigma**2, rel=0.2)   # E|x - D(z)|^2 = sigma^2 at the optimum


@pytest.mark.parametrize("betas", [(), (0.1,), (0.1, 0.1), (0.1, -1), (0.1, math.nan), (0, 1), ("a", 1), 3])
def test_betas_that_make_no_curve_are_refused(betas):
    with pytest.raises(ConfigurationError, match="betas is"):
        rate_distortion(noisy_line(0.1), betas)


@pytest.mark.parametrize("wrong, message", [(dict(data=np.eye(3)), "data is a ndarray; expected a Dataset"),
                                            (dict(after_model=3), "after_model is 3; expected a function")])
def test_what_is_no_data_set_and_no_function_is_refused_before_training(wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        rate_distortion(**{"data": noisy_line(0.1), **wrong})


# Commands and figures -------------------------------------------------------------------------------------------------

def test_the_command_prints_a_table_and_draws_it(capsys, monkeypatch, tmp_path, rows):
    asked = []
    monkeypatch.setattr("scratchvae.cli.estimators.measure_estimators",
                        lambda *words, **named: asked.append((*words, named)) or rows)
    path, words = tmp_path / "new" / "lab.png", ("--draws", 256, "--epochs", 3, "--seed", 4)
    status, out, _ = command(capsys, "estimators", *words, "--figure", path, "--json")
    found = json.loads(out.splitlines()[-1])
    assert asked == [(256, 3, {"seed": 4})] and path.read_bytes()[:4] == b"\x89PNG"
    assert len(found["estimators"]) == len(rows)
    assert {"scene", "estimator", "n_samples", "bias_z", "variance", "signal_to_noise", "step_time"} <= set(
        found["estimators"][0])
    assert found["score_function_variance_ratio"] > 100
    lines = [line for line in out.splitlines() if line.endswith("biased")]
    assert status == 0 and len(lines) == 2 and all(line.startswith("iwae_stl") for line in lines) and "T8" in out


def test_the_lambda_command_takes_several_data_sets(capsys, tmp_path):
    path = tmp_path / "lambda.png"
    settings = ("--betas", "0.1,0.02", "--epochs", 1, "--hidden", 4, "--latent", 2, "--importance-samples", 2)
    found = result(capsys, "lambda", "--data", "digits", "--data", "digits", *settings, "--figure", path)
    assert [row["dataset"] for row in found["datasets"]] == ["digits", "digits"]
    for row in found["datasets"]:
        assert [point["beta"] for point in row["points"]] == [0.02, 0.1]
        assert row["best_beta"] in (0.02, 0.1) and row["implied_beta"] > 0 and row["at_edge"] is True
        assert row["learned"]["binarization"] == "none" and row["learned"]["importance_samples"] == 2
    assert path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("words", [("estimators", "--draws", "100"), ("estimators", "--figure", "lab.txt"),
                                   ("lambda", "--betas", "0.1"), ("lambda", "--betas", "a,b"),
                                   ("lambda", "--data", "nothing-of-the-kind"), ("lambda", "--betas", "0.1,-2")])
def test_bad_words_end_in_one_line(capsys, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    status, _, err = command(capsys, *words)
    assert status == 2 and len([line for line in err.splitlines() if "error" in line]) == 1


def test_figures_of_nothing_are_refused():
    with pytest.raises(DataError, match="no rows"):
        plots.estimator_lab([])
    with pytest.raises(DataError, match="no curves"):
        plots.rate_distortion([])


def test_names_of_points_that_crowd_meet_neither_each_other_nor_the_curve():
    places = ((0.0987654, 40.0, 1.0), (0.02, 30.0, 2.0), (0.0123456, 29.9, 2.01), (0.001, 10.0, 9.0))
    points = [Point(beta, beta ** 0.5, rate, distortion, -1.0, -0.9, 0.1, 100, "none", 50, 2)
              for beta, rate, distortion in places]
    curve = Curve("digits", points[0].beta, True, 0.1, points[0], points)
    axes = plots.rate_distortion([curve]).axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["0.099", "0.02", "0.012", "0.001"]
    assert all(box.count_overlaps(boxes) == 1 for box in boxes)
    line = axes.lines[0].get_path().transformed(axes.transData)
    assert not any(line.intersects_bbox(box, filled=False) for box in boxes)
    in_lambda = plots.rate_distortion([curve], as_lambda=True).axes
    assert in_lambda[0].texts[0].get_text() == "0.2" and in_lambda[1].get_xlabel() == "lambda = 2 sigma²"
