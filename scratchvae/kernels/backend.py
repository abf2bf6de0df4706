"""Which code runs: compiled kernels, or the NumPy functions that define them.

- `SCRATCHVAE_BACKEND=numba` (the default): the compiled kernels.
- `SCRATCHVAE_BACKEND=numpy`: the twins.  Numba is then not even imported.
"""
import os

BACKENDS = ("numba", "numpy")
BACKEND = os.environ.get("SCRATCHVAE_BACKEND", "numba")
if BACKEND not in BACKENDS:
    raise ValueError(
        f"SCRATCHVAE_BACKEND is {BACKEND!r}; this package has the backends {', '.join(BACKENDS)}. "
        "Set it to one of them, or unset it for numba.")
