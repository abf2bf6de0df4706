"""Wrong arguments: every public function and command, called with things that do not fit."""
import contextlib
import io
import os
import re
import resource
import traceback
import warnings
from unittest import mock

import numpy as np
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st

from scratchvae import Autoencoder, VAE
from scratchvae.cli.main import build_parser, main
from scratchvae.errors import DownloadError, ScratchVAEError, TrainingError
from scratchvae.gradcheck import GradientMismatch
from scratchvae.probability.distributions import DiagonalGaussian, Discrete
from scratchvae.schedules import Constant
from scratchvae.vae import Posterior

from .targets import targets
from .verdict import status_kb, Verdict

QUIETLY = dict(database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
HUGE = (2 * 10**9, 2**31, 2**63, 10**12, 10**30)
MEMORY = 4 << 30                    # bytes that a call may take: beyond, a size was not refused in time
SLOW = ("epochs", "importance_samples", "n_samples", "max_entries", "steps", "max_steps")
CALLED = ("f", "terms", "apply", "after_model")
SHAPES = ((), (0,), (1,), (2,), (3,), (5,), (0, 6), (3, 0), (2, 2), (2, 4), (2, 6), (3, 2), (3, 5), (3, 6), (4, 2),
          (5, 5), (3, 6, 1), (1, 3, 2))
DTYPES = ("float64", "float32", "float16", "int64", "uint8", "bool", "complex128", "object", "U3", "datetime64[s]")


def arrays():
    """Arrays of unfit shapes, dtypes and values."""
    def make(shape, dtype, value):
        array = np.zeros(shape, dtype)
        if array.dtype.kind == "f" and array.size:
            array.flat[-1] = value
        return array
    return st.builds(make, st.sampled_from(SHAPES), st.sampled_from(DTYPES),
                     st.sampled_from([0.0, -1.0, 1e30, 1e200, np.nan, np.inf, -np.inf]))


def junk():
    """Anything: wrong types, ranges, shapes."""
    return st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(HUGE), st.floats(),
        st.text(max_size=6), st.binary(max_size=4), st.complex_numbers(), st.just(object()), st.just({}), st.just([]),
        st.lists(st.integers(-2, 2) | st.none() | st.floats(), max_size=3),
        st.dictionaries(st.text(max_size=2), st.integers()),
        arrays(), st.just([[1.0], [1.0, 2.0]]), st.just(len), st.sampled_from([VAE, np.ndarray, Constant]),
        st.sampled_from([np.float64(np.nan), np.int8(-1), np.complex128(1j), np.str_("a"), np.datetime64(0, "s")]),
        st.sampled_from(others()))


def others():
    """Objects of this package that stand where another kind is wanted."""
    return [Discrete([0.2, 0.8]), DiagonalGaussian([0.0], [90.0]), DiagonalGaussian(np.zeros((4, 2)), np.ones((4, 2))),
            Constant(1.0), Posterior(np.zeros((3, 2)), np.zeros((3, 1))), Autoencoder(6, 1, hidden=()),
            VAE(6, 3, hidden=(), dtype="float32")]


@contextlib.contextmanager
def memory_of(size):
    """While open, this process may take `size` bytes more than it has: then a MemoryError tells, and not the system."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (status_kb("VmSize") * 1024 + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def working_in(folder):
    """While open, the folder is the present one: words that happen to name a file name one there."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def left_out(name, value):
    """Whether a value is not what is tried here: legal but for ever at it, or a function, whose errors are its own."""
    if name == "all" or name in CALLED and callable(value):                 # all: every bug under every detector
        return True
    try:
        return name in SLOW and float(value) > 100
    except (TypeError, ValueError, OverflowError):
        return False


def tried(function, valid, examples):
    """Call a function with one argument replaced, `examples` times; return ({outcome: count}, faults)."""
    counts, faults = {"legal": 0, "refused": 0}, {}

    def fault(key, arguments, error):
        counts["fault"] = counts.get("fault", 0) + 1
        faults.setdefault(key, f"{arguments!r:.80} -> {type(error).__name__}: {str(error)[:160]}")

    @settings(max_examples=examples, **QUIETLY)
    @given(st.sampled_from(sorted(valid)).flatmap(lambda name: st.tuples(
        st.just(name), junk().filter(lambda value: not left_out(name, value)))))
    def attempt(drawn):
        name, value = drawn
        try:
            function(**{**valid, name: value})
            counts["legal"] += 1
        except (DownloadError, TrainingError, GradientMismatch):      # legal: no network, too long a step, a verdict
            counts["legal"] += 1
        except (ScratchVAEError, TypeError, ValueError) as error:
            counts["refused"] += 1
            words = (str(value), repr(value)[1:-1]) if isinstance(value, str) else ()
            itself = any(word in str(error) for word in words)                                          # say a path
            if not itself and not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)):
                fault((name, type(error).__name__, "unnamed"), drawn, error)
        except Exception as error:              # the very thing that is looked for
            fault((name, type(error).__name__), drawn, error)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        attempt()
    return counts, list(faults.values())


WORDS = ["", " ", "nan", "inf", "-inf", "-1", "0", "1", "2", "1e400", "1e-400", "9" * 30, "0.5", "None", "True",
         "\u00fc", "..", "/", "/dev/null", "/dev/zero", "a b", "--", "-x", "x" * 300, "[1]", "{}", "'", "%s", "\n", "*",
         "~", "digits", "mnist"]


def commands(folder):
    """Yield (name, words that work, flags) for every command; the flags are read off its parser."""
    run = folder / "run"
    quick = ["--data", "digits", "--hidden", "3", "--latent", "2", "--epochs", "1", "--batch-size", "500"]
    quietly(["train", *quick, "--out", str(run)])
    known = {"train": [*quick, "--out", str(folder / "new"), "--overwrite"],
             "evaluate": [str(run), "--importance-samples", "2"], "sample": [str(run)],
             "interpolate": [str(run), "--from", "3", "--to", "7"],
             "reconstruct": [str(run)], "traverse": [str(run)], "gradcheck": [str(run)],
             "attribute": [str(run), "--attribute", "3"], "export": [str(run)], "compare": [str(run), str(run)],
             "encode": [str(run), "--to", str(folder / "codes.csv")], "bugs": ["--hide", "1", "--epochs", "2"],
             "estimators": ["--draws", "128", "--epochs", "1", "--figure", str(folder / "estimators.png")],
             "lambda": ["--data", "digits", "--betas", "0.01,1", "--epochs", "1", "--hidden", "3", "--latent", "2",
                        "--importance-samples", "2", "--figure", str(folder / "lambda.png")]}
    for name, parser in subparsers(build_parser()):
        if name in known:
            flags = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
            yield name, [name, *known[name]], flags
    yield "data", ["data", "list"], ["fetch", "list", "--json"]


def subparsers(parser):
    """Yield (name, parser) of a parser's commands."""
    for action in parser._actions:
        if hasattr(action, "choices") and isinstance(action.choices, dict):
            yield from action.choices.items()


def quietly(words):
    """Run a command in this process, without figures; return (status, standard error)."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), \
            mock.patch("scratchvae.plots.save", lambda *_: None), \
            mock.patch("scratchvae.cli.run_folder.Run.draw", lambda *_: []):
        try:
            status = main(words)
        except SystemExit as leaving:
            status = leaving.code
    return status, said.getvalue()


def tried_command(words, flags, examples):
    """Run a command with one flag's value or one more word wrong; return ({outcome: count}, faults)."""
    counts, faults = {"legal": 0, "refused": 0}, {}

    @settings(max_examples=examples, **QUIETLY)
    @given(st.sampled_from([*flags, None]), st.sampled_from(WORDS) | st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5))
    def attempt(flag, value):
        if flag in ("--help", "--out") or flag and left_out(flag.strip("-").replace("-", "_"), value):
            return
        extra = [value] if flag is None else [flag, value]
        try:
            status, said = quietly([*words, *extra])
            lines = [line for line in said.strip().splitlines() if "error" in line]
            if status == 0 or status == 1:
                counts["legal"] += 1
            elif status == 2 and len(lines) == 1:
                counts["refused"] += 1
            else:
                counts["fault"] = counts.get("fault", 0) + 1
                faults.setdefault((flag, status), f"{extra!r:.80} -> status {status}, {said[-200:]!r}")
        except Exception as error:              # the very thing that is looked for
            counts["fault"] = counts.get("fault", 0) + 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults.setdefault((flag, type(error).__name__), f"{extra!r:.80} -> {type(error).__name__}: "
                              f"{str(error)[:120]} ({place.filename}:{place.lineno})")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        attempt()
    return counts, list(faults.values())


def run(folder, examples, only=None):
    """The trial: `examples` wrong arguments for each."""
    figures = {}
    with mock.patch.dict("os.environ", SCRATCHVAE_DATA=str(folder / "cache")), working_in(folder), \
            memory_of(MEMORY):
        for name, function, valid in targets(folder):
            if not only or name in only:
                figures[name] = tried(function, valid, examples)
        for name, words, flags in commands(folder):
            name = f"scratchvae {name}"
            if not only or name in only:
                figures[name] = tried_command(words, flags, examples)
    faulty = [name for name, (counts, _) in figures.items() if counts.get("fault")]
    refused = sum(counts["refused"] for counts, _ in figures.values())
    return Verdict("wrong arguments", f"{examples} for each of {len(figures)} functions and commands, {refused:,} "
                   f"refused by name: {sum(counts.get('fault', 0) for counts, _ in figures.values())} faults"
                   + (f" in {', '.join(faulty)}" if faulty else ""), "0 faults", not faulty,
                   {name: {**counts, "faults": found} for name, (counts, found) in figures.items()})
