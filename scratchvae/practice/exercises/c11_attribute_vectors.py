"""The direction in which eyes grow."""
import numpy as np

from ..exercise import exercise


def labeled(rng):
    """Return codes (n, Z) and labels (n,), True or False, of both kinds."""
    n, Z, *_ = rng.sizes()
    n += 4
    return {"codes": rng.standard_normal((n, Z)), "labels": rng.permutation(n) < n // 3}


def is_the_step_between_the_codes_of_two_kinds(answer, rng):
    """T22: one code for each kind."""
    labels, (start, step) = labeled(rng)["labels"], rng.standard_normal((2, 3))
    return "" if np.allclose(answer(start + np.outer(labels, step), labels), step) else "it misses the other kind"


@exercise("F38", labeled, laws=(is_the_step_between_the_codes_of_two_kinds,), hints=(
    "Two means of codes: over the faces that have the attribute, and over those that have not.",
    "codes[labels] are the rows where labels is True, and codes[~labels] the others.",
    "codes[labels].mean(axis=0) - codes[~labels].mean(axis=0)."), slips=(
    ("codes[labels].mean(axis=0) - codes[~labels].mean(axis=0)",
     "codes[~labels].mean(axis=0) - codes[labels].mean(axis=0)", "-1.00 x: with the attribute, less without"),
    (" - codes[~labels].mean(axis=0)", " - codes.mean(axis=0)", "less the mean of the others, not of all"),
    (" - codes[~labels].mean(axis=0)", "", "less the mean of the others: a difference of two means"),
    ("mean", "sum", "means, not sums: there are more of one kind than of the other")))
def attribute_vector(codes, labels):
    """The vector from faces without an attribute to faces with it.

    codes (n, Z)   enc(x), posterior means
    labels (n,)    True where the attribute is there

    Return the mean code with the attribute less the mean code without it, (Z,).  (F38)
    """
    return codes[labels].mean(axis=0) - codes[~labels].mean(axis=0)
