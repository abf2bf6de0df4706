"""Sums of small vectors, for the few numbers that a step hands back to Python.

One call is cheaper than several np.sum calls.
"""
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


def totals(*vectors: np.ndarray) -> list:
    """The sum of each vector (n,) as a Python float; infinite or NaN where one of its numbers is."""
    out, sums = np.empty(2), []
    for i in range(0, len(vectors), 2):
        add_up(vectors[i], vectors[min(i + 1, len(vectors) - 1)], out)
        sums += out.tolist()
    return sums[:len(vectors)]
