"""Displays that fail while a run trains: closed, full, gone, unable to write the letters; each run must be whole."""
import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import termios
from pathlib import Path

from .kills import arrays_of, quietly, same
from .verdict import train_command, Verdict

SETTINGS = ["--data", "digits", "--hidden", 16, "--latent", 3, "--batch-size", 400, "--epochs", 30]
SHELL = {                           # name: (what follows the command in a shell, encoding, wanted status)
    "no standard error": ("2>&-", "", 0), "standard error full": ("2>/dev/full", "", 0),
    "nobody reads standard error": ("2>&1 >/dev/null | :", "", 0),
    "one line is read": ("2>&1 >/dev/null | head -n 1", "", 0),
    "no standard output": (">&-", "", 0), "standard output full": (">/dev/full", "", 2),
    "nobody reads standard output": ("| :", "", 141), "nobody reads either": ("2>&1 | :", "", 141),
    "none of the three": ("<&- >&- 2>&-", "", 0), "ASCII alone": ("", "ascii", 0),
    "cp1252 alone": ("", "cp1252:strict", 0)}
TERMINALS = {"a terminal of 20 columns": (False, None, 0),
             "a terminal that is closed": (True, None, 128 + signal.SIGHUP),
             "the same after nohup": (True, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), None)}


def in_shell(words, ending, encoding, folder):
    """Run a command in a shell that ends its line with `ending`; return its exit status."""
    script = f"{{ {shlex.join(words)}; echo $? >{shlex.quote(str(folder / 'status'))}; }} {ending}"
    subprocess.run(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                   env={**os.environ, **({"PYTHONIOENCODING": encoding} if encoding else {})})
    return int((folder / "status").read_text(encoding="utf-8"))


def on_terminal(words, closes, prepare):
    """Run a command on a terminal of 20 columns that may be closed after the first letters; return its exit status."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 10, 20, 0, 0))
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=prepare,
                          start_new_session=True) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:                                # Linux: the other side has closed
                break
            seen += piece
            if not piece or closes and b"epoch" in seen:
                break
        os.close(ours)
        if closes:
            process.send_signal(signal.SIGHUP)
    return process.returncode


def run(folder):
    """The trial: every display in turn; what was ended by it is resumed."""
    whole = folder / "whole"
    subprocess.run(train_command(*SETTINGS, "--out", whole), capture_output=True, check=True)
    wanted, faults = arrays_of(whole), []
    for name in [*SHELL, *TERMINALS]:
        place = Path(folder, name)
        place.mkdir()
        out = place / "run-\u03b2"                         # a letter that not every encoding has
        words = train_command(*SETTINGS, "--out", out)
        if name in SHELL:
            *how, status = SHELL[name]
            got = in_shell(words, *how, place)
        else:
            *how, status = TERMINALS[name]
            got = on_terminal(words, *how)
        said = ""
        if name == "a terminal that is closed":
            said = quietly("train", "--resume", "--out", out)[1]
        figures = status != 0 or len(list((out / "figures").glob("*.png"))) >= 5
        if status not in (got, None) or not figures or not same(arrays_of(out), wanted):
            faults.append(f"{name}: status {got}, wanted {status}; {said[-200:]}")
    tried = len(SHELL) + len(TERMINALS)
    return Verdict("displays that fail", f"{tried - len(faults)} of {tried} leave a whole run and the right exit "
                   "status", str(tried), not faults, {"tried": tried, "faults": faults})
