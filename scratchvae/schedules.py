"""What weighs the KL: a constant, one that depends on the step, or a penalty with a floor or a target.

With kl_nj the closed form's share of latent j in example n and its mean over the batch, KL_j = 1/B sum_n kl_nj, the
objective is

    (S10)  L = 1/B sum_n 1/K sum_k nll  +  R(KL_1, ..., KL_Z)
           constant    R = beta sum_j KL_j                     dR/dKL_j = beta                              this is E4
           free bits   R = beta sum_j max(f, KL_j)             dR/dKL_j = beta where KL_j > f, else 0
           capacity    R = beta |sum_j KL_j - C|               dR/dKL_j = beta sign(sum_j KL_j - C)

and since dKL_j/dmu_nj = mu_nj / B and dKL_j/dlogvar_nj = (sigma_nj^2 - 1) / (2 B), E6 and E7 hold with dR/dKL_j in the
place of beta.  On their kinks (KL_j = f, sum = C) the derivative is taken as 0.  Free bits and capacity look at the
whole batch, so the gradient of a batch is not the mean of its examples' gradients.  (Kingma et al. 2016, appendix C.8;
Burgess et al. 2018.)
"""
import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .errors import ConfigurationError
from .validation import at_least, keep, one_of, positive_integer


def check_beta(beta: float) -> float:
    """Return beta as a float; raises ConfigurationError unless it is a finite number of at least 0."""
    return at_least("beta", beta, 0, "Pass a schedule to fit, as its beta." if isinstance(beta, KLWeight) else
                    "It is the KL's weight: use 1 for the ELBO.")


def _check_ramp(ramp):
    found = at_least("ramp", ramp, 0, "It is a share of the cycle: use 0.5.", open_interval=True)
    if found > 1:
        raise ConfigurationError(f"ramp is {found!r}; it is a share of the cycle, at most 1. Use 0.5.")
    return found


CHECKS = {
    "beta": check_beta,
    "steps": lambda steps: positive_integer("steps", steps),
    "start": lambda start: at_least("start", start, 0, "It is the KL's weight at the first step: use 0."),
    "ramp": _check_ramp,
    "nats": lambda nats: at_least("nats", nats, 0, "It is an amount of KL: try 0.25 of one latent, 20 of all."),
}


class KLWeight:
    """The protocol: R of S10, its value and its slope, and how it changes from step to step.

    Attributes
    ----------
    by_latent : bool
        Whether R needs the KL of each latent or only their sum.  Only the closed form of the KL gives the first.
    beta : float, optional
        What the history shows as the KL's weight; NaN if there is none, or it is not one number.
    """

    by_latent: ClassVar[bool] = False

    def __post_init__(self):
        keep(self, **{name: CHECKS[name](value) for name, value in vars(self).items() if name in CHECKS})

    def at(self, step: int) -> "KLWeight":
        """Return the KLWeight after `step` steps.

        It is a pure function of the number of steps, so that a run that is cut and resumed weighs its KL as the uncut
        one does.
        """
        return self

    def value(self, kl: Any) -> float:
        """Return R in nats from the batch's mean KL: of each latent, (Z,), if `by_latent`, else of all together."""
        raise NotImplementedError

    def slope(self, kl: Any) -> Any:
        """Return dR/dKL_j: (Z,), or one number for all latents.  kl is as in `value`; None if not `by_latent`."""
        raise NotImplementedError


def _checked(step):
    return at_least("step", step, 0, "It is the number of steps taken so far.")


@dataclass(frozen=True)
class Constant(KLWeight):
    """R = beta KL with the same beta at every step.                                                    (E4)

    Examples
    --------
    >>> Constant(0.5).at(1000), Constant(0.5).value(20.0)
    (Constant(beta=0.5), 10.0)
    """

    beta: float = 1.0

    def value(self, kl: float) -> float:
        """Return R in nats from the batch's mean KL."""
        return self.beta * kl

    def slope(self, kl: Any) -> float:
        """Return dR/dKL."""
        return self.beta


@dataclass(frozen=True)
class Linear(KLWeight):
    """From `start` to `beta` in `steps` steps, then constant (Bowman et al. 2016; Sonderby et al. 2016).

    Examples
    --------
    >>> [Linear(beta=1.0, steps=4).at(step).beta for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """

    beta: float = 1.0
    steps: int = 1000
    start: float = 0.0

    def at(self, step: int) -> Constant:
        """Return the Constant after `step` steps."""
        return Constant(self.start + (self.beta - self.start) * min(1.0, _checked(step) / self.steps))


@dataclass(frozen=True)
class Cyclical(KLWeight):
    """From 0 to `beta` in the first `ramp` of every `steps` steps, constant in the rest (Fu et al. 2019).

    Examples
    --------
    >>> [Cyclical(beta=1.0, steps=8, ramp=0.5).at(step).beta for step in (0, 1, 4, 7, 8, 9)]
    [0.0, 0.25, 1.0, 1.0, 0.0, 0.25]
    """

    beta: float = 1.0
    steps: int = 1000
    ramp: float = 0.5

    def at(self, step: int) -> Constant:
        """Return the Constant after `step` steps."""
        return Constant(self.beta * min(1.0, _checked(step) % self.steps / (self.ramp * self.steps)))


@dataclass(frozen=True)
class FreeBits(KLWeight):
    """R = beta sum_j max(nats, KL_j): the first `nats` of a latent cost nothing (Kingma et al. 2016).  (S10)

    Examples
    --------
    >>> free = FreeBits(nats=0.25)
    >>> free.value(np.array([0.1, 2.0])), free.at(7).slope(np.array([0.1, 2.0])).tolist()
    (2.25, [0.0, 1.0])
    """

    nats: float = 0.25
    beta: float = 1.0
    by_latent = True

    def value(self, kl: np.ndarray) -> float:
        """Return R in nats, of kl (Z,)."""
        return float(self.beta * np.maximum(self.nats, kl).sum())

    def slope(self, kl: np.ndarray) -> np.ndarray:
        """Return dR/dkl, (Z,)."""
        return self.beta * (kl > self.nats).astype(np.float64)


@dataclass(frozen=True)
class Target(KLWeight):
    """R = beta |sum_j KL_j - nats|: the penalty of `Capacity` at one step.                             (S10)

    Examples
    --------
    >>> Target(nats=3.0, beta=10.0).slope(np.array([1.0, 1.5])).tolist()
    [-10.0, -10.0]
    """

    nats: float
    beta: float
    by_latent = True

    def value(self, kl: np.ndarray) -> float:
        """Return R in nats, of kl (Z,)."""
        return float(self.beta * abs(kl.sum() - self.nats))

    def slope(self, kl: np.ndarray) -> np.ndarray:
        """Return dR/dkl, (Z,)."""
        return np.full(kl.shape, self.beta * np.sign(kl.sum() - self.nats))


@dataclass(frozen=True)
class Capacity(KLWeight):
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
    by_latent = True

    def at(self, step: int) -> Target:
        """Return the Target after `step` steps."""
        return Target(self.nats * min(1.0, _checked(step) / self.steps), self.beta)


SCHEDULES = {"constant": Constant, "linear": Linear, "cyclical": Cyclical, "free_bits": FreeBits,
             "capacity": Capacity}


_constant = functools.lru_cache(Constant)           # a model's own beta is asked for at every step


def as_weight(beta: Any) -> KLWeight:
    """Return `beta` if it is a KLWeight, or Constant(beta) for a number; raise ConfigurationError for all else."""
    if isinstance(beta, KLWeight):
        return beta
    return _constant(beta) if isinstance(beta, float) else Constant(beta)


def make_schedule(name: str, beta: float, steps: int, nats: float) -> KLWeight:
    """Return the schedule of a name in SCHEDULES with those of the three settings that its class has.

    Raises ConfigurationError for an unknown name or a number out of range.
    """
    one_of("the schedule's name", name, SCHEDULES)
    said = {"beta": beta, "steps": steps, "nats": nats}
    return SCHEDULES[name](**{key: said[key] for key in SCHEDULES[name].__dataclass_fields__ if key in said})
