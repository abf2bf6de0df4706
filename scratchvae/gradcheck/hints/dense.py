"""Hints about an affine layer y = act(x W + b) whose backward fails."""
import numpy as np

from ..contract import map_arrays

STEP = 1e-5                             # step of a central difference of act, whose error of 1e-10 is far below FIT
FIT = 1e-5                              # two arrays agree if they differ by at most this times the largest entry


def _like(found, wanted):
    """Return True if two arrays agree to FIT of the largest entry."""
    scale = max(np.max(np.abs(found), initial=0.0), np.max(np.abs(wanted), initial=0.0))
    return bool(np.all(np.abs(found - wanted) <= FIT * scale))


class _Probe:
    """One affine layer; it is called row by row, to find its activation and the slope that its backward uses."""

    def __init__(self, layer, p):
        self.layer, self.p = layer, p
        self.n_out = p.W.shape[1]

    def act(self, a):
        """Return act(a) for a (rows, n_out): the layer's output for W = 0 and b = a."""
        p = map_arrays(np.zeros_like, self.p)
        y, x = np.empty(a.shape), np.zeros((1, len(p.W)))
        for row, out in zip(a, y):
            p.b[:] = row
            self.layer.forward(p, x, out[None])
        return y

    def slope(self, a):
        """Return act'(a) by central differences."""
        return (self.act(a + STEP) - self.act(a - STEP)) / (2 * STEP)

    def d_a(self, x, y, d_y):
        """Return the d_a that backward uses: for a batch of one row, d_b is d_a."""
        found = np.empty(y.shape)
        for row in range(len(x)):
            piece, d_p = slice(row, row + 1), map_arrays(np.empty_like, self.p)
            self.layer.backward(self.p, x[piece], y[piece].copy(), d_y[piece].copy(), d_p, np.empty_like(x[piece]))
            found[row] = d_p.b
        return found


def affine_hints(layer: object, p: tuple, x: np.ndarray, y: np.ndarray, d_y: np.ndarray, d_x: np.ndarray) -> dict:
    """Return hints for a layer with W and b that fails `check_layer`: {"x": hint}, {"": hint} for all arrays, or {}.

    y is the layer's output, and d_x is what its backward wrote.
    """
    if not (hasattr(p, "W") and hasattr(p, "b")) or p.W.shape != (x.shape[-1], *p.b.shape):
        return {}
    probe = _Probe(layer, p)
    a = x @ p.W + p.b
    if x.ndim != 2 or not _like(probe.act(a), y):
        return {}
    slope, used = probe.slope(a), probe.d_a(x, y, d_y)
    if _like(used, d_y * slope):
        square = p.W.shape[0] == p.W.shape[1] > 1
        if square and not _like(d_x, used @ p.W.T) and _like(d_x, used @ p.W):
            return {"x": "d_x is d_a W: the forward multiplied by W, so this takes its transpose, d_x = d_a W^T"}
        return {}
    candidates = {
        "act' is missing: d_a = d_y act'(a)": 1.0,
        "act' is taken at the output y; its place is a = x W + b": probe.slope(y),
        "act' is multiplied in twice": slope * slope,
        "act itself stands in the place of act'": y,
        "the square in 1 - y^2 is missing": 1 - y,
        "1 - a^2 stands where 1 - y^2 should: the formula is written in the output": 1 - a * a,
        "a (1 - a) stands where y (1 - y) should: the formula is written in the output": a * (1 - a),
        "the mask looks at the sign of d_y: it is the activation that was cut off, not the gradient": slope * (d_y > 0),
        "act' has the wrong sign": -slope}
    found = [hint for hint, candidate in candidates.items() if _like(used, d_y * candidate)]
    return {"": "; or ".join(found)} if found else {}
