"""A training step against PyTorch and JAX: verified, then timed in turns.

    python benchmarks/train_step.py [--peers torch jax] [--quick] [--json FILE]

Each contestant is a process of its own that is stopped while another is timed: some keep threads spinning.  First
each computes the loss and every gradient segment at the same parameters, data and noise, which must agree with a
float64 model of this package; a peer that is not installed is skipped, and the output says so.
"""
import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _harness import fma_peak, machine, report, say
from contestants import CONTESTANTS, N_VISIBLE, sizes

from scratchvae import VAE

MODELS = {"784-400-20 relu, batch 128": dict(hidden=[400], latent=20, activation="relu", batch=128),
          "784-200-200-50 tanh, batch 20": dict(hidden=[200, 200], latent=50, activation="tanh", batch=20)}
SLICE = 0.3                        # seconds a contestant is timed for in a round
AGREE = 2e-4                       # float32 gradients of 784-term sums, relative in norm; a missing term costs 1e-1


def step_flops(config):
    """Multiply-adds, counted as two, of a step: forward 2 n_in n_out a layer, backward twice that but for d_x of x."""
    layers = [pair for units in sizes(config) for pair in zip(units, units[1:])]
    forward = 2 * sum(a * b for a, b in layers)
    return config["batch"] * (3 * forward - 2 * layers[0][0] * layers[0][1])


class Worker:
    """A contestant in its own process."""

    def __init__(self, name, config):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("contestants.py")), name, json.dumps(config)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True)

    def ask(self, *words, settle=False):
        """Wake the process, send one request, return its answer, and stop the process and its helpers again.

        To settle is to send it twice and take the second answer: just woken threads may share a core for 0.03 s.
        """
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            if settle:
                self._answer(*words)
            return self._answer(*words)
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)

    def _answer(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended without an answer to {words[0]!r}")
        return json.loads(answer)

    def close(self):
        """End the process."""
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def write_problem(path, config):
    """Write parameters, data, noise and the float64 gradient that all must reproduce; return the loss."""
    rng = np.random.default_rng(0)
    vae = VAE(N_VISIBLE, config["latent"], hidden=config["hidden"], activation=config["activation"], dtype="float64")
    vae.parameters.flat += 0.02 * rng.standard_normal(vae.parameters.flat.size)
    vae.parameters.flat[:] = vae.parameters.flat.astype(np.float32)
    x = rng.random((config["batch"], N_VISIBLE)).astype(np.float32)
    eps = rng.standard_normal((config["batch"], config["latent"])).astype(np.float32)
    objective, gradient = vae.gradient(x.astype(np.float64), eps)
    np.savez(path, x=x, eps=eps, **{name: view.astype(np.float32) for name, view in vae.parameters.segments()},
             **{"d " + name: view for name, view in gradient.segments()})
    return objective.loss


def compare(title, config, names, rounds):
    """Verify and time one model; return a row a contestant."""
    workers = [Worker(name, {**config, "threads": machine()["threads"]}) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        loss = write_problem(f"{folder}/problem.npz", config)
        for worker in workers:
            answer = worker.ask("check", f"{folder}/problem.npz")
            off = max(abs(answer["loss"] / loss - 1), *answer["gradient"].values())
            if not off <= AGREE:
                raise SystemExit(f"{worker.name} differs from the float64 gradient by {off:.1e}; nothing was timed.")
    steps, samples, peaks = {}, {name: [] for name in names}, []
    for worker in workers:
        worker.ask("steps", 20)                                    # compiles
        once = worker.ask("steps", 20)["seconds"] / 20
        steps[worker.name] = max(5, round(SLICE / once))
        worker.ask("steps", steps[worker.name])                    # a jitted loop compiles for its own length
    for _ in range(rounds):
        peaks.append(fma_peak(np.float32))
        for worker in workers:
            n = steps[worker.name]
            samples[worker.name].append(worker.ask("steps", n, settle=True)["seconds"] / n)
    for worker in workers:
        worker.close()
    flops, peak = step_flops(config), float(np.median(peaks))
    say(f"\n{title}: {flops / 1e6:.0f} Mflop a step, FMA peak {peak:.0f} GFLOP/s, floor {flops / peak / 1e6:.3f} ms")
    rows = []
    for name in names:
        ms = 1e3 * np.array(samples[name])
        ratios = np.array(samples[name]) / np.array(samples["scratchvae"])       # within a round: the same weather
        rows.append({"model": title, "name": name, "ms": float(np.median(ms)), "ms_low": float(ms.min()),
                     "ms_high": float(ms.max()), "ratio": float(np.median(ratios)),
                     "of_peak": flops / float(np.median(ms)) / 1e6 / peak})
        say("{name:16s} {ms:8.3f} ms a step ({ms_low:.3f} to {ms_high:.3f})  {ratio:5.2f} x scratchvae's  "
            "{of_peak:4.0%} of the peak".format(**rows[-1]))
    return rows, peak


def main():
    """Time every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="*", choices=("torch", "jax"), default=["torch", "jax"])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no compiled PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    names = ["scratchvae"]
    for peer in options.peers:
        if importlib.util.find_spec(peer) is None:
            say(f"{peer} is not installed: skipped (benchmarks/requirements.txt names the peers)")
        else:
            names += [name for name in CONTESTANTS if name.startswith(peer)
                      and not (options.quick and name == "torch compiled")]
    fma_peak(np.float32)                                           # starts the threading layer, which `machine` names
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    rows, summary = [], {}
    for title, config in MODELS.items():
        more, peak = compare(title, config, names, 3 if options.quick else 15)
        rows += more
        summary[title] = {"fma_peak_gflops": peak, **{row["name"]: row["ratio"] for row in more}}
    report(rows, summary, options.json)


if __name__ == "__main__":
    main()
