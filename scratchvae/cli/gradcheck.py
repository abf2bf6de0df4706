"""`scratchvae gradcheck`: check every gradient segment against finite differences."""
import importlib
import itertools
import re
import sys
import textwrap
import traceback
from argparse import Namespace
from pathlib import Path

import numpy as np

from .. import gradcheck
from ..autoencoder import Autoencoder
from ..errors import ConfigurationError, ScratchVAEError
from ..estimators import ESTIMATORS
from ..gradcheck.layouts import Refusal
from ..gradcheck.own import own_checks, takes_generator
from ..layers import ACTIVATIONS
from ..likelihoods import LIKELIHOODS
from ..vae import VAE
from ..validation import check_seed
from .parser import add_command
from .run_folder import open_run

TEST = '''"""Are the gradients right that {module}:{function} checks?

Written by `scratchvae gradcheck --write-test {module}:{function}`.
"""
import {module}
from hypothesis import given, settings

from scratchvae.testing import assert_checks, generators


@settings(deadline=None)
@given(generators())
def test_{name}(rng):
    """{how}."""
    assert_checks({module}.{function}, rng)
'''
DRAWN = "The gradients are right, whatever {function} draws from the generator"
MOVED = """The gradients are right where each number of the arrays is up to a tenth larger or smaller, too.

    With an argument, {function}(rng) could draw data and shapes"""


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "gradcheck", run, "check every gradient segment against finite differences")
    parser.add_argument("folder", metavar="RUN", nargs="?", help="a run to check at its own parameters, or "
                        "MODULE:FUNCTION, which returns the checks of your own code and may take a "
                        "np.random.Generator; a small model of each kind if absent")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, data and noise; default: 0")
    parser.add_argument("--write-test", action="store_true",
                        help="print a Hypothesis test of MODULE:FUNCTION for pytest, and check nothing")


def run(args: Namespace) -> tuple[dict, int]:
    """Check a run, a small model of each kind, or somebody's code: a line each, and the details of what fails."""
    rng, said, rows = np.random.default_rng(check_seed(args.seed)), set(), []
    own = args.folder and re.fullmatch(r"[\w.]+:\w+", args.folder) and not Path(args.folder).exists()
    if args.folder and not own and re.search(r"[\w.]:\w+$", args.folder) and not Path(args.folder).exists():
        raise ConfigurationError(f"{args.folder!r} is given; expected a run, or MODULE:FUNCTION of a module in the "
                                 "present folder. Change to its folder, and leave out the path.")
    if args.write_test:
        return _write_test(args.folder, own, not args.json)
    for title, check in [(args.folder, _function(args.folder))] if own else _models_to_check(args, rng):
        checks = _own(args.folder, lambda: own_checks(check, rng)) if own else _of_model(check, rng)
        print(_summary(title, checks, said))
        rows += [{"model": title, **check._asdict()} for check in checks]
    worst = max(row["worst"] for row in rows)
    ok = all(row["ok"] for row in rows)
    wrong = any(row["judged"] and not row["ok"] for row in rows)
    print(f"{len(rows)} {'check' if own else 'segment'}{'s' * (len(rows) > 1)}, worst relative error {worst:.1e}: "
          f"{'all right' if ok else 'NOT ALL JUDGED' if not wrong else 'WRONG' if own else 'WRONG GRADIENTS'}")
    return {"checks": rows, "worst": worst, "ok": ok}, 0 if ok else 1


def _of_model(model, rng):
    x = model.join(rng.random((3, model.n_visible)), np.arange(3) % max(1, model.n_conditions))
    eps = rng.standard_normal((3, model.n_samples, model.n_latent))
    return gradcheck.check_model(model, x, eps[:, 0] if model.n_samples == 1 else eps)


def _summary(title, checks, said):
    """Return a line on the checks; below it those that fail, with their hints, if one of these is not yet `said`.

    Checks that are ok may have something to say, too.
    """
    failed = {word: [check.name for check in checks if check.verdict == word] for word in ("WRONG", "not judged")}
    verdicts = [f"{word}: {', '.join(names)}" for word, names in failed.items() if names]
    worst, right = max(check.worst for check in checks), sum(check.ok and check.judged for check in checks)
    unasked = sum(check.ok and not check.judged for check in checks)
    line = (f"{title}: {'; '.join(verdicts) or f'{right} right, worst relative error {worst:.1e}'}"
            f"{f'; {unasked} not asked' * bool(unasked)}")
    shown, told = [], set()
    for check in checks:
        is_new = check.hint not in told | said | {""}
        if is_new or not check.ok:
            shown.append(check if is_new else check._replace(hint=""))
            told.add(check.hint)
    if told <= said:
        return line
    said |= told
    return f"{line}\n{textwrap.indent(gradcheck.format_checks(shown), '    ')}"


def _own(name, call):
    """Return call() of somebody's code; its errors become one line, with the place where they were raised."""
    failure = Refusal()
    with failure:
        return call()
    error = failure.error
    if isinstance(error, ScratchVAEError):
        raise error
    package = Path(__file__).parents[1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != importlib.__file__
              and not frame.filename.startswith("<frozen") and package not in Path(frame.filename).parents]
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    raise ConfigurationError(f"{name} raises {type(error).__name__}{place} ({error}); expected a function that returns "
                             "what check_gradient does. Mend it.") from error


def _function(name):
    """Return MODULE:FUNCTION, looked for in the present folder too, where it may be called by its file."""
    module, function = name.replace(".py:", ":").split(":")
    sys.path.insert(0, "")
    try:
        found = getattr(_own(name, lambda: importlib.import_module(module)), function, None)
    finally:
        sys.path.remove("")
    if not callable(found):
        got = "is missing" if found is None else f"is {found!r}"
        raise ConfigurationError(f"{name} {got}; expected a function that returns what check_gradient does. Write one "
                                 f"called {function} into {module}.")
    return found


def _write_test(name, own, is_shown):
    """Print a test of MODULE:FUNCTION, unless the JSON that follows holds it."""
    if not own:
        raise ConfigurationError(f"--write-test is given for {name or 'no function'}; expected MODULE:FUNCTION, a "
                                 "function that returns what check_gradient does. Name one.")
    module, function = name.replace(".py:", ":").split(":")
    how = (DRAWN if takes_generator(_function(name)) else MOVED).format(function=function)
    text = TEST.format(module=module, function=function, name=function.removeprefix("test_"), how=how)
    print(text * is_shown, end="")
    return {"test": text}, 0


def _models_to_check(args, rng):
    """Yield (title, float64 model): the run's, or small ones of each activation, likelihood, depth and estimator."""
    if args.folder is not None:
        model, _, _ = open_run(args.folder).load_model()
        flat = model.parameters.flat
        model.set_params(dtype="float64").parameters.flat[:] = flat
        yield f"{args.folder}, at its own parameters", model
        return
    for activation, likelihood, hidden, cls in itertools.product(ACTIVATIONS, LIKELIHOODS, ((), (4,), (5, 4)),
                                                                 (VAE, Autoencoder)):
        model = cls(n_visible=6, n_latent=2, hidden=hidden, activation=activation, likelihood=likelihood,
                    dtype="float64", sigma=0.7)
        model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
        yield f"{cls.kind} {activation} {likelihood} hidden {list(hidden)}", model
    for estimator in ESTIMATORS:                                      # against the surrogate where it derives one (S11)
        model = VAE(n_visible=6, n_latent=2, hidden=(4,), activation="tanh", estimator=estimator, n_samples=4,
                    dtype="float64")
        model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
        yield f"vae tanh bernoulli hidden [4], estimator {estimator}, 4 samples", model
