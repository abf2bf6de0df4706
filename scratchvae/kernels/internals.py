"""What this package takes from inside Numba: names that its documentation does not promise, all in this one file.

Without those that are imported here no kernel can be compiled.  Those that SAVES lists only save time: where one is
missing, MISSING names it, and each kernel then contains all the code that it calls and runs in one thread.
"""
import warnings

from .backend import BACKEND

if BACKEND == "numba":
    from numba.core import cgutils, codegen, config, types
    from numba.core.caching import NullCache
    from numba.core.callconv import CPUCallConv
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import CompileResult
    from numba.core.cpu import CPUContext, CPUTargetOptions
    from numba.core.dispatcher import Dispatcher
    from numba.core.errors import TypingError
    from numba.core.pythonapi import PythonAPI
    from numba.core.runtime import rtsys
    from numba.core.serialize import dumps
    from numba.core.typing.templates import builtin_registry

    SAVES = {
        "code of their own for products and loops (once.py)": [
            (Dispatcher, "compile"), (Dispatcher, "get_compile_result"), (CPUCallConv, "get_function_type"),
            (CPUCallConv, "call_function"), (CPUCallConv, "return_status_propagate"),
            (JITCodeLibrary, "get_pointer_to_function")],
        "loops that threads share (parallel.py)": [
            (types.Dispatcher, "get_call_type"), (types.Dispatcher, "dispatcher"), (CPUContext, "call_conv"),
            (CPUContext, "make_tuple"), (CPUCallConv, "return_user_exc"), (PythonAPI, "save_thread"),
            (PythonAPI, "restore_thread")],
    }
    # Kernels allocate nothing, so the compiler need not count who uses an array.
    NO_COUNTS = {"_nrt": False} if hasattr(CPUTargetOptions, "_nrt") else {}
else:
    NullCache, SAVES, NO_COUNTS = object, {}, {}


def missing() -> str | None:
    """Return the first name of SAVES that this version of Numba lacks, and what it is for, or None."""
    return next((f"{owner.__name__}.{name} for {work}" for work, names in SAVES.items() for owner, name in names
                 if not hasattr(owner, name)), None)


class WhoeverCalls(dict):
    """What an overload was compiled to: it has options of its own, so those of the caller, last in a key, do not count.

    Numba compiles it again for each caller's options.  It keeps what it has compiled in `_impl_cache` of the overload's
    template; a version that does not only takes longer.
    """

    def __getitem__(self, key):
        return super().__getitem__(key[:-1])

    def __setitem__(self, key, value):
        super().__setitem__(key[:-1], value)


MISSING = missing()
if MISSING:
    warnings.warn(f"this version of Numba has no {MISSING}: kernels give the same results, but take longer to compile, "
                  "and run in one thread. Install a version of Numba that the README names.", RuntimeWarning)

__all__ = ["builtin_registry", "cgutils", "codegen", "CompileResult", "config", "dumps", "MISSING", "NO_COUNTS",
           "NullCache", "rtsys", "TypingError", "WhoeverCalls"]
