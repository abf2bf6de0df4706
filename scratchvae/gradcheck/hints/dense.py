"""Hints about an affine layer y = act(x W + b) whose backward fails."""

import numpy as np

from ..trees import copied
from .patterns import fits

STEP = 1e-5                             # of a central difference of act, whose error of 1e-10 is far below patterns.FIT


def _used_d_a(layer, p, x, y, d_y):
    """Return the d_a that backward uses: for a batch of one row, d_b is d_a."""
    found = np.empty(y.shape)
    for row in range(len(x)):
        piece, d_p = slice(row, row + 1), copied(p, np.empty_like)
        layer.backward(p, x[piece], y[piece].copy(), d_y[piece].copy(), d_p, np.empty_like(x[piece]))
        found[row] = d_p.b
    return found


def affine_hints(layer: object, p: tuple | list | dict | np.ndarray, x: np.ndarray, y: np.ndarray, d_y: np.ndarray,
                 d_x: np.ndarray) -> dict:
    """Return hints for a layer with W and b that fails `check_layer`: {"x": hint}, {"": hint} for all arrays, or {}.

    y is the layer's output, and d_x is what its backward wrote.
    """
    if not (hasattr(p, "W") and hasattr(p, "b")) or p.W.shape != (x.shape[-1], *p.b.shape):
        return {}

    def act(a):
        """Return act(a) for a (rows, n_out): the layer's output for W = 0 and b = a."""
        y, zeros = np.empty(a.shape), copied(p, np.zeros_like)
        for row, out in zip(a, y):
            zeros.b[:] = row
            layer.forward(zeros, np.zeros((1, len(p.W))), out[None])
        return y

    def act_slope(a):
        return (act(a + STEP) - act(a - STEP)) / (2 * STEP)

    a = x @ p.W + p.b
    if x.ndim != 2 or not fits(act(a), y):
        return {}
    slope, used = act_slope(a), _used_d_a(layer, p, x, y, d_y)
    if fits(used, d_y * slope):
        square = p.W.shape[0] == p.W.shape[1] > 1
        if square and not fits(d_x, used @ p.W.T) and fits(d_x, used @ p.W):
            return {"x": "d_x is d_a W: the forward multiplied by W, so this takes its transpose, d_x = d_a W^T"}
        return {}
    candidates = {
        "act' is missing: d_a = d_y act'(a)": 1.0,
        "act' is taken at the output y; its place is a = x W + b": act_slope(y),
        "act' is multiplied in twice": slope * slope,
        "act itself stands in the place of act'": y,
        "the square in 1 - y^2 is missing": 1 - y,
        "1 - a^2 stands where 1 - y^2 should: the formula is written in the output": 1 - a * a,
        "a (1 - a) stands where y (1 - y) should: the formula is written in the output": a * (1 - a),
        "the mask looks at the sign of d_y: it is the activation that was cut off, not the gradient": slope * (d_y > 0),
        "act' has the wrong sign": -slope}
    found = [hint for hint, candidate in candidates.items() if fits(used, d_y * candidate)]
    return {"": "; or ".join(found)} if found else {}
