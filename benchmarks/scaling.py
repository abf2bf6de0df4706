"""What a training step costs as the batch, the width, the depth, K, the data set and the threads grow.

    python benchmarks/scaling.py [--quick] [--json FILE]

Every sweep starts from 784-400-20 (relu, batch 128, float32, Adam) and changes one thing.  Each of its models is
first checked: the gradient of its float32 kernels against a float64 model.  Then all points of the sweep are timed
in turns.  Past 10 Mflop a step's time must be a straight line in the batch, in the number of parameters and in K to
within 15 %, and must not depend on the size of the data set to within as much.  With --json FILE the plot is
written beside it, as a PNG.
"""
import argparse
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from _harness import fma_peak, interleaved, machine, memory_bandwidth, report, say

from scratchvae import VAE
from scratchvae.data.minibatch import epoch_permutation
from scratchvae.kernels.threads import set_threads
from scratchvae.plots.sheet import new_figure, note, plain_axes, save
from scratchvae.training import Trainer

N_VISIBLE, HIDDEN, LATENT, BATCH, ROWS = 784, 400, 20, 128, 4096
MUST = 0.15                 # how far a point may lie off its line
PAST = 10e6                 # flop a step: below, fixed costs are most of it
AGREE = 2e-4                # float32 gradients of 784-term sums, relative in norm; a missing term costs 1e-1


class Sweep(NamedTuple):
    """One thing that grows, its values, and along which number the time must be a line: "" for nowhere."""

    title: str
    label: str
    values: tuple
    quick: tuple
    line_in: str


SWEEPS = {
    "batch": Sweep("Batch", "examples a step", (1, 4, 16, 32, 64, 128, 256, 512, 1024), (4, 32, 128, 256), "batch"),
    "width": Sweep("Width", "units in the one hidden layer", (16, 32, 64, 128, 256, 400, 800, 1600),
                   (32, 128, 400), "parameters"),
    "depth": Sweep("Depth", "hidden layers of 400", (1, 2, 3, 4, 6, 8), (1, 2, 4), "parameters"),
    "samples": Sweep("Samples", "K, samples of z an example", (1, 2, 3, 5, 10, 20), (1, 3, 6), "samples"),
    "rows": Sweep("Data set", "rows of uint8", (1024, 4096, 16384, 65536, 262144), (1024, 4096, 16384),
                  "nothing"),
    "threads": Sweep("Threads", "threads", tuple(range(1, numba.config.NUMBA_NUM_THREADS + 1)),
                     tuple(range(1, numba.config.NUMBA_NUM_THREADS + 1)), ""),
}


class Point:
    """One model of a sweep, ready to take steps."""

    def __init__(self, sweep, value):
        chosen = {"batch": BATCH, "width": HIDDEN, "depth": 1, "samples": 1, "rows": ROWS,
                  "threads": numba.config.NUMBA_NUM_THREADS, sweep: value}
        self.batch, self.samples, self.threads = chosen["batch"], chosen["samples"], chosen["threads"]
        self.vae = VAE(N_VISIBLE, LATENT, hidden=(chosen["width"],) * chosen["depth"], n_samples=self.samples)
        self.verify(f"{sweep} {value}")
        pixels = np.random.default_rng(0).integers(0, 256, (chosen["rows"], N_VISIBLE), dtype=np.uint8)
        self.trainer = Trainer(self.vae, pixels, batch_size=self.batch)
        self.order = epoch_permutation(len(pixels), 0, 0)
        encoder, decoder = ([layer.n_in * layer.n_out for layer in network.layers]
                            for network in (self.vae.encoder, self.vae.decoder))
        # Multiply-adds, counted as two: forward, d_W and d_x, but no d_x of the data.
        self.flop = 2 * self.batch * (3 * sum(encoder) - encoder[0] + 3 * self.samples * sum(decoder))
        self.along = {"batch": self.batch, "parameters": self.vae.parameters.flat.size, "samples": self.samples,
                      "nothing": 0}

    def verify(self, name):
        """Stop the benchmark unless the gradient is that of a float64 model."""
        rng = np.random.default_rng(0)
        x = rng.random((self.batch, N_VISIBLE), dtype=np.float32)
        eps = rng.standard_normal((self.batch, self.samples, LATENT), dtype=np.float32)
        exact = VAE(**{**self.vae.get_params(), "dtype": "float64"})
        exact.parameters.flat[:] = self.vae.parameters.flat
        (loss, *_), gradient = self.vae.gradient(x, eps)
        (exact_loss, *_), exact_gradient = exact.gradient(x, eps)
        pairs = zip(gradient.segments(), exact_gradient.segments())
        off = max(abs(loss / exact_loss - 1),
                  *(np.linalg.norm(got - wanted) / np.linalg.norm(wanted) for (_, got), (_, wanted) in pairs))
        if not off <= AGREE:
            raise SystemExit(f"{name} differs from the float64 gradient by {off:.1e}; nothing was timed.")

    def step(self):
        """Take one training step: gather, noise, forward, backward, Adam."""
        set_threads(self.threads)
        if self.trainer.state.batch == len(self.order) // self.batch:
            self.trainer.state.batch = 0
        self.trainer.step(self.order)


def straight_line(x, ms):
    """Return (fixed, slope) that make the relative residuals of ms = fixed + slope x least squares."""
    columns = np.stack([np.ones_like(ms), x], axis=1)              # x all zero: the slope comes out as zero
    return map(float, np.linalg.lstsq(columns / ms[:, None], np.ones_like(ms), rcond=None)[0])


def measure(name, sweep, values, seconds, peak):
    """Verify, time and judge one sweep; return its rows and its summary."""
    points = {value: Point(name, value) for value in values}
    times = interleaved({value: point.step for value, point in points.items()}, seconds)
    set_threads(numba.config.NUMBA_NUM_THREADS)
    rows = [{"sweep": name, "value": value, "parameters": point.along["parameters"], "mflop": point.flop / 1e6,
             "ms": 1e3 * times[value].median, "ms_low": 1e3 * times[value].low, "ms_high": 1e3 * times[value].high,
             "of_peak": point.flop / times[value].median / 1e9 / peak}
            for value, point in points.items()]
    if not sweep.line_in:
        return rows, {"speedup": rows[0]["ms"] / rows[-1]["ms"]}
    past = [(row, points[row["value"]].along[sweep.line_in]) for row in rows if row["mflop"] * 1e6 > PAST]
    x, ms = np.array([at for _, at in past], float), np.array([row["ms"] for row, _ in past])
    fixed, slope = straight_line(x, ms)
    for row, at in past:
        row["line_ms"] = fixed + slope * at
        row["off"] = row["ms"] / row["line_ms"] - 1
    worst = max(abs(row["off"]) for row, _ in past)
    return rows, {"line_in": sweep.line_in, "fixed_ms": fixed, "ms_each": slope, "worst": worst,
                  "within": worst <= MUST}


def verdict(sweep, summary):
    """Say in words what a sweep showed."""
    if not sweep.line_in:
        return f"{summary['speedup']:.2f} times as fast on all as on one"
    shape = "no dependence" if sweep.line_in == "nothing" else f"a line in {sweep.line_in.replace('samples', 'K')}"
    return f"{shape} {'to within' if summary['within'] else 'MISSED by'} {summary['worst']:.1%}"


def plot(rows, summary, path):
    """Write a PNG of all sweeps: medians, quartiles and the fitted line over what grows."""
    figure = new_figure(12, 7, layout="constrained")
    for axes, (name, sweep) in zip(figure.subplots(2, 3).flat, SWEEPS.items()):
        chosen = [row for row in rows if row["sweep"] == name]
        value, ms, low, high = (np.array([row[key] for row in chosen])
                                for key in ("value", "ms", "ms_low", "ms_high"))
        axes.errorbar(value, ms, yerr=np.maximum([ms - low, high - ms], 0), fmt="o", color="#8c2d04", markersize=4,
                      capsize=2, label="measured: median and quartiles")
        fitted = [(row["value"], row["line_ms"]) for row in chosen if "line_ms" in row]
        if fitted:
            axes.plot(*zip(*fitted), color="#74acd5", zorder=1, label="least squares")
        if name == "rows":
            axes.set_xscale("log")
        axes.set_xlim(left=None if name == "rows" else 0)
        axes.set_ylim(bottom=0)
        plain_axes(axes, sweep.title, sweep.label, "one training step [ms]")
        if sweep.line_in:
            note(axes, f"within {summary[name]['worst']:.0%} of the line")
        else:
            axes.set_xticks(value)
    figure.axes[0].legend(frameon=False, fontsize=8)
    about = machine()
    figure.suptitle(f"Cost of a training step around 784-400-20, batch 128, float32 ({about['cpu']}, "
                    f"{about['threads']} threads)", x=0.01, ha="left")
    save(figure, path)


def main():
    """Measure the machine, then every sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer points, shorter")
    parser.add_argument("--json", metavar="FILE", help="write all rows there, and the plot beside it")
    options = parser.parse_args()
    peak, bandwidth = fma_peak(np.float32), memory_bandwidth()
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    say(f"FMA peak {peak:.0f} GFLOP/s, memory {bandwidth:.0f} GB/s")
    rows, summary = [], {"fma_peak_gflops": peak, "memory_gb_per_s": bandwidth}
    for name, sweep in SWEEPS.items():
        more, summary[name] = measure(name, sweep, sweep.quick if options.quick else sweep.values,
                                      0.3 if options.quick else 1.5, peak)
        say(f"\n{sweep.title}: {sweep.label}, Mflop, ms a step (quartiles), part of the peak, off the line")
        for row in more:
            say("{value:8d}  {mflop:9.1f}  {ms:9.3f} ({ms_low:.3f} to {ms_high:.3f})  {of_peak:4.0%}  {0}".format(
                f"{row['off']:+6.1%}" if "off" in row else "", **row))
        say(f"{sweep.title}: {verdict(sweep, summary[name])}")
        rows += more
    report(rows, summary, options.json)
    if options.json:
        plot(rows, summary, Path(options.json).with_suffix(".png"))


if __name__ == "__main__":
    main()
