"""Scalar products of rows: A B^T where A has few rows and they are long, written as LLVM vector code.

The register tile reads rows of B^T, which have to be transposed first: many rows of A pay for that, few do not.
Here the lanes of a vector run along the inner dimension instead.  Both factors are read where they lie, and the
lanes are added up at the end:

    C[r, j] = sum over lanes of (sum over p of A[r, p] B[j, p])

Each element is as many chains of multiply-adds as a vector has lanes, added in pairs: an order that no cut changes.
"""
from .microkernel import FAMILY
from .twins import BACKEND

DOT_ROWS, DOT_COLUMNS = FAMILY.rows // 2, 4         # of a tile: their product fills whole vectors in every family

if BACKEND == "numba":
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils
    from .microkernel import require_floats, Vectors


def _add_lanes(vectors, sums):
    """Add up the lanes of as many vectors as a vector has lanes: lane i of the result is the sum of sums[i]."""
    part = vectors.width                                        # lanes side by side that belong to one of them
    while part > 1:
        starts, half = range(0, 2 * vectors.width, part), part // 2
        low, high = ([start + lane for start in starts for lane in range(first, first + half)] for first in (0, half))
        sums = [vectors.builder.fadd(vectors.shuffle(u, v, low), vectors.shuffle(u, v, high))
                for u, v in zip(sums[::2], sums[1::2])]
        part = half
    return sums[0]


def _emit_sums(vectors, k, a_rows, b_rows):
    """Emit the loop over the inner dimension: the product of each row of A with each of B, lane by lane."""
    builder, width = vectors.builder, vectors.number(vectors.width)
    sums = [[cgutils.alloca_once_value(builder, vectors.zero) for _ in b_rows] for _ in a_rows]

    def step(load):
        b_now = [load(row) for row in b_rows]
        for a_row, totals in zip(a_rows, sums):
            a_now = load(a_row)
            for b_vector, total in zip(b_now, totals):
                builder.store(vectors.multiply_add(a_now, b_vector, builder.load(total)), total)

    whole = builder.udiv(k, width)
    with cgutils.for_range(builder, whole) as loop:
        step(lambda row: vectors.load(vectors.at(row, (loop.index, width))))
    left = builder.urem(k, width)
    with builder.if_then(builder.icmp_signed(">", left, vectors.number(0))):
        mask = vectors.first_lanes(left)                        # the others are 0 and add nothing
        step(lambda row: vectors.load(vectors.at(row, (whole, width)), mask))
    return [builder.load(total) for totals in sums for total in totals]


def _store(vectors, sums, c, ldc, rows, columns):
    """Write a tile's sums, given row by row in whole vectors: at the edges of C one at a time."""
    builder, number, size = vectors.builder, vectors.number, min(DOT_COLUMNS, vectors.width)
    pieces = []
    for at in range(0, DOT_ROWS * DOT_COLUMNS, size):
        r, j = divmod(at, DOT_COLUMNS)
        vector, lane = sums[at // vectors.width], at % vectors.width
        pieces.append((r, j, vectors.at(c, (ldc, r), j), vectors.shuffle(vector, vector, [*range(lane, lane + size)])))
    whole = builder.and_(builder.icmp_signed("==", rows, number(DOT_ROWS)),
                         builder.icmp_signed("==", columns, number(DOT_COLUMNS)))
    with builder.if_else(whole) as (inside, edge):
        with inside:
            for _, _, address, piece in pieces:
                vectors.store(piece, address)
        with edge:
            for r, j, address, piece in pieces:
                for lane in range(size):
                    exists = builder.and_(builder.icmp_signed("<", number(r), rows),
                                          builder.icmp_signed("<", number(j + lane), columns))
                    with builder.if_then(exists):
                        one = builder.extract_element(piece, ir.Constant(ir.IntType(32), lane))
                        vectors.store(one, vectors.at(address, lane))


if BACKEND == "numba":
    @intrinsic
    def dots(typingctx, k, a, lda, b, ldb, c, ldc, rows, columns):
        """C[r, j] = sum_p a[r, p] b[j, p] for p < k, r < rows <= DOT_ROWS and j < columns <= DOT_COLUMNS.

        Operands are pointers whose rows lie lda, ldb and ldc elements apart; nothing else of them is touched.
        """
        require_floats(a, b, c)
        count = types.intp

        def codegen(context, builder, signature, arguments):
            k, a, lda, b, ldb, c, ldc, rows, columns = arguments
            vectors = Vectors(builder, signature.args[1])

            def lines(base, step, exist, most):
                """Where each row lies; those that do not exist repeat the first."""
                inside = [builder.icmp_signed("<", vectors.number(i), exist) for i in range(most)]
                return [vectors.at(base, (builder.select(there, vectors.number(i), vectors.number(0)), step))
                        for i, there in enumerate(inside)]

            found = _emit_sums(vectors, k, lines(a, lda, rows, DOT_ROWS), lines(b, ldb, columns, DOT_COLUMNS))
            sums = [_add_lanes(vectors, found[i:i + vectors.width]) for i in range(0, len(found), vectors.width)]
            _store(vectors, sums, c, ldc, rows, columns)
            return context.get_dummy_value()
        return types.void(count, a, count, b, count, c, *[count] * 3), codegen
