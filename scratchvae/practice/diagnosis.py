"""What is wrong with an answer, in words: usual mistakes, factors, one place that differs."""
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..gradcheck.hints.patterns import diagnose as factor_hint
from ..gradcheck.hints.patterns import IF_MEANT
from .edits import compiled, edits
from .exercise import Exercise
from .foreign import as_sentence, Attempt

ALIKE = 1e-7            # relative to the largest entry
SHAPES = re.compile(r"^ *(\w+(?:, \w+)*) \((\w+(?:, \w+)*),?\)", re.MULTILINE)     # "d_z, eps (B, K, Z)"


def unlike(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return where two arrays differ by more than rounding; NaN equals NaN."""
    scale = np.max(np.abs(right[np.isfinite(right)]), initial=0.0)
    return ~np.isclose(found, right, rtol=ALIKE, atol=ALIKE * scale, equal_nan=True)


def alike(found: np.ndarray, right: np.ndarray) -> bool:
    """Return whether two arrays are equal but for rounding; NaN equals NaN."""
    return not unlike(found, right).any()


def leaves(value: Any) -> list:
    """Return the arrays of what a function returned, a tuple or dict of arrays or one; those of a dict by its keys."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value, key=str) for leaf in leaves(value[key])]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, tuple) else [np.asarray(value, float)]


class Findings:
    """An answer beside the model answer, at each draw.

    `drawn` are the arguments, and `raw` what the answer returned at each, up to the first that is of another form;
    `found` has for each a list of (label, right array, the answer's array).  run(arguments, function) calls another
    function.
    """

    def __init__(self, exercise: Exercise, drawn: list, raw: list, found: list, run: Callable) -> None:
        self.exercise, self.drawn, self.raw, self.run = exercise, drawn, raw, run
        self.wrong = [(at, label, right, got) for at, compared in zip(drawn, found) for label, right, got in compared
                      if not alike(got, right)]

    def diagnosis(self) -> tuple[str, bool]:
        """Return (what is wrong, whether that has a name)."""
        for look in (self._slip, self._not_finite, self._corner, self._nothing_of_its_own, self._factor, self._edit):
            text = look()
            if text:
                return text, True
        _, label, right, got = self.wrong[0]
        at = np.unravel_index(np.argmax(np.abs(got - right)), right.shape)
        entry = f" at [{', '.join(map(str, at))}]" if at else ""
        digits = next(n for n in range(5, 18) if n == 17 or f"{got[at]:.{n}g}" != f"{right[at]:.{n}g}")
        return f"{label} is {got[at]:.{digits}g}{entry}, and {right[at]:.{digits}g} is right", False

    def of_other_form(self, text: str) -> tuple[str, bool]:
        """Return the same of an answer of another form: `text` says which."""
        with Attempt(self.exercise.name, seconds=0):
            right = self.run(self.drawn[len(self.raw) - 1], self.exercise.function)
            if len(leaves(self.raw[-1])) == len(leaves(right)) and not (
                    self.exercise.free or self._is_like(self.exercise.answer)):
                text = " ".join(map(as_sentence, filter(None, (text, self._slip() or self._edit()))))
        return text, True

    def _is_like(self, source: str) -> bool:
        """Return whether a source in the place of the model answer gives what was found."""
        function = compiled(self.exercise, source)
        if function is None:
            return False
        with Attempt(self.exercise.name, seconds=0):
            return all(a.shape == b.shape and alike(a, b) for at, own in zip(self.drawn, self.raw)
                       for a, b in zip(leaves(self.run(at, function)), leaves(own), strict=True))
        return False                                              # it stopped, or gives another number of arrays

    def _slip(self):
        for old, new, words in self.exercise.slips:
            if self._is_like(self.exercise.answer.replace(old, new)):
                return words
        return ""

    def _not_finite(self):
        for at, label, right, got in self.wrong:
            if np.isfinite(right).all() and not np.isfinite(got).all():
                what = "nan" if np.isnan(got).any() else "inf"
                return (f"{label} holds {what} at {self._shown(at, right, got)}: does it overflow, divide by 0, take "
                        "the log of 0, or the log or root of what is negative?")
        return ""

    def _shown(self, at: dict, right: np.ndarray, got: np.ndarray) -> str:
        """Return what the arguments are, but for arrays of zeros; of a batch, the examples that are wrong."""
        rows = unlike(got, right).reshape(*right.shape[:1], -1).any(axis=-1)
        given = {name: np.asarray(value) for name, value in at.items() if name in self.exercise.parameters
                 and not isinstance(value, dict) and np.any(value)}
        given = {name: value[rows] if value.shape[:1] == rows.shape != () else value for name, value in given.items()}
        with np.printoptions(precision=3, linewidth=1000):
            return ", ".join(f"{name} = {np.array2string(value.ravel()[:10] if value.ndim else value)}"
                             for name, value in given.items()) or "these weights"

    def _nothing_of_its_own(self):
        if not self.wrong:
            return "it is right to seven digits, and not to nine: float32, a rounded constant, or an approximation"
        _, label, right, got = self.wrong[0]
        if not got.any():
            return f"{label} is 0 everywhere"
        for name in self.exercise.parameters:
            given = [(at[name], other) for at, _, _, other in self.wrong]
            if all(isinstance(x, np.ndarray) and x.shape == y.shape and alike(y, x.astype(float)) for x, y in given):
                return f"{label} is its argument {name}, unchanged"
        return ""

    def _sizes(self, at: dict) -> dict:
        """Return {letter: size} of the docstring's shapes, and the arguments that are numbers."""
        sizes = {name: value for name, value in at.items() if isinstance(value, float)}
        for names, letters in SHAPES.findall(self.exercise.text):
            for name in names.split(", "):
                if isinstance(at.get(name), np.ndarray):
                    sizes |= dict(zip(letters.split(", "), at[name].shape))
        return sizes

    def _factor(self):
        """The hints that all draws agree on, whatever their sizes: in a small one 2, B and Z may be the same."""
        labels = list(dict.fromkeys(label for _, label, *_ in self.wrong))
        subject = " and ".join(labels) + (" is" if len(labels) == 1 else " are each")
        said = [{re.sub(r"= ?[\d./]+", "=", hint): hint for hint in factor_hint(
            got, np.arange(right.size), right.ravel(), np.full(right.size, 1e-12), self._sizes(at)).split("; or ")}
            for at, _, right, got in self.wrong]
        agreed = "; or ".join(hint for key, hint in said[0].items() if all(key in other for other in said))
        return agreed.replace("analytic is", subject).replace("numeric", "the right one").removesuffix(IF_MEANT)

    def _edit(self):
        for source, right, wrong in edits(self.exercise):
            if self._is_like(source):
                return f"it gives what `{wrong}` gives in the place of `{right}`"
        return ""

    def _corner(self):
        corners = self.drawn[len(self.drawn) - len(self.exercise.corners):]
        if self.wrong and corners and all(any(at is corner for corner in corners) for at, *_ in self.wrong):
            at, _, right, got = self.wrong[0]
            return f"right at ordinary numbers, and wrong at {self._shown(at, right, got)}"
        return ""
