"""What is shown during training and fetching, and how signals end training without losing anything."""
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..kernels.backend import BACKEND
from ..kernels.cache import kernels_are_cached, PART, usable_folder
from ..training import Trainer
from .screen import columns, end_line, say, show, show_in_place, WIDEST

# The signals that end a program, where the system has them: Ctrl-C, `kill`, a closed terminal, Ctrl-Break.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
PAUSE = 0.2             # seconds between two changes of the line in place


class _Display:
    """A line that is replaced in place on a terminal; plain lines elsewhere."""

    def __init__(self):
        self.stream, self.in_place = sys.stderr, sys.stderr.isatty()
        self.shown = 0.0                                  # when the line was last changed, in seconds
        self.works = True                                 # until the stream refuses a line

    def is_due(self):
        """Return whether the line in place may change again."""
        now = time.perf_counter()
        due = self.in_place and now - self.shown > PAUSE
        if due:
            self.shown = now
        return due

    def show(self, line):
        if self.works:
            self.works = show_in_place(self.stream, line) if self.in_place else show(line + "\n", self.stream)


class Progress(_Display):
    """What training shows: on a terminal one line in place, elsewhere one plain line for each epoch."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs, self.steps = epochs, -1

    def after_step(self, trainer: Trainer, objective: object) -> None:
        """Refresh the line in place, at most five times a second."""
        self.steps += 1
        if self.steps == 0:
            self.start = time.perf_counter()              # the first step also compiles or loads the kernels
        if self.is_due():
            rows = min(trainer.state.batch * trainer.batch_size, len(trainer.x))
            self._show(trainer, trainer.state.epoch + 1, *(total / rows for total in trainer.state.totals))

    def after_epoch(self, trainer: Trainer) -> None:
        """Show a finished epoch."""
        last = trainer.state.history[-1]
        self._show(trainer, last.epoch, last.train_loss, last.train_reconstruction, last.train_kl)

    def _show(self, trainer, epoch, loss, reconstruction, kl):
        """Show the longest of five lines that fits."""
        elapsed = time.perf_counter() - self.start
        rate = self.steps / elapsed if elapsed > 0 else 0.0
        steps_left = (self.epochs - trainer.state.epoch) * trainer.batches - trainer.state.batch
        left = f"  {_clock(steps_left / rate) if rate > 0 else '?:??'} left"
        held_out = trainer.state.history[-1].test_loss if trainer.state.history else math.nan  # after an epoch
        held_out = "" if math.isnan(held_out) else f"  held-out {held_out:.2f}"
        sign, plus = (" =", " +") if abs(loss - reconstruction - kl) < 0.005 else (":", ",")       # a bound, a weight
        loss = f"epoch {epoch:{len(str(self.epochs))}d}/{self.epochs}  loss {loss:.2f}"
        short = f"{sign} {reconstruction:.2f}{plus} KL {kl:z.2f}"
        words = f"{sign} reconstruction {reconstruction:.2f}{plus} KL {kl:z.2f}"
        speed = f"  {rate:.0f} steps/s"
        room = columns(self.stream) - 1 if self.in_place else WIDEST
        lines = (loss + words + held_out + speed + left, loss + short + held_out + speed + left,
                 loss + short + held_out + left, loss + held_out + left, loss + left)
        self.show(next((line for line in lines if len(line) <= room), loss))

    def close(self) -> None:
        """Begin a new line below the line in place."""
        end_line()


class KernelProgress(_Display):
    """On a terminal: which of the kernels that a run needs is compiled now; to be given to `cache.watched`."""

    def __init__(self, needed: int) -> None:
        super().__init__()
        self.needed, self.asked = needed, 0

    def __call__(self, name: str, found: bool) -> None:
        """Note that a kernel was asked for, and show it if it has to be compiled."""
        self.asked += not name.endswith(PART)
        if not found and self.in_place:
            self.show(f"compiling kernels, {self.asked} of {max(self.asked, self.needed)}")


class FetchProgress(_Display):
    """What fetching shows: on a terminal one line in place, elsewhere one plain line for each finished file."""

    def __call__(self, name: str, done: int, size: int) -> None:
        """Show that `done` of `size` bytes of a file have come."""
        if self.is_due() or done == size:
            self.show(f"{done / 1e6:6.1f} of {size / 1e6:.1f} MB  {name}")
            if done == size:
                end_line()

    def warn(self, sentence: str) -> None:
        """Say on a line of its own why a mirror is given up."""
        end_line()
        show(sentence + "\n", self.stream)


def note_compilation() -> None:
    """Say, on a terminal, that kernels are compiled now, if they are."""
    if BACKEND == "numba" and sys.stderr.isatty() and not kernels_are_cached():
        often = "once" if usable_folder() else "in every process, because no folder can keep them: set SCRATCHVAE_CACHE"
        say(f"compiling kernels for this machine, {often} ...")


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


@contextmanager
def finishing_the_step(trainer: Trainer, caught: list[int]) -> Iterator[None]:
    """While open, a signal that would end the program ends training after the present step and is added to `caught`.

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
