"""A disk that is full at each write: a file-size limit, raised byte by byte past every file that a run saves."""
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from scratchvae import VAE
from scratchvae.cli.run_folder import HISTORY, MODEL, Run
from scratchvae.errors import RunError
from scratchvae.training import Trainer

from .verdict import train_command, Verdict


def contents(folder):
    """Return {name: bytes} of all files of a folder but its lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def full_at(limits, folder):
    """Save a run under each limit of bytes a file; return the counts.  For a process of its own: limits stay."""
    run = Run(folder, {"data": "digits", "model": "vae"})
    trainer = Trainer(VAE(20, 2, hidden=(5,)), np.random.default_rng(0).random((20, 20), np.float32), batch_size=10)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    found = {"writes": 0, "failed": 0, "damaged": 0, "leftovers": 0, "other": []}
    with run.held():
        run.begin()
        trainer.run(1)
        run.save(trainer)
        sizes = {name: len(content) for name, content in contents(folder).items()}
        trainer.run(2)
        for part in range(limits):
            limit = int(part * (sizes[MODEL] + 64) / limits)
            before = contents(folder)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            found["writes"] += 1
            try:
                run.save(trainer)
                failed = False
            except RunError:
                failed = True
            except Exception as error:                      # the very thing that is looked for
                found["other"].append(f"limit {limit}: {type(error).__name__}: {error}")
                failed = True
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            found["failed"] += failed
            after = contents(folder)
            found["leftovers"] += len(set(after) - {"config.json", MODEL, HISTORY})
            found["damaged"] += failed and after[MODEL] != before[MODEL]
    return found


def refused_by_the_command(folder):
    """Run the command under a limit that its model does not fit; return (status, lines on standard error)."""
    words = train_command("--data", "digits", "--hidden", 16, "--latent", 2, "--epochs", 1, "--out", folder)
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ},
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    return done.returncode, done.stderr.strip().splitlines()


def run(folder, limits):
    """The trial: the files of a run under `limits` limits, then the command under one."""
    words = [sys.executable, "-m", "_torture.disk", str(limits)]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        return Verdict("disk full", done.stderr[-300:], "previous checkpoint intact each time", False, {})
    found = json.loads(done.stdout)
    status, said = refused_by_the_command(folder / "command")
    one_line = status == 2 and len(said) == 1 and "cannot be written" in said[0]
    ok = one_line and found["failed"] > limits / 2 and not (found["damaged"] or found["leftovers"] or found["other"])
    return Verdict("disk full", f"{found['failed']} of {found['writes']} saves failed: previous checkpoint damaged "
                   f"{found['damaged']} times, {found['leftovers']} temporary files left, {len(found['other'])} other "
                   f"exceptions; the command says {'one line' if one_line else said}", "0, 0, 0, one line", ok,
                   {**found, "command": said})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(full_at(int(sys.argv[1]), Path(scratch) / "run")))
