"""What the commands share: a parser whose errors take one line, common flags, results as JSON."""
import argparse
import difflib
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigurationError, RunError

# Names in Python whose flags have other names.
LIBRARY = {"n_latent": "latent", "n_samples": "samples", "steps": "schedule_steps"}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line and suggest a word, and whose help fits 80 columns."""

    def __init__(self, **options: Any) -> None:
        def formatter(prog):
            return argparse.HelpFormatter(prog, width=min(80, shutil.get_terminal_size().columns) - 2)
        super().__init__(allow_abbrev=False, formatter_class=formatter, **options)

    def error(self, message: str) -> None:
        """Say what is wrong and leave with status 2."""
        stop = "" if message.endswith("?") else "."
        self.exit(2, f"{self.prog}: error: {message}{stop} See {self.prog} --help.\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help; raises OSError if that fails, which argparse would ignore."""
        print(self.format_help(), end="", file=file)

    def parse_known_args(self, args: list[str] | None = None,
                         namespace: argparse.Namespace | None = None) -> tuple[Any, list[str]]:
        """Parse the words; refuse those that are no flag and no argument, in the name of the command that got them."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].split("=")[0]
            if not flag.startswith("-"):
                self.error(f"{unknown[0]!r} is one word too many")
            self.error(f"unknown flag {flag}; {_meant(flag, flags_of(self).values())}")
        return namespace, unknown

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"{value!r} is unknown; {_meant(value, action.choices)}")


def flags_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the flags of a parser by the names under which it stores their values."""
    return {action.dest: action.option_strings[-1] for action in parser._actions if action.option_strings}


def _meant(word, known):
    """Return the end of an error: the known words that are like `word`, or all of them."""
    bare = {name.strip("-"): name for name in known}
    word = word.strip("-")
    meant = [name for name in bare if name.startswith(word)] or difflib.get_close_matches(word, bare)
    if meant:
        return f"did you mean {' or '.join(bare[name] for name in meant)}?"
    return f"known are {', '.join(known)}"


def in_flags(parser: argparse.ArgumentParser, message: str) -> str:
    """Return an error of the library with its names replaced by the command's flags.

    The subject, as in "hidden is 0", names with an underscore anywhere in the message, and name=value become flags.

    Examples
    --------
    >>> parser = OneLineParser()
    >>> _ = parser.add_argument("--latent")
    >>> in_flags(parser, "n_latent is 0; it must be at least 1.")
    '--latent is 0; it must be at least 1.'
    """
    flags = flags_of(parser)
    flags |= {name: flags[flag] for name, flag in LIBRARY.items() if flag in flags}
    message = re.sub(r"(?<![^\s(])([a-z]\w*)='?(\w+)'?(?![^\s;,.)])",
                     lambda found: f"{flags[found[1]]} {found[2]}" if found[1] in flags else found[0], message)
    return re.sub(r"^\w+(?=(\[\d+\])? (is|has) )|(?<![^\s(])[a-z]+_\w+(?![^\s;,.:=)])",
                  lambda name: flags.get(name[0], name[0]), message)


def add_command(commands: object, name: str, run: Callable, help_text: str,
                example: str = "") -> argparse.ArgumentParser:
    """Add a command with the flags that all have, and return its parser.

    run(args) returns (result, status): a dict that `--json` prints, and the exit status.  `example` is what to write
    after the command's name to try it.
    """
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.epilog = f"example: {parser.prog} {example}"
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument("--json", action="store_true", help="end standard output with one JSON object")
    parser.add_argument("--threads", type=int, metavar="T", help="threads to use; all cores if absent")
    return parser


def add_run_command(commands: object, name: str, run: Callable, help_text: str,
                    example: str = "runs/mnist5k-vae") -> argparse.ArgumentParser:
    """Add a command on a run folder, `args.folder`, and return its parser."""
    parser = add_command(commands, name, run, help_text, example)
    parser.add_argument("folder", metavar="RUN", help="a folder that `scratchvae train` wrote, or mnist, "
                        "the bundled model")
    return parser


def add_image_shape(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add --image-shape, whose value is a list of ints."""
    def sides(text):
        try:
            return [int(side) for side in text.lower().split("x")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no shape; expected rows x columns, as in 28x20") from None
    parser.add_argument("--image-shape", type=sides, default=default, metavar="RxC", help="rows and columns of the "
                        "images in rows of numbers, as in 28x20, or 32x32x3 for color; squares if absent")


def add_transpose(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add --transpose, whose value is True or the default."""
    parser.add_argument("--transpose", action="store_const", const=True, default=default, help="the file holds the "
                        "columns of an image before its rows, as EMNIST does, which is known by its name")


def add_lab_flags(parser: argparse.ArgumentParser, seed_of: str, figure: str) -> None:
    """Add --seed, whose help says what it is the seed of, and --figure, whose default is `figure`."""
    parser.add_argument("--seed", type=int, default=0, help=f"seed {seed_of}; default: 0")
    parser.add_argument("--figure", metavar="FILE", default=figure, help=f"where the figure goes; default: {figure}")


def require_name(flag: str, name: str | None, default: str) -> None:
    """Raise ConfigurationError if the name of a folder is empty, which would be the present folder."""
    if name == "":
        raise ConfigurationError(f"{flag} is empty; expected the name of a folder. Leave it out for {default}.")


def out_path(flag: str, name: str, suffix: str) -> Path:
    """Return the path of a file to write, whose name ends in `suffix`, and make its folder.

    Raises RunError or ConfigurationError, in the words of the flag, if that is impossible.
    """
    path = Path(name)
    if "\0" in name or path.is_dir() or path.suffix.lower() != suffix:
        raise ConfigurationError(f"{flag} is {name!r}; expected a file's name that ends in {suffix}. "
                                 f"Pass for example {flag.strip('-')}{suffix}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} cannot be made: {error.strerror}. Choose another {flag}.") from error
    return path


def as_json(result: dict) -> str:
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
