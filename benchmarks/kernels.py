"""Matrix products against np.matmul: verified, then timed in turns.

    python benchmarks/kernels.py [--quick] [--json FILE]

VAE shapes are the three products of a dense layer: y = x W (NN), d_W = x^T d_a (TN), d_x = d_a W^T (NT).
"""
import argparse
import itertools

import numpy as np
from _harness import fma_peak, geometric_mean, interleaved, machine, memory_bandwidth, report, say, verify

from scratchvae.kernels import matmul

PRODUCTS = {"NN": matmul.multiply_nn, "TN": matmul.multiply_tn, "NT": matmul.multiply_nt}
WIDTHS = (20, 40, 200, 400, 784)


def vae_shapes(batches, widths):
    """Yield (kind, m, k, n) of every product of a layer from n_in to n_out."""
    for batch, n_in, n_out in itertools.product(batches, widths, widths):
        yield "NN", batch, n_in, n_out
        yield "TN", n_in, batch, n_out
        yield "NT", batch, n_out, n_in


def large_shapes(sides):
    """Yield squares, and one batch against a very wide layer."""
    for side in sides:
        yield "NN", side, side, side
    yield "NN", 128, 4096, 4096


def compare(kind, m, k, n, dtype):
    """Return one row of the table: GFLOP/s of both, and how many times faster ours is."""
    rng = np.random.default_rng([m, k, n])
    a = rng.standard_normal((k, m) if kind == "TN" else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if kind == "NT" else (k, n)).astype(dtype)
    A, B = (a.T if kind == "TN" else a), (b.T if kind == "NT" else b)
    ours, theirs = np.full((m, n), np.nan, dtype), np.empty((m, n), dtype)
    PRODUCTS[kind](a, b, ours)
    wide_a, wide_b = A.astype(np.float64), B.astype(np.float64)
    bound = 2 * k * np.finfo(dtype).eps * (abs(wide_a) @ abs(wide_b))
    verify(f"{kind} {m}x{k}x{n}", ours, wide_a @ wide_b, bound)
    times = interleaved({"ours": lambda: PRODUCTS[kind](a, b, ours),
                         "numpy": lambda: np.matmul(A, B, out=theirs)}, seconds=max(0.12, 3e-10 * m * k * n))
    work = 2e-9 * m * k * n
    return {"kind": kind, "m": m, "k": k, "n": n, "dtype": np.dtype(dtype).name,
            "gflops": work / times["ours"].median, "numpy_gflops": work / times["numpy"].median,
            "ratio": times["numpy"].median / times["ours"].median,
            "spread": (times["ours"].high - times["ours"].low) / times["ours"].median}


def main():
    """Measure the machine, then every group of shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer shapes")
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    peaks = {np.dtype(dtype).name: fma_peak(dtype) for dtype in (np.float32, np.float64)}
    bandwidth = memory_bandwidth()
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    say("FMA peak", *(f"{peak:.0f} GFLOP/s {name}," for name, peak in peaks.items()),
        f"memory {bandwidth:.0f} GB/s")
    batches, widths, sides = (((20, 128), (20, 400, 784), (512, 1024)) if options.quick else
                              ((20, 128, 512), WIDTHS, (512, 1024, 2048, 4096)))
    groups = {"vae float32": [(*shape, np.float32) for shape in vae_shapes(batches, widths)],
              "large float32": [(*shape, np.float32) for shape in large_shapes(sides)],
              "large float64": [(*shape, np.float64) for shape in large_shapes(sides)]}
    rows, summary = [], {"fma_peak_gflops": peaks, "memory_gb_per_s": bandwidth}
    for name, shapes in groups.items():
        say(f"\n{name}: GFLOP/s, part of the peak, numpy's GFLOP/s, ratio, spread of ours between quartiles")
        group = []
        for shape in shapes:
            row = compare(*shape)
            group.append(row)
            say("{kind} {m:4d} x {k:4d} x {n:4d}  {gflops:6.1f}  {0:4.0%}  {numpy_gflops:6.1f}  "
                "{ratio:5.2f}  {spread:4.0%}".format(row["gflops"] / peaks[row["dtype"]], **row))
        ratios = [row["ratio"] for row in group]
        summary[name] = {"geometric_mean": geometric_mean(ratios), "least": min(ratios)}
        say(f"{name}: geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
        rows += group
    report(rows, summary, options.json)


if __name__ == "__main__":
    main()
