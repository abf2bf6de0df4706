"""How the KL's weight depends on the step: constant, annealed, or a penalty with a floor or a target.

A schedule is an object with `at(step)`, a pure function of the number of steps taken so far, so that a run that is cut
and resumed weighs its KL as the uncut one does.  It gives a number, beta of E4, or a penalty R on the KL (S10): an
object with `value(kl)` and `slope(kl)`, kl (Z,) the batch's mean KL of each latent in nats.
"""
from dataclasses import dataclass

import numpy as np

from .errors import ConfigurationError
from .validation import at_least, keep, one_of, positive_integer


def check_beta(beta):
    """Return beta as a float; raises ConfigurationError unless it is a finite number of at least 0."""
    return at_least("beta", beta, 0, "It is the KL's weight: use 1 for the ELBO.")


def _checked(step):
    return at_least("step", step, 0, "It is the number of steps taken so far.")


@dataclass(frozen=True)
class Constant:
    """The same beta all along.

    Examples
    --------
    >>> Constant(0.5).at(1000)
    0.5
    """

    beta: float = 1.0

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta))

    def at(self, step):
        """Return beta."""
        return self.beta


@dataclass(frozen=True)
class Linear:
    """From `start` to `beta` in `steps` steps, then constant (Bowman et al. 2016; Sonderby et al. 2016).

    Examples
    --------
    >>> [Linear(beta=1.0, steps=4).at(step) for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    beta: float = 1.0
    steps: int = 1000
    start: float = 0.0

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta), steps=positive_integer("steps", self.steps),
             start=at_least("start", self.start, 0, "It is the KL's weight at the first step: use 0."))

    def at(self, step):
        """Return beta after `step` steps."""
        return float(self.start + (self.beta - self.start) * min(1.0, _checked(step) / self.steps))


@dataclass(frozen=True)
class Cyclical:
    """From 0 to `beta` in the first `ramp` of every `steps` steps, constant in the rest (Fu et al. 2019).

    Examples
    --------
    >>> [Cyclical(beta=1.0, steps=8, ramp=0.5).at(step) for step in (0, 1, 4, 7, 8, 9)]
    [0.0, 0.25, 1.0, 1.0, 0.0, 0.25]
    """

    beta: float = 1.0
    steps: int = 1000
    ramp: float = 0.5

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta), steps=positive_integer("steps", self.steps),
             ramp=at_least("ramp", self.ramp, 0, "It is a share of the cycle: use 0.5.", open_interval=True))
        if self.ramp > 1:
            raise ConfigurationError(f"ramp is {self.ramp!r}; it is a share of the cycle, at most 1. Use 0.5.")

    def at(self, step):
        """Return beta after `step` steps."""
        return float(self.beta * min(1.0, _checked(step) % self.steps / (self.ramp * self.steps)))


@dataclass(frozen=True)
class FreeBits:
    """R = beta sum_j max(nats, KL_j): a latent's first `nats` cost nothing (Kingma et al. 2016).      (S10)

    Examples
    --------
    >>> free = FreeBits(nats=0.25)
    >>> free.value(np.array([0.1, 2.0])), free.at(7).slope(np.array([0.1, 2.0])).tolist()
    (2.25, [0.0, 1.0])
    """

    nats: float = 0.25
    beta: float = 1.0

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta),
             nats=at_least("nats", self.nats, 0, "It is what each latent may use for free: try 0.25."))

    def at(self, step):
        """Return the penalty, which is this object itself."""
        return self

    def value(self, kl):
        """Return R in nats, of kl (Z,)."""
        return float(self.beta * np.maximum(self.nats, kl).sum())

    def slope(self, kl):
        """Return dR/dkl, (Z,)."""
        return self.beta * (kl > self.nats).astype(np.float64)


@dataclass(frozen=True)
class Target:
    """R = beta |sum_j KL_j - nats|: the penalty of `Capacity` at one step.                             (S10)

    Examples
    --------
    >>> Target(nats=3.0, beta=10.0).slope(np.array([1.0, 1.5])).tolist()
    [-10.0, -10.0]
    """

    nats: float
    beta: float

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta),
             nats=at_least("nats", self.nats, 0, "It is the KL that is aimed at: try 20."))

    def value(self, kl):
        """Return R in nats, of kl (Z,)."""
        return float(self.beta * abs(kl.sum() - self.nats))

    def slope(self, kl):
        """Return dR/dkl, (Z,)."""
        return np.full(kl.shape, self.beta * np.sign(kl.sum() - self.nats))


@dataclass(frozen=True)
class Capacity:
    """R = beta |KL - C| with C from 0 to `nats` in `steps` steps, then constant (Burgess et al. 2018).  (S10)

    `beta` is their gamma; it must be large enough to hold the KL at C.

    Examples
    --------
    >>> Capacity(nats=20.0, steps=100, beta=5.0).at(25)
    Target(nats=5.0, beta=5.0)
    """

    nats: float = 20.0
    steps: int = 1000
    beta: float = 1.0

    def __post_init__(self):
        keep(self, beta=check_beta(self.beta), steps=positive_integer("steps", self.steps),
             nats=at_least("nats", self.nats, 0, "It is the KL that the latents may carry in the end: try 20."))

    def at(self, step):
        """Return the penalty after `step` steps."""
        return Target(float(self.nats) * min(1.0, _checked(step) / self.steps), float(self.beta))


PENALTIES = (FreeBits, Capacity)
SCHEDULES = {"constant": Constant, "linear": Linear, "cyclical": Cyclical, "free_bits": FreeBits,
             "capacity": Capacity}


def as_schedule(beta):
    """Return `beta` if it is a schedule, or Constant(beta) for a number.

    Raises
    ------
    ConfigurationError
        For anything else.

    Examples
    --------
    >>> as_schedule(0.5)
    Constant(beta=0.5)
    """
    if callable(getattr(beta, "at", None)) and not isinstance(beta, type):
        return beta
    return Constant(check_beta(beta))


def make_schedule(name, beta, steps, nats):
    """Return the schedule of a name, as a run's settings give it.

    Parameters
    ----------
    name : str
        "constant", "linear", "cyclical", "free_bits" or "capacity".
    beta : float
        The KL's weight, in the end.
    steps : int
        Of the ramp ("linear", "capacity") or of a cycle ("cyclical").
    nats : float
        What each latent has for free ("free_bits"), or what all of them reach in the end ("capacity").

    Raises
    ------
    ConfigurationError
        For an unknown name or a number out of range.
    """
    one_of("the schedule's name", name, SCHEDULES)
    said = {"beta": beta, "steps": steps, "nats": nats}
    return SCHEDULES[name](**{key: said[key] for key in SCHEDULES[name].__dataclass_fields__ if key in said})
