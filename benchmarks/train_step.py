"""A training step against PyTorch and JAX: verified, then timed in turns; and the log-likelihood of an image.

    python benchmarks/train_step.py [--peers torch jax] [--only TITLE ...] [--rounds 15] [--quick] [--json FILE]

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
from _harness import fma_peak, machine, report, say, with_earlier
from contestants import CONTESTANTS, EVALUATED, IMPORTANCE, N_VISIBLE, sizes

from scratchvae import VAE

WIDE = dict(hidden=[400], latent=20, activation="relu", batch=128, dtype="float32", samples=1)
DEEP = dict(hidden=[200, 200], latent=50, activation="tanh", batch=20, dtype="float32", samples=1)
MODELS = {"784-400-20 relu, batch 128": WIDE, "784-200-200-50 tanh, batch 20": DEEP}
MORE = {"784-400-20 relu, batch 128, float64": WIDE | {"dtype": "float64"},
        **{f"784-200-200-50 tanh, batch 20, IWAE-{k}": DEEP | {"samples": k} for k in (5, 50)}}
EVALUATION = {f"log-likelihood of 784-400-20 relu, K = {IMPORTANCE:,}": WIDE}
SLOWER = "torch eager", "torch compiled", "jax jit"        # than another of the same peer: they sit out MORE
NATS = 1.0                         # by which two estimates of a log-likelihood may differ: other noise
SLICE = 0.3                        # seconds a contestant is timed for in a round
AGREE = 2e-4                       # float32 gradients of 784-term sums, relative in norm; a missing term costs 1e-1


def step_flops(config):
    """Multiply-adds, counted as two, of a step: forward 2 n_in n_out a layer, backward twice that but for d_x of x."""
    encoder, decoder = (2 * sum(a * b for a, b in zip(units, units[1:])) for units in sizes(config))
    return config["batch"] * (3 * (encoder + config["samples"] * decoder) - 2 * N_VISIBLE * sizes(config)[0][1])


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
    vae = VAE(N_VISIBLE, config["latent"], hidden=config["hidden"], activation=config["activation"], dtype="float64",
              n_samples=config["samples"], estimator="analytic" if config["samples"] == 1 else "iwae")
    vae.parameters.flat += 0.02 * rng.standard_normal(vae.parameters.flat.size)
    vae.parameters.flat[:] = vae.parameters.flat.astype(np.float32)
    x = rng.random((config["batch"], N_VISIBLE)).astype(np.float32)
    shape = (config["batch"], config["samples"], config["latent"])
    eps = rng.standard_normal(shape if config["samples"] > 1 else shape[::2]).astype(np.float32)
    objective, gradient = vae.gradient(x.astype(np.float64), eps)
    np.savez(path, x=x, eps=eps, **{name: view.astype(np.float32) for name, view in vae.parameters.segments()},
             **{"d " + name: view for name, view in gradient.segments()})
    return objective.loss


def started(config, names, folder):
    """Return a verified worker a contestant."""
    workers = [Worker(name, {**config, "threads": machine()["threads"]}) for name in names]
    loss = write_problem(f"{folder}/problem.npz", config)
    for worker in workers:
        answer = worker.ask("check", f"{folder}/problem.npz")
        off = max(abs(answer["loss"] / loss - 1), *answer["gradient"].values())
        if not off <= AGREE:
            raise SystemExit(f"{worker.name} differs from the float64 gradient by {off:.1e}; nothing was timed.")
    return workers


def rows_of(title, unit, samples):
    """Return a row a contestant from its seconds in every round."""
    rows = []
    for name, seconds in samples.items():
        ms = 1e3 * np.array(seconds)
        ratios = np.array(seconds) / np.array(samples["scratchvae"])             # within a round: the same weather
        rows.append({"model": title, "name": name, "ms": float(np.median(ms)), "ms_low": float(ms.min()),
                     "ms_high": float(ms.max()), "ratio": float(np.median(ratios))})
        say("{name:20s} {ms:8.3f} ms {unit} ({ms_low:.3f} to {ms_high:.3f})  {ratio:5.2f} x scratchvae's".format(
            **rows[-1], unit=unit))
    return rows


def compare(title, config, names, rounds):
    """Verify and time one model; return a row a contestant."""
    with tempfile.TemporaryDirectory() as folder:
        workers = started(config, names, folder)
    steps, samples, peaks = {}, {name: [] for name in names}, []
    for worker in workers:
        worker.ask("steps", 20)                                    # compiles
        once = worker.ask("steps", 20)["seconds"] / 20
        steps[worker.name] = max(5, round(SLICE / once))
        worker.ask("steps", steps[worker.name])                    # a jitted loop compiles for its own length
    for _ in range(rounds):
        peaks.append(fma_peak(config["dtype"]))
        for worker in workers:
            n = steps[worker.name]
            samples[worker.name].append(worker.ask("steps", n, settle=True)["seconds"] / n)
    for worker in workers:
        worker.close()
    flops, peak = step_flops(config), float(np.median(peaks))
    say(f"\n{title}: {flops / 1e6:.0f} Mflop a step, FMA peak {peak:.0f} GFLOP/s, floor {flops / peak / 1e6:.3f} ms")
    rows = [row | {"of_peak": flops / row["ms"] / 1e6 / peak} for row in rows_of(title, "a step", samples)]
    say(f"scratchvae reaches {rows[0]['of_peak']:.0%} of the peak")
    return rows


def compare_evaluation(title, config, names, rounds):
    """Time log p(x) of an image by importance sampling; return a row a contestant."""
    samples, found = {name: [] for name in names}, {}
    with tempfile.TemporaryDirectory() as folder:
        workers = started(config, names, folder)
        for _ in range(rounds):
            for worker in workers:
                answer = worker.ask("evaluate", f"{folder}/problem.npz", settle=True)
                found[worker.name] = answer["log_likelihood"]
                samples[worker.name].append(answer["seconds"] / EVALUATED)
    for worker in workers:
        worker.close()
    if max(found.values()) - min(found.values()) > NATS:
        raise SystemExit(f"the log-likelihoods differ by more than {NATS} nats: {found}.")
    say(f"\n{title}, {EVALUATED} images")
    return rows_of(title, "an image", samples)


def main():
    """Time every model."""
    titles = MODELS | MORE | EVALUATION
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="*", choices=("torch", "jax"), default=["torch", "jax"])
    parser.add_argument("--only", nargs="+", metavar="TITLE", choices=titles, default=list(titles),
                        help="some of the models")
    parser.add_argument("--rounds", type=int, default=15, help="how often each contestant has its turn")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no compiled PyTorch")
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    names = ["scratchvae"]
    for peer in options.peers:
        if importlib.util.find_spec(peer) is None:
            say(f"{peer} is not installed: skipped (benchmarks/requirements.txt names the peers)")
        else:
            names += [name for name in CONTESTANTS if name.startswith(peer)
                      and not (options.quick and "compiled" in name)]
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    rows = []
    for title, config in titles.items():
        if title in options.only:
            chosen = [name for name in names if title in MODELS or name not in SLOWER]
            timed = compare_evaluation if title in EVALUATION else compare
            rows += timed(title, config, chosen, 3 if options.quick else options.rounds)
    rows = with_earlier(rows, options.json, "model")                  # one file for what several runs have measured
    report(rows, {title: {row["name"]: row["ratio"] for row in rows if row["model"] == title}
                  for title in dict.fromkeys(row["model"] for row in rows)}, options.json)


if __name__ == "__main__":
    main()
