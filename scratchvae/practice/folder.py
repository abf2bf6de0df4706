"""A student's folder: files with empty bodies, or one notebook, and what has been solved."""
import difflib
import dis
import importlib
import inspect
import json
import linecache
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigurationError, RunError
from ..source import docstring
from ..storage.atomic import write_atomically
from .exercise import chapter_imports, Exercise, EXERCISES
from .exercises import CHAPTERS
from .foreign import as_sentence, Attempt
from .judge import judge, Verdict

PROGRESS, NOTEBOOK = "progress.json", "practice.ipynb"
HEAD = '"""{text}\n\nWrite the bodies, then ask: scratchvae practice check\n"""\nimport numpy as np\n'


def _files():
    """Return {name: text} of one file a chapter."""
    files = {}
    for module in CHAPTERS:
        name = module.__name__.rpartition(".")[2]
        parts = [exercise.template for exercise in EXERCISES.values() if exercise.chapter == name]
        head = HEAD.format(text=f"{docstring(module)}  ({name})")
        imports = "".join(f"{line}\n" for line in chapter_imports(module))
        files[f"{name}.py"] = "\n\n".join([head + (imports and f"\n{imports}"), *parts])
    return files


def _cell(kind, text, **metadata):
    cell: dict[str, Any] = {"cell_type": kind, "metadata": metadata, "source": text.rstrip("\n").splitlines(True)}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _notebook():
    """Return the notebook of all exercises, as what json writes."""
    cells = [_cell("markdown", "# A VAE of your own\n\nWrite each body and run its cell; the cell below it judges."),
             _cell("code", "import numpy as np\n\nfrom scratchvae.practice import check")]
    for exercise in EXERCISES.values():
        cells += [_cell("markdown", f"## {exercise.name} ({exercise.tag})\n\n{exercise.title}"),
                  _cell("code", exercise.template), _cell("code", f"check({exercise.name})", tags=["check"])]
    return {"cells": cells, "nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": {
        "display_name": "Python 3", "language": "python", "name": "python3"}}}


def start(folder: Path, notebook: bool = False) -> list[Path]:
    """Write the exercises into a folder, new or with other files in it, and return the paths.

    Raises
    ------
    RunError
        If one of the files exists, so that nobody's work is overwritten, or the folder cannot be written.
    """
    files = {NOTEBOOK: json.dumps(_notebook(), indent=1) + "\n"} if notebook else _files()
    files[PROGRESS] = "{}\n"
    there = [name for name in (*files, NOTEBOOK) if os.path.lexists(folder / name)]
    if there:
        raise RunError(f"{folder} holds {there[0]} already, and your work is not overwritten. Choose another folder, "
                       f"or go on with `scratchvae practice next {shlex.quote(str(folder))}`.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}. Choose another folder.") from error
    for name, text in files.items():
        write_atomically(folder / name, lambda file, text=text: file.write(text.encode()))
    return [folder / name for name in files if name != PROGRESS]


def find(word: str) -> list[Exercise]:
    """Return the exercises of a name or a tag; raises ConfigurationError for an unknown word, with the nearest."""
    found = [exercise for exercise in EXERCISES.values() if word in (exercise.name, exercise.tag)]
    if not found:
        nearest = ", ".join(difflib.get_close_matches(word, EXERCISES, cutoff=0))
        raise ConfigurationError(f"the exercise is {word!r}; expected one of {len(EXERCISES)} names, such as {nearest}."
                                 " They are the functions in the files that `scratchvae practice start` writes.")
    return found


def holds_exercises(folder: Path) -> bool:
    """Return whether one of the files that `start` writes is in a folder; the course's chapters have their names."""
    files = {exercise.name: folder / f"{exercise.chapter}.py" for exercise in EXERCISES.values()}
    return any((folder / name).exists() for name in (PROGRESS, NOTEBOOK)) or any(
        f"def {name}(" in file.read_text(encoding="utf-8", errors="ignore") for name, file in files.items()
        if file.is_file() and os.access(file, os.R_OK))


class Folder:
    """A folder that `start` wrote; `progress` is {exercise: {"state", "hints", "revealed"}}, as `save` keeps it."""

    def __init__(self, path: Path) -> None:
        """Raises RunError if no exercises are in the folder, or its progress cannot be read."""
        self.path = path
        self.verdicts: dict[str, Verdict] = {}
        self.modules: dict[Path, tuple] = {}
        self.is_notebook = (path / NOTEBOOK).exists()
        if not holds_exercises(path):
            raise RunError(f"{path} holds no exercises. Name the folder in which they are, or write some: scratchvae "
                           f"practice start {shlex.quote(str(path))}")
        try:
            self.progress: dict = json.loads((path / PROGRESS).read_text(encoding="utf-8"))
            if not isinstance(self.progress, dict) or not all(isinstance(entry, dict) and repr(
                    entry.get("hints", 0)) in ("0", "1", "2", "3") for entry in self.progress.values()):
                raise ValueError("it is not what was written")
        except FileNotFoundError:                                # of a copy of the files: nothing but counts is lost
            self.progress = {}
        except (OSError, ValueError) as error:
            raise RunError(f"{path / PROGRESS} cannot be read ({error}). Write {{}} into it: only the count of "
                           "hints is lost.") from error

    def save(self) -> None:
        """Write the progress; raises RunError if that fails."""
        text = json.dumps(self.progress, indent=1) + "\n"
        write_atomically(self.path / PROGRESS, lambda file: file.write(text.encode()))

    def note(self, name: str, **changes: Any) -> None:
        """Change an exercise's entry."""
        self.progress.setdefault(name, {}).update(changes)

    def place(self, exercise: Exercise) -> Path:
        """Return the file in which an exercise stands."""
        return self.path / (NOTEBOOK if self.is_notebook else f"{exercise.chapter}.py")

    def check(self, exercises: list[Exercise]) -> list[Verdict]:
        """Judge exercises and keep in the progress what was found."""
        with _own_modules(self.path):
            verdicts = [self._verdict(exercise) for exercise in exercises]
        for verdict in verdicts:
            self.note(verdict.name, state=verdict.state)
        self.save()
        return verdicts

    def _verdict(self, exercise: Exercise, callers: tuple = ()) -> Verdict:
        """Return the Verdict, which is sought for `callers` too: functions may call each other in a circle."""
        if exercise.name not in self.verdicts:
            answer, failure = self._function(exercise)
            verdict = Verdict(exercise.name, "wrong", failure) if failure else judge(exercise, answer)
            if verdict.state == "wrong" and not failure:
                callers = *callers, exercise.name
                taken = _taken(inspect.unwrap(answer).__code__)
                missing = [name for name, need in EXERCISES.items() if name in taken and name not in callers
                           and self._verdict(need, callers).state != "right"]
                if missing:
                    text = f"It calls {', '.join(missing)}: get that right first. ({verdict.text})"
                    verdict = verdict._replace(text=text)
            self.verdicts[exercise.name] = verdict
        return self.verdicts[exercise.name]

    def _function(self, exercise: Exercise) -> tuple[Any, str]:
        """Return (the student's function, "") or (None, why there is none)."""
        place = self.place(exercise)
        if not place.exists():
            return None, f"{place} is missing: the exercise stands there."
        if place not in self.modules:
            module: Any = None
            cells = _code_cells(place) if self.is_notebook else None
            with Attempt(place.name, place) as attempt:
                module = importlib.import_module(exercise.chapter) if cells is None else _run_notebook(place, cells)
            self.modules[place] = module, attempt.failure
        module, failure = self.modules[place]
        failure = failure or getattr(module, "failures", {}).get(exercise.name, "")
        if failure:
            return None, as_sentence(failure)
        answer = getattr(module, exercise.name, None)
        if not inspect.isfunction(answer):
            return None, f"{place.name} has no function {exercise.name}." if answer is None else (
                f"{exercise.name} is something of type {type(answer).__name__}; expected a plain function: def, and "
                "nothing that wraps it.")
        return answer, ""


def _taken(code):
    """Return the names that code, with the functions and comprehensions in it, takes from its module: no attributes."""
    own = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return own.union(*map(_taken, filter(inspect.iscode, code.co_consts)))


@contextmanager
def _own_modules(folder: Path) -> Iterator[None]:
    """While open, the chapters' names are modules of this folder, read anew and not compiled into files."""
    names = [*(module.__name__.rpartition(".")[2] for module in CHAPTERS), Path(NOTEBOOK).stem]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    linecache.checkcache()
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        sys.dont_write_bytecode = kept
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _code_cells(path: Path) -> list[tuple[str, str]]:
    """Return (name, source) of a notebook's cells of code but those that judge; raises RunError if it is damaged."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [(f"cell {k}", "".join(cell["source"])) for k, cell in enumerate(cells, 1)      # of lines, or one string
                if cell["cell_type"] == "code" and "check" not in cell["metadata"].get("tags", ())]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} cannot be read as a notebook ({type(error).__name__}: {error}); your answers may still "
                       "be in it. Restore a copy (Jupyter keeps one in .ipynb_checkpoints), or begin another with "
                       "`scratchvae practice start DIR --notebook`.") from error


def _run_notebook(path: Path, cells: list[tuple[str, str]]) -> ModuleType:
    """Return a notebook's cells as a module; a broken cell stops no other."""
    name = path.stem
    if name in sys.modules:
        return sys.modules[name]
    module = sys.modules[name] = ModuleType(name)
    module.failures = {}
    for cell, text in cells:
        source = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("%", "!")))
        file = f"<{cell}>"
        linecache.cache[file] = len(source), None, source.splitlines(True), file
        with Attempt(f"{cell} of {path.name}", file) as attempt:
            exec(compile(source, file, "exec"), vars(module))
        module.failures |= {name: attempt.failure for name in EXERCISES if f"def {name}(" in source}
    return module
