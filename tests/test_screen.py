"""What commands print: it fits the terminal, takes any name, and whoever reads it may leave at any time."""
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.cli import main as command_line
from scratchvae.cli import screen
from scratchvae.cli.main import main
from scratchvae.cli.progress import FetchProgress, Progress

QUICK = ["train", "--data", "digits", "--hidden", "8", "--latent", "3", "--epochs", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main([*QUICK, "--out", str(folder)]) == 0
    return folder


# Every command as quick as it can be; RUN stands for a run's folder, NEW for one that is not there yet.
COMMANDS = [[*QUICK, "--out", "NEW"], ["evaluate", "RUN", "--importance-samples", "2"], ["sample", "RUN"],
            ["reconstruct", "RUN"], ["traverse", "RUN"], ["attribute", "RUN", "--attribute", "3"], ["gradcheck", "RUN"],
            ["bugs"], ["lambda", "--data", "digits", "--betas", "0.01,1", "--epochs", "1", "--hidden", "4"],
            ["data", "list"], ["data", "list", "--json"], ["--help"], ["train", "--help"]]


def placed(words, run, tmp_path):
    return [{"RUN": str(run), "NEW": str(tmp_path / "new")}.get(word, word) for word in words]


def after_the_end(stream):
    """What Python does when the program ends, which must not fail: write out what is left."""
    stream.flush()
    stream.close()


# ---- whoever reads may leave, and a disk may be full ---------------------------------------------------------------


def unread_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a file that is always full")
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("opened, status, said", [(unread_pipe, 141, ""), (full_disk, 2, "No space left on device")])
def test_output_that_nobody_takes_ends_quietly(capsys, monkeypatch, run, tmp_path, words, opened, status, said):
    monkeypatch.chdir(tmp_path)
    stream = open(opened(), "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(placed(words, run, tmp_path)) == status
    after_the_end(stream)
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == bool(said) and said in "".join(errors)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_without_a_console_does_its_work(monkeypatch, run, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(placed(words, run, tmp_path)) == 0
    assert words[0] != "train" or "--help" in words or (tmp_path / "new" / "figures" / "samples.png").exists()
    sys.stdout.close()
    sys.stderr.close()


def test_what_was_written_in_one_piece_to_a_closed_pipe_ends_a_command_quietly(monkeypatch, capsys):
    """More than a buffer holds is written at once, and nothing is left to flush that would fail again."""
    monkeypatch.setattr(command_line, "_run", lambda args: print("x" * 1_000_000))
    stream = open(unread_pipe(), "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["data", "list"]) == 141
    after_the_end(stream)
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_of_windows_is_a_closed_pipe(monkeypatch, capsys):
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(errno.EINVAL, "Invalid argument")
    monkeypatch.setattr(command_line, "CLOSED", (errno.EPIPE, errno.EINVAL))
    monkeypatch.setattr(sys, "stdout", Closed())
    assert main(["data", "list"]) == 141
    assert capsys.readouterr().err == ""


def test_a_name_that_windows_refuses_is_no_closed_pipe(monkeypatch, capsys):
    def refuse(args):
        raise OSError(errno.EINVAL, "Invalid argument", "a?b.npz")
    monkeypatch.setattr(command_line, "CLOSED", (errno.EPIPE, errno.EINVAL))
    monkeypatch.setattr(command_line, "_run", refuse)
    assert main(["data", "list"]) == 2
    assert "a?b.npz" in capsys.readouterr().err


def test_an_error_keeps_its_status_and_its_line_where_the_output_is_lost(monkeypatch, capsys):
    stream = open(unread_pipe(), "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["evaluate", "nowhere"]) == 2
    after_the_end(stream)
    assert "nowhere holds no run" in capsys.readouterr().err


@pytest.mark.parametrize("shell, status, unbuffered", [
    ("{} data list --json | true; exit ${{PIPESTATUS[0]}}", 141, ""),
    ("{} train --help | true; exit ${{PIPESTATUS[0]}}", 141, ""),
    ("{} train --help | true; exit ${{PIPESTATUS[0]}}", 141, "1"), ("{} data list > /dev/full", 2, ""),
    ("{} data list > /dev/full", 2, "1"), ("{} data list >&-", 0, ""), ("{} data list >&- 2>&-", 0, ""),
    ("{} evaluate nowhere 2>/dev/full", 2, ""), ("{} trian 2>&-", 2, "")])
def test_a_process_ends_as_its_command_does(shell, status, unbuffered):
    """Also the last flush, which Python itself does."""
    if "/dev/full" in shell and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a file that is always full")
    bash = shutil.which("bash") or pytest.skip("needs bash")
    ended = subprocess.run([bash, "-c", shell.format(f"'{sys.executable}' -m scratchvae")], capture_output=True,
                           text=True, env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr
    assert len(ended.stderr.splitlines()) == (status == 2 and "2>" not in shell)


# ---- names that the terminal cannot show ---------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("name", ["L\u00e4ufe \u4e2d\u6587 \U0001f600", "lone \udcff byte"], ids=["letters", "byte"])
def test_a_folder_may_have_a_name_that_the_terminal_cannot_show(monkeypatch, tmp_path, encoding, name):
    folder = tmp_path / name
    try:
        folder.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    for words in ([*QUICK, "--out", str(folder), "--json"], ["sample", str(folder), "--json"],
                  ["evaluate", str(folder / "none")]):
        streams = {}
        for stream in ("stdout", "stderr"):
            streams[stream] = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
            monkeypatch.setattr(sys, stream, streams[stream])
        status = main(words)
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())
        assert status == 2 * (words[0] == "evaluate")
        if status:
            assert "holds no run" in err and len(err.splitlines()) == 1
        else:
            said = json.loads(out.splitlines()[-1])
            assert out.isascii() or encoding != "ascii"
            assert name in (said.get("run") or said["file"])


# ---- a line in place, and tables -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal of some width that begins the next row when one is full, and whose old kind knows no sequences."""

    def __init__(self, width):
        super().__init__()
        self.width, self.rows, self.at = width, [""], 0

    def isatty(self):
        return True

    def write(self, text):
        assert "\x1b" not in text
        for letter in text:
            if letter == "\r":
                self.at = 0
            elif letter == "\n" or self.at == self.width:
                self.rows.append("")
                self.at = 0
            if letter not in "\r\n":
                row = self.rows[-1].ljust(self.at)
                self.rows[-1] = row[:self.at] + letter + row[self.at + 1:]
                self.at += 1
        return len(text)


@pytest.fixture
def terminal(monkeypatch):
    """Make standard error a terminal of some width."""
    def make(width):
        made = Terminal(width)
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setattr(screen, "columns", lambda stream: width)
        monkeypatch.setattr("scratchvae.cli.progress.columns", lambda stream: width)
        monkeypatch.setattr(screen, "_in_place", 0)
        return made
    return make


def trainer(epoch, loss, test_loss):
    row = SimpleNamespace(epoch=epoch, train_loss=loss, train_reconstruction=0.8 * loss, train_kl=0.2 * loss,
                          test_loss=test_loss)
    state = SimpleNamespace(epoch=epoch, batch=7, history=[row], totals=(loss, loss, loss))
    return SimpleNamespace(state=state, batches=40, batch_size=128, x=np.zeros(5000))


@pytest.mark.parametrize("width", [2, 10, 40, 80, 200])
def test_a_line_in_place_is_one_row_of_any_terminal_and_leaves_nothing_behind(terminal, width):
    shown = terminal(width)
    progress = Progress(1000)
    for epoch, loss, test_loss in ((1, 1e9, 1e9), (2, 105.3, 106.0), (1000, 3.0, np.nan), (999, -12345.678, -1e4)):
        progress.shown = 0.0
        progress.after_step(trainer(epoch, loss, test_loss), None)
        progress.after_epoch(trainer(epoch, loss, test_loss))
        assert len(shown.rows) == 1 and len(shown.rows[0]) < width
        assert f"epoch {epoch:4d}/1000  loss {loss:.2f}"[:width - 1] in shown.rows[0]
    progress.close()
    assert len(shown.rows) == 2 and shown.rows[1] == ""
    for line in ("long " * 60, "short", "a little longer"):
        screen.show_in_place(shown, line)
        assert shown.rows[1:] == [line[:width - 1].ljust(len(shown.rows[1]))]


@pytest.mark.parametrize("width, parts", [(40, ["loss", "left"]), (80, ["loss", "KL", "held-out", "left"]),
                                          (200, ["loss", "reconstruction", "KL", "held-out", "steps/s", "left"])])
def test_a_wider_terminal_shows_more_of_the_training(terminal, width, parts):
    shown = terminal(width)
    progress = Progress(50)
    progress.after_step(trainer(12, 105.3, 106.0), None)
    progress.after_epoch(trainer(12, 105.3, 106.0))
    assert [word for word in ("loss", "reconstruction", "KL", "held-out", "steps/s", "left")
            if word in shown.rows[0]] == parts


def test_a_line_states_a_sum_only_where_it_is_one(terminal):           # not of a bound, nor with a weight of the KL
    shown = terminal(100)
    progress, model = Progress(50), trainer(12, 100.0, 106.0)
    progress.after_step(model, None)
    progress.after_epoch(model)
    assert "loss 100.00 = reconstruction 80.00 + KL 20.00" in shown.rows[-1]
    progress.after_epoch(SimpleNamespace(**{**vars(model), "state": SimpleNamespace(**{
        **vars(model.state), "history": [SimpleNamespace(**{**vars(model.state.history[0]), "train_loss": 90.0})]})}))
    assert "loss 90.00: reconstruction 80.00, KL 20.00" in shown.rows[-1]
    progress._show(model, 12, 80.0, 80.0, -1e-9)
    assert "loss 80.00 = reconstruction 80.00 + KL 0.00" in shown.rows[-1]              # of rounding, not of sign


@given(st.integers(1, 10**6), st.floats(-1e9, 1e9), st.floats(allow_infinity=True))
def test_a_line_in_a_pipe_has_at_most_100_columns(epoch, loss, test_loss):
    progress, pipe = Progress(10**6), io.StringIO()
    progress.in_place, progress.stream = False, pipe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", pipe)
        progress.after_step(trainer(epoch, loss, test_loss), None)
        progress.after_epoch(trainer(epoch, loss, test_loss))
    line, = pipe.getvalue().splitlines()
    assert len(line) <= 100 and line.startswith(f"epoch {epoch:7d}/1000000  loss {loss:.2f}")


@pytest.mark.parametrize("width", [20, 40, 80])
def test_fetching_is_one_row_a_file(terminal, width):
    shown = terminal(width)
    progress = FetchProgress()
    for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        for done in (0, 5_000_000, 9_912_422):
            progress.shown = 0.0
            progress(name, done, 9_912_422)
    assert [row.rstrip() for row in shown.rows] == [
        f"   9.9 of 9.9 MB  {name}"[:width - 1] for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    ] + [""]


@pytest.mark.parametrize("seconds, shown", [(0.4, "0:00"), (65, "1:05"), (3599.9, "59:59"), (3600, "1:00:00"),
                                            (100_000, "27:46:40")])
def test_the_time_left_is_a_clock(terminal, seconds, shown):
    from scratchvae.cli.progress import _clock
    assert _clock(seconds) == shown


def test_an_error_and_an_interruption_begin_on_a_line_of_their_own(terminal, monkeypatch, tmp_path):
    shown = terminal(80)
    wild = ["--likelihood", "gaussian", "--learning-rate", "1e30"]
    with np.errstate(all="ignore"):
        assert main([*QUICK, *wild, "--out", str(tmp_path / "run")]) == 2
    assert shown.rows[0].startswith("epoch 1/1  loss ")
    assert shown.rows[1].startswith("scratchvae train: error: the loss")

    def interrupt(progress, trainer):
        raise KeyboardInterrupt
    monkeypatch.setattr(Progress, "after_epoch", interrupt)
    shown = terminal(80)
    assert main([*QUICK, "--out", str(tmp_path / "other")]) == 130
    assert shown.rows[0].startswith("epoch ") and shown.rows[1:] == ["scratchvae train: interrupted", ""]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_80_columns_and_text_the_terminal(capsys, monkeypatch, run, tmp_path, width):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "columns", lambda stream: width)
    for words in (["bugs"], ["lambda", "--data", "digits", "--betas", "0.01,1", "--epochs", "1", "--hidden", "4"],
                  ["data", "list"], ["gradcheck", str(run)], ["evaluate", str(run), "--importance-samples", "2"]):
        assert main(words) == 0
        for line in capsys.readouterr().out.splitlines():
            if " " in line and not any(str(path) in line for path in (Path.home(), tmp_path, run)):
                assert len(line) <= (min(width, 100) if words == ["bugs"] else max(80, min(width, 100))), line


@pytest.mark.parametrize("words", [*(["explain", tag] for tag in ("E6", "E7", "F4", "L3", "S9", "O2", "T16")), *(
    ["practice", "next", name] for name in ("kl_discrete", "forward", "train"))], ids=" ".join)
def test_formulas_and_exercises_fit_the_terminal(capsys, monkeypatch, tmp_path, words):
    """Only a path, or a name of a test, may be longer than a line; a wide terminal shows lines as they were written."""
    monkeypatch.chdir(tmp_path)
    assert main(["practice", "start"]) == 0
    shown = {}
    for width in (40, 100):
        monkeypatch.setattr(screen, "columns", lambda stream, width=width: width)
        capsys.readouterr()
        assert main(words) == 0
        shown[width] = capsys.readouterr().out
        assert not any(len(line) > width and len(line.split()) > 1 for line in shown[width].splitlines())
    assert "".join(shown[40].split()) == "".join(shown[100].split())


def test_a_long_path_stays_whole_in_a_paragraph(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SCRATCHVAE_DATA", str(tmp_path / ("long-" * 20)))
    assert main(["data", "list"]) == 0
    assert str(tmp_path / ("long-" * 20)) in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [40, 80])
def test_a_real_terminal_gets_its_width(tmp_path, width):
    pty, termios = pytest.importorskip("pty", reason="needs a pseudo-terminal"), pytest.importorskip("termios")
    arguments = [sys.executable, "-m", "scratchvae", *QUICK[:-1], "3", "--out", str(tmp_path / "run")]
    reading, writing = pty.openpty()
    termios.tcsetwinsize(writing, (24, width)) if hasattr(termios, "tcsetwinsize") else pytest.skip("Python 3.11")
    with subprocess.Popen(arguments, stderr=writing, stdout=subprocess.DEVNULL) as process:
        os.close(writing)
        shown = b""
        while True:
            try:
                piece = os.read(reading, 4096)
            except OSError:                       # Linux says so when the other side has closed
                break
            if not piece:
                break
            shown += piece
    os.close(reading)
    assert process.returncode == 0
    lines = re.split(r"[\r\n]+", shown.decode().strip())
    assert len([line for line in lines if line.startswith("epoch")]) >= 3
    assert max(map(len, lines)) < width and b"\x1b" not in shown
