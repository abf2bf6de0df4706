"""The loop over a row of pixels that all likelihoods share: terms and slopes pixel by pixel, and a sum in one order.

The loss alone and the loss with its gradient have to be the same to the bit, and so do rows of one pixel and of many.
Two things could break that, and both depend on the processor: where the compiler may reorder a sum, its order is that
of the vectors which it takes for one loop and not for the next; and where it may fuse a product with a sum, it does
so only if nothing else uses the product. So nothing here may be reordered or fused (EXACT; `exp` and its like fuse
inside themselves), and the order of the sum is written down: of each block the upper half is added to the lower until
one number is left, and these go on in float64.
"""
import numpy as np

from .hints import widest_vectors
from .twins import BACKEND, device

EXACT = frozenset()
BLOCK = 128     # terms of a row that are added in the arrays' own dtype: in float64 a vector would hold half as many
# Where no term is negative, the relative error of a sum in float32 is at most 2^-24 times (that of a term, 4 for
# Bernoulli, + 7 halvings).

if BACKEND == "numba":
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils

    @intrinsic
    def block_like(typingctx, like):
        """A pointer to BLOCK numbers of the dtype of an array, to be written."""
        def generate(context, builder, signature, arguments):
            vector = ir.VectorType(context.get_value_type(like.dtype), BLOCK)
            memory = cgutils.alloca_once(builder, vector)
            memory.align = 64
            return builder.bitcast(memory, vector.element.as_pointer())
        return types.CPointer(like.dtype)(like), generate

    @intrinsic
    def folded(typingctx, block):
        """The sum of a block: halves are added until one number is left."""
        def generate(context, builder, signature, arguments):
            vector = ir.VectorType(context.get_value_type(block.dtype), BLOCK)
            load = builder.load(builder.bitcast(arguments[0], vector.as_pointer()))
            load.align = 64
            width = BLOCK // 2
            while width:
                low, high = (builder.shuffle_vector(load, load, ir.Constant(ir.VectorType(ir.IntType(32), width),
                                                                            [*range(first, first + width)]))
                             for first in (0, width))
                load, width = builder.fadd(low, high), width // 2
            return builder.extract_element(load, ir.IntType(32)(0))
        return block.dtype(block), generate

else:
    def block_like(array):
        """BLOCK numbers of the dtype of an array, to be written."""
        return np.empty(BLOCK, array.dtype)

    def folded(block):
        """The sum of a block: halves are added until one number is left."""
        while len(block) > 1:
            block = block[:len(block) // 2] + block[len(block) // 2:]
        return block[0]


def row_loop(terms, two=False):
    """Make the loop of a likelihood, for kernels.

    terms(outputs, i, pixel), of one row, gives pixel i's term of the sum, its derivative by outputs[i] and, if `two`,
    that by outputs[i + D].
    """
    @device(EXACT, forceinline=True)
    def add_up(outputs, x, r, weight, d_outputs, wanted):
        """Return the sum of row r in float64; if `wanted`, write its gradient times weight into row r of d_outputs."""
        widest_vectors()
        row, pixels, d_row = outputs[r], x[r // (len(outputs) // len(x))], d_outputs[r]
        width, weight, zero = np.uint64(len(pixels)), outputs.dtype.type(weight), outputs.dtype.type(0)
        part, total = block_like(outputs), 0.0
        for start in range(0, len(pixels), BLOCK):
            first, count = np.uint64(start), np.uint64(min(BLOCK, len(pixels) - start))
            for k in range(count):                      # unsigned: no test for an index from the end
                i = first + k
                found = terms(row, i, pixels[i])
                part[k] = found[0]
                if wanted:
                    d_row[i] = weight * found[1]
                    if two:
                        d_row[i + width] = weight * found[2]
            for k in range(count, np.uint64(BLOCK)):
                part[k] = zero
            total += folded(part)
        return total
    return add_up
