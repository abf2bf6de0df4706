"""Every compiled kernel against the NumPy twin that defines it.

The tests walk twins.TWINS: a kernel without a maker of cases in CASES fails.  A maker yields cases for one
dtype and one size; outputs start as NaN, so an element that is never written shows.
"""
import importlib
import pkgutil
import zlib
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import pytest
from elementwise import ARRAY_TWINS

import scratchvae.kernels
from scratchvae.kernels import dense, likelihoods, minibatch, random, rows, threads, twins

for module in pkgutil.iter_modules(scratchvae.kernels.__path__):
    if not module.name.startswith("_"):
        importlib.import_module(f"scratchvae.kernels.{module.name}")

DTYPES = (np.float32, np.float64)
SIZES = (1, 3, 7, 8, 15, 16, 17, 33, 48, 49, 65)        # around the widths of vectors and of register tiles

# How far a kernel may be from its twin evaluated in float64, as a multiple of the largest magnitude of
# the array (at least 1).  Sums have up to 65 terms, each off by a few roundings: errors grow like
# sqrt(65) roundings.
TOLERANCE = {np.float32: 64 * 2.0 ** -24, np.float64: 64 * 2.0 ** -53}


class Case(NamedTuple):
    """Arguments for one call, and what may be said about them.

    outputs are overwritten; updated are changed in place or consumed; rowwise names, for an input, the
    outputs in which each of its rows may be felt in that row alone.  exact: the twin's bits are expected.
    """

    arguments: tuple
    outputs: tuple = ()
    updated: tuple = ()
    rowwise: dict = {}
    exact: bool = False


CASES = {}


def cases_of(name):
    def register(maker):
        CASES[name] = maker
        return maker
    return register


def normal(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


def shapes(size):
    """(examples, samples an example, length of a row): the size as number of rows and as length."""
    return (3, 1, size), (2, 3, size), (size, 1, 5), (size, 2, 1)


def sides(size):
    """(m, k, n) of the products of a layer, (batch, n_in, n_out)."""
    return (3, 5, size), (size, 7, 2), (4, size, 17), (size, size, size)


def layers(rng, dtype, size):
    for batch, n_in, n_out in sides(size):
        x, W, b = normal(rng, dtype, batch, n_in), normal(rng, dtype, n_in, n_out), normal(rng, dtype, n_out)
        yield x, W / dtype(np.sqrt(n_in)), b


@cases_of("dense_forward")
def dense_forward_cases(rng, dtype, size):
    for x, W, b in layers(rng, dtype, size):
        for activation in range(5):
            yield Case((x, W, b, activation, np.empty((len(x), len(b)), dtype)), outputs=(4,), rowwise={0: (4,)})


@cases_of("dense_backward")
def dense_backward_cases(rng, dtype, size):
    for x, W, b in layers(rng, dtype, size):
        d_y, d_x = normal(rng, dtype, len(x), len(b)), np.empty_like(x)
        for activation in range(5):
            y = dense.activate_ref(x @ W + b, activation)
            others = x, W, y, d_y, activation, np.empty_like(W), np.empty_like(b)
            yield Case((*others, d_x), outputs=(5, 6, 7), updated=(3,), rowwise={3: (7,)})
            yield Case((*others, d_x[:0]), outputs=(5, 6), updated=(3,))             # nobody wants d_x


def _products(transpose_a, transpose_b):
    def cases(rng, dtype, size):
        for m, k, n in sides(size):
            a, b = normal(rng, dtype, m, k), normal(rng, dtype, k, n) / dtype(np.sqrt(k))
            a, b = a.T.copy() if transpose_a else a, b.T.copy() if transpose_b else b
            yield Case((a, b, np.empty((m, n), dtype)), outputs=(2,),
                       rowwise={} if transpose_a else {0: (2,)})
    return cases


CASES.update(multiply_nn=_products(False, False), multiply_tn=_products(True, False),
             multiply_nt=_products(False, True))


@cases_of("gaussian_forward")
def gaussian_forward_cases(rng, dtype, size):
    for batch, samples, latent in shapes(size):
        head, eps = normal(rng, dtype, batch, 2 * latent), normal(rng, dtype, batch * samples, latent)
        yield Case((head, eps, np.empty_like(eps), np.empty(batch)), outputs=(2, 3),
                   rowwise={0: (2, 3), 1: (2,)})


@cases_of("gaussian_backward")
def gaussian_backward_cases(rng, dtype, size):
    for batch, samples, latent in shapes(size):
        head, eps = normal(rng, dtype, batch, 2 * latent), normal(rng, dtype, batch * samples, latent)
        yield Case((head, eps, normal(rng, dtype, *eps.shape), normal(rng, dtype, latent), np.empty_like(head)),
                   outputs=(4,), rowwise={0: (4,), 1: (4,), 2: (4,)})


def _outputs_and_data(rng, dtype, size):
    for batch, samples, pixels in shapes(size):
        outputs = 3 * normal(rng, dtype, batch * samples, pixels)
        yield outputs, rng.random((batch, pixels)).astype(dtype), rng.uniform(-1, 1, batch * samples)


@cases_of("bernoulli_nll")
@cases_of("continuous_bernoulli_nll")
@cases_of("squared_errors")
def nll_cases(rng, dtype, size):
    for outputs, x, _ in _outputs_and_data(rng, dtype, size):
        yield Case((outputs, x, np.empty(len(outputs))), outputs=(2,), rowwise={0: (2,), 1: (2,)})


@cases_of("bernoulli_nll_backward")
@cases_of("continuous_bernoulli_nll_backward")
def nll_backward_cases(rng, dtype, size):
    for outputs, x, d_nll in _outputs_and_data(rng, dtype, size):
        yield Case((outputs, x, d_nll, np.empty(len(outputs)), np.empty_like(outputs)), outputs=(3, 4),
                   rowwise={0: (3, 4), 1: (3, 4), 2: (4,)})


def _with_log_variances(cases):
    """The same cases with outputs [mean | raw]; raw from above the clip to below it."""
    def doubled(rng, dtype, size):
        for case in cases(rng, dtype, size):
            outputs, *others = case.arguments
            raw = rng.uniform(-15, 3, outputs.shape).astype(dtype)
            others = [np.empty((len(outputs), 2 * outputs.shape[1]), dtype) if argument.shape == outputs.shape
                      and position in case.outputs else argument for position, argument in enumerate(others, 1)]
            yield case._replace(arguments=(np.concatenate([outputs, raw], axis=1), *others))
    return doubled


CASES.update(diagonal_nll=_with_log_variances(nll_cases),
             diagonal_nll_backward=_with_log_variances(nll_backward_cases))


@cases_of("gaussian_nll")
def gaussian_nll_cases(rng, dtype, size):
    for means, x, _ in _outputs_and_data(rng, dtype, size):
        yield Case((means, x, 0.7, np.empty(len(means))), outputs=(3,), rowwise={0: (3,), 1: (3,)})


@cases_of("gaussian_nll_backward")
def gaussian_nll_backward_cases(rng, dtype, size):
    for means, x, d_nll in _outputs_and_data(rng, dtype, size):
        yield Case((means, x, 0.7, d_nll, np.empty(len(means)), np.empty_like(means)), outputs=(4, 5),
                   rowwise={0: (4, 5), 1: (4, 5), 3: (5,)})


@cases_of("sgd_update")
def sgd_update_cases(rng, dtype, size):
    for n in (size, 97 * size):
        yield Case((*normal(rng, dtype, 3, n), 0.1, 0.9), updated=(0, 2), rowwise={1: (0, 2)})


@cases_of("adam_update")
def adam_update_cases(rng, dtype, size):
    for n, step in ((size, 1), (97 * size, 7)):
        theta, gradient, m, v = normal(rng, dtype, 4, n)
        # Gradients down to 1e-10, where epsilon inside the square root or outside makes a difference.
        gradient *= dtype(10) ** rng.integers(-10, 1, n).astype(dtype)
        if step == 1:
            m[:], v[:] = 0, 0
        yield Case((theta, gradient, m, v * v, step, 0.1, 0.9, 0.999, 1e-8), updated=(0, 2, 3),
                   rowwise={1: (0, 2, 3)})


@cases_of("are_below")
def are_below_cases(rng, dtype, size):
    for n in (size, 97 * size, 1 << 15, (1 << 15) + 1, 70_000) if size == 1 else (size, 97 * size):
        vector = normal(rng, dtype, n)
        for limit in (np.abs(vector).max(), np.abs(vector).max() * 1.001, 1e30):
            yield Case((vector, float(limit), np.empty(1)), outputs=(2,))


@cases_of("standard_normal")
def standard_normal_cases(rng, dtype, size):
    for n in (size, 97 * size):
        yield Case((2 ** 60 + 7, random.EPS, size, np.empty(n, dtype)), outputs=(3,))


@cases_of("fill_two")
def fill_two_cases(rng, dtype, size):
    yield Case((np.empty(2 * size), 0.1, np.empty(size, dtype), 0.25), outputs=(0, 2))


@cases_of("sum_of_squares")
def sum_of_squares_cases(rng, dtype, size):
    yield Case((normal(rng, dtype, size), np.empty(1)), outputs=(1,))


@cases_of("add_up")
def add_up_cases(rng, dtype, size):
    yield Case((normal(rng, dtype, size), normal(rng, dtype, 2 * size), np.empty(2)), outputs=(2,))


@cases_of("gather_rows")
def gather_rows_cases(rng, dtype, size):
    # Bytes into float32 only, to compile less: test_random.py has them in float64.
    floats, bytes_ = rng.random((9, size)).astype(dtype), rng.integers(0, 256, (9, size), dtype=np.uint8)
    floats[:, ::3] = 0.5                             # exactly at the threshold
    for pixels, scale in [(floats, 1.0), (bytes_, 1 / 255)] if dtype is np.float32 else [(floats, 1.0)]:
        for mode in (minibatch.GRAY, minibatch.DYNAMIC, minibatch.THRESHOLD):
            index = rng.integers(0, 9, size)
            yield Case((pixels, index, scale, mode, 5, 11, np.empty((size, size), dtype)), outputs=(6,),
                       exact=True)


def _elementwise(low, high):
    def cases(rng, dtype, size):
        x = rng.uniform(low, high, size).astype(dtype)
        yield Case((x, np.empty_like(x)), outputs=(1,), rowwise={0: (1,)})
    return cases


DOMAINS = dict(exp=(-8, 3), expm1=(-8, 3), log=(0.01, 9), tanh=(-3, 3), sigmoid=(-9, 9), softplus=(-9, 9),
               log1p_unit=(0, 1), sin_turn=(-1 / 8, 1 / 8), cos_turn=(-1 / 8, 1 / 8))
CASES.update({twin.source.__name__: _elementwise(*DOMAINS[name]) for name, twin in ARRAY_TWINS.items()})


def cases(name, dtype, sizes=SIZES):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for size in sizes:
        yield from CASES[name](rng, dtype, size)


def prepare(case):
    """A copy of the arguments with poisoned outputs."""
    arguments = [a.copy() if isinstance(a, np.ndarray) else a for a in case.arguments]
    for position in case.outputs:
        arguments[position].fill(np.nan)
    return arguments


def run(kernel, case):
    arguments = prepare(case)
    with np.errstate(all="ignore"):
        kernel(*arguments)
    return arguments


def run_in_float64(kernel, case):
    """The same on float64 copies: what a float32 kernel would give without rounding."""
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a
            for a in prepare(case)]
    return run(kernel, case._replace(arguments=wide))


every_kernel = pytest.mark.parametrize("name", sorted(twins.TWINS))
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def test_every_kernel_has_cases():
    assert sorted(twins.TWINS) == sorted(CASES), "give each registered kernel a maker of cases in CASES"


@every_kernel
@every_dtype
def test_a_kernel_computes_what_its_twin_says(name, dtype):
    reference, _, compiled = twins.TWINS[name]
    for case in cases(name, dtype):
        got = run(compiled, case)
        want = run(reference, case) if case.exact else run_in_float64(reference, case)
        for position in case.outputs + case.updated:
            if case.exact:
                np.testing.assert_array_equal(got[position], want[position])
            else:
                limit = TOLERANCE[dtype] * max(1, np.abs(want[position]).max())
                np.testing.assert_allclose(got[position], want[position], rtol=0, atol=limit,
                                           err_msg=f"argument {position} of {name}")


@every_kernel
@every_dtype
def test_a_kernel_leaves_its_inputs_alone(name, dtype):
    for case in cases(name, dtype, sizes=(1, 17)):
        arguments = run(twins.TWINS[name].compiled, case)
        for position, (before, after) in enumerate(zip(case.arguments, arguments)):
            if isinstance(before, np.ndarray) and position not in case.outputs + case.updated:
                np.testing.assert_array_equal(before, after, err_msg=f"argument {position} of {name}")


def require_the_same_bits_on_any_number_of_threads(compute):
    """compute() returns a list of arrays and numbers."""
    most = threads.threads()
    if most == 1:
        pytest.skip("this process uses only one thread")
    try:
        results = []
        for n_threads in sorted({1, 2, min(3, most), most}):
            threads.set_threads(n_threads)
            results.append(compute())
    finally:
        threads.set_threads(most)
    alone, *together = results
    for several in together:
        for a, b in zip(alone, several, strict=True):
            np.testing.assert_array_equal(a, b)


@every_kernel
@every_dtype
def test_a_kernel_gives_the_same_bits_on_any_number_of_threads(name, dtype):
    kernel = twins.TWINS[name].compiled
    require_the_same_bits_on_any_number_of_threads(
        lambda: [argument for case in cases(name, dtype) for argument in run(kernel, case)])


@every_kernel
@every_dtype
def test_the_source_of_a_kernel_does_what_its_twin_says_when_python_runs_it(name, dtype):
    """So a reader without Numba may trust the loops, and a wrong sign in them is found without compiling."""
    if twins.BACKEND == "numba":
        pytest.skip("device functions are compiled; the compiled kernels are held to their twins instead")
    for case in cases(name, dtype, sizes=(1, 3, 7)):
        got, wanted = run(twins.TWINS[name].source, case), run_in_float64(twins.TWINS[name].reference, case)
        for position in (*case.outputs, *case.updated):
            scale = max(1.0, float(np.max(np.abs(wanted[position]), initial=0)))
            np.testing.assert_allclose(got[position], wanted[position], rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("name, flops", [("dense_forward", 2), ("dense_backward", 4)])
def test_the_source_of_a_dense_kernel_gives_the_same_bits_in_any_number_of_shares(name, flops, monkeypatch):
    if twins.BACKEND == "numba":
        pytest.skip("the compiled kernels are run on several threads instead")
    results, calls = [], []

    def recorded(product):
        def call(*arguments):
            calls.append(arguments[-1])                  # (share, shares)
            return product(*arguments)
        return call

    def fixed(shares):
        def shares_for(work):
            assert work == flops * W.size * len(x)       # a multiplication and an addition of each product
            return shares
        return shares_for

    monkeypatch.setattr(dense, "multiply", recorded(dense.multiply))
    monkeypatch.setattr(dense, "BLOCK_ROWS", 2)
    for shares, serial_size in ((1, 0), (2, 0), (3, 0), (3, dense.SERIAL_SIZE)):              # cotangents cut, or not
        monkeypatch.setattr(dense, "SERIAL_SIZE", serial_size)
        monkeypatch.setattr(dense, "shares_for", fixed(shares))
        results.append([])
        for case in cases(name, np.float64, sizes=(7,)):
            x, W, *_ = case.arguments
            calls.clear()
            results[-1].append(run(twins.TWINS[name].source, case))
            assert sorted(set(calls)) == [(share, shares) for share in range(shares)]
    for one, *others in zip(*results):
        for other in others:
            for a, b in zip(one, other):
                np.testing.assert_array_equal(a, b)


def ways_to_run(name):
    """The twin and what the kernel is: compiled, or its source where Python runs it."""
    reference, source, compiled = twins.TWINS[name]
    return reference, compiled if twins.BACKEND == "numba" else source


@pytest.mark.parametrize("dtype, smallest", [(np.float32, 1e-30), (np.float64, 1e-290)])
def test_a_running_mean_is_set_to_zero_below_the_smallest_of_its_dtype_and_kept_above(dtype, smallest):
    """Each is halved by a gradient of 0: what was 1 and 4 times the smallest is then below and above it."""
    before, kept = np.array([1, -4, 4], dtype) * dtype(smallest), np.array([0, -2, 2], dtype) * dtype(smallest)
    zero = np.zeros(3, dtype)
    for update in ways_to_run("sgd_update"):
        velocity = before.copy()
        update(zero.copy(), zero, velocity, 0.1, 0.5)
        np.testing.assert_array_equal(velocity, kept)
    for update in ways_to_run("adam_update"):
        m, v = before.copy(), np.abs(before)
        update(zero.copy(), zero, m, v, 1, 0.1, 0.5, 0.5, 1e-8)
        np.testing.assert_array_equal(m, kept)
        np.testing.assert_array_equal(v, np.abs(kept))


def test_behind_a_dead_relu_a_cotangent_of_zero_stays_zero_and_nan_stays_visible():
    for backward in ways_to_run("dense_backward"):
        y, d_y = np.zeros((4, 1)), np.array([[0.0], [5.0], [np.nan], [0.0]])
        backward(np.ones((4, 1)), np.ones((1, 1)), y, d_y, dense.RELU, np.empty((1, 1)), np.empty(1), np.empty((0, 1)))
        np.testing.assert_array_equal(d_y, [[0], [0], [np.nan], [0]])


@pytest.mark.parametrize("batch", [dense.BLOCK_ROWS, dense.BLOCK_ROWS + 1, 100, 500])
@pytest.mark.parametrize("n_in", [1, 2, 7])
def test_the_sums_of_blocks_of_rows_wait_inside_d_W_and_add_up(batch, n_in):
    rng = np.random.default_rng(0)
    x, W, d_y = rng.standard_normal((batch, n_in)), rng.standard_normal((n_in, 33)), rng.standard_normal((batch, 33))
    for backward in ways_to_run("dense_backward"):
        memory, d_b = np.full((n_in + 100, 33), np.nan), np.full(33, np.nan)
        backward(x, W, x @ W, d_y.copy(), dense.IDENTITY, memory[:n_in], d_b, np.empty((0, n_in)))
        np.testing.assert_allclose(memory[:n_in], x.T @ d_y, rtol=0, atol=1e-11)
        np.testing.assert_allclose(d_b, d_y.sum(axis=0), rtol=0, atol=1e-11)
        assert np.isnan(memory[n_in:]).all()


@pytest.mark.parametrize("name", [name for name in sorted(CASES) if "nll" in name or name == "squared_errors"])
@every_dtype
def test_the_blocks_of_a_long_row_add_up(name, dtype):
    case = next(cases(name, dtype, sizes=(2 * rows.BLOCK + 3,)))
    wanted = run_in_float64(twins.TWINS[name].reference, case)
    got = run(ways_to_run(name)[1], case)
    for position in case.outputs:
        np.testing.assert_allclose(got[position], wanted[position], rtol=0,
                                   atol=TOLERANCE[dtype] * np.abs(wanted[position]).max())


def test_no_two_threads_gather_the_same_row():
    if twins.BACKEND == "numba":
        pytest.skip("only Python lets an array count how often its rows are taken")
    taken = []

    class Rows(np.ndarray):
        def __getitem__(self, b):
            taken.append(b)
            return super().__getitem__(b)

    out = np.empty((10, 3)).view(Rows)
    twins.TWINS["gather_rows"].source(np.ones((2, 3)), [0, 1] * 5, 1.0, minibatch.GRAY, 0, 0, out)
    assert sorted(taken) == list(range(10))


def test_the_continuous_bernoulli_is_exact_where_its_series_ends_and_beyond():
    """Against 40 digits of L1 and L2; the last term of the series is 2e-15 of the sum where it counts most."""
    logits = [0.5, 1.0, 1.75, 2.0, -2.0, 2.25, 2.5, 2.875, 3.0]
    with localcontext() as context:
        context.prec = 40
        grown = [(Decimal(a), Decimal(a).exp()) for a in logits]
        integrals = [float(((e - 1) / a).ln()) for a, e in grown]
        means = [float(e / (e - 1) - 1 / a) for a, e in grown]
    column = np.array(logits)[:, None]
    for backward in ways_to_run("continuous_bernoulli_nll_backward"):
        nll, slopes = np.empty(len(logits)), np.empty_like(column)
        backward(column, np.zeros_like(column), np.ones(len(logits)), nll, slopes)
        np.testing.assert_allclose(nll, integrals, rtol=0, atol=1.2e-15)       # five roundings of a number near 1
        np.testing.assert_allclose(slopes[:, 0], means, rtol=0, atol=4e-16)    # and of one near a half


def test_the_continuous_bernoulli_keeps_the_digits_of_a_small_loss():
    """A(a) is a / 2 + a^2 / 24 there; a kernel that took log(1 + u) lost what 1 + u rounds away of u, a^2 / 24."""
    column = -np.logspace(-9, -3, 61)[:, None]
    for nll in ways_to_run("continuous_bernoulli_nll"):
        found = np.empty(len(column))
        nll(column, np.zeros_like(column), found)
        a = column[:, 0]
        np.testing.assert_allclose(found, a / 2 + a ** 2 / 24 - a ** 4 / 2880, rtol=2.0 ** -52, atol=0)


def test_a_learned_precision_does_not_feel_the_rounding_of_raw_less_its_least_value():
    """exp(raw + 12) in float32 was off by up to 4 ulp where raw + 12 is from 8 to 16, and so were loss and slope."""
    outputs = np.stack([np.full(4001, 3.0), np.linspace(-3.9, 3.9, 4001)], axis=1).astype(np.float32)
    x, d_nll, nll = np.zeros((4001, 1), np.float32), np.ones(4001), np.empty(4001)
    case = Case((outputs, x, d_nll, nll, np.empty_like(outputs)), outputs=(3, 4))
    got = run(ways_to_run("diagonal_nll_backward")[1], case)
    wanted = run_in_float64(twins.TWINS["diagonal_nll_backward"].reference, case)
    np.testing.assert_allclose(got[3], wanted[3], rtol=4 * 2.0 ** -23, atol=0)
    np.testing.assert_allclose(got[4][:, 0], wanted[4][:, 0], rtol=4 * 2.0 ** -23, atol=0)


def felt_rows(row, rows, output_rows):
    """The rows of an output that belong to one row of an input: samples of an example, or the reverse."""
    if output_rows >= rows:
        return np.arange(output_rows) // (output_rows // rows) == row
    return np.arange(output_rows) == row // (rows // output_rows)


@every_kernel
@every_dtype
def test_nan_stays_visible_and_stays_in_its_row(name, dtype):
    compiled = twins.TWINS[name].compiled
    for case in cases(name, dtype, sizes=(3, 17)):
        clean = run(compiled, case)
        for position, outputs in case.rowwise.items():
            rows = len(case.arguments[position])
            row = rows // 2
            arguments = prepare(case)
            arguments[position][row] = np.nan
            with np.errstate(all="ignore"):
                compiled(*arguments)
            for output in outputs:
                felt = felt_rows(row, rows, len(arguments[output]))
                each_row = np.isnan(arguments[output]).reshape(len(felt), -1).any(axis=1)
                np.testing.assert_array_equal(each_row, felt, err_msg=f"argument {output} of {name}")
                np.testing.assert_array_equal(arguments[output][~felt], clean[output][~felt])


# Where exp overflows or underflows in float32, and far beyond.
EXTREME_LOGITS = (0.0, -0.0, 1e-40, 17.0, 88.0, 89.0, 104.0, 710.0, 1e4, 1e30)


@every_dtype
def test_extreme_logits_give_finite_and_exact_losses(dtype):
    logits = np.array([[sign * logit] for logit in EXTREME_LOGITS for sign in (1, -1)], dtype)
    for value in (0.0, 0.5, 1.0):
        case = Case((logits, np.full_like(logits, value), np.ones(len(logits)), np.empty(len(logits)),
                     np.empty_like(logits)), outputs=(3, 4))
        nll, d_logits = run(likelihoods.bernoulli_nll_backward, case)[3:]
        exact = run_in_float64(likelihoods.bernoulli_nll_backward_ref, case)
        np.testing.assert_allclose(nll, exact[3], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        np.testing.assert_allclose(d_logits, exact[4], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        assert np.isfinite(nll).all() and np.isfinite(d_logits).all() and (nll >= 0).all()


@every_dtype
def test_extreme_log_variances_give_finite_and_exact_samples_and_gradients(dtype):
    logvar = np.array([[-80.0, -40.0, -1e-30, 0.0, 1e-30, 40.0, 80.0, -1e4]], dtype)
    head = np.concatenate([np.ones_like(logvar), logvar], axis=1)
    eps, d_z = np.full_like(logvar, 0.5), np.full_like(logvar, 2.0)
    forward = Case((head, eps, np.empty_like(eps), np.empty(1)), outputs=(2, 3))
    backward = Case((head, eps, d_z, np.full(8, 0.3, dtype), np.empty_like(head)), outputs=(4,))
    for name, case in (("gaussian_forward", forward), ("gaussian_backward", backward)):
        got = run(twins.TWINS[name].compiled, case)
        exact = run_in_float64(twins.TWINS[name].reference, case)
        for position in case.outputs:
            assert np.isfinite(got[position]).all()
            np.testing.assert_allclose(got[position], exact[position], rtol=TOLERANCE[dtype])


@every_dtype
def test_an_empty_minibatch_is_no_fault(dtype):
    out = np.empty((0, 5), dtype)
    random.standard_normal(1, random.EPS, 1, out.reshape(-1))
    minibatch.gather_rows(np.ones((3, 5), dtype), np.empty(0, np.int64), 1.0, minibatch.DYNAMIC, 1, 1, out)
