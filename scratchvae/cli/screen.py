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
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:                                 # `>&-`, or a program without a console
            nowhere = os.open(os.devnull, os.O_WRONLY)     # takes the number that no data file may get, and stays open
            setattr(sys, name, open(nowhere, "w", encoding="utf-8", closefd=False))
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


def columns(stream):
    """Return how many columns the terminal behind a stream has; 80 where that is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):          # no terminal; no file at all; a stream without a file
        return 80


def show(text, name="stderr"):
    """Write text to standard error, or to "stdout", below a line in place; return whether that took it.

    Whether it did ends nothing: there may be no such stream (pythonw, `2>&-`), or nobody who reads it, or no room in
    its file.
    """
    end_line()
    return _write(text, name)


def _write(text, name="stderr"):
    stream = getattr(sys, name)
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        with suppress(OSError, ValueError, AttributeError):
            if stream.fileno() in (1, 2):                  # what is buffered would fail again when the process ends
                _lead_nowhere(stream)
        return False
    return True


def _lead_nowhere(stream):
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def print_filled(text, first="", rest=""):
    """Print a paragraph as wide as the terminal, its first line after `first`, the others after `rest`."""
    print(textwrap.fill(text, max(40, min(columns(sys.stdout), WIDEST)), initial_indent=first, subsequent_indent=rest))


def show_in_place(line):
    """Show a line on the terminal behind standard error, in the place of the last one; return whether that took it.

    It is cut one column short of the edge, where some consoles begin the next line, and blanks cover what the last
    one leaves: old consoles know no sequence that clears a line.
    """
    global _in_place
    room = columns(sys.stderr) - 1
    line, before, _in_place = line[:room], min(_in_place, room), len(line[:room])
    return _write(f"\r{line.ljust(before)}")


def end_line():
    """Finish the line in place, if there is one: what is printed next begins below it."""
    global _in_place
    if _in_place:
        _in_place = 0
        _write("\n")
