"""Matrix products against np.matmul, and the passes of a step against their twins: verified, then timed in turns.

    python benchmarks/kernels.py [--quick] [--json FILE]

VAE shapes are the three products of a dense layer: y = x W (NN), d_W = x^T d_a (TN), d_x = d_a W^T (NT).  The
passes are those of a step of 784-400-20, batch 128, float32; all noise of such a step (dynamic binarization and
eps) may cost at most 5 % of it.
"""
import argparse
import itertools

import numpy as np
from _harness import fma_peak, geometric_mean, interleaved, machine, memory_bandwidth, report, say, verify

from scratchvae import VAE
from scratchvae.data.minibatch import epoch_permutation
from scratchvae.kernels import dense, matmul, minibatch, random, twins
from scratchvae.training import Trainer

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


def passes(rng, batch=128, n_visible=784, hidden=400, latent=20):
    """Yield (name, kernel, arguments, positions of what it overwrites) for the passes of one step."""
    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    def unwritten(*shape, dtype=np.float32):
        return np.full(shape, np.nan, dtype)

    data, index = rng.integers(0, 256, (4096, n_visible), dtype=np.uint8), rng.permutation(4096)[:batch]
    x, eps, head = normal(batch, n_visible), normal(batch, latent), normal(batch, 2 * latent)
    W, y = normal(n_visible, hidden) / np.float32(np.sqrt(n_visible)), normal(batch, hidden)
    n = VAE(n_visible, latent, hidden=(hidden,)).parameters.flat.size
    for mode in ("GRAY", "DYNAMIC"):
        yield (f"gather_rows {mode.lower()}", "gather_rows",
               (data, index, 1 / 255, getattr(minibatch, mode), 1, 1, unwritten(*x.shape)), (6,))
    yield "standard_normal", "standard_normal", (1, random.EPS, 1, unwritten(eps.size)), (3,)
    yield "dense_forward relu", "dense_forward", (x, W, normal(hidden), dense.RELU, unwritten(*y.shape)), (4,)
    yield ("dense_backward relu", "dense_backward",
           (x, W, y, normal(*y.shape), dense.RELU, unwritten(*W.shape), unwritten(hidden), unwritten(*x.shape)),
           (5, 6, 7))
    yield ("gaussian_forward", "gaussian_forward",
           (head, eps, unwritten(*eps.shape), unwritten(batch, dtype=np.float64)), (2, 3))
    yield ("gaussian_backward", "gaussian_backward",
           (head, eps, normal(*eps.shape), normal(eps.shape[1]), unwritten(*head.shape)), (4,))
    yield ("bernoulli_nll_backward", "bernoulli_nll_backward",
           (x, rng.random(x.shape, np.float32), np.full(batch, 1 / batch), unwritten(batch, dtype=np.float64),
            unwritten(*x.shape)), (3, 4))
    yield "adam_update", "adam_update", (*normal(3, n), normal(n) ** 2, 7, 1e-3, 0.9, 0.999, 1e-8), (0, 2, 3)


def compare_pass(name, kernel, arguments, written):
    """Return one row: microseconds of the kernel, nanoseconds a number of its largest output, ratio to its twin."""
    reference, _, compiled = twins.TWINS[kernel]

    def copied(dtype):
        return [a.astype(dtype if a.dtype == np.float32 else a.dtype) if isinstance(a, np.ndarray) else a
                for a in arguments]

    ours, theirs, exact = copied(np.float32), copied(np.float32), copied(np.float64)
    compiled(*ours)
    reference(*exact)
    for position in written:
        wanted = exact[position]
        verify(name, ours[position], wanted, 64 * np.finfo(np.float32).eps * max(1, np.abs(wanted).max()))
    times = interleaved({"ours": lambda: compiled(*ours), "numpy": lambda: reference(*theirs)})
    seconds = times["ours"].median
    return {"pass": name, "us": 1e6 * seconds, "ns_a_number": 1e9 * seconds / max(ours[p].size for p in written),
            "numpy_us": 1e6 * times["numpy"].median, "ratio": times["numpy"].median / seconds}


def noise_share():
    """Return the part of a step of 784-400-20, batch 128, that binarizing dynamically and drawing eps take."""
    data = np.random.default_rng(0).integers(0, 256, (4096, 784), dtype=np.uint8)
    trainer, order = Trainer(VAE(784), data, binarize="dynamic"), epoch_permutation(4096, 0, 0)
    ws = trainer.ws

    def step():
        trainer.state.batch = 0
        trainer.step(order)

    def gather(mode):
        minibatch.gather_rows(data, order[:128], 1 / 255, mode, 1, 1, ws.x)

    times = interleaved({"step": step, "gray": lambda: gather(minibatch.GRAY),
                         "dynamic": lambda: gather(minibatch.DYNAMIC),
                         "eps": lambda: random.standard_normal(1, random.EPS, 1, ws.eps)}, seconds=1.0)
    step, gray, dynamic, eps = (times[name].median for name in ("step", "gray", "dynamic", "eps"))
    return (dynamic - gray + eps) / step


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
    say("\npasses of a step: microseconds, nanoseconds a number, the NumPy twin's microseconds, ratio")
    for work in passes(np.random.default_rng(0)):
        rows.append(compare_pass(*work))
        say("{pass:24s} {us:8.1f}  {ns_a_number:6.2f}  {numpy_us:9.1f}  {ratio:6.2f}".format(**rows[-1]))
    summary["noise_of_step"] = noise_share()
    say(f"dynamic binarization and eps: {summary['noise_of_step']:.1%} of a step (at most 5 %)")
    report(rows, summary, options.json)


if __name__ == "__main__":
    main()
