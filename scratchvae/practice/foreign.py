"""Running somebody else's function: whatever it does, it ends in a value or in one sentence."""
import contextlib
import io
import signal
import threading
import time
import traceback
import warnings
from _thread import interrupt_main
from pathlib import Path
from typing import Any

import numpy as np

from .exercise import EXERCISES

SECONDS = 5.0           # after which a function is taken to loop without end


def as_sentence(text: str) -> str:
    """Return the text with a capital, unless it begins with a name, and one mark at its end.

    Examples
    --------
    >>> as_sentence("it is 0"), as_sentence("sample is 0?")
    ('It is 0.', 'sample is 0?')
    """
    names = {"sigma", *EXERCISES, *(name for exercise in EXERCISES.values() for name in exercise.parameters)} - {"a"}
    first = text.split()[0] if text else ""
    start = text[:1].upper() if first.isalpha() and first.islower() and first not in names else text[:1]
    return start + text[1:] + ("" if text.endswith(("?", ".")) else ".")


class Unlike(Exception):
    """An answer is not built as it should be: the sentence says how."""


class Attempt:
    """A with block for foreign code: afterwards `failure` is a sentence, or "", and `said` what it printed.

    Everything that the code raises ends here, SystemExit too; Ctrl-C does not.  With `seconds` 0 it may take any time.

    Examples
    --------
    >>> with Attempt("d_mu") as attempt:
    ...     1 / 0
    >>> attempt.failure
    'd_mu stops with ZeroDivisionError: division by zero'
    """

    def __init__(self, name: str, file: str | Path = "", seconds: float = SECONDS) -> None:
        self.name, self.file, self.seconds, self.failure, self.said = name, str(file), seconds, "", ""
        self.late = False

    def __enter__(self) -> "Attempt":
        self.stack = contextlib.ExitStack()
        self.printed = self.stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self.stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        self.stack.enter_context(warnings.catch_warnings())
        self.stack.enter_context(np.errstate(all="ignore"))
        warnings.simplefilter("ignore")
        self.timer = threading.Timer(self.seconds, self._stop)
        self.timer.daemon = True
        if self.seconds and threading.current_thread() is threading.main_thread() and (
                signal.getsignal(signal.SIGINT) is signal.default_int_handler):     # only there can it be interrupted
            self.timer.start()
        return self

    def _stop(self):
        self.late = True
        interrupt_main()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.timer.cancel()
        if self.late and kind is not KeyboardInterrupt:                  # the code ended while its time did
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(1)
            kind = KeyboardInterrupt
        self.stack.close()
        self.said = self.printed.getvalue()
        if kind is KeyboardInterrupt and not self.late:
            return False
        if kind is not None:
            ours = issubclass(kind, Unlike)
            self.failure = str(error) if ours else f"{self.name} {self._sentence(kind, error, trace)}"
        return True

    def _sentence(self, kind, error, trace):
        if kind is KeyboardInterrupt:
            return f"is not done after {self.seconds:g} s: does a loop not end, or take one number at a time?"
        if issubclass(kind, SyntaxError):
            file, line = Path(error.filename or self.file).name, f" in line {error.lineno}" if error.lineno else ""
            return f"cannot be read: {error.msg}{line}{'' if file == self.name else f' of {file}'}"
        lines = [frame for frame in traceback.extract_tb(trace) if frame.filename == self.file]
        where = f" in line {lines[-1].lineno}, `{lines[-1].line}`" if lines and lines[-1].line else ""
        if issubclass(kind, SystemExit):
            return f"leaves Python{where}: take sys.exit out, and return a value"
        if issubclass(kind, RecursionError):
            return f"calls itself without end{where}"
        if issubclass(kind, NotImplementedError):
            return "is not written yet"
        return f"stops with {traceback.format_exception_only(kind, error)[-1].strip().splitlines()[0][:200]}{where}"
