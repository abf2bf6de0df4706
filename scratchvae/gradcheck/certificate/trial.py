"""certify: is this code of a gradient, as a formula, the derivative of that code?

The code runs unchanged on `exact.Exact` numbers: random elements of a finite field, which carry their derivative along
a random direction v of all inputs at once.  For random cotangents ybar, <vjp(ybar), v> is compared with <ybar, J v>.
One wrong entry makes the two differ, however small its error; one that floats cannot tell from a right entry is called
not proved.  Then v is cut to one array and halved until one entry is left, and analytic / exact is read as a fraction.
"""
import math
import threading
import time
import traceback
from collections.abc import Callable, Collection
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...arrays import as_finite
from ...errors import ConfigurationError, ShapeError
from ...validation import check_seed, function_of, instance_of, positive_integer
from .arrays import exact_array, exact_numbers
from .exact import DRAW, Exact, FLIP, in_sight, lift, literal, P, PRIMES, R, Redraw, ROOTS, start_trial, SYMBOLS, TIES

MOST_DRAWS = 64                          # in a row without a square root, at 1/2 each, before it is given up
MOST_SIGNS = 16                          # in a row in which a root has another sign than the float's
FLIPS = 4                                # other choices of the roots' signs that are tried
CLEAR = 1e-3                             # two differences in floats are told apart if one is so much smaller
READABLE = 1 << 90                       # numerator times denominator of a ratio that is shown as a fraction
SHORT = 10**6                            # denominators up to which it is shown as n/d, not as 1 + n/d
ALIKE = 1e-10                            # how far two floats may be apart, relatively, if only rounding parts them
SCOPE = ("It proves that the two formulas agree on the branches that these numbers take.  It says nothing of other "
         "branches, of rounding, of compiled code, or of whether the first formula is the one that was meant.")
_ONE_AT_A_TIME = threading.RLock()


class Certificate(NamedTuple):
    """What `certify` found; `str` says it in words.

    Attributes
    ----------
    faults : tuple of str
        The first wrong entry of each array: "W[35, 16]: exactly 2 x".
    rounded : tuple of str
        Entries that differ from the exact ones by less than floats can tell: a number in the code is itself rounded, a
        logarithm is written in two ways, or a term is missing that is too small to see at these numbers; or formulas
        that are equal, but for the sign of a root, where floats differ.
    ties : tuple of str
        Lines of code in which two equal floats were compared, at a kink: nothing is judged there.
    numbers : int
        Entries of all gradients.
    trials : int
        How often residues were drawn.
    bits : float
        A wrong gradient passes one trial with a probability below 2^-bits, and each trial is drawn anew.  `exact` says
        what this rests on; it falls with the size of the arrays.
    seconds : float
        For each trial.

    Examples
    --------
    >>> print(Certificate((), (), (), 12, 20, 87.3, 0.002).verdict)
    exact: all 12 entries in 20 trials, false pass below 2^-87 a trial
    """

    faults: tuple
    rounded: tuple
    ties: tuple
    numbers: int
    trials: int
    bits: float
    seconds: float

    @property
    def ok(self) -> bool:
        """True if the gradient is exact: nothing differs, and no tie stands in the way."""
        return not self.faults and not self.ties and not self.rounded

    @property
    def verdict(self) -> str:
        """The result as one line."""
        if self.ties:
            return ("not judged: a comparison of equal numbers in " + ", ".join(self.ties)
                    + "; on a kink there is no derivative, so pass other numbers")
        if self.faults:
            return "wrong: " + "; ".join(self.faults)
        if self.rounded:
            return ("not proved: " + "; ".join(self.rounded) + ": is a constant in the code rounded, a logarithm "
                    "written in two ways, a root taken of a square whose sign is not known, or a term too small to see "
                    "at these numbers?")
        return (f"exact: all {self.numbers} entries in {self.trials} trials, "
                f"false pass below 2^-{math.floor(self.bits)} a trial")

    def __str__(self):
        return f"{self.verdict}.\n{SCOPE}"


def _variable(x):
    """Return a random number."""
    return Exact(*(DRAW.randrange(1, m) for m in PRIMES), x=float(x), n=1)


def _square(x):
    """Return a random number whose residue has a root if x is positive, as those of products of such numbers have."""
    a = _variable(x)
    return Exact(a.p * a.p % P if x >= 0 else -a.p * a.p % P, a.q, a.r, x=a.x, n=1)


def _moving(a, v):
    v = lift(v)
    return Exact(a.p, a.q, a.r, v.p, a.x, v.x, n=1)


def _still(a):
    a = lift(a)
    return Exact(a.p, a.q, a.r, 0, a.x, 0.0, a.n, a.m, a.c, a.of, a.logs)


def _derivative(y):
    y = lift(y)
    return Exact(y.t, 0, 0, x=y.s, n=max(y.n, 0), m=y.m)


def _each(function, inputs):
    ufunc = np.frompyfunc(function, inputs, 1)
    return lambda *arrays: exact_array(np.asarray(ufunc(*(np.asarray(a, object) for a in arrays)), object))


variables, squares = _each(_variable, 1), _each(_square, 1)
moving, still, derivatives = _each(_moving, 2), _each(_still, 1), _each(_derivative, 1)


def _named(who, outputs):
    """Return {name: array} of what f or vjp returned; one array alone is called ""."""
    if isinstance(outputs, (tuple, list)) and len(set(map(np.shape, outputs))) > 1:
        raise ConfigurationError(f"{who} returns a {type(outputs).__name__} of arrays of several shapes; expected one "
                                 "array, or a dict of arrays. Return {name: array}.")
    if not isinstance(outputs, dict):
        outputs = {"": outputs}
    arrays = {name: exact_array(np.asarray(y, object)) for name, y in outputs.items()}
    strange = [a for y in arrays.values() for a in y.ravel() if lift(a) is NotImplemented]
    if strange:
        raise ConfigurationError(f"{who} returns a {type(strange[0]).__name__}; expected numbers, in an array or a "
                                 "dict of arrays. Look at its return statement.")
    return arrays


class Trial:
    """One draw of residues at the numbers `floats`, and both sides of the comparison."""

    def __init__(self, f: Callable, vjp: Callable, floats: dict, rng: np.random.Generator, of_squares: bool) -> None:
        self.f, self.vjp, self.rng, self.draw = f, vjp, rng, squares if of_squares else variables
        self.point = {name: self.draw(as_finite(a, name)) for name, a in floats.items()}
        self.cotangents = {name: self._direction(y) for name, y in self._values({}).items()}
        self.gradient = self._gradient(self.cotangents)
        self.v = {name: self._direction(self.point[name]) for name in self.gradient}
        for name, g in self.gradient.items():
            if g.shape != self.point[name].shape:
                raise ShapeError(f"vjp gives shape {g.shape} for {name!r}; expected {self.point[name].shape}, that of "
                                 "the array. Look at transposes and sums.")

    def _direction(self, like):
        return self.draw(np.asarray(self.rng.standard_normal(like.shape)))

    def along(self, v: dict) -> dict:
        """Return the arrays at the point, moving along v (a dict, for some of them)."""
        return {name: moving(a, v.get(name, np.zeros(a.shape, object))) for name, a in self.point.items()}

    def _values(self, v):
        return _named("f", self.f(**self.along(v)))

    def _gradient(self, cotangents):
        given = {name: c.copy() for name, c in cotangents.items()}
        found = self.vjp(given[""] if list(given) == [""] else given, **self.along({}))
        found = _named("vjp", instance_of("what vjp returns", found, dict, "Return {name: gradient}."))
        unknown = set(found) - set(self.point)
        if not found:
            raise ConfigurationError("vjp returns an empty dict; expected {name: gradient}. Nothing would be checked.")
        if unknown:
            raise ConfigurationError(f"vjp returns {sorted(unknown)}; expected some of {sorted(self.point)}, the names "
                                     "of the arrays. Name each gradient after its array.")
        return found

    def sides(self, v: dict, output: str | None = None) -> tuple[Exact, Exact]:
        """Return <vjp(ybar), v> and <ybar, J v>, or those of the cotangent of one output alone."""
        gradient, names = self.gradient, list(self.cotangents)
        if output is not None and len(names) > 1:
            names = [output]
            gradient = self._gradient({name: c if name == output else c * 0 for name, c in self.cotangents.items()})
        y = self._values(v)
        return (sum((np.sum(gradient[name] * v[name]) for name in v), literal(0)),
                sum((np.sum(self.cotangents[name] * derivatives(y[name])) for name in names), literal(0)))

    def differ(self, v: dict) -> bool:
        """Return True if the two sides differ along v."""
        analytic, exact = self.sides(v)
        return analytic.p != exact.p

    def differ_visibly(self, v: dict) -> bool:
        """Return True if they differ in floats, by more than rounding."""
        analytic, exact = self.sides(v)
        size = sum(float(np.sum(np.abs([lift(c).x for c in np.ravel(self.gradient[name] * v[name])]))) for name in v)
        return not abs(analytic.x - exact.x) <= ALIKE * max(size, abs(exact.x))

    def part(self, name: str, start: int, stop: int) -> dict:
        """Return v cut to the entries start to stop of one array."""
        place = np.arange(self.v[name].size).reshape(self.v[name].shape)
        return {name: self.v[name] * ((place >= start) & (place < stop))}

    def search(self, name: str, differ: Callable) -> int:
        """Return the first entry of an array at which the sides differ, by halving."""
        low, high = 0, self.v[name].size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if differ(self.part(name, low, middle)) else (middle, high)
        return low

    def describe(self, name: str, entry: int) -> str:
        """Return what is wrong with an entry: "W[35, 16]: exactly 2 x", output by output if there are several."""
        place = ", ".join(map(str, np.unravel_index(entry, self.v[name].shape)))
        one = self.part(name, entry, entry + 1)
        said = [f"{f'd_{output} ' if len(self.cotangents) > 1 else ''}{ratio(*self.sides(one, output))}"
                for output in self.cotangents]
        more = " and others" if self.differ(self.part(name, entry + 1, self.v[name].size)) else ""
        return f"{name}{f'[{place}]' if place else ''}{more}: {', '.join(said)}"

    def _sides_of(self, names):
        """Return {name: (whether the sides of an array differ, by how much their floats do)}."""
        return {name: (analytic.p != exact.p, abs(analytic.x - exact.x))
                for name in names for analytic, exact in [self.sides({name: self.v[name]})]}

    def by_signs(self, names: Collection[str]) -> dict:
        """Return {name: what floats say of the gradient} of those arrays for which signs of roots decide.

        They say "right" or "wrong" where the sides' difference in floats, whose roots are positive, is much smaller or
        much larger than with other signs, and else nothing, "".
        """
        own, others, gradient = self._sides_of(names), [], self.gradient
        try:
            for flip in (-1, *(DRAW.getrandbits(P.bit_length()) for _ in range(FLIPS - 1))):
                FLIP[0] = flip
                self.gradient = self._gradient(self.cotangents)
                others.append(self._sides_of(names))
        finally:
            FLIP[0], self.gradient = 0, gradient
        said = {}
        for name in names:
            (differs, apart), flipped = own[name], [sides[name] for sides in others]
            least, most = min(x for _, x in flipped), max(x for _, x in flipped)
            if any(other != differs for other, _ in flipped):
                said[name] = "right" if apart <= CLEAR * most and most else "wrong" if least <= CLEAR * apart else ""
        return said

    def findings(self, by_signs: dict) -> tuple[list, list]:
        """Return (faults, rounded): one entry of each array that differs, visibly in floats or in rounding alone."""
        faults, rounded = [], []
        for name, v in self.v.items():
            differs = v.size and self.differ({name: v})
            if name in by_signs and by_signs[name] != ("wrong" if differs else "right"):
                rounded.append(f"{name}: equal but for the sign of a root")
            elif differs:
                said = self.describe(name, self.search(name, self.differ))
                if ROUNDED in said and self.differ_visibly({name: v}):
                    said = self.describe(name, self.search(name, self.differ_visibly))
                (rounded if ROUNDED in said else faults).append(said)
        return faults, rounded


ROUNDED = "equal but for rounding"


def ratio(analytic: Exact, exact: Exact) -> str:
    """Return analytic / exact in words, as a fraction if there is a simple one: Euclid's algorithm, stopped halfway."""
    if analytic.p == exact.p:
        return "right"
    if not exact.p:
        return "should be 0"
    if not analytic.p:
        return "is 0"
    a, b, s, t = P, analytic.p * pow(exact.p, -1, P) % P, 0, 1
    while b * abs(t) >= READABLE:
        a, b, s, t = b, a % b, t, s - a // b * t
    c, alike = Fraction(b, t) if b else None, abs(analytic.x - exact.x) <= ALIKE * abs(exact.x)
    if c is not None and not (ROOTS and alike and abs(c - 1) > ALIKE):
        return f"exactly {c if c.denominator < SHORT else f'1 + {c - 1}'} x"
    if alike:
        return ROUNDED
    shown = ((f"{analytic.x:.{digits}g}", f"{exact.x:.{digits}g}") for digits in range(6, 18))
    return ", exactly ".join(next((pair for pair in shown if pair[0] != pair[1]), (str(analytic.x), str(exact.x))))


def _refusal(error):
    """Return a ConfigurationError that names the line of the checked code that cannot run on exact numbers, or None."""
    if not any(word in str(error) for word in (
            "Exact", "dtype('O')", "object arrays", "the input types", "arrays used as indices", "no callable")):
        return None
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if in_sight(frame.filename)]
    where = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}, `{lines[-1].line}`" if lines else "compiled code"
    return ConfigurationError(
        f"{where} cannot run on exact numbers ({error}); expected +, -, *, /, **, comparisons, and NumPy's exp, expm1, "
        "log, log1p, sqrt, tanh and logaddexp of arrays. Write it so; if it makes float buffers, name its package in "
        "packages; keep arrays of indices and labels out of arrays, in a closure.")


def certify(f: Callable, vjp: Callable, arrays: dict | Callable, *, trials: int = 20, seed: int = 0,
            packages: tuple = ()) -> Certificate:
    """Check, exactly and at all entries at once, that `vjp` is the derivative of `f`.

    A pass means: as formulas over the real numbers, the code of vjp is the derivative of the code of f, wherever floats
    take the branches that they took here. It does not say that f is the right formula, that floats evaluate either of
    them well, or anything of other branches, of float32, or of what a compiler makes of the code. Whether vjp writes
    into its arguments or remembers old ones is not asked: `check_vjp` asks that. The bound on a false pass counts
    degrees; for an exp of what is not linear in the inputs it rests on a conjecture (see `exact`).

    A float in the code counts as what it rounds: a fraction with a denominator up to 4096, or exp(k), else as the
    binary number that it is.  Where a gradient differs by less than floats can tell, because such a number is rounded
    or log(a b) stands beside log a + log b, it is not proved, and that is said.  Among such entries a wrong one is
    found if it changes a sum over its array by 1e-10.

    Half of all residues have no root, and then all are drawn again: pass a few rows alone where each row takes a root,
    as in layer normalization.  A root has a sign of its own among residues.  Where other signs of roots change what is
    equal, floats decide: if theirs is another sign, other residues are drawn, and if they tell nothing, or after 16
    draws, it is not proved.  While this runs, code of these packages in other threads meets exact numbers too: run
    nothing beside it.

    Parameters
    ----------
    f : callable
        f(**arrays) returns an array, a number, or {output: array}.
    vjp : callable
        vjp(d_y, **arrays) returns {name: gradient} for some of the arrays; d_y is what the loss changes by with the
        output, of its shape, or a dict of such.
    arrays : dict of str to array_like, or callable
        Where to check, or arrays(rng), called anew for each trial.  Residues are random; these floats choose branches.
    trials : int
        How many draws of residues; one alone would do.
    seed : int
        Of everything that is random.
    packages : tuple of str
        Top-level packages or modules whose float buffers, `float(...)` and `math.exp` are made to hold exact numbers.
        Those of f and vjp are among them.

    Raises
    ------
    ConfigurationError
        If a line of the code cannot run on exact numbers; the line is named.
    ShapeError
        If a gradient has another shape than its array.

    Examples
    --------
    >>> def f(x, W):
    ...     return np.tanh(x @ W)
    >>> def vjp(d_y, x, W):
    ...     d_a = d_y * (1 - np.tanh(x @ W)**2)
    ...     return {"x": d_a @ W.T, "W": 2 * x.T @ d_a}
    >>> rng = np.random.default_rng(0)
    >>> arrays = {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 2))}
    >>> print(certify(f, vjp, arrays).verdict)
    wrong: W[0, 0] and others: exactly 2 x
    """
    function_of("f", f, "f(**arrays)")
    function_of("vjp", vjp, "vjp(d_y, **arrays)")
    if callable(arrays):
        function_of("arrays", arrays, "arrays(rng) -> {name: array}", 1)
    else:
        instance_of("arrays", arrays, dict, "Pass {name: array}.")
    trials, seed = positive_integer("trials", trials), check_seed(seed)
    names = {*packages, "scratchvae"} | {(getattr(g, "__module__", None) or "").partition(".")[0] for g in (f, vjp)}
    start, done, draws, misses, signs, bits = time.perf_counter(), 0, 0, 0, 0, math.inf
    faults, rounded, ties, asked = [], [], set(), None
    with _ONE_AT_A_TIME, exact_numbers(names), np.errstate(all="ignore"):              # a float beside it may overflow
        while done < trials and not (faults or rounded or ties):
            start_trial(f"{seed} {draws}")
            rng, draws = np.random.default_rng([seed, done]), draws + 1
            try:
                # Where c x has a root and x none, as for half of all constants c, only plain draws can have both.
                trial = Trial(f, vjp, arrays(rng) if callable(arrays) else arrays, rng, misses % 32 < 8)
                analytic, exact = trial.sides(trial.v)
                open_ones = [name for name in trial.v if asked is None or name in asked]
                by_signs = trial.by_signs(open_ones) if ROOTS and open_ones else {}
                if by_signs or analytic.p != exact.p:
                    faults, rounded = trial.findings(by_signs)
                if ROOTS and rounded and not faults and signs < MOST_SIGNS:
                    signs, rounded = signs + 1, []
                    continue
                asked = by_signs.keys()                           # signs decide of these, whatever the residues are
            except Redraw:
                misses += 1
                if misses > MOST_DRAWS * trials:
                    raise ConfigurationError(f"in {misses} draws some number had no square root; expected some six "
                                             "roots of different numbers at most, as each doubles the draws. Pass "
                                             "fewer rows, or the roots as arrays.") from None
                continue
            except (TypeError, AttributeError, IndexError) as error:
                refusal = _refusal(error)
                if refusal is None:
                    raise
                raise refusal from error
            done, signs, ties = done + 1, 0, ties | TIES
            # Two formulas are alike by chance (Schwartz and Zippel), or any two of the symbols' arguments are.
            bits = min(bits, math.log2(R) - math.log2(max(1, (analytic - exact).n) * (1 + len(SYMBOLS)**2 / 2)))
    return Certificate(tuple(faults), tuple(rounded), tuple(sorted(ties)), sum(v.size for v in trial.v.values()), done,
                       bits, (time.perf_counter() - start) / done)
