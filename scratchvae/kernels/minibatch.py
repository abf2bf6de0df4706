"""Rows of a data set into the workspace: gather, convert, scale and binarize in one pass."""
from .hints import LINE_BYTES, will_read
from .random import fill_uniform, PIXELS, uniform_ref
from .twins import twin_of, WHOLE, within

GRAY, DYNAMIC, THRESHOLD = range(3)


def gather_rows_ref(data, index, scale, mode, seed, step, out):
    """out (B, D) = the rows `index` (B,) int64 of data (N, D) times scale, made binary as mode says.

    GRAY: the value itself.  THRESHOLD: 1 where the value is above 1/2, else 0.  DYNAMIC: 1 with the value as
    its probability, by element b D + d of the PIXELS stream: another picture each step.  data is uint8,
    float32 or float64; the value is rounded to out's dtype before it is multiplied by scale.  Other modes need no seed:
    it may be None.
    """
    value = data[index].astype(out.dtype) * out.dtype.type(scale)
    if mode == THRESHOLD:
        value = value > 0.5
    elif mode == DYNAMIC:
        uniform_ref(seed, PIXELS, step, out.reshape(-1))
        value = out < value
    out[:] = value


@twin_of(gather_rows_ref)
def gather_rows(data, index, scale, mode, seed, step, out, part=WHOLE):
    # data (N, D), index (B,), out (B, D)
    kind = out.dtype.type
    unit, zero, one, half = kind(scale), kind(0), kind(1), kind(0.5)
    width = out.shape[1]
    # Four rows begin at a whole block of noise, and are still in the cache when their pixels are compared with it.
    for group in within(part, (len(index) + 3) // 4):
        first, last = 4 * group, min(len(index), 4 * group + 4)
        for b in range(last, min(len(index), last + 4)):            # these lie anywhere, and are not yet in a cache
            for d in range(0, width, LINE_BYTES // data.itemsize):
                will_read(data[index[b]], d)
        if seed is not None:                            # known to the compiler: gray pixels come without this code
            if mode == DYNAMIC:
                fill_uniform(seed, PIXELS, step, first * width, last * width, out.reshape(-1))
        for b in range(first, last):
            row, to = data[index[b]], out[b]
            if mode == GRAY:
                for d in range(width):
                    to[d] = kind(row[d]) * unit
            elif mode == THRESHOLD:
                for d in range(width):
                    to[d] = one if kind(row[d]) * unit > half else zero
            else:
                for d in range(width):
                    to[d] = one if to[d] < kind(row[d]) * unit else zero
