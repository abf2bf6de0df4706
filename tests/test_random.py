"""The noise: known answers, its distribution, and that it depends on (seed, stream, step, index) alone.

Statistics are of fixed seeds, so a test either always passes or always fails.  Their limits are what an
honest generator would exceed once in ten thousand.
"""
import math

import numpy as np
import pytest
from test_kernels import require_the_same_bits_on_any_number_of_threads

from scratchvae.kernels import minibatch, random, twins
from scratchvae.kernels.twins import STRICT

N = 1 << 18
DEVIATIONS = 3.9            # of a standard normal statistic: exceeded with probability 1e-4
KOLMOGOROV = 2.23           # of sqrt(n) times the largest difference of distribution functions: likewise
ULP = 4                     # normal numbers against their twin: logarithm, root, sine and product are rounded

both_dtypes = pytest.mark.parametrize("dtype", (np.float32, np.float64))
both_kinds = pytest.mark.parametrize("noise", ("uniform", "standard_normal"))


def uniform(seed, stream, step, out):
    """What gather_rows compares pixels with, alone."""
    random.fill_uniform(seed, stream, step, 0, len(out), out)


if twins.BACKEND == "numba":
    import numba
    uniform = numba.njit(fastmath=set(STRICT), error_model="numpy")(uniform)
else:
    uniform = random.uniform_ref            # the loop takes minutes where Python runs it
DRAWS = {"uniform": (random.uniform_ref, uniform),
         "standard_normal": (random.standard_normal_ref, random.standard_normal)}


def draw(noise, seed=1, stream=random.EPS, step=1, n=N, dtype=np.float32):
    out = np.full(n, np.nan, dtype)
    DRAWS[noise][1](seed, stream, step, out)
    return out


def standard(noise, sample):
    """The sample as numbers of mean 0 and variance 1."""
    return sample.astype(np.float64) if noise == "standard_normal" else (sample - 0.5) * math.sqrt(12.0)


# From the file kat_vectors of Random123, the authors' library: counter, key, answer.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_philox_gives_the_known_answers(counter, key, answer):
    words = random.philox_ref(*(np.uint64(word) for word in key + counter))
    assert tuple(int(word) for word in words) == answer


def test_the_first_known_answer_is_the_first_noise():
    first = draw("uniform", seed=0, stream=0, step=0, n=4)
    assert ((first * 2 ** 23).astype(np.uint32) == [word >> 9 for word in KNOWN[0][2]]).all()


def test_an_element_takes_its_word_from_block_stream_and_step():
    seed, stream, step = 0x299F31D0A4093822, 2, (5 << 32) + 3
    for n in (1, 6, 11):
        key = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)
        block = (n - 1) // 4
        words = random.philox_ref(*key, np.uint64(block), np.uint64(stream), np.uint64(3), np.uint64(5))
        want = ((int(words[(n - 1) % 4]) >> 9) + 0.5) / 2 ** 23
        assert draw("uniform", seed, stream, step, n)[-1] == want


@both_dtypes
def test_kernel_and_twin_draw_the_same_noise(dtype):
    for n in (1, 2, 3, 4, 5, 63, 4097, 50001):
        for noise, limit in (("uniform", 0), ("standard_normal", ULP)):
            reference, compiled = DRAWS[noise]
            got, want = np.full((2, n), np.nan, dtype)
            compiled(9, random.SAMPLES, 3, got)
            reference(9, random.SAMPLES, 3, want)
            assert np.all(np.abs(got - want) <= limit * np.spacing(np.abs(want)))


@both_dtypes
@both_kinds
def test_the_first_elements_do_not_depend_on_how_many_are_asked_for(noise, dtype):
    everything = draw(noise, n=9000, dtype=dtype)
    for n in (*range(1, 70), 2047, 2048, 2049, 4096, 4099, 8999):
        np.testing.assert_array_equal(draw(noise, n=n, dtype=dtype), everything[:n])


def test_the_noise_does_not_depend_on_the_number_of_threads():
    require_the_same_bits_on_any_number_of_threads(lambda: [draw("standard_normal")])


def test_float64_noise_is_float32_noise_rounded_less():
    narrow, wide = (draw("uniform", dtype=dtype) for dtype in (np.float32, np.float64))
    assert np.abs(narrow - wide).max() <= 2.0 ** -23
    # Near u = 1 the radius sqrt(-2 log u) magnifies the rounding of u to float32, at most to this.
    narrow, wide = (draw("standard_normal", dtype=dtype) for dtype in (np.float32, np.float64))
    assert np.abs(narrow - wide).max() <= 3e-4
    assert np.median(np.abs(narrow - wide)) <= 1e-7


@both_dtypes
def test_uniform_numbers_stay_inside_the_open_interval(dtype):
    u = draw("uniform", dtype=dtype, n=1 << 20)
    assert 0 < u.min() < 1e-5 and 1 - 1e-5 < u.max() < 1
    bits = 23 if dtype is np.float32 else 31
    extremes = (np.array([0, 2 ** bits - 1]).astype(dtype) + dtype(0.5)) * dtype(2.0 ** -bits)
    assert 0 < extremes[0] and extremes[1] < 1


@both_dtypes
@both_kinds
def test_the_first_four_moments_are_right(noise, dtype):
    x = standard(noise, draw(noise, seed=3, dtype=dtype))
    # Mean and variance of each power of the standardized variable.
    fourth, eighth, sixth = (3, 105, 15) if noise == "standard_normal" else (9 / 5, 9, 27 / 7)
    for power, mean, square in ((1, 0, 1), (2, 1, fourth), (3, 0, sixth), (4, fourth, eighth)):
        deviation = (np.mean(x ** power) - mean) * math.sqrt(N / (square - mean ** 2))
        assert abs(deviation) < DEVIATIONS, f"moment {power} is off by {deviation:.1f} standard errors"


def kolmogorov_statistic(probabilities):
    """sqrt(n) sup |empirical - uniform distribution function|."""
    ordered, n = np.sort(probabilities.astype(np.float64)), len(probabilities)
    grid = np.arange(n + 1) / n
    return math.sqrt(n) * max(np.max(grid[1:] - ordered), np.max(ordered - grid[:-1]))


@both_dtypes
@both_kinds
def test_the_distribution_passes_kolmogorov_and_smirnov(noise, dtype):
    for seed in (1, 2, 3):
        x = draw(noise, seed=seed, dtype=dtype)
        if noise == "standard_normal":
            x = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in x.tolist()]))
        assert kolmogorov_statistic(x) < KOLMOGOROV


def test_the_tails_of_the_normal_reach_as_far_as_they_should():
    x = np.abs(draw("standard_normal", n=1 << 22))
    for threshold in (3, 4, 4.5):
        expected = math.erfc(threshold / math.sqrt(2)) * len(x)
        assert abs(np.sum(x > threshold) - expected) < DEVIATIONS * math.sqrt(expected)


def assert_independent(noise, a, b, what):
    """Neither values nor squares of two samples are correlated."""
    a, b = standard(noise, a), standard(noise, b)
    for x, y in ((a, b), (a ** 2, b ** 2), (a, b ** 2), (a ** 2, b)):
        deviation = np.corrcoef(x, y)[0, 1] * math.sqrt(len(x))
        assert abs(deviation) < DEVIATIONS, f"{what}: correlation {deviation:.1f} standard errors from 0"


@both_kinds
def test_noise_is_independent_across_index_step_seed_and_stream(noise):
    base = draw(noise, seed=5, stream=random.EPS, step=7)
    for lag in (1, 2, 3, 4, 5, 8, 16, 64, random.ELEMENTS_A_TURN):
        assert_independent(noise, base[lag:], base[:-lag], f"index and index + {lag}")
    others = {
        "the next step": dict(seed=5, step=8), "a step 2^32 later": dict(seed=5, step=7 + 2 ** 32),
        "the next seed": dict(seed=6, step=7), "a seed 2^32 above": dict(seed=5 + 2 ** 32, step=7),
        "seed and step exchanged": dict(seed=7, step=5),
        "the next stream": dict(seed=5, step=7, stream=random.PIXELS),
        "the last stream": dict(seed=5, step=7, stream=random.SAMPLES)}
    for what, arguments in others.items():
        assert_independent(noise, draw(noise, **arguments), base, what)


def test_one_element_is_uniform_over_the_steps():
    for index in (0, 5):
        over_steps = np.array([draw("uniform", seed=11, step=step, n=6)[index] for step in range(4000)])
        assert kolmogorov_statistic(over_steps) < KOLMOGOROV


def binarize(data, step, dtype=np.float32, scale=1.0):
    out = np.full(data.shape, np.nan, dtype)
    minibatch.gather_rows(data, np.arange(len(data)), scale, minibatch.DYNAMIC, 3, step, out)
    return out


@both_dtypes
def test_a_pixel_is_one_with_its_value_as_probability(dtype):
    values = np.linspace(0, 1, 33).astype(dtype)
    pixels = binarize(np.tile(values, (4000, 1)), step=1, dtype=dtype)
    assert set(np.unique(pixels)) == {0, 1}
    assert np.all(pixels[:, 0] == 0) and np.all(pixels[:, -1] == 1)
    error = pixels.mean(axis=0)[1:-1] - values[1:-1]
    assert np.max(np.abs(error) / np.sqrt(values * (1 - values) / 4000)[1:-1]) < DEVIATIONS


def test_gray_images_become_other_pictures_each_step():
    gray = np.full((64, 50), 0.5, np.float32)
    first, second = (binarize(gray, step).reshape(-1) for step in (1, 2))
    assert abs(np.mean(first == second) - 0.5) < DEVIATIONS * 0.5 / math.sqrt(first.size)
    np.testing.assert_array_equal(first, binarize(gray, 1).reshape(-1))


def test_binarizing_takes_the_pixels_stream_in_the_order_of_the_batch():
    values = np.random.default_rng(0).random((13, 29)).astype(np.float32)
    u = draw("uniform", seed=3, stream=random.PIXELS, step=9, n=values.size).reshape(values.shape)
    np.testing.assert_array_equal(binarize(values, 9), u < values)


@both_dtypes
def test_bytes_and_floats_give_the_same_minibatch(dtype):
    pixels = np.random.default_rng(1).integers(0, 256, (20, 31), dtype=np.uint8)
    index = np.array([3, 3, 0, 19])
    for mode in (minibatch.GRAY, minibatch.DYNAMIC, minibatch.THRESHOLD):
        got, want = np.full((2, 4, 31), np.nan, dtype)
        minibatch.gather_rows(pixels, index, 1 / 255, mode, 3, 4, got)
        minibatch.gather_rows(pixels.astype(np.float32), index, 1 / 255, mode, 3, 4, want)
        np.testing.assert_array_equal(got, want)
    minibatch.gather_rows(pixels, index, 1 / 255, minibatch.GRAY, 3, 4, got)
    np.testing.assert_allclose(got, pixels[index] / 255, rtol=2 * np.finfo(dtype).eps)


@both_dtypes
def test_normal_numbers_do_not_feel_the_shape_of_their_array(dtype):
    line, sheet = np.full(2100, np.nan, dtype), np.full((3, 7, 100), np.nan, dtype)
    random.standard_normal(1, random.EPS, 2, line)
    random.standard_normal(1, random.EPS, 2, sheet)
    np.testing.assert_array_equal(sheet.reshape(-1), line)
