"""From process start to the end of the first training step and of `scratchvae train`; all kernels compiled at once.

    python benchmarks/cold_start.py [--runs 3] [--all] [--against FOLDER] [--json FILE]

Each with an empty and a warm kernel cache.  Processor seconds are those of the process and its children; they depend
little on what else the machine does.  Python finds its bytecode as pip leaves it: a run that is not counted writes it.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _harness import machine, report, say

FIRST_STEP = """
import numpy as np
from scratchvae import VAE
from scratchvae.training import Trainer
x = np.random.default_rng(0).random((128, 784), dtype=np.float32)
Trainer(VAE(784), x).run(1)
"""


TRAIN = ["-m", "scratchvae", "train", "--overwrite", "--out", "run"]


def seconds_of(words, root, cache, bytecode):
    """Run one process of the package in `root`, with its kernels in `cache`; return (processor, wall) seconds."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, cwd=cache, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env={
                       **os.environ, "SCRATCHVAE_CACHE": cache, "PYTHONPATH": str(root),
                       "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode})
    wall, after = time.perf_counter() - start, os.times()
    return (after.children_user + after.children_system - before.children_user - before.children_system, wall)


def main():
    """Time whole processes, the versions in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="also compile everything at once (of this version)")
    parser.add_argument("--against", metavar="FOLDER", help="another checkout of this repository")
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    roots = {"here": Path(__file__).parents[1]}
    if options.against:
        roots["there"] = Path(options.against).resolve()
    samples = {}
    with tempfile.TemporaryDirectory() as bytecode:
        def measure(where, words, cache, *names):
            for name in names:
                samples.setdefault((where, name), []).append(seconds_of(words, roots[where], cache, bytecode))

        for round in range(-1, options.runs):
            for where in roots:
                with tempfile.TemporaryDirectory() as cache:
                    measure(where, ["-c", FIRST_STEP], cache, "step, empty", "step, warm", "step, warm", "step, warm")
                with tempfile.TemporaryDirectory() as cache:
                    measure(where, TRAIN + ["--epochs", "1"] * (round < 0), cache, "train, empty", "train, warm")
            if round < 0:
                samples.clear()                             # bytecode was written
        if options.all:
            with tempfile.TemporaryDirectory() as cache:
                measure("here", ["-m", "scratchvae.kernels", "--compile", "all"], cache, "all kernels")
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    say("load in the last minute, and in the last 15: {0:.1f}, {2:.1f}".format(*os.getloadavg()))
    rows = []
    for (where, name), pairs in samples.items():
        row = {"version": where, "name": name, "runs": len(pairs)}
        for kind, seconds in zip(("processor", "wall"), zip(*pairs)):
            row |= {kind: float(np.median(seconds)), f"{kind}_low": min(seconds), f"{kind}_high": max(seconds)}
        rows.append(row)
        say("{version:6s} {name:12s} {processor:6.2f} processor s ({processor_low:.2f} to {processor_high:.2f}), "
            "{wall:6.2f} s wall ({wall_low:.2f} to {wall_high:.2f}), {runs} runs".format(**row))
    report(rows, {f"{row['version']} {row['name']}": row["processor"] for row in rows}, options.json)


if __name__ == "__main__":
    main()
