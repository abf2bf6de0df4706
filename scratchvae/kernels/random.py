"""Noise as a pure function of (seed, stream, step, index), so that any step can be replayed.

The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
keyed bijection of a counter.  The key is the 64-bit seed, the counter four 32-bit words: block, stream, and
the low and high half of step.  A block gives four words, one for each of four elements: element i depends on
seed, stream, step and i alone, not on the number of threads, nor on how many elements are asked for.

float64 noise comes from the same words as float32 noise: it is the same noise, rounded less.
"""
import math

import numpy as np

from .hints import widest_vectors
from .twins import BACKEND, inlined, STRICT, twin_of, WHOLE, within
from .vectormath import cos_turn, log, sin_turn

if BACKEND == "numba":
    from .microkernel import pointer
else:
    def pointer(array):
        """The numbers of an array, one after the other."""
        return array.reshape(-1)

EPS, PIXELS, SAMPLES = range(3)

# Salmon et al., section 4.3: the multipliers, and what is added to the key after each round.
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
MASK, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

ELEMENTS_A_TURN = 2048      # elements that one thread fills at a time


def philox_ref(key_0, key_1, c0, c1, c2, c3):
    """The four words of one counter, as uint64 below 2^32: numbers in kernels, arrays in the twins."""
    for _ in range(10):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ key_0, p1 & MASK, (p0 >> HALF) ^ c3 ^ key_1, p0 & MASK
        key_0, key_1 = (key_0 + WEYL_0) & MASK, (key_1 + WEYL_1) & MASK
    return c0, c1, c2, c3


philox = inlined(philox_ref)


@inlined
def block_words(seed, stream, step, block):
    """The four words of a block, as uint64 below 2^32."""
    key, count = np.uint64(seed), np.uint64(step)
    return philox(key & MASK, key >> HALF, np.uint64(block), np.uint64(stream), count & MASK, count >> HALF)


def words_ref(seed, stream, step, n):
    """The words (n,) uint64 of elements 0 to n - 1."""
    key, count = np.uint64(seed), np.uint64(step)
    block = np.arange(-(-n // 4), dtype=np.uint64)
    words = philox_ref(key & MASK, key >> HALF, block, np.uint64(stream), count & MASK, count >> HALF)
    return np.stack(np.broadcast_arrays(*words), axis=1).reshape(-1)[:n]


@inlined
def fill_uniform(seed, stream, step, first, last, out):
    """Elements `first` (a multiple of 4) to last - 1 of what uniform_ref writes."""
    kind = out.dtype.type
    bits = 23 if out.itemsize == 4 else 31
    shift, half, width = np.uint64(32 - bits), kind(0.5), kind(2.0 ** -bits)
    for block in range(first // 4, last // 4):
        w0, w1, w2, w3 = block_words(seed, stream, step, block)
        i = np.uint64(4 * block)                       # unsigned: no test for an index from the end
        out[i] = (kind(np.int32(w0 >> shift)) + half) * width
        out[i + np.uint64(1)] = (kind(np.int32(w1 >> shift)) + half) * width
        out[i + np.uint64(2)] = (kind(np.int32(w2 >> shift)) + half) * width
        out[i + np.uint64(3)] = (kind(np.int32(w3 >> shift)) + half) * width
    for i in range(last // 4 * 4, last):
        word = block_words(seed, stream, step, i // 4)[i % 4]
        out[i] = (kind(np.int32(word >> shift)) + half) * width


def uniform_ref(seed, stream, step, out):
    """Uniform numbers in the open interval (0, 1) into out (n,): the centers of 2^23 or 2^31 equal cells.

    float32 takes 23 bits of a word, the most that leave room for the half, and float64 31, the most of an int32.
    """
    bits = 23 if out.itemsize == 4 else 31
    cell = (words_ref(seed, stream, step, len(out)) >> np.uint64(32 - bits)).astype(out.dtype)
    out[:] = (cell + out.dtype.type(0.5)) * out.dtype.type(2.0 ** -bits)


@inlined
def normal_pair(w0, w1, kind):
    """The two normal numbers that two words give."""
    u = (kind(np.int32(w0 >> np.uint64(1))) + kind(0.5)) * kind(2.0 ** -31)
    radius = math.sqrt(kind(-2) * log(u))
    # The nearest quarter turn, and what remains of the word: an angle of at most 1/8 turn.
    quarter = (w1 + np.uint64(1 << 29)) >> np.uint64(30)
    x = kind(np.int32(w1 - (quarter << np.uint64(30)))) * kind(2.0 ** -32)
    sine, cosine = sin_turn(x), cos_turn(x)
    odd = quarter & np.uint64(1) != np.uint64(0)
    first, second = (sine, cosine) if odd else (cosine, sine)
    first = -first if (quarter + np.uint64(1)) & np.uint64(2) != np.uint64(0) else first
    second = -second if quarter & np.uint64(2) != np.uint64(0) else second
    return radius * first, radius * second


def standard_normal_ref(seed, stream, step, out):
    """Standard normal numbers into out, an array of any shape, in pairs by the method of Box and Muller (1958).

    Of a pair's words the first gives the radius and the second the angle.
    """
    kind = out.dtype.type
    words = words_ref(seed, stream, step, out.size + out.size % 2)
    u = ((words[0::2] >> np.uint64(1)).astype(kind) + kind(0.5)) * kind(2.0 ** -31)
    radius = np.sqrt(-2 * np.log(u.astype(np.float64)))
    # Angle = quarter turns + x turns, with |x| <= 1/8, because 2 pi times a whole angle is not exact.
    turns = words[1::2].astype(np.int64)
    quarter = (turns + (1 << 29)) >> 30
    x = (turns - (quarter << 30)) * 2.0 ** -32
    sine, cosine = sin_turn(x), cos_turn(x)
    first = np.choose(quarter % 4, [cosine, -sine, -cosine, sine])
    second = np.choose(quarter % 4, [sine, cosine, -sine, -cosine])
    out.flat[:] = np.stack([radius * first, radius * second], axis=1).reshape(-1)[:out.size]


@twin_of(standard_normal_ref, fastmath=STRICT)
def standard_normal(seed, stream, step, out, part=WHOLE):
    # out of any shape, filled as one vector (n,)
    kind, flat, size = out.dtype.type, pointer(out), out.size
    for turn in within(part, (size + ELEMENTS_A_TURN - 1) // ELEMENTS_A_TURN):
        widest_vectors()
        last = min(size, (turn + 1) * ELEMENTS_A_TURN)
        for block in range(turn * (ELEMENTS_A_TURN // 4), last // 4):
            w0, w1, w2, w3 = block_words(seed, stream, step, block)
            i = np.uint64(4 * block)
            flat[i], flat[i + np.uint64(1)] = normal_pair(w0, w1, kind)
            flat[i + np.uint64(2)], flat[i + np.uint64(3)] = normal_pair(w2, w3, kind)
        for i in range(last // 4 * 4, last):
            words = block_words(seed, stream, step, i // 4)
            pair = i % 4 // 2
            flat[i] = normal_pair(words[2 * pair], words[2 * pair + 1], kind)[i % 2]
