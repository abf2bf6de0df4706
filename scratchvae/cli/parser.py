"""What the commands share: a parser whose errors take one line, the flags of every command, results as JSON."""
import argparse
import json
import math

import numpy as np

from ..errors import ConfigurationError, RunError
from ..validation import file_path


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message):
        """Say what is wrong and leave with status 2."""
        self.exit(2, f"{self.prog}: error: {message}. See {self.prog} --help.\n")


def add_command(commands, name, run, help_text):
    """Add a command with the flags that all have, and return its parser.

    Parameters
    ----------
    commands : argparse action
        What `cli.build_parser` gives to each command's `add`.
    name : str
        The word on the command line.
    run : callable
        run(args) -> (result, status): a dict that `--json` prints, and the exit status.
    help_text : str
        What the command does, in one phrase.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="end standard output with one JSON object")
    parser.add_argument("--threads", type=int, metavar="T", help="threads to use; all cores if absent")
    return parser


def add_run_command(commands, name, run, help_text):
    """Add a command on a run folder, `args.folder`, and return its parser; parameters as in `add_command`."""
    parser = add_command(commands, name, run, help_text)
    parser.add_argument("folder", metavar="RUN", help="a folder that `scratchvae train` wrote")
    return parser


def figure_path(name):
    """Return where a figure goes, its folder made; raises RunError or ConfigurationError if that cannot be."""
    path = file_path("--figure", name)
    if path.is_dir() or path.suffix.lower() != ".png":
        raise ConfigurationError(f"--figure is {name!r}; expected a file's name that ends in .png. "
                                 "Pass for example figure.png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} cannot be made: {error.strerror}. Choose another --figure.") from error
    return path


def as_json(result):
    """Return a command's result on one line; NaN and infinity, which JSON does not hold, become null."""
    return json.dumps({name: _plain(value) for name, value in result.items()})


def _plain(value):
    """Turn NumPy's numbers and arrays into what JSON holds."""
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
