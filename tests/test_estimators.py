"""The estimators: each is the derivative of what it claims to be, and unbiased where it claims to be."""
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import VAE
from scratchvae.errors import ConfigurationError, ScratchVAEError
from scratchvae.estimators import (BASELINES, ESTIMATORS, EVERY, head_gradient, make_estimator, MonteCarlo, Sampled,
                                   ScoreFunction, SPECIMENS, STL)
from scratchvae.estimators.base import Draws
from scratchvae.estimators.importance import bound_loss, normalized
from scratchvae.estimators.sampled import log_weights, sample_kl
from scratchvae.gradcheck import check_model, format_checks
from scratchvae.layers import ACTIVATIONS
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.training import Trainer

WORST_RELATIVE_ERROR = 1e-7                # against differences, extrapolated twice, in float64
QUADRATURE = dict(rtol=1e-8, atol=1e-9)    # 48 nodes on functions as smooth as these leave 1e-10
BOUNDS = ("iwae", "dreg", "iwae_stl")
PATHWISE = ("analytic", "monte_carlo", "stl", "antithetic")


def made(name, *, likelihood="bernoulli", activation="tanh", seed=0, n_samples=2, hidden=(3,), scale=0.3, **settings):
    """A small float64 VAE with random weights and biases; specimens, which cannot be asked for, are put in."""
    frozen = LIKELIHOODS[likelihood]().for_evaluation()
    if name in EVERY and EVERY[name].separate and type(frozen) is not LIKELIHOODS[likelihood]:
        pytest.skip("refused: see test_settings_that_do_not_go_together_are_refused")
    own = name if name in ESTIMATORS else EVERY.get(name, str)()
    vae = VAE(3, 2, hidden=hidden, activation=activation, likelihood=likelihood, sigma=0.7, dtype="float64",
              n_samples=n_samples, **{"estimator": own, **settings})
    vae.parameters.flat += scale * np.random.default_rng(seed).standard_normal(vae.parameters.flat.size)
    return vae


def problem(vae, batch=2, seed=1):
    rng = np.random.default_rng(seed)
    eps = rng.standard_normal((batch, vae.n_samples, vae.n_latent))
    return rng.random((batch, vae.n_visible)), eps if vae.n_samples > 1 else eps[:, 0]


def assert_checks(checks):
    table = format_checks(checks)
    assert all(check.ok for check in checks), table
    assert max(check.worst for check in checks) <= WORST_RELATIVE_ERROR, table


# Differences ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("name", EVERY)
def test_gradient_of_every_segment_agrees_with_differences_of_what_it_derives(name, likelihood):
    """S5, S7, S8, S9 of S1, S2 and S6 against S11; every estimator meets every likelihood, in turn every activation."""
    turn = list(EVERY).index(name) + list(LIKELIHOODS).index(likelihood)
    activation = list(ACTIVATIONS)[turn % len(ACTIVATIONS)]
    vae = made(name, likelihood=likelihood, activation=activation, seed=turn, beta=(1.0, 0.6, 2.0)[turn % 3],
               hidden=((3,), (), (4, 3))[turn % 3])
    assert_checks(check_model(vae, *problem(vae), max_entries=6))


@pytest.mark.parametrize("baseline", BASELINES)
def test_gradient_of_the_score_function_agrees_with_differences_whatever_its_baseline(baseline):
    vae = made("score_function", estimator=ScoreFunction(baseline), n_samples=3)
    assert_checks(check_model(vae, *problem(vae), max_entries=6))


@pytest.mark.parametrize("name", EVERY)
def test_exactly_the_exact_ones_are_derivatives_of_the_reported_loss(name):
    """With eps held: what the others leave out is zero in expectation only."""
    vae = made(name, n_samples=4)
    x, eps = problem(vae)

    class Reported:                                       # the same model without its surrogate
        parameters, objective, gradient = vae.parameters, staticmethod(vae.objective), staticmethod(vae.gradient)

    assert all(check.ok for check in check_model(Reported(), x, eps)) == EVERY[name].exact
    decoder = [check for check in check_model(Reported(), x, eps) if check.name.startswith("decoder.head")]
    assert all(check.ok for check in decoder)             # the decoder's half is the loss's own in all of them


@pytest.mark.parametrize("name", EVERY)
def test_gradient_reports_the_objective(name):
    vae = made(name, n_samples=4, beta=0.7)
    x, eps = problem(vae)
    reported, objective = vae.gradient(x, eps)[0], vae.objective(x, eps)
    assert reported == pytest.approx(objective, rel=1e-12)
    total = objective.reconstruction + 0.7 * objective.kl
    if name in BOUNDS:
        assert objective.loss < total                     # Jensen: the mean of K weights has the larger log (T14)
    else:
        assert objective.loss == pytest.approx(total, rel=1e-12)


# Identities -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("bound, single", [("iwae", "monte_carlo"), ("dreg", "stl"), ("iwae_stl", "stl")])
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_with_one_sample_a_bound_is_the_estimator_that_it_extends(bound, single, beta):
    first, second = (made(name, n_samples=1, beta=beta) for name in (bound, single))
    x, eps = problem(first)
    for one, other in zip(first.gradient(x, eps), second.gradient(x, eps)):
        np.testing.assert_allclose(getattr(one, "flat", one), getattr(other, "flat", other), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradient_is_the_mean_over_examples_whatever_the_order_of_their_samples(name):
    vae = made(name, n_samples=4)
    x, eps = problem(vae, batch=3)
    whole = vae.gradient(x, eps)[1].flat
    singles = [vae.gradient(x[i:i + 1], eps[i:i + 1])[1].flat for i in range(3)]
    np.testing.assert_allclose(whole, np.mean(singles, axis=0), rtol=1e-11, atol=1e-13)
    if name != "antithetic":                              # whose second half is made of the first
        np.testing.assert_allclose(vae.gradient(x, eps[:, ::-1])[1].flat, whole, rtol=1e-11, atol=1e-13)


def test_antithetic_is_the_analytic_gradient_averaged_over_eps_and_minus_eps():
    pair, plain = made("antithetic", n_samples=4), made("analytic", n_samples=2)
    x, eps = problem(plain)
    both = [plain.gradient(x, sign * eps)[1].flat for sign in (1, -1)]
    given = np.concatenate([eps, np.full_like(eps, 9.0)], axis=1)
    np.testing.assert_allclose(pair.gradient(x, given)[1].flat, np.mean(both, axis=0), rtol=1e-11, atol=1e-13)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 50.0, 1e5]))
def test_weights_add_up_to_one_and_the_best_sample_weighs_most(batch, samples, seed, scale):
    log_w = scale * np.random.default_rng(seed).standard_normal((batch, samples)) - 1e6
    v = normalized(log_w)
    np.testing.assert_allclose(v.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(v.argmax(axis=1), log_w.argmax(axis=1))
    loss = bound_loss(log_w)
    assert (loss <= STL().loss(log_w) + 1e-9 * np.abs(log_w).max()).all() and (loss >= -log_w.max(axis=1)).all()


def test_a_weight_that_counts_for_nothing_is_zero():
    """As float32 cotangents such weights were subnormal: a step with 50 samples took three times as long."""
    v = normalized(np.array([[0.0, -30.0, -40.0, -95.0, -800.0]]))
    np.testing.assert_allclose(v[0, 1], np.exp(-30), rtol=1e-12)
    np.testing.assert_array_equal(v[0, 2:], 0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_decoder_backward_for_all_samples_and_one_encoder_pass_for_their_sum(name):
    vae, rows = made(name, n_samples=4), []

    class Spy:
        def __init__(self, title, network):
            self.title, self.network, self.layers = title, network, network.layers

        def forward(self, p, x, y):
            rows.append((self.title, "forward", len(x)))
            self.network.forward(p, x, y)

        def backward(self, p, x, y, d_y, d_p, d_x):
            rows.append((self.title, "backward", len(x)))
            self.network.backward(p, x, y, d_y, d_p, d_x)

        def outputs(self, batch, dtype):
            return self.network.outputs(batch, dtype)

    vae.encoder, vae.decoder = Spy("encoder", vae.encoder), Spy("decoder", vae.decoder)
    vae.gradient(*problem(vae, batch=3))
    assert rows == [("encoder", "forward", 3), ("decoder", "forward", 12), ("decoder", "backward", 12),
                    ("encoder", "backward", 3)]


# Expectations, exact: Z = 1, K = 2, products of Gauss-Hermite rules --------------------------------------------------

def curved(z):
    """A nll with no symmetry, a logistic one, and its derivative: no expectation of it is a polynomial's."""
    return np.logaddexp(0, 1.5 * z - 1) - 2 * z + 0.3 * z**2, 1.5 / (1 + np.exp(1 - 1.5 * z)) - 2 + 0.6 * z


def expected(name, mu, logvar, beta, **settings):
    """(E loss, E d_head) over two samples' noise."""
    estimator = EVERY[name](**settings)
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    eps = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 1)
    probability = np.outer(weights, weights).ravel() / weights.sum()**2
    batch = len(probability)
    estimator.pair(eps, batch)
    head = np.tile([mu, logvar], (batch, 1))
    z = mu + np.exp(logvar / 2) * eps
    nll, slope = curved(z)
    d_head = head_gradient(estimator, head, eps, nll[:, 0], slope, beta=beta, state={"average_loss": 1.7})
    if EVERY[name].closed_form:
        loss = nll.reshape(batch, 2).mean(axis=1) + beta * 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
    else:
        loss = estimator.loss(log_weights(nll[:, 0], sample_kl(head, eps, z), beta))
    return probability @ loss, probability @ d_head


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name, settings", [(name, {}) for name in ESTIMATORS if name != "score_function"]
                         + [("score_function", dict(baseline=b)) for b in BASELINES])
def test_expected_gradient_is_the_derivative_of_the_expected_loss(name, settings, beta):
    """S3, S4: what both ways of r give, or one of them, has the expectation of the derivative."""
    mu, logvar, h = 0.4, -0.6, 1e-3

    def slope(step):                                      # fourth order: 8 (f(h) - f(-h)) - (f(2h) - f(-2h)), over 12 h
        f = [expected(name, mu + k * step[0], logvar + k * step[1], beta, **settings)[0] for k in (1, -1, 2, -2)]
        return (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h)

    np.testing.assert_allclose(expected(name, mu, logvar, beta, **settings)[1], [slope((h, 0)), slope((0, h))],
                               **QUADRATURE)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_estimators_of_one_objective_have_one_expectation_and_the_specimen_another(beta):
    mu, logvar = 0.4, -0.6
    exact = expected("analytic", mu, logvar, beta)[1]
    for name in ("monte_carlo", "stl", "antithetic", "score_function"):
        np.testing.assert_allclose(expected(name, mu, logvar, beta)[1], exact, **QUADRATURE)
    bound = expected("iwae", mu, logvar, beta)[1]
    np.testing.assert_allclose(expected("dreg", mu, logvar, beta)[1], bound, **QUADRATURE)
    (specimen,) = SPECIMENS
    assert np.abs(expected(specimen, mu, logvar, beta)[1] - bound).max() > 0.05


# Expectations and variances by drawing, on a linear-Gaussian world ----------------------------------------------------

def draws(estimator, samples, n, *, W, sigma, x, mu, logvar, seed=0, **settings):
    """d_head of n independent examples, (n, 2Z), p(x | z) = N(z W, sigma^2)."""
    estimator = EVERY[estimator](**settings) if isinstance(estimator, str) else estimator
    eps = np.random.default_rng(seed).standard_normal((n * samples, len(mu)))
    estimator.pair(eps, n)
    residual = x - (mu + np.exp(logvar / 2) * eps) @ W
    nll = np.square(residual).sum(axis=1) / (2 * sigma**2)
    head = np.tile(np.concatenate([mu, logvar]), (n, 1))
    return head_gradient(estimator, head, eps, nll, -(residual @ W.T) / sigma**2)


def world(seed=3):
    rng = np.random.default_rng(seed)
    return dict(W=rng.standard_normal((2, 5)), sigma=0.8, x=rng.standard_normal(5), mu=np.array([0.3, -0.5]),
                logvar=np.array([-0.7, 0.4]))


def closed_form(W, sigma, x, mu, logvar):
    d_mu = -(x - mu @ W) @ W.T / sigma**2 + mu
    return np.concatenate([d_mu, 0.5 * np.exp(logvar) * ((W * W).sum(axis=1) / sigma**2 + 1) - 0.5])


def z_score(d_head, exact, others=None):
    n, spread = len(d_head), d_head.var(axis=0) + (0 if others is None else others.var(axis=0))
    return np.abs(d_head.mean(axis=0) - exact) / np.sqrt(np.maximum(spread, 1e-12) / n)       # below that is rounding


@pytest.mark.parametrize("name", [*PATHWISE, "score_function"])
def test_mean_gradient_on_the_oracle_is_the_closed_form(name):
    z = z_score(draws(name, 2, 20_000, **world()), closed_form(**world()))
    assert z.max() < 4                                    # two-sided: once in 4,000 seeds for the four numbers together


def test_dreg_has_the_mean_of_iwae_and_the_specimen_has_not():
    iwae = draws("iwae", 8, 20_000, **world(), seed=5)
    z = {name: z_score(d, iwae.mean(axis=0), iwae).max()
         for name in ("dreg", "iwae_stl") for d in [draws(name, 8, 20_000, **world())]}
    assert z["dreg"] < 4 and z["iwae_stl"] > 10


def posterior(W, sigma, x, mu, logvar):
    """The world with orthogonal rows of W, and q at its posterior, which is diagonal then."""
    W = np.linalg.qr(W.T)[0].T * np.array([[2.0], [0.7]])
    precision = (W * W).sum(axis=1) / sigma**2 + 1
    return dict(W=W, sigma=sigma, x=x, mu=x @ W.T / sigma**2 / precision, logvar=-np.log(precision))


def test_sticking_the_landing_has_no_variance_where_q_is_the_posterior():
    landed = posterior(**world())
    variance = {name: draws(name, 2, 2000, **landed).var(axis=0).sum() for name in ("stl", "dreg", "analytic")}
    assert variance["stl"] < 1e-20 and variance["dreg"] < 1e-20
    assert variance["analytic"] > 0.1


def near_posterior():
    """As `posterior`, and q moved off it by 0.2 in every mean and log variance: where training ends up."""
    landed = posterior(**world())
    return {**landed, "mu": landed["mu"] + 0.2, "logvar": landed["logvar"] + 0.2}


def test_encoder_signal_to_noise_falls_with_k_for_iwae_and_rises_for_dreg():
    """Rainforth et al. 2018: the signal of IWAE's encoder gradient shrinks as 1/K, its noise as 1/sqrt(K)."""
    def ratio(name, samples):
        found = draws(name, samples, 64_000 // samples, **near_posterior())
        return np.mean(np.abs(found.mean(axis=0)) / found.std(axis=0))

    iwae, dreg = ([ratio(name, k) for k in (1, 8, 64)] for name in ("iwae", "dreg"))
    assert iwae[0] > 2 * iwae[1] > 3 * iwae[2]             # measured: 0.25, 0.08, 0.04
    assert dreg[0] < dreg[1] < dreg[2]                    # measured: 1.2, 2.3, 6.8


def test_score_function_is_noisier_than_the_path_and_a_baseline_helps():
    def variance(name, **settings):
        return draws(name, 4, 5000, **world(), **settings).var(axis=0).sum()

    plain, left_out = (variance("score_function", baseline=b) for b in ("none", "leave_one_out"))
    assert plain > 1.2 * left_out > 5 * variance("analytic")        # measured: 4700, 3200 and 470


# At the edges ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("logvar, logit", [(-40.0, 1e4), (40.0, -1e4), (40.0, 0.0)])
def test_extreme_log_variances_and_logits_give_finite_losses_and_gradients(name, logvar, logit, dtype):
    vae = VAE(5, 2, hidden=(), estimator=EVERY[name](), n_samples=4, dtype=dtype)
    vae.parameters.encoder.head.b[2:] = logvar
    vae.parameters.decoder.head.b[:] = logit
    x, eps = problem(vae)
    with np.errstate(over="ignore", under="ignore"):      # the twins' tanh and exp may say that they saturate
        objective, gradient = vae.gradient(x, eps)
    assert np.isfinite(objective).all() and np.isfinite(gradient.flat).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_float32_gives_the_gradient_of_float64_rounded(name):
    single, double = (made(name, n_samples=4) for _ in range(2))
    x, eps = problem(double)
    single.set_params(dtype="float32").parameters.flat[:] = double.parameters.flat
    difference = single.gradient(x, eps)[1].flat - double.gradient(x, eps)[1].flat
    assert np.abs(difference).max() < 1e-4 * np.abs(double.gradient(x, eps)[1].flat).max()    # 1e3 roundings of 6e-8


@pytest.mark.parametrize("settings, message", [
    (dict(estimator="reinforce"), "'reinforce'; known are analytic, monte_carlo, stl, score_function, antithetic"),
    (dict(estimator="iwae_stl"), "'iwae_stl'; known are"),
    (dict(estimator="iwae", n_samples=0), "n_samples is 0"),
    (dict(estimator="antithetic"), "n_samples is 1; estimator 'antithetic' pairs"),
    (dict(estimator="antithetic", n_samples=3), "n_samples is 3"),
    (dict(estimator=ScoreFunction("leave_one_out")), "n_samples is 1; baseline 'leave_one_out'"),
    (dict(estimator=ScoreFunction), "estimator is the class ScoreFunction"), (dict(estimator=3), "estimator is a int"),
    (dict(estimator="dreg", likelihood="gaussian_optimal"), "depends on its own z alone"),
    (dict(estimator="score_function", likelihood="gaussian_optimal"), "depends on its own z alone"),
    (dict(beta=-0.1), "beta is -0.1"), (dict(beta=np.nan), "beta is nan"), (dict(beta=True), "beta is True"),
])
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        VAE(6, **settings)


@pytest.mark.parametrize("name, settings, message", [
    ("analytic", dict(baseline="moving_average"), "only 'score_function' has a baseline"),
    ("score_function", dict(baseline="ema"), "'ema'; known are none, moving_average, leave_one_out"),
    ("iwae", dict(k=3), "k is 3 and estimator 'iwae'; only another has a k"),
])
def test_an_estimators_own_settings_are_checked(name, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        make_estimator(name, **settings)


FITS = dict(estimator="stl", head=np.zeros((2, 4)), eps=np.ones((4, 2)), nll=np.ones(4), d_nll_dz=np.ones((4, 2)))


@pytest.mark.parametrize("wrong, message", [
    (dict(estimator="reinforce"), "estimator is 'reinforce'"), (dict(head=np.zeros((2, 3))), "head has shape"),
    (dict(eps=np.ones((3, 2))), "head has shape .* and eps"), (dict(nll=np.ones(3)), "nll has shape"),
    (dict(d_nll_dz=np.ones((4, 2), np.float32)), "d_nll_dz float32"), (dict(eps=[[1.0, 1.0]] * 4), "eps is a list"),
    (dict(state={"average_loss": np.nan}), "average_loss has 1 values"), (dict(beta=-1), "beta is -1"),
    (dict(estimator=ScoreFunction("leave_one_out"), head=np.zeros((4, 4))), "n_samples is 1; baseline 'leave_one_out'"),
    (dict(estimator="antithetic", head=np.zeros((4, 4))), "n_samples is 1; estimator 'antithetic'")])
def test_a_head_gradient_of_arrays_that_do_not_fit_is_refused(wrong, message):
    """The kernels trust their callers: they would read beyond the arrays."""
    with pytest.raises(ScratchVAEError, match=message):
        head_gradient(**{**FITS, **wrong})


def test_save_and_load_know_the_estimator(tmp_path):
    vae = VAE(6, 2, hidden=(3,), estimator=ScoreFunction("leave_one_out"), n_samples=3)
    vae.save(tmp_path / "model.npz")
    loaded = VAE.load(tmp_path / "model.npz")
    assert loaded.get_params() == vae.get_params()
    assert loaded.get_params()["estimator"] == ScoreFunction("leave_one_out")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_trains(name):
    x = (np.random.default_rng(0).random((64, 6)) < [0.1, 0.9, 0.5, 0.1, 0.9, 0.5]).astype(np.float32)
    vae = VAE(6, 2, hidden=(5,), estimator=name, n_samples=2, seed=1)
    history = vae.fit(x, epochs=20, batch_size=16, learning_rate=1e-2, output_bias="zero").history_
    assert history[-1].train_loss < history[0].train_loss - 0.3


def test_the_moving_average_knows_only_earlier_steps():
    vae, seen = VAE(6, 2, hidden=(3,), estimator=ScoreFunction("moving_average")), []
    step_taken = vae.forward_backward

    def watched(ws, gradient, beta, state):
        objective = step_taken(ws, gradient, beta, state)
        seen.append((state["average_loss"], objective.loss))
        return objective

    vae.forward_backward = watched
    trainer = Trainer(vae, np.random.default_rng(0).random((40, 6)), batch_size=10)
    trainer.run(1)
    assert trainer.state.estimator["steps"] == len(seen) == 4
    assert seen[0][0] == 0 and seen[1][0] == seen[0][1]
    assert seen[2][0] == pytest.approx(0.9 * seen[1][0] + 0.1 * seen[1][1], rel=1e-12)


def test_baselines_are_nothing_the_average_and_the_mean_of_the_other_samples():
    cost = np.array([[1.0, 2.0, 6.0]])
    assert BASELINES["none"](cost, 7.0) == 0 and BASELINES["moving_average"](cost, 7.0) == 7
    np.testing.assert_array_equal(BASELINES["leave_one_out"](cost, 7.0), [[4, 3.5, 1.5]])
    draws = Draws(None, None, None, None, -cost, None, None, None)
    for baseline, left in (("none", cost), ("moving_average", cost - 7), ("leave_one_out", [[-3.0, -1.5, 4.5]])):
        centered = ScoreFunction(baseline).centered(draws, {"average_loss": 7.0, "steps": 1})
        np.testing.assert_array_equal(centered, left)


@pytest.mark.parametrize("name", EVERY)
def test_an_example_that_counts_a_quarter_gives_a_quarter_of_the_heads_gradient(name):
    """The lab writes a head's gradient for 1/B = 1 only, and the closed form is otherwise written by elbo."""
    rng, d_heads = np.random.default_rng(3), []
    head, log_w = rng.standard_normal((2, 4)), rng.standard_normal((2, 3))
    eps, z, d_z = rng.standard_normal((3, 6, 2))
    for share in (1.0, 0.25):
        d_heads.append(np.full_like(head, np.nan))
        EVERY[name]().write_head(Draws(head, eps, z, share * d_z, log_w, normalized(log_w), 0.7, share), d_heads[-1])
    np.testing.assert_allclose(d_heads[1], 0.25 * d_heads[0], rtol=1e-12, atol=1e-14)


# One's own ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HalfPath(Sampled):
    """Half of STL and half of the total derivative: both have the ELBO's expectation, so this has it as well."""

    name = "half_path"
    exact = False

    def write_head(self, draws, d_head, state=None):
        other = np.empty_like(d_head)
        MonteCarlo().write_head(draws._replace(d_z=draws.d_z.copy()), other)
        STL().write_head(draws, d_head)
        d_head[:] = 0.5 * (d_head + other)


def test_an_estimator_of_ones_own_is_one_class():
    """It trains, is measured and is unbiased; only a file cannot hold it, and says so."""
    z = z_score(draws(HalfPath(), 2, 20_000, **world()), closed_form(**world()))
    assert z.max() < 4
    vae = made("half_path", estimator=HalfPath())
    x = (np.random.default_rng(0).random((64, 3)) < [0.1, 0.9, 0.5]).astype(np.float32)
    history = Trainer(vae, x, batch_size=16, learning_rate=1e-2).run(10)
    assert history[-1].train_loss < history[0].train_loss
    with pytest.raises(ConfigurationError, match="HalfPath.* is a custom object"):
        vae.save("never-written.npz")
