"""What an exercise is: a model answer that runs, and what judges an answer of somebody else."""
import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..source import bare, docstring

EXERCISES: dict[str, "Exercise"] = {}


class Exercise(NamedTuple):
    """One function to be written.

    Attributes
    ----------
    function : function
        The model answer.  Its signature and docstring are what a student sees.
    tag : str
        The equation.
    draw : callable
        draw(rng), with a Random, gives {name: array or number}: the arguments, and perhaps what `loss` needs besides.
    hints : tuple of str
        Three, each gives away more.
    slips : tuple of (str, str, str)
        Usual mistakes: a part of the model answer, what stands there instead, and what to say of it.
    loss : callable or None
        loss(**drawn) is a number whose derivative the answer is, for `certify`.
    by : tuple of str, or callable
        The names by which the loss is differentiated, one for each output; or by(answer, **drawn) -> {name: gradient}.
    surrogate : callable or None
        surrogate(moved, held) is a number whose derivative by `by` the answer is where moved = held, both dicts like
        `drawn`, for finite differences.
    corners : tuple of dict
        Arguments at which a careless formula overflows or divides by zero.
    laws : tuple of callable
        law(answer, rng) returns what breaks it, or ""; its name is the law, in words.
    free : bool
        Whether many answers are right: then only their shapes are compared with the model answer's.
    """

    function: Callable
    tag: str
    draw: Callable
    hints: tuple
    slips: tuple = ()
    loss: Callable | None = None
    by: Any = ()
    surrogate: Callable | None = None
    corners: tuple = ()
    laws: tuple = ()
    free: bool = False

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def chapter(self) -> str:
        """The file, named as the course's chapter if there is one."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def parameters(self) -> tuple:
        """The names of the arguments."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def text(self) -> str:
        """The docstring."""
        return docstring(self.function)

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return self.text.splitlines()[0]

    @property
    def outputs(self) -> tuple:
        """The names of several outputs, as the docstring has them: "Return (d_mu, d_logvar)"."""
        found = re.search(r"Return (?:the new )?\(((?:[^()]|\([^()]*\))*)\)", self.text)
        return tuple(found[1].split(", ")) if found else ()

    @property
    def template(self) -> str:
        """The function as a student finds it: signature, docstring, an empty body."""
        head = f"def {self.name}({', '.join(self.parameters)}):"
        return f'{head}\n{textwrap.indent(chr(34) * 3 + self.text, "    ")}\n    """\n    ...\n'

    @property
    def answer(self) -> str:
        """The model answer as text, without the docstring."""
        return bare(inspect.getsource(self.function))


def exercise(tag: str, draw: Callable, **label: Any) -> Callable:
    """Register the function below as the model answer of an `Exercise`; `label` are its other fields, with `hints`."""
    def register(function):
        EXERCISES[function.__name__] = Exercise(function, tag, draw, **label)
        return function
    return register


def chapter_imports(module: Any) -> list[str]:
    """Return the lines by which a chapter's file imports what earlier chapters' files define."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    taken = [(node.module, [alias.name for alias in node.names if alias.name in EXERCISES]) for node in tree.body
             if isinstance(node, ast.ImportFrom) and node.level == 1]
    return [f"from {chapter} import {', '.join(names)}" for chapter, names in taken if names]


class Random(np.random.Generator):
    """A random generator that also draws sizes, of which no two calls in a row share one.

    Five different sizes: a sum over the wrong axis has the wrong shape.  Other ones at the next call: a size that an
    answer has written down is wrong there.

    Examples
    --------
    >>> rng = Random(0)
    >>> any(a == b for a, b in zip(rng.sizes(), rng.sizes()))
    False
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(np.random.PCG64(seed))
        self._sizes = [int(n) for n in self.permutation(np.arange(3, 8))]

    def sizes(self) -> tuple:
        """Return five different sizes from 3 to 7."""
        self._sizes = self._sizes[1:] + self._sizes[:1]
        return tuple(self._sizes)
