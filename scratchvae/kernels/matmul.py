"""Matrix products, either factor transposed where it lies: blocks, packing, edges, threads.

The names are those of the BLIS papers (Van Zee & van de Geijn 2015).  A register tile of C is MR rows high and NR
columns wide; NR is counted in vectors.  C is cut into panels of NR columns and strips of MR rows (of more rows where
one narrow panel is all there is).  A block of NC columns is as many panels as have their part of B in PACKED_B_BYTES,
beside everything else in a second-level cache.  The first strip of A reads B where it lies and writes it, in the
order in which the tile reads it, to memory from which the strips below read it.  A transposed B is packed before
that, and so is a panel whose last vector would reach beyond B, unless the family has masks.

The inner dimension is taken KC at a time.  Where A is so small that it stays in the cache while B goes by, a block
is one panel and KC as long as the cache allows, most often the whole inner dimension: C is then written once.
Nothing is allocated: packed data (PACKED_B_BYTES of B and PACKED_A_BYTES of A) lie in a slot of `workspace`, so
Python threads that multiply at once share nothing and need no large stack.

The tiles stand in one line, block by block and strip by strip, and threads take equal parts of the line.
Every element of C has one writer and is one chain of multiply-adds in the order of the inner dimension,
however the work is cut: any number of threads gives the same bits, and so does any batch that a row is part
of.  (Only where B is transposed, and both have few and long rows, it is as many chains as a vector has lanes,
see `dots`: a row has other bits there than in a larger batch.)

Two threads that write to the same cache line, where the columns of one end and those of the other begin, wait for
each other at every row.  So C is written as seldom as possible, and a tile asks the cache only for the part of C
that its own thread writes.
"""
import numpy as np

from .activations import activate, IDENTITY, least, RELU
from .dots import DOT_COLUMNS, DOT_ROWS
from .microkernel import FAMILY, KC, PACKED_A_BYTES, TALL_ROWS
from .twins import BACKEND, device, in_parallel, MISSING, running_threads, twin_of

if BACKEND == "numba":
    from numba import types
    from numba.extending import intrinsic

    from .dots import dots
    from .microkernel import pack_transposed, pack_vectors, pointer, shift, tile
    from .once import calling
    from .workspace import give_back, take_slot

MR, NR_VECTORS = FAMILY.rows, FAMILY.vectors
VECTOR_BYTES, PACKED_B_BYTES = FAMILY.vector_bytes, FAMILY.packed_b_bytes
FEW_ROWS = 40                   # rows of A and of B up to which scalar products are faster than transposing B
LONG_ROWS = 8 * VECTOR_BYTES    # bytes of a row from which adding up the lanes of a scalar product costs little
SMALL_BYTES = 8 * 1024          # size of an A whose columns are read where they lie, for one panel after the other
SERIAL_FLOPS = 1 << 19          # operations that take one thread about as long as waking the others


@device()
def shares_for(flops):
    """How many shares work is cut into: one a thread, or one alone for tiny work."""
    return running_threads() if flops > SERIAL_FLOPS else 1


@device()
def _parts(total, most):
    """How many equal parts of at most `most` `total` is cut into, at least one."""
    return max(1, (total + most - 1) // most)


@device()
def _first_vector(panel, vectors, panels):
    """Where a panel begins, in vectors: the first panels are a vector wider if it does not come out even."""
    return panel * (vectors // panels) + min(panel, vectors % panels)


@device()
def _pack_columns(transposed, b, ldb, k, width, columns, last, packed):
    """packed[p, j] = b[p, j], or b[j, p] if transposed: one panel, with `last` columns in its last vector."""
    ldp = columns * width
    if not transposed:
        pack_vectors(k, columns, b, ldb, last, packed, ldp)
        return
    for v in range(columns):
        source, target = shift(b, v * width * ldb), shift(packed, v * width)
        valid = width if v < columns - 1 else last
        if k < width:
            for p in range(k):
                for j in range(width):
                    target[p * ldp + j] = source[min(j, valid - 1) * ldb + p]
        p = 0
        while p < k >= width:
            p = min(p, k - width)                   # the last square overlaps the one before it
            pack_transposed(shift(source, p), ldb, valid, shift(target, p * ldp), ldp)
            p += width


@device()
def _share_start(m, vectors, panels, blocks, share, shares):
    """Where a share begins on the line of tiles: (block, row)."""
    if share == shares:
        return blocks - 1, m
    at = m * vectors * share // shares
    slack = m * vectors // max(shares, blocks) // 8         # a little uneven is better than packing a block twice
    block, end = 0, 0
    while True:
        first = end
        end = _first_vector((block + 1) * panels // blocks, vectors, panels)
        if at < m * end - slack or block == blocks - 1:
            break
        block += 1
    strip = (end - first) * MR
    past = at - first * m
    return block, 0 if past < slack else min(m, (past + strip // 2) // strip * MR)


@device()
def _multiply_by_dots(a, b, c, share, shares):
    """C = A B^T by scalar products: threads take columns of C, and a thread goes through B once."""
    m, n = c.shape
    itemsize = c.itemsize
    lda, ldb, ldc = a.strides[0] // itemsize, b.strides[0] // itemsize, c.strides[0] // itemsize
    tiles = _parts(n, DOT_COLUMNS)
    first, last = tiles * share // shares * DOT_COLUMNS, min(n, tiles * (share + 1) // shares * DOT_COLUMNS)
    for j in range(first, last, DOT_COLUMNS):
        for i in range(0, m, DOT_ROWS):
            dots(a.shape[1], shift(pointer(a), i * lda), lda, shift(pointer(b), j * ldb), ldb,
                 shift(pointer(c), i * ldc + j), ldc, min(DOT_ROWS, m - i), min(DOT_COLUMNS, n - j))


@device(separate=True)
def _activate_rows(c, ldc, rows, first, last, activation):
    """c[i, j] = act(c[i, j]) for i < rows and first <= j < last."""
    for i in range(rows):
        activate(shift(c, i * ldc), first, last, activation)


def _product_by_tiles(a_transposed, b_transposed, a, b, c, bias, biased, activation, part):
    """C = act(op(A) op(B)), plus bias in every row if `biased`: one part of the work.

    a is (m, k), or (k, m) if transposed, b (k, n) or (n, k), c (m, n), bias (n,), all of one dtype.
    """
    m, n = c.shape
    k = a.shape[0] if a_transposed else a.shape[1]
    share, shares = part
    if m == 0 or n == 0:
        return
    itemsize = c.itemsize
    width = VECTOR_BYTES // itemsize
    if b_transposed and max(m, n) <= FEW_ROWS and k * itemsize >= LONG_ROWS:
        _multiply_by_dots(a, b, c, share, shares)
        return
    lda, ldb, ldc = a.strides[0] // itemsize, b.strides[0] // itemsize, c.strides[0] // itemsize
    a0, b0, c0 = pointer(a), pointer(b), pointer(c)
    vectors = _parts(n, width)
    panels = _parts(vectors, NR_VECTORS)
    narrow, wider = vectors // panels, vectors % panels         # see _first_vector

    ragged = n % width > 0 and not FAMILY.has_masks
    pack_from = 0 if b_transposed else panels - 1 if ragged else panels
    # Where its columns are read A must stay in the first-level cache while B goes by, else in the second.
    a_stays = k * lda * itemsize <= SMALL_BYTES if a_transposed else m * k * itemsize <= PACKED_B_BYTES
    kc = max(1, _parts(k, _parts(k, PACKED_B_BYTES // (NR_VECTORS * VECTOR_BYTES) if a_stays else KC)))
    blocks = panels if a_stays else _parts(panels, PACKED_B_BYTES // (kc * NR_VECTORS * VECTOR_BYTES))
    if n > m:                           # a wide C is cut by columns: each thread packs a part of B, not all
        blocks = max(blocks, min(shares, panels))
    tall = TALL_ROWS if a_transposed and panels == 1 and vectors == 2 else MR         # once B is packed
    chunk = max(width, MR)
    pack_a = a_transposed and panels > 1 and not a_stays        # its columns lie on as many pages as it has rows

    packed_b = take_slot(c0, share)
    packed_a = shift(packed_b, PACKED_B_BYTES // itemsize)
    unused = shift(packed_a, PACKED_A_BYTES // itemsize)
    block0, row0 = _share_start(m, vectors, panels, blocks, share, shares)
    block1, row1 = _share_start(m, vectors, panels, blocks, share + 1, shares)
    p = 0
    while p < k or p == 0:              # an empty inner dimension is one turn too: C is written
        kc_now = min(kc, k - p)
        floor = least(activation) if p + kc_now >= k else -np.inf
        for block in range(block0, block1 + 1):
            low = row0 if block == block0 else 0
            high = row1 if block == block1 else m
            if low >= high:
                continue
            first_panel, end_panel = block * panels // blocks, (block + 1) * panels // blocks
            first_vector = _first_vector(first_panel, vectors, panels)
            end_vector = _first_vector(end_panel, vectors, panels)
            for panel in range(max(first_panel, pack_from), end_panel):
                vector = panel * narrow + min(panel, wider)
                end = (panel + 1) * narrow + min(panel + 1, wider)
                j = vector * width
                source = shift(b0, j * ldb + p if b_transposed else p * ldb + j)
                _pack_columns(b_transposed, source, ldb, kc_now, width, end - vector,
                              min(width, n - (end - 1) * width),
                              shift(packed_b, (vector - first_vector) * width * kc_now))
            i, height = low, 0
            while i + height < high:
                i += height
                height = tall if i > low and high - i >= tall else min(MR, high - i)
                if pack_a:
                    if (i - low) % chunk == 0:
                        inside = min(chunk, high - i)
                        columns = _parts(inside, width)
                        pack_vectors(kc_now, columns, shift(a0, i + p * lda), lda,
                                     inside - (columns - 1) * width, packed_a, chunk)
                    rows, step = shift(packed_a, (i - low) % chunk), chunk
                else:
                    rows, step = shift(a0, i + p * lda if a_transposed else i * lda + p), lda
                end = first_vector
                for panel in range(first_panel, end_panel):
                    vector, end = end, (panel + 1) * narrow + min(panel + 1, wider)
                    columns, j = end - vector, vector * width
                    packed = panel >= pack_from or i > low
                    source, source_step = shift(packed_b, (vector - first_vector) * width * kc_now), columns * width
                    kept, kept_step = unused, 0
                    if not packed:
                        if i + height < high:
                            kept, kept_step = source, source_step
                        source, source_step = shift(b0, p * ldb + j), ldb
                    target = shift(c0, i * ldc + j)
                    start, start_step = target, ldc             # what earlier turns have summed
                    if p == 0 and biased:
                        start, start_step = shift(pointer(bias), j), 0
                    after = target                              # the tile to the right or below comes next
                    if panel + 1 < end_panel:
                        after = shift(target, columns * width)
                    elif i + height < high:
                        after = shift(c0, (i + height) * ldc + first_vector * width)
                    tile(a_transposed, packed, kc_now, rows, step, source, source_step, kept, kept_step,
                         p == 0 and not biased, start, start_step, target, ldc, after, floor, height, columns,
                         min(width, n - (end - 1) * width))
                if p + kc_now >= k and activation > RELU:
                    activate_rows(shift(c0, i * ldc), ldc, height, first_vector * width, min(n, end_vector * width),
                                  activation)
        p += max(1, kc_now)
    give_back(packed_b)


def _product_by_loops(a_transposed, b_transposed, a, b, c, bias, biased, activation, part):
    """The same where no vector code can be built."""
    m, n = c.shape
    share, shares = part
    floor = least(activation)
    for i in range(m * share // shares, m * (share + 1) // shares):
        for j in range(n):
            c[i, j] = bias[j] if biased else 0
        for p in range(a.shape[0] if a_transposed else a.shape[1]):
            factor = a[p, i] if a_transposed else a[i, p]
            for j in range(n):
                c[i, j] += factor * (b[j, p] if b_transposed else b[p, j])
        for j in range(n):
            c[i, j] = floor if c[i, j] < floor else c[i, j]          # a NaN stays
        activate(c[i], 0, n, activation)


product = device(separate=True)(_product_by_tiles if VECTOR_BYTES else _product_by_loops)

if BACKEND == "numpy" or MISSING:
    multiply, activate_rows = product, _activate_rows
else:
    @intrinsic
    def activate_rows(typingctx, c, ldc, rows, first, last, activation):
        """What follows a product, but code of its own: another process may compile it meanwhile."""
        return calling(_activate_rows, (c, ldc, rows, first, last, activation), (c, *5 * [types.intp]))

    @intrinsic
    def multiply(typingctx, a_transposed, b_transposed, a, b, c, bias, biased, activation, part):
        """A product, whatever the layouts of its factors: it is compiled once for each dtype."""
        factor, row = (types.Array(c.dtype, axes, "A", readonly=True) for axes in (2, 1))
        return calling(product, (a_transposed, b_transposed, a, b, c, bias, biased, activation, part),
                       (types.boolean, types.boolean, factor, factor, c.copy(layout="A"), row, types.boolean,
                        types.intp, part))


@device(separate=True)
def _multiply(a_transposed, b_transposed, a, b, c, part):
    multiply(a_transposed, b_transposed, a, b, c, c[0], False, IDENTITY, part)


def multiply_nn_ref(a, b, c):
    """c = a b, with a (m, k), b (k, n), c (m, n); rows may be further apart than they are long."""
    c[:] = a @ b


@twin_of(multiply_nn_ref)
def multiply_nn(a, b, c):
    # a (m, k), b (k, n), c (m, n)
    in_parallel(_multiply, shares_for(2 * a.size * b.shape[1]), (False, False, a, b, c))


def multiply_tn_ref(a, b, c):
    """c = a^T b, with a (k, m), b (k, n), c (m, n)."""
    c[:] = a.T @ b


@twin_of(multiply_tn_ref)
def multiply_tn(a, b, c):
    # a (k, m), b (k, n), c (m, n)
    in_parallel(_multiply, shares_for(2 * a.size * b.shape[1]), (True, False, a, b, c))


def multiply_nt_ref(a, b, c):
    """c = a b^T, with a (m, k), b (n, k), c (m, n)."""
    c[:] = a @ b.T


@twin_of(multiply_nt_ref)
def multiply_nt(a, b, c):
    # a (m, k), b (n, k), c (m, n)
    in_parallel(_multiply, shares_for(2 * a.size * b.shape[0]), (False, True, a, b, c))
