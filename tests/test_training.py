"""Training: what a step does, what a run remembers, and that it is the same run however it is cut."""
import copy
import math
import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings
from unittest import mock

import numpy as np
import pytest

from demos.training_loop import train
from scratchvae import Autoencoder, VAE
from scratchvae.data.minibatch import as_rows, epoch_permutation
from scratchvae.errors import ConfigurationError, DataError, ScratchVAEWarning, TrainingError
from scratchvae.estimators import ScoreFunction
from scratchvae.history import Epoch, History, MOST_COUNTED, TrainingState
from scratchvae.kernels.twins import BACKEND
from scratchvae.likelihoods import Bernoulli
from scratchvae.optimizers import Adam, SGD
from scratchvae.training import held_out_objective, Trainer


def data(n=50, d=6, seed=0):
    return np.random.default_rng(seed).random((n, d)).astype(np.float32)


def model(**settings):
    return VAE(**{"n_visible": 6, "n_latent": 2, "hidden": (5,), **settings})


def trained(epochs=3, x=None, **settings):
    vae = model()
    Trainer(vae, data() if x is None else x, batch_size=16, **settings).run(epochs)
    return vae.parameters.flat


def test_same_seed_trains_to_the_same_bits():
    np.testing.assert_array_equal(trained(seed=5), trained(seed=5))
    assert not np.array_equal(trained(seed=5), trained(seed=6))


@pytest.mark.skipif(BACKEND == "numpy", reason="the NumPy backend has no threads of its own")
def test_one_and_two_threads_train_to_the_same_bits():
    code = ("import hashlib, sys; from scratchvae import VAE, load_data; "
            "from scratchvae.kernels.threads import set_threads; set_threads(int(sys.argv[1])); "
            "x = load_data('mnist5k').train[:1000]; vae = VAE(784, 8, hidden=(100,)); "
            "vae.fit(x, epochs=2, binarize='dynamic'); "
            "print(hashlib.sha256(vae.parameters.flat.data).hexdigest())")
    sums = [subprocess.run([sys.executable, "-c", code, threads], capture_output=True, text=True, check=True,
                           env={**__import__("os").environ, "NUMBA_NUM_THREADS": "2"}).stdout
            for threads in ("1", "2")]
    assert sums[0] == sums[1]


def test_a_stopped_run_and_its_copies_go_on_when_they_are_run_again():
    trainer, copies = Trainer(model(), data(), batch_size=16), []

    def fail(trainer, objective):
        trainer.stop = True
        raise RuntimeError

    def stop(trainer, objective):
        trainer.stop = True
        copies.extend((copy.copy(trainer), pickle.loads(pickle.dumps(trainer))))
    failed = copy.copy(trainer)
    with pytest.raises(RuntimeError):
        failed.run(2, after_step=fail)
    assert len(failed.run(2)) == 2
    trainer.run(2, after_step=stop)
    for stopped in (trainer, *copies):
        assert stopped.state.optimizer.step == 1 and len(stopped.run(2)) == 2


def require_same_run(make, cut, epochs=3, **settings):
    """Stop a run after `cut` steps and resume it from its checkpoint: it ends as an undisturbed one.  Return it."""
    whole, first, second = (Trainer(make(), data(), batch_size=16, **settings) for _ in range(3))
    whole.run(epochs)
    first.run(epochs, after_step=lambda it, _: setattr(it, "stop", it.state.optimizer.step == cut))
    assert first.state.optimizer.step == cut
    meta, arrays = first.checkpoint()
    second.model.parameters.flat[:] = first.model.parameters.flat
    second.restore(meta, {name: a.copy() for name, a in arrays.items()})
    second.run(epochs)
    np.testing.assert_array_equal(second.model.parameters.flat, whole.model.parameters.flat)
    assert second.state == whole.state != first.state
    return second


@pytest.mark.parametrize("cut", [1, 5, 7])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_cut_after_any_step_and_resumed_ends_in_the_same_bits(cut, optimizer):
    require_same_run(model, cut, optimizer=optimizer, binarize="dynamic", validation=data(seed=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_on_one_page_takes_the_steps_of_fit_to_the_bit(dtype):
    by_hand, fitted, x = model(dtype=dtype), model(dtype=dtype), data()
    losses = list(train(by_hand, x, epochs=3, batch_size=16, learning_rate=1e-2, seed=4))
    fitted.fit(x, epochs=3, batch_size=16, learning_rate=1e-2, seed=4, output_bias="zero")
    np.testing.assert_array_equal(by_hand.parameters.flat, fitted.parameters.flat)
    assert losses == fitted.history_.column("train_loss")


def test_every_row_is_visited_once_an_epoch_in_a_new_order():
    orders = [epoch_permutation(10, 0, epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order) == list(range(10))
    assert not np.array_equal(orders[0], orders[1])


def test_without_shuffle_every_epoch_takes_the_rows_as_they_stand():
    x, seen = data(n=8), []
    trainer = Trainer(model(), x, batch_size=4, shuffle=False)
    trainer.run(2, after_step=lambda trainer, objective: seen.extend(trainer.ws.x.copy()))
    np.testing.assert_array_equal(seen, np.vstack([x, x]))
    fitted = model().fit(x, epochs=1, batch_size=4, shuffle=False).partial_fit(x, batch_size=4, shuffle=False)
    np.testing.assert_array_equal(fitted.parameters.flat, trainer.model.parameters.flat)
    require_same_run(model, 5, shuffle=False)


def test_epoch_loss_is_the_mean_over_rows_with_a_short_last_batch():
    vae, x = model(), data(n=10)
    trainer = Trainer(vae, x, batch_size=4)
    losses = []
    trainer.run(1, after_step=lambda trainer, objective: losses.append(objective.loss))
    np.testing.assert_allclose(trainer.state.history[0].train_loss, np.average(losses, weights=[4, 4, 2]), rtol=1e-12)
    assert trainer.state.history.first_loss == losses[0]


def test_first_loss_with_a_zero_output_bias_is_near_d_log_2():
    vae = VAE(784, 20, hidden=(400,))
    x = (np.random.default_rng(0).random((128, 784)) < 0.2).astype(np.float32)
    history = Trainer(vae, x, output_bias="zero").run(1)
    assert abs(history.first_loss / (784 * math.log(2)) - 1) < 0.05


def begin(vae, x):
    """Let training begin, and stop it before the first step moves anything."""
    with mock.patch.object(vae, "forward_backward", side_effect=TrainingError("stopped")):
        with pytest.raises(TrainingError, match="stopped"):
            Trainer(vae, x, batch_size=10).run(1)


def test_output_bias_starts_at_the_data_and_only_if_it_is_zero():
    vae, x = model(), data()
    begin(vae, x)
    mean = x.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(vae.parameters.decoder.head.b, np.log(mean / (1 - mean)), rtol=1e-4)
    vae.parameters.decoder.head.b[:] = 5
    begin(vae, x)
    np.testing.assert_array_equal(vae.parameters.decoder.head.b, 5)


@pytest.mark.parametrize("make", [VAE, Autoencoder])
def test_making_a_trainer_changes_nothing(make):
    fresh, vae = (make(6, 2, hidden=(5,), likelihood="gaussian_scalar") for _ in range(2))
    before = vars(vae).copy()
    Trainer(vae, data(), batch_size=10, optimizer="sgd")
    assert vars(vae) == before
    np.testing.assert_array_equal(vae.parameters.flat, fresh.parameters.flat)


def test_eight_images_are_learned_by_heart():
    x = (np.random.default_rng(0).random((8, 30)) < 0.5).astype(np.float32)
    vae = VAE(30, 4, hidden=(50,), beta=0.01)
    history = vae.fit(x, epochs=400, batch_size=8, learning_rate=1e-2).history_
    assert history[-1].train_reconstruction < 0.2 < history[0].train_reconstruction


def test_dynamic_binarization_shows_every_step_new_pixels_with_the_right_mean():
    x = np.full((64, 6), 0.3, np.float32)
    trainer = Trainer(model(), x, batch_size=64, binarize="dynamic")
    seen = []
    trainer.run(200, after_step=lambda trainer, objective: seen.append(trainer.ws.x.copy()))
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert not np.array_equal(seen[0], seen[1])
    np.testing.assert_allclose(np.mean(seen), 0.3, atol=5 * math.sqrt(0.21 / np.size(seen)))


def test_threshold_binarization_is_at_one_half():
    x = np.linspace(0, 1, 6, dtype=np.float32)[None].repeat(4, axis=0)
    trainer = Trainer(model(), x, batch_size=4, binarize="threshold")
    trainer.run(1)
    np.testing.assert_array_equal(trainer.ws.x[0], [0, 0, 0, 1, 1, 1])


def test_a_byte_of_255_is_a_pixel_of_one():
    trainer = Trainer(model(), np.array([[0, 51, 102, 153, 204, 255]] * 4, np.uint8), batch_size=4)
    trainer.run(1)
    np.testing.assert_allclose(trainer.ws.x[0], [0, 0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)
    assert trainer.ws.x.max() <= 1                   # a Bernoulli's nll is bounded below only up to there


def test_noise_differs_between_steps_examples_and_latents():
    trainer = Trainer(model(n_latent=3), data(), batch_size=50)
    seen = []
    trainer.run(20, after_step=lambda trainer, objective: seen.append(trainer.ws.eps.copy()))
    assert len(np.unique(np.array(seen))) == np.size(seen)


def test_held_out_noise_is_not_the_training_noise_and_does_not_change():
    vae, x = model(), data()
    first, second = held_out_objective(vae, x, seed=0), held_out_objective(vae, x, seed=0)
    assert first == second != held_out_objective(vae, x, seed=1)


def test_held_out_objective_does_not_depend_on_its_pieces_beyond_noise():
    vae = model(dtype="float64")
    x = data(n=3000)
    pieces = [held_out_objective(vae, x, batch_size=size).loss for size in (100, 512, 3000)]
    np.testing.assert_allclose(pieces, pieces[0], rtol=2e-2)
    assert held_out_objective(Autoencoder(6, 2, hidden=(3,)), x, batch_size=7).kl == 0


def test_a_memory_map_and_uint8_train_like_the_array_they_hold(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(trained(x=mapped), trained(x=pixels))
    assert np.shares_memory(as_rows(mapped, 6), mapped)


def test_adam_agrees_with_a_scalar_reference():
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(5)
    adam, m, v, reference = Adam(5, "float64", 0.01), [0.0] * 5, [0.0] * 5, theta.tolist()
    for t in range(1, 8):
        g = rng.standard_normal(5) * 10.0 ** rng.integers(-6, 3)
        adam.update(theta, g)
        for i in range(5):
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
            reference[i] -= 0.01 * (m[i] / (1 - 0.9**t)) / (math.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(theta, reference, rtol=1e-12)


@pytest.mark.parametrize("dtype, epsilon", [("float32", 1e-15), ("float32", 2e-19), ("float64", 2e-154)])
def test_no_gradient_is_so_small_that_adam_goes_further_than_its_learning_rate(dtype, epsilon):
    """v was set to 0 beside an m that counted: at epsilon 1e-15 a gradient of 2e-14 moved theta by 20 rates."""
    gradient = 10.0 ** np.linspace(math.log10(epsilon) - 6, 0, 200).astype(dtype)
    theta = np.zeros_like(gradient)
    Adam(200, dtype, 0.1, epsilon=epsilon).update(theta, gradient)
    exact = -0.1 * gradient.astype(np.float64) / (gradient.astype(np.float64) + epsilon)
    np.testing.assert_allclose(theta, exact, rtol=1e-2, atol=1e-5)        # v may be subnormal
    with pytest.raises(ConfigurationError, match="epsilon is .*; it must be a finite number of at least"):
        Adam(200, dtype, epsilon=math.sqrt(np.finfo(dtype).tiny) / 2)


@pytest.mark.parametrize("optimizer, name", [(SGD, "momentum"), (Adam, "beta1"), (Adam, "beta2")])
def test_a_moment_that_forgets_nothing_is_refused(optimizer, name):
    for value in (1, 1.5, -0.1):
        with pytest.raises(ConfigurationError, match=f"{name} is {value}"):
            optimizer(2, "float64", **{name: value})


def test_only_a_learning_rate_above_one_lowers_the_largest_gradient():
    limits = [SGD(2, "float64", learning_rate=rate).limit for rate in (0.01, 1.0, 1.5, 10.0)]
    np.testing.assert_allclose(limits, limits[0] / np.array([1, 1, 1.5, 10]))


@pytest.mark.parametrize("optimizer", [Adam, SGD])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_a_gradient_that_stays_zero_never_become_subnormal(optimizer, dtype):
    """They decayed into the subnormals, and a step of a model with dead units took more than twice as long."""
    theta, made = np.ones(3, dtype), optimizer(3, dtype)
    made.update(theta, np.array([1.0, -1e-3, 0.0], dtype))
    for _ in range(8000):
        made.update(theta, np.zeros(3, dtype))
        smallest = [np.abs(moment[moment != 0]).min(initial=1.0) for moment in made.moments.values()]
        assert min(smallest) >= np.finfo(dtype).tiny
    assert not next(iter(made.moments.values())).any()          # the fast mean has come to rest


@pytest.mark.skipif(BACKEND == "numpy", reason="the twins may allocate")
def test_a_step_allocates_no_array_data():
    trainer = Trainer(VAE(200, 5, hidden=(50,)), data(n=640, d=200), batch_size=64, binarize="dynamic")
    order = epoch_permutation(640, 0, 0)

    def steps(n):
        for _ in range(n):
            trainer.state.batch = 0
            trainer.step(order)
    steps(3)
    tracemalloc.start()
    try:
        steps(3)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        steps(50)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2000                    # Python's own bookkeeping; the smallest activation is 1280 bytes
    assert peak - before < 8000                     # views and scalars in flight, no copy of x (51,200 bytes)


@pytest.mark.parametrize("settings, message", [
    (dict(batch_size=0), "batch_size is 0"),
    (dict(learning_rate=0.0), "learning_rate is 0.0"),
    (dict(learning_rate=float("nan")), "learning_rate is nan"),
    (dict(learning_rate=np.complex128(1)), "learning_rate is"),
    (dict(learning_rate=10**400), "learning_rate is 1000"),
    (dict(optimizer="lion"), "'lion'; known are adam, sgd"),
    (dict(binarize="sometimes"), "'sometimes'; known are none, dynamic, threshold"),
    (dict(output_bias="one"), "'one'; known are data, zero"),
    (dict(seed=2**32), "seed is 4294967296"),
])
def test_a_setting_that_cannot_work_is_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        Trainer(model(), data(), **{"batch_size": 10, **settings})


def test_a_batch_larger_than_the_data_is_all_of_them_and_says_so():
    small, exact = model(), model()
    with pytest.warns(ScratchVAEWarning, match="batch_size is 128, but the training data have 50 rows"):
        small.fit(data(), epochs=3)
    exact.fit(data(), epochs=3, batch_size=50)
    np.testing.assert_array_equal(small.parameters.flat, exact.parameters.flat)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            small.partial_fit(data())
    assert len(said) == 1


def test_data_that_cannot_be_binarized_are_refused():
    with pytest.raises(DataError, match="only values in"):
        Trainer(model(likelihood="gaussian"), data() * 3, batch_size=10, binarize="dynamic")


def test_a_loss_that_is_not_finite_stops_with_the_step():
    with pytest.raises(TrainingError, match="the loss of step 2 is (nan|inf).*learning rate"):
        with np.errstate(all="ignore"):
            Trainer(model(likelihood="gaussian"), data(), batch_size=10, learning_rate=1e30, optimizer="sgd").run(5)


def test_a_notebook_shows_a_history_as_a_table_of_its_epochs():
    def table(epochs, test_loss):
        return History(Epoch(i + 1, 3.0, 2.0, 1.0, test_loss, test_loss, test_loss, 0.5, 10.0)
                       for i in range(epochs))._repr_html_()

    assert "<td>3</td>" in table(2, 4.0) and "test loss" in table(2, 4.0)
    assert "test loss" not in table(2, math.nan)                       # there is no held-out set
    assert table(20, 4.0).count("<tr>") == 21 and "..." not in table(20, 4.0)
    assert table(500, 4.0).count("<tr>") == 22 and "<td>500</td>" in table(500, 4.0)
    assert table(0, 4.0).startswith("<table>")


# The state ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def trainer():
    trainer = Trainer(model(estimator=ScoreFunction("moving_average")), data(), batch_size=20, validation=data(seed=1))
    trainer.run(2)
    return trainer


def test_states_are_equal_if_all_but_their_times_are(trainer):
    state = trainer.state

    def changed(change):
        other = copy.deepcopy(state)
        change(other)
        return other

    assert changed(lambda it: None) == state and state != 3
    for name in ("epoch", "batch", "skipped", "rows_skipped"):
        assert changed(lambda it: setattr(it, name, getattr(it, name) + 1)) != state, name
    assert changed(lambda it: setattr(it, "seconds", 9.0)) == state
    for i in range(3):
        assert changed(lambda it: it.totals.__setitem__(i, -1.0)) != state, i
    for name in ("average_loss", "steps"):
        assert changed(lambda it: it.estimator.update({name: -1})) != state, name
    for name in Epoch._fields:
        other = changed(lambda it: it.history.__setitem__(1, it.history[1]._replace(**{name: -1})))
        assert (other == state) == (name in ("seconds", "steps_per_second")), name
    assert changed(lambda it: setattr(it.history, "first_loss", 1.0)) != state
    assert changed(lambda it: setattr(it.history, "since", 1)) != state
    assert changed(lambda it: setattr(it.optimizer, "step", 1)) != state
    for name, moment in state.optimizer.moments.items():
        assert changed(lambda it: it.optimizer.moments[name].__setitem__(-1, 9.0)) != state, name
    assert changed(lambda it: setattr(it, "optimizer", SGD(len(moment), moment.dtype, 1e-3))) != state


def test_a_new_epoch_begins_with_nothing_summed_up(trainer):
    trainer.run(3, after_step=lambda it, _: setattr(it, "stop", True))
    state = trainer.state
    state.rows_skipped = 3
    assert state.batch == 1 and state.seconds > 0 and all(state.totals)
    state.begin_epoch()
    assert (state.batch, state.rows_skipped, state.seconds, state.totals) == (0, 0, 0.0, [0.0, 0.0, 0.0])


def test_a_state_goes_through_a_file_and_stays_equal(trainer):
    packed = trainer.state.pack(trainer.model.parameters.layout)
    fresh = Trainer(trainer.model, data(), batch_size=20).state
    assert fresh != trainer.state
    fresh.unpack(*packed, trainer.model.parameters.layout)
    assert fresh == trainer.state == TrainingState.of_file(trainer.model, *packed)


def test_counts_are_taken_as_far_as_counters_of_noise_reach(trainer):
    layout = trainer.model.parameters.layout
    meta, arrays = trainer.state.pack(layout)
    for count in (0, 2**62 - 1):
        trainer.state.unpack({**meta, "step": count, "seconds": 0.5}, arrays, layout)
        assert trainer.state.optimizer.step == count and trainer.state.seconds == 0.5
    for count in (-1, 2**62, 1.0, True):
        with pytest.raises((TypeError, ValueError), match=f"step is {count}"):
            trainer.state.unpack({**meta, "step": count}, arrays, layout)
    assert MOST_COUNTED == 2**62


def test_a_file_from_before_estimators_remembered_anything_is_read(trainer):
    layout = trainer.model.parameters.layout
    meta, arrays = trainer.state.pack(layout)
    older = {name: value for name, value in meta.items() if name != "estimator"}
    trainer.state.unpack(older, arrays, layout)
    assert trainer.state.estimator == {"average_loss": 0.0, "steps": 6}
    trainer.state.unpack({**older, "average_loss": 2.5}, arrays, layout)
    assert trainer.state.estimator == {"average_loss": 2.5, "steps": 6}


def test_a_history_says_where_it_began_and_where_it_ended():
    epochs = [Epoch(n, 9.0 - n, 0.0, 0.0, 19.0 - n, 0.0, 0.0, 1.0, 1.0) for n in (1, 2, 3)]
    assert repr(History(epochs)) == ("History(3 epochs, training loss 8.00 to 6.00, held-out loss 18.00 to 16.00, "
                                     "nats per example)")
    alone = [epoch._replace(test_loss=math.nan) for epoch in epochs]
    assert repr(History(alone)) == "History(3 epochs, training loss 8.00 to 6.00, nats per example)"
    assert "held-out loss 17.00 to 16.00," in repr(History([alone[0], *epochs[1:]]))          # it said nan to 16.00
    assert repr(History()) == "History(0 epochs)" and History(alone).best() == History().best() == 0


def test_two_threads_do_not_train_one_model_at_once():
    """Both moved the count of batches past the end, and neither found it: they went on for ever."""
    other = []

    def meanwhile():
        with pytest.raises(ConfigurationError, match="trained by another thread"):
            vae.partial_fit(np.zeros((4, 6)), batch_size=4)
        other.append(True)
        copy.deepcopy(vae).partial_fit(np.zeros((4, 6)), batch_size=4)           # as the error advises
        other.append(True)

    class Slow(Bernoulli):
        def update_running_variance(self, p, outputs, nll):
            if not other:
                thread = threading.Thread(target=meanwhile)
                thread.start()
                thread.join()

    vae = VAE(6, 2, hidden=(3,), likelihood=Slow())
    vae.fit(np.zeros((4, 6)), batch_size=4, epochs=1)
    assert other == [True, True]
    vae.partial_fit(np.zeros((4, 6)), batch_size=4)                     # nobody trains it any more
