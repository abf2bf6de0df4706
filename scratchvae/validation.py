"""Checks of arguments at the public edge that many rooms share."""
import math
import os
from pathlib import Path

import numpy as np

from .errors import ConfigurationError

MOST = 2**31 - 1            # of a count: beyond, sizes in bytes no longer fit what systems count them in
SEEDS = 1 << 32             # how many seeds there are


def positive_integer(name, value):
    """Return value as an int; raises ConfigurationError unless it is one from 1 to 2**31 - 1.

    Examples
    --------
    >>> positive_integer("n", np.int64(3))
    3
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value <= MOST:
        raise ConfigurationError(f"{name} is {value!r}; it must be an integer of at least 1 and at most {MOST}. "
                                 "Choose for example 20.")
    return int(value)


def rows_at_once(name, value, numbers):
    """Return value as an int; raises ConfigurationError unless it is a count of rows that an array can hold.

    Parameters
    ----------
    name : str
        What to call the count in an error.
    value : int
        At least 1; with `numbers` a row at most 2**31 - 1 numbers in all.
    numbers : int
        In a row.

    Examples
    --------
    >>> rows_at_once("n", 3, 2)
    3
    """
    value = positive_integer(name, value)
    if value * numbers > MOST:
        raise ConfigurationError(f"{name} is {value}; {value} rows of {numbers} numbers are more than the {MOST} that "
                                 "are made at once. Ask for fewer, in parts.")
    return value


def at_least(name, value, least, remedy, open_interval=False):
    """Return value as a float; raises ConfigurationError unless it is a finite number of at least (or over) `least`.

    Examples
    --------
    >>> at_least("beta", 1, 0, "Use 1 for the ELBO.")
    1.0
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        found = float(value) if number else math.nan
    except OverflowError:                                             # an integer of more than 308 digits
        found = math.inf
    if not (least < found < math.inf if open_interval else least <= found < math.inf):
        bound = f"above {least}" if open_interval else f"of at least {least}"
        raise ConfigurationError(f"{name} is {value!r}; it must be a finite number {bound}. {remedy}")
    return found


def keep(instance, **values):
    """Set attributes of a frozen dataclass: its arguments as the checks of this room return them, plain numbers."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def instance_of(name, value, kinds, remedy):
    """Return value; raises ConfigurationError unless it is an object of one of the classes `kinds`.

    Examples
    --------
    >>> instance_of("n", 3, (int, float), "Pass a number.")
    3
    """
    if not isinstance(value, kinds):
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        got = f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
        raise ConfigurationError(f"{name} is {got}; expected a {' or '.join(kind.__name__ for kind in kinds)}. "
                                 f"{remedy}")
    return value


def function_of(name, value, signature):
    """Return value; raises ConfigurationError unless it can be called, as `signature` says.

    Examples
    --------
    >>> function_of("f", abs, "f(x) -> float") is abs
    True
    """
    if not callable(value):
        raise ConfigurationError(f"{name} is {value!r}; expected a function {signature}. Pass one.")
    return value


def check_seed(seed):
    """Return seed as an int; raises ConfigurationError unless it is one from 0 to 2**32 - 1.

    Examples
    --------
    >>> check_seed(7)
    7
    """
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < SEEDS:
        raise ConfigurationError(f"seed is {seed!r}; it must be an integer from 0 to {SEEDS - 1}. "
                                 "Choose one, for example 0.")
    return int(seed)


def one_of(name, value, known):
    """Return value; raises ConfigurationError, listing them, unless it is one of the known words.

    Examples
    --------
    >>> one_of("dtype", "float32", ("float32", "float64"))
    'float32'
    """
    if not isinstance(value, str) or value not in known:
        raise ConfigurationError(f"{name} is {value!r}; known are {', '.join(known)}. Choose one of them.")
    return value


def file_path(name, value):
    """Return value as a Path; raises ConfigurationError unless it is a str or a path, and not empty.

    Examples
    --------
    >>> file_path("path", "run/model.npz").name
    'model.npz'
    """
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "\0" in str(value):
        raise ConfigurationError(f"{name} is {value!r}; expected a file's name, as str or Path. "
                                 "Pass for example 'model.npz'.")
    return Path(value)
