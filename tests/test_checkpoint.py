"""The file format: what is written comes back, and nothing else is believed."""
import contextlib
import json
import os

import numpy as np
import pytest
from test_cli import command, result

from scratchvae import Autoencoder, VAE
from scratchvae.errors import ConfigurationError, DataError, RunError, TrainingError
from scratchvae.model_files import load_run
from scratchvae.storage.checkpoint import _checksum, load_arrays, save_arrays
from scratchvae.training import Trainer

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([1, 2], np.int64), "c": np.float32([0.5, np.nan])}


@pytest.fixture
def saved(tmp_path):
    save_arrays(tmp_path / "file.npz", "thing", {"number": 3, "text": "ü"}, ARRAYS)
    return tmp_path / "file.npz"


def test_what_is_saved_comes_back_bit_for_bit(saved):
    kind, meta, arrays = load_arrays(saved)
    assert (kind, meta) == ("thing", {"number": 3, "text": "ü"})
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_the_same_content_gives_the_same_file(saved, tmp_path):
    save_arrays(tmp_path / "again.npz", "thing", {"number": 3, "text": "ü"}, ARRAYS)
    assert saved.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_damaged_file_is_refused_by_name_wherever_the_damage_is(saved):
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        if rng.random() < 0.3:
            damaged = damaged[:rng.integers(len(whole))]
        else:
            place = rng.integers(len(whole))
            damaged[place] ^= 1 << rng.integers(8)
        saved.write_bytes(damaged)
        try:
            kind, meta, arrays = load_arrays(saved)
        except RunError as error:
            assert str(saved) in str(error)
        else:                                     # a flip in padding or a time stamp, which nothing reads
            assert (kind, meta) == ("thing", {"number": 3, "text": "ü"})
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(arrays[name], array)


def rewrite(path, change):
    """Save the file again with its meta text changed and a matching checksum."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(str(arrays.pop("meta")))
    meta.pop("sha256")
    change(meta, arrays)
    np.savez(path, meta=np.array(json.dumps({**meta, "sha256": _checksum(meta, arrays)})), **arrays)


def test_a_later_format_is_refused_by_its_number(saved):
    rewrite(saved, lambda meta, arrays: meta.update(format=2))
    with pytest.raises(RunError, match="format 2; this version of scratchvae reads format 1"):
        load_arrays(saved)


def test_an_edited_file_does_not_match_its_checksum(saved):
    with np.load(saved) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["a"] = arrays["a"] + 1
    np.savez(saved, **arrays)
    with pytest.raises(RunError, match="does not match its own checksum"):
        load_arrays(saved)


def test_pickles_are_never_loaded(saved):
    np.savez(saved, meta=np.array({"a": 1}, dtype=object))
    with pytest.raises(RunError, match="no intact model file"):
        load_arrays(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match="nothing.npz does not exist"):
        load_arrays(tmp_path / "nothing.npz")


def test_a_failed_save_leaves_the_old_file_and_no_litter(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="No space left"):
        save_arrays(saved, "thing", {}, {"a": np.zeros(3)})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == ["file.npz"]


def test_saving_into_a_missing_folder_says_so(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        save_arrays(tmp_path / "no" / "file.npz", "thing", {}, {})


@pytest.mark.parametrize("arrays", [{"meta": np.zeros(1)}, {"file": np.zeros(1)}, {"x": np.zeros(1, np.int32)},
                                    {"x": [1.0]}, {"x": np.array(["a"])}, {"x": np.array([None])}])
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(arrays, tmp_path):
    with pytest.raises(ConfigurationError, match="a file holds arrays of float32"):
        save_arrays(tmp_path / "file.npz", "thing", {}, arrays)
    for meta in ({"x": np.float32(1)}, {"x": {1, 2}}, {("a", "b"): 1}):
        with pytest.raises(ConfigurationError, match="what JSON cannot"):
            save_arrays(tmp_path / "file.npz", "thing", meta, {})
    assert os.listdir(tmp_path) == []


# ---- models: whatever a file with a matching checksum says, it is a model or refused in one line

SCALARS = [np.float32, np.float64, np.float16, np.longdouble, np.int8, np.int64, np.uint16]
X = np.random.default_rng(0).random((10, 6))


def trained(kind=VAE, **settings):
    model = kind(6, 2, hidden=(3,), **settings)
    return model.fit(X, epochs=2, batch_size=5)


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "gaussian_scalar", "gaussian_optimal"])
def test_a_model_of_numpy_scalars_is_saved_and_comes_back(scalar, likelihood, tmp_path):
    """The standard deviation of the data is one, for example."""
    one, many = scalar(1), scalar(3) if issubclass(scalar, np.integer) else 3
    settings = dict(likelihood=likelihood, sigma=one)
    for model in (VAE(many, many, hidden=[many], beta=one, n_samples=many, seed=many, **settings),
                  Autoencoder(many, many, hidden=np.array([4, 5]), seed=many, **settings)):
        model.save(tmp_path / "model.npz")
        loaded = type(model).load(tmp_path / "model.npz")
        np.testing.assert_array_equal(loaded.parameters.flat, model.parameters.flat)
        assert loaded.sigma == 1 and type(loaded.sigma) is float


def test_the_datas_own_deviation_trains_and_is_saved(tmp_path):
    for x in (X, X.astype(np.float32)):
        trained(likelihood="gaussian", sigma=x.std()).save(tmp_path / "model.npz")
        assert VAE.load(tmp_path / "model.npz").sigma == float(x.std())


@pytest.mark.parametrize("name", dict(VAE(6, 2, hidden=(3,)).parameters.segments()))
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_neither_saved_nor_loaded(name, wrong, tmp_path):
    model, path = VAE(6, 2, hidden=(3,)), tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()
    model.parameters[name].flat[-1] = wrong
    with pytest.raises(DataError, match=f"^{name} is not finite"):
        model.save(path)
    assert path.read_bytes() == before
    numbers = model.parameters.layout.pack(model.parameters.flat)
    rewrite(path, lambda meta, arrays: arrays.update(parameters=numbers))
    with pytest.raises(RunError, match=f"{name} is not finite"):
        VAE.load(path)


ODD = [None, -1, 0, 3, 10**9, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf"), True, "", "x" * 1000, "a\nb", "6",
       [], [1], [-1], [10**12, -(10**12)], ["x"], {}, {"a": {"b": [None]}}, [[[]]]]
ODD_ARRAYS = [np.zeros(0), np.zeros(()), np.zeros((1, 1, 1)), np.zeros(3, np.int64), np.full(7, np.nan),
              np.full((2, 9), -1.0), np.zeros((0, 9)), np.full((2, 9), np.inf), np.array([0.5, np.inf, 1])]


def crafted_files(path):
    """Yield what was changed in the file at path, which then has a matching checksum."""
    whole = path.read_bytes()
    with np.load(path) as stored:
        names, meta = [name for name in stored.files if name != "meta"], json.loads(str(stored["meta"]))
    places = [(), *((key,) for key in meta if key not in ("format", "sha256")),
              *((key, inner) for key in ("settings", "training") for inner in meta[key])]

    def change_meta(place, value, remove=False):
        def change(meta, arrays):
            for key in place[:-1]:
                meta = meta[key]
            if not place:
                meta["unknown"] = meta["settings"]["unknown"] = value
            elif remove:
                del meta[place[-1]]
            else:
                meta[place[-1]] = value
        return change

    changes = {(place, repr(value)[:30]): change_meta(place, value) for place in places for value in ODD}
    changes |= {(place, "absent"): change_meta(place, None, True) for place in places[1:]}
    for name in names:
        others = {"negative": lambda a: -a - 1, "float64": lambda a: a.astype(np.float64), "shorter": lambda a: a[:-1],
                  "float32": lambda a: a.astype(np.float32), "huge": lambda a: np.full_like(a, np.finfo(a.dtype).max),
                  "longer": lambda a: np.concatenate([a, a]), "column": lambda a: a[..., None],
                  "byte order": lambda a: a.astype(a.dtype.newbyteorder())}
        for what, make in others.items():
            changes[name, what] = lambda _, arrays, name=name, make=make: arrays.update({name: make(arrays[name])})
        for i, odd in enumerate(ODD_ARRAYS):
            changes[name, i] = lambda _, arrays, name=name, odd=odd: arrays.update({name: odd})
        changes[name, "absent"] = lambda _, arrays, name=name: arrays.pop(name)
    changes["another", "array"] = lambda _, arrays: arrays.update(another=np.zeros(3))
    for what, change in changes.items():
        path.write_bytes(whole)
        rewrite(path, change)
        yield what


@pytest.mark.parametrize("kind, optimizer", [(VAE, "adam"), (Autoencoder, "sgd")])
def test_a_crafted_file_is_a_model_or_refused_in_one_line(kind, optimizer, tmp_path):
    """Loaded, and gone on with: by partial_fit, and as --resume does."""
    path = tmp_path / "model.npz"
    kind(6, 2, hidden=(3,), likelihood="gaussian_scalar").fit(X, epochs=2, batch_size=5, optimizer=optimizer).save(path)
    taken = []
    for what in crafted_files(path):
        try:
            model = kind.load(path)
            before = model.parameters.flat.copy()
            resumed, meta, arrays = load_run(path)
            trainer = Trainer(resumed, X, batch_size=5, optimizer=optimizer)
            trainer.restore(meta["training"], arrays)
        except RunError as error:
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 700, what
        except (KeyError, TypeError, ValueError) as error:            # with these data: the command makes a line of it
            assert "training" not in meta or what[0][1] in ("batch", "rows_skipped", "n_samples"), what
            assert "\n" not in str(error)
        else:
            taken.append(what)
            assert np.isfinite(before).all() and trainer.state.epoch == 2, what
            with np.errstate(all="ignore"), contextlib.suppress(TrainingError):       # of huge, but finite numbers
                trainer.run(3)
    assert 20 < len(taken) < 300


def test_resuming_from_a_crafted_file_goes_on_or_says_why_not_in_one_line(capsys, no_figures, tmp_path):
    np.savez(tmp_path / "data.npz", train=X, test=X[:5])
    run = tmp_path / "run"
    result(capsys, "train", "--data", tmp_path / "data.npz", "--hidden", 3, "--latent", 2, "--batch-size", 5,
           "--epochs", 1, "--out", run)
    path = run / "model.npz"
    whole, seen = path.read_bytes(), set()
    for what in crafted_files(path):
        crafted = path.read_bytes()
        if what[0] in seen or what[1] in ("0", "3", "longer"):                           # one change of each place
            continue
        seen.add(what[0])
        status, _, err = command(capsys, "train", "--resume", "--epochs", 2, "--out", run)
        refused = status == 2 and len(err.splitlines()) == 1 and err.startswith("scratchvae train: error")
        assert status == 0 or refused, what
        path.write_bytes(crafted)
    path.write_bytes(whole)
    assert len(seen) > 20 and command(capsys, "train", "--resume", "--epochs", 2, "--out", run)[0] == 0
