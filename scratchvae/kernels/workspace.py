"""Memory for the packed parts of a product: not the stack's, of which a thread may have little.

All threads share one array of slots, which is allocated at import and whose pages the system provides when they are
first used. A share of a product takes a slot and gives it back, with one atomic exchange each, so Python threads
that multiply at once never have the same slot. There are twice as many slots as a parallel loop has threads. A share
that finds none free looks again until another share, which waits for nothing, gives its own back.
"""
import os

import numpy as np

from .twins import BACKEND

LINE_BYTES = 64                 # size of a cache line, and of what stands before a slot and says whether it is taken
SYMBOL = "scratchvae_slots"     # the name by which compiled code, also loaded from a cache, finds the slots


class Slots:
    """`count` slots of `size` bytes each, aligned to cache lines, and how compiled code finds them."""

    def __init__(self, size, count):
        self.stride = LINE_BYTES + -(-size // LINE_BYTES) * LINE_BYTES
        memory = np.zeros(count * self.stride + LINE_BYTES, np.uint8)
        first = -memory.ctypes.data % LINE_BYTES
        self.taken = memory[first:first + count * self.stride].reshape(count, self.stride)[:, :8].view(np.int64)[:, 0]
        self.place = np.array([self.taken.ctypes.data, count])              # what compiled code reads, by its symbol
        binding.add_symbol(SYMBOL, self.place.ctypes.data)
        if hasattr(os, "register_at_fork"):             # the threads that had taken slots do not exist in the child
            os.register_at_fork(after_in_child=lambda: self.taken.fill(0))


if BACKEND == "numba":
    from llvmlite import binding, ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils, config

    def slots_of(size):
        """Make the slots; return (take, give_back) for kernels, which are to be called in pairs.

        take(like, first) is a pointer of the type of `like` to `size` bytes that nobody else has. It looks first at
        slot number `first`: the thread that had it last finds it in its own cache.
        """
        slots = Slots(size, 2 * config.NUMBA_NUM_THREADS)
        word, byte = ir.IntType(64), ir.IntType(8)

        @intrinsic
        def take(typingctx, like, first):
            def codegen(context, builder, signature, arguments):
                found = context.get_c_value(builder, ir.ArrayType(word, 2), SYMBOL)
                base, count = (builder.load(cgutils.gep_inbounds(builder, found, 0, i)) for i in range(2))
                number = cgutils.alloca_once_value(builder, builder.urem(arguments[1], count))
                search, busy, done = map(builder.append_basic_block, ("slot.search", "slot.busy", "slot.taken"))
                builder.branch(search)
                builder.position_at_end(search)
                offset = builder.mul(builder.load(number), word(slots.stride))
                flag = builder.inttoptr(builder.add(base, offset), word.as_pointer())
                before = builder.atomic_rmw("xchg", flag, word(1), "acquire")
                builder.cbranch(builder.icmp_signed("==", before, word(0)), done, busy)
                builder.position_at_end(busy)
                builder.store(builder.urem(builder.add(builder.load(number), word(1)), count), number)
                builder.branch(search)
                builder.position_at_end(done)
                return builder.bitcast(builder.gep(builder.bitcast(flag, byte.as_pointer()), [word(LINE_BYTES)]),
                                       arguments[0].type)
            return like(like, types.intp), codegen

        @intrinsic
        def give_back(typingctx, slot):
            def codegen(context, builder, signature, arguments):
                start = builder.gep(builder.bitcast(arguments[0], byte.as_pointer()), [word(-LINE_BYTES)])
                builder.store_atomic(word(0), builder.bitcast(start, word.as_pointer()), "release", 8)
                return context.get_dummy_value()
            return types.void(slot), codegen
        return slots, take, give_back
