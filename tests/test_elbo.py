"""The objective and its gradient: what must hold whatever the numbers are."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import Autoencoder, VAE
from scratchvae.gradcheck import check_model, format_checks
from scratchvae.kernels.gaussian import gaussian_forward
from scratchvae.layers import ACTIVATIONS
from scratchvae.likelihoods import Gaussian, LIKELIHOODS
from scratchvae.training import Trainer

# The identities below are exact in real numbers; float64 sums of at most 1e3 terms of size 1e2 leave 1e-12 of them.
EXACT = dict(rtol=1e-11, atol=1e-12)
WORST_RELATIVE_ERROR = 1e-6            # against central differences, where no kink is crossed


@st.composite
def problems(draw, model=VAE, **fixed):
    """(model, X, eps): sides, kind and scale are drawn, the numbers come from a seed; biases are not zero."""
    n_visible, n_latent = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    hidden = draw(st.lists(st.integers(1, 5), max_size=2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    settings = dict(activation=draw(st.sampled_from(list(ACTIVATIONS))),
                    likelihood=draw(st.sampled_from(list(LIKELIHOODS))), sigma=draw(st.sampled_from([0.3, 1.0])))
    if model is VAE:
        settings |= dict(beta=draw(st.sampled_from([0.0, 0.5, 1.0, 4.0])), n_samples=draw(st.integers(1, 3)))
    made = model(n_visible, n_latent, hidden=hidden, dtype="float64", **settings, **fixed)
    made.parameters.flat += draw(st.sampled_from([0.1, 0.5])) * rng.standard_normal(made.parameters.flat.size)
    batch = draw(st.integers(1, 5))
    x, eps = rng.random((batch, n_visible)), rng.standard_normal((batch, made.n_samples, n_latent))
    return made, x, eps if made.n_samples > 1 else eps[:, 0]


def assert_checks(checks):
    table = format_checks(checks)
    assert all(check.ok for check in checks), table
    assert max(check.worst for check in checks) <= WORST_RELATIVE_ERROR, table


@given(problems())
def test_gradient_of_every_vae_segment_agrees_with_differences(problem):
    """E1, E2, E3, E4, E5, E6, E7, and D1, D2, D3, D4, D5 in every layer."""
    assert_checks(check_model(*problem))


@given(problems(model=Autoencoder))
def test_gradient_of_every_autoencoder_segment_agrees_with_differences(problem):
    model, x, _ = problem
    assert_checks(check_model(model, x, None))
    assert model.objective(x).kl == model.gradient(x)[0].kl == 0


@given(problems())
def test_reported_loss_is_the_differentiated_loss(problem):
    model, x, eps = problem
    assert model.objective(x, eps) == pytest.approx(model.gradient(x, eps)[0], rel=1e-12)


@given(problems(), st.floats(0, 10))
def test_loss_is_linear_in_beta(problem, beta):
    model, x, eps = problem
    first = model.objective(x, eps)
    second = type(model)(**{**model.get_params(), "beta": beta})
    second.parameters.flat[:] = model.parameters.flat
    difference = second.objective(x, eps).loss - first.loss
    np.testing.assert_allclose(difference, (beta - model.beta) * first.kl, rtol=1e-9, atol=1e-10)


@given(problems())
def test_kl_is_never_negative(problem):
    model, x, eps = problem
    assert model.objective(x, eps).kl >= 0


def test_kl_is_zero_exactly_where_the_posterior_is_the_prior():
    head, z, kl = np.zeros((2, 6)), np.empty((2, 3)), np.empty(2)
    head[1, 0] = 1e-3
    gaussian_forward(head, np.zeros((2, 3)), z, kl)
    assert kl[0] == 0
    np.testing.assert_allclose(kl[1], 0.5e-6, rtol=1e-12)


@given(problems())
def test_batch_objective_and_gradient_are_the_mean_of_single_ones(problem):
    """So it is whenever rows do not depend on each other, as by a sigma that is solved for on the batch."""
    model, x, eps = problem
    model = model.for_evaluation()
    whole, gradient = model.gradient(x, eps)
    singles = [model.gradient(x[i:i + 1], eps[i:i + 1]) for i in range(len(x))]
    np.testing.assert_allclose(whole, np.mean([one for one, _ in singles], axis=0), **EXACT)
    np.testing.assert_allclose(gradient.flat, np.mean([one.flat for _, one in singles], axis=0), **EXACT)


@given(problems(), st.randoms())
def test_order_of_the_batch_does_not_matter(problem, random):
    model, x, eps = problem
    order = list(range(len(x)))
    random.shuffle(order)
    objective, gradient = model.gradient(x, eps)
    shuffled_objective, shuffled_gradient = model.gradient(x[order], eps[order])
    np.testing.assert_allclose(objective, shuffled_objective, **EXACT)
    np.testing.assert_allclose(gradient.flat, shuffled_gradient.flat, **EXACT)


@given(problems())
def test_gradient_changes_neither_model_nor_arguments(problem):
    model, x, eps = problem
    before = [model.parameters.flat.copy(), x.copy(), eps.copy()]
    first = model.gradient(x, eps)[1].flat
    second = model.gradient(x, eps)[1].flat
    for now, then in zip((model.parameters.flat, x, eps), before):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(first, second)


def test_standard_deviation_of_a_sample_is_exp_of_half_logvar():
    """E2, T10."""
    n, logvar = 200_000, np.array([-4.0, -1.0, 0.0, 1.5])
    mu = np.array([0.0, 3.0, -2.0, 1.0])
    eps = np.random.default_rng(0).standard_normal((n, 4))
    z, kl = np.empty((n, 4)), np.empty(1)
    gaussian_forward(np.concatenate([mu, logvar])[None], eps, z, kl)
    np.testing.assert_allclose(z.mean(axis=0), mu, atol=5 * np.exp(0.75) / np.sqrt(n))          # 5 standard errors
    np.testing.assert_allclose(z.std(axis=0), np.exp(logvar / 2), rtol=5 / np.sqrt(2 * n))
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(4), atol=5 / np.sqrt(n))


def test_zero_weights_give_d_log_2_nats_of_reconstruction():
    model = VAE(10, 2, hidden=(3,), dtype="float64")
    model.parameters.flat[:] = 0
    x = np.random.default_rng(0).random((4, 10))
    objective = model.objective(x, np.ones((4, 2)))
    np.testing.assert_allclose(objective, (10 * np.log(2), 10 * np.log(2), 0), rtol=1e-14)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_trainer_uses_the_gradient_at_the_current_parameters(likelihood):
    """RV29/VAE's backward kept the initial weights for ever: its gradient check at the start could not see that."""
    rng = np.random.default_rng(0)
    data = rng.random((40, 6))
    model = VAE(6, 2, hidden=(5,), activation="tanh", likelihood=likelihood, dtype="float64")
    trainer = Trainer(model, data, batch_size=8, learning_rate=1e-2)
    start = model.parameters.flat.copy()
    trainer.run(4)
    assert trainer.state.optimizer.step == 20
    assert np.abs(model.parameters.flat - start).max() > 1e-2
    used = model.parameters.copy()
    trainer.step(np.arange(40))                      # leaves its batch, noise and gradient in the workspace
    moved = model.parameters.flat.copy()
    model.parameters.flat[:] = used.flat
    checks = check_model(model, trainer.ws.x.copy(), trainer.ws.eps.copy())
    assert_checks(checks)
    np.testing.assert_array_equal(model.gradient(trainer.ws.x, trainer.ws.eps)[1].flat, trainer.gradient.flat)
    assert not np.array_equal(moved, used.flat)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])                   # the others: test_likelihoods.py
def test_samples_of_a_likelihood_have_its_mean_and_spread(likelihood):
    made = LIKELIHOODS[likelihood]()
    outputs = np.array([[-2.0, 0.0, 0.5, 3.0]]).repeat(50_000, axis=0)
    draws = made.sample({}, outputs, np.random.default_rng(0))
    mean = made.mean({}, outputs)[0]
    spread = made.sigma * np.ones(4) if isinstance(made, Gaussian) else np.sqrt(mean * (1 - mean))
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * spread.max() / np.sqrt(50_000))
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.05)


def test_gaussian_loss_with_fixed_sigma_is_half_squared_error_plus_lambda_kl():
    """T16, halved: half squared error + sigma^2 KL is this objective times sigma^2, up to a constant."""
    rng = np.random.default_rng(1)
    lam, x, eps = 0.3, rng.random((5, 6)), rng.standard_normal((5, 2))
    model = VAE(6, 2, hidden=(4,), likelihood="gaussian", sigma=np.sqrt(lam), dtype="float64")
    mu, logvar = model.encode(x)
    half_error = 0.5 * np.square(x - model.decode(mu + np.exp(logvar / 2) * eps)).sum(axis=1).mean()
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()
    constant = 6 * (np.log(np.sqrt(lam)) + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(lam * (model.objective(x, eps).loss - constant), half_error + lam * kl, rtol=1e-12)
