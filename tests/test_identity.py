"""Data that changed are told from data that did not."""
import numpy as np
import pytest

from scratchvae.arrays import SAMPLE, STRETCHES
from scratchvae.data import fingerprint

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
