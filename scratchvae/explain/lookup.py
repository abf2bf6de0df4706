"""Where a tag is derived, computed, tested and broken: read off the installed package, and a checkout's tests."""
import ast
import difflib
import re
import textwrap
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ..bugs import BUGS
from ..errors import ConfigurationError
from ..practice import EXERCISES
from ..source import syntax_tree
from .numbers import checked_now
from .words import CHAPTERS, CLAIMS, FORMULAS, WORDS

PACKAGE = Path(__file__).parents[1]
TESTS, COURSE = (PACKAGE.parent / name for name in ("tests", "demos/README.md"))
TAG = re.compile(r"\b[TFEDLSGO]\d+\b")
QUOTED = re.compile(r'(?<!")"[^"]+"')
DERIVED = {"E": "elbo.py", "L": "likelihoods/__init__.py", "S": "estimators/__init__.py", "D": "kernels/dense.py",
           "O": "kernels/optimizers.py", "G": "oracles",
           "S10": "schedules.py", "O3": "optimizers.py", "O4": "optimizers.py", "O5": "learning_rates.py"}
EQUATIONS = {"E": 9, "D": 5, "L": 12, "S": 11, "G": 17, "O": 5}


class Explanation(NamedTuple):
    """What is known of a word; lists are empty and texts "" where there is nothing.

    Attributes
    ----------
    word, meaning, tag : str
        What was asked for, in short, and the equation or claim that it leads to.
    formula, derivation : str
        As the derivation has them, with the file and line of each.
    lines, tests : list of str
        "file:line: text" of what cites the tag.
    chapter, exercise : str
        Of the course, and of `scratchvae practice`.
    faults : list of str
        Faults of the museum in what computes it.
    number : str
        What was computed just now.
    """

    word: str
    meaning: str
    tag: str
    formula: str
    derivation: str
    lines: list
    tests: list
    chapter: str
    exercise: str
    faults: list
    number: str


@lru_cache(None)
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _lines(path):
    """Yield (number, name and a space of the test that it is the docstring of or "", text) of every line."""
    lines = _text(path).splitlines()
    for k, (before, line) in enumerate(zip(["", *lines], lines), 1):
        test = re.match(r"def (test_\w+)", before)
        yield k, f"{test[1]} " if test else "", line


def _cited(tag: str, folder: Path) -> list[str]:
    """Return "file:line: text" of every line under a folder that has the tag, but for tables; the derivation first.

    A tag in quotes is data: an argument, or Numba's D1 for a vector of float64.
    """
    paths = [path for path in folder.rglob("*.py") if path.parent.name not in ("exercises", "explain", "cli", "bugs")]
    paths.sort(key=lambda path: (path.name != "elbo.py", path.parent.name != "kernels", path))
    return [f"{path.relative_to(folder.parent).as_posix()}:{k}: {test}{line.strip()}" for path in paths
            for k, test, line in _lines(path) if tag in line and re.search(rf"\b{tag}\b", QUOTED.sub("", line))]


def _tests(tag: str) -> list[str]:
    """Return the lines of tests that have a tag; none without a checkout, where `tests` is some other package's."""
    return _cited(tag, TESTS) if COURSE.exists() else []


@lru_cache(None)
def _derived(tag: str) -> tuple[str, str]:
    """Return (the formula's lines with their place, the paragraphs before it and about it)."""
    where = PACKAGE / DERIVED.get(tag, DERIVED.get(tag[0], ""))
    for path in sorted(where.glob("*.py")) if where.is_dir() else [where]:
        lines = _text(path).splitlines()
        for k, line in enumerate(lines):
            begins, ends = re.match(rf" +\({tag}\) ", line), line.rstrip().endswith(f"({tag})")
            if begins or ends and tag[0] in "DO" and "#" not in line:
                last = k + 1
                while '"""' in line and '"""' not in lines[last]:          # a docstring that is the derivation
                    last += 1
                while begins and lines[last].strip(' "') and not re.match(r" +\([A-Z]\d+\) ", lines[last]):
                    last += 1
                place = f"{path.relative_to(PACKAGE.parent).as_posix()}:{k + 1}"
                formula = textwrap.dedent("\n".join(lines[k:last])).removeprefix('"""').rstrip()
                parts = (ast.get_docstring(syntax_tree(_text(path))) or "").split("\n\n")
                at = next((n for n, part in enumerate(parts) if begins and re.search(rf"^ *\({tag}\) ", part, re.M)), 0)
                rest = [part for n, part in enumerate(parts) if n == at - 1 or n == at + 1 and tag in part]
                return f"{formula}\n{place}", "\n\n".join(rest)
    return "", ""


def _in_the_course(tag: str) -> str:
    """Return a formula of the course in TeX, with its file and line; "" without a checkout."""
    text = _text(COURSE) if COURSE.exists() else ""
    for block in re.finditer(r"```math\n(.*?)\n```", text, re.DOTALL):
        if rf"\tag{{{tag}}}" in block[1]:
            return f"{block[1]}\ndemos/README.md:{text.count(chr(10), 0, block.start(1)) + 1}\n\n"
    return ""


def _listed(tag: str) -> list[str]:
    """Return "file:line: text" of the code and the test that the course lists for a claim; [] without a checkout."""
    entry = "".join(re.findall(rf"^- \[{tag}\].*", _text(COURSE) if COURSE.exists() else "", re.MULTILINE))
    return [f"{file}:{k}: {line.strip()}" for name, file in re.findall(r"\[`(\w+)`\]\(\.\./(.+?)\)", entry)
            for k, _, line in _lines(PACKAGE.parent / file) if re.match(rf" *(def|class) {name}\b", line)]


def _tag_of_bug(name: str) -> str:
    """Return the equation that a fault breaks, which its description ends with, or ""."""
    return (TAG.findall(BUGS[name].what) or [""])[-1]


def _exercise(tag: str) -> str:
    own = [name for name, exercise in EXERCISES.items() if exercise.tag == tag]
    return ", ".join(own or [name for name, exercise in EXERCISES.items() if re.search(rf"\b{tag}\b", exercise.text)])


def _known(word: str) -> bool:
    kinds = (FORMULAS, CLAIMS, WORDS, BUGS, EXERCISES)
    return any(word in kind for kind in kinds) or bool(re.fullmatch("[EDLSGO][0-9]+", word) and _derived(word)[0])


def _refuse(word):
    equations = [f"{family}{k}" for family, most in EQUATIONS.items() for k in range(1, most + 1)]
    known = {name.lower(): name for name in (*equations, *FORMULAS, *CLAIMS, *WORDS, *BUGS, *EXERCISES)}
    nearest = ", ".join(known[name] for name in difflib.get_close_matches(word.lower(), known, n=5, cutoff=0))
    raise ConfigurationError(f"{word!r} is no tag and no word of the course; the nearest are {nearest}. Tags are E1 to "
                             f"E9, D, L, S, G, O, the course's F1 to F{len(FORMULAS)} and T1 to T{len(CLAIMS)}.")


def explain(word: str) -> Explanation:
    """Return what is known of a tag ("E7", "T17", "F21"), a word ("nats"), a fault ("missing_half") or an exercise.

    Raises ConfigurationError for an unknown word, with the nearest ones.

    Examples
    --------
    >>> explain("F21").tag, explain("E7").exercise
    ('E7', 'd_logvar')
    """
    asked = word
    word = next((name for name in (word, word.upper(), word.lower().replace(" ", "_")) if _known(name)), "")
    if not word:
        _refuse(asked)
    if word in BUGS:
        bug = BUGS[word]
        tag = _tag_of_bug(word)
        meaning = f"a fault: {bug.what} Seen in {bug.seen_in}. {bug.symptom[0].upper()}{bug.symptom[1:]}."
        found = _of_tag(tag, meaning) if tag else Explanation(word, meaning, "", "", "", [], [], "", "", [], "")
        return found._replace(word=word, faults=[], number=checked_now(word), chapter="c12_bug_museum",
                              tests=[f"found by {', '.join(bug.detected_by)}"])
    meaning, cited = WORDS.get(word, ("", EXERCISES[word].tag if word in EXERCISES else word))
    tag = FORMULAS.get(cited, cited)
    meaning = meaning or (EXERCISES[word].title if word in EXERCISES else CLAIMS.get(tag, ("",))[0])
    found = _of_tag(tag, meaning)
    if cited in FORMULAS:
        tests = [line for line in _tests(cited) if "explain" not in line]
        leads = found.formula if tag not in CLAIMS else f"{tag}: {found.formula}"
        found = found._replace(tests=tests + found.tests, exercise=_exercise(cited) or found.exercise)
        if word == cited:
            found = found._replace(meaning="a formula of the course", formula=_in_the_course(cited) + leads)
    return found._replace(word=word, exercise=word if word in EXERCISES else found.exercise)


def _of_tag(tag, meaning):
    formula, derivation = _derived(tag) if tag[0] not in "TF" else (CLAIMS.get(tag, ("",))[0], "")
    chapter = CLAIMS[tag][1] if tag in CLAIMS else CHAPTERS.get(tag, CHAPTERS.get(tag[0], ""))
    faults = [name for name in BUGS if tag == _tag_of_bug(name)]
    listed = {folder: [line for line in _listed(tag) if line.startswith(folder.name)] for folder in (PACKAGE, TESTS)}
    return Explanation(tag, meaning, tag, formula, derivation, listed[PACKAGE] + _cited(tag, PACKAGE),
                       listed[TESTS] + _tests(tag), chapter, _exercise(tag), faults, checked_now(tag))
