"""`python -m scratchvae.kernels`: say what the kernels of this machine are made for."""
import sys

from ..kernels import registry
from .microkernel import FAMILY, lanes


def describe():
    """Yield one line for everything that was chosen: backend, processor family, tile, threads, cache."""
    yield f"backend           {registry.BACKEND}"
    if registry.BACKEND == "numpy":
        return
    yield f"processor family  {FAMILY.name}"
    if FAMILY.vector_bytes:
        for name, itemsize in (("float32", 4), ("float64", 8)):
            width = lanes(itemsize)
            yield (f"tile {name}      {FAMILY.rows} rows x {FAMILY.vectors * width} columns, {width} lanes, "
                   f"{'fused' if FAMILY.has_fma else 'separate'} multiply and add")
    else:
        yield "tile              none: plain loops"
    yield f"threads           {registry.threads()}"
    yield f"threading layer   {registry.threading_layer()}"
    yield f"kernel cache      {registry.CACHE_FOLDER or 'none: kernels are compiled in every process'}"


def main():
    """Print the description."""
    sys.stdout.write("\n".join(describe()) + "\n")


if __name__ == "__main__":
    main()
