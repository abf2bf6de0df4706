"""Elementary functions that the compiler can vectorize, for float32 and float64 scalars inside kernels.

Numba would call the C library once for each element.  The functions here are plain arithmetic: a range
reduction with Cody and Waite's two-part ln 2 (Software Manual for the Elementary Functions, 1980, chapter
6), a polynomial, and exponents built from bits, so that a loop that calls them becomes vector
instructions.  They are compiled with STRICT: reordering a reduction destroys it.  Outside kernels, and
under SCRATCHVAE_BACKEND=numpy, the same names are the NumPy expressions that define them.

Error bounds are in ULP, units in the last place of the exact result rounded to the dtype, over all finite
inputs; infinities, NaN, signed zeros, subnormal inputs and results, and overflow are as in C's math library.
The polynomials are minimax fits of relative error (Remez's algorithm).
"""
import functools
import math
from collections import namedtuple

import numpy as np

from .twins import BACKEND, STRICT

if BACKEND == "numba":
    from numba import types
    from numba.extending import intrinsic, overload

    from .internals import builtin_registry, cgutils, WhoeverCalls

    OPTIONS = dict(fastmath=set(STRICT), error_model="numpy", forceinline=True, no_cpython_wrapper=True,
                   no_cfunc_wrapper=True)


# What the functions need to know of one float type; `_table` says more.
Table = namedtuple("Table", "float int fraction_bits bias fraction_mask sign_mask sqrt_half_bits infinity nan magic "
                            "log2_e ln2 ln2_high ln2_low exp_lowest exp_highest exp log tanh sin cos")


def _table(float_, int_, ln2_high, ln2_low, exp_lowest, exp_highest, **polynomials):
    """Make the Table of a float type and the integer type of its size.

    ln2_high has so few bits that its product with any exponent is exact.  exp is 0 below exp_lowest and infinite above
    exp_highest.  Polynomials stand highest degree first:

        exp     (exp(r) - 1 - r - r^2 / 2) / r^3    |r| <= ln(2) / 2
        log     (log(1 + f) - f + f^2 / 2) / f^3    sqrt(1/2) <= 1 + f <= sqrt(2)
        tanh    (tanh(x) - x) / x^3                 in z = x^2, |x| <= 3/4
        sin     sin(2 pi x) / x                     in z = x^2, |x| <= 1/8
        cos     (cos(2 pi x) - 1) / x^2             in z = x^2, |x| <= 1/8
    """
    info = np.finfo(float_)
    return Table(
        float_, int_, fraction_bits=int_(info.nmant), bias=int_(info.maxexp - 1),
        fraction_mask=int_(2 ** info.nmant - 1), sign_mask=np.iinfo(int_).min,
        sqrt_half_bits=float_(math.sqrt(0.5)).view(int_), infinity=float_(math.inf), nan=float_(math.nan),
        magic=float_(1.5 * 2.0 ** info.nmant), log2_e=float_(1 / math.log(2)), ln2=float_(math.log(2)),
        ln2_high=float_(ln2_high), ln2_low=float_(ln2_low),
        exp_lowest=float_(exp_lowest), exp_highest=float_(exp_highest),
        **{name: tuple(float_(term) for term in terms) for name, terms in polynomials.items()})


FLOAT32 = _table(
    np.float32, np.int32, ln2_high=0.693145751953125, ln2_low=1.42860682e-06,
    exp_lowest=-104, exp_highest=89,
    # Largest relative error of each function before rounding: 2^-29.8, 2^-27.1, 2^-26.9, 2^-24.8, 2^-26.5.
    exp=(0.00019824102, 0.0013933289, 0.008333419, 0.04166648, 0.16666666),
    log=(-0.07634445, 0.1276193, -0.13160366, 0.14201725, -0.16623336, 0.20001228, -0.25000823, 0.3333333),
    tanh=(0.0017369404, -0.007657264, 0.02145204, -0.053892728, 0.13332695, -0.33333316),
    sin=(-75.39356, 81.592354, -41.341663, 6.2831855),
    cos=(59.229248, -85.44324, 64.93932, -19.739208))

FLOAT64 = _table(
    np.float64, np.int64, ln2_high=0.6931471805598903, ln2_low=5.497923018708371e-14,
    exp_lowest=-746, exp_highest=710,
    # Likewise: 2^-59.0, 2^-56.5, 2^-55.9, 2^-54.2, 2^-55.3.
    exp=(2.08789020396879e-09, 2.5108732487391914e-08, 2.7557387188695217e-07, 2.7557245174060164e-06,
         2.4801587197935002e-05, 0.00019841269885048708, 0.0013888888888942854, 0.008333333333322123,
         0.041666666666666574, 0.16666666666666677),
    log=(0.02615089932192957, -0.059820118606364076, 0.0650384903168653, -0.05677806792160113,
         0.05668267783481355, -0.061966492660864805, 0.06684602240504599, -0.07149444596524743,
         0.07691529073593541, -0.08332913128516954, 0.09090923950121524, -0.10000015224289534,
         0.1111111114746863, -0.12499999691014813, 0.142857142800852, -0.16666666669830904,
         0.20000000000066726, -0.24999999999987954, 0.3333333333333314),
    tanh=(-1.485392414405251e-06, 9.491275839306089e-06, -3.361499969408532e-05, 9.34408094037649e-05,
          -0.0002376186413914651, 0.0005895588125793722, -0.0014557310113499555, 0.003592112074627653,
          -0.008863233856249882, 0.021869488422946056, -0.053968253963723144, 0.13333333333324177,
          -0.3333333333333327),
    sin=(3.7807262312744174, -15.093797508589912, 42.058684902124085, -76.70585970331578, 81.60524927594452,
         -41.341702240399634, 6.283185307179586),
    cos=(-1.6968347141936062, 7.903091589038475, -26.426250927268697, 60.24464132938531, -85.45681720652829,
         64.93939402266798, -19.739208802178716))


def _vectorized(function):
    """Let kernels that call `function` get what `build(table)` makes for the dtype of x."""
    def register(build):
        if BACKEND == "numba":
            def choose(x):
                return {types.float32: build(FLOAT32), types.float64: build(FLOAT64)}.get(x)
            overload(function, jit_options=OPTIONS)(choose)
            builtin_registry.functions[-1]._impl_cache = WhoeverCalls()
        return build
    return register


if BACKEND == "numba":
    @intrinsic
    def reinterpret(context, x, to):
        """The bits of x as a number of the type `to` of the same width."""
        result = to.dtype

        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], context.get_value_type(result))
        return result(x, to), generate

    @intrinsic
    def polynomial(context, terms, x):
        """Horner's rule, written out: an inner loop would keep the caller's loop from becoming vectors."""
        def generate(context, builder, signature, arguments):
            constants, point = arguments
            y, *others = (context.cast(builder, term, terms.dtype, x)
                          for term in cgutils.unpack_tuple(builder, constants))
            for term in others:
                y = builder.fadd(builder.fmul(y, point, flags=tuple(STRICT)), term, flags=tuple(STRICT))
            return y
        return x(terms, x), generate

else:
    def polynomial(terms, x):
        """Horner's rule, highest degree first."""
        return functools.reduce(lambda y, term: y * x + term, terms)


def exp(x):
    """e^x; at most 1 ULP."""
    return np.exp(x)


@_vectorized(exp)
def _exp(t):
    float_, int_, one, half = t.float, t.int, t.float(1), t.float(0.5)

    def implementation(x):
        # Not min and max: a comparison with NaN is false, so NaN passes.
        x = t.exp_lowest if x < t.exp_lowest else x
        x = t.exp_highest if x > t.exp_highest else x
        # Adding 1.5 * 2^fraction_bits rounds to an integer n, and leaves n in the low bits.
        shifted = x * t.log2_e + t.magic
        n = shifted - t.magic
        r_high = x - n * t.ln2_high                      # exact
        r = r_high - n * t.ln2_low
        y = one + (r_high + ((r * r) * (half + r * polynomial(t.exp, r)) - n * t.ln2_low))
        k = int_(reinterpret(shifted, int_) - reinterpret(t.magic, int_))
        # Two factors: 2^k itself may be infinite or subnormal where the result is neither.
        k_half = int_(k >> 1)
        first = reinterpret(int_((k_half + t.bias) << t.fraction_bits), float_)
        second = reinterpret(int_((k - k_half + t.bias) << t.fraction_bits), float_)
        return y * first * second
    return implementation


def expm1(x):
    """e^x - 1; at most 2 ULP."""
    return np.expm1(x)


@_vectorized(expm1)
def _expm1(t):
    float_, int_, half, two, zero = t.float, t.int, t.float(0.5), t.float(2), t.float(0)
    lowest = t.float(-40)                                # -1, rounded

    def implementation(x):
        a = lowest if x < lowest else x
        a = t.exp_highest if a > t.exp_highest else a
        shifted = a * t.log2_e + t.magic
        n = shifted - t.magic
        r = (a - n * t.ln2_high) - n * t.ln2_low
        y = r + (r * r) * (half + r * polynomial(t.exp, r))
        k = int_(reinterpret(shifted, int_) - reinterpret(t.magic, int_))
        # 2^k (1 + y) - 1, doubled last: 2^(k - 1) is finite for every k that matters.
        power = reinterpret(int_((k - 1 + t.bias) << t.fraction_bits), float_)
        scaled = two * (power * y + (power - half))
        y = y if n == zero else scaled                   # halving would lose a subnormal's last bit
        return y if x != zero else x                     # r + r^2 / 2 loses the sign of zero
    return implementation


def log(x):
    """Natural logarithm; at most 1 ULP in float32, 1.5 in float64."""
    return np.log(x)


@_vectorized(log)
def _log(t):
    float_, int_, one, half, zero = t.float, t.int, t.float(1), t.float(0.5), t.float(0)
    smallest_normal, lift = t.float(2.0 ** (1 - t.bias)), t.float(2.0 ** t.fraction_bits)

    def implementation(x):
        subnormal = x < smallest_normal
        lifted = x * lift if subnormal else x
        # x = 2^k m with sqrt(1/2) <= m < sqrt(2): the exponent field counts from sqrt(1/2) up.
        offset = int_(reinterpret(lifted, int_) - t.sqrt_half_bits)
        k = float_(int_(offset >> t.fraction_bits))
        k = k - float_(t.fraction_bits) if subnormal else k
        f = reinterpret(int_((offset & t.fraction_mask) + t.sqrt_half_bits), float_) - one
        y = k * t.ln2_high + (f + (k * t.ln2_low + (f * f) * (f * polynomial(t.log, f) - half)))
        y = y if x > zero else (-t.infinity if x == zero else t.nan)
        return y if x < t.infinity else x                # infinity and NaN
    return implementation


def tanh(x):
    """Hyperbolic tangent; at most 1.5 ULP."""
    return np.tanh(x)


@_vectorized(tanh)
def _tanh(t):
    float_, int_, one, two, middle = t.float, t.int, t.float(1), t.float(2), t.float(0.75)

    def implementation(x):
        a = abs(x)
        z = a * a
        near = a + (a * z) * polynomial(t.tanh, z)
        far = one - two / (exp(two * a) + one)
        y = near if a < middle else far
        return reinterpret(int_(reinterpret(y, int_) | (reinterpret(x, int_) & t.sign_mask)), float_)
    return implementation


def sigmoid(x):
    """1 / (1 + e^-x); at most 2 ULP."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@_vectorized(sigmoid)
def _sigmoid(t):
    one, zero, far = t.float(1), t.float(0), t.float(-1)

    def implementation(x):
        e = exp(-abs(x))
        y = (one if x >= zero else e) / (one + e)
        return e - e * y if x < far else y               # where 1 + e has lost digits of a small e
    return implementation


def softplus(x):
    """log(1 + e^x); at most 2 ULP in float32, 3 in float64."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@_vectorized(softplus)
def _softplus(t):
    zero = t.float(0)

    def implementation(x):
        return (x if x > zero else zero) + log1p_unit(exp(-abs(x)))
    return implementation


def log1p_unit(x):
    """log(1 + x) for 0 <= x <= 1, where it costs less; at most 2 ULP."""
    return np.log1p(x)


@_vectorized(log1p_unit)
def _log1p_unit(t):
    half, boundary = t.float(0.5), t.float(math.sqrt(2) - 1)

    def implementation(x):
        above = x > boundary
        f = x * half - half if above else x
        y = f + (f * f) * (f * polynomial(t.log, f) - half)
        return y + t.ln2 if above else y
    return implementation


def sin_turn(x):
    """sin(2 pi x) for |x| <= 1/8: x in turns, so that reducing an angle is exact; at most 2 ULP."""
    return np.sin(2 * np.pi * x)


@_vectorized(sin_turn)
def _sin_turn(t):
    def implementation(x):
        return x * polynomial(t.sin, x * x)
    return implementation


def cos_turn(x):
    """cos(2 pi x) for |x| <= 1/8, x in turns; at most 1.5 ULP."""
    return np.cos(2 * np.pi * x)


@_vectorized(cos_turn)
def _cos_turn(t):
    one = t.float(1)

    def implementation(x):
        z = x * x
        return one + z * polynomial(t.cos, z)
    return implementation
