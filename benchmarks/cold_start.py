"""From process start to the end of the first training step, with an empty and with a warm kernel cache.

    python benchmarks/cold_start.py [--runs 3] [--json FILE]
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from _harness import fma_peak, machine, report, say

FIRST_STEP = """
import numpy as np
from scratchvae import VAE
from scratchvae.training import Trainer
x = np.random.default_rng(0).random((128, 784), dtype=np.float32)
Trainer(VAE(784), x).run(1)
"""


def seconds_of(cache):
    """Run one process with its kernel cache in the folder `cache`; return its wall-clock seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", FIRST_STEP], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - start


def main():
    """Time whole processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    fma_peak(np.float32)                                           # starts the threads, which `machine` describes
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    samples = {"empty cache": [], "warm cache": []}
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as cache:
            samples["empty cache"].append(seconds_of(cache))
            samples["warm cache"] += [seconds_of(cache) for _ in range(3)]
    rows = [{"name": name, "seconds": float(np.median(s)), "low": min(s), "high": max(s), "runs": len(s)}
            for name, s in samples.items()]
    for row in rows:
        say("{name:12s} {seconds:6.2f} s to the end of the first step ({low:.2f} to {high:.2f}, {runs} runs)"
            .format(**row))
    report(rows, {row["name"]: row["seconds"] for row in rows}, options.json)


if __name__ == "__main__":
    main()
