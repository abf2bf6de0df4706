"""What the commands that make a page share: --out, --open, and writing the file."""
import webbrowser
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..storage.atomic import write_atomically
from .screen import say


def add_page_flags(parser: ArgumentParser, out: str) -> None:
    """Add --out, whose default is `out`, and --open."""
    parser.add_argument("--out", metavar="FILE", default=out, help=f"where the page goes; default: {out}")
    parser.add_argument("--open", action="store_true", help="show the page in the browser")


def write_page(html: str, path: Path, args: Namespace) -> tuple[dict, int]:
    """Write a page, print its path, open it if --open says so, and return what a command returns."""
    write_atomically(path, lambda file: file.write(html.encode()))
    print(path)
    if args.open and not webbrowser.open(path.resolve().as_uri()):
        say(f"No browser was found. Open {path} in one.")
    return {"file": str(path)}, 0
