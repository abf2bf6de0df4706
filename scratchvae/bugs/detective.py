"""The detective game: a fault without its name, five suspects, evidence without a verdict, the patch at the end."""
import difflib
import inspect
import re
import textwrap
from typing import Any, NamedTuple

import numpy as np

from ..errors import ScratchVAEError
from ..gradcheck import check_model
from ..gradcheck.hints.model import check_parts
from ..kernels.twins import TWINS
from ..source import bare, docstring
from .cases import random_case
from .catalog import DETECTORS, examine
from .injection import Bug, BUGS, find_bug, inject

LEVELS = {1: "a gradient check sees it, of the model, a layer, the trainer or K samples; suspects are of all kinds",
          2: "no gradient check sees it; the suspects are of all kinds",
          3: "no gradient check sees it; the suspects are those that most resemble it"}
SUSPECTS = 5


class Mystery(NamedTuple):
    """What a seed hides: the fault's name, and five suspects, the fault among them."""

    name: str
    suspects: tuple


def _alike(bug: Bug, other: Bug) -> int:
    """Return how much two faults resemble each other: where they lie, and which detectors find them."""
    shared = len(set(bug.detected_by) & set(other.detected_by))
    return 2 * shared + (bug.make.__module__ == other.make.__module__) + bool(set(bug.targets) & set(other.targets))


def mystery_bug(seed: int, level: int = 1) -> Mystery:
    """Return the Mystery of a seed at a level, one of LEVELS.

    Every fault of the level is as likely as any other, and at each place among the suspects.  All suspects could be in
    the model that is shown; if it is an uncommon one, two others are of its kind.

    Examples
    --------
    >>> hidden = mystery_bug(0, level=3)
    >>> hidden.name in hidden.suspects, len(set(hidden.suspects))
    (True, 5)
    """
    rng = np.random.default_rng([seed, level])
    name = str(rng.choice([name for name, bug in BUGS.items() if bool(bug.diagnosis) == (level == 1)]))
    settings = BUGS[name].settings
    others = [other for other in rng.permutation(sorted(set(BUGS) - {name})).tolist()
              if BUGS[other].settings.items() <= settings.items()]
    if level == 3:
        others.sort(key=lambda other: -_alike(BUGS[name], BUGS[other]))
    kin = [other for other in others if settings and BUGS[other].settings == settings][:2]
    others = kin + [other for other in others if other not in kin]
    return Mystery(name, tuple(rng.permutation([name, *others[:SUSPECTS - 1]]).tolist()))


def _table(checks: Any) -> str:
    rows = [f"{'array':18s}{'entry':>8s}{'by hand':>14s}{'by differences':>16s}"]
    for check in checks:
        numbers = f"{check.analytic:14.6g}", f"{check.numeric:16.6g}"
        alike = not check.ok and float(numbers[0]) == float(numbers[1])
        if check.name != "cause":                                              # which is no array
            rows.append(f"{check.name:18s}{','.join(map(str, check.index)):>8s}{''.join(numbers)}"
                        f"{'  equal, but not in every call' * alike}")
    return "\n".join(rows)


def evidence(name: str, detector: str, seed: int = 0) -> str:
    """Return what a detector sees of a fault on the random case of a seed: numbers, without verdict or hint."""
    with inject(name) as bug, np.errstate(all="ignore"):
        case = random_case(seed, **bug.case_settings)
        try:
            checks = (check_model(case.model, case.X, case.eps, seed=case.seed) if detector == "gradient check" else
                      check_parts(case.model, case.X, case.rng()) if detector == "layer check" else [])
        except ScratchVAEError as error:
            return f"it stopped: {error}"
        if checks:
            return _table(checks)
        said = examine(case, [detector])[detector]
    asked = " ".join(docstring(DETECTORS[detector]).split())
    if said.startswith("wrong: "):                                   # then hints follow, which are verdicts
        return f"not as it should be: {said.removeprefix('wrong: ').partition(';')[0]}. As it should be: {asked}"
    measured = " ".join(part for part in re.split(r"(?<=[.:;]) ", said) if not part.endswith("?")).rstrip(":;")
    return measured or f"as it should be: {asked}"


def source_of(target: Any) -> str:
    """Return the source of what a fault replaces: of a kernel, that of its twin and its own."""
    twin = TWINS.get(target.__name__)
    functions = (twin.reference, twin.source) if twin and target is twin.compiled else (target,)
    return "\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in functions)


def patch(name: str) -> str:
    """Return the fault's code as a diff from what it replaces."""
    bug = find_bug(name)
    right = [line for target in bug.targets for line in bare(source_of(target)).splitlines()]
    wrong = bare(inspect.getsource(bug.make)).splitlines()
    places = ", ".join(target.__qualname__ for target in bug.targets)
    return "\n".join(difflib.unified_diff(right, wrong, places, f"with {name}", lineterm="", n=0))


def effect(name: str, seed: int = 0) -> list[str]:
    """Return what a fault changes in the loss and the gradient of the random case of a seed, a line each."""
    with np.errstate(all="ignore"):
        def numbers():
            case = random_case(seed, **find_bug(name).settings)
            samples = len(case.X), case.model.n_samples, case.model.n_latent
            eps = case.eps if case.model.n_samples == 1 else case.rng().standard_normal(samples)
            objective, gradient = case.model.gradient(case.X, eps)
            return {**objective._asdict(), **{segment: view.copy() for segment, view in gradient.segments()}}

        right = numbers()
        with inject(name):
            try:
                wrong = numbers()
            except ScratchVAEError as error:
                return [f"it stops: {error}"]
    lines = []
    for part, before in right.items():
        before, after = np.ravel(before), np.ravel(wrong[part])
        off = ~np.isclose(after, before, rtol=1e-9, atol=1e-12)
        if off.any():
            at = int(np.argmax(np.abs(after - before)))
            ratio = f" ({after[at] / before[at]:.4g} x)" if before[at] else ""
            lines.append(f"{part}: {np.count_nonzero(off)} of {off.size} numbers, such as {before[at]:.6g} -> "
                         f"{after[at]:.6g}{ratio}")
    return lines or ["neither the loss nor its gradient here: it shows at extreme numbers, in later steps, or in what "
                     "is trained on, reported or drawn"]
