"""Names by which compiled kernels find code and data that they do not contain.

Numba's documentation of caching allows a kernel that is kept on disk no names but those of its own runtime and of the
system's libraries: one that is loaded while a name is unknown ends the process.  So each name of ours is announced here
with what makes it known to LLVM, and a kernel is kept together with the names that its code mentions.  Whoever loads it
makes them known first.

Names are the same in every process; Numba's own count up.
"""
import hashlib
import re
from collections.abc import Callable
from typing import Any

_MAKERS: dict[str, Callable] = {}
_KEYS: dict[str, tuple] = {}                # what name_of made in this process
_DECLARED = re.compile(r'^declare [^@]*@"?([\w.]+)', re.MULTILINE)


def announce(maker: str, make_known: Callable) -> None:
    """Promise that make_known(key) lets kernels find name_of(maker, key); it may be called more than once."""
    _MAKERS[maker] = make_known


def name_of(maker: str, key: Any) -> str:
    """Return the name for a key, which is to be pickled."""
    name = f"scratchvae.{maker}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
    _KEYS[name] = maker, key
    return name


def mentioned(code: str) -> list:
    """Return (maker, key) of the names that a module, as LLVM's assembly, declares and does not contain."""
    return [_KEYS[name] for name in sorted(_KEYS.keys() & set(_DECLARED.findall(code)))]


def make_known(names: list) -> bool:
    """Make names known to LLVM, as (maker, key); return False if the maker of one is not in this process."""
    for maker, key in names:
        if maker not in _MAKERS:
            return False
        _MAKERS[maker](key)
    return True
