"""`scratchvae explain`: any tag or word of the derivation, its lines, tests, chapter, and a number checked now."""
from argparse import Namespace

from ..explain import explain
from .parser import add_command
from .screen import print_filled, print_text

MOST = 12               # lines of code, or tests, that are shown; --json has all


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "explain", run, "a tag or word: its formula, lines, tests, chapter, faults, and a "
                         "number checked now", "E7")
    parser.add_argument("word", metavar="TAG or WORD", help="for example E7, T17, F21, nats, missing_half, d_mu")


def _part(title, lines):
    if lines:
        print(f"\n{title}")
        for line in lines[:MOST]:
            print_filled(line, "  ", "      ")
        if len(lines) > MOST:
            print(f"  and {len(lines) - MOST} more (--json has all)")


def run(args: Namespace) -> tuple[dict, int]:
    """Look it up and print what is known."""
    found = explain(args.word)
    leads = "" if found.tag in (found.word, "") else f"leads to {found.tag}"
    print_filled("; ".join(filter(None, (found.meaning.rstrip("."), leads))) or "an equation", f"{found.word}: ", "  ")
    if found.formula and found.formula != found.meaning:
        print_text(found.formula, is_prose=False)
    if found.derivation:
        print_text(found.derivation)
    _part("derived and computed in", found.lines)
    _part("tested in", found.tests)
    _part("faults that break it", [", ".join(found.faults)] if found.faults else [])
    _part("checked now", [found.number] if found.number else [])
    print()
    if found.chapter:
        print_filled(f"Chapter: python -m demos.{found.chapter}")
    if found.exercise:
        print_filled(f"Write it yourself: scratchvae practice next {found.exercise.split(', ')[0]}")
    return found._asdict(), 0
