"""The vectorized elementary functions: errors in ULP over the whole range, special values as in C's library.

float32 is held against NumPy's float64, float64 against decimal arithmetic of 60 digits.
"""
import math
import re
from decimal import Decimal, getcontext

import numpy as np
import pytest
from elementwise import ARRAY_TWINS

from scratchvae.kernels import twins, vectormath

if twins.BACKEND == "numpy":
    pytest.skip("under this backend the functions are NumPy's own", allow_module_level=True)

DTYPES = (np.float32, np.float64)
INF, NAN = float("inf"), float("nan")
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
getcontext().prec = 60

# Units in the last place, as the docstrings promise.  The issue allows 2 in float32 and 4 in float64.
BOUND = {
    "exp": (1, 1), "expm1": (2, 2), "log": (1, 1.5), "tanh": (1.5, 1.5), "sigmoid": (2, 2),
    "softplus": (2, 3), "log1p_unit": (2, 2), "sin_turn": (2, 2), "cos_turn": (1.5, 1.5)}
every_function = pytest.mark.parametrize("name", BOUND)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def evaluate(name, x):
    y = np.full_like(x, NAN)
    ARRAY_TWINS[name].compiled(x, y)
    return y


def inside(name, x):
    """The elements of x that the function is defined for."""
    if name == "log1p_unit":
        return x[(x >= 0) & (x <= 1)]
    if name.endswith("turn"):
        return x[np.abs(x) <= 1 / 8]
    lowest = {"log": 0.0}.get(name, -INF)
    return x[np.isfinite(x) & (x > lowest)]


def every_exponent(dtype, each, rng):
    """Numbers of both signs and of every exponent, subnormal included: the ends and `each` from between."""
    info, unsigned = np.finfo(dtype), {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    exponents = np.arange(2 ** info.nexp - 1, dtype=unsigned)[:, None] << unsigned(info.nmant)
    last = 2 ** info.nmant - 1
    fractions = np.concatenate([[0, 1, last - 1, last], rng.integers(0, last, each)]).astype(unsigned)
    x = (exponents | fractions).reshape(-1).view(dtype)
    return np.concatenate([x, -x])


def hard_numbers(dtype, n, rng):
    """Where reductions change: near 0, +-1, multiples of ln 2, powers of two, and over the range of exp."""
    x = [rng.uniform(-104, 89, n), rng.uniform(-746, 710, n), 8 * rng.standard_normal(n),
         rng.uniform(-1, 1, n), rng.uniform(-1, 1, n) / 8,
         1 + 0.5 * rng.uniform(-1, 1, n), -1 + 10.0 ** rng.uniform(-7, 0, n),
         np.log(2) * np.round(rng.uniform(-150, 130, n)) / 2 * (1 + 1e-7 * rng.standard_normal(n)),
         0.75 + 1e-3 * rng.standard_normal(n), np.sqrt(2) - 1 + 1e-3 * rng.standard_normal(n)]
    return np.concatenate(x).astype(dtype)


def in_float64(name, x):
    x = x.astype(np.float64)
    if name == "log1p_unit":
        return np.log1p(x)
    if name.endswith("turn") or name in ("sigmoid", "softplus"):
        return getattr(vectormath, name)(x)
    return getattr(np, name)(x)


@every_function
def test_float32_keeps_its_bound_at_every_exponent_and_sign(name):
    rng = np.random.default_rng(1)
    x = np.concatenate([every_exponent(np.float32, 250, rng), hard_numbers(np.float32, 200_000, rng)])
    x = inside(name, x)
    y = evaluate(name, x)
    with np.errstate(all="ignore"):
        exact = in_float64(name, x)
        rounded = exact.astype(np.float32)
        error = np.abs(y - exact) / np.spacing(np.abs(rounded)).astype(np.float64)
    finite = np.isfinite(rounded)
    worst = np.argmax(np.where(finite, error, 0))
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    assert error[worst] <= BOUND[name][0], f"{name}({x[worst]!r}) is {y[worst]!r}, not {exact[worst]!r}"


def _series(x, *coefficients):
    return sum(coefficient * x ** (k + 1) for k, coefficient in enumerate(coefficients))


def _expm1(x):
    if abs(x) < Decimal("1e-9"):                     # the next term is below 1e-45 of the first
        return _series(x, *(1 / Decimal(n) for n in (1, 2, 6, 24, 120)))
    return x.exp() - 1


def _log1p(x):
    if abs(x) < Decimal("1e-9"):
        return _series(x, *(1 / Decimal(n) for n in (1, -2, 3, -4, 5)))
    return (1 + x).ln()


def _tanh(x):
    x = max(Decimal(-400), min(Decimal(400), x))
    return _expm1(2 * x) / (_expm1(2 * x) + 2)


def _sine(x, first):
    """sin x (first = 1) or cos x (first = 0) by Taylor's series, |x| < 1."""
    term = total = x if first else Decimal(1)
    for k in range(first + 1, 45, 2):
        term *= -x * x / (k * (k + 1))
        total += term
    return total


EXACT = {
    "exp": Decimal.exp,
    "expm1": _expm1,
    "log": Decimal.ln,
    "tanh": _tanh,
    "sigmoid": lambda x: 1 / (1 + (-max(Decimal(-2000), min(Decimal(2000), x))).exp()),
    "softplus": lambda x: max(x, Decimal(0)) + _log1p((-min(Decimal(2000), abs(x))).exp()),
    "log1p_unit": _log1p,
    "sin_turn": lambda x: _sine(2 * PI * x, 1),
    "cos_turn": lambda x: _sine(2 * PI * x, 0),
}


@every_function
def test_float64_keeps_its_bound_at_every_exponent_and_sign(name):
    rng = np.random.default_rng(2)
    x = np.concatenate([every_exponent(np.float64, 0, rng)[::3], hard_numbers(np.float64, 150, rng)])
    x = inside(name, x)
    if name in ("exp", "expm1"):
        x = np.clip(x, -800, 709.78)                 # infinite results have their own test
    for argument, value in zip(x.tolist(), evaluate(name, x).tolist()):
        exact = EXACT[name](Decimal(argument))
        unit = Decimal(math.ulp(float(exact)))
        error = abs(Decimal(value) - exact) / unit
        assert error <= BOUND[name][1], f"{name}({argument!r}) is {value!r}, not {exact}: {error:.2f} ULP"


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0), (1e-40, 1.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (1e4, INF), (-1e4, -1.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN), (-1e-40, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e4, 1.0), (-1e4, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e4, 1.0), (-1e4, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e4, 1e4), (-1e4, 0.0), (3e38, 3e38)],
    "log1p_unit": [(0.0, 0.0)],
    "sin_turn": [(0.0, 0.0), (-0.0, -0.0)],
    "cos_turn": [(0.0, 1.0), (-0.0, 1.0)],
}


@every_function
@every_dtype
def test_special_values_are_those_of_the_c_library(name, dtype):
    x, want = np.array(SPECIAL[name] + [(NAN, NAN)]).astype(dtype).T.copy()
    for repeats in (1, 67):                          # in the loop's remainder, and in its vectors
        y = evaluate(name, np.repeat(x, repeats))
        np.testing.assert_array_equal(y, np.repeat(want, repeats))
        np.testing.assert_array_equal(np.signbit(y), np.signbit(np.repeat(want, repeats)) & ~np.isnan(y)
                                      | np.signbit(y) & np.isnan(y))


@every_dtype
def test_the_smallest_numbers_keep_every_bit_where_the_function_is_the_identity(dtype):
    x = np.arange(1, 100).astype(dtype) * np.finfo(dtype).smallest_subnormal
    for name in ("expm1", "tanh", "log1p_unit"):
        np.testing.assert_array_equal(evaluate(name, x), x, err_msg=name)
    for name in ("expm1", "tanh"):
        np.testing.assert_array_equal(evaluate(name, -x), -x, err_msg=name)


@every_dtype
def test_exp_overflows_and_underflows_where_its_exact_value_does(dtype):
    info = np.finfo(dtype)
    highest = dtype(np.log(dtype(info.max).astype(np.longdouble)))
    lowest = dtype(np.log(np.longdouble(2)) * (info.minexp - info.nmant - 1))
    steps = np.arange(-8, 9)
    for threshold in (highest, lowest):
        x = (threshold + steps * np.spacing(threshold)).astype(dtype)
        for argument, value in zip(x.tolist(), evaluate("exp", x)):
            exact = Decimal(argument).exp()
            # Between the largest number and half a unit above it either is right.
            largest, smallest = Decimal(float(info.max)), Decimal(float(info.smallest_subnormal))
            if exact > largest * (1 + Decimal(float(info.eps))):
                assert value == INF
            elif exact < smallest / 2 * Decimal("0.999"):
                assert value == 0
            elif exact > smallest / 2 * Decimal("1.001"):
                assert value > 0 and (value < INF or exact > largest)


# log2 of the largest relative error of each polynomial's whole function: a better fit would be news, too.
FITS = {"exp": (-29.80, -58.97), "log": (-27.08, -56.52), "tanh": (-26.88, -55.94), "sin": (-24.81, -54.16),
        "cos": (-26.47, -55.29)}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("table", (vectormath.FLOAT32, vectormath.FLOAT64), ids=("float32", "float64"))
def test_each_polynomial_fits_as_well_as_it_did_when_it_was_made(table, name):
    terms = [Decimal(float(term)) for term in getattr(table, name)]

    def p(x):
        total = Decimal(0)
        for term in terms:
            total = total * x + term
        return total

    half_ln2, root = Decimal(2).ln() / 2, Decimal(2).sqrt()
    approximate, exact, low, high = {
        "exp": (lambda r: r + r ** 2 / 2 + r ** 3 * p(r), _expm1, -half_ln2, half_ln2),
        "log": (lambda f: f - f ** 2 / 2 + f ** 3 * p(f), _log1p, 1 / root - 1, root - 1),
        "tanh": (lambda x: x + x ** 3 * p(x ** 2), _tanh, Decimal("0.01"), Decimal("0.75")),
        "sin": (lambda x: x * p(x ** 2), EXACT["sin_turn"], Decimal("0.001"), Decimal("0.125")),
        "cos": (lambda x: 1 + x ** 2 * p(x ** 2), EXACT["cos_turn"], Decimal(0), Decimal("0.125")),
    }[name]
    points = [low + (high - low) * k / 300 for k in range(301)]
    worst = max(abs(approximate(x) / exact(x) - 1) for x in points if exact(x) != 0)
    power = float(worst.ln() / Decimal(2).ln())
    assert power == pytest.approx(FITS[name][table is vectormath.FLOAT64], abs=0.02)


@every_function
@every_dtype
def test_a_loop_over_the_function_becomes_vector_instructions(name, dtype):
    numba = pytest.importorskip("numba")
    source = ARRAY_TWINS[name].source
    array = numba.from_dtype(np.dtype(dtype))[::1]
    options = dict(fastmath=set(twins.FASTMATH), error_model="numpy")
    text = "\n".join(numba.njit((array, array), **options)(source).inspect_asm().values())
    suffix, lanes = ("ps", "4s") if dtype is np.float32 else ("pd", "2d")
    packed = re.findall(rf"\bv?f?n?m(?:ul|add\d+|sub\d+){suffix}\b"                                 # x86's words
                        rf"|\bf(?:mul|mla|mls)\s+(?:v\d+\.{lanes}|z\d+\.[sd])", text)              # and Arm's
    assert len(packed) > 2, f"{name} is computed one element at a time"
