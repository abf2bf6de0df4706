"""What steers training from outside of a step: learning rates, decay, clipping, early stopping, the best epoch."""
import copy
import csv
import math
import warnings
from unittest import mock

import numpy as np
import pytest
from test_cli import command, result
from test_run_folder import bits, refused, write_data
from test_training import require_same_run

from scratchvae import Autoencoder, VAE
from scratchvae.cli.run_folder import HISTORY, MODEL, Run
from scratchvae.data.loading import load_data
from scratchvae.errors import ConfigurationError, RunError, ScratchVAEWarning, ShapeError
from scratchvae.history import TrainingState
from scratchvae.learning_rates import Burda, Cosine, make_rate, Rate, Steps, WarmUp
from scratchvae.model_files import load_run
from scratchvae.optimizers import Adam, make_optimizer, SGD
from scratchvae.schedules import Linear
from scratchvae.storage.checkpoint import load_arrays, save_arrays
from scratchvae.training import held_out_objective, Trainer

FULL = dict(learning_rate=WarmUp(Steps(0.05, decay_every=1, decay_factor=0.5), epochs=1.5), keep="best",
            optimizer={"name": "adam", "epsilon": 1e-4, "weight_decay": 0.1, "clip_norm": 0.5})
QUICK = ["--hidden", 4, "--latent", 2, "--batch-size", 10]


def data(n=50, seed=0):
    return np.random.default_rng(seed).random((n, 6)).astype(np.float32)


def made(kind=VAE, **settings):
    return kind(6, 2, hidden=(5,), **settings)


def fitted(model, x, **settings):
    return model.fit(x, **{"batch_size": 8, **settings})


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: [])


@pytest.mark.parametrize("rate, times, rates", [
    (Rate(0.5), (0, 9.5), (0.5, 0.5)),
    (Steps(1.0, decay_every=2, decay_factor=0.1), (0, 1.9, 2.1, 4.1), (1, 1, 0.1, 0.01)),
    (Burda(1.0), (0.5, 0.99, 1.01, 3.9, 4.1, 12.9, 13.1, 1092.9, 1093.1, 3279.9),
     [10 ** (-i / 7) for i in (0, 0, 1, 1, 2, 2, 3, 6, 7, 7)]),
    (Cosine(2.0, epochs=4), (0, 1, 2, 4, 5), (2, 1 + math.sqrt(0.5), 1, 0, 0)),
    (WarmUp(Steps(1.0, decay_every=3), epochs=4), (0, 1, 2, 3.2, 5), (0, 0.25, 0.5, 0.08, 0.1)),
])
def test_the_learning_rate_at_a_time(rate, times, rates):                                   # (O5)
    np.testing.assert_allclose([rate.at(epochs) for epochs in times], rates, rtol=1e-12)


def test_the_learning_rate_is_that_of_the_middle_of_each_step():
    seen = []
    trainer = Trainer(made(), data(), batch_size=16, learning_rate=Cosine(1e-2, epochs=2))
    trainer.run(2, after_step=lambda trainer, _: seen.append(trainer.state.optimizer.learning_rate))
    np.testing.assert_allclose(seen, [Cosine(1e-2, epochs=2).at((s + 0.5) / 4) for s in range(8)], rtol=1e-12)
    assert [epoch.learning_rate for epoch in trainer.state.history] == seen[3::4]


@pytest.mark.parametrize("kind, settings", [(Adam, dict(beta1=0.8, beta2=0.9, epsilon=0.01)),
                                            (SGD, dict(momentum=0.5))])
@pytest.mark.parametrize("clip", [None, 2.0, 1e9])
def test_a_step_is_the_scalar_rule_with_clipping_and_decay(kind, settings, clip):      # (O3), (O4), then O1 or O2
    rate, decay, rng = 0.1, 0.3, np.random.default_rng(0)
    theta = rng.standard_normal(3)
    optimizer, by_hand = kind(3, "float64", rate, weight_decay=decay, clip_norm=clip, **settings), theta.tolist()
    m, v = [0.0] * 3, [0.0] * 3
    for step in range(1, 4):
        gradient = rng.standard_normal(3) * 5
        norm = math.sqrt(sum(g * g for g in gradient.tolist()))
        shorter = [g * min(1, (clip or math.inf) / norm) for g in gradient.tolist()]
        optimizer.update(theta, gradient)
        for i, g in enumerate(shorter):
            by_hand[i] -= rate * decay * by_hand[i]
            if kind is SGD:
                v[i] = 0.5 * v[i] + g
                by_hand[i] -= rate * v[i]
            else:
                m[i], v[i] = 0.8 * m[i] + 0.2 * g, 0.9 * v[i] + 0.1 * g * g
                by_hand[i] -= rate * (m[i] / (1 - 0.8**step)) / (math.sqrt(v[i] / (1 - 0.9**step)) + 0.01)
    np.testing.assert_allclose(theta, by_hand, rtol=1e-12)


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_a_run_with_all_of_it_that_is_cut_ends_in_the_same_bits(cut):
    resumed = require_same_run(made, cut, epochs=4, validation=data(seed=1), beta=Linear(1.0, steps=6), **FULL)
    assert resumed.state.best is not None
    np.testing.assert_allclose([epoch.beta for epoch in resumed.state.history], [0.5, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("kind", [VAE, Autoencoder])
def test_training_stops_when_patience_ends_and_keeps_the_best_epoch(kind):
    settings = dict(validation=data(20, seed=9), learning_rate=0.1)       # eight rows are overfitted
    long, model = fitted(made(kind), data(8), epochs=60, **settings), made(kind)
    best = long.history_.best()
    assert 0 < best < 50
    fitted(model, data(8), epochs=60, patience=7, keep="best", **settings)
    stopped = len(model.history_)
    assert stopped == model.history_.best() + 7 < 60
    fewer = fitted(made(kind), data(8), epochs=model.history_.best(), **settings)
    np.testing.assert_array_equal(model.parameters.flat, fewer.parameters.flat)
    last = fitted(made(kind), data(8), epochs=60, patience=7, **settings)
    assert len(last.history_) == stopped and not np.array_equal(last.parameters.flat, model.parameters.flat)


def test_ctrl_c_leaves_the_best_model_and_its_history():
    def interrupt(model, epoch):
        if epoch.epoch == 3:
            raise KeyboardInterrupt
    model, best = made(), made()
    with pytest.raises(KeyboardInterrupt):
        fitted(model, data(), validation=data(seed=1), epochs=9, keep="best", callback=interrupt)
    assert len(model.history_) == 3
    fitted(best, data(), validation=data(seed=1), epochs=model.history_.best())
    np.testing.assert_array_equal(model.parameters.flat, best.parameters.flat)


def test_the_callback_gets_each_epoch_and_can_end_training():
    seen = []
    model = fitted(made(), data(), epochs=9, callback=lambda model, epoch: seen.append(epoch) or epoch.epoch == 4)
    assert seen == list(model.history_) and len(seen) == 4


def test_a_callback_that_is_an_empty_list_is_called():
    class Losses(list):
        def __call__(self, model, epoch):
            self.append(epoch.train_loss)

    losses = Losses()
    history = fitted(made(), data(), epochs=2, callback=losses).history_
    assert losses == history.column("train_loss")


def test_the_callback_may_answer_with_numpy_and_trains_no_model_but_a_copy():
    assert len(fitted(made(), data(), epochs=9, callback=lambda model, epoch: np.isfinite(epoch.epoch)).history_) == 1
    alone, model, called = fitted(made(), data(), epochs=2), made(), []

    def train_within(model, epoch):
        copy.deepcopy(model).partial_fit(data(), batch_size=8)
        for again in (model.fit, model.partial_fit):
            with pytest.raises(ConfigurationError, match="by the call of fit whose callback this is"):
                again(data(), batch_size=8)
        for name, value in dict(n_latent=3, n_samples=2, estimator="score_function").items():
            with pytest.raises(ConfigurationError, match=f"{name}: cannot change while the model is trained"):
                model.set_params(**{name: value})
        model.set_params(beta=model.beta, n_samples=1)                    # the same as before
        called.append(epoch)
    fitted(model, data(), epochs=2, callback=train_within)
    np.testing.assert_array_equal(model.parameters.flat, alone.parameters.flat)
    assert len(called) == 2 and len(model.partial_fit(data(), batch_size=8).history_) == 3


def test_patience_counts_the_epochs_that_were_measured():
    model = fitted(made(), data(), epochs=5)                          # without held-out rows
    model.partial_fit(data(), batch_size=8, epochs=3, validation=data(seed=1), patience=2)
    assert len(model.history_) == 8
    settings = dict(batch_size=8, epochs=60, validation=data(20, seed=9), patience=2, learning_rate=0.1)
    model.partial_fit(data(8), **settings)                            # eight rows are overfitted
    found = len(model.history_)
    assert found < 68
    with pytest.warns(ScratchVAEWarning, match=f"patience is 2, and since epoch {found - 2} .* no epoch is trained"):
        model.partial_fit(data(8), **settings)
    assert len(model.history_) == found


def by_hand(model, later):
    model.parameters.flat[:] = 0.3


@pytest.mark.parametrize("kept", ["last", "best"])
@pytest.mark.parametrize("change", [
    by_hand, lambda model, later: model.set_params(beta=9.0), lambda model, later: setattr(model, "beta", 9.0),
    lambda model, later: model.set_params(estimator="iwae", n_samples=3),
    lambda model, later: later.update(validation=1 - data(seed=1) / 9)],
    ids=["parameters", "set_params", "beta", "estimator", "validation"])
def test_losses_from_before_a_change_are_not_compared_with_those_after_it(kept, change, tmp_path):
    later = dict(batch_size=8, validation=data(seed=1), epochs=4)
    model = made().fit(data(), keep=kept, **later)
    change(model, later)
    model.save(tmp_path / "model.npz")
    last, best = VAE.load(tmp_path / "model.npz"), model
    last.partial_fit(data(), **later)
    best.partial_fit(data(), keep="best", patience=4, **later)
    losses = last.history_.column("test_loss")[4:]
    assert best.history_.column("test_loss")[4:] == losses
    assert best._training.best_epoch == best.history_.best() == 5 + np.argmin(losses)
    best.save(tmp_path / "model.npz")
    assert VAE.load(tmp_path / "model.npz")._training == best._training
    best.partial_fit(data(), keep="best", **later)                    # nothing has changed since then
    assert best.history_.since == 4


def test_another_seed_of_the_noise_or_an_empty_call_changes_no_comparison():
    """The best weights were lost to worse ones, and patience began anew, although nobody had changed anything."""
    later = dict(batch_size=8, validation=data(seed=1))
    model = made().fit(data(), epochs=6, keep="best", **later)
    best = model.parameters.flat.copy()
    for more in (dict(seed=1), dict(patience=1), {}, dict(seed=2, patience=1), dict(seed=1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                           # with patience no epoch is trained
            model.partial_fit(data(), keep="best", learning_rate=2.0, **more, **later)
        np.testing.assert_array_equal(model.parameters.flat, best)
        assert model.history_.since == 0
    assert len(model.history_) == 9
    patient = made().fit(data(), epochs=1, **later)
    for seed in range(20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patient.partial_fit(data(), epochs=1, seed=seed, patience=2, learning_rate=1e-12, **later)
    assert len(patient.history_) < 20
    done = len(patient.history_)
    for _ in range(2):
        with pytest.warns(ScratchVAEWarning, match="no epoch is trained"):
            patient.partial_fit(data(), epochs=1, patience=2, keep="best", **later)
        with pytest.warns(ScratchVAEWarning, match="no epoch is trained"):
            patient.partial_fit(data(), epochs=1, patience=2, **later)
    assert len(patient.history_) == done


@pytest.mark.parametrize("seed", [1, 0])
def test_what_a_callback_copies_or_saves_goes_on_beside_the_best_parameters(tmp_path, seed):
    """Its weights were taken for others that were set by hand, and the best ones were lost to worse."""
    copies, held_out = [], data(20, seed=9)

    def keep(model, epoch):
        model.save(tmp_path / "model.npz")
        copies.extend([copy.deepcopy(model), VAE.load(tmp_path / "model.npz")])
    settings = dict(batch_size=8, validation=held_out, learning_rate=0.1, keep="best", patience=7)
    model = made().fit(data(8), epochs=60, seed=1, callback=keep, **settings)            # eight rows are overfitted
    best = model.history_.best()
    for copied in [it for it in copies if seed == 1 or len(it.history_) == best + 3]:
        done = len(copied.history_)
        if done < len(model.history_):
            copied.partial_fit(data(8), epochs=60 - done, seed=seed, **settings)
            assert copied.history_.since == 0 and len(copied.history_) == best + 7 == len(model.history_)
            np.testing.assert_array_equal(copied.parameters.flat, model.parameters.flat)
            assert copied._training.best_epoch == best
            assert copied._training.best_loss == held_out_objective(copied, held_out, seed=seed).loss


def interrupted(model, batch, **settings):
    """Call partial_fit, and interrupt its last epoch at a batch."""
    step, last = model.forward_backward, len(model.history_) + settings.get("epochs", 1) - 1

    def stop(*arguments):
        if (model._training.epoch, model._training.batch) == (last, batch):
            raise KeyboardInterrupt
        return step(*arguments)
    with mock.patch.object(model, "forward_backward", stop), pytest.raises(KeyboardInterrupt):
        model.partial_fit(data(), **settings)


def test_an_epoch_that_was_interrupted_takes_no_loss_out_of_the_comparison():
    model, later = made(), dict(batch_size=8, validation=data(seed=1))
    model.fit(data(), epochs=2, **later)
    interrupted(model, 3, **later)
    left = model.parameters.flat.copy()
    for epochs in (3, 4):                                              # what was left is better than they
        model.partial_fit(data(), keep="best", learning_rate=2.0, **later)
        assert model.history_.since == 0 and len(model.history_) == epochs
        np.testing.assert_array_equal(model.parameters.flat, left)


def test_a_call_that_trains_no_epoch_takes_no_loss_out_of_the_comparison():
    copies, later = [], dict(batch_size=8, validation=data(seed=1))
    best = made().fit(data(), epochs=4, keep="best", **later)
    best.partial_fit(data(), learning_rate=2.0, keep="best", epochs=2, **later,
                     callback=lambda model, epoch: copies.append(copy.deepcopy(model)))
    middle = copy.deepcopy(best)
    interrupted(middle, 3, learning_rate=2.0, epochs=2, **later)
    for model in (copies[-1], middle):
        with pytest.warns(ScratchVAEWarning, match="no epoch is trained"):
            model.partial_fit(data(), patience=1, **later)
        model.partial_fit(data(), learning_rate=2.0, keep="best", **later)
        assert model.history_.since == 0
    np.testing.assert_array_equal(copies[-1].parameters.flat, best.parameters.flat)


def test_losses_from_before_a_callback_changes_beta_are_not_compared_with_those_after_it():
    def anneal(model, epoch):
        model.beta = [1.0, 9.0, 9.0, 9.0][min(epoch.epoch, 3)]
    model = fitted(made(beta=0.0), data(), validation=data(seed=1), epochs=5, keep="best", callback=anneal)
    assert model._training.best_epoch == model.history_.best() > 1 == model.history_.since


def test_validation_split_holds_out_the_last_rows():
    split, given = made(), made()
    fitted(split, data(), epochs=2, validation_split=0.2)
    fitted(given, data()[:40], epochs=2, validation=data()[40:])
    np.testing.assert_array_equal(split.parameters.flat, given.parameters.flat)
    assert split.history_[-1].test_loss == given.history_[-1].test_loss


def test_partial_fit_takes_new_settings_of_the_optimizer_and_its_old_moments():
    model = fitted(made(), data(), epochs=1)
    moments = model._training.optimizer.moments["m"].copy()
    model.partial_fit(data(), batch_size=50, learning_rate=1e-9, optimizer={"name": "adam", "beta1": 0.0})
    assert model._training.optimizer.step == 8 and model._training.optimizer.beta1 == 0.0
    assert not np.array_equal(moments, model._training.optimizer.moments["m"])


@pytest.mark.parametrize("settings, words", [
    (dict(patience=3), "patience is 3, and there is no held-out loss"),
    (dict(keep="best"), "keep is 'best', and there"),
    (dict(patience=0, validation_split=0.1), "patience is 0; it must be an integer of at least 1"),
    (dict(keep="first"), "keep is 'first'; known are last, best"),
    (dict(shuffle="no"), "shuffle is a str; expected a bool. Pass True or False."),
    (dict(validation_split=1.0), "validation_split is 1.0; it must be a finite number of at least 0 and below 1"),
    (dict(validation_split=0.001), "no row to train on or none to hold out"),
    (dict(validation_split=0.1, validation=data()), "validation is given too"),
    (dict(callback=3), "callback is 3; expected a function f(model, epoch)"),
    (dict(learning_rate="fast"), "learning_rate is 'fast'"),
    (dict(optimizer={"name": "adam", "momentum": 0.9}), "momentum is no setting of the optimizer 'adam'; it has beta1"),
    (dict(optimizer={"name": "adam", "epsilon": 0}), "epsilon is 0; it must be a finite number of at least "),
    (dict(optimizer={"name": "adam", "epsilon": 1e-320}), "epsilon is 1e-320; it must be a finite number of at least"),
    (dict(optimizer={"epsilon": 1}), "optimizer has no name, only "),
    (dict(optimizer={"name": "sgd", "clip_norm": 0}), "clip_norm is 0; it must be a finite number above 0"),
    (dict(optimizer={"name": "sgd", "weight_decay": -1}), "weight_decay is -1"),
    (dict(optimizer={"name": "adam", "weight_decay": 1e4}), "weight_decay is 10000; expected less than 1"),
])
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(ConfigurationError) as refusal:
        fitted(made(), data(), **settings)
    assert words in str(refusal.value)


@pytest.mark.parametrize("make, words", [
    (lambda: WarmUp(1e-3), "then is a float; expected a Rate"), (lambda: WarmUp(Rate(), 0), "epochs is 0"),
    (lambda: Cosine(epochs=0), "epochs is 0"), (lambda: Steps(decay_every=-1), "decay_every is -1"),
    (lambda: Rate(0), "learning_rate is 0"), (lambda: Steps(decay_factor=2), "decay_factor is 2"),
    (lambda: make_rate("fast", 1, epochs=1, decay_every=1, decay_factor=1, warm_up=0), "known are constant, steps"),
])
def test_learning_rates_that_cannot_work_are_refused(make, words):
    with pytest.raises(ConfigurationError) as refusal:
        make()
    assert words in str(refusal.value)


def test_clipping_leaves_a_shorter_gradient_alone_and_refuses_none_that_is_finite():
    gradient = np.full(4, 1e15, np.float32)                      # its square is beyond float32
    make_optimizer({"name": "sgd", "clip_norm": 1.0}, 4, "float32", 0.1).update(np.zeros(4, np.float32), gradient)
    np.testing.assert_allclose(gradient, 0.5, rtol=1e-6)
    make_optimizer({"name": "sgd", "clip_norm": 1.0}, 4, "float32", 0.1).update(np.zeros(4, np.float32), gradient)
    np.testing.assert_allclose(gradient, 0.5, rtol=1e-6)


@pytest.mark.parametrize("kind", [Adam, SGD])
def test_clipping_writes_to_the_gradient_and_refuses_a_read_only_one_before_anything_moves(kind):
    """As JAX's are: NumPy's own error came after the step was counted."""
    optimizer, theta, gradient = kind(2, "float64", clip_norm=1.0), np.zeros(2), np.ones(2)
    gradient.setflags(write=False)
    with pytest.raises(ShapeError, match="gradient is read-only"):
        optimizer.update(theta, gradient)
    assert optimizer.step == 0 and not theta.any()
    kind(2, "float64").update(theta, gradient)                         # which only reads it
    assert theta.all()


def test_clipping_keeps_the_direction_of_a_gradient_whose_squares_overflow():
    """The norm was inf, and the gradient 0."""
    gradient = np.array([3e160, -4e160])
    make_optimizer({"name": "sgd", "clip_norm": 5.0}, 2, "float64", 0.1).update(np.zeros(2), gradient)
    np.testing.assert_allclose(gradient, [3, -4], rtol=1e-12)


ALL_FLAGS = ["--rate-schedule", "steps", "--decay-every", 1, "--decay-factor", 0.5, "--warm-up", 2,
             "--learning-rate", 0.1, "--weight-decay", 0.01, "--clip-norm", 1, "--epsilon", 1e-4, "--beta1", 0.8,
             "--keep", "best"]


def test_a_run_from_the_command_line_is_resumed_with_its_bits_and_serves_its_best_epoch(capsys, tmp_path, no_figures):
    source = write_data(tmp_path / "data.npz")
    for out, epochs in (("whole", 6), ("cut", 3)):
        result(capsys, "train", "--data", source, *QUICK, *ALL_FLAGS, "--epochs", epochs, "--out", tmp_path / out)
    found = result(capsys, "train", "--resume", "--epochs", 6, "--out", tmp_path / "cut")
    assert bits(tmp_path / "whole") == bits(tmp_path / "cut") and "best" in bits(tmp_path / "cut")
    history = load_arrays(tmp_path / "cut" / MODEL)[2]["history"]
    assert found["kept_epoch"] == 1 + np.argmin(history[:, 4]) and found["test_loss"] == history[:, 4].min()
    best, meta, arrays = load_run(tmp_path / "cut" / MODEL)
    last = load_run(tmp_path / "cut" / MODEL, last=True)[0]
    state = TrainingState.of_file(best, meta["training"], arrays)
    np.testing.assert_array_equal(best.parameters.flat, state.best)
    assert np.array_equal(best.parameters.flat, last.parameters.flat) == (found["kept_epoch"] == 6)
    np.testing.assert_array_equal(VAE.load(tmp_path / "cut" / MODEL).parameters.flat, best.parameters.flat)
    rows = list(csv.DictReader((tmp_path / "cut" / HISTORY).read_text(encoding="utf-8").splitlines()))
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], 0.1 * np.array(
        [0.4375, 0.4688, 0.25, 0.125, 0.0625, 0.03125]), rtol=1e-3)
    assert {row["beta"] for row in rows} == {"1.0"}


def test_no_shuffle_trains_as_fit_does_and_stays_when_resumed(capsys, tmp_path, no_figures):
    source, out = write_data(tmp_path / "data.npz"), tmp_path / "run"
    result(capsys, "train", "--data", source, *QUICK, "--epochs", 1, "--no-shuffle", "--out", out)
    result(capsys, "train", "--resume", "--epochs", 2, "--out", out)
    run, x = VAE.load(out / MODEL), load_data(source).train
    fitted = VAE(**run.get_params()).fit(x, epochs=2, batch_size=10, shuffle=False)
    np.testing.assert_array_equal(run.parameters.flat, fitted.parameters.flat)


def test_a_resumed_run_takes_a_new_learning_rate_but_no_other_optimizer(capsys, tmp_path, no_figures):
    words = "train", "--resume", "--out", tmp_path / "run"
    result(capsys, "train", "--data", write_data(tmp_path / "data.npz"), *QUICK, "--epochs", 1, "--out", words[-1])
    result(capsys, *words, "--epochs", 2, "--learning-rate", 1e-5, "--weight-decay", 0.1)
    result(capsys, *words, "--epochs", 3)
    assert load_arrays(tmp_path / "run" / MODEL)[2]["history"][:, 9].tolist() == [1e-3, 1e-5, 1e-5]
    refused(capsys, "--beta1 is 0.5, but the run in", *words, "--epochs", 4, "--beta1", 0.5)
    refused(capsys, "--optimizer is 'sgd', but the run in", *words, "--epochs", 4, "--optimizer", "sgd")


def test_a_run_that_ends_early_says_so(capsys, tmp_path, no_figures):
    source = write_data(tmp_path / "data.npz", n=10)
    status, out, err = command(capsys, "train", "--data", source, *QUICK, "--epochs", 200, "--patience", 2,
                               "--keep", "best", "--learning-rate", 0.5, "--out", tmp_path / "run")
    epochs = len(load_arrays(tmp_path / "run" / MODEL)[2]["history"])
    assert status == 0 and epochs < 200
    assert f"stopped early: since epoch {epochs - 2} the held-out loss has not fallen" in err
    assert f"kept     epoch {epochs - 2}, the best of the held-out loss" in out
    found = result(capsys, "compare", tmp_path / "run", tmp_path / "run")["numbers"]
    kept = load_arrays(tmp_path / "run" / MODEL)[2]["history"][epochs - 3]
    assert found["epoch kept"] == [epochs - 2] * 2 and found["held-out loss"] == [kept[4]] * 2
    assert f"Go on with: scratchvae train --out {tmp_path / 'run'} --resume --patience 4" in err.replace("\n", " ")
    words = "train", "--resume", "--out", tmp_path / "run", "--epochs", epochs + 5, "--patience"
    refused(capsys, "argument --patience: invalid value: 'no'; expected an integer, or none", *words, "no")
    assert result(capsys, *words, "none")["epochs"] == epochs + 5


@pytest.mark.parametrize("flags, said", [
    (("--decay-every", 3), "--decay-every is 3.0, but --rate-schedule is 'constant'; it counts only if that is steps"),
    (("--decay-factor", 0.5, "--rate-schedule", "cosine"), "--decay-factor is 0.5, but --rate-schedule is 'cosine'"),
    (("--nats", 2, "--schedule", "linear"), "--nats is 2.0, but --schedule is 'linear'"),
    (("--schedule-steps", 9), "--schedule-steps is 9, but --schedule is 'constant'"),
    (("--sigma", 2), "--sigma is 2.0, but --likelihood is 'bernoulli'"),
    (("--sigma", 2, "--likelihood", "gaussian_optimal"), "--sigma is 2.0, but --likelihood is 'gaussian_optimal'"),
    (("--sigma", 2, "--likelihood", "gaussian_scalar"),
     "--sigma is 2.0, but --output-bias is 'data'; it counts only if that is zero"),
    (("--momentum", 0.9), "--momentum is 0.9, but --optimizer is 'adam'; it counts only if that is sgd"),
    (("--samples", 2, "--model", "ae"), "--samples is 2, but --model is 'ae'; it counts only if that is vae")])
def test_a_flag_that_would_change_nothing_is_refused(capsys, tmp_path, flags, said):
    refused(capsys, said, "train", "--data", "digits", *flags, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_history_without_learning_rates_is_read(tmp_path):
    model = fitted(made(), data(), epochs=2)
    model.save(tmp_path / "model.npz")
    kind, meta, arrays = load_arrays(tmp_path / "model.npz")
    save_arrays(tmp_path / "old.npz", kind, meta, {**arrays, "history": arrays["history"][:, :9]})
    loaded = VAE.load(tmp_path / "old.npz").partial_fit(data(), batch_size=8)
    assert math.isnan(loaded.history_[0].learning_rate) and loaded.history_[2].learning_rate == 1e-3


@pytest.mark.parametrize("cut", [False, True])
def test_best_parameters_kept_from_the_middle_of_a_training_are_those_of_an_epoch_in_hand(cut, tmp_path):
    X, V = data(), data(seed=1)
    model = VAE(6, 2, hidden=(5,), seed=3).fit(X, epochs=4, batch_size=10, learning_rate=0.05, validation=V)
    start, scored = -model.score(V), []
    again = dict(epochs=3, batch_size=10, validation=V, keep="best")
    for rate in (2.0, 0.01):                                        # one call makes it worse, one may make it better
        model.partial_fit(X, learning_rate=rate, callback=lambda m, e: scored.append(e.test_loss), **again)
        if cut:
            model.save(tmp_path / "model.npz")
            model = VAE.load(tmp_path / "model.npz")
        losses = [model.history_[3].test_loss, *scored]
        best = int(np.argmin(losses)) + 4
        assert model._training.best_epoch == best and model.history_[best - 1].test_loss == min(losses)
    assert start == pytest.approx(-VAE(6, 2, hidden=(5,), seed=3).fit(
        X, epochs=4, batch_size=10, learning_rate=0.05, validation=V).score(V))


def test_decay_is_held_against_the_largest_rate():
    for rate in (WarmUp(Rate(0.01), 5), Cosine(0.01, epochs=0.5), Steps(0.01)):
        with pytest.raises(ConfigurationError, match="weight_decay is 500; expected less than 1 / learning_rate, 100"):
            VAE(6, 2).fit(data(), epochs=1, batch_size=8, learning_rate=rate,
                          optimizer={"name": "sgd", "weight_decay": 500})
    assert len(VAE(6, 2).fit(data(), epochs=1, batch_size=50, learning_rate=Cosine(0.01, epochs=0.5)).history_) == 1
    with pytest.raises(ConfigurationError, match="optimizer has no name, only weight_decay"):
        VAE(6, 2).fit(data(), epochs=1, batch_size=8, optimizer={"weight_decay": 0.1})


def test_a_warning_points_at_the_line_that_asked():
    with pytest.warns(ScratchVAEWarning, match="every step uses all") as caught:
        VAE(6, 2).fit(data(), epochs=1, batch_size=10**6)
    assert caught[0].filename == __file__


def test_a_resume_that_cannot_write_leaves_the_run_as_it_was(capsys, monkeypatch, tmp_path):
    flags = ("--data", write_data(tmp_path / "data.npz"), "--hidden", 5, "--latent", 2, "--batch-size", 20)
    result(capsys, "train", *flags, "--epochs", 1, "--out", tmp_path / "run")
    before = (tmp_path / "run" / "config.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "checkpoint", lambda self: (_ for _ in ()).throw(RunError("no room")))
        refused(capsys, "no room", "train", "--out", tmp_path / "run", "--resume", "--epochs", 2, "--learning-rate", 1)
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    result(capsys, "evaluate", tmp_path / "run", "--importance-samples", 2)
    assert result(capsys, "train", "--out", tmp_path / "run", "--resume", "--epochs", 2)["epochs"] == 2


@pytest.mark.parametrize("flags, words", [
    (("--model", "ae", "--baseline", "moving_average"), "--baseline is 'moving_average', but --model is 'ae'"),
    (("--model", "ae", "--schedule", "linear"), "--schedule is 'linear', but --model is 'ae'"),
    (("--estimator", "iwae", "--schedule", "free_bits"), "--schedule is 'free_bits' and estimator 'iwae'"),
    (("--patience", "1.5"), "expected an integer, or none"), (("--clip-norm", "x"), "expected a number, or none"),
    (("--warm-up", 5, "--weight-decay", 2000), "--weight-decay is 2000; expected less than 1 / --learning-rate, 1000")])
def test_errors_speak_of_the_flag_that_was_given(capsys, tmp_path, flags, words):
    refused(capsys, words, "train", "--data", "digits", "--out", tmp_path / "run", *flags)


def test_data_that_cannot_be_used_are_named_as_the_command_knows_them(capsys, tmp_path):
    rows = np.random.default_rng(0).random((50, 9))
    rows[3, 0] = np.nan
    np.save(tmp_path / "holes.npy", rows)
    refused(capsys, "part of holes has the value nan", "train", "--data", tmp_path / "holes.npy", "--out",
            tmp_path / "run")
