"""What a person sees while training runs, and how they end it early without losing anything."""
import math
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

# What ends a program: Ctrl-C, `kill`, a terminal that is closed, Ctrl-Break; each where the system has it.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


def show(text, name="stderr"):
    """Write text to standard error, or to "stdout", and return whether that took it; whether it did ends nothing.

    There may be no such stream (pythonw, `2>&-`), or nobody who reads it, or no room in its file.
    """
    stream = getattr(sys, name)
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        with suppress(OSError, ValueError, AttributeError):
            if stream.fileno() in (1, 2):                  # what is buffered would fail again when the process ends
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), stream.fileno())
        return False
    return True


def _is_terminal():
    try:
        return sys.stderr.isatty()
    except (ValueError, AttributeError):                   # closed, or not there
        return False


class Progress:
    """What training shows: on a terminal one line in place, elsewhere one plain line an epoch."""

    def __init__(self, epochs):
        self.epochs, self.in_place, self.works = epochs, _is_terminal(), True
        self.steps, self.shown = -1, 0.0

    def after_step(self, trainer, objective):
        """Refresh the line in place, at most five times a second."""
        self.steps += 1
        now = time.perf_counter()
        if self.steps == 0:
            self.start = now                              # the first step also compiles or loads the kernels
        if self.in_place and now - self.shown > 0.2:
            self.shown = now
            rows = min(trainer.batch * trainer.batch_size, len(trainer.x))
            loss, reconstruction, kl = (total / rows for total in trainer.totals)
            self._show(trainer, trainer.epoch + 1, loss, reconstruction, kl, "")

    def after_epoch(self, trainer):
        """Show a finished epoch."""
        last = trainer.history[-1]
        held_out = "" if math.isnan(last.test_loss) else f"  held-out {last.test_loss:8.2f}"
        self._show(trainer, last.epoch, last.train_loss, last.train_reconstruction, last.train_kl, held_out)

    def _show(self, trainer, epoch, loss, reconstruction, kl, held_out):
        elapsed = time.perf_counter() - self.start
        rate = self.steps / elapsed if elapsed > 0 else 0.0
        steps_left = (self.epochs - trainer.epoch) * trainer.batches - trainer.batch
        left = _clock(steps_left / rate) if rate > 0 else "?:??"
        line = (f"epoch {epoch:3d}/{self.epochs}  loss {loss:8.2f} = reconstruction {reconstruction:8.2f} + "
                f"KL {kl:6.2f} nats{held_out}  {rate:6.0f} steps/s  {left} left")
        self.works = self.works and show(f"\r{line}\x1b[K" if self.in_place else line + "\n")

    def close(self):
        """Leave the line in place standing."""
        if self.in_place and self.works and self.steps >= 0:
            show("\n")


class FetchProgress:
    """What fetching shows: on a terminal one line in place, elsewhere one plain line a finished file."""

    def __init__(self):
        self.in_place, self.shown = _is_terminal(), 0.0

    def __call__(self, name, done, size):
        """Show that `done` of `size` bytes of a file have come."""
        now, finished = time.perf_counter(), done == size
        if finished or self.in_place and now - self.shown > 0.2:
            self.shown = now
            line = f"{name:28s} {done / 1e6:6.1f} of {size / 1e6:.1f} MB"
            show((f"\r{line}\x1b[K" if self.in_place else line) + ("\n" if finished else ""))


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def finishing_the_step(trainer, caught):
    """While open, what asks the program to end ends training after the present step; the signals land in `caught`.

    A signal that was ignored when the program began (`nohup`, a job in the background of a script) stays ignored.
    Only the main thread of a program may handle signals; in another one nothing is changed.
    """
    def stop(number, frame):
        caught.append(number)
        trainer.stop = True
        signal.signal(number, before[number])             # a second one ends the program at once
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ENDING
                  if signal.getsignal(number) not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
