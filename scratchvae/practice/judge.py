"""The verdict on an answer: what it must do, and what is wrong with it."""
import dis
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigurationError
from ..gradcheck import certify, numerical_gradient
from .diagnosis import Findings
from .exercise import Exercise, EXERCISES, Random
from .foreign import as_sentence, Attempt, SECONDS, Unlike

DRAWS = 3               # random arguments on which an answer is compared with the model answer
TRIALS = 1              # of the certificate: a false pass is rarer than one in 2^70
SLOWER = 50             # than the model answer an answer may be, on the same machine
CLOSE = 1e-9            # relative to the largest entry: rounding of sums of a few dozen numbers


class Verdict(NamedTuple):
    """What was found about one answer to the exercise `name`.

    `state` is "right", "wrong", or "unsolved", where the body is empty; `text` is the evidence, or what is wrong, in
    one sentence, and `named` is True if it says more about a mistake than where it shows.
    """

    name: str
    state: str
    text: str
    named: bool = True

    def __repr__(self) -> str:
        return f"{self.name}: {self.state}. {self.text}"


def pairs(wanted: Any, found: Any, label: str = "it", names: tuple = ()) -> Iterator[tuple]:
    """Yield (label, wanted array, found array); raises Unlike where they do not fit each other.

    `names` are those of the members of a tuple.
    """
    verb = "returns" if label == "it" else "is"
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or set(found) != set(wanted):
            raise Unlike(f"{label} {verb} {_kind(found)}; expected a dict with the keys {', '.join(wanted)}")
        for key in wanted:
            yield from pairs(wanted[key], found[key], f"its {key!r}" if label == "it" else f"{label}[{key!r}]")
    elif isinstance(wanted, tuple):
        if not isinstance(found, (tuple, list)) or len(found) != len(wanted):
            raise Unlike(f"{label} {verb} {_kind(found)}; expected {len(wanted)} values")
        for k, part in enumerate(wanted):
            yield from pairs(part, found[k], names[k])
    else:
        right = np.asarray(wanted, float)
        try:
            array = np.asarray(found)
        except ValueError:                              # members of different shapes
            array = np.array(None)
        if array.dtype.kind not in "biuf":
            raise Unlike(f"{label} {verb} {_kind(found)}; expected numbers of shape {right.shape}")
        if array.shape != right.shape:
            hint = _axes(array.shape, right.shape)
            raise Unlike(f"{label} has the shape {array.shape}; expected {right.shape}{hint}")
        yield label, right, array.astype(float)


def _kind(found):
    if found is None:
        return "None: a return is missing"
    if isinstance(found, dict):
        return f"a dict with the keys {', '.join(map(str, found))}" if found else "an empty dict"
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {len(found)}"
    dtype = f" and dtype {found.dtype}" if isinstance(found, np.ndarray) else ""
    return f"something of type {type(found).__name__}{dtype}"


def _axes(found, wanted):
    if found == wanted[::-1]:
        return ", its transpose"
    more = len(found) - len(wanted)
    if more == 1 and found.count(1) > wanted.count(1):
        return ": an axis of size 1 is left over; is it keepdims, or a list around a number?"
    return {1: ": an axis is left over; is it not summed?",
            -1: ": an axis is missing; is it summed, or was it never made?"}.get(more, "")


def _arguments(exercise, drawn):
    """Return a fresh copy of each argument of a function, from what was drawn."""
    return {name: deepcopy(drawn[name]) for name in exercise.parameters}


def _called(exercise, answer, drawn):
    """Return what an answer gives; raises Unlike if it changes its arguments."""
    arguments, before = (_arguments(exercise, drawn) for _ in range(2))
    found = answer(**arguments)
    for name, kept in before.items():
        for _, a, b in pairs(kept, arguments[name], name):
            if not np.array_equal(a, b, equal_nan=True):
                raise Unlike(f"it changes its argument {name}: += and x[...] = write into the caller's array")
    return found


def _same(wanted, found):
    scale = np.max(np.abs(wanted), initial=0.0)
    return bool(np.allclose(found, wanted, rtol=0, atol=CLOSE * scale + 1e-300))


def judge(exercise: Exercise, answer: Callable, *, seed: int | None = None) -> Verdict:
    """Return the Verdict on an answer, the student's function; nothing that it does leads to an error.

    Without a seed the arguments are new ones at every call, so that no answer can know them.
    """
    parameters = tuple(inspect.signature(answer).parameters)
    if parameters != exercise.parameters:
        return Verdict(exercise.name, "wrong", f"{exercise.name} takes ({', '.join(parameters)}); expected "
                       f"({', '.join(exercise.parameters)}).")
    own = inspect.unwrap(answer)                            # of a decorator, such as np.errstate
    if is_empty(exercise, own):
        return Verdict(exercise.name, "unsolved", "The body is empty.")
    rng, file = Random(seed), own.__code__.co_filename
    drawn = [*(exercise.draw(rng) for _ in range(DRAWS)), *exercise.corners]
    raw, found, wrong, unlike = [], [], False, ""
    with np.errstate(all="ignore"):
        wanted = [exercise.function(**_arguments(exercise, at)) for at in drawn]
    with Attempt(exercise.name, file) as attempt:
        for right, at in zip(wanted, drawn):
            value = _called(exercise, answer, at)
            several = isinstance(right, tuple) and (isinstance(value, list) or isinstance(value, np.ndarray)
                                                    and value.ndim > np.ndim(right[0]))
            raw.append(tuple(value) if several else value)
            try:
                found.append(list(pairs(right, raw[-1], names=exercise.outputs)))
            except Unlike as error:
                unlike = str(error)
                break
            wrong = wrong or not exercise.free and not all(_same(a, b) for _, a, b in found[-1])
    if attempt.failure:
        state = "unsolved" if attempt.failure.endswith("is not written yet") else "wrong"
        return Verdict(exercise.name, state, _sentence(attempt.failure, attempt))
    if unlike or wrong:
        findings = Findings(exercise, drawn, raw, found, lambda at, f: _called(exercise, f, at))
        text, named = findings.of_other_form(unlike) if unlike else findings.diagnosis()
        return Verdict(exercise.name, "wrong", _sentence(text, attempt), named)
    return _proven(exercise, answer, file, rng, attempt)


def _sentence(text, attempt):
    said = f" (It printed {attempt.said.strip().splitlines()[0][:60]!r}.)" if attempt.said.strip() else ""
    return as_sentence(text) + said


def is_empty(exercise: Exercise, answer: Callable) -> bool:
    """Return True if the function does what the template does: nothing."""
    namespace: dict = {}
    exec(exercise.template, namespace)
    own, empty = ([step.opname for step in dis.get_instructions(function)] for function in (
        answer, namespace[exercise.name]))
    return own == empty and not {*map(repr, answer.__code__.co_consts)} - {repr(None), repr(...), repr(answer.__doc__)}


def _flat(drawn):
    """Return what was drawn with the members of dicts as arguments of their own."""
    flat: dict = {}
    for name, value in drawn.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _in_arrays(exercise, answer):
    """Return the answer with arrays in the place of the lists that it returns: laws compute with them."""
    def array(value):
        return np.array(value) if isinstance(value, list) else value

    @wraps(answer)
    def function(*arguments, **named):
        found = answer(*arguments, **named)
        return tuple(map(array, found)) if exercise.outputs else array(found)
    return function


def _proven(exercise, answer, file, rng, attempt):
    """Return the verdict on an answer that equals the model answer: by certificate, differences, laws."""
    answer = _in_arrays(exercise, answer)
    evidence = [] if exercise.free else [f"it equals the model answer on {DRAWS + len(exercise.corners)} draws"]
    with Attempt(exercise.name, file, patience(exercise.name)) as trial:
        if exercise.loss is not None:
            evidence.append(_certified(exercise, answer, _flat(exercise.draw(rng))))
        if exercise.surrogate is not None:
            evidence.append(_differences(exercise, answer, exercise.draw(rng)))
        for law in exercise.laws:
            broken = law(answer, rng)
            if broken:
                raise Unlike(broken)
            evidence.append(f"it {law.__name__.replace('_', ' ')}")
    if trial.failure:
        return Verdict(exercise.name, "wrong", _sentence(trial.failure, attempt))
    return Verdict(exercise.name, "right", _sentence("; ".join(evidence), attempt))


@lru_cache(None)
def patience(name: str) -> float:
    """Return the seconds that an answer has for its laws: SLOWER times what the model answer takes now."""
    began = time.perf_counter()
    for law in EXERCISES[name].laws:
        law(EXERCISES[name].function, Random(0))
    return max(SECONDS, SLOWER * (time.perf_counter() - began))


def _gradient(exercise, answer, drawn):
    """Return {name: gradient} of an answer at what was drawn."""
    if callable(exercise.by):
        return exercise.by(answer, **drawn)
    outputs = answer(**{name: drawn[name] for name in exercise.parameters})
    return dict(zip(exercise.by, outputs if len(exercise.by) > 1 else (outputs,)))


def _certified(exercise, answer, drawn):
    """Return the certificate's verdict, or that of finite differences where the code cannot run on exact numbers."""
    arrays = {name: value for name, value in drawn.items() if not isinstance(value, int)}
    with suppress(ConfigurationError, TypeError, AttributeError, ValueError, ArithmeticError):
        found = certify(exercise.loss, lambda d_y, **at: {
            name: d_y * g for name, g in _gradient(exercise, answer, at).items()}, arrays, trials=TRIALS,
            seed=int(np.random.default_rng().integers(1 << 32)), packages=(answer.__module__.partition(".")[0],))
        if found.faults:
            raise Unlike(found.verdict.removeprefix("wrong: "))
        if not (found.rounded or found.ties):           # x == 1 is no kink where x is not differentiated by
            return (f"it is the exact derivative, all {found.numbers} entries (chance of a false pass: "
                    f"2^-{found.bits:.0f})")
    return _agrees(_gradient(exercise, answer, drawn), lambda: float(exercise.loss(**drawn)), drawn)


def _differences(exercise, answer, drawn):
    """Return what finite differences of the surrogate say."""
    moved = {name: np.array(value, float) for name, value in drawn.items()}
    return _agrees(_gradient(exercise, answer, drawn), lambda: exercise.surrogate(moved, drawn), moved)


def _agrees(gradient, loss, moved):
    worst = 0.0
    for name, g in gradient.items():
        slopes = numerical_gradient(loss, moved[name])
        off = np.abs(np.asarray(g, float).ravel()[slopes.entries] - slopes.values)
        if np.any(off > slopes.bounds):
            raise Unlike(f"d_{name} differs from finite differences by {off.max():.1e}")
        worst = max(worst, float(off.max()))
    return f"it agrees with finite differences, worst error {worst:.0e}"
