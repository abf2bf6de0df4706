"""Likelihoods: densities, gradients, moments, and what learning a sigma adds to them."""
import decimal
import math
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from scratchvae import Autoencoder, evaluate, VAE
from scratchvae.elbo import Objective
from scratchvae.errors import ConfigurationError, DataError, TrainingError
from scratchvae.gradcheck import check_model, format_checks, numerical_gradient
from scratchvae.kernels import twins
from scratchvae.kernels.learned_sigma import MIN_LOGVAR
from scratchvae.kernels.microkernel import FAMILY
from scratchvae.likelihoods import (Bernoulli, ContinuousBernoulli, Gaussian, GaussianDiagonal, GaussianOptimal,
                                    GaussianScalar, Likelihood, LIKELIHOODS, make_likelihood)
from scratchvae.parameters import Parameters
from scratchvae.training import held_out_objective, Trainer

WORST_RELATIVE_ERROR = 1e-7            # of a float64 gradient against extrapolated differences
SMOOTH = ("tanh", "softplus")          # no kinks: differences say what the derivative is
every_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def parameters_of(likelihood, n_visible, dtype=np.float64):
    p = {name: np.zeros(shape, dtype) for name, shape in likelihood.parameter_shapes(n_visible).items()}
    likelihood.initialize(p)
    return p


def nll_of(likelihood, p, outputs, x):
    nll = np.full(len(outputs), np.nan)
    likelihood.nll(p, outputs, x, nll)
    return nll


def backward_of(likelihood, p, outputs, x, d_nll):
    nll, d_outputs = np.full(len(outputs), np.nan), np.full_like(outputs, np.nan)
    d_p = {name: np.full_like(view, np.nan) for name, view in p.items()}
    likelihood.nll_backward(p, outputs, x, np.array(d_nll, np.float64), nll, d_p, d_outputs)
    return nll, d_p, d_outputs


def problem(name, rows=6, examples=3, n_visible=4):
    """(likelihood, p, outputs, x, weights of the rows) with logits, means and log variances of size 1."""
    rng = np.random.default_rng(len(name))
    likelihood = make_likelihood(name, sigma=0.6)
    outputs = rng.standard_normal((rows, likelihood.n_outputs(n_visible)))
    return (likelihood, parameters_of(likelihood, n_visible), outputs, rng.random((examples, n_visible)),
            rng.uniform(-1, 2, rows))


# Gradients ------------------------------------------------------------------------------------------------------------

@every_likelihood
@pytest.mark.parametrize("activation", SMOOTH)
def test_every_segment_of_a_model_agrees_with_differences(name, activation):
    rng = np.random.default_rng(0)
    for model in (VAE(5, 2, hidden=(4,), activation=activation, likelihood=name, n_samples=2, beta=0.7,
                      sigma=0.6, dtype="float64"),
                  Autoencoder(5, 2, hidden=(4,), activation=activation, likelihood=name, sigma=0.6, dtype="float64")):
        model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
        checks = check_model(model, rng.random((3, 5)), rng.standard_normal((3, 2, 2)))
        assert all(check.ok for check in checks), format_checks(checks)
        assert max(check.worst for check in checks) <= WORST_RELATIVE_ERROR, format_checks(checks)
        learned = name in ("gaussian_scalar", "gaussian_optimal")
        assert (checks[-1].name == "likelihood.logvar") == learned


@every_likelihood
def test_rows_may_weigh_differently(name):
    """What importance weights do to a K-sample bound: L = sum of w nll, for any w, sigma* included."""
    likelihood, p, outputs, x, weights = problem(name)
    nll, d_p, d_outputs = backward_of(likelihood, p, outputs, x, weights)       # into NaN: all is overwritten
    np.testing.assert_array_equal(nll, nll_of(likelihood, p, outputs, x))

    def loss():
        return float(weights @ nll_of(likelihood, p, outputs, x))

    for array, gradient in [(outputs, d_outputs), *((p[key], d_p[key]) for key in p)]:
        numeric = numerical_gradient(loss, array, max_entries=array.size)
        assert not numeric.kinks.any()
        np.testing.assert_allclose(gradient.ravel()[numeric.entries], numeric.values, rtol=1e-7,
                                   atol=1e-7 * np.abs(numeric.values).max())


@every_likelihood
@every_dtype
def test_the_loss_is_the_same_to_the_bit_with_and_without_its_gradient(name, dtype):
    likelihood, rng = make_likelihood(name), np.random.default_rng(0)
    for n_visible in (1, 3, 4, 7, 12, 33, 64, 129, 784):                 # around the widths of vectors and of blocks
        x = rng.random((40, n_visible)).astype(dtype)
        outputs = rng.standard_normal((40, likelihood.n_outputs(n_visible))).astype(dtype)
        p = parameters_of(likelihood, n_visible, dtype)
        nll, _, _ = backward_of(likelihood, p, outputs, x, np.ones(40))
        np.testing.assert_array_equal(nll, nll_of(likelihood, p, outputs, x), err_msg=f"{n_visible} pixels")


@every_likelihood
@every_dtype
def test_a_row_has_the_same_bits_whatever_batch_it_is_part_of(name, dtype):
    likelihood, rng = make_likelihood(name).for_evaluation(), np.random.default_rng(0)
    x, weights = rng.random((10, 77)).astype(dtype), rng.standard_normal(20)
    outputs = rng.standard_normal((20, likelihood.n_outputs(77))).astype(dtype)
    p = parameters_of(likelihood, 77, dtype)
    nll, _, d_outputs = backward_of(likelihood, p, outputs, x, weights)
    for first, last in ((0, 1), (4, 6), (7, 10)):
        rows = slice(2 * first, 2 * last)
        part, _, d_part = backward_of(likelihood, p, outputs[rows], x[first:last], weights[rows])
        np.testing.assert_array_equal(part, nll[rows])
        np.testing.assert_array_equal(d_part, d_outputs[rows])


@pytest.mark.parametrize("processor", ["znver4", "haswell"])
def test_these_bits_hold_on_other_processors(processor):
    """The code for them runs here as well, if their instructions do; znver4 takes other vectors for the same loops."""
    if twins.BACKEND == "numpy" or FAMILY.name != "avx512":
        pytest.skip("needs compiled kernels and AVX-512")
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k",
                           "same_to_the_bit and diagonal and float64", __file__],
                          env={**os.environ, "NUMBA_CPU_NAME": processor}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_sum_over_many_rows_does_not_depend_on_the_threads_of_blas():
    """OpenBLAS cuts a scalar product of more than 10,000 numbers into as many parts as it has threads."""
    program = """if True:
        import numpy as np
        from scratchvae.likelihoods import make_likelihood
        rng = np.random.default_rng(0)
        outputs, x, d_nll = rng.standard_normal((20_001, 1)), rng.standard_normal((20_001, 1)), rng.random(20_001)
        for name in ("gaussian_optimal", "gaussian_scalar"):
            p, d_p = {"logvar": np.zeros(1)}, {"logvar": np.zeros(1)}
            nll, d_outputs = np.empty(20_001), np.empty_like(outputs)
            make_likelihood(name).nll_backward(p, outputs, x, d_nll.copy(), nll, d_p, d_outputs)
            print(d_p["logvar"][0].hex(), d_outputs.sum().hex())
    """
    found = {subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True,
                            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "SCRATCHVAE_BACKEND": "numpy",
                                 "PYTHONPATH": str(Path(__file__).parents[1])}).stdout
             for threads in ("1", "2", "3")}
    assert len(found) == 1


@every_likelihood
@every_dtype
def test_extreme_outputs_give_finite_losses_and_gradients(name, dtype):
    likelihood = make_likelihood(name)
    far = np.array([0.0, 1e-30, -1e-8, 40.0, -40.0, 1e4, -1e4], dtype)
    first, second = (grid.reshape(-1, 1) for grid in np.meshgrid(far, far))
    outputs = np.concatenate([first, second], axis=1) if likelihood.n_outputs(1) == 2 else first
    for logvar in (-40.0, 0.0, 40.0):
        p = parameters_of(likelihood, 1, dtype)
        for view in p.values():
            view[:] = logvar
        for x in (0.0, 0.5, 1.0):
            data = np.full((len(outputs), 1), x, dtype)
            nll, d_p, d_outputs = backward_of(likelihood, p, outputs, data, np.ones(len(outputs)))
            assert d_outputs.dtype == dtype
            for array in (nll, d_outputs, *d_p.values(), nll_of(likelihood, p, outputs, data)):
                assert np.isfinite(array).all()


# Densities and moments ------------------------------------------------------------------------------------------------

def frozen_problem(name):
    """(likelihood, p, outputs (1, n), its support as a grid) for one pixel, several times."""
    for output in (-30.0, -2.0, -1e-3, 0.0, 0.5, 7.0):
        likelihood = make_likelihood(name, sigma=0.6).for_evaluation()
        p = parameters_of(likelihood, 1)
        outputs = np.array([[output, -1.3][:likelihood.n_outputs(1)]])
        if name == "bernoulli":
            grid = np.array([0.0, 1.0])
        else:
            low, high = (0.0, 1.0) if name == "continuous_bernoulli" else (output - 6.0, output + 6.0)
            grid = np.linspace(low, high, 20_001)
        yield likelihood, p, outputs, grid


def probabilities(likelihood, p, outputs, grid):
    """exp(-nll) on the grid times Simpson's weights (1 for two points that are all there is)."""
    density = np.exp(-nll_of(likelihood, p, outputs.repeat(len(grid), axis=0), grid[:, None]))
    if len(grid) == 2:
        return density
    weights = np.tile([2.0, 4.0], len(grid) // 2 + 1)[:len(grid)]
    weights[[0, -1]] = 1
    return density * weights * (grid[1] - grid[0]) / 3


@every_likelihood
def test_a_density_integrates_to_one_and_has_the_mean_it_says(name):
    for likelihood, p, outputs, grid in frozen_problem(name):
        mass = probabilities(likelihood, p, outputs, grid)
        np.testing.assert_allclose(mass.sum(), 1, rtol=1e-8)       # 6 units are over 10 sigma; Simpson's error is 1e-9
        np.testing.assert_allclose(mass @ grid, likelihood.mean(p, outputs)[0, 0], atol=1e-7)


@every_likelihood
@every_dtype
def test_samples_have_the_moments_of_the_density(name, dtype):
    n = 20_000
    for likelihood, p, outputs, grid in frozen_problem(name):
        mass = probabilities(likelihood, p, outputs, grid)
        mean = mass @ grid
        variance, fourth = mass @ (grid - mean)**2, mass @ (grid - mean)**4
        p = {key: view.astype(dtype) for key, view in p.items()}
        draws = likelihood.sample(p, outputs.astype(dtype).repeat(n, axis=0), np.random.default_rng(1))
        assert draws.shape == (n, 1) and draws.dtype == dtype
        assert grid[0] - 2 <= draws.min() and draws.max() <= grid[-1] + 2
        if name == "continuous_bernoulli":
            assert 0 <= draws.min() and draws.max() <= 1
        # 5 standard errors of a mean and of a variance
        np.testing.assert_allclose(draws.mean(dtype=np.float64), mean, atol=5 * math.sqrt(variance / n) + 1e-9)
        np.testing.assert_allclose(draws.var(dtype=np.float64), variance,
                                   atol=5 * math.sqrt(max(fourth - variance**2, 0) / n) + 25 * variance / n + 1e-9)


# The continuous Bernoulli ---------------------------------------------------------------------------------------------

def exact_at_minus(t):
    """A(-t) = log((1 - e^-t) / t) and the mean 1/t - e^-t / (1 - e^-t) with 120 digits."""
    if t == 0:
        return 0.0, 0.5
    with decimal.localcontext(decimal.Context(prec=120)):
        t = decimal.Decimal(float(t))
        e = (-t).exp()
        return float(((1 - e) / t).ln()), float(1 / t - e / (1 - e))


@every_dtype
def test_a_pixel_that_is_as_good_as_never_on_has_its_small_probability(dtype):
    logits = np.array([-87.0, -50.0, -20.0, -17.0, -1.0, 0.0, 1.0, 20.0], dtype)
    found, sigmoid = make_likelihood("bernoulli").mean({}, logits[None])[0], [1 / (1 + math.exp(-a)) for a in logits]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, sigmoid, rtol=3 * np.finfo(dtype).eps)


@every_dtype
def test_continuous_bernoulli_is_exact_near_zero_across_the_seam_and_far_out(dtype):
    t = np.concatenate([[0, 1e-30, 1e-12, 1e-8, 1e-4, 1e-3, 0.01, 0.3, 1, 5, 30, 100, 1e3, 1e4],
                        np.linspace(1.999, 2.001, 21)]).astype(dtype)
    A, mean = np.array([exact_at_minus(each) for each in t]).T
    exact = {(-1, 0): (A, mean), (-1, 1): (t + A, mean - 1), (1, 0): (t + A, 1 - mean), (1, 1): (A, -mean)}
    for (sign, x), (nll, slope) in exact.items():                  # A(t) = t + A(-t), A'(t) = 1 - A'(-t)
        data = np.full((len(t), 1), x, dtype)
        found, _, d_logits = backward_of(ContinuousBernoulli(), {}, sign * t[:, None], data, np.ones(len(t)))
        few = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, nll, rtol=few, atol=few)
        np.testing.assert_allclose(d_logits[:, 0], slope, rtol=few, atol=0)


def test_continuous_bernoulli_adds_its_normalizer_to_the_cross_entropy():
    rng = np.random.default_rng(0)
    logits, x = 3 * rng.standard_normal((50, 1)), rng.random((50, 1))
    a = logits[:, 0]
    log_C = np.logaddexp(0, a) - np.log((np.exp(a) - 1) / a)
    np.testing.assert_allclose(nll_of(Bernoulli(), {}, logits, x) - nll_of(ContinuousBernoulli(), {}, logits, x),
                               log_C, atol=1e-13)


def test_continuous_bernoulli_refuses_what_has_no_density():
    with pytest.raises(DataError, match=r"values from 0 to 2; a continuous Bernoulli likelihood needs .* \[0, 1\]"):
        ContinuousBernoulli().check(np.array([[0.0, 2.0]]))


# Learned sigmas -------------------------------------------------------------------------------------------------------

def test_the_gradient_of_one_sigma_vanishes_at_the_mean_squared_error():
    """L4, L5, T16: sigma^2 = SSE / (N D) is the lambda that the data ask for; the nll has its minimum there."""
    likelihood, p, outputs, x, _ = problem("gaussian_scalar")
    mse = np.square(outputs - x.repeat(2, axis=0)).mean()
    best = {"logvar": np.array([math.log(mse)])}
    _, d_p, _ = backward_of(likelihood, best, outputs, x, np.ones(6))
    assert abs(d_p["logvar"][0]) <= 1e-13 * outputs.size                     # rounding of sums of that many terms
    lowest = nll_of(likelihood, best, outputs, x).sum()
    for step in (-0.1, 0.1):
        assert nll_of(likelihood, {"logvar": best["logvar"] + step}, outputs, x).sum() > lowest
    np.testing.assert_allclose(lowest, 0.5 * outputs.size * (math.log(2 * math.pi * mse) + 1), rtol=1e-13)
    np.testing.assert_allclose(nll_of(GaussianOptimal(), p, outputs, x), nll_of(likelihood, best, outputs, x),
                               rtol=1e-13)


def test_through_an_optimal_sigma_nothing_flows_if_rows_weigh_the_same():
    """L11, L12, the envelope theorem: the gradient is that of a Gaussian whose sigma is held where it is."""
    _, p, outputs, x, weights = problem("gaussian_optimal")
    residual = outputs - x.repeat(2, axis=0)
    variance = np.square(residual).mean()
    _, d_p, equal = backward_of(GaussianOptimal(), p, outputs, x, np.full(6, 0.25))
    np.testing.assert_allclose(equal, 0.25 * residual / variance, rtol=1e-13)
    assert not d_p["logvar"].any()
    _, _, unequal = backward_of(GaussianOptimal(), p, outputs, x, weights)
    assert np.abs(unequal - weights[:, None] * residual / variance).max() > 1e-2


def test_an_optimal_sigma_has_a_floor_and_its_gradient_there_is_that_of_a_fixed_sigma():
    rng = np.random.default_rng(0)
    x, weights = rng.random((4, 5)), rng.uniform(0, 1, 4)
    outputs = x + 1e-5 * rng.standard_normal((4, 5))
    p = parameters_of(GaussianOptimal(), 5)
    nll, _, d_outputs = backward_of(GaussianOptimal(), p, outputs, x, weights)
    fixed = Gaussian(math.exp(MIN_LOGVAR / 2))
    np.testing.assert_allclose(nll, nll_of(fixed, {}, outputs, x), rtol=1e-12)
    np.testing.assert_allclose(d_outputs, backward_of(fixed, {}, outputs, x, weights)[2], rtol=1e-12)
    assert np.isfinite(nll_of(GaussianOptimal(), p, x, x)).all()              # a perfect reconstruction
    GaussianOptimal().update_running_variance(p, outputs, nll)
    np.testing.assert_allclose(p["logvar"], 0.1 * MIN_LOGVAR, rtol=1e-12)     # a tenth of the way from 0


def test_the_soft_clip_bounds_sigma_below_and_lets_gradients_through():
    """L6, L10."""
    raw = np.linspace(-40, 5, 200)[:, None]
    logvar = GaussianDiagonal().logvar(np.concatenate([np.zeros_like(raw), raw], axis=1))
    assert (logvar >= MIN_LOGVAR).all() and (np.diff(logvar[:, 0]) > 0).all()
    np.testing.assert_allclose(logvar[raw > -2], raw[raw > -2], atol=1e-4)    # softplus(q) - q < exp(-10), q > 10
    x = np.zeros((200, 1))
    nll, _, d_outputs = backward_of(GaussianDiagonal(), {}, np.concatenate([x + 0.5, raw], axis=1), x, np.ones(200))
    assert (d_outputs[:, 1] != 0).all()
    assert nll.max() <= 0.5 * (0.25 * math.exp(-MIN_LOGVAR) + 5 + math.log(2 * math.pi))


def test_a_diagonal_gaussian_with_equal_log_variances_is_a_gaussian_of_that_sigma():
    likelihood, _, outputs, x, weights = problem("gaussian_diagonal")
    outputs[:, 4:] = 0.3
    sigma = float(np.exp(0.5 * likelihood.logvar(outputs)[0, 0]))
    means = outputs[:, :4].copy()
    nll, _, d_outputs = backward_of(likelihood, {}, outputs, x, weights)
    wanted, _, d_means = backward_of(Gaussian(sigma), {}, means, x, weights)
    np.testing.assert_allclose(nll, wanted, rtol=1e-13)
    np.testing.assert_allclose(d_outputs[:, :4], d_means, rtol=1e-13)
    np.testing.assert_array_equal(likelihood.mean({}, outputs), means)


# Frozen ---------------------------------------------------------------------------------------------------------------

def noisy_line(n=96, sigma=0.1):
    """Rows on a line in 6 dimensions plus noise: one latent explains all but sigma."""
    rng = np.random.default_rng(0)
    return 0.5 + rng.standard_normal((n, 1)) * np.linspace(-0.4, 0.4, 6) + sigma * rng.standard_normal((n, 6))


@pytest.fixture(scope="module")
def trained():
    """Models with one sigma, learned and solved for, trained alike."""
    models = {}
    for name in ("gaussian_scalar", "gaussian_optimal"):
        models[name] = VAE(6, 1, hidden=(), likelihood=name, dtype="float64", seed=1)
        models[name].fit(noisy_line(), epochs=60, batch_size=16, learning_rate=0.02)
    return models


def test_a_learned_and_a_solved_sigma_find_the_noise_of_the_data(trained):
    for vae in trained.values():
        logvar = vae.parameters.likelihood["logvar"][0]
        np.testing.assert_allclose(math.exp(logvar / 2), 0.1, rtol=0.15)     # 576 numbers, fitted by 18


def test_the_stored_sigma_is_that_of_the_training_data(trained):
    vae, x = trained["gaussian_optimal"], noisy_line()
    eps = np.random.default_rng(1).standard_normal((len(x), 1))
    mu, logvar = vae.encode(x)
    mse = np.square(vae.decode(mu + np.exp(logvar / 2) * eps) - x).mean()
    # a running mean over about 20 batches of 96 numbers: 2 / sqrt(2 * 20 * 96) and the last steps' drift
    assert abs(vae.parameters.likelihood["logvar"][0] - math.log(mse)) < 0.1


def test_held_out_figures_use_the_stored_sigma_and_not_the_rows_they_score(trained):
    vae = trained["gaussian_optimal"]
    fixed = VAE(6, 1, hidden=(), likelihood="gaussian", sigma=math.exp(vae.parameters.likelihood["logvar"][0] / 2),
                dtype="float64", seed=vae.seed)
    fixed.parameters.flat[:] = vae.parameters.flat[:-1]
    x = noisy_line()[:10] + 0.3                                           # other data: its own sigma* would flatter
    elbos = [evaluate(model, x, importance_samples=20).elbo for model in (vae, fixed)]
    assert elbos[0] == pytest.approx(elbos[1], rel=1e-12)
    held_out = held_out_objective(vae, x)
    assert held_out == pytest.approx(held_out_objective(fixed, x), rel=1e-12)
    assert vae.score(x) == pytest.approx(fixed.score(x), rel=1e-12)
    eps = np.zeros((10, 1))
    assert vae.objective(x, eps).reconstruction < vae.for_evaluation().objective(x, eps).reconstruction - 1
    draws = vae.likelihood.sample(vae.parameters.likelihood, np.zeros((20_000, 6)), np.random.default_rng(0))
    np.testing.assert_allclose(draws.std(), fixed.sigma, rtol=0.02)


def test_measuring_and_differentiating_leave_the_stored_sigma_alone(trained):
    vae, x = trained["gaussian_optimal"], noisy_line()
    before = vae.parameters.flat.copy()
    _, gradient = vae.gradient(x, np.zeros((96, 1)))
    held_out_objective(vae, x)
    evaluate(vae, x, importance_samples=5)
    np.testing.assert_array_equal(vae.parameters.flat, before)
    assert not gradient.likelihood["logvar"].any()


def test_freezing_shares_parameters_and_is_nothing_for_other_likelihoods():
    for name in LIKELIHOODS:
        vae = VAE(6, 2, hidden=(3,), likelihood=name)
        assert (vae.for_evaluation() is vae) == (name != "gaussian_optimal")
        assert vae.for_evaluation().parameters is vae.parameters
    assert isinstance(VAE(6, 2, likelihood="gaussian_optimal").for_evaluation().likelihood, GaussianScalar)


# Where training starts ------------------------------------------------------------------------------------------------

def begin(vae, x):
    """Let training begin, and stop it before the first step moves anything."""
    with mock.patch.object(vae, "forward_backward", side_effect=TrainingError("stopped")):
        with pytest.raises(TrainingError, match="stopped"):
            Trainer(vae, x, batch_size=10).run(1)


@every_likelihood
def test_training_starts_where_the_pixels_have_the_mean_of_the_data(name):
    rng = np.random.default_rng(0)
    x = np.clip(0.4 + 0.2 * rng.standard_normal((200, 6)) * np.linspace(0.2, 1, 6), 0, 1)
    vae = VAE(6, 2, hidden=(), likelihood=name, dtype="float64")
    begin(vae, x)
    bias, p = vae.parameters.decoder.head.b, vae.parameters.likelihood
    np.testing.assert_allclose(vae.likelihood.mean(p, bias[None])[0], x.mean(axis=0), rtol=1e-9)
    if name in ("gaussian_scalar", "gaussian_optimal"):
        np.testing.assert_allclose(math.exp(p["logvar"][0]), x.var(axis=0).mean(), rtol=1e-9)
    if name == "gaussian_diagonal":
        np.testing.assert_allclose(np.exp(vae.likelihood.logvar(bias[None])), x.var(axis=0).mean(), rtol=1e-9)


@every_likelihood
def test_data_without_any_variance_can_be_started_from(name):
    vae = VAE(6, 2, hidden=(), likelihood=name, dtype="float64")
    history = vae.fit(np.ones((20, 6)), epochs=1, batch_size=10).history_
    assert np.isfinite(history[0].train_loss) and np.isfinite(vae.parameters.flat).all()


def test_no_pixel_and_no_sigma_starts_at_an_infinity():
    likelihood, bias = ContinuousBernoulli(), np.empty(3)
    likelihood.init_output_bias({}, bias, np.array([0.0, 0.3, 1.0]), 0.1)
    np.testing.assert_allclose(likelihood.mean({}, bias), [0.02, 0.3, 0.98], rtol=1e-12)
    likelihood, bias = GaussianDiagonal(), np.empty(4)
    likelihood.init_output_bias({}, bias, np.zeros(2), 0.0)
    np.testing.assert_allclose(likelihood.logvar(bias[None])[0], MIN_LOGVAR + 1, rtol=1e-12)


def test_a_second_training_goes_on_from_the_learned_sigma(trained):
    vae = trained["gaussian_scalar"]
    before = vae.parameters.likelihood["logvar"].copy()
    begin(vae, noisy_line() * 3)
    np.testing.assert_array_equal(vae.parameters.likelihood["logvar"], before)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_weight_decay_leaves_the_stored_sigma_alone(optimizer):
    x, vae = noisy_line(), VAE(6, 1, hidden=(), likelihood="gaussian_optimal", dtype="float64")
    trainer = Trainer(vae, x, batch_size=len(x), learning_rate=1e-2, optimizer={"name": optimizer, "weight_decay": 50})
    for step in range(3):
        kept = vae.parameters.likelihood["logvar"][0] if step else None   # the first step begins with the data's
        reconstruction = trainer.step(np.arange(len(x))).reconstruction
        trainer.state.batch = 0
        newest = 2 * reconstruction / 6 - 1 - math.log(2 * math.pi)       # log sigma*^2 of this step: L4 at L11
        if step:
            assert vae.parameters.likelihood["logvar"][0] == pytest.approx(0.9 * kept + 0.1 * newest, rel=1e-12)


def test_sigma_is_where_a_learned_one_starts():
    for name in ("gaussian_scalar", "gaussian_optimal"):
        vae = VAE(6, 2, likelihood=name, sigma=0.3)
        assert vae.likelihood.sigma_of(vae.parameters.likelihood) == pytest.approx(0.3, rel=1e-6)
    with pytest.raises(ConfigurationError, match="sigma is -1"):
        VAE(6, 2, likelihood="gaussian_scalar", sigma=-1)
    for sigma in (1e-200, 1e200):
        with pytest.raises(ConfigurationError, match="sigma is 1e.200; expected 1e-100 to 1e.100"):
            Gaussian(sigma)


# Files, names, likelihoods of one's own -------------------------------------------------------------------------------

@every_likelihood
def test_a_saved_model_loads_back_with_its_likelihood_and_bits(name, tmp_path):
    vae = VAE(6, 2, hidden=(3,), likelihood=name, sigma=0.3)
    vae.parameters.flat[:] = np.random.default_rng(0).standard_normal(vae.parameters.flat.size)
    vae.save(tmp_path / "model.npz")
    loaded = VAE.load(tmp_path / "model.npz")
    assert loaded.likelihood == vae.likelihood and loaded.get_params() == vae.get_params()
    assert vae.get_params()["likelihood"] == name
    np.testing.assert_array_equal(loaded.parameters.flat, vae.parameters.flat)
    assert loaded.set_params(beta=2.0).likelihood == vae.likelihood


def test_a_likelihood_passed_as_an_object_keeps_its_sigma_in_a_file(tmp_path):
    vae = VAE(6, 2, hidden=(3,), likelihood=Gaussian(0.5))
    vae.save(tmp_path / "model.npz")
    assert VAE.load(tmp_path / "model.npz").likelihood == Gaussian(0.5)


class Laplace:
    """|x - m| / s + log(2 s), with one learned log s: all methods its own, nothing inherited."""

    name = "laplace"

    def n_outputs(self, n_visible):
        return n_visible

    def parameter_shapes(self, n_visible):
        return {"log_scale": (1,)}

    def initialize(self, p):
        p["log_scale"][:] = -0.5

    def init_output_bias(self, p, bias, mean, variance):
        bias[:] = mean

    def check(self, x, what="x"):
        pass

    def nll(self, p, outputs, x, nll):
        d_p = {"log_scale": np.empty(1)}
        self.nll_backward(p, outputs, x, np.ones(len(nll)), nll, d_p, np.empty_like(outputs))

    def nll_backward(self, p, outputs, x, d_nll, nll, d_p, d_outputs):
        residual, scale = outputs - np.repeat(x, len(outputs) // len(x), axis=0), np.exp(p["log_scale"][0])
        errors = np.abs(residual).sum(axis=1) / scale
        nll[:] = errors + outputs.shape[1] * np.log(2 * scale)
        d_outputs[:] = d_nll[:, None] * np.sign(residual) / scale
        d_p["log_scale"][:] = d_nll @ (outputs.shape[1] - errors)

    def mean(self, p, outputs):
        return outputs.copy()

    def sample(self, p, outputs, rng):
        return rng.laplace(outputs, np.exp(p["log_scale"][0]))

    def is_density(self, x):
        return True

    def sigma_of(self, p):
        return None

    def for_evaluation(self):
        return self

    def update_running_variance(self, p, outputs, nll):
        pass


def test_a_likelihood_of_ones_own_with_its_own_parameter_trains_and_is_checked():
    rng = np.random.default_rng(0)
    vae = VAE(5, 2, hidden=(4,), activation="tanh", likelihood=Laplace(), n_samples=2, dtype="float64")
    assert vae.parameters.layout.names[-1] == "likelihood.log_scale"
    assert vae.parameters["likelihood.log_scale"][0] == -0.5
    checks = check_model(vae, rng.random((3, 5)), rng.standard_normal((3, 2, 2)))
    assert all(check.ok for check in checks), format_checks(checks)
    vae.fit(rng.random((20, 5)), epochs=1, batch_size=10)
    assert vae.parameters.likelihood["log_scale"][0] != -0.5
    assert isinstance(held_out_objective(vae, rng.random((5, 5))), Objective)


def test_what_an_object_lacks_is_named():
    class Half(Likelihood):
        name = "half"

    with pytest.raises(ConfigurationError, match="lacks check, nll, nll_backward, mean, sample; it needs .*Likelihood"):
        VAE(6, 2, likelihood=Half())


def test_only_zeros_and_ones_have_a_probability_under_a_bernoulli():
    assert Bernoulli().is_density(np.array([[0.0, 1.0], [1.0, 1.0]]))
    assert not Bernoulli().is_density(np.array([[0.0, 1.0], [0.5, 1.0]]))
    assert ContinuousBernoulli().is_density(np.array([[0.5]]))


def test_a_likelihood_without_parameters_has_an_empty_view():
    assert VAE(6, 2).parameters.likelihood == {}
    vae = VAE(6, 2, likelihood="gaussian_scalar")
    vae.parameters.likelihood["logvar"][:] = 3
    assert vae.parameters.flat[-1] == 3 and Parameters.zeros(vae.parameters.layout, "float64").likelihood["logvar"] == 0
