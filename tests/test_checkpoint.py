"""The file format: what is written comes back, and nothing else is believed."""
import json
import os

import numpy as np
import pytest

from scratchvae.errors import RunError
from scratchvae.storage.checkpoint import _checksum, load_arrays, save_arrays

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
