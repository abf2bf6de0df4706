"""What a notebook shows while a model trains."""
import math
import sys
from typing import Any

from .history import Epoch

WIDTH = 79          # most letters of the line, so that it never takes two


class ProgressLine:
    """A callback of `fit` that shows the last epoch: one line that is rewritten in a notebook and on a terminal.

    Elsewhere, in a file or a pipe, each epoch gets a line.  `fit` closes the line when training ends or is interrupted.

    Examples
    --------
    >>> from scratchvae import VAE
    >>> vae = VAE(n_visible=2, n_latent=1, hidden=())
    >>> _ = vae.fit([[0.0, 1.0]] * 8, epochs=2, batch_size=4, callback=ProgressLine())       # doctest: +ELLIPSIS
    epoch 1  loss ... nats
    epoch 2  loss ... nats
    """

    def __init__(self) -> None:
        self.shown = 0                      # letters of the line that is not closed

    def __call__(self, model: Any, epoch: Epoch) -> None:
        """Show an epoch."""
        held_out = "" if math.isnan(epoch.test_loss) else f"  held-out {epoch.test_loss:.2f}"
        line = f"epoch {epoch.epoch}  loss {epoch.train_loss:.2f}{held_out} nats"[:WIDTH]
        if sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel"):
            sys.stdout.write("\r" + line.ljust(self.shown))
            self.shown = len(line)
        else:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """End the line, if there is one, so that the next text begins below it."""
        if self.shown:
            self.shown = 0
            sys.stdout.write("\n")
