"""Weights that others wrote beside ours: row- or column-major, in one piece or in parts."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from .errors import ShapeError


def _shapes(arrays):
    return " and ".join(str(array.shape) for array in arrays)


def _is_transposed(name, view, pieces, transposed):
    """Return True if matrices (m, n_in), False if (n_in, m), make up the matrix `view` (n_in, sum of m)."""
    n_in, n_out = view.shape
    width = n_out / len(pieces)                          # if that is no whole number, nothing fits
    forms = {False: (n_in, width), True: (width, n_in)}
    asked = (False, True) if transposed is None else (bool(transposed),)
    fits = [turned for turned in asked if pieces[0].shape == forms[turned]]
    if len(fits) == 2:
        raise ShapeError(f"{name} has shape {_shapes(pieces)}, which could be (n_in, n_out) or (n_out, n_in); expected "
                         "a statement which. Pass transposed=False for x W, or transposed=True for W x.")
    if not fits:
        expected = " or ".join(f"({n_out}, {n_in})" if turned else f"({n_in}, {n_out})" for turned in asked)
        expected += "" if transposed is None else f" for transposed={transposed}"
        raise ShapeError(f"{name} has shape {_shapes(pieces)}; expected {expected}, in one piece or along the outputs "
                         "in several. Build the VAE with the same sizes, or pass the array's .T.")
    return fits[0]


def foreign_views(name: str, view: np.ndarray, foreign: Any, *, transposed: bool | None = None) -> Iterator:
    """Yield (foreign array, view of our segment in that array's shape): write either into the other.

    Raises ShapeError if shapes do not fit, or a square matrix could be either.

    Parameters
    ----------
    name : str
        The segment's, for errors.
    view : ndarray (n_in, n_out) or (n_out,)
        Our segment.
    foreign : array, or tuple or list of arrays
        (n_in, n_out), or (n_out, n_in); several are parts of equal size along the outputs, such as (mu, logvar).
        Biases may be rows or columns.
    transposed : bool, optional
        Whether matrices are (n_out, n_in); found from shapes that leave no doubt.

    Examples
    --------
    >>> head = np.arange(12.0).reshape(3, 4)
    >>> [part.shape for _, part in foreign_views("head.W", head, (np.ones((2, 3)), np.ones((2, 3))))]
    [(2, 3), (2, 3)]
    """
    pieces = [np.asarray(piece) for piece in (foreign if isinstance(foreign, (tuple, list)) else (foreign,))]
    if len({piece.shape for piece in pieces}) != 1 or any(piece.dtype.kind not in "iuf" for piece in pieces):
        raise ShapeError(f"{name} has shape {_shapes(pieces)} of {', '.join(str(piece.dtype) for piece in pieces)}; "
                         "expected numbers, in one array or in parts of one shape. Pass (W_mu, W_logvar).")
    size = pieces[0].size
    if view.ndim == 1 and (size != max(pieces[0].shape, default=1) or size * len(pieces) != view.size):
        raise ShapeError(f"{name} has shape {_shapes(pieces)}; expected ({view.size},), in one piece or in several. "
                         "Build the VAE with the same sizes.")
    turned = view.ndim == 2 and _is_transposed(name, view, pieces, transposed)
    for piece, part in zip(pieces, np.split(view, len(pieces), axis=-1)):
        yield piece, part.T if turned else part.reshape(piece.shape)
