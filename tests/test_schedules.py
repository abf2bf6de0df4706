"""Schedules of beta: pure functions of the step, penalties with their gradients, and runs that can be cut anywhere."""
from dataclasses import dataclass

import numpy as np
import pytest
from test_cli import command, result
from test_training import require_same_run

from scratchvae import Autoencoder, VAE
from scratchvae.errors import ConfigurationError
from scratchvae.estimators import ScoreFunction
from scratchvae.gradcheck.numerical import numerical_gradient
from scratchvae.parameters import Parameters
from scratchvae.probability.divergences import kl_terms
from scratchvae.schedules import (as_weight, Capacity, Constant, Cyclical, FreeBits, KLWeight, Linear, make_schedule,
                                  SCHEDULES, Target)
from scratchvae.training import Trainer

ALL = [Constant(0.5), Linear(2.0, steps=5, start=0.5), Cyclical(1.0, steps=4), FreeBits(0.1),
       Capacity(3.0, steps=6, beta=2.0)]


def data(n=40, d=6):
    return np.random.default_rng(0).random((n, d)).astype(np.float32)


def made(**settings):
    return VAE(6, 2, hidden=(5,), **settings)


def random_vae(estimator, n_samples):
    hidden = (3,) * (n_samples - 1)                      # none, one and two layers
    vae = VAE(4, 3, hidden=hidden, activation="tanh", estimator=estimator, n_samples=n_samples, dtype="float64")
    vae.parameters.flat += 0.4 * np.random.default_rng(0).standard_normal(vae.parameters.flat.size)
    return vae


@pytest.mark.parametrize("schedule, steps, betas", [
    (Constant(0.5), (0, 10**9), (0.5, 0.5)),
    (Linear(1.0, steps=10), (0, 5, 10, 11), (0, 0.5, 1, 1)),
    (Linear(0.0, steps=10, start=4.0), (0, 5, 10), (4, 2, 0)),
    (Cyclical(2.0, steps=10, ramp=0.5), (0, 1, 5, 9, 10, 11), (0, 0.4, 2, 2, 0, 0.4)),
    (Cyclical(2.0, steps=10, ramp=1.0), (5, 9), (1.0, 1.8)),
])
def test_beta_at_a_step(schedule, steps, betas):
    np.testing.assert_allclose([schedule.at(step).beta for step in steps], betas, rtol=1e-12)


def test_capacity_moves_its_target():
    assert [Capacity(12.0, steps=4).at(step).nats for step in (0, 1, 4, 9)] == [0, 3, 12, 12]


@pytest.mark.parametrize("estimator, n_samples", [("analytic", 1), ("analytic", 3), ("antithetic", 2)])
@pytest.mark.parametrize("part", [0.2, 0.8])
@pytest.mark.parametrize("kind", ["free_bits", "capacity"])
def test_gradient_of_a_penalized_objective_agrees_with_differences(kind, part, estimator, n_samples):
    """S10.  Latents, or the whole KL, on both sides of the kink: the level lies between the KLs that there are."""
    vae = random_vae(estimator, n_samples)
    ws, rng = vae.workspace(3), np.random.default_rng(1)
    ws.x[:], ws.eps[:] = rng.random(ws.x.shape), rng.standard_normal(ws.eps.shape)
    kl = kl_terms(*vae.encode(ws.x)).mean(axis=0)
    if kind == "free_bits":
        penalty = FreeBits(nats=float(np.quantile(kl, part)), beta=1.5)
        assert 0 < (kl > penalty.nats).sum() < 3
    else:
        penalty = Target(nats=2 * part * float(kl.sum()), beta=1.5)
    gradient = Parameters(vae.parameters.layout, np.full(vae.parameters.flat.size, np.nan))
    objective = vae.forward_backward(ws, gradient, penalty)
    assert objective == pytest.approx(vae.forward(ws, penalty), rel=1e-12)
    assert objective.loss == pytest.approx(objective.reconstruction + penalty.value(kl), rel=1e-12)
    for name, array in vae.parameters.segments():
        found = numerical_gradient(lambda: vae.forward(ws, penalty).loss, array, max_entries=6)
        error = np.abs(found.values - gradient[name].ravel()[found.entries])
        assert (error <= found.bounds + 1e-7 * np.abs(gradient[name]).max()).all() and not found.kinks.any(), name
        assert (found.bounds <= 1e-6 * np.abs(gradient[name]).max()).all(), f"{name}: the differences saw nothing"


def test_free_bits_of_nothing_and_a_target_below_are_beta_times_the_kl():
    vae = random_vae("analytic", 1)
    ws, rng = vae.workspace(3), np.random.default_rng(1)
    ws.x[:], ws.eps[:] = rng.random(ws.x.shape), rng.standard_normal(ws.eps.shape)
    plain, free, target = (Parameters.zeros(vae.parameters.layout, "float64") for _ in range(3))
    loss = vae.forward_backward(ws, plain, 2.0).loss
    assert vae.forward_backward(ws, free, FreeBits(0.0, beta=2.0)).loss == pytest.approx(loss, rel=1e-12)
    assert vae.forward_backward(ws, target, Target(0.0, beta=2.0)).loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(free.flat, plain.flat, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(target.flat, plain.flat, rtol=1e-11, atol=1e-13)


def test_a_penalty_pushes_nowhere_on_its_kink():
    assert FreeBits(0.25).slope(np.array([0.25])) == 0
    assert Target(1.0, 5.0).slope(np.array([0.5, 0.5])).tolist() == [0, 0]


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: type(schedule).__name__)
def test_a_run_cut_after_any_step_and_resumed_ends_in_the_same_bits(schedule):
    require_same_run(made, cut=5, beta=schedule)


def test_a_resumed_score_function_has_its_moving_average_back():
    require_same_run(lambda: made(estimator=ScoreFunction("moving_average"), dtype="float64"), cut=5)


def test_each_step_is_taken_with_the_beta_of_its_number():
    seen, schedule, vae = [], Linear(1.0, steps=5), made()
    step_taken = vae.forward_backward

    def watched(ws, gradient, beta, state):
        seen.append(beta)
        return step_taken(ws, gradient, beta, state)

    vae.forward_backward = watched
    Trainer(vae, data(), batch_size=16, beta=schedule).run(3)
    assert seen == [schedule.at(step) for step in range(9)]


def test_held_out_losses_are_measured_with_the_model_s_own_beta():
    vae = made(beta=0.5)
    last = Trainer(vae, data(), batch_size=16, validation=data(), beta=Linear(0.5, steps=1000)).run(1)[-1]
    assert last.test_loss == pytest.approx(last.test_reconstruction + 0.5 * last.test_kl)
    assert last.train_loss < last.train_reconstruction + 0.01 * last.train_kl
    assert vae.get_params()["beta"] == 0.5


def test_a_number_is_a_constant_schedule():
    assert as_weight(0.5) == Constant(0.5) and as_weight(ALL[1]) is ALL[1]
    first, second = made(), made(beta=3.0)
    first.fit(data(), epochs=1, batch_size=16, beta=3.0)
    second.fit(data(), epochs=1, batch_size=16)
    np.testing.assert_array_equal(first.parameters.flat, second.parameters.flat)


@pytest.mark.parametrize("make, message", [
    (lambda: Constant(-1.0), "beta is -1.0"), (lambda: Linear(np.nan), "beta is nan"),
    (lambda: Linear(1.0, steps=0), "steps is 0"), (lambda: Linear(1.0, steps=2.5), "steps is 2.5"),
    (lambda: Linear(1.0, start=-1.0), "start is -1.0"), (lambda: Cyclical(1.0, ramp=0.0), "ramp is 0.0"),
    (lambda: Cyclical(1.0, ramp=1.5), "ramp is 1.5"), (lambda: FreeBits(-0.1), "nats is -0.1"),
    (lambda: Capacity(np.inf), "nats is inf"), (lambda: Capacity(1.0, steps=0), "steps is 0"),
    (lambda: as_weight("linear"), "beta is 'linear'"), (lambda: as_weight(Linear), "beta is <class"),
    (lambda: Linear().at(-1), "step is -1"), (lambda: Capacity().at(None), "step is None"),
    (lambda: Constant(10**400), "beta is 1000"),
    (lambda: make_schedule("cosine", 1.0, 1, 1.0), "name is 'cosine'; known are"),
    (lambda: made().fit(data(), batch_size=16, beta=-1), "beta is -1"),
    (lambda: Autoencoder(6, 2).fit(data(), batch_size=16, beta=Linear()), "kind 'ae' has no KL"),
    (lambda: made(estimator="iwae").fit(data(), batch_size=16, beta=FreeBits()), "closed form.*'analytic', 'anti"),
])
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("beta, message", [
    (-1, "beta is -1"), (np.nan, "beta is nan"), (True, "beta is True"), (np.ones(2), "beta is array"),
    (Linear(1.0, 10), "Pass a schedule to fit"), (FreeBits(0.1), "Pass a schedule to fit")])
def test_a_beta_that_cannot_work_is_refused_where_it_is_assigned(beta, message):
    vae = made()
    for refuse in (lambda: setattr(vae, "beta", beta), lambda: made(beta=beta), lambda: vae.set_params(beta=beta)):
        with pytest.raises(ConfigurationError, match=message):
            refuse()
    assert vae.beta == 1.0


@pytest.mark.parametrize("beta", [np.float32(0.5), np.float16(0.5), np.int64(2), 2])
def test_a_number_of_numpy_s_is_a_beta_and_goes_into_a_file(beta, tmp_path):
    vae = made().fit(data(), epochs=1, batch_size=16)
    vae.beta = beta
    vae.partial_fit(data(), epochs=1, batch_size=16).save(tmp_path / "model.npz")
    assert type(vae.beta) is float and VAE.load(tmp_path / "model.npz").beta == beta


def test_a_schedule_of_one_s_own_is_checked_at_every_step():
    class Falling(KLWeight):
        def at(self, step):
            return Constant(1.0 - step)

    with pytest.raises(ConfigurationError, match="beta is -1.0"):
        made().fit(data(), epochs=3, batch_size=16, beta=Falling())


class Own(KLWeight):
    """The protocol's methods, and nothing else."""

    def value(self, kl):
        return 0.5 * np.sum(kl)

    def slope(self, kl):
        return 0.5 if kl is None else np.full(len(kl), 0.5)


@pytest.mark.parametrize("by_latent, estimator", [(True, "analytic"), (False, "analytic"), (False, "iwae"),
                                                  (False, "monte_carlo")])
def test_a_weight_of_one_s_own_trains_as_the_constant_does(by_latent, estimator):
    weight = type("Own", (Own,), {"by_latent": by_latent})()
    own, half = (made(estimator=estimator).fit(data(), epochs=2, batch_size=16, beta=beta) for beta in (weight, 0.5))
    np.testing.assert_allclose(own.parameters.flat, half.parameters.flat, rtol=1e-12)
    assert np.isnan(own.history_.column("beta")).all()


def test_a_weight_of_one_s_own_may_be_a_dataclass_with_more_fields():
    @dataclass(frozen=True)
    class Mine(Own):
        beta: float
        steps: int

    assert made().fit(data(), epochs=1, batch_size=16, beta=Mine(0.5, 3)).history_[0].beta == 0.5
    weight = Own()
    weight.beta = np.full(2, 0.5)                                 # one a latent is not one number
    assert np.isnan(made().fit(data(), epochs=1, batch_size=16, beta=weight).history_[0].beta)


def test_an_epoch_that_cannot_be_written_down_leaves_no_torn_state(tmp_path):
    vae, weight = made().fit(data(), epochs=1, batch_size=16), Own()
    weight.beta = "half"
    with pytest.raises(ValueError):
        vae.partial_fit(data(), batch_size=16, beta=weight)
    vae.save(tmp_path / "model.npz")
    assert len(VAE.load(tmp_path / "model.npz").history_) == vae._training.epoch == 1


def test_schedules_have_the_names_of_the_command_line():
    for name, kind in SCHEDULES.items():
        assert isinstance(make_schedule(name, beta=2.0, steps=7, nats=0.5), kind)
    assert make_schedule("capacity", 2.0, 7, 0.5) == Capacity(0.5, 7, 2.0)


def test_train_takes_estimator_and_schedule(capsys, tmp_path):
    folder = tmp_path / "run"
    flags = ["--data", "digits", "--hidden", 8, "--latent", 3, "--out", folder]
    said = ["--estimator", "antithetic", "--samples", 2, "--schedule", "capacity", "--schedule-steps", 20, "--nats", 3]
    got = result(capsys, "train", *flags, "--epochs", 1, *said)
    again = result(capsys, "train", *flags, "--epochs", 2, "--resume")
    assert again["epochs"] == 2 and np.isfinite([got["test_loss"], again["test_loss"]]).all()
    vae = VAE.load(folder / "model.npz")
    assert vae.estimator.name == "antithetic" and vae.n_samples == 2
    status, _, err = command(capsys, "train", *flags, "--epochs", 3, "--resume", "--nats", 4)
    assert status == 2 and "--nats is 4.0" in err


@pytest.mark.parametrize("flags, message", [
    (["--estimator", "iwae", "--samples", 0], "--samples is 0"), (["--beta", -1], "beta is -1.0"),
    (["--estimator", "stl", "--schedule", "free_bits"], "closed form"),
    (["--schedule", "linear", "--schedule-steps", 0], "steps is 0"),
    (["--model", "ae", "--schedule", "linear"], "it counts only if that is vae"),
])
def test_train_refuses_what_cannot_work_in_one_line(capsys, tmp_path, flags, message):
    status, _, err = command(capsys, "train", "--data", "digits", "--out", tmp_path / "run", *flags)
    assert status == 2 and message in err and len(err.splitlines()) == 1
