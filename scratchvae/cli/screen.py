"""What commands print: standard streams that take any text, and a line in place that fits the terminal."""
import io
import os
import re
import sys
import textwrap
from contextlib import suppress
from typing import TextIO

WIDEST = 100            # most columns of text and of plain lines: longer ones are hard to read
INDENT = 6              # most columns before a formula that is broken into lines
TAG = re.compile(r" {3,}(?=\(\w\d[^()]*\)$)")         # the blanks before an equation's tag at the end of a line
_in_place = 0           # columns of the unfinished line in place on the terminal, 0 if there is none


def open_streams() -> None:
    """Let the standard streams take any text: what they cannot encode is escaped, and a closed one drops all text."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):     # `>&-`, or a program without a console
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))   # in order, so that each gets its number
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams() -> OSError | None:
    """Write out what was printed, and return the OSError that kept it from standard output, or None.

    A stream that failed drops all text from then on: Python flushes it once more when it ends.
    """
    failure = None
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            failure = error if stream is sys.stdout else None
            _lead_nowhere(stream)
    return failure


def _lead_nowhere(stream):
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:      # closed, or no file
        os.dup2(nowhere.fileno(), stream.fileno())


def show(text: str, stream: TextIO) -> bool:
    """Write text to a stream at once and return whether that worked; a display that fails must not end the work.

    A stream that nobody reads, or whose disk is full, drops all text from then on.
    """
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        _lead_nowhere(stream)
        return False
    return True


def columns(stream: TextIO) -> int:
    """Return how many columns the terminal behind a stream has; 80 where that is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):          # no terminal, no file, or a closed stream
        return 80


def say(text: str) -> None:
    """Print a line on standard error, below a line in place; it is dropped if the stream fails."""
    end_line()
    show(f"{text}\n", sys.stderr)


def width() -> int:
    """Return how wide text is printed."""
    return max(40, min(columns(sys.stdout), WIDEST))


def print_text(text: str, is_prose: bool = True) -> None:
    """Print paragraphs two columns in, a blank line before each; one that is too wide is filled anew.

    Lines that begin with blanks or have columns are no prose: they are filled one by one.
    """
    for paragraph in text.split("\n\n"):
        print()
        lines, further = paragraph.split("\n"), INDENT
        if max(map(len, lines)) > width() - 2:
            lines = [TAG.sub("  ", line) for line in lines]
            if is_prose and not any(line[:1] == " " or "   " in line for line in lines):
                lines, further = [" ".join(lines)], 0
        for line in lines:
            if len(line) > width() - 2:
                start = "  " + " " * min(len(line) - len(line.lstrip()), INDENT)
                print_filled(line.strip(), start, start + " " * further)
            else:
                print(f"  {line}".rstrip())


def print_filled(text: str, first: str = "", rest: str = "") -> None:
    """Print a paragraph as wide as the terminal; its first line begins with `first`, the others with `rest`.

    A path or a flag stays whole, also where it is longer than that.
    """
    print(textwrap.fill(text, width(), initial_indent=first, subsequent_indent=rest,
                        break_long_words=False, break_on_hyphens=False))


def show_in_place(stream: TextIO, line: str) -> bool:
    """Replace the line in place on a terminal, and return whether the stream took it.

    The line is cut one column before the edge, where some consoles begin the next line.  Blanks cover the rest of the
    last line, because old consoles know no sequence that clears one.
    """
    global _in_place
    line = line[:columns(stream) - 1]
    last, _in_place = _in_place, len(line)
    return show(f"\r{line.ljust(min(last, columns(stream) - 1))}", stream)


def end_line() -> None:
    """Finish the line in place, if there is one, so that the next text begins below it."""
    global _in_place
    if _in_place:
        _in_place = 0
        show("\n", sys.stderr)
