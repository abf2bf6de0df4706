"""What every chapter of the course shares: claims, figures, the command line, and the printed table.

A chapter is a module `demos/cNN_name.py` with a `TITLE`, a docstring that says what is shown, and

    def run(settings):
        ...
        return Result(claims, figures)

    if __name__ == "__main__":
        main(run)
"""
import argparse
import ast
import hashlib
import inspect
import re
import sys
import textwrap
import time
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from scratchvae.cli.progress import note_compilation
from scratchvae.data.loading import load_data
from scratchvae.errors import RunError, ScratchVAEError
from scratchvae.plots import save
from scratchvae.source import docstring

OUT = Path("runs") / "course"
APPENDIX = "appendix: identities that hold to rounding"
COLUMNS = {"tag": 4, "claim": 48, "measured": 26, "expected": 26, "holds": 5}


class Claim(NamedTuple):
    """One row of a chapter's table.

    `tag` names a claim of the course's text, "T1" to "T23"; `measured` and `expected` are short strings with units.
    """

    tag: str
    sentence: str
    measured: str
    expected: str
    holds: bool

    @property
    def is_rounding(self):
        """Whether an error of rounding is all that was measured: such identities stand in the table's appendix."""
        return bool(re.fullmatch(r"(worst error )?-?[\d.]+e-(0[4-9]|[1-9]\d)( nats)?", self.measured))


class Result(NamedTuple):
    """What a chapter found: its claims, its figures by file stem (drawn by `scratchvae.plots`), and text to print."""

    claims: list
    figures: dict
    text: str = ""


class Settings(NamedTuple):
    """How to run a chapter: `quick` for a few seconds, `seed` of all its randomness, `data` a folder of full MNIST."""

    quick: bool = False
    seed: int = 0
    data: str | None = None

    def images(self, quick="mnist5k"):
        """Return the Dataset of digit images that claims on real data use: --data if it was given, or a bundled one."""
        return load_data(self.data or (quick if self.quick else "mnist5k"))

    def epochs(self, data, quick_rows, rows):
        """Return the epochs in which training sees about so many rows: the same time, however large the data set."""
        return max(1, round((quick_rows if self.quick else rows) / len(data.train)))


def arguments(description):
    """Read --quick, --out, --seed and --data from the command line; return (Settings, folder)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller runs of the same: seconds a chapter")
    parser.add_argument("--out", metavar="DIR", type=Path, default=OUT, help=f"where figures go (default {OUT})")
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="of all randomness (default 0)")
    parser.add_argument("--data", metavar="PATH", help="folder of the full MNIST; the bundled mnist5k otherwise")
    given = parser.parse_args()
    return Settings(given.quick, given.seed, given.data), given.out


def _seed(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def main_and_appendix(claims):
    """Return the claims in the order of the table; None stands where the appendix begins, if there is one."""
    appendix = [claim for claim in claims if claim.is_rounding]
    return [claim for claim in claims if not claim.is_rounding] + [None] * bool(appendix) + appendix


def table(claims):
    """Return the claims as text: one row a claim, cells wrapped to their column."""
    widths = list(COLUMNS.values())
    lines = ["  ".join(f"{name:{width}}" for name, width in COLUMNS.items()).rstrip(),
             "  ".join("-" * width for width in widths)]
    for claim in main_and_appendix(claims):
        if claim is None:
            lines.append(APPENDIX)
            continue
        cells = map(textwrap.wrap, (*claim[:4], "yes" if claim.holds else "NO"), widths)
        for row in zip_longest(*cells, fillvalue=""):
            lines.append("  ".join(f"{text:{width}}" for text, width in zip(row, widths)).rstrip())
    return "\n".join(lines)


def fingerprint(module):
    """Return a hash of the code that draws a chapter's figures: its own, and that of the rooms of plots that it uses.

    Comments, docstrings and claims do not count, and neither does this module.
    """
    found, new = {}, [module]
    while new:
        one = new.pop()
        found[one.__file__] = "".join(_skeleton(ast.parse(Path(one.__file__).read_text(encoding="utf-8"))))
        used = (value if inspect.ismodule(value) else sys.modules.get(getattr(value, "__module__", None))
                for value in vars(one).values())
        new += {other for other in used if other and other.__name__.startswith(("demos.", "scratchvae.plots"))
                and other.__name__ != "demos.course" and other.__file__ not in found}
    return hashlib.sha256("".join(found[path] for path in sorted(found)).encode()).hexdigest()[:16]


def _skeleton(node):
    """Yield the kinds and values of a syntax tree, in one form for every version of Python."""
    if isinstance(node, list):
        for item in node:
            if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)):
                yield from _skeleton(item)
    elif isinstance(node, ast.AST) and getattr(getattr(node, "func", None), "id", "") != "Claim":
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value not in (None, []):
                yield name
                yield from _skeleton(value)
        yield ")"
    elif not isinstance(node, ast.AST):
        yield repr(node)


def perform(module, settings, folder):
    """Run the chapter in `module`: print its table, save its figures in `folder`; return (Result, their paths)."""
    name = Path(module.__file__).stem
    print(f"{name}: {module.TITLE}\n", flush=True)
    start = time.monotonic()
    result = module.run(settings)
    if result.text:
        print(result.text + "\n")
    print(table(result.claims))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: no such folder can be made ({error.strerror}). Choose another with --out.") \
            from error
    paths = [folder / f"{name.split('_')[0]}_{stem}.png" for stem in result.figures]
    source = fingerprint(module)
    for path, figure in zip(paths, result.figures.values()):
        save(figure, path, source)
        print(f"figure {path}")
    print(f"{time.monotonic() - start:.1f} s", file=sys.stderr)
    return result, paths


def failures(result):
    """Return the number of claims that do not hold."""
    return sum(not claim.holds for claim in result.claims)


def main(run):
    """Run one chapter from the command line; exit 1 if a claim does not hold, 2 for bad input."""
    module = inspect.getmodule(run)
    settings, folder = arguments(f"{module.TITLE}\n\n{docstring(module)}")
    note_compilation()
    try:
        result, _ = perform(module, settings, folder)
    except ScratchVAEError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    sys.exit(1 if failures(result) else 0)
