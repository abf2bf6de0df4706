"""What commands say and where it goes: streams that take any text, a line in place that fits the terminal."""
import io
import os
import sys
import textwrap
from contextlib import suppress

WIDEST = 100            # columns of text and of plain lines: longer ones are hard to read
_in_place = 0           # columns of the line in place that stands unfinished on the terminal


def open_streams():
    """Let the standard streams take any text: what they cannot encode is escaped, and a closed one takes it nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):     # `>&-`, or a program without a console
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))   # in this order each gets its own number
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush_streams():
    """Write out what was printed, and return the OSError that kept it from standard output, or None.

    A stream that failed leads nowhere from then on: when Python ends, it flushes once more.
    """
    failures = []
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
            failures.append(None)
        except OSError as error:
            failures.append(error)
            _lead_nowhere(stream)
    return failures[-1]


def _lead_nowhere(stream):
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:         # one that is closed or has no file
        os.dup2(nowhere.fileno(), stream.fileno())


def show(text, stream):
    """Write text to a stream at once, and return whether it took it: what is shown must never end what is done.

    There may be nobody who reads it, or no room in its file; it leads nowhere from then on.
    """
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        _lead_nowhere(stream)
        return False
    return True


def columns(stream):
    """Return how many columns the terminal behind a stream has; 80 where that is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):          # no terminal; no file at all; a stream without a file
        return 80


def say(text):
    """Print a line on standard error, below a line in place; it is lost if nobody can take it."""
    end_line()
    show(f"{text}\n", sys.stderr)


def print_filled(text, first="", rest=""):
    """Print a paragraph as wide as the terminal, its first line after `first`, the others after `rest`."""
    print(textwrap.fill(text, max(40, min(columns(sys.stdout), WIDEST)), initial_indent=first, subsequent_indent=rest))


def show_in_place(stream, line):
    """Show a line of a terminal in the place of the last one, and return whether the stream took it.

    It is cut one column short of the edge, where some consoles begin the next line, and blanks cover what the last
    one leaves: old consoles know no sequence that clears a line.
    """
    global _in_place
    line = line[:columns(stream) - 1]
    last, _in_place = _in_place, len(line)
    return show(f"\r{line.ljust(min(last, columns(stream) - 1))}", stream)


def end_line():
    """Finish the line in place, if there is one: what is printed next begins below it."""
    global _in_place
    if _in_place:
        _in_place = 0
        show("\n", sys.stderr)
