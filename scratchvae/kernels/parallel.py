"""A loop that threads share: each runs the whole function, and takes its part of the numbers that the loop counts.

A part is a pair (share, shares).  For a loop over numba.prange Numba compiles the body four times: as a function, in
two wrappers, and in the kernel.  Here the kernel gives a function of a part, which has code of its own (see `once`), to
threads of this package (see `pool`).
"""
from collections.abc import Callable

from .backend import BACKEND

WHOLE = 0, 1        # the one part that is all of the work

if BACKEND == "numba":
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils
    from .once import call
    from .pool import PART, run_parts, WORD
    from .threads import LINE_BYTES, LINES, THREADS

    @intrinsic
    def running_threads(typingctx):
        """How many threads kernels use."""
        def codegen(context, builder, signature, arguments):
            line = context.get_c_value(builder, ir.ArrayType(WORD, LINE_BYTES // 8), LINES)
            return builder.load(cgutils.gep_inbounds(builder, line, 0, THREADS // 8))
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
        """Emit a function as the threads call it: with the place of (failed, shares, operands), and a number."""
        function = ir.Function(builder.module, PART, builder.module.get_unique_name("part"))
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block())
        place, share = function.args
        given = inner.load(inner.bitcast(place, packed.as_pointer()))
        _, shares, *operands = (inner.extract_value(given, i) for i in range(len(packed.elements)))
        part = context.make_tuple(inner, called.args[-1], [share, shares])
        status, _ = call(context, inner, body.dispatcher, called, [*operands, part])
        with inner.if_then(status.is_error, likely=False):
            inner.store(WORD(1), inner.bitcast(place, WORD.as_pointer()))
        inner.ret_void()
        return function

    @intrinsic
    def in_parallel(typingctx, body, shares, arguments):
        """Call body(*arguments, part) for every one of `shares` parts, on several threads, without Python's lock."""
        given = (*map(types.unliteral, arguments.types), types.UniTuple(types.intp, 2))
        called = body.get_call_type(typingctx, given, {})

        def codegen(context, builder, signature, values):
            _, shares, operands = values
            operands = [builder.extract_value(operands, i) for i in range(len(arguments.types))]
            packed = cgutils.make_anonymous_struct(builder, [WORD(0), shares, *operands])
            part = _part_function(context, builder, body, called, packed.type)
            data = cgutils.alloca_once_value(builder, packed)
            python = context.get_python_api(builder)
            state = python.save_thread()
            call(context, builder, run_parts, types.void(types.intp, types.intp, types.intp),
                 [builder.ptrtoint(part, WORD), builder.ptrtoint(data, WORD), shares])
            python.restore_thread(state)
            failed = builder.load(cgutils.gep_inbounds(builder, data, 0, 0))
            with builder.if_then(builder.icmp_unsigned("!=", failed, WORD(0)), likely=False):
                context.call_conv.return_user_exc(builder, RuntimeError, (
                    f"an error in a part of {body.dispatcher.__name__}; SCRATCHVAE_BACKEND=numpy shows where",))
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
