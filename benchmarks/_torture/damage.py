"""Randomly damaged copies of valid files, each format: every reader gives valid data or says what is wrong."""
import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scratchvae import VAE
from scratchvae.cli.run_folder import Run
from scratchvae.data.loading import load_data
from scratchvae.errors import ScratchVAEError
from scratchvae.model_files import load_run
from scratchvae.training import Trainer

from .verdict import peak_mb, Verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from test_data import CHECKED, damaged, VALID  # noqa: E402  (the tests' own files and damage)
from test_formats import FORMATS  # noqa: E402

HANG = 2.0                          # seconds
MOST_MB = 300
COUNTS = ("refused", "escaped", "hung", "wrong", "unnamed")


class Hung(BaseException):
    """A reader took longer than HANG; no reader can catch this one by mistake."""


@contextmanager
def no_hang():
    """Raise Hung in the main thread if the block takes longer than HANG."""
    def ring(number, frame):
        raise Hung
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def a_run(folder):
    """A finished run of two epochs in `folder`."""
    rng = np.random.default_rng(0)
    run = Run(folder, {"data": "digits", "model": "vae", "epochs": 2})
    trainer = Trainer(VAE(6, 2, hidden=(5,)), rng.random((20, 6), np.float32), batch_size=10)
    trainer.run(2)
    with run.held():
        run.begin()
        run.save(trainer)
    return folder


def read_data(path):
    """Load a data set; return what has to be the same where the format has a checksum."""
    data = load_data(path)
    return [None if array is None else array.tobytes() for array in (data.train, data.test, data.train_labels)]


def read_model(path):
    """Load a model and its training state, and return its bits."""
    model, meta, arrays = load_run(path)
    return [model.parameters.flat.tobytes(), meta, {name: a.tobytes() for name, a in arrays.items()}]


def formats(folder):
    """Return {format: (file to damage, reader, whether it has a checksum)}, the files written into `folder`."""
    made = {}
    for name, write in VALID.items():
        place = folder / name.replace(" ", "_").replace(",", "")
        place.mkdir()
        path = write(place)
        source = path.parent if name.startswith("idx") else path
        made[name] = path, (lambda source=source: read_data(source)), name in CHECKED
    for name, (write, has_checksum) in FORMATS.items():
        place = folder / name.replace(", ", "_")
        place.mkdir()
        path = write(place)
        source = path.parent if path.parent != place else path
        made[name] = path, (lambda source=source: read_data(source)), has_checksum
    run = a_run(folder / "run")
    made["model.npz"] = run / "model.npz", (lambda: read_model(run / "model.npz")), True
    made["config.json"] = run / "config.json", (lambda: Run.open(run).config), False
    return made


def damage_format(folder, name, copies, seed):
    """Read `copies` damaged copies of one format; return the counts."""
    path, read, has_checksum = formats(folder)[name]
    content, whole, rng = path.read_bytes(), read(), np.random.default_rng(seed)
    found = {"copies": copies, "accepted": 0, "slowest": 0.0, "faults": [], **dict.fromkeys(COUNTS, 0)}
    for number in range(copies):
        path.unlink(missing_ok=True)
        path.write_bytes(damaged(content, rng))
        begun = time.perf_counter()
        try:
            with no_hang():
                got = read()
            found["accepted"] += 1
            if has_checksum and got != whole:
                found["wrong"] += 1
                found["faults"].append(f"copy {number}: wrong data accepted")
        except ScratchVAEError as error:
            found["refused"] += 1
            if str(path.parent) not in str(error):
                found["unnamed"] += 1
                found["faults"].append(f"copy {number}: {error}")
        except Hung:
            found["hung"] += 1
            found["faults"].append(f"copy {number}: no answer in {HANG} s")
        except Exception as error:              # the very thing that is looked for
            found["escaped"] += 1
            found["faults"].append(f"copy {number}: {type(error).__name__}: {error}")
        found["slowest"] = max(found["slowest"], time.perf_counter() - begun)
    return {**found, "faults": found["faults"][:5], "peak_mb": peak_mb()}


def run(folder, copies, only=None):
    """The trial: a process for each format, so that each peak of memory is its own."""
    figures = {}
    for name in [*VALID, *FORMATS, "model.npz", "config.json"]:
        if only and name not in only:
            continue
        words = [sys.executable, "-m", "_torture.damage", name, str(copies)]
        done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
        try:
            figures[name] = json.loads(done.stdout)
        except ValueError:
            figures[name] = {**dict.fromkeys(COUNTS, 0), "escaped": 1, "peak_mb": 0.0, "slowest": 0.0,
                             "faults": [done.stderr[-500:]]}
    total = {key: sum(row[key] for row in figures.values()) for key in COUNTS}
    peak, slowest = (max(row[key] for row in figures.values()) for key in ("peak_mb", "slowest"))
    ok = peak < MOST_MB and not any(total[key] for key in ("escaped", "hung", "wrong", "unnamed"))
    return Verdict("damaged files", f"{copies:,} copies of {len(figures)} formats ({total['refused']:,} refused): "
                   f"{total['escaped']} other exceptions, {total['hung']} hangs (slowest {slowest:.2f} s), "
                   f"{total['wrong']} wrong data accepted, {total['unnamed']} messages without the file, "
                   f"peak {peak:.0f} MB",
                   "0, 0, 0, 0, under 300 MB", ok, figures)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(damage_format(Path(scratch), sys.argv[1], int(sys.argv[2]), seed=0)))
