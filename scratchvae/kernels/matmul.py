"""Matrix products, either factor transposed where it lies: blocking, packing, edges, threads.

C is cut into *panels* as wide as the register tile and *strips* as high as it, or higher where one narrow
panel is all there is. A *group* of panels is as much of B as a second-level cache keeps beside everything
else, and is packed in the order in which the tile reads it: the first strip of A reads B where it lies and
leaves it packed for the strips below. (A transposed B is packed beforehand, and so is a panel whose last
vector would reach beyond B, unless the family has masks.) The inner dimension is taken in stretches, unless A
is so small that it stays in the cache while B goes by, panel after panel: then there is one, and C is written
once. Nothing is allocated: packed data (FAMILY.group_bytes of B and CHUNK_BYTES of A) lie in a slot of `workspace`,
so that Python threads that multiply at once share nothing, and need no large stack.

The tiles stand in one line, group by group and strip by strip, and threads take equal parts of the line.
Every element of C has one writer and is one chain of multiply-adds in the order of the inner dimension,
however the work is cut: any number of threads gives the same bits, and so does any batch that a row is part
of.  (Only where B is transposed, and both have few and long rows, it is as many chains as a vector has lanes,
see `dots`: a row has other bits there than in a larger batch.)

Two threads that write to one cache line, where the columns of one end and those of the other begin, wait for
each other at every row. That is why C is written as seldom as possible, and why a tile asks the cache for
nothing of C that its own thread will not write.
"""
import numpy as np

from .dots import DOT_COLUMNS, DOT_ROWS
from .microkernel import CHUNK_BYTES, DEPTH, FAMILY, TALL_ROWS
from .twins import BACKEND, device, prange, twin_of

if BACKEND == "numba":
    from .dots import dots
    from .microkernel import give_back, pack_transposed, pack_vectors, pointer, running_threads, shift, take_slot, tile

TILE_ROWS, TILE_VECTORS = FAMILY.rows, FAMILY.vectors
VECTOR_BYTES, GROUP_BYTES = FAMILY.vector_bytes, FAMILY.group_bytes
FEW_ROWS = 40                   # of A, and of B, do not pay for transposing B: then scalar products are taken, ...
LONG_ROWS = 8 * VECTOR_BYTES    # ... of rows beside which adding up the lanes costs little
SMALL_BYTES = 8 * 1024          # of an A whose columns are read where they lie, panel after panel
SERIAL_FLOPS = 1 << 19          # less than this takes about as long as waking the threads


# Shares are counted in np.intp, in serial and parallel loops alike (prange counts in unsigned numbers): for every
# other type of a share Numba would compile the whole product once more, a second each.
@device()
def shares_for(flops):
    """Into how many shares work is cut, one for each thread; 0 for tiny work, which the caller's thread does at once."""
    return running_threads() if flops > SERIAL_FLOPS else 0


@device()
def _parts(total, most):
    """Cut `total` into equal parts of at most `most`: how many."""
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
def _share_start(m, vectors, panels, groups, share, shares):
    """Where a share begins on the line of tiles: (group, row)."""
    if share == shares:
        return groups - 1, m
    at = m * vectors * share // shares
    slack = m * vectors // max(shares, groups) // 8         # a little uneven is better than packing a group twice
    group, end = 0, 0
    while True:
        first = end
        end = _first_vector((group + 1) * panels // groups, vectors, panels)
        if at < m * end - slack or group == groups - 1:
            break
        group += 1
    strip = (end - first) * TILE_ROWS
    past = at - first * m
    return group, 0 if past < slack else min(m, (past + strip // 2) // strip * TILE_ROWS)


def _product_by_tiles(least, finish):
    @device()
    def multiply(a_transposed, b_transposed, a, b, c, bias, biased, option, share, shares):
        """C = op(A) op(B), plus bias in every row if `biased`: one share of the work.

        Nothing is written that is less than `least(option)`. Finished rows i to i_end of columns j to j_end are
        handed, while they are warm, to `finish(c, i, i_end, j, j_end, option)`.
        """
        m, n = c.shape
        k = a.shape[0] if a_transposed else a.shape[1]
        if m == 0 or n == 0:
            return
        itemsize = c.itemsize
        width = VECTOR_BYTES // itemsize
        lda, ldb, ldc = a.strides[0] // itemsize, b.strides[0] // itemsize, c.strides[0] // itemsize
        a0, b0, c0 = pointer(a), pointer(b), pointer(c)
        vectors = _parts(n, width)
        panels = _parts(vectors, TILE_VECTORS)
        narrow, wider = vectors // panels, vectors % panels         # see _first_vector

        ragged = n % width > 0 and not FAMILY.has_masks
        pack_from = 0 if b_transposed else panels - 1 if ragged else panels
        # A stays in the cache while B goes by: in the second level, or where its columns are read, in the first.
        a_stays = k * lda * itemsize <= SMALL_BYTES if a_transposed else m * k * itemsize <= GROUP_BYTES
        depth = max(1, _parts(k, _parts(k, GROUP_BYTES // (TILE_VECTORS * VECTOR_BYTES) if a_stays else DEPTH)))
        groups = panels if a_stays else _parts(panels, GROUP_BYTES // (depth * TILE_VECTORS * VECTOR_BYTES))
        if n > m:                           # a wide C is cut by columns: each thread packs a part of B, not all
            groups = max(groups, min(shares, panels))
        tall = TALL_ROWS if a_transposed and panels == 1 and vectors == 2 else TILE_ROWS         # once B is packed
        chunk = max(width, TILE_ROWS)
        pack_a = a_transposed and panels > 1 and not a_stays        # its columns lie on as many pages as it has rows

        packed_b = take_slot(c0, share)
        packed_a = shift(packed_b, GROUP_BYTES // itemsize)
        unused = shift(packed_a, CHUNK_BYTES // itemsize)
        group0, row0 = _share_start(m, vectors, panels, groups, share, shares)
        group1, row1 = _share_start(m, vectors, panels, groups, share + 1, shares)
        p = 0
        while p < k or p == 0:              # an empty inner dimension is one stretch too: C is written
            inner = min(depth, k - p)
            floor = c.dtype.type(least(option) if p + inner >= k else -np.inf)
            for group in range(group0, group1 + 1):
                low = row0 if group == group0 else 0
                high = row1 if group == group1 else m
                if low >= high:
                    continue
                first_panel, end_panel = group * panels // groups, (group + 1) * panels // groups
                first_vector = _first_vector(first_panel, vectors, panels)
                end_vector = _first_vector(end_panel, vectors, panels)
                for panel in range(max(first_panel, pack_from), end_panel):
                    vector = panel * narrow + min(panel, wider)
                    end = (panel + 1) * narrow + min(panel + 1, wider)
                    j = vector * width
                    source = shift(b0, j * ldb + p if b_transposed else p * ldb + j)
                    _pack_columns(b_transposed, source, ldb, inner, width, end - vector,
                                  min(width, n - (end - 1) * width),
                                  shift(packed_b, (vector - first_vector) * width * inner))
                i, height = low, 0
                while i + height < high:
                    i += height
                    height = tall if i > low and high - i >= tall else min(TILE_ROWS, high - i)
                    if pack_a:
                        if (i - low) % chunk == 0:
                            inside = min(chunk, high - i)
                            columns = _parts(inside, width)
                            pack_vectors(inner, columns, shift(a0, i + p * lda), lda,
                                         inside - (columns - 1) * width, packed_a, chunk)
                        rows, step = shift(packed_a, (i - low) % chunk), chunk
                    else:
                        rows, step = shift(a0, i + p * lda if a_transposed else i * lda + p), lda
                    end = first_vector
                    for panel in range(first_panel, end_panel):
                        vector, end = end, (panel + 1) * narrow + min(panel + 1, wider)
                        columns, j = end - vector, vector * width
                        packed = panel >= pack_from or i > low
                        source, source_step = shift(packed_b, (vector - first_vector) * width * inner), columns * width
                        kept, kept_step = unused, 0
                        if not packed:
                            if i + height < high:
                                kept, kept_step = source, source_step
                            source, source_step = shift(b0, p * ldb + j), ldb
                        target = shift(c0, i * ldc + j)
                        start, start_step = target, ldc             # what earlier stretches have summed
                        if p == 0 and biased:
                            start, start_step = shift(pointer(bias), j), 0
                        after = target                              # the tile to the right or below comes next
                        if panel + 1 < end_panel:
                            after = shift(target, columns * width)
                        elif i + height < high:
                            after = shift(c0, (i + height) * ldc + first_vector * width)
                        tile(a_transposed, packed, inner, rows, step, source, source_step, kept, kept_step,
                             p == 0 and not biased, start, start_step, target, ldc, after, floor, height, columns,
                             min(width, n - (end - 1) * width))
                    if p + inner >= k:
                        finish(c, i, i + height, first_vector * width, min(n, end_vector * width), option)
            p += max(1, inner)
        give_back(packed_b)
    return multiply


def _product_by_loops(least, finish):
    """The same where no vector code can be built."""
    @device()
    def multiply(a_transposed, b_transposed, a, b, c, bias, biased, option, share, shares):
        """As the docstring of `product` says."""
        m, n = c.shape
        floor = least(option)
        for i in range(m * share // shares, m * (share + 1) // shares):
            for j in range(n):
                c[i, j] = bias[j] if biased else 0
            for p in range(a.shape[0] if a_transposed else a.shape[1]):
                factor = a[p, i] if a_transposed else a[i, p]
                for j in range(n):
                    c[i, j] += factor * (b[j, p] if b_transposed else b[p, j])
            for j in range(n):
                c[i, j] = floor if c[i, j] < floor else c[i, j]          # a NaN stays
            finish(c, i, i + 1, 0, n, option)
    return multiply


product = _product_by_tiles if FAMILY.vector_bytes else _product_by_loops


@device()
def _unbounded(option):
    """The least of a plain product: as it comes."""
    return -np.inf


@device()
def _leave(c, row, end_row, column, end_column, option):
    """The finish of a plain product: nothing."""


multiply = product(_unbounded, _leave)


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


@device()
def _transposed_by_either(a, b, c, share, shares):
    """C = A B^T: one share of the work."""
    if max(c.shape) <= FEW_ROWS and a.shape[1] * c.itemsize >= LONG_ROWS:
        _multiply_by_dots(a, b, c, share, shares)
    else:
        multiply(False, True, a, b, c, b[0], False, 0, share, shares)


@device()
def _transposed_by_loops(a, b, c, share, shares):
    """The same where no vector code can be built."""
    multiply(False, True, a, b, c, b[0], False, 0, share, shares)


multiply_transposed = _transposed_by_either if VECTOR_BYTES else _transposed_by_loops


def multiply_nn_ref(a, b, c):
    """c = a b, with a (m, k), b (k, n), c (m, n); rows may be further apart than they are long."""
    c[:] = a @ b


@twin_of(multiply_nn_ref, parallel=True)
def multiply_nn(a, b, c):
    shares = shares_for(2 * a.size * b.shape[1])
    if shares == 0:
        multiply(False, False, a, b, c, c[0], False, 0, np.intp(0), np.intp(1))
    else:
        for share in prange(shares):
            multiply(False, False, a, b, c, c[0], False, 0, np.intp(share), shares)


def multiply_tn_ref(a, b, c):
    """c = a^T b, with a (k, m), b (k, n), c (m, n)."""
    c[:] = a.T @ b


@twin_of(multiply_tn_ref, parallel=True)
def multiply_tn(a, b, c):
    shares = shares_for(2 * a.size * b.shape[1])
    if shares == 0:
        multiply(True, False, a, b, c, c[0], False, 0, np.intp(0), np.intp(1))
    else:
        for share in prange(shares):
            multiply(True, False, a, b, c, c[0], False, 0, np.intp(share), shares)


def multiply_nt_ref(a, b, c):
    """c = a b^T, with a (m, k), b (n, k), c (m, n)."""
    c[:] = a @ b.T


@twin_of(multiply_nt_ref, parallel=True)
def multiply_nt(a, b, c):
    shares = shares_for(2 * a.size * b.shape[0])
    if shares == 0:
        multiply_transposed(a, b, c, np.intp(0), np.intp(1))
    else:
        for share in prange(shares):
            multiply_transposed(a, b, c, np.intp(share), shares)
