"""A loop that threads share: each runs the whole function, and takes its part of the numbers that the loop counts.

A part is a pair (share, shares).  For a loop over numba.prange Numba compiles the body four times: as a function, in
two wrappers, and in the kernel.  Here the kernel gives a function of a part, which has code of its own (see `once`), to
Numba's threads itself.
"""
from collections.abc import Callable

from .backend import BACKEND
from .threads import FORKED, start_threads

WHOLE = 0, 1        # the one part that is all of the work

if BACKEND == "numba":
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils
    from .once import call
    from .symbols import announce, name_of

    WORD, FLAG, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
    for name in ("get_num_threads", "numba_parallel_for"):
        announce(name, lambda key: start_threads())

    def _declared(builder, name, result, *arguments):
        """A function of the threads, which LLVM knows by name."""
        return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name_of(name))

    @intrinsic
    def running_threads(typingctx):
        """numba.get_num_threads(), in a form that Numba can cache."""
        start_threads()

        def codegen(context, builder, signature, arguments):
            return builder.call(_declared(builder, "get_num_threads", WORD), [])
        return types.intp(), codegen

    @intrinsic
    def within(typingctx, part, count):
        """The numbers below `count` that belong to a part, for a loop of the function that has the part.

        This promises that no two arrays among the arguments of that function share memory, as prange does.  Otherwise
        LLVM would ask at run time, and take another path, with sums in another order, where arrays only touch.
        """
        def codegen(context, builder, signature, arguments):
            for argument in builder.function.args:
                if isinstance(argument.type, ir.PointerType):
                    argument.add_attribute("noalias")
            packed, total = arguments
            share, shares = (builder.extract_value(packed, i) for i in (0, 1))
            numbers = cgutils.create_struct_proxy(signature.return_type)(context, builder)
            numbers.start, numbers.stop = (builder.sdiv(builder.mul(total, end), shares)
                                           for end in (share, builder.add(share, WORD(1))))
            numbers.step = WORD(1)
            return numbers._getvalue()
        # Unsigned, so that rows are taken without a test for an index from the end.
        return types.unsigned_range_state64_type(types.UniTuple(types.intp, 2), types.intp), codegen

    def _part_function(context, builder, body, called, packed):
        """Emit a function as Numba's threads call it: some parts; `shares` and operands lie at the last pointer.

        The threads move the first pointer, which begins there too, on by one byte a part.
        """
        function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), WORD.as_pointer(),
                                                                               WORD.as_pointer(), BYTES]),
                               builder.module.get_unique_name("part"))
        function.linkage = "internal"
        function.attributes.add("noinline")
        inner = ir.IRBuilder(function.append_basic_block())
        first = inner.sub(*(inner.ptrtoint(place, WORD) for place in (inner.load(function.args[0]), function.args[3])))
        given = inner.load(inner.bitcast(function.args[3], packed.as_pointer()))
        shares, *operands = (inner.extract_value(given, i) for i in range(len(packed.elements)))
        with cgutils.for_range(inner, inner.load(function.args[1])) as loop:
            part = context.make_tuple(inner, called.args[-1], [inner.add(first, loop.index), shares])
            call(context, inner, body.dispatcher, called, [*operands, part])
        inner.ret_void()
        return function

    @intrinsic
    def in_parallel(typingctx, body, shares, arguments):
        """Call body(*arguments, part) for every one of `shares` parts, on Numba's threads, without Python's lock.

        One part is run here, and so are all in a forked process, which has no threads.
        """
        start_threads()
        given = (*map(types.unliteral, arguments.types), types.UniTuple(types.intp, 2))
        called = body.get_call_type(typingctx, given, {})

        def codegen(context, builder, signature, values):
            _, shares, operands = values
            operands = [builder.extract_value(operands, i) for i in range(len(arguments.types))]
            packed = cgutils.make_anonymous_struct(builder, [shares, *operands])
            part = _part_function(context, builder, body, called, packed.type)
            data = builder.bitcast(cgutils.alloca_once_value(builder, packed), BYTES)
            first, count, one = (cgutils.alloca_once_value(builder, value) for value in (data, shares, WORD(1)))
            forked = builder.load(context.get_c_value(builder, FLAG, FORKED))
            alone = builder.or_(builder.icmp_signed("<=", shares, WORD(1)), builder.icmp_signed("!=", forked, FLAG(0)))
            python = context.get_python_api(builder)
            lock = python.gil_ensure()
            state = python.save_thread()
            with builder.if_else(alone) as (here, together):
                with here:
                    builder.call(part, [first, count, one, data])
                with together:
                    threads = builder.call(_declared(builder, "get_num_threads", WORD), [])
                    builder.call(_declared(builder, "numba_parallel_for", ir.VoidType(), *[BYTES] * 5, *[WORD] * 3),
                                 [*(builder.bitcast(x, BYTES) for x in (part, first, count, one)), data, WORD(1),
                                  WORD(1), threads])
            python.restore_thread(state)
            python.gil_release(lock)
            return context.get_dummy_value()
        return types.void(body, types.intp, arguments), codegen
else:
    def running_threads():
        """NumPy is called from one thread."""
        return 1

    def within(part, count):
        """The numbers below `count` that belong to a part."""
        share, shares = part
        return range(count * share // shares, count * (share + 1) // shares)


def in_parts(body: Callable, shares: int, arguments: tuple) -> None:
    """Call body(*arguments, part) for every one of `shares` parts, one after the other."""
    for share in range(shares):
        body(*arguments, (share, shares))
