"""Learning rates that change as training goes on: pure functions of time, so that a run can be cut anywhere.

Time e is counted in epochs, with fractions, at the middle of a step: step s of B batches an epoch is at
e = (s + 1/2) / B, counted from 0.  So it is never 0, and never at the border between two epochs.

    (O5)  constant   rate
          steps      rate decay_factor^floor(e / decay_every)
          burda      rate 10^(-i / 7) in stage i = 0 .. 7; stage i lasts 3^i epochs, 3,280 in all
          cosine     rate (1 + cos(pi min(1, e / epochs))) / 2
          warm-up    any of these times min(1, e / epochs)

(Burda et al. 2016, section 5; Loshchilov & Hutter 2017; Goyal et al. 2017.)
"""
import math
from dataclasses import dataclass
from typing import Any

from .optimizers import check_rate
from .validation import at_least, instance_of, keep, number, one_of

BURDA_STAGES = 8


def _epochs(name, value):
    return at_least(name, value, 0, "It is a number of epochs: use 10.", open_interval=True)


@dataclass(frozen=True)
class Rate:
    """The same learning rate at any time; the base of those that change.                            (O5)

    Examples
    --------
    >>> Rate(0.01).at(12.5)
    0.01
    """

    rate: float = 1e-3

    def __post_init__(self):
        keep(self, rate=check_rate(self.rate))

    @property
    def largest(self) -> float:
        """The learning rate that is not exceeded."""
        return self.rate

    def at(self, epochs: float) -> float:
        """Return the learning rate when `epochs` epochs are done, with fractions."""
        return self.rate


@dataclass(frozen=True)
class Steps(Rate):
    """Times `decay_factor` after every `decay_every` epochs.                                          (O5)

    Examples
    --------
    >>> [Steps(1.0, decay_every=10, decay_factor=0.5).at(epochs) for epochs in (9.9, 10.1, 20.1)]
    [1.0, 0.5, 0.25]
    """

    decay_every: float = 10
    decay_factor: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        keep(self, decay_every=_epochs("decay_every", self.decay_every), decay_factor=number(
            "decay_factor", self.decay_factor, 0, 1, "It makes the rate smaller: use 0.1.", closed="right"))

    def at(self, epochs: float) -> float:
        """Return the learning rate when `epochs` epochs are done, with fractions."""
        return self.rate * self.decay_factor ** (epochs // self.decay_every)


@dataclass(frozen=True)
class Burda(Rate):
    """Eight stages of 1, 3, 9, ... 2187 epochs, each with 10^(-1/7) of the rate before.               (O5)

    Examples
    --------
    >>> [round(Burda().at(epochs), 6) for epochs in (0.5, 1.5, 4.5, 3000.0)]
    [0.001, 0.00072, 0.000518, 0.0001]
    """

    def at(self, epochs: float) -> float:
        """Return the learning rate when `epochs` epochs are done, with fractions."""
        stage = sum(epochs >= (3**i - 1) / 2 for i in range(1, BURDA_STAGES))     # stages before i last (3^i - 1) / 2
        return self.rate * 10 ** (-stage / (BURDA_STAGES - 1))


@dataclass(frozen=True)
class Cosine(Rate):
    """From `rate` down to 0 in `epochs` epochs, along half a cosine.                                  (O5)

    Examples
    --------
    >>> [round(Cosine(1.0, epochs=10).at(epochs), 3) for epochs in (0, 5, 9, 11)]
    [1.0, 0.5, 0.024, 0.0]
    """

    epochs: float = 10

    def __post_init__(self):
        super().__post_init__()
        keep(self, epochs=_epochs("epochs", self.epochs))

    def at(self, epochs: float) -> float:
        """Return the learning rate when `epochs` epochs are done, with fractions."""
        return self.rate * (1 + math.cos(math.pi * min(1.0, epochs / self.epochs))) / 2


@dataclass(frozen=True)
class WarmUp:
    """Another learning rate, which grows from 0 to itself in the first `epochs` epochs.                (O5)

    Examples
    --------
    >>> [WarmUp(Rate(1.0), epochs=2).at(epochs) for epochs in (0.5, 1, 7)]
    [0.25, 0.5, 1.0]
    """

    then: Rate
    epochs: float = 1

    def __post_init__(self):
        instance_of("then", self.then, Rate, "Pass for example Rate(0.001).")
        keep(self, epochs=_epochs("epochs", self.epochs))

    @property
    def largest(self) -> float:
        """The learning rate that is not exceeded."""
        return self.then.largest

    def at(self, epochs: float) -> float:
        """Return the learning rate when `epochs` epochs are done, with fractions."""
        return self.then.at(epochs) * min(1.0, epochs / self.epochs)


RATES = ("constant", "steps", "burda", "cosine")


def as_rate(learning_rate: Any) -> Rate | WarmUp:
    """Return `learning_rate` if it has one at any time, or the constant Rate of a number; raise for all else."""
    return learning_rate if isinstance(learning_rate, (Rate, WarmUp)) else Rate(learning_rate)


def make_rate(name: str, rate: float, *, epochs: float, decay_every: float, decay_factor: float,
              warm_up: float) -> Rate | WarmUp:
    """Return the learning rate of a name in RATES with those of the settings that its class has.

    Raises ConfigurationError for an unknown name or a number out of range, also if that class has no use for it.
    """
    one_of("rate_schedule", name, RATES)
    made = {"constant": Rate(rate), "steps": Steps(rate, decay_every, decay_factor), "burda": Burda(rate),
            "cosine": Cosine(rate, epochs)}[name]
    return WarmUp(made, warm_up) if at_least("warm_up", warm_up, 0, "Use 0 for none.") else made
