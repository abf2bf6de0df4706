"""The command line: `scratchvae COMMAND`.

Exit status: 0 on success, 1 if `gradcheck` finds a wrong gradient, 2 with one line on standard error for bad
usage or bad input, 130 or 143 after Ctrl-C or SIGTERM (training saves first).
"""
import argparse
import json
import math
import sys

import numpy as np

from . import gradcheck
from .batches import BINARIZE
from .data import BUNDLED, load_data
from .errors import ConfigurationError, RunError, ScratchVAEError
from .evaluation import evaluate
from .kernels.registry import note_compilation, set_threads
from .layers import ACTIVATIONS
from .likelihoods import LIKELIHOODS, Bernoulli
from .base import KINDS
from .model import ESTIMATORS, VAE
from .optimizers import OPTIMIZERS
from .progress import Progress, finishing_the_step
from .runs import (Run, data_source, kl_per_dimension, reconstruction_figure, sample_figure, traversal_figure)
from .training import OUTPUT_BIASES

# What a run is, flag by flag.  A run folder keeps these; --resume may change only the FREE ones.
TRAIN_DEFAULTS = dict(data="mnist5k", model="vae", hidden=[400], latent=20, activation="relu", likelihood="bernoulli",
                      sigma=1.0, beta=1.0, estimator="analytic", samples=1, binarize="none", epochs=50,
                      batch_size=128, learning_rate=1e-3, optimizer="adam", output_bias="data", dtype="float32",
                      seed=0)
FREE = {"epochs"}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message):
        """Say what is wrong and leave with status 2."""
        self.exit(2, f"{self.prog}: error: {message}. See {self.prog} --help.\n")


def build_parser():
    """Return the parser of all commands; absent flags of `train` stay absent, so that a run knows what was said."""
    parser = OneLineParser(prog="scratchvae", description="A variational autoencoder derived and written by hand.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLineParser)

    def command(name, run, help_text):
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="end standard output with one JSON object")
        sub.add_argument("--threads", type=int, metavar="T", help="threads to use; all cores if absent")
        return sub

    def run_command(name, run, help_text, n=None):
        sub = command(name, run, help_text)
        sub.add_argument("folder", metavar="RUN", help="a folder that `scratchvae train` wrote")
        if n is not None:
            sub.add_argument("--n", type=int, default=n, help=f"how many images; default: {n}")
        return sub

    train = command("train", run_train, "train a model and write a run folder")

    def say(name):
        return f"default: {TRAIN_DEFAULTS[name]}"

    def setting(flag, **options):
        train.add_argument(flag, default=argparse.SUPPRESS, **options)

    setting("--data", metavar="NAME or PATH",
            help=f"{', '.join(BUNDLED)}, or a folder of IDX files, an .npz or an .npy file; {say('data')}")
    setting("--model", choices=KINDS, help=say("model"))
    setting("--hidden", type=int, nargs="*", metavar="UNITS", help="hidden layer sizes, as in --hidden 400; the "
            f"decoder mirrors them; default: {TRAIN_DEFAULTS['hidden'][0]}")
    setting("--latent", type=int, metavar="Z", help=f"latent dimensions; {say('latent')}")
    setting("--activation", choices=ACTIVATIONS, help=say("activation"))
    setting("--likelihood", choices=LIKELIHOODS, help=say("likelihood"))
    setting("--sigma", type=float, help=f"standard deviation of a pixel, for gaussian; {say('sigma')}")
    setting("--beta", type=float, help=f"weight of the KL term; {say('beta')}")
    setting("--estimator", choices=ESTIMATORS, help=say("estimator"))
    setting("--samples", type=int, metavar="K", help=f"samples of z an example; {say('samples')}")
    setting("--binarize", choices=BINARIZE, help=say("binarize"))
    setting("--epochs", type=int, metavar="N", help=say("epochs"))
    setting("--batch-size", type=int, metavar="B", help=say("batch_size"))
    setting("--learning-rate", type=float, help=say("learning_rate"))
    setting("--optimizer", choices=OPTIMIZERS, help=say("optimizer"))
    setting("--output-bias", choices=OUTPUT_BIASES,
            help=f"where the decoder's output bias starts: at the data's mean, or zero; {say('output_bias')}")
    setting("--dtype", choices=("float32", "float64"), help=say("dtype"))
    setting("--seed", type=int, help=say("seed"))
    train.add_argument("--out", metavar="RUN", help="the run folder; runs/<data>-<model> if absent")
    what = train.add_mutually_exclusive_group()
    what.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    what.add_argument("--overwrite", action="store_true", help="replace the run in the folder")

    ev = run_command("evaluate", run_evaluate, "measure a run on its held-out data")
    ev.add_argument("--data", metavar="NAME or PATH", help="measure on this data set's test part instead")
    ev.add_argument("--importance-samples", type=int, default=1000, metavar="K",
                    help="samples of z an image; default: 1000")
    ev.add_argument("--binarize", choices=BINARIZE, help="as the run was trained if absent; a run on grey pixels with "
                    "a Bernoulli likelihood is then measured on dynamic binarisation, for grey pixels have no "
                    "likelihood")
    ev.add_argument("--seed", type=int, default=0, help="of the samples; default: 0")

    sample = run_command("sample", run_sample, "draw images from the prior", n=64)
    sample.add_argument("--seed", type=int, default=0, help="of the draws; default: 0")
    run_command("reconstruct", run_reconstruct, "draw held-out images over their reconstructions", n=10)
    traverse = run_command("traverse", run_traverse, "sweep the most used latents, one a row", n=10)
    traverse.add_argument("--index", type=int, metavar="I", help="start from test image I; the origin if absent")

    check = command("gradcheck", run_gradcheck, "check every gradient segment against finite differences")
    check.add_argument("folder", metavar="RUN", nargs="?", help="a run to check at its own parameters; "
                       "a small model of each kind if absent")
    check.add_argument("--seed", type=int, default=0, help="of weights, data and noise; default: 0")
    return parser


def main(argv=None):
    """Run one command; return its exit status."""
    args = build_parser().parse_args(argv)
    try:
        if args.threads is not None:
            try:
                set_threads(args.threads)
            except ValueError as error:
                raise ConfigurationError(str(error)) from None
        result, status = args.run(args)
    except ScratchVAEError as error:
        print(f"scratchvae {args.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"scratchvae {args.command}: interrupted", file=sys.stderr)
        return 130
    if args.json:
        print(json.dumps({name: _plain(value) for name, value in result.items()}))
    return status


def _plain(value):
    """Turn a result into what JSON holds; NaN and infinity, which it does not, become null."""
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _settings(args):
    """Return (folder, run or None to begin one, settings) from what was said and what the folder holds."""
    said = {name: getattr(args, name) for name in TRAIN_DEFAULTS if hasattr(args, name)}
    if "data" in said:
        said["data"] = data_source(said["data"])
    settings = {**TRAIN_DEFAULTS, **said}
    name = settings["data"].rstrip("/").rsplit("/", 1)[-1]
    folder = args.out or f"runs/{name}-{settings['model']}"
    if args.resume:
        run = Run.open(folder)
        for name, value in said.items():
            if name not in FREE and run.config.get(name) != value:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {value!r}, but the run in {folder} was begun "
                                         f"with {run.config.get(name)!r}. Leave it out, or begin another run.")
        try:
            return folder, run, {**{name: run.config[name] for name in TRAIN_DEFAULTS}, **said}
        except KeyError as error:
            raise RunError(f"{folder}/config.json lacks {error}; it cannot be resumed. Begin another run.") from None
    if Run.exists(folder) and not args.overwrite:
        raise RunError(f"{folder} already holds a run. Go on with it (--resume), replace it (--overwrite), or choose "
                       "another folder (--out).")
    return folder, None, settings


def _new_model(settings, n_visible):
    shared = dict(n_visible=n_visible, n_latent=settings["latent"], hidden=settings["hidden"],
                  activation=settings["activation"], likelihood=settings["likelihood"], sigma=settings["sigma"],
                  dtype=settings["dtype"], seed=settings["seed"])
    if settings["model"] == "ae":
        return KINDS["ae"](**shared)
    return VAE(**shared, beta=settings["beta"], estimator=settings["estimator"], n_samples=settings["samples"])


def run_train(args):
    """Train, save after each epoch, draw the figures."""
    folder, run, settings = _settings(args)
    if settings["epochs"] < 1:
        raise ConfigurationError(f"--epochs is {settings['epochs']}; it must be at least 1. Choose for example 10.")
    data = load_data(settings["data"])
    resumed = run is not None
    run = Run(folder, settings)
    if resumed:
        model, meta, arrays = run.load_model()
    else:
        model = _new_model(settings, data.train.shape[1])
    trainer = run.trainer(model, data)
    if resumed:
        try:
            trainer.restore(meta["training"], arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder}/model.npz does not say how far its training came ({error}). "
                           "Begin another run.") from error
        if trainer.epoch >= settings["epochs"]:
            raise ConfigurationError(f"the run in {folder} has {trainer.epoch} epochs; --epochs is "
                                     f"{settings['epochs']}. Ask for more epochs in all, as in "
                                     f"--epochs {trainer.epoch + 10}.")
    run.begin()
    run.save(trainer)
    note_compilation()
    progress, caught = Progress(settings["epochs"]), []

    def after_epoch(trainer):
        progress.after_epoch(trainer)
        run.save(trainer)

    with finishing_the_step(trainer, caught):
        history = trainer.run(settings["epochs"], progress.after_step, after_epoch)
        progress.close()
        if caught:
            run.save(trainer)
            print(f"stopped after step {trainer.optimizer.step}; saved. Go on with: "
                  f"scratchvae train --out {folder} --resume", file=sys.stderr)
    if not caught:
        for path in run.draw(model, data, history):
            print(f"figure   {path}")
    status = 128 + caught[0] if caught else 0
    last = history[-1] if history else None
    result = {"run": str(run.folder), "epochs": trainer.epoch, "steps": trainer.optimizer.step,
              "first_loss": history.first_loss}
    if last:
        seconds = sum(history.column("seconds"))
        result |= {"train_loss": last.train_loss, "test_loss": last.test_loss,
                   "reconstruction": last.test_reconstruction, "kl": last.test_kl, "seconds": seconds,
                   "steps_per_second": float(np.median(history.column("steps_per_second")))}
        parts = (f" = reconstruction {last.test_reconstruction:.2f} + {settings['beta']:g} x KL {last.test_kl:.2f}"
                 if isinstance(model, VAE) else "")
        print(f"run      {run.folder}\nheld-out loss {last.test_loss:.2f}{parts} nats per example after "
              f"{trainer.epoch} epochs, {seconds:.1f} s")
    return result, status


def run_evaluate(args):
    """Measure a run's ELBO and importance-sampled log-likelihood."""
    run = Run.open(args.folder)
    model, _, _ = run.load_model()
    if not isinstance(model, VAE):
        raise ConfigurationError(f"{args.folder} holds an autoencoder, which has no ELBO and no likelihood of its data. "
                                 "Evaluate a run of --model vae.")
    data = load_data(args.data) if args.data else run.load_data()
    binarize = args.binarize or run.config.get("binarize", "none")
    if args.binarize is None and binarize == "none" and isinstance(model.likelihood, Bernoulli) and _is_grey(data.test):
        binarize = "dynamic"
        print("trained on grey pixels, which have no likelihood under a Bernoulli: measured on dynamically binarised "
              "pixels", file=sys.stderr)
    note_compilation()
    result = evaluate(model, data.test, args.importance_samples, args.seed, binarize)
    print(f"n {result.n}, pixels {result.binarization}, K {result.importance_samples}")
    if math.isnan(result.elbo):
        print(f"loss            {result.loss:10.3f} nats per example: grey pixels have no likelihood")
    else:
        print(f"ELBO            {result.elbo:10.3f} nats per example = - reconstruction {result.reconstruction:.3f} "
              f"- KL {result.kl:.3f}")
        print(f"log-likelihood  {result.log_likelihood:10.3f} +- {result.stderr:.3f} nats per example, effective "
              f"samples {result.effective_samples:.1f}")
    print(f"active units    {result.active_units:6d} of {model.n_latent}")
    return result._asdict(), 0


def _is_grey(x):
    """Whether any pixel lies strictly between black and white."""
    top = 255 if x.dtype == np.uint8 else 1
    return any(bool(((row != 0) & (row != top)).any()) for row in x)


def _open_for_pictures(args, only_vae):
    """Return (run, model, data) for a picture command."""
    run = Run.open(args.folder)
    model, _, _ = run.load_model()
    if only_vae and not isinstance(model, VAE):
        raise ConfigurationError(f"{args.folder} holds an autoencoder: the distribution of its codes is unknown, so it "
                                 "cannot be sampled. Use a run of --model vae.")
    data = run.load_data()
    if args.n < 1:
        raise ConfigurationError(f"--n is {args.n}; it must be at least 1. Leave it out for the default.")
    return run, model, data


def _report_figure(run, figure, name):
    path = run.save_figure(figure, name)
    print(path)
    return {"file": str(path)}, 0


def run_sample(args):
    """Draw from the prior."""
    run, model, data = _open_for_pictures(args, only_vae=True)
    return _report_figure(run, sample_figure(model, data, args.n, args.seed), "samples.png")


def run_reconstruct(args):
    """Draw held-out images over their reconstructions."""
    run, model, data = _open_for_pictures(args, only_vae=False)
    return _report_figure(run, reconstruction_figure(model, data, args.n), "reconstructions.png")


def run_traverse(args):
    """Sweep the most used latents."""
    run, model, data = _open_for_pictures(args, only_vae=True)
    if args.index is not None and not 0 <= args.index < len(data.test):
        raise ConfigurationError(f"--index is {args.index}; the test part has images 0 to {len(data.test) - 1}. "
                                 "Choose one of them.")
    used = np.argsort(-kl_per_dimension(model, data.test[:2000]))[:args.n]
    figure = traversal_figure(model, data, used, args.index, np.linspace(-3, 3, 9))
    return _report_figure(run, figure, "traversal.png")


def run_gradcheck(args):
    """Check a run, or a small model of each kind, and print a table."""
    rng = np.random.default_rng(args.seed)
    rows = []
    for title, model in _models_to_check(args, rng):
        n = 3
        x = rng.random((n, model.n_visible))
        eps = rng.standard_normal((n, model.n_samples, model.n_latent))
        checks = gradcheck.check_model(model, x, eps[:, 0] if model.n_samples == 1 else eps)
        print(f"{title}\n{gradcheck.format_checks(checks)}\n")
        rows += [{"model": title, **check._asdict()} for check in checks]
    worst = max(row["worst"] for row in rows)
    ok = all(row["ok"] for row in rows)
    print(f"{len(rows)} segments, worst relative error {worst:.1e}: {'all right' if ok else 'WRONG GRADIENTS'}")
    return {"checks": rows, "worst": worst, "ok": ok}, 0 if ok else 1


def _models_to_check(args, rng):
    """Yield (title, float64 model): the run's own, or every activation x likelihood x depth, small."""
    if args.folder:
        model, _, _ = Run.open(args.folder).load_model()
        flat = model.parameters.flat
        model.set_params(dtype="float64").parameters.flat[:] = flat
        yield f"{args.folder}, at its own parameters", model
        return
    for activation in ACTIVATIONS:
        for likelihood in LIKELIHOODS:
            for hidden in ((), (4,), (5, 4)):
                for kind, cls in KINDS.items():
                    model = cls(n_visible=6, n_latent=2, hidden=hidden, activation=activation, likelihood=likelihood,
                                dtype="float64", sigma=0.7)
                    model.parameters.flat += 0.3 * rng.standard_normal(model.parameters.flat.size)
                    yield f"{kind} {activation} {likelihood} hidden {list(hidden)}", model
