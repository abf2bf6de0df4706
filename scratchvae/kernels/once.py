"""A function that is compiled once for each dtype, as code of its own, and called by the kernels that need it.

Numba puts every function that a kernel calls into the kernel, and compiles it again there: the matrix product took most
of the time to a first step, five times over.  What `separate` has marked is called by a name instead.  Its code is
loaded before any kernel that mentions the name (see `symbols`), and never let go: kernels hold its address.
"""
import ctypes
from typing import Any

from .backend import BACKEND
from .cache import KernelCache, PART
from .symbols import announce, name_of

if BACKEND == "numba":
    from llvmlite import binding
    from numba import types

    from .internals import cgutils

_LOADED: dict[str, Any] = {}        # by name: the code, for as long as the process lives


def separate(dispatcher: Any) -> Any:
    """Keep the code of a device function in the cache, and let `call` use it."""
    maker = f"{dispatcher.__module__.rpartition('.')[2]}.{dispatcher.__name__}"
    dispatcher._cache = KernelCache(maker + PART)

    def load(key):
        name = name_of(maker, key)
        if name not in _LOADED:
            dispatcher.compile(key)             # or takes it from the cache
            code = dispatcher.get_compile_result(types.void(*key))
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(code))          # threads run it until the process has ended
            binding.add_symbol(name, code.library.get_pointer_to_function(code.fndesc.llvm_func_name))
            _LOADED[name] = code
        return name

    announce(maker, load)
    dispatcher.load = load
    return dispatcher


def call(context: Any, builder: Any, dispatcher: Any, signature: Any, arguments: list) -> Any:
    """Emit a call of what `separate` has marked, by its name."""
    conventions = context.call_conv
    kind = conventions.get_function_type(signature.return_type, signature.args)
    function = cgutils.get_or_insert_function(builder.module, kind, dispatcher.load(signature.args))
    return conventions.call_function(builder, function, signature.return_type, signature.args, arguments)


def calling(dispatcher: Any, given: tuple, wanted: tuple) -> tuple:
    """Return what an intrinsic returns that casts its arguments to the types `wanted` and calls what is separate."""
    signature = types.void(*wanted)
    dispatcher.load(signature.args)

    def codegen(context, builder, _, arguments):
        status, _ = call(context, builder, dispatcher, signature,
                         [context.cast(builder, *each) for each in zip(arguments, given, wanted)])
        with builder.if_then(status.is_error, likely=False):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()
    return types.void(*given), codegen
