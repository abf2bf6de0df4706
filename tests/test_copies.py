"""Copies of every kind: they share no memory with the original, and what can train goes on as the original would."""
import copy
import importlib
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchvae
from scratchvae import Autoencoder, load_data, VAE
from scratchvae.cli.main import main
from scratchvae.cli.run_folder import Run
from scratchvae.elbo import Workspace
from scratchvae.estimators import Estimator, ESTIMATORS, ScoreFunction
from scratchvae.gradcheck import Checks
from scratchvae.history import Epoch, History, TrainingState
from scratchvae.likelihoods import Likelihood, LIKELIHOODS
from scratchvae.optimizers import Adam, SGD
from scratchvae.oracles import LinearGaussian, Quadrature
from scratchvae.parameters import Layout, Parameters
from scratchvae.training import Trainer
from scratchvae.vae import Posterior

X = np.random.default_rng(0).random((20, 6)).astype(np.float32)


def pickled(protocol):
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))


DEEP = {"deepcopy": copy.deepcopy, **{f"pickle {n}": pickled(n) for n in range(pickle.HIGHEST_PROTOCOL + 1)}}
WAYS = {"copy": copy.copy, **DEEP}
every_way = pytest.mark.parametrize("way", WAYS)


def made(kind=VAE, **settings):
    return kind(**{"n_visible": 6, "n_latent": 2, "hidden": (5,), "seed": 3, **settings})


def trainer(model=None, steps=3):
    """A trainer in the middle of its second epoch."""
    it = Trainer(made(likelihood="gaussian_optimal") if model is None else model, X, batch_size=10, validation=X[:7],
                 binarize="dynamic")
    it.run(9, after_step=lambda it, _: setattr(it, "stop", it.state.optimizer.step == steps))
    return it


def fitted(**settings):
    return made(**settings).fit(X, epochs=2, batch_size=10)


OWN = {VAE: fitted, Autoencoder: lambda: fitted(kind=Autoencoder), Parameters: lambda: fitted().parameters,
       Workspace: lambda: made().workspace(3), Trainer: trainer, TrainingState: lambda: trainer().state,
       Adam: lambda: Adam(3, "float32"), SGD: lambda: SGD(3, "float64")}     # copy.copy makes them independent as well
OTHERS = {**{kind: kind for kind in LIKELIHOODS.values()}, Likelihood: Likelihood, History: lambda: fitted().history_,
          Checks: Checks, Layout: lambda: made().parameters.layout,
          Quadrature: lambda: Quadrature(made(n_latent=1, dtype="float64")),
          LinearGaussian: lambda: LinearGaussian(np.array([[1.0, 2.0, 3.0]]), np.zeros(3), 0.5)}


def public_classes():
    """Every class that a package names in `__all__`, and what trains."""
    rooms = [scratchvae, *(importlib.import_module(f"scratchvae.{room.name}")
                           for room in pkgutil.iter_modules(scratchvae.__path__) if room.ispkg)]
    named = [getattr(room, name) for room in rooms for name in getattr(room, "__all__", ())]
    classes = {thing for thing in named if isinstance(thing, type)} | {Posterior, Epoch} | OWN.keys() | OTHERS.keys()
    return sorted(classes, key=lambda kind: kind.__name__)


def example(kind):
    if issubclass(kind, tuple) and kind not in OWN:                   # a record: whatever it holds is copied with it
        return kind(*(np.arange(3.0) + i for i, _ in enumerate(kind._fields)))
    if issubclass(kind, Estimator):
        return kind()
    if issubclass(kind, Exception):
        return kind("what, got, expected, remedy")
    return {**OWN, **OTHERS}[kind]()                                  # KeyError: give the new class an example


def arrays(thing, seen=None):
    """Yield every array in an object, and in what it holds."""
    seen = {} if seen is None else seen
    if id(thing) in seen or isinstance(thing, (str, bytes, type)):
        return
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        yield thing
    inside = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (tuple, list)) else ()
    for part in [*inside, *getattr(thing, "__dict__", {}).values()]:
        yield from arrays(part, seen)


def holders(thing, kind):
    """Yield every object of a class in an object, and in what it holds."""
    if isinstance(thing, kind):
        yield thing
    for part in getattr(thing, "__dict__", {}).values():
        yield from holders(part, kind)


def require_own_memory(copied, original):
    kept, made_anew = list(arrays(original)), list(arrays(copied))
    assert len(kept) == len(made_anew)
    for a in made_anew:
        assert a.flags.writeable
        for b in kept:
            assert not np.shares_memory(a, b)


def require_views(thing):
    """Every view looks into its own vector, which begins a cache line, as a workspace's arrays do."""
    for p in holders(thing, Parameters):
        named = dict(p.segments())
        networks = [array for stack in (p.encoder, p.decoder) for layer in stack for array in layer]
        assert sum(view.size for view in named.values()) == p.flat.size and p.flat.ctypes.data % 64 == 0
        for view in (*named.values(), *networks, *p.likelihood.values()):
            assert np.shares_memory(view, p.flat)
    for ws in holders(thing, Workspace):
        assert all(a.ctypes.data % 64 == 0 for a in (ws.x, ws.z, *ws.encoder, *ws.d_decoder))


@pytest.mark.parametrize("kind", public_classes(), ids=lambda kind: kind.__name__)
def test_a_copy_of_anything_holds_the_same_numbers_in_memory_of_its_own(kind):
    original = example(kind)
    for name, way in (WAYS if kind in OWN else DEEP).items():
        with mock.patch.object(Trainer, "__copy__", copy.deepcopy):               # which shares its data otherwise
            copied = way(original)
        assert type(copied) is kind
        require_own_memory(copied, original)
        require_views(copied)
        if kind is not Workspace and kind is not Trainer:                         # buffers hold anything
            for a, b in zip(arrays(copied), arrays(original)):
                np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_copied_trainer_shares_its_data_alone():
    original = trainer()
    copied = copy.copy(original)
    assert copied.x is original.x and copied.validation is original.validation
    original.x = original.validation = copied.x = copied.validation = None
    require_own_memory(copied, original)


def test_a_bundled_data_set_is_copied_whole():
    digits = load_data("digits")
    for way in DEEP.values():
        require_own_memory(way(digits), digits)


def require_same_training(copied, original):
    """Train the copy first, then the original: neither moves the other, and both come to the same bits."""
    before = original.parameters.flat.copy()
    copied.partial_fit(X, epochs=2, batch_size=10, binarize="dynamic")
    np.testing.assert_array_equal(original.parameters.flat, before)
    original.partial_fit(X, epochs=2, batch_size=10, binarize="dynamic")
    np.testing.assert_array_equal(copied.parameters.flat, original.parameters.flat)
    assert not np.array_equal(original.parameters.flat, before)
    assert copied._training == original._training
    assert copied.score(X) == original.score(X)


@given(st.sampled_from(list(WAYS)), st.sampled_from([VAE, Autoencoder]), st.sampled_from(list(LIKELIHOODS)),
       st.sampled_from(["float32", "float64"]), st.integers(0, 2))
def test_a_copied_model_trains_to_the_bits_of_the_original(way, kind, likelihood, dtype, epochs):
    original = made(kind, likelihood=likelihood, dtype=dtype, sigma=0.5)
    if epochs:
        original.fit(X, epochs=epochs, batch_size=10)
    copied = WAYS[way](original)
    require_same_training(copied, original)
    copied.fit(X, epochs=2, batch_size=10)
    np.testing.assert_array_equal(copied.parameters.flat, original.fit(X, epochs=2, batch_size=10).parameters.flat)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@every_way
def test_a_copy_has_the_estimators_state(estimator, way):
    own = ScoreFunction("moving_average") if estimator == "score_function" else estimator
    original = fitted(estimator=own, n_samples=2)
    require_same_training(WAYS[way](original), original)


@every_way
def test_a_copied_trainer_goes_on_in_the_middle_of_an_epoch(way):
    original = trainer()
    copied = WAYS[way](original)
    assert copied.state == original.state and 0 < copied.state.batch < copied.batches
    copied.run(3)
    assert copied.state != original.state
    original.run(3)
    assert copied.state == original.state
    np.testing.assert_array_equal(copied.model.parameters.flat, original.model.parameters.flat)


@every_way
@pytest.mark.parametrize("kind", [Adam, SGD])
def test_a_copied_optimizer_moves_as_the_original(kind, way):
    original = kind(3, "float64")
    first, second = np.ones(3), np.ones(3)
    original.update(first, np.array([1.0, -2.0, 3.0]))
    second[:] = first
    copied = WAYS[way](original)
    for _ in range(3):
        copied.update(second, np.array([0.5, 1.0, 0.0]))
    for _ in range(3):
        original.update(first, np.array([0.5, 1.0, 0.0]))
    np.testing.assert_array_equal(first, second)


def test_a_model_comes_back_from_another_process_and_goes_on():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(fitted().partial_fit, X, batch_size=10).result()
    require_views(there)
    require_same_training(there, fitted().partial_fit(X, batch_size=10))


def test_a_pickle_whose_arrays_are_read_only_becomes_a_model_that_trains():
    """As joblib's workers get them: maps of a file."""
    original, buffers = fitted(), []
    content = pickle.dumps(original, 5, buffer_callback=buffers.append)
    copied = pickle.loads(content, buffers=[bytes(buffer.raw()) for buffer in buffers])
    require_own_memory(copied, original)
    require_same_training(copied, original)


def test_the_model_of_a_run_folder_goes_on_as_resume_would(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: [])
    words = ["train", "--data", "digits", "--hidden", "4", "--latent", "2", "--out", str(tmp_path / "run")]
    assert main([*words, "--epochs", "2"]) == 0
    model, digits = VAE.load(tmp_path / "run" / "model.npz"), load_data("digits")
    model.partial_fit(digits.train, epochs=2, validation=digits.test)
    assert main([*words, "--resume", "--epochs", "4"]) == 0
    resumed = VAE.load(tmp_path / "run" / "model.npz")
    np.testing.assert_array_equal(model.parameters.flat, resumed.parameters.flat)
    assert model._training == resumed._training
