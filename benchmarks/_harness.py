"""What all benchmarks share: description of the machine, interleaved timing, verification, report."""
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from scratchvae.kernels.microkernel import FAMILY, lanes, pointer, Vectors
from scratchvae.kernels.threads import threads

# Seconds that a contestant runs before it is timed: for 0.1 s OpenBLAS lets the idle threads of the one before spin,
# and for 0.03 s Linux may keep its own threads, just woken, on one core.
SETTLE = 0.15


class Timing(NamedTuple):
    """Seconds a call: the median of all rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


def cpu_name():
    """Return the processor's own name for itself."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine():
    """Describe what a result depends on: processor, threads, versions, the tile that was chosen."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": threads(),
            "family": FAMILY.name, "system": platform.system(),
            "python": platform.python_version(),
            "numpy": np.__version__, "numba": numba.__version__}


def interleaved(contestants, seconds=0.3, rounds=6):
    """Time callables against each other: each gets a slice of every round, so that drift hits all alike.

    Parameters
    ----------
    contestants : dict of str to callable
        No arguments; compiled and warm already.
    seconds : float
        About how long each is run in all.
    rounds : int
        Into how many slices that is cut.

    Returns
    -------
    dict of str to Timing
    """
    samples = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            settled = time.perf_counter() + SETTLE
            while time.perf_counter() < settled:
                call()
            end = time.perf_counter() + seconds / rounds
            while True:
                start = time.perf_counter()
                call()
                now = time.perf_counter()
                samples[name].append(now - start)
                if now >= end:
                    break
    return {name: Timing(*map(float, np.quantile(s, [0.5, 0.25, 0.75]))) for name, s in samples.items()}


def verify(name, got, wanted, bound):
    """Stop the benchmark if |got - wanted| exceeds `bound` anywhere: a contestant computes something else."""
    worst = float(np.max(np.abs(got - wanted) - bound))
    if not worst <= 0:
        raise SystemExit(f"{name} is wrong by {worst:.2e} beyond rounding; nothing was timed.")


@intrinsic
def _multiply_adds(typingctx, turns, data):
    """`turns` times as many independent multiply-adds as a register tile has sums, from registers alone."""
    def codegen(context, builder, signature, arguments):
        turns, data = arguments
        vectors = Vectors(builder, signature.args[1])
        factor, term = vectors.load(data), vectors.load(vectors.at(data, vectors.width))
        sums = [cgutils.alloca_once_value(builder, vectors.load(vectors.at(data, i)))       # all different
                for i in range(FAMILY.rows * FAMILY.vectors)]
        with cgutils.for_range(builder, turns):
            for total in sums:
                builder.store(vectors.multiply_add(factor, builder.load(total), term), total)
        for i, total in enumerate(sums):
            vectors.store(builder.load(total), vectors.at(data, i * vectors.width))
        return context.get_dummy_value()
    return types.void(types.intp, data), codegen


@njit(parallel=True)
def _burn(data, turns):
    for t in prange(len(data)):
        _multiply_adds(turns, pointer(data[t]))


@njit(parallel=True)
def _copy(source, target):
    for i in prange(len(source)):
        target[i] = source[i]


def fma_peak(dtype, turns=400_000):
    """Return the multiply-adds that all threads together can do, in GFLOP/s (two a multiply-add).

    A call takes some milliseconds, as one of `step_profile.tile_rate` does, so that waking the threads does not count.
    """
    width = lanes(np.dtype(dtype).itemsize)
    shape = threads(), FAMILY.rows * FAMILY.vectors * width
    data = np.random.default_rng(0).random(shape, dtype)
    best = interleaved({"peak": lambda: _burn(data, turns)}, seconds=0.4)["peak"]
    return 2e-9 * data.shape[0] * turns * FAMILY.rows * FAMILY.vectors * width / best.low


def memory_bandwidth(megabytes=256):
    """Return what a parallel copy of arrays beyond the caches moves, reads and writes, in GB/s."""
    source, target = np.ones((2, megabytes * 2 ** 20 // 8))     # zeros would be one page, read from the cache
    return 2e-9 * source.nbytes / interleaved({"copy": lambda: _copy(source, target)}, rounds=3)["copy"].low


def geometric_mean(ratios):
    """Return the mean that treats twice as fast and half as fast alike."""
    return float(np.exp(np.mean(np.log(ratios))))


def report(rows, summary, path):
    """Write machine, rows and summary to a JSON file, if one was asked for."""
    if path:
        with open(path, "w") as file:
            json.dump({"machine": machine(), "summary": summary, "rows": rows}, file, indent=1)
            file.write("\n")


def with_earlier(rows, path, key):
    """Return rows, and after them those of an earlier run in the file `path` that have another `key`."""
    before = json.loads(Path(path).read_text(encoding="utf-8"))["rows"] if path and Path(path).exists() else []
    return rows + [row for row in before if row[key] not in {row[key] for row in rows}]


def say(*line):
    """Print a line at once: benchmarks run for minutes."""
    print(*line, flush=True, file=sys.stdout)
