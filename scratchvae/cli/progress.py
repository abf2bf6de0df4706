"""What a person sees while training runs, and how they end it early without losing anything."""
import math
import signal
import sys
import time
from contextlib import contextmanager

from ..kernels.backend import BACKEND
from ..kernels.cache import kernels_are_cached, usable_folder


class Progress:
    """What training shows: on a terminal one line in place, elsewhere one plain line an epoch."""

    def __init__(self, epochs):
        self.epochs, self.stream, self.in_place = epochs, sys.stderr, sys.stderr.isatty()
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
        self.stream.write(f"\r{line}\x1b[K" if self.in_place else line + "\n")
        self.stream.flush()

    def close(self):
        """Leave the line in place standing."""
        if self.in_place:
            self.stream.write("\n")


class FetchProgress:
    """What fetching shows: on a terminal one line in place, elsewhere one plain line a finished file."""

    def __init__(self):
        self.stream, self.in_place, self.shown = sys.stderr, sys.stderr.isatty(), 0.0

    def __call__(self, name, done, size):
        """Show that `done` of `size` bytes of a file have come."""
        now, finished = time.perf_counter(), done == size
        if finished or self.in_place and now - self.shown > 0.2:
            self.shown = now
            line = f"{name:28s} {done / 1e6:6.1f} of {size / 1e6:.1f} MB"
            self.stream.write((f"\r{line}\x1b[K" if self.in_place else line) + ("\n" if finished else ""))
            self.stream.flush()


def note_compilation():
    """Say once, on a terminal, that kernels are compiled now."""
    if BACKEND == "numba" and sys.stderr.isatty() and not kernels_are_cached():
        often = "once" if usable_folder() else "in every process: no folder can keep them, set SCRATCHVAE_CACHE to one"
        print(f"compiling kernels for this machine, {often} ...", file=sys.stderr)


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def finishing_the_step(trainer, caught):
    """While open, Ctrl-C and SIGTERM end training after the present step; their numbers land in `caught`."""
    def stop(number, frame):
        caught.append(number)
        trainer.stop = True
        signal.signal(number, before[number])             # a second one ends the program at once
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
