"""Hints about a wrong gradient, from comparing analytic with numeric derivatives."""
import numpy as np

from ..numerical import is_float32

SLIGHT = 5e-4                           # an error that is at most this, relative to each entry, is no usual mistake
FIT = 1e-5                              # a residual this small, relative to the largest gradient, is a fit
IF_MEANT = " If it is meant, check_gradient's rtol lets it pass"


def fits(candidate: np.ndarray, numeric: np.ndarray, bounds: np.ndarray | float = 0.0) -> bool:
    """Return True if two arrays agree to their bounds and FIT of the largest entry."""
    scale = max(np.max(np.abs(candidate), initial=0.0), np.max(np.abs(numeric), initial=0.0))
    return bool(np.all(np.abs(candidate - numeric) <= bounds + FIT * scale))


def _explanations(ratio, sizes):
    """Return what could make analytic / numeric this ratio; `sizes` is {letter: number}."""
    known = [(-1.0, "-1", "a sign is flipped"),
             (2.0, "2", "is a 1/2 of the forward missing, or a term added twice?"),
             (0.5, "1/2", "is there a 1/2 too many, or one of two equal terms missing?")]
    for letter, size in sizes.items():
        if letter.isupper() and size > 1:
            known += [(float(size), f"{letter} = {size}",
                       f"is a 1/{letter} missing: a sum where the forward averages?"),
                      (1.0 / size, f"1/{letter} = 1/{size}",
                       f"is there a 1/{letter} too many: an average where the forward sums?")]
        elif not letter.isupper() and size != 1:
            known += [(float(size), f"{letter} = {size:g}", f"is there a {letter} too many?"),
                      (1.0 / size, f"1/{letter} = 1/{size:g}", f"is {letter} missing?"),
                      (1.0 / size**2, f"1/{letter}^2 = 1/{size:g}^2", f"is {letter}^2 missing?")]
    return [(name, question) for factor, name, question in known if abs(ratio / factor - 1) <= FIT]


def diagnose(analytic: np.ndarray, entries: np.ndarray, numeric: np.ndarray, bounds: np.ndarray, sizes: dict) -> str:
    """Return a hint why a gradient is wrong, or "" where no pattern fits.

    analytic is the whole gradient; entries, numeric and bounds (m,) are the flat indices, derivatives and error bounds
    of those entries that are not kinks.  sizes holds possible wrong factors: {"B": batch size, "D": width of the data},
    where counts have capital letters, or {"sigma": ...}.

    Examples
    --------
    >>> numeric = np.array([1.0, -3.0, 0.5])
    >>> diagnose(2 * numeric, np.arange(3), numeric, np.full(3, 1e-12), {"B": 7})
    'analytic is 2 x numeric: is a 1/2 of the forward missing, or a term added twice?'
    """
    found = analytic.ravel()[entries]
    clear = np.abs(numeric) > np.maximum(1e3 * bounds, 1e-3 * np.max(np.abs(numeric), initial=0.0))
    if not clear.any() or not np.isfinite(found).all():
        return ""
    if not analytic.any():
        return "analytic is 0 everywhere: this gradient never arrives"
    square = analytic.ndim == 2 and analytic.shape[0] == analytic.shape[1] > 1
    if square and fits(analytic.T.ravel()[entries], numeric, bounds):
        return "analytic is the transpose of numeric: which side does x stand on in x^T d_a?"
    error = np.abs(found - numeric)
    relative = (error / np.maximum(np.maximum(np.abs(found), np.abs(numeric)), bounds))[error > bounds]
    if len(relative) and np.all(error <= FIT * np.max(np.abs(numeric))) and is_float32(analytic) and (
            np.any(np.frexp(analytic)[0] * 4096 % 1)):              # short numbers are those of float32 in any case
        return "off by the rounding of float32, in which the gradient was computed: compute it in float64"
    if len(relative) and np.all(relative <= SLIGHT):
        return f"off by {relative.max():.0e} of its size: an epsilon or an approximation on one side only?{IF_MEANT}"
    matching = error <= bounds + FIT * np.max(np.abs(numeric))
    if matching.all():                                            # wrong by little, beside the largest entry
        return ""
    mostly = 2 * np.count_nonzero(matching & clear) > len(found)
    if mostly and np.all(matching | (np.abs(numeric) <= bounds)):
        return ("analytic is right except where numeric is 0: does the forward clamp there, and the backward not know?")
    if np.all(matching | (found == 0)) and np.count_nonzero(matching & clear) >= min(3, len(found) / 2):
        return "analytic is 0 at some entries and right at the others: a part of this gradient never arrives"
    ratio = float(np.median(found[clear] / numeric[clear]))
    where = ""
    if ratio == 0 or not fits(found / ratio, numeric, bounds):
        odd = clear & ~matching
        if np.count_nonzero(odd) < 3 or np.count_nonzero(clear & matching) < 3:
            return ""
        ratio, where = float(np.median(found[odd] / numeric[odd])), "right at some entries, and at the others "
        if ratio == 0 or not fits(np.where(matching, found, found / ratio), numeric, bounds):
            return ""
    known = _explanations(ratio, sizes)
    if known:
        return "; or ".join(f"analytic is {where}{name} x numeric: {question}" for name, question in known)
    if np.count_nonzero(clear) >= 3:                              # the ratio of one or two entries says nothing
        return f"analytic is {where}{ratio:.6g} x numeric{'' if where else ' throughout'}: a constant factor"
    return ""


def only_bias_wrong(name: str, wrong: dict, shapes: dict) -> bool:
    """Return True if `name` is a bias that is wrong beside matrices that are right and have as many columns.

    wrong and shapes say of every array, by name, whether it is wrong and what shape it has.
    """
    layer, _, last = name.rpartition(".")
    mates = [other for other in wrong if other.rpartition(".")[0] == layer and other != "x" and len(shapes[other]) >= 2]
    fits = len(shapes[name]) == 1 and any(shapes[other][-1:] == shapes[name] for other in mates)
    named = "bias" in last or last[:1] == "b" and (len(last) <= 3 or last[1] == "_")            # but not a bandwidth
    return fits and named and not any(wrong[other] for other in mates)
