"""Sums of small vectors, for the few numbers that a step hands back to Python, and the numbers that begin its backward.

One call is cheaper than several of NumPy's.
"""
from typing import Any

import numpy as np

from .twins import twin_of


def add_up_ref(first, second, out):
    """out (2,) float64 = the sums of first (n,) and of second (m,), added in float64."""
    out[:] = np.sum(first, dtype=np.float64), np.sum(second, dtype=np.float64)


@twin_of(add_up_ref)
def add_up(first, second, out):
    # first (n,), second (m,), out (2,)
    total = 0.0
    for value in first:
        total += value
    out[0] = total
    total = 0.0
    for value in second:
        total += value
    out[1] = total


def fill_two_ref(first, a, second, b):
    """first (n,) = a and second (m,) = b, two numbers."""
    first[:] = a
    second[:] = b


@twin_of(fill_two_ref)
def fill_two(first, a, second, b):
    # first (n,), second (m,)
    for i in range(len(first)):
        first[i] = a
    for j in range(len(second)):
        second[j] = b


def sum_of_squares_ref(vector, out):
    """out (1,) float64 = the sum of the squares of vector (n,), added in float64."""
    out[0] = np.sum(np.square(vector, dtype=np.float64))


@twin_of(sum_of_squares_ref)
def sum_of_squares(vector, out):
    # vector (n,), out (1,)
    total = 0.0
    for value in vector:
        total += np.float64(value) * np.float64(value)
    out[0] = total


def fill_both(first: np.ndarray, a: float, second: np.ndarray, b: Any) -> None:
    """Write the number a to first (n,), and b, a number or (m,), to second (m,)."""
    if isinstance(b, float):
        fill_two(first, a, second, b)
    else:
        first[:], second[:] = a, b
