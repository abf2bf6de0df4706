"""`python -m scratchvae.kernels`: say what the kernels of this machine are made for, or compile them all at once."""
import argparse
import sys
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

from ..kernels import cache, compilation, threads, twins
from .microkernel import FAMILY, lanes


def describe() -> Iterator:
    """Yield one line for everything that was chosen: backend, processor family, tile, threads, cache."""
    yield f"backend           {twins.BACKEND}"
    if twins.BACKEND == "numpy":
        return
    yield f"processor family  {FAMILY.name}"
    if FAMILY.vector_bytes:
        for name, itemsize in (("float32", 4), ("float64", 8)):
            width = lanes(itemsize)
            yield (f"tile {name}      {FAMILY.rows} rows x {FAMILY.vectors * width} columns, {width} lanes, "
                   f"{'fused' if FAMILY.has_fma else 'separate'} multiply and add")
    else:
        yield "tile              none: plain loops"
    yield f"threads           {threads.threads()}, of this package's own"
    read_only = f"{cache.FOLDER}, read-only" if cache.kernels_are_cached() else None
    yield f"kernel cache      {cache.usable_folder() or read_only or 'none: kernels are compiled in every process'}"


def compile_now(everything: bool) -> int:
    """Compile kernels and say which; return the exit status."""
    if twins.BACKEND == "numpy":
        sys.stderr.write("nothing is compiled: the backend is numpy. Unset SCRATCHVAE_BACKEND and NUMBA_DISABLE_JIT.\n")
        return 2
    if not cache.usable_folder():
        sys.stderr.write("no folder can keep kernels. Set SCRATCHVAE_CACHE to a folder that you can write to.\n")
        return 2
    try:
        for done, total, name in compilation.compile_all(everything):
            print(f"compiled {done:2d} of {total}: {name}", flush=True)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was compiled is kept.\n")
        return 130
    except BrokenProcessPool:
        sys.stderr.write("a process that compiled was ended, for want of memory perhaps; what was compiled is kept. "
                         "Set NUMBA_NUM_THREADS to 1, so that there is only one, and start again.\n")
        return 2
    if not cache.kernels_are_cached():
        sys.stderr.write(f"no kernel could be kept in {cache.FOLDER}. Set SCRATCHVAE_CACHE to a folder that you can "
                         "write to.\n")
        return 2
    print(f"kept in  {cache.usable_folder()}")
    return 0


def main() -> int:
    """Print the description, or compile."""
    parser = argparse.ArgumentParser(prog="python -m scratchvae.kernels", allow_abbrev=False, description=(
        "Say what the kernels of this machine are made for, or compile them before they are needed."))
    parser.add_argument("--compile", nargs="?", const="train", choices=("train", "all"), metavar="all", help=(
        "compile what `scratchvae train` needs by itself; with `all` both dtypes, all likelihoods and optimizers"))
    wanted = parser.parse_args().compile
    if wanted:
        return compile_now(wanted == "all")
    sys.stdout.write("\n".join(describe()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
