"""Checks of arguments at the public edge that many rooms share."""
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
