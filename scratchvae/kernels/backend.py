"""Which code runs: compiled kernels, or the NumPy functions that define them.

- `SCRATCHVAE_BACKEND=numba` (the default): the compiled kernels.
- `SCRATCHVAE_BACKEND=numpy`: the twins.  Numba is then not even imported.

`NUMBA_DISABLE_JIT=1`, which debuggers and measurers of coverage ask for, runs the twins too.
"""
import os
import warnings

from ..errors import ConfigurationError

MOST_THREADS = 1024     # unless there are more cores: each has memory of its own


def _numba_compiles():
    """Import Numba and return whether it may compile; raise ConfigurationError if its settings are wrong."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Environment variable 'NUMBA_", RuntimeWarning)
            import numba
    except (ImportError, RuntimeWarning, ValueError) as error:
        settings = " ".join(f"{name}={value}" for name, value in sorted(os.environ.items())
                            if name.startswith("NUMBA_"))
        raise ConfigurationError(f"Numba cannot be used ({str(error).splitlines()[0]})"
                                 f"{settings and f' with {settings}'}. Correct that, or set "
                                 "SCRATCHVAE_BACKEND=numpy to do without it.") from error
    cores, threads = numba.config.NUMBA_DEFAULT_NUM_THREADS, numba.config.NUMBA_NUM_THREADS
    most = max(MOST_THREADS, cores)
    if threads > most:
        raise ConfigurationError(f"NUMBA_NUM_THREADS is {threads}; expected at most {most}. Set it to the number of "
                                 f"cores, {cores}, or unset it.")
    return not numba.config.DISABLE_JIT


BACKENDS = ("numba", "numpy")
BACKEND = os.environ.get("SCRATCHVAE_BACKEND", "numba")
if BACKEND not in BACKENDS:
    raise ConfigurationError(
        f"SCRATCHVAE_BACKEND is {BACKEND!r}; this package has the backends {', '.join(BACKENDS)}. "
        "Set it to one of them, or unset it for numba.")
if BACKEND == "numba" and not _numba_compiles():
    BACKEND = "numpy"
