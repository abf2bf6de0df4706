"""`python -m scratchvae.kernels`: say what the kernels of this machine are made for."""
import sys
from collections.abc import Iterator

from ..kernels import cache, threads, twins
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
    yield f"threads           {threads.threads()}"
    yield f"threading layer   {threads.threading_layer()}"
    yield f"kernel cache      {cache.usable_folder() or 'none: kernels are compiled in every process'}"


def main() -> None:
    """Print the description."""
    sys.stdout.write("\n".join(describe()) + "\n")


if __name__ == "__main__":
    main()
