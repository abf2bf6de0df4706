"""What a trial gives back, and how it looks at processes."""
import os
import resource
import subprocess
import sys
from typing import NamedTuple


class Verdict(NamedTuple):
    """One line of the table: what was tried, what came of it, what has to, and whether it did."""

    trial: str
    result: str
    wanted: str
    ok: bool
    figures: dict


def status_kb(field, pid="self"):
    """Return a line of /proc/PID/status (VmRSS, RssAnon, ...) in kB."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def peak_mb():
    """Return the most memory that this process has had resident so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train_command(*arguments):
    """Return the words that start `scratchvae train` in a process of its own."""
    return [sys.executable, "-m", "scratchvae", "train", *map(str, arguments)]


def start(words, **environment):
    """Start a process, its standard error in a pipe."""
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                            env={**os.environ, **environment})
