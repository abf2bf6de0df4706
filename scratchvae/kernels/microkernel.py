"""The register tile of the matrix product, written as LLVM vector code, and the ways to fill its panel.

A tile of C, `rows` high and `vectors` vectors wide, stays in registers while p runs over the inner dimension:

    C[r, :] = start[r, :] + sum over p of A[r, p] * panel[p, :]        one broadcast and `vectors` FMAs a row

Each element is one chain of fused multiply-adds in the order of p, wherever the tile lies and whatever its
shape: results do not depend on how the work is cut.  Columns beyond the array are masked off when C is read
and written, and when B is (where a family has no masks, B is packed if its last vector would reach beyond it);
rows beyond it are left to lower tiles.
Operands are pointers and strides, counted in elements.

Three forms of it are emitted for each width: for a packed panel and all rows, which does nearly all the work;
for a panel that lies anywhere, which it packs in passing for the tiles below; and one of half the height.  A^T B has
a fourth, two vectors wide and as much taller as leaves the number of sums the same: for a narrow C.

The shape follows the processor that Numba compiles for (see `target_family`).
"""
import warnings
from collections import namedtuple
from contextlib import nullcontext
from typing import Any, NamedTuple

from .twins import BACKEND


class Family(NamedTuple):
    """How a family of processors wants its tile."""

    name: str
    vector_bytes: int
    rows: int               # MR, the height of a tile
    vectors: int            # NR, the width of a tile, in vectors
    has_fma: bool
    has_masks: bool         # one instruction loads the lanes that a mask names, and no others
    packed_b_bytes: int     # size of the packed KC x NC block of B: a part of a second-level cache


# rows * vectors sums, `vectors` registers of B and one broadcast fit the register file (32, 16, 32, 16).
AVX512 = Family("avx512", 64, 8, 3, True, True, 512 * 1024)
AVX2 = Family("avx2", 32, 4, 3, True, True, 96 * 1024)
NEON = Family("neon", 16, 8, 3, True, False, 96 * 1024)
SSE2 = Family("sse2", 16, 4, 2, False, False, 96 * 1024)
PLAIN = Family("plain", 0, 1, 1, False, False, 0)       # no vector code: plain loops

KC = 256                    # length of the inner dimension that is packed at once, where not all of it can be
PREFETCH_ROWS = 16          # how many rows ahead a tile asks the cache for a B that it reads where it lies
PACKED_A_BYTES = 16 * 1024     # size of the packed part of A, where its strips lie across the cache lines

if BACKEND == "numba":
    from llvmlite import binding, ir
    from numba import types
    from numba.extending import intrinsic

    from .hints import prefetch
    from .internals import cgutils, codegen, config, TypingError

_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @probe(<16 x float>* %x) {
    %a = load <16 x float>, <16 x float>* %x
    %b = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %a, <16 x float> %a)
    store <16 x float> %b, <16 x float>* %x
    ret void
}
"""


def target_family() -> Family:
    """Return the Family of the processor that Numba compiles for.

    LLVM compiles one fused multiply-add, and the registers that it chooses tell the family.  NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES count.  With a name alone the name decides, though Numba still allows this machine's features.
    """
    name = config.CPU_NAME or binding.get_host_cpu_name()
    if config.CPU_FEATURES is not None:
        features = config.CPU_FEATURES
    else:
        features = "" if config.CPU_NAME else codegen.get_host_cpu_features()
    codegen.initialize_llvm()
    try:
        target = binding.Target.from_triple(binding.get_process_triple())
        machine = target.create_target_machine(cpu=name, features=features, opt=2)
        assembly = machine.emit_assembly(binding.parse_assembly(_PROBE))
    except RuntimeError as reason:
        why = str(reason).splitlines()[0]
        warnings.warn(f"no vector code for the processor {name!r} ({why}); products take the plain path, "
                      "which is slower and gives the same results within rounding.", RuntimeWarning)
        return PLAIN
    if "zmm" in assembly:
        return AVX512
    if "ymm" in assembly and "vfmadd" in assembly:
        return AVX2
    if "fmla" in assembly:
        return NEON
    return SSE2


FAMILY = target_family() if BACKEND == "numba" else PLAIN
TALL_ROWS = FAMILY.rows * FAMILY.vectors // 2       # of the form for a narrow C
FULL, LOOSE, LOW, TALL = range(4)                   # the forms of a tile


def lanes(itemsize: int) -> int:
    """How many numbers of `itemsize` bytes a vector holds."""
    return max(1, FAMILY.vector_bytes // itemsize)


def require_floats(*pointers: Any) -> None:
    """Refuse, while a kernel is compiled, pointers to anything but float32 and float64."""
    floats = types.CPointer(types.float32), types.CPointer(types.float64)
    if any(p not in floats for p in pointers):
        raise TypingError("a tile works on pointers to float32 or float64")


class Vectors:
    """LLVM instructions on vectors of one dtype, at addresses that are only aligned to an element."""

    def __init__(self, builder, pointer):
        self.builder = builder
        self.itemsize = pointer.dtype.bitwidth // 8
        self.scalar, self.kind = (ir.FloatType(), "f32") if self.itemsize == 4 else (ir.DoubleType(), "f64")
        self.width = lanes(self.itemsize)
        self.type = ir.VectorType(self.scalar, self.width)
        self.zero = ir.Constant(self.type, [0.0] * self.width)

    @staticmethod
    def number(value):
        """A Python int as an LLVM constant; LLVM values pass."""
        return ir.Constant(ir.IntType(64), value) if isinstance(value, int) else value

    def at(self, base, *terms):
        """base moved by the sum of the terms, in elements; a pair counts as its product."""
        for term in terms:
            if isinstance(term, tuple):
                term = self.builder.mul(*map(self.number, term))
            base = self.builder.gep(base, [self.number(term)])
        return base

    def load(self, address, mask=None, width=None):
        """The vector at an address, of the full width if none is given; 0 in lanes that a mask leaves out, unread."""
        vector = ir.VectorType(self.scalar, width or self.width)
        address = self.builder.bitcast(address, vector.as_pointer())
        if mask is not None:
            return self._call(f"llvm.masked.load.v{self.width}{self.kind}.p0", vector, address,
                              ir.Constant(ir.IntType(32), self.itemsize), mask, self.zero)
        load = self.builder.load(address)
        load.align = self.itemsize
        return load

    def store(self, value, address, mask=None):
        """Write a number or a vector to an address, but for lanes that a mask leaves out."""
        address = self.builder.bitcast(address, value.type.as_pointer())
        if mask is not None:
            self._call(f"llvm.masked.store.v{self.width}{self.kind}.p0", ir.VoidType(), value, address,
                       ir.Constant(ir.IntType(32), self.itemsize), mask)
        else:
            self.builder.store(value, address).align = self.itemsize

    def splat(self, number):
        """A vector of one number, over and over."""
        undefined = ir.Constant(ir.VectorType(number.type, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(first, undefined, [0] * self.width)

    def shuffle(self, low, high, lanes):
        """The named lanes of two vectors, counted through both."""
        return self.builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))

    def multiply_add(self, a, b, c):
        """a b + c: one instruction where the processor has it, never a call of the math library."""
        if not FAMILY.has_fma:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        return self._call(f"llvm.fma.v{self.width}{self.kind}", self.type, a, b, c)

    def first_lanes(self, count):
        """A mask of the lanes below `count`."""
        numbers = ir.Constant(ir.VectorType(ir.IntType(64), self.width), list(range(self.width)))
        return self.builder.icmp_signed("<", numbers, self.splat(count))

    def _call(self, name, result, *arguments):
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(result, [x.type for x in arguments]), name)
        return self.builder.call(function, arguments)


# What a tile works on, as LLVM values: see `tile`.  If `kept` is None, what is read of B is not kept.  Neighbors in a
# column of A lie `row` elements apart, and those in a row of it, which the inner dimension runs along, `inner`.
_Operands = namedtuple("_Operands", "k a lda b ldb kept ldk fresh start lds c ldc after least row inner")


def _outer_products(vectors, rows, columns, neighbors, full, o, valid, mask):
    """Emit one tile: `rows` high, of which `valid` exist (all if `full`), `columns` vectors wide, the last masked.

    neighbors: the rows of A are known to be neighbors in memory, as they are if A is transposed.
    """
    builder = vectors.builder
    tile = [(r, v) for r in range(rows) for v in range(columns)]
    exists = [builder.icmp_signed("<", vectors.number(r), valid) for r in range(rows)]
    # Rows chosen like this are pointers of their own to LLVM.  Where it knows that they lie lda apart it adds up
    # each address inside the loop, with instructions that take turns from the multiply-adds.
    place = [builder.select(exists[r], vectors.number(r), vectors.number(0)) for r in range(rows)]
    if neighbors:
        place = range(rows)                                     # constant offsets

    masks = [None] * (columns - 1) + [mask]
    b_masks = [None] * columns if full or not FAMILY.has_masks else masks
    sums = {(r, v): cgutils.alloca_once_value(builder, vectors.zero) for r, v in tile}
    with builder.if_then(builder.not_(o.fresh)):
        for r, v in tile:
            address = vectors.at(o.start, (o.lds, place[r]), v * vectors.width)
            builder.store(vectors.load(address, masks[v]), sums[r, v])
    for r, v in tile:
        prefetch(builder, vectors.at(o.after, (o.ldc, place[r]), v * vectors.width), to_write=True)
    a_rows = [vectors.at(o.a, place[r] if neighbors else (o.row, place[r])) for r in range(rows)]

    def step(p):
        places = [vectors.at(o.b, (p, o.ldb), v * vectors.width) for v in range(columns)]
        b_row = [*map(vectors.load, places, b_masks)]
        if o.kept is not None:
            for v in range(columns):
                prefetch(builder, vectors.at(places[v], (PREFETCH_ROWS, o.ldb)), to_write=False)
                vectors.store(b_row[v], vectors.at(o.kept, (p, o.ldk), v * vectors.width))
        for r in range(rows):
            broadcast = vectors.splat(builder.load(vectors.at(a_rows[r], (p, o.inner))))
            for v in range(columns):
                total = sums[r, v]
                builder.store(vectors.multiply_add(broadcast, b_row[v], builder.load(total)), total)

    if full:
        pairs = builder.lshr(o.k, vectors.number(1))            # two steps a turn: half the loop's own work
        with cgutils.for_range(builder, pairs) as loop:
            p = builder.shl(loop.index, vectors.number(1))
            step(p)
            step(builder.add(p, vectors.number(1)))
        with builder.if_then(builder.trunc(o.k, ir.IntType(1))):
            step(builder.sub(o.k, vectors.number(1)))
    else:
        with cgutils.for_range(builder, o.k) as loop:           # less code to fetch, where it runs but once
            step(loop.index)

    least = vectors.splat(o.least)

    for r in range(rows):
        with nullcontext() if full else builder.if_then(exists[r]):
            for v in range(columns):
                address, value = vectors.at(o.c, (o.ldc, r), v * vectors.width), builder.load(sums[r, v])
                value = builder.select(builder.fcmp_ordered("<", value, least), least, value)          # a NaN stays
                vectors.store(value, address, masks[v])


def _transposed(vectors, pieces):
    """Transpose within each 128 bits: pieces[r] holds row r, result[i] column i of every 128-bit part."""
    part = len(pieces)

    def merge(low, high, unit):
        """Alternate units of both, first from the low half of each 128 bits, then from the high half."""
        for half in (0, part // 2):
            lanes_ = [base + half + block + lane + side * vectors.width
                      for base in range(0, vectors.width, part)
                      for block in range(0, part // 2, unit)
                      for side in (0, 1)
                      for lane in range(unit)]
            yield vectors.shuffle(low, high, lanes_)

    if part == 2:
        return list(merge(*pieces, 1))
    u0, u1, u2, u3 = *merge(pieces[0], pieces[1], 1), *merge(pieces[2], pieces[3], 1)
    return [*merge(u0, u2, 2), *merge(u1, u3, 2)]


if BACKEND == "numba":
    @intrinsic
    def pointer(typingctx, array):
        """The address of an array's first element, typed; read-only arrays give the same type."""
        def codegen(context, builder, signature, arguments):
            return context.make_array(array)(context, builder, arguments[0]).data
        return types.CPointer(array.dtype)(array), codegen

    @intrinsic
    def shift(typingctx, base, count):
        """base + count elements."""
        def codegen(context, builder, signature, arguments):
            return builder.gep(arguments[0], [arguments[1]])
        return base(base, types.intp), codegen

    @intrinsic
    def tile(typingctx, a_transposed, packed, k, a, lda, b, ldb, kept, ldk, fresh, start, lds, c, ldc, after, least,
             rows, columns, last):
        """One register tile, C[r, j] = start[r, j] + sum_p a[r, p] b[p, j], with a[p, r] if a_transposed.

        rows: 1 to FAMILY.rows, or TALL_ROWS if a_transposed, packed and columns is 2.
        columns: vectors wide, 1 to FAMILY.vectors, the last with `last` lanes.
        The rows of a, b, start and c lie lda, ldb, lds (0 repeats one row) and ldc apart.
        fresh: start counts as 0 and is not read.
        packed: promises that ldb is the tile's width.  If not, and rows is more than half of FAMILY.rows, what is
        read of b is also written to `kept`, whose rows lie ldk apart (0: all in one place, to be forgotten).
        after: where the next tile's part of C begins, for the cache; nothing is read or written there.
        least: written in the place of what is less.
        Nothing else of a, start and c is touched; the rows of b must be readable for whole vectors if it is packed,
        or if FAMILY.has_masks is false.
        """
        require_floats(a, b, kept, start, c, after)
        count = types.intp

        def codegen(context, builder, signature, arguments):
            a_transposed, packed, *operands, rows, columns, last = arguments
            operands = _Operands(*operands, row=None, inner=None)
            vectors = Vectors(builder, a)
            number, most, half = vectors.number, FAMILY.rows, FAMILY.rows // 2
            operands = operands._replace(row=builder.select(a_transposed, number(1), operands.lda),
                                         inner=builder.select(a_transposed, operands.lda, number(1)))
            mask = vectors.first_lanes(last)
            done = builder.append_basic_block("tile.done")
            nowhere = builder.append_basic_block("tile.none")
            kind = builder.select(builder.icmp_signed("<=", rows, number(half)), number(LOW), number(LOOSE))
            for form, height in ((TALL, TALL_ROWS), (FULL, most)):
                chosen = builder.and_(builder.icmp_signed("==", rows, number(height)), packed)
                kind = builder.select(chosen, number(form), kind)
            switch = builder.switch(builder.add(builder.mul(columns, number(TALL + 1)), kind), nowhere)
            for v in range(1, FAMILY.vectors + 1):
                steady, low_tile = operands._replace(ldb=v * vectors.width, kept=None), operands._replace(kept=None)
                forms = [(FULL, most, steady), (LOOSE, most, operands), (LOW, half, low_tile)]
                if v == 2 and TALL_ROWS > most:
                    forms.append((TALL, TALL_ROWS, steady))
                for form, height, o in forms:
                    block = builder.append_basic_block(f"tile.{form}.{v}")
                    switch.add_case(number((TALL + 1) * v + form), block)
                    builder.position_at_end(block)
                    _outer_products(vectors, height, v, form == TALL, form in (FULL, TALL), o, rows, mask)
                    builder.branch(done)
            builder.position_at_end(nowhere)
            builder.unreachable()
            builder.position_at_end(done)
            return context.get_dummy_value()
        return types.void(types.boolean, types.boolean, count, a, count, b, count, kept, count, types.boolean, start,
                          count, c, count, after, c.dtype, *[count] * 3), codegen

    @intrinsic
    def pack_vectors(typingctx, k, columns, b, ldb, last, panel, ldp):
        """panel[p, :] = b[p, :] for p < k, `columns` vectors wide, of which the last has `last` lanes."""
        require_floats(b, panel)
        count = types.intp

        def codegen(context, builder, signature, arguments):
            k, columns, source, ldb, last, target, ldp = arguments
            vectors = Vectors(builder, b)
            mask = vectors.first_lanes(last)
            whole = builder.sub(columns, vectors.number(1))
            with cgutils.for_range(builder, k) as row:
                start = vectors.at(source, (row.index, ldb))
                end = vectors.at(target, (row.index, ldp))
                with cgutils.for_range(builder, whole) as v:
                    vectors.store(vectors.load(vectors.at(start, (v.index, vectors.width))),
                                  vectors.at(end, (v.index, vectors.width)))
                vectors.store(vectors.load(vectors.at(start, (whole, vectors.width)), mask),
                              vectors.at(end, (whole, vectors.width)))
            return context.get_dummy_value()
        return types.void(count, count, b, count, count, panel, count), codegen

    @intrinsic
    def pack_transposed(typingctx, b, ldb, valid, panel, ldp):
        """panel[p, j] = b[j, p] for p, j below a vector's width; rows from `valid` on repeat the last."""
        require_floats(b, panel)
        count = types.intp

        def codegen(context, builder, signature, arguments):
            source, ldb, valid, target, ldp = arguments
            vectors = Vectors(builder, b)
            part = 16 // vectors.itemsize                       # lanes in 128 bits
            top = builder.sub(valid, vectors.number(1))
            rows = []
            for j in range(vectors.width):
                inside = builder.icmp_signed("<", vectors.number(j), valid)
                rows.append(vectors.at(source, (builder.select(inside, vectors.number(j), top), ldb)))
            for group in range(0, vectors.width, part):         # columns group ... group + part - 1 of b
                pieces = []
                for r in range(part):
                    quarters = [vectors.load(vectors.at(rows[j], group), width=part)
                                for j in range(r, vectors.width, part)]
                    while len(quarters) > 1:
                        size = 2 * quarters[0].type.count
                        quarters = [vectors.shuffle(x, y, list(range(size)))
                                    for x, y in zip(quarters[::2], quarters[1::2])]
                    pieces.append(quarters[0])
                for p, column in enumerate(_transposed(vectors, pieces), group):
                    vectors.store(column, vectors.at(target, (ldp, p)))
            return context.get_dummy_value()
        return types.void(b, count, count, panel, count), codegen
