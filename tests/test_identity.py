"""Data that changed are told from data that did not."""
import copy
import mmap
import os
import pickle
import shutil

import numpy as np
import pytest

from scratchvae import load_data, VAE
from scratchvae.arrays import SAMPLE, STRETCHES
from scratchvae.data import fingerprint
from scratchvae.errors import DataError
from scratchvae.training import Trainer

ROWS = np.random.default_rng(0).integers(0, 256, (300, 7), dtype=np.uint8)
SPREAD = 2 * STRETCHES - 1                      # rows of large data, of which every second one is hashed


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_a_fingerprint_depends_on_the_numbers_and_not_on_where_they_lie(tmp_path, dtype):
    x = ROWS.astype(dtype)
    np.save(tmp_path / "x.npy", x)
    same = [x.copy(), np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(np.dtype(dtype).newbyteorder()),
            np.load(tmp_path / "x.npy", mmap_mode="r")]
    assert {fingerprint(array) for array in same} == {fingerprint(x)}


def test_any_change_of_small_data_has_another_fingerprint():
    changed, last = ROWS.copy(), ROWS.copy()
    changed[150, 3] ^= 1
    last[-1, -1] ^= 1
    others = [changed, last, ROWS[:-1], ROWS[::-1], ROWS[:, ::-1], ROWS.reshape(7, 300), ROWS.view(np.int8),
              ROWS.astype(np.float32), ROWS[:0], ROWS[:0, :3]]
    assert len({fingerprint(array) for array in [ROWS, *others]}) == len(others) + 1


def test_of_large_data_the_first_and_last_bytes_and_parts_all_over_are_hashed(tmp_path):
    shape = (SPREAD, SAMPLE // STRETCHES)
    large = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, shape)
    seen = {fingerprint(large)}
    for row, column in ((0, 0), (-1, -1), (STRETCHES, 0)):
        large[row, column] = 1
        seen.add(fingerprint(large))
    assert len(seen) == 4
    assert fingerprint(large[:-1]) not in seen


# ---- files that are written to while they are mapped

PIXELS = np.random.default_rng(1).integers(0, 256, (30_000, 6), dtype=np.uint8)     # more than pages of memory
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody change a file that is mapped")


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    os.utime(tmp_path / "x.npy", (0, 0))            # a change of it is later by more than a clock's tick
    return tmp_path / "x.npy"


def cut(path):
    os.truncate(path, 200)


def rewrite(path):
    np.save(path, PIXELS[::-1])


def write_in_place(path):
    with open(path, "r+b") as file:
        file.seek(300)
        file.write(b"x")


def replace(path):
    np.save(path.with_name("y.npy"), PIXELS[::-1])
    os.replace(path.with_name("y.npy"), path)


def move(path):
    shutil.move(path, path.with_name("moved.npy"))


def run(data, validation=None, after_epoch=None):
    model = VAE(6, 1, hidden=(3,))
    trainer = Trainer(model, data, batch_size=10_000, validation=validation)
    trainer.run(3, after_epoch=after_epoch)
    return model.parameters.flat


@POSIX
@pytest.mark.parametrize("change", [cut, rewrite, write_in_place])
@pytest.mark.parametrize("part", ["train", "validation", "a view of np.load's"])
def test_training_stops_with_an_error_that_names_the_file_when_its_data_were_written_to(path, change, part):
    data, epochs = load_data(path), []
    train, validation = {"train": (data.train, None), "validation": (PIXELS, data.test),
                         "a view of np.load's": (np.load(path, mmap_mode="r")[10:, :], None)}[part]

    def change_it(trainer):
        epochs.append(1)
        change(path)
    with pytest.raises(DataError, match=r"x\.npy was written to during training: 180,128 bytes, now"):
        run(train, validation, change_it)
    assert epochs == [1]


@POSIX
@pytest.mark.parametrize("change", [replace, os.remove, move])
def test_a_file_that_is_replaced_removed_or_moved_does_not_disturb_training(path, change):
    undisturbed = run(load_data(path).train)
    disturbed = run(load_data(path).train, after_epoch=lambda trainer: path.exists() and change(path))
    assert np.array_equal(disturbed, undisturbed)


@POSIX
def test_an_epoch_whose_data_changed_under_it_is_not_recorded(path):
    trainer, finished = Trainer(VAE(6, 1, hidden=(3,)), load_data(path).train, batch_size=10_000), []
    with pytest.raises(DataError, match="written to"):
        trainer.run(3, after_step=lambda trainer, objective: write_in_place(path), after_epoch=finished.append)
    assert finished == []


@POSIX
def test_a_trainer_with_rows_of_its_own_does_not_ask_for_the_file_that_they_were_copied_from(path):
    trainer = Trainer(VAE(6, 1, hidden=(3,)), load_data(path).train, batch_size=10_000)
    shares, *own = copy.copy(trainer), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))
    write_in_place(path)
    for copied in own:
        assert len(copied.run(1)) == 1
    for mapped in (trainer, shares, copy.copy(trainer)):
        with pytest.raises(DataError, match="written to"):
            mapped.run(1)


def test_a_map_that_the_user_writes_to_may_change(path):
    mapped = np.load(path, mmap_mode="r+")

    def write(trainer):
        mapped[0, 0] ^= 1
        mapped.flush()
    assert np.isfinite(run(mapped, after_epoch=write)).all()


@POSIX
def test_data_mapped_from_a_file_that_was_cut_short_meanwhile_are_refused_before_they_are_read(path):
    data = load_data(path)
    tail = np.memmap(path, np.uint8, "r", offset=2 * mmap.ALLOCATIONGRANULARITY, shape=(10, 6))
    cut(path)
    model = VAE(6, 1, hidden=(3,))
    with pytest.raises(DataError, match="now has 200; "):
        model.score(tail)
    for refuse in (model.fit, model.score, model.transform):
        with pytest.raises(DataError, match=r"at least 180,128 bytes and now has 200; "):
            refuse(data.train)
