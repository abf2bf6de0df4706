"""What a kernel can tell the compiler and the cache: no hint changes a result, only how long it takes."""
from .twins import BACKEND

LINE_BYTES = 64             # size of a cache line

if BACKEND == "numba":
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from .internals import cgutils
    from .jit import instruction

    def prefetch(builder, address, to_write):
        """Emit the request for the cache line at `address`, which may lie anywhere, to be read or written soon."""
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0")
        to_write, close, data = (ir.Constant(number, n) for n in (int(to_write), 3, 1))
        builder.call(function, [builder.bitcast(address, byte), to_write, close, data])

    def _asking(vector_type, to_write):
        """What an intrinsic returns that asks for the cache line of vector[i], which lies in one piece."""
        def generate(context, builder, signature, arguments):
            data = context.make_array(vector_type)(context, builder, arguments[0]).data
            prefetch(builder, builder.gep(data, [arguments[1]]), to_write)
            return context.get_dummy_value()
        return types.void(vector_type, types.intp), generate

    @intrinsic
    def will_read(context, vector, i):
        """Ask for the cache line of vector[i], to be read; i may be beyond the vector."""
        return _asking(vector, to_write=False)

    @intrinsic
    def will_write(context, vector, i):
        """Ask for the cache line of vector[i], to be written.

        A line that another thread has written last is in the cache of its core.  The processor fetches such lines
        later than those of the common cache, and twice if it learns only then that they are to be written.
        """
        return _asking(vector, to_write=True)

    @instruction(types.void())
    def widest_vectors(builder):
        """Ask LLVM for 512-bit vectors in the calling function; by itself it takes 256 bits where there are 512."""
        # llvmlite's own add() refuses every attribute that has a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')

else:
    def will_read(*_):
        """Do nothing: NumPy chooses its vectors itself and leaves the cache to the processor."""

    will_write = widest_vectors = will_read
