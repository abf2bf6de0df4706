"""Checks that somebody's function makes, run once or again at other numbers."""
import inspect
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from ..errors import ConfigurationError
from .certificate import Certificate
from .comparison import broken, Check, note
from .directions import moving

EXPECTED = "expected FUNCTION() or FUNCTION(rng) that returns checks, as check_gradient does, or a Certificate"


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def takes_generator(function: Callable) -> bool:
    """Return True if function(rng) is meant, False for function(); raises ConfigurationError for other arguments."""
    taken = inspect.signature(function).parameters.values()
    needed = [one.name for one in taken if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL,
                                                                                         one.VAR_KEYWORD)]
    if len(needed) > 1:
        raise ConfigurationError(f"{_name(function)} takes {', '.join(needed)}; {EXPECTED}. Wrap it in one.")
    return bool(needed)


def own_checks(function: Callable, rng: np.random.Generator, *, move: bool = False) -> list:
    """Return the checks that function() or function(rng) makes, which may also be a `Certificate`.

    From rng it may draw parameters, data and shapes.  With `move`, the checks of a function() start from arrays that
    are up to a tenth off.  Raises ConfigurationError if it takes or returns something else.

    Examples
    --------
    >>> from scratchvae.gradcheck import check_gradient
    >>> def checks(rng):
    ...     x = rng.standard_normal(3)
    ...     return check_gradient(lambda: np.sum(x**2), lambda: 2 * x, x)
    >>> [check.ok for check in own_checks(checks, np.random.default_rng(0))]
    [True]
    """
    arguments = (rng,) if takes_generator(function) else ()
    with moving(rng) if move and not arguments else nullcontext():
        checks = function(*arguments)
    if isinstance(checks, Certificate):
        check = (note if checks.ok else broken)("certificate", checks.verdict)
        return [check._replace(judged=checks.ok or bool(checks.faults))]
    if not isinstance(checks, list) or not checks or not all(isinstance(check, Check) for check in checks):
        got = "an empty list" if checks == [] else f"a {type(checks).__name__}"
        raise ConfigurationError(f"{_name(function)} returns {got}; {EXPECTED}. Return one.")
    return checks
