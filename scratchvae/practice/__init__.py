"""Exercises: write the derivation's formulas yourself, and be checked.

    scratchvae practice start DIR        files with signatures and empty bodies
    scratchvae practice check            judges every answer

In a notebook, `check(d_mu)` judges one function.
"""
import inspect
from collections.abc import Callable

from ..errors import ConfigurationError
from .exercise import Exercise, EXERCISES
from .exercises import CHAPTERS
from .judge import judge, Verdict

__all__ = ["CHAPTERS", "EXERCISES", "Exercise", "Verdict", "check", "judge"]


def check(answer: Callable) -> Verdict:
    """Return the Verdict on a function that is named like its exercise.

    Raises
    ------
    ConfigurationError
        If no exercise has the function's name.

    Examples
    --------
    >>> def d_b(d_a):
    ...     return d_a.mean(axis=0)
    >>> check(d_b)
    d_b: wrong. 1/B x: a sum over the batch, not its mean; the 1/B is in d_a already.
    """
    name = getattr(answer, "__name__", repr(answer))
    if not inspect.isfunction(answer) or name not in EXERCISES:
        raise ConfigurationError(f"answer is {name}, of type {type(answer).__name__}; expected a plain function, by "
                                 f"def, named like one of the exercises, {', '.join(EXERCISES)}. Name yours so.")
    return judge(EXERCISES[name], answer)
