"""Nothing lost, nothing let in, nothing silent: what a careful person expects of a run left alone overnight."""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from test_cli import command, refused, result

from scratchvae import Autoencoder, evaluate, load_data, VAE
from scratchvae.cli.run_folder import MODEL, Run
from scratchvae.cli.train import TRAIN_DEFAULTS
from scratchvae.data.minibatch import epoch_permutation
from scratchvae.errors import ConfigurationError, RunError, TrainingError
from scratchvae.layers import ACTIVATIONS, MLP
from scratchvae.likelihoods import Bernoulli
from scratchvae.model_files import load_run
from scratchvae.nonfinite import explain
from scratchvae.optimizers import Adam, make_optimizer, SGD
from scratchvae.parameters import Parameters
from scratchvae.storage.atomic import write_atomically
from scratchvae.storage.checkpoint import load_arrays, save_arrays
from scratchvae.storage.lock import FolderLock
from scratchvae.training import Trainer
from scratchvae.validation import file_path, one_of, positive_integer

QUICK = ["--data", "digits", "--hidden", "4", "--latent", "2", "--batch-size", "500"]
NO_FIGURES = "import sys; from scratchvae.cli.run_folder import Run; Run.draw = lambda *_: []; " \
    "from scratchvae.cli.main import main; sys.exit(main(sys.argv[1:]))"


def data(n=50, d=6):
    return np.random.default_rng(0).random((n, d), dtype=np.float32)


def model(**settings):
    return VAE(**{"n_visible": 6, "n_latent": 2, "hidden": (5,), **settings})


def adam_of(model):
    return make_optimizer("adam", model.parameters.flat.size, model.dtype, 1e-3)


def process(*words, **options):
    """Start `scratchvae` without figures in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", NO_FIGURES, *map(str, words)], stderr=subprocess.PIPE, text=True,
                            stdout=subprocess.DEVNULL, **options)


# ---- numbers that go wrong

def test_an_infinite_loss_stops_with_the_step_the_segment_and_the_cause():
    trainer = Trainer(model(likelihood="gaussian"), data(), batch_size=10, learning_rate=1e30, optimizer="sgd")
    with pytest.raises(TrainingError, match=r"the loss of step 2 is (nan|inf).*First not finite: the output of .*"
                                            r"parameters have grown to .*Lower the learning rate \(now 1e\+30\)"):
        with np.errstate(all="ignore"):
            trainer.run(5)
    assert np.isfinite(trainer.model.parameters.flat).all() and trainer.state.optimizer.step == 1   # it moved nothing


def test_unscaled_data_are_named_as_the_cause():
    x = data()
    x[:, 2] *= 1e25
    with pytest.raises(TrainingError, match="(loss|gradient) of step 1 .*The data are unscaled: .* Scale them"):
        with np.errstate(all="ignore"):
            Trainer(model(likelihood="gaussian"), x, batch_size=10).run(1)


def test_a_logvar_whose_exponential_overflows_is_named_as_the_cause():
    vae = model()
    vae.parameters.encoder.head.b[3] = 400
    with pytest.raises(TrainingError, match="the loss of step 1 .*logvar ranges from .* to 4.*exponential overflows"):
        with np.errstate(all="ignore"):
            Trainer(vae, data(), batch_size=10).run(1)


def test_a_gradient_that_is_not_finite_stops_even_if_the_loss_is():
    class Broken(Bernoulli):
        def nll_backward(self, p, outputs, x, d_nll, nll, d_p, d_outputs):
            super().nll_backward(p, outputs, x, d_nll, nll, d_p, d_outputs)
            d_outputs[0, 1] = np.nan

    trainer = Trainer(model(likelihood=Broken()), data(), batch_size=10)
    with pytest.raises(TrainingError, match="the gradient of step 1 is not finite.*the gradient of decoder.head.b"):
        trainer.run(1)


def test_each_segment_is_named_when_it_is_the_first_that_is_not_finite():
    vae = model()
    ws, gradient, adam = vae.workspace(4), Parameters.zeros(vae.parameters.layout, "float32"), adam_of(vae)
    for array in (ws.x, *ws.encoder, *ws.decoder):
        array[:] = 0
    for name, view in gradient.segments():
        for value, words in ((np.inf, "First not finite"), (1e20, "First too large")):
            view.flat[-1] = value
            assert f"{words}: the gradient of {name}" in explain(vae, ws, gradient, adam)
        view.flat[-1] = 0
    ws.decoder[0][1, 2] = np.nan
    assert "the output of decoder.0." in explain(vae, ws, gradient, adam)
    vae.parameters["encoder.0.W"][0, 0] = np.nan
    assert "First not finite: encoder.0.W." in explain(vae, ws, gradient, adam)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_cotangent_that_is_not_finite_anywhere_is_seen_in_the_gradient(activation, wrong):
    """Through units that are dead or saturated, and weights of zero, too."""
    vae = VAE(6, 2, hidden=(5, 4, 3), activation=activation)
    for view in (vae.parameters["encoder.1.W"], vae.parameters["decoder.1.W"]):
        view[:] = 0
    for name in ("encoder.0.b", "encoder.2.b", "decoder.0.b", "decoder.2.b"):
        vae.parameters[name][:] = -1e3                            # relu dead, tanh and sigmoid saturated
    ws, gradient = vae.workspace(4), Parameters.zeros(vae.parameters.layout, "float32")
    ws.x[:], ws.eps[:] = 0.5, 0.5
    vae.forward_backward(ws, gradient)
    adam = adam_of(vae)
    assert np.isfinite(gradient.flat).all()
    for network, p, x, y, d_y, d_p in (
            (vae.encoder, vae.parameters.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder),
            (vae.decoder, vae.parameters.decoder, ws.z, ws.decoder, ws.d_decoder, gradient.decoder)):
        for top in range(1, len(network.layers) + 1):
            gradient.flat[:] = 0
            d_y[top - 1][:] = 0
            d_y[top - 1][2, 1] = wrong
            with np.errstate(all="ignore"):
                MLP(network.layers[:top]).backward(p[:top], x, y[:top], d_y[:top], d_p[:top], None)
            assert not adam.accepts(gradient.flat)


@pytest.mark.parametrize("kind", [Adam, SGD])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1, 5, 70_000])
@pytest.mark.parametrize("learning_rate", [1e-3, 1.0, 1e30])
def test_after_the_largest_gradient_that_is_accepted_every_number_is_finite_and_a_larger_one_moves_nothing(
        kind, dtype, size, learning_rate):
    made, theta = kind(size, dtype, learning_rate), np.zeros(size, dtype)
    accepted = np.full(size, 0.99 * made.limit, dtype)
    for sign in (1, 1, 1, 1, 1, -1, 1):
        made.update(theta, sign * accepted)
    numbers = (theta, *made.moments.values())
    assert all(np.isfinite(array).all() for array in numbers)
    before, refused = [array.copy() for array in numbers], np.zeros(size, dtype)
    for wrong in (1.01 * made.limit, -1.01 * made.limit, np.inf, np.nan, np.finfo(dtype).max):
        for place in (0, size // 2, size - 1):
            refused[:], refused[place] = 0, wrong
            with pytest.raises(TrainingError, match=f"the gradient of step 8 .*beyond the range of {dtype}"):
                made.update(theta, refused)
    assert made.step == 7 and all(map(np.array_equal, numbers, before))


class Steep(Bernoulli):
    """A likelihood whose gradient is finite but too large to be squared if the batch begins with 1."""

    slope = 1e25

    def nll_backward(self, p, outputs, x, d_nll, nll, d_p, d_outputs):
        super().nll_backward(p, outputs, x, d_nll, nll, d_p, d_outputs)
        if x[0, 0] == 1:
            d_outputs[0, 1] = self.slope


def steep_trainer(optimizer="adam", **settings):
    """At step 2 of 5 the gradient of one weight is too large, though in float32 it is finite."""
    x, wrong = data(), epoch_permutation(50, 0, 0)[10:20]
    x[:, 0], x[wrong, 0] = 0.5, 1
    return Trainer(model(likelihood=Steep()), x, batch_size=10, optimizer=optimizer, **settings)


def test_a_finite_gradient_whose_square_overflows_stops_before_anything_moves():
    trainer = steep_trainer()
    with pytest.raises(TrainingError, match=r"the gradient of step 2 reaches .*e\+25, beyond the range of float32; "
                                            r"adam needs numbers below 4.6e\+18. First too large: the gradient of "
                                            r"decoder.head.b"):
        trainer.run(1)
    assert trainer.state.optimizer.step == 1
    trainer.require_finite()


def test_a_finite_gradient_whose_square_overflows_is_skipped_and_the_run_goes_on():
    trainer = steep_trainer(on_nonfinite="skip")
    trainer.run(3)
    state = trainer.state
    assert state.skipped >= 1 and state.optimizer.step + state.skipped == 15
    trainer.checkpoint()
    assert all(np.isfinite(moment).all() for moment in state.optimizer.moments.values())


def test_a_velocity_cannot_overflow_either(monkeypatch):
    monkeypatch.setattr(Steep, "slope", 2e37)
    trainer = steep_trainer("sgd")
    with pytest.raises(TrainingError, match=r"the gradient of step 2 reaches .*e\+37, .*sgd needs numbers below "
                                            r"8.5e\+36"):
        trainer.run(1)


def test_a_large_weight_whose_bias_cancels_is_seen():
    """Rows of opposite cotangents: the bias's gradient is 0, that of a weight beside them is not."""
    gradient = VAE(n_visible=5, n_latent=2, hidden=(4,)).parameters.copy()
    gradient.flat[:] = 0
    gradient["decoder.0.W"][1, 2] = 1e19
    assert not make_optimizer("adam", gradient.flat.size, "float32", 1e-3).accepts(gradient.flat)


def poisoned(steps, **settings):
    """A trainer whose loss is NaN at some steps (counted from 1)."""
    trainer = Trainer(model(), data(), batch_size=10, **settings)
    whole, seen = trainer.model.forward_backward, []

    def broken(ws, gradient, *rest):
        objective = whole(ws, gradient, *rest)
        seen.append(0)
        return objective._replace(loss=np.nan) if len(seen) in steps else objective
    trainer.model.forward_backward = broken
    return trainer


def test_skip_drops_the_batch_counts_it_and_averages_over_the_rest():
    trainer, losses = poisoned({2, 8}, on_nonfinite="skip"), []
    trainer.run(2, after_step=lambda trainer, objective: losses.append(objective.loss))
    assert trainer.state.skipped == 2 and trainer.state.optimizer.step == 8
    assert np.isnan(losses[1]) and np.isnan(losses[7])
    wanted = [np.nanmean(losses[:5]), np.nanmean(losses[5:])]
    np.testing.assert_allclose(trainer.state.history.column("train_loss"), wanted, rtol=1e-12)


def test_a_run_with_skipped_batches_is_resumed_to_the_same_bits():
    whole = poisoned({2}, on_nonfinite="skip")
    whole.run(2)
    cut = poisoned({2}, on_nonfinite="skip")
    cut.run(2, after_step=lambda trainer, _: setattr(trainer, "stop", trainer.state.batch == 3))
    resumed = poisoned((), on_nonfinite="skip")
    resumed.model.parameters.flat[:] = cut.model.parameters.flat
    resumed.restore(*cut.checkpoint())
    resumed.run(2)
    assert resumed.state == whole.state and resumed.state.skipped == 1
    np.testing.assert_array_equal(resumed.model.parameters.flat, whole.model.parameters.flat)


def test_skipping_every_batch_or_training_on_with_broken_parameters_stops():
    with pytest.raises(TrainingError, match="every batch of epoch 1 was skipped"):
        poisoned(range(99), on_nonfinite="skip").run(1)
    trainer = Trainer(model(), data(), batch_size=10, on_nonfinite="skip")
    trainer.model.parameters["decoder.0.W"][0, 0] = np.nan
    with pytest.raises(TrainingError, match="First not finite: decoder.0.W"):
        trainer.run(1)


def test_parameters_or_a_held_out_loss_that_are_not_finite_are_never_saved():
    trainer = Trainer(model(), data(), batch_size=50, validation=data())
    trainer.model.parameters["decoder.head.W"][0, 0] = np.inf
    with pytest.raises(TrainingError, match="decoder.head.W is not finite after step 0"):
        trainer.checkpoint()
    trainer = Trainer(model(likelihood="gaussian"), data(), batch_size=50, validation=data(), learning_rate=1e30,
                      optimizer="sgd")
    with pytest.raises(TrainingError, match="the held-out loss after epoch 1 is"), np.errstate(all="ignore"):
        trainer.run(1)
    assert not trainer.state.history


@pytest.mark.parametrize("spoil, words", [
    (lambda state: state.optimizer.moments["v"].__setitem__(3, np.inf), "the optimizer's v"),
    (lambda state: state.optimizer.moments["m"].__setitem__(0, np.nan), "the optimizer's m"),
    (lambda state: state.totals.__setitem__(1, np.nan), "the present epoch's loss"),
    (lambda state: state.estimator.update(average_loss=np.inf), "the present epoch's loss"),
    *((lambda state, name=name: state.history.append(state.history[0]._replace(**{name: np.nan})),
       "a training loss of the history") for name in ("train_loss", "train_reconstruction", "train_kl"))])
def test_a_run_is_saved_only_if_all_of_it_is_finite(spoil, words):
    trainer = Trainer(model(), data(), batch_size=50)
    trainer.run(1)
    trainer.checkpoint()
    spoil(trainer.state)
    with pytest.raises(TrainingError, match=f"{words} is not finite after step 1"):
        trainer.checkpoint()


def test_the_command_stops_in_one_line_and_leaves_the_last_good_model(capsys, tmp_path):
    np.savez(tmp_path / "data.npz", train=data(), test=data()[:5])
    words = ["train", "--data", tmp_path / "data.npz", "--likelihood", "gaussian", "--hidden", 4, "--latent", 2,
             "--batch-size", 10, "--optimizer", "sgd", "--learning-rate", "1e30", "--out", tmp_path / "run"]
    with np.errstate(all="ignore"):
        status, _, err = command(capsys, *words)
    assert status == 2 and len(err.splitlines()) == 1 and "loss of step 2" in err and "model after epoch 0" in err
    assert np.isfinite(VAE.load(tmp_path / "run" / MODEL).parameters.flat).all()
    refused(capsys, "'perhaps'", "train", "--resume", "--out", tmp_path / "run", "--on-nonfinite", "perhaps")


EXTREMES = {"all zeros": np.zeros((20, 6)), "all ones": np.ones((20, 6)), "one example": np.full((1, 6), 0.3),
            "constant pixels": np.tile([0, 0.2, 1, 1, 0.5, 0], (20, 1)),
            "the smallest numbers": np.full((20, 6), 5e-324),
            "black and white bytes": np.tile(np.array([0, 255] * 3, np.uint8), (20, 1))}


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("what", EXTREMES)
def test_extreme_but_legal_data_train_without_a_warning(what, likelihood):
    x = EXTREMES[what]
    with warnings.catch_warnings(), np.errstate(under="ignore"):
        warnings.simplefilter("error")
        vae = model(likelihood=likelihood)
        history = vae.fit(x, epochs=3, batch_size=min(8, len(x)), validation=x).history_
        assert np.isfinite(history.column("test_loss")).all() and np.isfinite(vae.reconstruct(x)).all()
        Autoencoder(6, 2, hidden=(5,), likelihood=likelihood).fit(x, epochs=1, batch_size=1)
        binary = x if x.dtype == np.uint8 or likelihood == "gaussian" else np.rint(x)
        assert np.isfinite(evaluate(vae, binary, importance_samples=3).log_likelihood)


# ---- nothing let in

def test_a_model_whose_settings_promise_too_much_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "model.npz"
    for change in (dict(n_visible=10**9, hidden=[10**9]), dict(hidden=[2000, 2000]), dict(n_latent=10**12)):
        vae = model()
        settings = {**vae.get_params(), **change}
        save_arrays(path, "vae", {"settings": settings}, {"parameters": vae.parameters.flat})
        tracemalloc.start()
        with pytest.raises(RunError, match="does not describe a model"):
            load_run(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20         # bytes; the second would take 16 MB
        tracemalloc.stop()
    save_arrays(path, "vae", {"settings": model().get_params()}, {"parameters": np.zeros(1, np.float32)})
    with pytest.raises(RunError, match="does not describe a model"):     # not spread over all
        load_run(path)


def test_a_header_that_promises_10_to_the_12_numbers_is_refused_in_a_model_file(tmp_path):
    save_arrays(tmp_path / "a.npz", "thing", {}, {"x": np.zeros(3)})
    content = (tmp_path / "a.npz").read_bytes()
    lie = content.replace(b"(3,), }" + b" " * 13, b"(1000000000000,), }" + b" ")
    assert len(lie) == len(content) and lie != content
    (tmp_path / "a.npz").write_bytes(lie)
    with pytest.raises(RunError, match="a.npz is no intact model file"):
        load_arrays(tmp_path / "a.npz")


BAD_CONFIGS = {"nothing": b"", "half": b'{"data": "digits", ', "a list": b"[1]", "no settings": b"{}",
               "deep": b"[" * 100_000, "not UTF-8": b'{"data": "\xff"}', "a number": b"1e999"}


@pytest.mark.parametrize("what", BAD_CONFIGS)
def test_a_damaged_config_is_refused_by_its_name(tmp_path, what):
    (tmp_path / "config.json").write_bytes(BAD_CONFIGS[what])
    with pytest.raises(RunError, match="config.json"):
        Run.open(tmp_path)


def test_a_large_config_is_refused_before_memory_is_taken(tmp_path):
    with open(tmp_path / "config.json", "wb") as file:
        file.truncate(1 << 27)                          # as much as Windows, which has no holes in files, has room for
    tracemalloc.start()
    with pytest.raises(RunError, match="more than 16,777,216 bytes"):
        Run.open(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()


@pytest.mark.parametrize("change", [("learning_rate", "fast"), ("hidden", 7), ("batch_size", [1]), ("optimizer", {}),
                                    ("data", ["a"]), ("epochs", "many")])
def test_a_config_with_a_wrong_setting_is_refused_in_one_line(capsys, tmp_path, change):
    run = tmp_path / "run"
    (tmp_path / "run").mkdir()
    (run / "config.json").write_text(json.dumps({**TRAIN_DEFAULTS, "data": "digits", change[0]: change[1]}))
    refused(capsys, "", "train", "--resume", "--out", run)


def test_an_output_that_nobody_reads_ends_the_command_quietly():
    words = [sys.executable, "-m", "scratchvae", "data", "list"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        listing.stdout.close()
        assert listing.stderr.read() == b"" and listing.wait() == 141


# ---- run folders: one process at a time, nothing lost

def saved_run(folder, epochs=1):
    run = Run(folder, {"data": "digits", "model": "vae"})
    trainer = Trainer(model(), data(), batch_size=10)
    trainer.run(epochs)
    with run.held():
        run.begin()
        run.save(trainer)
    return run


def test_a_held_folder_is_refused_by_the_holders_number_and_free_again_afterwards(tmp_path):
    lock = FolderLock(tmp_path / "run")
    with lock:
        assert lock.is_held()
        with pytest.raises(RunError, match=rf"run is being written to by another run \(process {os.getpid()}\)"):
            FolderLock(tmp_path / "run").acquire()
    with FolderLock(tmp_path / "run"), FolderLock(tmp_path / "a" / "b"):
        pass


def test_letting_go_of_a_folder_that_was_replaced_leaves_its_new_holder_alone(tmp_path):
    first, second = FolderLock(tmp_path / "run"), FolderLock(tmp_path / "run")
    first.acquire()
    shutil.rmtree(tmp_path / "run")
    second.acquire()
    first.release()
    assert second.is_held()
    second.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file/run cannot be used"):
        FolderLock(tmp_path / "file" / "run").acquire()


def test_of_many_threads_that_take_turns_at_a_lock_one_at_a_time_has_it(tmp_path):
    inside, most, taken = [], [], []

    def take():
        for _ in range(30):
            try:
                with FolderLock(tmp_path / "run"):
                    inside.append(0)
                    most.append(len(inside))
                    taken.append(0)
                    inside.pop()
            except RunError as error:
                assert "another run" in str(error)
    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken and max(most) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_run_killed_at_any_moment_is_resumed_to_the_same_bits(capsys, tmp_path, no_figures):
    result(capsys, "train", *QUICK, "--epochs", 80, "--out", tmp_path / "whole")
    cut = tmp_path / "cut"
    with process("train", *QUICK, "--epochs", 80, "--out", cut) as victim:
        for line in victim.stderr:                      # until it trains: then the lock is surely taken
            break
        refused(capsys, f"another run (process {victim.pid})", "train", "--resume", "--out", cut)
        time.sleep(0.05)
        victim.kill()
    (cut / ".model.npz.1-1.part").write_text("left behind")
    result(capsys, "train", "--resume", "--out", cut)
    assert sorted(os.listdir(cut)) == [".lock", "config.json", "history.csv", "model.npz"]
    a, b = (load_arrays(folder / MODEL)[2] for folder in (cut, tmp_path / "whole"))
    for name in ("parameters", "m", "v"):
        np.testing.assert_array_equal(a[name], b[name])


def test_a_run_killed_before_its_first_save_is_resumed_from_its_settings(capsys, tmp_path, no_figures):
    result(capsys, "train", *QUICK, "--epochs", 2, "--out", tmp_path / "run")
    wanted = VAE.load(tmp_path / "run" / MODEL).parameters.flat
    (tmp_path / "run" / MODEL).unlink()
    _, _, err = command(capsys, "train", "--resume", "--out", tmp_path / "run")
    assert "holds no model.npz: training begins anew" in err
    np.testing.assert_array_equal(VAE.load(tmp_path / "run" / MODEL).parameters.flat, wanted)


def test_overwriting_never_leaves_an_old_model_beside_new_settings(tmp_path, monkeypatch):
    def killed(run):
        raise KeyboardInterrupt

    run = saved_run(tmp_path / "run")
    monkeypatch.setattr(Run, "write_config", killed)
    with pytest.raises(KeyboardInterrupt), Run(run.folder, {"data": "digits", "model": "ae"}).held() as other:
        other.begin()
    assert os.listdir(run.folder) == [".lock"]


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_run_folder_removed_under_a_run_is_made_again_with_everything_in_it(tmp_path):
    run = Run(tmp_path / "run", {"data": "digits", "model": "vae"})
    trainer = Trainer(model(), data(), batch_size=10)
    with run.held():
        run.begin()
        assert run.save(trainer) is False
        shutil.rmtree(run.folder)
        trainer.run(1)
        assert run.save(trainer) is True
        assert sorted(os.listdir(run.folder)) == [".lock", "config.json", "history.csv", "model.npz"]
        with pytest.raises(RunError, match="another run"):
            FolderLock(run.folder).acquire()
        shutil.rmtree(run.folder)
        other = saved_run(run.folder, epochs=2)
        before = (other.folder / MODEL).read_bytes()
        with pytest.raises(RunError, match="was replaced by another run"):
            run.save(trainer)
        assert (other.folder / MODEL).read_bytes() == before


def test_a_full_disk_leaves_the_previous_files_and_the_message_says_so(tmp_path):
    resource = pytest.importorskip("resource", reason="needs file-size limits")
    run = saved_run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.name != ".lock"}
    trainer = Trainer(model(), data(), batch_size=10)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with run.held():
        trainer.run(2)
        for most in range(0, len(before[MODEL]), 501):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
            try:
                with pytest.raises(RunError, match="cannot be written: .*and has room"):
                    run.save(trainer)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.name != ".lock"} == before


def test_a_reader_sees_the_old_file_or_the_new_one_never_a_part(tmp_path):
    path, done, seen = tmp_path / "file", threading.Event(), set()
    write_atomically(path, lambda file: file.write(b"0" * 100_000))

    def read():
        while not done.is_set():
            content = path.read_bytes()
            seen.add((len(content), len(set(content))))
    thread = threading.Thread(target=read)
    thread.start()
    for number in range(30):
        write_atomically(path, lambda file: [file.write(b"%d" % (number % 10) * 50_000) for _ in range(2)])
    done.set()
    thread.join()
    assert seen == {(100_000, 1)}


# ---- data larger than memory

def anonymous_bytes():
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
@pytest.mark.parametrize("kind", ["npy", "idx"])
def test_a_mapped_file_is_trained_on_in_shuffled_minibatches_without_being_read_into_memory(tmp_path, kind):
    rows = 1 << 20
    if kind == "npy":
        path = source = tmp_path / "data.npy"
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 256), }}".ljust(117) + "\n"
        header = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()
    else:
        source = tmp_path
        path = tmp_path / "train-images-idx3-ubyte"
        header = struct.pack(">4I", 2051, rows, 16, 16)
        (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 2, 16, 16) + bytes(512))
    with open(path, "wb") as file:
        file.write(header)
        file.truncate(len(header) + rows * 256)         # 256 MiB that take no room on the disk
    images = load_data(source).train
    before, vae = anonymous_bytes(), VAE(256, 2, hidden=(4,))
    trainer = Trainer(vae, images, batch_size=64)
    trainer.run(1, after_step=lambda trainer, _: setattr(trainer, "stop", trainer.state.optimizer.step == 20))
    assert anonymous_bytes() - before < 40 << 20        # of it 8 MiB the order of the rows


# ---- arguments

def test_shared_checks_name_the_argument_and_survive_anything():
    for wrong in (None, [], {}, np.zeros(3), np.eye(2, dtype=object), 2**70, -1, "", b"x", float("nan"), object):
        for check in (lambda value: positive_integer("thing", value), lambda value: one_of("thing", value, ("a", "b"))):
            with pytest.raises(ConfigurationError, match="thing is"):
                check(wrong)
    for wrong in (None, "", b"x", 3, "a\0b", ["a"]):
        with pytest.raises(ConfigurationError, match="thing is"):
            file_path("thing", wrong)


@pytest.mark.parametrize("settings", [dict(n_visible=10**6, hidden=(10**6,)), dict(n_visible=6, n_latent=2**31 - 1)])
def test_a_model_far_larger_than_memory_is_refused_before_memory_is_taken(settings):
    with pytest.raises(ConfigurationError, match="n_visible .* hidden .* n_latent .* parameters; at most"):
        VAE(**settings)


def test_far_too_many_samples_at_once_are_refused():
    with pytest.raises(ConfigurationError, match="n is 2000000000"):
        model().sample(2 * 10**9)
