"""`scratchvae gradcheck`: check every gradient segment against finite differences."""
import importlib
import re
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from .. import gradcheck
from ..autoencoder import Autoencoder
from ..errors import ConfigurationError
from ..estimators import ESTIMATORS
from ..layers import ACTIVATIONS
from ..likelihoods import LIKELIHOODS
from ..vae import VAE
from ..validation import check_seed
from .parser import add_command
from .run_folder import Run


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "gradcheck", run, "check every gradient segment against finite differences")
    parser.add_argument("folder", metavar="RUN", nargs="?", help="a run to check at its own parameters, or "
                        "MODULE:FUNCTION, which returns the checks of your own code; a small model of each kind if "
                        "absent")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, data and noise; default: 0")


def run(args: Namespace) -> tuple[dict, int]:
    """Check a run, or a small model of each kind, and print a table."""
    rng = np.random.default_rng(check_seed(args.seed))
    rows = []
    if args.folder and re.fullmatch(r"[\w.]+:\w+", args.folder) and not Path(args.folder).exists():
        checks = _own_checks(*args.folder.split(":"))
        print(f"{args.folder}\n{gradcheck.format_checks(checks)}\n")
        rows = [{"model": args.folder, **check._asdict()} for check in checks]
        models = ()
    else:
        models = _models_to_check(args, rng)
    for title, model in models:
        n = 3
        x = rng.random((n, model.n_visible))
        eps = rng.standard_normal((n, model.n_samples, model.n_latent))
        checks = gradcheck.check_model(model, x, eps[:, 0] if model.n_samples == 1 else eps)
        print(f"{title}\n{checks}\n")
        rows += [{"model": title, **check._asdict()} for check in checks]
    worst = max(row["worst"] for row in rows)
    ok = all(row["ok"] for row in rows)
    print(f"{len(rows)} {'segments' if models else 'arrays'}, worst relative error {worst:.1e}: "
          f"{'all right' if ok else 'WRONG GRADIENTS'}")
    return {"checks": rows, "worst": worst, "ok": ok}, 0 if ok else 1


def _own_checks(module, function):
    """Return the list of Check that a function of a module, looked for in the present folder too, returns."""
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{module}:{function} cannot be called ({error}); expected a function without "
                                 "arguments that returns what check_gradient does. Write one.") from error
    finally:
        sys.path.remove("")
    checks = found()
    if not isinstance(checks, list) or not checks:
        raise ConfigurationError(f"{module}:{function} returns a {type(checks).__name__}; expected a list of checks. "
                                 "Return what check_gradient, check_vjp or check_layer does.")
    return checks


def _models_to_check(args, rng):
    """Yield (title, float64 model): the run's own, or small ones: activation x likelihood x depth, then estimators."""
    if args.folder:
        model, _, _ = Run.open(args.folder).load_model()
        flat = model.parameters.flat
        model.set_params(dtype="float64").parameters.flat[:] = flat
        yield f"{args.folder}, at its own parameters", model
        return
    for activation in ACTIVATIONS:
        for likelihood in LIKELIHOODS:
            for hidden in ((), (4,), (5, 4)):
                for cls in (VAE, Autoencoder):
                    model = cls(n_visible=6, n_latent=2, hidden=hidden, activation=activation, likelihood=likelihood,
                                dtype="float64", sigma=0.7)
                    model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
                    yield f"{cls.kind} {activation} {likelihood} hidden {list(hidden)}", model
    for estimator in ESTIMATORS:                                      # against the surrogate where it derives one (S11)
        model = VAE(n_visible=6, n_latent=2, hidden=(4,), activation="tanh", estimator=estimator, n_samples=4,
                    dtype="float64")
        model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
        yield f"vae tanh bernoulli hidden [4], estimator {estimator}, 4 samples", model
