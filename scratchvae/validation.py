"""Checks of arguments at the public edge. Each returns the value it was given, as a plain Python object.

Each raises ConfigurationError with one line that names the argument, the value, what was expected and a remedy.
"""
import inspect
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ConfigurationError

LARGEST_COUNT = 2**31 - 1  # largest count that is accepted: sizes in bytes of larger ones overflow on some systems
SEEDS = 1 << 32            # number of different seeds


def _shown(value):
    """Return repr(value) on one line, of at most 200 letters."""
    try:
        return " ".join(repr(value).split())[:200]
    except ValueError:                                                # Python writes no more digits by itself
        return "an integer of more than 4,300 digits"


def integer(name: str, value: int, least: int = 1, most: int = LARGEST_COUNT,
            remedy: str = "Choose for example 20.") -> int:
    """Return value as an int; it must be an integer of at least `least` and at most `most`.

    Examples
    --------
    >>> integer("n", np.int64(3), 0, 9)
    3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise ConfigurationError(f"{name} is {_shown(value)}; it must be an integer of at least {least} and at most "
                                 f"{most}. {remedy}")
    return int(value)


def number(name: str, value: float, low: float, high: float = math.inf, remedy: str = "",
           closed: str = "left") -> float:
    """Return value as a float; it must be a finite number between `low` and `high`.

    `closed` says which of the two is allowed itself: "left", "right", "both" or "neither".

    Examples
    --------
    >>> number("share", 1, 0, 1, closed="both")
    1.0
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        found = float(value) if is_number else math.nan
    except OverflowError:                                             # an integer of more than 308 digits
        found = math.inf
    has_low, has_high = closed in ("left", "both"), closed in ("right", "both")
    inside = (low <= found if has_low else low < found) and (found <= high if has_high else found < high)
    if not inside or math.isinf(found):
        bounds = f"of at least {low}" if has_low else f"above {low}"
        if high < math.inf:
            bounds = f"{bounds} and at most {high}" if has_high else f"{bounds} and below {high}"
            bounds = f"between {low} and {high}" if closed == "neither" else bounds
        raise ConfigurationError(f"{name} is {_shown(value)}; it must be a finite number {bounds}. {remedy}")
    return found


def positive_integer(name: str, value: int) -> int:
    """Return value as an int; it must be an integer from 1 to 2**31 - 1."""
    return integer(name, value)


def check_seed(seed: int) -> int:
    """Return seed as an int; it must be an integer from 0 to 2**32 - 1."""
    return integer("seed", seed, 0, SEEDS - 1, "Choose one, for example 0.")


def at_least(name: str, value: float, least: float, remedy: str, open_interval: bool = False) -> float:
    """Return value as a float; it must be a finite number of at least `least`, or above it if open_interval."""
    return number(name, value, least, remedy=remedy, closed="neither" if open_interval else "left")


def rows_at_once(name: str, value: int, numbers: int) -> int:
    """Return value, a count of rows, as an int; so many rows of `numbers` numbers must fit in one array."""
    value = positive_integer(name, value)
    if value * numbers > LARGEST_COUNT:
        raise ConfigurationError(f"{name} is {value}; {value} rows of {numbers} numbers are more than the "
                                 f"{LARGEST_COUNT} that are made at once. Ask for fewer, in parts.")
    return value


def keep(instance: object, **values: object) -> None:
    """Set attributes of a frozen dataclass to what the checks here returned."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def instance_of(name: str, value: object, kinds: type | tuple[type, ...], remedy: str) -> Any:
    """Return value; it must be an object of one of the classes `kinds`."""
    if not isinstance(value, kinds):
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        got = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
        raise ConfigurationError(f"{name} is {got}; expected a {' or '.join(kind.__name__ for kind in kinds)}. "
                                 f"{remedy}")
    return value


def function_of(name: str, value: Callable, signature: str, count: int | None = None) -> Callable:
    """Return value; it must be callable, with `count` arguments if it says what it takes.

    `signature` is written in the error, as in "f(x) -> float".
    """
    if not callable(value):
        raise ConfigurationError(f"{name} is {_shown(value)}; expected a function {signature}. Pass one.")
    try:
        taken = inspect.signature(value)
        if count is not None:
            taken.bind(*range(count))
    except ValueError:                                                # compiled code may not say what it takes
        pass
    except TypeError:
        raise ConfigurationError(f"{name} takes {taken}; expected a function {signature}. Wrap it in one.") from None
    return value


def one_of(name: str, value: str, known: Collection[str]) -> str:
    """Return value; it must be one of the known words.

    Examples
    --------
    >>> one_of("dtype", "float32", ("float32", "float64"))
    'float32'
    """
    if not isinstance(value, str) or value not in known:
        raise ConfigurationError(f"{name} is {_shown(value)}; known are {', '.join(known)}. Choose one of them.")
    return value


def file_path(name: str, value: str | Path) -> Path:
    """Return value as a Path; it must be a str or a path, and not empty."""
    if not isinstance(value, (str, os.PathLike)) or not Path(value).name or "\0" in str(value):
        raise ConfigurationError(f"{name} is {_shown(value)}; expected a file's name, as str or Path. "
                                 "Pass for example 'model.npz'.")
    return Path(value)
