"""Where the time of a training step goes: each kernel in its place, alone, and at the machine's limits.

    python benchmarks/step_profile.py [--json FILE]

In its place a kernel finds in the caches what those before it left there; alone, called again and again, its own
data (Adam's vectors do not fit).  A dense layer's limit is the measured peak of multiply-adds.  Printed above the
tables: what part of it a register tile reaches whose data all lie in the first-level cache.
"""
import argparse
import sys
import time

import numpy as np
from _harness import fma_peak, interleaved, machine, report, say, SETTLE
from contestants import ScratchVAE
from numba import njit, prange
from train_step import MODELS, step_flops

from scratchvae.arrays import aligned
from scratchvae.kernels.microkernel import FAMILY, lanes, pointer, tile
from scratchvae.kernels.twins import TWINS

STEPS = 600
ROWS, VECTORS, DEPTH = FAMILY.rows, FAMILY.vectors, 128
DENSE = {"dense_forward": 2, "dense_backward": 4}           # flops a weight and example


@njit(parallel=True, error_model="numpy")
def _tiles(a, b, c, turns, floor):
    width = c.shape[2]
    for t in prange(len(a)):
        for _ in range(turns):
            a0, b0, c0 = pointer(a[t]), pointer(b[t]), pointer(c[t])
            tile(False, True, DEPTH, a0, DEPTH, b0, width, c0, 0, True, c0, 0, c0, width, c0, floor, ROWS, VECTORS,
                 width // VECTORS)


def tile_rate(turns=2000):
    """Return what a register tile alone does on every thread, in GFLOP/s."""
    threads, width = machine()["threads"], VECTORS * lanes(4)
    shapes = (threads, ROWS, DEPTH), (threads, DEPTH, width), (threads, ROWS, width)
    a, b, c = (aligned(shape, np.float32) for shape in shapes)
    a[:], b[:] = 1, 1
    floor = np.float32(-np.inf)
    _tiles(a, b, c, turns, floor)
    if not np.all(c == DEPTH):
        raise SystemExit("the tile is wrong; nothing was timed.")
    best = interleaved({"tile": lambda: _tiles(a, b, c, turns, floor)}, seconds=0.4)["tile"]
    return 2e-9 * threads * turns * ROWS * width * DEPTH / best.low


class Probe:
    """Notes when each kernel of the package is entered and left, from wherever Python calls it."""

    def __init__(self):
        self.calls = []                         # (name, kernel, arguments, start, end)
        compiled = {id(twin.compiled): name for name, twin in TWINS.items()}
        for module in [module for name, module in sys.modules.items() if name.startswith("scratchvae")]:
            for attribute, value in list(vars(module).items()):
                if id(value) in compiled:
                    setattr(module, attribute, self.timed(compiled[id(value)], value))

    def timed(self, name, kernel):
        """The kernel, and a note of each call."""
        def call(*arguments):
            start = time.perf_counter()
            result = kernel(*arguments)
            self.calls.append((name, kernel, arguments, start, time.perf_counter()))
            return result
        return call


def label(name, arguments):
    """Name a call: a dense layer by the shapes of its product."""
    if name in DENSE:
        x, W = arguments[:2]
        return f"{name} {len(x)}x{len(W)}x{W.shape[1]}"
    return name


def flops(name, arguments):
    """Multiply-adds of a call, counted as two; the first layer's backward leaves out d_x, and has half."""
    if name not in DENSE:
        return 0
    x, W = arguments[:2]
    return DENSE[name] * W.size * len(x) // (2 if name == "dense_backward" and not len(arguments[-1]) else 1)


def alone(name, kernel, arguments, repeats=300):
    """Return seconds of a call that is repeated."""
    consumed = arguments[3] if name == "dense_backward" else np.empty(0)        # d_y
    before, seconds = consumed.copy(), []
    for _ in range(repeats):
        consumed[...] = before
        start = time.perf_counter()
        kernel(*arguments)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def profile(title, config, probe, peak):
    """Return one row a kernel of a step, in the order of the step, and one for what lies between them."""
    contestant = ScratchVAE({**config, "threads": machine()["threads"]})
    settled = time.perf_counter() + SETTLE
    while time.perf_counter() < settled:
        contestant.steps(10)
    whole, inside = [], []
    for _ in range(STEPS):
        probe.calls.clear()
        start = time.perf_counter()
        contestant.steps(1)
        whole.append(time.perf_counter() - start)
        inside.append([end - begin for *_, begin, end in probe.calls])
    step, parts = float(np.median(whole)), np.median(inside, axis=0)
    rows = [{"model": title, "kernel": label(name, arguments), "us": 1e6 * float(part),
             "us_alone": 1e6 * alone(name, kernel, arguments), "us_at_peak": flops(name, arguments) / peak / 1e3}
            for (name, kernel, arguments, *_), part in zip(probe.calls, parts)]
    between = float(np.median(np.array(whole) - np.sum(inside, axis=1)))
    rows.append({"model": title, "kernel": "Python between the kernels", "us": 1e6 * between})
    say(f"\n{title}: {1e6 * step:.0f} us a step, {step_flops(config) / peak / 1e3:.0f} at the peak")
    say(f"{'us':34s}{'in the step':>12s}{'alone':>9s}{'at the peak':>13s}")
    for row in rows:
        say(f"{row['kernel']:34s}{row['us']:12.1f}", *(f"{row[key]:{width}.1f}" if row.get(key) else " " * width
                                                       for key, width in (("us_alone", 8), ("us_at_peak", 12))))
    dense = [row for row in rows if row.get("us_at_peak")]
    say("dense layers in all {:.0f}, alone {:.0f}, at the peak {:.0f}; all else {:.0f}".format(
        *(sum(row[key] for row in dense) for key in ("us", "us_alone", "us_at_peak")),
        sum(row["us"] for row in rows) - sum(row["us"] for row in dense)))
    return rows, 1e6 * step


def main():
    """Measure the limits, then every kernel of each model's step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    peak, bare = fma_peak(np.float32), tile_rate()
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    say(f"FMA peak {peak:.0f} GFLOP/s; a register tile whose data lie in the first-level cache {bare:.0f}, "
        f"{bare / peak:.0%} of it")
    probe = Probe()
    rows, summary = [], {"fma_peak_gflops": peak, "tile_gflops": bare}
    for title, config in MODELS.items():
        more, summary[title] = profile(title, config, probe, peak)
        rows += more
    report(rows, summary, options.json)


if __name__ == "__main__":
    main()
