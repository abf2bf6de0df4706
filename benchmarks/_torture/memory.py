"""A data file larger than memory's share, and half an hour of training: what memory and the step rate do."""
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from scratchvae import load_data, VAE
from scratchvae.cli.run_folder import Run
from scratchvae.data.minibatch import epoch_permutation
from scratchvae.training import Trainer

from .verdict import status_kb, Verdict

D = 784
BLOCK = 1 << 16                     # rows written at a time
SMALL = 60_000                      # rows of the small file, and of the set that is trained on for long


def write_images(path, rows, seed=0):
    """Write `rows` random gray images of 784 pixels as one .npy, a repeated block."""
    block = np.random.default_rng(seed).integers(0, 256, (min(rows, BLOCK), D), dtype=np.uint8)
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, D))
    for begin in range(0, rows, len(block)):
        file[begin:begin + len(block)] = block[:rows - begin]
    file.flush()


class Stepper:
    """A trainer that takes steps on shuffled minibatches, one after another, without validation."""

    def __init__(self, path):
        self.trainer = Trainer(VAE(D), load_data(path).train)
        self.order = epoch_permutation(len(self.trainer.x), 0, 0)

    def seconds(self, steps):
        """Take steps and return the median of their seconds."""
        taken = []
        for _ in range(steps):
            self.trainer.state.batch %= len(self.order) // 128
            begun = time.perf_counter()
            self.trainer.step(self.order)
            taken.append(time.perf_counter() - begun)
        return float(np.median(taken))


def large_against_small(folder, gigabytes, rounds, steps):
    """Return the rates on a large and a small file, interleaved, and the anonymous memory; for a process of its own."""
    rows = {"large": int(gigabytes * 1e9 / D), "small": SMALL}
    steppers = {}
    for name, count in rows.items():
        write_images(folder / f"{name}.npy", count)
        steppers[name] = Stepper(folder / f"{name}.npy")        # reads all of it once: it is in the page cache then
        steppers[name].seconds(steps)
    samples = {name: [] for name in rows}
    for _ in range(rounds):
        for name, stepper in steppers.items():
            samples[name].append(stepper.seconds(steps))
    medians = {name: float(np.median(values)) for name, values in samples.items()}
    return {"rows": rows["large"], "gigabytes": gigabytes, "anon_mb": status_kb("RssAnon") / 1024,
            "file_mb": status_kb("RssFile") / 1024, "small_ms": 1e3 * medians["small"],
            "large_ms": 1e3 * medians["large"], "rate": medians["small"] / medians["large"]}


def train_for(folder, minutes):
    """Train and save for so long; return the resident memory each second after the first minute, in kB."""
    write_images(folder / "data.npy", SMALL)
    data = load_data(folder / "data.npy")
    run = Run(folder / "run", {"data": "data", "model": "vae"})
    trainer = Trainer(VAE(D), data.train, validation=data.test)
    begun, seen = time.monotonic(), []

    def after_step(trainer, objective):
        elapsed = time.monotonic() - begun
        if elapsed > min(60, 15 * minutes) + len(seen):
            seen.append(status_kb("VmRSS"))
        trainer.stop = elapsed > 60 * minutes
    with run.held():
        run.begin()
        trainer.run(10**9, after_step, run.save)
    return {"minutes": minutes, "epochs": trainer.state.epoch, "steps": trainer.state.optimizer.step,
            "first_mb": seen[0] / 1024, "last_mb": seen[-1] / 1024, "spread_mb": (max(seen) - min(seen)) / 1024,
            "samples": len(seen)}


def _in_a_process(*arguments):
    words = [sys.executable, "-m", "_torture.memory", *map(str, arguments)]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {"fault": done.stderr[-500:]}


def run_large(folder, gigabytes, rounds=7, steps=60):
    """The trial: a file of so many GB against one of 47 MB, interleaved in one process."""
    found = _in_a_process("large", folder, gigabytes, rounds, steps)
    if "fault" in found:
        return Verdict("a large data file", found["fault"], "it runs", False, found)
    return Verdict("a large data file", f"{gigabytes:g} GB: {found['anon_mb']:.0f} MB anonymous memory, "
                   f"{100 * found['rate']:.1f} % of the step rate of a small file ({found['large_ms']:.2f} and "
                   f"{found['small_ms']:.2f} ms a step)", "under 400 MB, 90 % or more",
                   found["anon_mb"] < 400 and found["rate"] >= 0.9, found)


def run_long(folder, minutes):
    """The trial: train for so long, saving each epoch, and look at the memory each second."""
    found = _in_a_process("long", folder, minutes)
    if "fault" in found:
        return Verdict("long training", found["fault"], "it runs", False, found)
    return Verdict("long training", f"{minutes:g} minutes, {found['steps']:,} steps, {found['epochs']} epochs saved: "
                   f"resident {found['first_mb']:.1f} to {found['last_mb']:.1f} MB, spread {found['spread_mb']:.2f} MB "
                   "after the first minute", "flat to within 1 MB", found["spread_mb"] <= 1, found)


if __name__ == "__main__":
    kind, scratch, *numbers = sys.argv[1:]
    if kind == "large":
        print(json.dumps(large_against_small(Path(scratch), float(numbers[0]), int(numbers[1]), int(numbers[2]))))
    else:
        print(json.dumps(train_for(Path(scratch), float(numbers[0]))))
