"""Training that is disturbed: displays that fail, signals at any moment, a program that is not alone."""
import errno
import io
import json
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from test_cli import command, refused, result
from test_run_folder import bits, interrupted, QUICK, trained, write_data

from scratchvae import plots
from scratchvae.cli import train
from scratchvae.cli.main import main
from scratchvae.cli.progress import ENDING, Progress
from scratchvae.cli.run_folder import HISTORY, MODEL, Run

NO_FIGURES = "import sys; from scratchvae.cli.run_folder import Run; Run.draw = lambda *_: []; " \
    "from scratchvae.cli import train; train.SECONDS_UNSAVED = 0; " \
    "from scratchvae.cli.main import main; sys.exit(main(sys.argv[1:]))"             # epochs here take milliseconds
UNIX = pytest.mark.skipif(os.name == "nt", reason="needs the shell and the signals of Unix")


def epochs_saved(run):
    return len((run / HISTORY).read_text(encoding="utf-8").splitlines()) - 1


def train_words(tmp_path, epochs):
    return ["train", "--data", str(write_data(tmp_path / "data.npz")), *map(str, QUICK), "--epochs", str(epochs),
            "--out", str(tmp_path / "run")]


def start(tmp_path, epochs, **options):
    """Start `scratchvae train` without figures in a process of its own, on the NumPy backend: it starts faster."""
    environment = {**os.environ, "SCRATCHVAE_BACKEND": "numpy"}
    words = [sys.executable, "-c", NO_FIGURES, *train_words(tmp_path, epochs), "--json"]
    return subprocess.Popen(words, env=environment, **options)


def wait_for_epochs(run, epochs, process):
    """Wait until a run has saved so many epochs."""
    for _ in range(6000):
        if (run / HISTORY).exists() and epochs_saved(run) >= epochs:
            return
        assert process.poll() is None, "it has ended"
        time.sleep(0.01)
    pytest.fail("no epoch was saved in a minute")


# ---- displays that fail

class Failing(io.StringIO):
    """A stream that takes some writes and then fails."""

    def __init__(self, error, takes=0):
        super().__init__()
        self.error, self.takes = error, takes

    def write(self, text):
        self.takes -= 1
        if self.takes < 0:
            raise self.error
        return len(text)


class Terminal(Failing):
    """The same, and it says that it is a terminal."""

    def isatty(self):
        return True


def closed(*_):
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {"none at all": lambda: None, "closed": closed,
           "nobody reads": lambda: Failing(BrokenPipeError(errno.EPIPE, "Broken pipe")),
           "full": lambda: Failing(OSError(errno.ENOSPC, "No space left on device")),
           "would wait": lambda: Failing(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")),
           "full after a line": lambda: Failing(OSError(errno.ENOSPC, "No space left on device"), 1),
           "terminal gone": lambda: Terminal(OSError(errno.EIO, "Input/output error")),
           "terminal gone later": lambda: Terminal(OSError(errno.EIO, "Input/output error"), 3),
           "no such letters": lambda: Failing(UnicodeEncodeError("ascii", "\u03b2", 0, 1, "ordinal not in range"))}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_training_does_not_depend_on_what_shows_it(capsys, monkeypatch, tmp_path, no_figures, stream):
    (tmp_path / "seen").mkdir()
    seen = trained(capsys, tmp_path / "seen", epochs=3)
    with monkeypatch.context() as patch:
        given = stream()
        patch.setattr(sys, "stderr", given)
        assert main(train_words(tmp_path, 3)) == 0
        if sys.stderr is not given:                        # the command has put a stream where there was none
            sys.stderr.close()
    assert epochs_saved(tmp_path / "run") == 3 and bits(tmp_path / "run") == bits(seen)


@pytest.mark.parametrize("seconds, seen", [(0, [1, 2, 3]), (1000, [0, 0, 0])])
def test_an_epoch_is_saved_before_it_is_shown_unless_one_was_just_saved(monkeypatch, tmp_path, no_figures, seconds,
                                                                        seen):
    saved = []
    monkeypatch.setattr(train, "SECONDS_UNSAVED", seconds)
    monkeypatch.setattr(Progress, "after_epoch", lambda *_: saved.append(epochs_saved(tmp_path / "run")))
    assert main(train_words(tmp_path, 3)) == 0
    assert saved == seen and epochs_saved(tmp_path / "run") == 3


@UNIX
@pytest.mark.parametrize("ending", ["2>&-", pytest.param("2>/dev/full", marks=pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs /dev/full")), "2>&1 >/dev/null | head -n 1", "2>&1 | :"])
def test_a_shell_that_shows_nothing_gets_a_whole_run(tmp_path, ending):
    words = " ".join([f"'{sys.executable}' -c '{NO_FIGURES}'", *train_words(tmp_path, 20), "--json"])
    script = f"{{ {words}; echo $? >status; }} {ending} >/dev/null" if "|" not in ending else \
        f"{{ {words}; echo $? >status; }} {ending}"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env={**os.environ, "SCRATCHVAE_BACKEND": "numpy"}, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    both_gone = ending == "2>&1 | :"                       # standard output as well: 141, when all has been saved
    assert (tmp_path / "status").read_text(encoding="utf-8").strip() == ("141" if both_gone else "0")
    assert epochs_saved(tmp_path / "run") == 20
    assert (tmp_path / "run" / ".lock").read_text(encoding="utf-8").startswith("scratchvae ")    # nothing else is there


@UNIX
@pytest.mark.parametrize("ignored", [True, False], ids=["nohup", "no nohup"])
def test_a_terminal_that_goes_away_leaves_a_whole_run_or_one_to_go_on_with(capsys, tmp_path, no_figures, ignored):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    epochs = 300 if ignored else 10**6
    prepare = (lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if ignored else None
    with start(tmp_path, epochs, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=prepare,
               start_new_session=True) as process:
        os.close(theirs)
        wait_for_epochs(tmp_path / "run", 2, process)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        status = process.wait(60)
    if ignored:
        assert epochs_saved(tmp_path / "run") == epochs and status in (0, 2, 141)      # its result reached nobody
    else:
        assert status == 128 + signal.SIGHUP
    more = epochs_saved(tmp_path / "run") + 1
    assert result(capsys, "train", "--resume", "--epochs", more, "--out", tmp_path / "run")["epochs"] == more


# ---- signals

@UNIX
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(tmp_path, name):
    """As in the background of a script, where the shell has the jobs ignore Ctrl-C."""
    number = getattr(signal, name)
    with start(tmp_path, 200, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
               preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)) as process:
        wait_for_epochs(tmp_path / "run", 1, process)
        process.send_signal(number)
        assert process.wait(120) == 0
    assert epochs_saved(tmp_path / "run") == 200


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_each_ending_signal_finishes_the_step_saves_and_leaves_the_handlers_as_they_were(
        capsys, monkeypatch, tmp_path, no_figures, number):
    if number != signal.SIGINT:                            # by itself it would end the tests too
        monkeypatch.setattr(signal, "raise_signal", lambda _, real=signal.raise_signal: real(number))
    before = {each: signal.getsignal(each) for each in ENDING}
    monkeypatch.setattr("test_run_folder.INTERRUPTED", (128 + number, "--resume"))
    run = interrupted(capsys, monkeypatch, tmp_path, 6)
    assert {each: signal.getsignal(each) for each in ENDING} == before
    assert epochs_saved(run) == 1 and result(capsys, "train", "--resume", "--out", run)["epochs"] == 3


def test_a_command_in_another_thread_trains_without_handlers(tmp_path, no_figures):
    statuses, before = [], signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: statuses.append(main(train_words(tmp_path, 2))))
    thread.start()
    thread.join()
    assert statuses == [0] and epochs_saved(tmp_path / "run") == 2 and signal.getsignal(signal.SIGINT) is before


def pressing(target, number, after=False):
    """Return a stand-in for a function that is interrupted by Ctrl-C at its call `number`, before or after its work."""
    calls = []

    def stand_in(*args, **kwargs):
        calls.append(0)
        if len(calls) == number and not after:
            raise KeyboardInterrupt
        made = target(*args, **kwargs)
        if len(calls) == number:
            raise KeyboardInterrupt
        return made
    return stand_in


BEFORE_TRAINING = {"while data are loaded": "scratchvae.cli.run_folder.load_data",
                   "while the model is made": "scratchvae.cli.run_folder.Trainer",
                   "at config.json": "scratchvae.cli.run_folder.Run.write_config",
                   "at model.npz": "scratchvae.cli.run_folder.save_run",
                   "at history.csv": "scratchvae.cli.run_folder.csv.writer"}


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("where", BEFORE_TRAINING.values(), ids=BEFORE_TRAINING)
def test_ctrl_c_before_the_first_step_leaves_no_run_or_one_to_go_on_with(capsys, monkeypatch, tmp_path, no_figures,
                                                                         where, after):
    (tmp_path / "whole").mkdir()
    whole, run = trained(capsys, tmp_path / "whole", epochs=2), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(where, pressing(pkgutil.resolve_name(where), 1, after))
        status, _, err = command(capsys, *train_words(tmp_path, 2))
    assert status == 130 and "Traceback" not in err
    if Run.exists(run):
        result(capsys, "train", "--resume", "--out", run)
    else:
        result(capsys, *train_words(tmp_path, 2))
    assert bits(run) == bits(whole)


@pytest.mark.parametrize("number, after", [(1, False), (2, True), (5, False)])
def test_ctrl_c_while_figures_are_drawn_leaves_a_finished_run(capsys, monkeypatch, tmp_path, number, after):
    with monkeypatch.context() as patch:
        patch.setattr(plots, "save", pressing(plots.save, number, after))
        status, _, err = command(capsys, *train_words(tmp_path, 2), "--json")
    run = tmp_path / "run"
    assert status == 130 and err.splitlines()[-1].endswith(f"scratchvae figures {run}") and epochs_saved(run) == 2
    assert len(result(capsys, "figures", run)["file"]) == 6
    assert sorted(os.listdir(run / "figures")) == ["decoded_grid.png", "kl_per_dimension.png", "latent_plane.png",
                                                   "learning_curves.png", "reconstructions.png", "samples.png"]
    monkeypatch.setattr(Run, "draw", lambda *_: [])
    assert result(capsys, "train", "--resume", "--epochs", 3, "--out", run)["epochs"] == 3


def test_ctrl_c_in_the_very_last_step_leaves_a_finished_run(capsys, monkeypatch, tmp_path, no_figures):
    monkeypatch.setattr("test_run_folder.INTERRUPTED", (130, f"scratchvae figures {tmp_path / 'run'}"))
    run = interrupted(capsys, monkeypatch, tmp_path, 12)
    assert epochs_saved(run) == 3


# ---- scratchvae figures

def test_figures_draws_what_train_draws(capsys, tmp_path):
    run = trained(capsys, tmp_path)
    drawn = {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
    for path in (run / "figures").iterdir():
        path.unlink()
    (run / HISTORY).unlink()                               # its curves come from the checkpoint
    paths = result(capsys, "figures", run)["file"]
    assert {os.path.basename(path) for path in paths} == drawn.keys()
    assert {path.name: path.read_bytes() for path in (run / "figures").iterdir()} == drawn


@pytest.mark.parametrize("step, model", [(1, "vae"), (6, "ae")])
def test_figures_draws_a_run_that_was_stopped_anywhere(capsys, monkeypatch, tmp_path, step, model):
    run = interrupted(capsys, monkeypatch, tmp_path, step, model=model)
    names = {os.path.basename(path) for path in result(capsys, "figures", run)["file"]}
    assert "reconstructions.png" in names and ("learning_curves.png" in names) == (step >= 4)


def test_figures_of_a_model_that_was_saved_without_its_training_are_refused(capsys, tmp_path, no_figures):
    run = trained(capsys, tmp_path)
    Run.open(run).load_model()[0].save(run / MODEL)
    refused(capsys, "no history of a training", "figures", run)
    assert json.loads((run / "config.json").read_text(encoding="utf-8"))["epochs"] == 2
