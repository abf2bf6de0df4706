"""Memory for the packed parts of a product: not the stack's, of which a thread may have little.

All threads share one array of slots, which is allocated at import and whose pages the system provides when they are
first used. A share of a product takes a slot and gives it back, with one atomic exchange each, so Python threads
that multiply at once never have the same slot. There are twice as many slots as a parallel loop has threads. A share
that finds none free looks again until another share, which waits for nothing, gives its own back.
"""
import ctypes
import os

import numpy as np

from .hints import LINE_BYTES
from .microkernel import FAMILY, PACKED_A_BYTES
from .twins import BACKEND

SYMBOL = "scratchvae_slots"     # the name by which compiled code, also loaded from a cache, finds the slots

if BACKEND == "numba":
    from llvmlite import binding, ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils, config

    WORD, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
    SLOT_BYTES = FAMILY.packed_b_bytes + PACKED_A_BYTES + FAMILY.vectors * FAMILY.vector_bytes
    STRIDE = LINE_BYTES + -(-SLOT_BYTES // LINE_BYTES) * LINE_BYTES       # the line before a slot says if it is taken
    COUNT = 2 * config.NUMBA_NUM_THREADS

    _memory = np.zeros(COUNT * STRIDE + LINE_BYTES, np.uint8)
    _first = -_memory.ctypes.data % LINE_BYTES
    TAKEN = _memory[_first:_first + COUNT * STRIDE].reshape(COUNT, STRIDE)[:, :8].view(np.int64)[:, 0]
    _PLACE = np.array([TAKEN.ctypes.data, COUNT])                         # what compiled code reads, by its symbol
    for _array in (_memory, _PLACE):                    # threads may look at them until the process has ended
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_array))
    binding.add_symbol(SYMBOL, _PLACE.ctypes.data)
    if hasattr(os, "register_at_fork"):                 # the threads that had taken slots do not exist in the child
        os.register_at_fork(after_in_child=lambda: TAKEN.fill(0))

    @intrinsic
    def take_slot(typingctx, like, first):
        """A pointer of the type of `like` to SLOT_BYTES bytes that nobody else has, until `give_back` gets it.

        It looks first at slot number `first`: the thread that had it last finds it in its own cache.
        """
        def codegen(context, builder, signature, arguments):
            found = context.get_c_value(builder, ir.ArrayType(WORD, 2), SYMBOL)
            base, count = (builder.load(cgutils.gep_inbounds(builder, found, 0, i)) for i in range(2))
            number = cgutils.alloca_once_value(builder, builder.urem(arguments[1], count))
            search, busy, done = map(builder.append_basic_block, ("slot.search", "slot.busy", "slot.taken"))
            builder.branch(search)
            builder.position_at_end(search)
            offset = builder.mul(builder.load(number), WORD(STRIDE))
            flag = builder.inttoptr(builder.add(base, offset), WORD.as_pointer())
            before = builder.atomic_rmw("xchg", flag, WORD(1), "acquire")
            builder.cbranch(builder.icmp_signed("==", before, WORD(0)), done, busy)
            builder.position_at_end(busy)
            builder.store(builder.urem(builder.add(builder.load(number), WORD(1)), count), number)
            builder.branch(search)
            builder.position_at_end(done)
            return builder.bitcast(builder.gep(builder.bitcast(flag, BYTES), [WORD(LINE_BYTES)]), arguments[0].type)
        return like(like, types.intp), codegen

    @intrinsic
    def give_back(typingctx, slot):
        """Let others have a slot that `take_slot` gave."""
        def codegen(context, builder, signature, arguments):
            start = builder.gep(builder.bitcast(arguments[0], BYTES), [WORD(-LINE_BYTES)])
            builder.store_atomic(WORD(0), builder.bitcast(start, WORD.as_pointer()), "release", 8)
            return context.get_dummy_value()
        return types.void(slot), codegen
