"""Exact numbers: a value and its derivative in a finite field, and the float that answers comparisons.

An input is drawn at random modulo three primes, P = 2 Q + 1 and Q = 2 R + 1.  Two formulas that are equal give equal
residues; two that differ give equal ones with a probability of at most degree / R (Schwartz 1980, Zippel 1979).

exp(a) is g^a modulo P, where a is taken modulo Q, the order of g: the idea of Mirage (Wu et al. 2025; Li & Wu 2026),
whose bound rests on a conjecture where exponents are not linear in the inputs.  So exp(a + b) = exp(a) exp(b) and
exp(a / 2)^2 = exp(a) hold by themselves.  Modulo Q it is h^a, with a modulo R, so that an exp inside an exp obeys the
same laws.  Modulo R, three deep, it is a random symbol, the same for the same a.  log(u) is a symbol that remembers
u: exp(c - 2 log(u)) = exp(c) / u^2.  Of these tanh, softplus, expm1 and others are made.
"""
import math
import operator
import random
import sys
from fractions import Fraction
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

# All three are prime.  They are near no power of 2: then no float is a simple fraction modulo P by accident.  Modulo P
# all primes up to 23 have a root, and -1 has none: so have products and quotients of positive numbers, and no negative.
P = math.isqrt(2 << 238) + 73952601
Q, R = P // 2, P // 4
PRIMES = P, Q, R
SIMPLE = 4096                            # largest denominator of a fraction that a float in the code may stand for
E_POWER = 64                             # largest |k| for which a float may stand for exp(k)
ROUNDING = 2.0**-51                      # and how far off the float may be, relatively
NOT_FINITE = -1                          # the degree of NaN and infinity, with which floats compute
EXP_DEGREE = 4                           # an exp may be the fourth power of another, exp(a / 4)
HERE, NUMPY = str(Path(__file__).parent), str(Path(np.__file__).parent)

NO_LOGS = {}                             # of most numbers: never written to
DRAW = random.Random()
SYMBOLS = {}                             # {what it stands for: residues}
TIES = set()                             # lines of code in which two floats were equal and two formulas were not
ROOTS = set()                            # of what is no square that was seen: their signs may be wrong
FLIP = [0]                               # those roots have their other sign that share an odd number of bits with it


class Redraw(ArithmeticError):
    """A number has no square root modulo P, as half of all numbers have not: other residues must be drawn."""


def start_trial(seed: str) -> None:
    """Forget all symbols, ties and roots, and draw from `seed` (str) from here on."""
    DRAW.seed(seed)
    for kept in (SYMBOLS, TIES, ROOTS):
        kept.clear()
    literal.cache_clear()


def residues() -> tuple[int, int, int]:
    """Return three random residues, none of them 0, 1 or -1."""
    p, q, r = (DRAW.randrange(2, m - 1) for m in PRIMES)
    return p, q, r


def symbol(*key: object) -> tuple[int, int, int]:
    """Return the residues of what field operations cannot give, the same ones for the same key."""
    if key not in SYMBOLS:
        SYMBOLS[key] = residues()
    return SYMBOLS[key]


def unknown(x: float) -> "Exact":
    """Return an Exact of random residues for a float `x` that is NaN or infinite: it equals nothing else."""
    return Exact(*residues(), x=x, n=NOT_FINITE)


def in_sight(filename: str) -> bool:
    """Return True for a file that is neither NumPy's nor this package's: for code that is checked."""
    return not filename.startswith((HERE, NUMPY, "<frozen", "<__array_function__"))


def note_tie() -> None:
    """Remember the line of the checked code that compares two numbers right now."""
    frame = sys._getframe(1)
    while frame.f_back and not in_sight(frame.f_code.co_filename):
        frame = frame.f_back
    TIES.add(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")


def simplest(value: float) -> Fraction:
    """Return the Fraction that a float in the code stands for: a simple one that it rounds, else its binary value."""
    c = Fraction(value)
    simple = c.limit_denominator(SIMPLE)
    return simple if abs(simple - c) <= abs(c) * Fraction(ROUNDING) else c


@lru_cache(4096)
def literal(value: Any) -> "Exact":
    """Return the Exact of a number in the code: a fraction (see `simplest`), or exp(k) for a float that rounds it."""
    value = value.item() if isinstance(value, np.generic) else value
    if not math.isfinite(value):
        return unknown(value)
    k = round(math.log(value)) if value > 0 else 0
    if k and abs(k) <= E_POWER and type(value) is float and abs(math.exp(k) - value) <= value * ROUNDING:
        return literal(k).exp()
    c = simplest(value)
    p, q, r = (c.numerator * pow(c.denominator, -1, m) % m for m in PRIMES)
    return Exact(p, q, r, x=float(c), c=c)


def lift(a: Any) -> Any:
    """Return `a` as an Exact if it is a number, else NotImplemented."""
    if type(a) is Exact:
        return a
    return literal(a) if isinstance(a, (Real, np.bool_)) else NotImplemented  # type: ignore[arg-type]


def _method(formula):
    """Return the method formula(a, b) of an Exact a and any number b; arrays are left to NumPy."""
    def method(a, b):
        b = lift(b)
        return b if b is NotImplemented else formula(a, b)
    return method


def _operators(formula):
    """Return the method of an operator and that of its mirror image."""
    return _method(formula), _method(lambda b, a: formula(a, b))


def _comparison(compare):
    """Return the method of a comparison, which the floats answer; a tie of different formulas is remembered."""
    def answer(a, b):
        if a.x == b.x and a.p != b.p:
            note_tie()
        return compare(a.x, b.x)
    return _method(answer)


def _divided(x, y):
    return x / y if y else math.nan


class Exact:
    """One number of the checked code.

    Attributes
    ----------
    p, q, r : int
        Its residues modulo P, Q and R.
    t : int
        Its derivative along the inputs' direction, modulo P.
    x, s : float
        The number and the derivative in floats, as they would come out without this class.
    n, m : int
        Bounds on the degrees of numerator and denominator, of number and derivative alike; n is NOT_FINITE of what
        stands for an infinity, as in a mask, or NaN.  A finite number whose float overflows is none of these.
    c : Fraction or None
        The number itself if it stands in the code.
    of : Exact or None
        What it is the exp of.
    logs : dict
        {residue of u: (factor, u)}, the terms factor log(u) in it.
    root : Exact or None
        What it is the square of.
    """

    __slots__ = "p", "q", "r", "t", "x", "s", "n", "m", "c", "of", "logs", "root"

    def __init__(self, p: Any, q: Any = None, r: Any = None, t: int = 0, x: float = 0.0, s: float = 0.0, n: int = 0,
                 m: int = 0, c: Fraction | None = None, of: "Exact | None" = None, logs: dict | None = None,
                 root: "Exact | None" = None) -> None:
        if q is None:                                   # Exact(0.5), for code that says type(x)(0.5)
            a = lift(p)
            p, q, r, t, x, s, n, m, c, of, logs, root = (getattr(a, name) for name in self.__slots__)
        self.p, self.q, self.r, self.t, self.x, self.s = p, q, r, t, x, s
        self.n, self.m, self.c, self.of, self.logs, self.root = n, m, c, of, logs or NO_LOGS, root

    def _plus(self, b):
        if NOT_FINITE in (self.n, b.n):
            return unknown(self.x + b.x)
        logs = self.logs
        if b.logs:
            logs = dict(logs)
            for key, (factor, u) in b.logs.items():
                logs[key] = factor + logs.get(key, (0, u))[0], u
        return Exact((self.p + b.p) % P, (self.q + b.q) % Q, (self.r + b.r) % R, (self.t + b.t) % P, self.x + b.x,
                     self.s + b.s, max(self.n + b.m, b.n + self.m), self.m + b.m, logs=logs)

    def _minus(self, b):
        return self._plus(b._times(literal(-1)))

    def _times(self, b):
        if NOT_FINITE in (self.n, b.n):
            return unknown(self.x * b.x) if self.p and b.p else literal(0)            # a NaN that is cut off is gone
        logs, factor = (self.logs, b.c) if self.logs else (b.logs, self.c)
        logs = {key: (f * factor, u) for key, (f, u) in logs.items()} if logs and factor is not None else None
        return Exact(self.p * b.p % P, self.q * b.q % Q, self.r * b.r % R, (self.t * b.p + self.p * b.t) % P,
                     self.x * b.x, self.s * b.x + self.x * b.s, self.n + b.n, self.m + b.m, logs=logs,
                     root=self if (self.p, self.q, self.t) == (b.p, b.q, b.t) else None)

    def inverse(self) -> "Exact":
        """Return 1 / self."""
        if self.n == NOT_FINITE:
            return unknown(math.nan) if math.isnan(self.x) else literal(0)
        if not self.p or not self.q or not self.r:
            return unknown(math.inf)
        p, x = pow(self.p, -1, P), _divided(1.0, self.x)
        return Exact(p, pow(self.q, -1, Q), pow(self.r, -1, R), -self.t * p * p % P, x, -self.s * x * x,
                     self.m + self.n, 2 * self.n, c=self.c and 1 / self.c)

    def exp(self) -> "Exact":
        """Return e^self: exp(c + factor log(u)) is exp(c) u^factor for a whole factor, and for half of one alone.

        Roots of several u in one exp are left to the symbols: for half of all draws each would have none.
        """
        if self.n == NOT_FINITE:
            return literal(0) if self.x < 0 else unknown(self.x)
        q, r, powers, (g, h, _) = self.q, self.r, literal(1), symbol("bases")          # g^2 has order Q, h^2 order R
        roots = [factor for factor, _ in self.logs.values() if Fraction(factor).denominator == 2]
        for key, (factor, u) in self.logs.items():
            factor, (_, log_q, log_r) = literal(factor), symbol("log", key)
            if factor.c.denominator == 1 or factor.c.denominator == 2 and len(roots) == 1:
                q, r, powers = (q - factor.q * log_q) % Q, (r - factor.r * log_r) % R, powers * u ** factor.c
        y = powers * Exact(pow(g * g, q, P), pow(h * h, r, Q), symbol("exp", r)[2] if r else 1,
                           n=EXP_DEGREE, m=EXP_DEGREE)
        x = math.exp(min(self.x, 700.0))
        return Exact(y.p, y.q, y.r, self.t * y.p % P, x, self.s * x, y.n + max(self.n, self.m), y.m + self.m, of=self)

    def log(self) -> "Exact":
        """Return log(self), which exp undoes."""
        if self.of is not None:
            return self.of
        if self.n == NOT_FINITE:
            return unknown(self.x if self.x > 0 else math.nan)
        if not self.p:
            return unknown(-math.inf)
        if self.p == 1:
            return literal(0)
        p, q, r = symbol("log", self.p)
        return Exact(p, q, r, self.t * pow(self.p, -1, P) % P,
                     math.log(self.x) if 0 < self.x < math.inf else math.nan, _divided(self.s, self.x),
                     self.n + 1, self.n, logs={self.p: (1, self)})

    def sqrt(self) -> "Exact":
        """Return the root that has a root itself; raises Redraw if there is none.  That of a square is its size."""
        if self.of is not None:
            return (self.of / 2).exp()
        if self.root is not None:
            return abs(self.root)
        if self.n == NOT_FINITE:
            return unknown(self.x if self.x > 0 else math.nan)
        root, x = pow(self.p, (P + 1) // 4, P), max(self.x, 0.0) ** 0.5
        if root * root % P != self.p:
            raise Redraw
        ROOTS.add(root)
        _, q, r = symbol("sqrt", self.p)
        if FLIP[0] < 0 or (root & FLIP[0]).bit_count() % 2:
            root, x = P - root, -x
        return Exact(root, q, r, self.t * pow(2 * root, -1, P) % P if root else 0, x,
                     _divided(self.s, 2 * x), 2 + max(self.n, self.m), 1 + self.m)

    def expm1(self) -> "Exact":
        """Return e^self - 1."""
        return self.exp() - 1

    def log1p(self) -> "Exact":
        """Return log(1 + self)."""
        return (1 + self).log()

    def tanh(self) -> "Exact":
        """Return tanh(self), made of one exp."""
        return 1 - 2 / ((2 * self).exp() + 1)

    def conjugate(self) -> "Exact":
        """Return the number itself: np.var asks for it."""
        return self

    def __pow__(self, k):
        k = lift(k)
        if k.c is None or k.c.denominator > 2:
            return (self.log() * k).exp()
        if k.c.denominator == 2:
            return self.sqrt() ** (2 * k.c) if k.c != Fraction(1, 2) else self.sqrt()
        if k.c < 0:
            return (self ** -k.c).inverse()
        half = self ** (k.c // 2) if k.c > 1 else literal(1)
        return half * half * self if k.c % 2 else half * half

    def __rpow__(self, base):
        return lift(base) ** self

    def __float__(self):
        raise TypeError("an Exact would become a float here")

    def __bool__(self):
        return self != 0

    def __neg__(self):
        return self * -1

    def __pos__(self):
        return self

    def __abs__(self):
        return self if self >= 0 else -self

    __hash__ = None  # type: ignore[assignment]
    __add__, __radd__ = _operators(_plus)
    __sub__, __rsub__ = _operators(_minus)
    __mul__, __rmul__ = _operators(_times)
    __truediv__, __rtruediv__ = _operators(lambda a, b: a._times(b.inverse()))
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = map(_comparison, (
        operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne))
