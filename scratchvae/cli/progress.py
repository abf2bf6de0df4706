"""What a person sees while training runs, and how they end it early without losing anything."""
import math
import signal
import sys
import threading
import time
from contextlib import contextmanager

from ..kernels.backend import BACKEND
from ..kernels.cache import kernels_are_cached, usable_folder
from .screen import columns, end_line, say, show, show_in_place, WIDEST

# What ends a program: Ctrl-C, `kill`, a terminal that is closed, Ctrl-Break; each where the system has it.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class Progress:
    """What training shows: on a terminal one line in place, elsewhere one plain line an epoch."""

    def __init__(self, epochs):
        self.epochs, self.stream, self.in_place = epochs, sys.stderr, sys.stderr.isatty()
        self.works = True                                 # until the display fails
        self.steps, self.shown = -1, 0.0

    def after_step(self, trainer, objective):
        """Refresh the line in place, at most five times a second."""
        self.steps += 1
        now = time.perf_counter()
        if self.steps == 0:
            self.start = now                              # the first step also compiles or loads the kernels
        if self.in_place and now - self.shown > 0.2:
            self.shown = now
            rows = min(trainer.state.batch * trainer.batch_size, len(trainer.x))
            loss, reconstruction, kl = (total / rows for total in trainer.state.totals)
            self._show(trainer, trainer.state.epoch + 1, loss, reconstruction, kl)

    def after_epoch(self, trainer):
        """Show a finished epoch."""
        last = trainer.state.history[-1]
        self._show(trainer, last.epoch, last.train_loss, last.train_reconstruction, last.train_kl)

    def _show(self, trainer, epoch, loss, reconstruction, kl):
        elapsed = time.perf_counter() - self.start
        rate = self.steps / elapsed if elapsed > 0 else 0.0
        steps_left = (self.epochs - trainer.state.epoch) * trainer.batches - trainer.state.batch
        left = f"  {_clock(steps_left / rate) if rate > 0 else '?:??'} left"
        held_out = trainer.state.history[-1].test_loss if trainer.state.history else math.nan        # of the last whole epoch
        held_out = "" if math.isnan(held_out) else f"  held-out {held_out:.2f}"
        loss = f"epoch {epoch:{len(str(self.epochs))}d}/{self.epochs}  loss {loss:.2f}"
        short, words = f" = {reconstruction:.2f} + KL {kl:.2f}", f" = reconstruction {reconstruction:.2f} + KL {kl:.2f}"
        rate = f"  {rate:.0f} steps/s"
        room = columns(self.stream) - 1 if self.in_place else WIDEST
        line = next((line for line in (loss + words + held_out + rate + left, loss + short + held_out + rate + left,
                                       loss + short + held_out + left, loss + held_out + left, loss + left)
                     if len(line) <= room), loss)
        if self.works:
            self.works = show_in_place(self.stream, line) if self.in_place else show(line + "\n", self.stream)

    def close(self):
        """Leave the line in place standing."""
        end_line()


class FetchProgress:
    """What fetching shows: on a terminal one line in place, elsewhere one plain line a finished file."""

    def __init__(self):
        self.stream, self.in_place, self.shown = sys.stderr, sys.stderr.isatty(), 0.0

    def __call__(self, name, done, size):
        """Show that `done` of `size` bytes of a file have come."""
        now, finished = time.perf_counter(), done == size
        if finished or self.in_place and now - self.shown > 0.2:
            self.shown = now
            line = f"{done / 1e6:6.1f} of {size / 1e6:.1f} MB  {name}"
            if self.in_place:
                show_in_place(self.stream, line)
                if finished:
                    end_line()
            else:
                show(line + "\n", self.stream)

    def warn(self, sentence):
        """Say on a line of its own why a mirror is given up."""
        end_line()
        show(sentence + "\n", self.stream)


def note_compilation():
    """Say once, on a terminal, that kernels are compiled now."""
    if BACKEND == "numba" and sys.stderr.isatty() and not kernels_are_cached():
        often = "once" if usable_folder() else "in every process: no folder can keep them, set SCRATCHVAE_CACHE to one"
        say(f"compiling kernels for this machine, {often} ...")


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


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
