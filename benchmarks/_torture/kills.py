"""kill -9 at random moments of training, then resume to the end."""
import contextlib
import io
import shutil
import time
from unittest import mock

import numpy as np

from scratchvae.cli.main import main
from scratchvae.cli.run_folder import MODEL, Run
from scratchvae.errors import ScratchVAEError
from scratchvae.storage.checkpoint import load_arrays

from .verdict import start, train_command, Verdict

EPOCHS = 60
SETTINGS = ["--data", "digits", "--hidden", 16, "--latent", 3, "--binarize", "dynamic", "--epochs", EPOCHS]


def quietly(*arguments):
    """Run a command in this process without figures; return (status, standard error)."""
    heard = io.StringIO()
    with mock.patch.object(Run, "draw", lambda *_: []), contextlib.redirect_stderr(heard), \
            contextlib.redirect_stdout(io.StringIO()):
        status = main([str(word) for word in arguments])
    return status, heard.getvalue()


def arrays_of(folder):
    """Return what of a finished run has to be the same bits: parameters, moments, losses; not the seconds."""
    _, _, arrays = load_arrays(folder / MODEL)
    return {name: a[:, :7] if name == "history" else a for name, a in arrays.items()}


def same(a, b):
    """Whether two dicts of arrays hold the same bits."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def landmarks(folder):
    """Seconds from the start of a process to the end of its first and of its last epoch."""
    begun, marks = time.perf_counter(), []
    with start(train_command(*SETTINGS, "--out", folder)) as process:
        for line in process.stderr:
            if line.startswith("epoch"):
                marks.append(time.perf_counter() - begun)
    return marks[0], marks[-1]


def killed(folder, delay):
    """Start the run, kill it after `delay` seconds; return whether it was still at work."""
    with start(train_command(*SETTINGS, "--out", folder)) as process:
        time.sleep(delay)
        at_work = process.poll() is None
        process.kill()
        process.communicate()
    return at_work


def run(folder, kills, seed=0):
    """The trial: `kills` runs, each killed once (one in ten before its first epoch) and resumed."""
    whole = folder / "undisturbed"
    first, last = landmarks(whole)
    wanted, rng = arrays_of(whole), np.random.default_rng(seed)
    equal = unreadable = in_training = unstarted = 0
    faults = []
    for number in range(kills):
        cut = folder / "cut"
        delay = rng.uniform(0.3 * first, first) if number % 10 == 0 else rng.uniform(first, last)
        in_training += killed(cut, delay)
        if (cut / MODEL).exists():
            try:
                load_arrays(cut / MODEL)
            except ScratchVAEError as error:
                unreadable += 1
                faults.append(str(error))
        begun = (cut / "config.json").exists()
        unstarted += not begun
        arguments = ["train", "--resume", "--out", cut] if begun else ["train", *SETTINGS, "--out", cut]
        status, said = quietly(*arguments)
        done = status == 0 or f"has {EPOCHS} epochs" in said          # it was killed while it drew the figures
        leftovers = [path.name for path in cut.iterdir() if path.name.startswith(".") and path.name != ".lock"]
        if done and not leftovers and same(arrays_of(cut), wanted):
            equal += 1
        else:
            faults.append(f"kill {number} after {delay:.3f} s: {said.strip()[-300:]} {leftovers}")
        shutil.rmtree(cut)
    return Verdict("kill -9, resume", f"{equal} of {kills} end in the same bits, {unreadable} unreadable checkpoints "
                   f"({in_training} killed at work, {unstarted} before anything was saved)",
                   f"{kills}, 0", equal == kills and not unreadable,
                   {"kills": kills, "equal": equal, "unreadable": unreadable, "at_work": in_training,
                    "before_anything_was_saved": unstarted, "faults": faults[:5]})
