"""`scratchvae train`: train a model and write a run folder."""
import argparse
import inspect
import itertools
import math
import os
import signal
import sys
import time
from collections.abc import Container
from functools import partial
from typing import Any

import numpy as np

from ..autoencoder import Autoencoder
from ..data.download import SETS
from ..data.loading import BUNDLED, Dataset, DRAWN
from ..data.minibatch import BINARIZE
from ..data.sources import PATHS
from ..errors import ConfigurationError, RunError, TrainingError
from ..estimators import BASELINES, ESTIMATORS, make_estimator
from ..kernels.cache import watched
from ..kernels.compilation import OF_VAE, second_compiler, TRAIN
from ..layers import ACTIVATIONS
from ..learning_rates import RATES
from ..likelihoods import Gaussian, GaussianOptimal, LIKELIHOODS
from ..model import MOST_PARAMETERS
from ..nonfinite import POLICIES
from ..optimizers import OPTIMIZERS
from ..schedules import SCHEDULES
from ..training import KEPT, OUTPUT_BIASES, Trainer
from ..vae import VAE
from ..validation import one_of, positive_integer
from .parser import add_command, add_image_shape, add_transpose, require_name
from .progress import finishing_the_step, KernelProgress, note_compilation, Progress
from .run_folder import ADJUSTABLE, count_classes, data_source, FREE, MODEL, Run, run_name
from .screen import say, show

SECONDS_UNSAVED = 1.0           # epochs may be shorter than it takes to save one, which is 30 ms for 650,000 parameters
KINDS = {kind.kind: kind for kind in (VAE, Autoencoder)}
# The settings of a run, by their names in Python.  config.json holds them; --resume may change only the FREE ones.
TRAIN_DEFAULTS: dict[str, Any] = dict(
    data="mnist5k", model="vae", hidden=[400], n_latent=20, activation="relu", likelihood="bernoulli", sigma=1.0,
    beta=1.0, estimator="analytic", n_samples=1, baseline="none", schedule="constant", schedule_steps=1000, nats=0.25,
    binarize="none", epochs=50, batch_size=128, learning_rate=1e-3, optimizer="adam", output_bias="data",
    dtype="float32", seed=0, on_nonfinite="stop")
# Those that earlier versions did not have: their runs are resumed with these.
NEW_DEFAULTS: dict[str, Any] = dict(
    rate_schedule="constant", warm_up=0.0, decay_every=10.0, decay_factor=0.1, beta1=None, beta2=None, epsilon=None,
    momentum=None, weight_decay=None, clip_norm=None, patience=None, shuffle=True, keep="last",
    image_shape=None, transpose=None, condition=False)
TRAIN_DEFAULTS |= NEW_DEFAULTS
# Settings that count only with some values of another one: those whose classes have them.
WANTS: dict[str, tuple[str, list[str]]] = {
    **dict.fromkeys(("decay_every", "decay_factor"), ("rate_schedule", ["steps"])),
    **{name: ("schedule", [key for key, kind in SCHEDULES.items() if field in kind.__dataclass_fields__])
       for name, field in (("schedule_steps", "steps"), ("nats", "nats"))},
    "sigma": ("likelihood", [name for name, kind in LIKELIHOODS.items() if issubclass(kind, Gaussian)
                             and kind is not GaussianOptimal]),
    **dict.fromkeys(("beta1", "beta2", "epsilon"), ("optimizer", ["adam"])), "momentum": ("optimizer", ["sgd"]),
    **dict.fromkeys(("beta", "estimator", "n_samples", "baseline", "schedule"), ("model", ["vae"]))}


def add(commands: object) -> None:
    """Add the command's parser; flags that are not given are absent from its result, as --resume must know."""
    train = add_command(commands, "train", run, "train a model and write a run folder", "--data digits --epochs 20")

    def setting(flag, does, **options):
        """Add a flag whose help says its choices, what it does, and its default if that is a word or numbers."""
        default = TRAIN_DEFAULTS[options.get("dest", flag.strip("-").replace("-", "_"))]
        if "choices" in options:
            options["metavar"] = flag.strip("-").upper()
            does = f"{', '.join(options['choices'])}; {does}"
        if default is not None and not isinstance(default, bool):
            does += f"; default: {' '.join(map(str, default)) if isinstance(default, list) else default}"
        train.add_argument(flag, default=argparse.SUPPRESS, help=does, **options)

    setting("--data", f"{', '.join(BUNDLED + DRAWN)}, one that was fetched ({', '.join(SETS)}), or {PATHS}",
            metavar="NAME or PATH")
    add_image_shape(train, argparse.SUPPRESS)
    add_transpose(train, argparse.SUPPRESS)
    setting("--model", "a variational autoencoder, or one without noise", choices=KINDS)
    setting("--hidden", "hidden layer sizes, as in --hidden 400; the decoder mirrors them", type=int, nargs="*",
            metavar="UNITS")
    setting("--condition", "give the labels to encoder and decoder: q(z | x, y) and p(x | z, y)", action="store_const",
            const=True)
    setting("--latent", "latent dimensions", dest="n_latent", type=int, metavar="Z")
    setting("--activation", "function of the hidden layers", choices=ACTIVATIONS)
    setting("--likelihood", "distribution of a pixel", choices=LIKELIHOODS)
    setting("--sigma", "standard deviation of a pixel for gaussian, or its first value for gaussian_scalar with "
            "--output-bias zero", type=float)
    setting("--beta", "weight of the KL term", type=float)
    setting("--estimator", "how the gradient is estimated", choices=ESTIMATORS)
    setting("--samples", "samples of z for each example", dest="n_samples", type=int, metavar="K")
    setting("--baseline", "what score_function subtracts from the loss", choices=BASELINES)
    setting("--schedule", "how the KL's weight changes during training", choices=SCHEDULES)
    setting("--schedule-steps", "steps of the ramp (linear, capacity) or of a cycle (cyclical)", type=int, metavar="N")
    setting("--nats", "nats of KL that each latent has for free (free_bits), or that all reach together in the end "
            "(capacity)", type=float)
    setting("--binarize", "leave gray pixels, draw them as 0 or 1 at each step, or compare them with 1/2",
            choices=BINARIZE)
    setting("--epochs", "epochs in all", type=int, metavar="N")
    setting("--batch-size", "training rows in each step", type=int, metavar="B")
    setting("--learning-rate", "length of the optimizer's steps", type=float)
    setting("--rate-schedule", "how the learning rate changes; cosine ends at 0 after --epochs", choices=RATES)
    setting("--warm-up", "epochs in which the learning rate grows from 0", type=float, metavar="EPOCHS")
    setting("--decay-every", "epochs after which the rate schedule steps lowers the rate", type=float, metavar="EPOCHS")
    setting("--decay-factor", "factor by which the rate schedule steps lowers the rate", type=float, metavar="F")
    setting("--optimizer", "how a gradient becomes a step", choices=OPTIMIZERS)
    for flag, unit, does in (
            ("--beta1", "SHARE", "for adam: share of its running mean that a step keeps; default: 0.9"),
            ("--beta2", "SHARE", "for adam: share of its running mean square that a step keeps; default: 0.999"),
            ("--epsilon", "SIZE", "for adam: what is added to the root of its mean square; default: 1e-8"),
            ("--momentum", "SHARE", "for sgd: share of the last step that is added; default: 0.9"),
            ("--weight-decay", "SHARE", "share of the parameters that a step at rate 1 takes off; default: 0")):
        setting(flag, does, type=float, metavar=unit)
    setting("--clip-norm", "length to which longer gradients are shortened; default: none",
            type=partial(_or_none, float), metavar="NORM")
    setting("--patience", "stop when the held-out loss has not fallen for so many epochs; default: none, train to the "
            "end", type=partial(_or_none, int), metavar="EPOCHS")
    setting("--no-shuffle", "take the rows in the order of the data, the same in every epoch", dest="shuffle",
            action="store_const", const=False)
    setting("--keep", "which epoch's parameters the other commands use; best is the one of the smallest held-out loss",
            choices=KEPT)
    setting("--output-bias", "where the decoder's output bias starts: at the data's mean (and a learned sigma at "
            "the data's), or zero", choices=OUTPUT_BIASES)
    setting("--dtype", "type of all numbers", choices=("float32", "float64"))
    setting("--seed", "seed of weights, order and noise", type=int)
    setting("--on-nonfinite", "what to do with a batch whose loss or gradient is not finite: stop and name the cause, "
            "or skip it", choices=POLICIES)
    train.add_argument("--out", metavar="RUN", help="the run folder; runs/<data>-<model> if absent")
    what = train.add_mutually_exclusive_group()
    what.add_argument("--resume", action="store_true", help="continue the run in the folder; if its data have moved, "
                      "--data says where they are now")
    what.add_argument("--overwrite", action="store_true", help="replace the run in the folder")


def _or_none(kind, text):
    """Return a flag's number, or None for "none", by which --resume takes it away."""
    try:
        return None if text == "none" else kind(text)
    except ValueError:
        wanted = "an integer" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"invalid value: {text!r}; expected {wanted}, or none") from None


def run(args: argparse.Namespace) -> tuple[dict, int]:
    """Train, save the run as it grows, draw the figures."""
    record = Run(*_settings(args))
    positive_integer("--epochs", record.config["epochs"])
    if args.resume:
        with record.held():                                # before anything is read, so that nobody else writes
            return _train(record, *resumed(record, {name for name in ADJUSTABLE if hasattr(args, name)}))
    _require_free(record, args.overwrite)
    data, trainer = begun(record)                         # errors here leave the folder as it was
    with record.held():
        _require_free(record, args.overwrite)              # another process may have begun a run since
        record.begin()
        return _train(record, data, trainer)


def _settings(args):
    """Return (folder, settings) from the flags that were given and the folder's config.json."""
    said = {name: getattr(args, name) for name in TRAIN_DEFAULTS if hasattr(args, name)}
    if "data" in said:
        said["data"] = data_source(said["data"])
    settings = {**TRAIN_DEFAULTS, **said}
    require_name("--out", args.out, "one under runs")
    folder = args.out or f"runs/{run_name(settings['data'])}-{settings['model']}"
    config = {**NEW_DEFAULTS, **Run.open(folder).config} if args.resume else {}
    known, wants = settings | config | said, list(WANTS.items())
    if known["likelihood"] == "gaussian_scalar":           # which starts at the data's sigma, as the bias at their mean
        wants.append(("sigma", ("output_bias", ["zero"])))
    for name, (other, values) in wants:
        value = known.get(other)
        if name in said and value not in values:
            flag = f"--{other.replace('_', '-')}"
            raise ConfigurationError(f"{name} is {said[name]!r}, but {flag} is {value!r}; it counts only if that is "
                                     f"{' or '.join(values)}. Leave it out, or change {flag}.")
    if not args.resume:
        return folder, settings
    for name, value in said.items():
        if name not in FREE | ADJUSTABLE and config.get(name) != value:
            begun = "without one" if config.get(name) is None else f"with {config[name]!r}"
            raise ConfigurationError(f"{name} is {value!r}, but the run in {folder} was begun {begun}. Leave it out, "
                                     "or begin another run.")
    try:
        return folder, {**{name: config[name] for name in TRAIN_DEFAULTS}, **said}
    except KeyError as error:
        raise RunError(f"{folder}/config.json lacks {error}; it cannot be resumed. Begin another run.") from None


def _require_free(record, overwrite):
    """Refuse to replace a run without --overwrite."""
    if not overwrite and Run.exists(record.folder):
        raise RunError(f"{record.folder} already holds a run. Go on with it (--resume), replace it (--overwrite), or "
                       "choose another folder (--out).")


def begun(record: Run) -> tuple[Dataset, Trainer]:
    """Return (data, trainer) of a new run."""
    data, settings = record.load_data(), record.config
    kind = KINDS[one_of("model", settings["model"], KINDS)]
    chosen = {name: settings[name] for name in inspect.signature(kind).parameters if name in settings}
    if settings["baseline"] != "none" and "estimator" in chosen:
        chosen["estimator"] = make_estimator(settings["estimator"], baseline=settings["baseline"])
    if settings["condition"]:
        chosen["n_conditions"] = count_classes(data)
        if kind is not VAE:
            raise ConfigurationError(f"--condition is of a VAE; --model is {settings['model']!r}. Leave one out.")
    try:
        sizes = [data.train.shape[1], *map(int, settings["hidden"]), int(settings["n_latent"])]
        weights = 2 * sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
        vectors = 3 + (settings["optimizer"] == "adam") + (settings["keep"] == "best")       # gradient and moments, too
        needed = weights * np.dtype(settings["dtype"]).itemsize * vectors
    except (TypeError, ValueError):                        # the model says what is wrong, and of more than it takes
        weights = needed = 0
    if needed > (memory := _memory()) and weights <= MOST_PARAMETERS:
        raise ConfigurationError(f"a model of {weights:,} weights takes {needed / 1e9:.1f} GB in training; this "
                                 f"machine has {memory / 1e9:.1f}. Choose fewer --hidden units.")
    return data, record.trainer(kind(data.train.shape[1] - chosen.get("n_conditions", 0), **chosen), data)


def _memory():
    """Return the bytes of the machine's memory, infinity where the system does not tell."""
    is_told = "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ())
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if is_told else math.inf


def resumed(record: Run, changed: Container[str]) -> tuple[Dataset, Trainer]:
    """Return (data, trainer) of the run in the folder, where it was left."""
    if not record.has_model():                             # it was killed before its first save
        new = begun(record)
        record.begin()
        say(f"{record.folder} holds no {MODEL}: training begins anew")
        return new
    model, meta, arrays = record.load_model(True, changed)
    data = record.load_data(meta)
    trainer = record.trainer(model, data)
    try:
        trainer.restore(meta["training"], arrays)
        state = trainer.state
        steps, batches = state.optimizer.step + state.skipped, state.epoch * trainer.batches + state.batch
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{record.model_file} does not say how far its training came ({error}). "
                       "Begin another run.") from error
    if steps != batches or not 0 <= state.batch < trainer.batches:
        raise RunError(f"{record.model_file} was left after {steps} steps, epoch {state.epoch} and batch "
                       f"{state.batch}, but epochs of {data.name} have {trainer.batches} batches: the data do "
                       "not have as many rows as before. Name those of the run with --data, or begin another run.")
    if state.epoch >= record.config["epochs"]:
        raise ConfigurationError(f"the run in {record.folder} has {state.epoch} epochs; --epochs is "
                                 f"{record.config['epochs']}. Ask for more epochs in all, as in "
                                 f"--epochs {state.epoch + 10}.")
    if not meta.get("data"):
        say(f"{record.model_file} is of an earlier version and does not say on which data it was trained; training "
            f"continues on what {data.name} holds now")
    return data, trainer


def _train(record, data, trainer):
    """Train, draw and report; return (result, status)."""
    if trainer.batch_size < record.config["batch_size"]:
        say(f"--batch-size is {record.config['batch_size']}, but the training data have {trainer.batch_size} rows: "
            "every step uses all of them")
    caught = run_epochs(record, trainer)
    paths = []
    if trainer.state.best is not None:
        trainer.model.parameters.flat[:] = trainer.state.best            # model.npz has them and the last ones
    if not caught:
        try:
            paths = record.draw(trainer.model, data, trainer.state.history)
        except KeyboardInterrupt:
            caught = [signal.SIGINT]
    if trainer.state.epoch == record.config["epochs"] and caught:
        say("stopped before all figures were drawn; the run is complete. Draw them with: "
            f"scratchvae figures {record.folder}")
    result, text = _report(record, trainer)
    text = "".join(f"figure   {path}\n" for path in paths) + text
    if caught:
        show(text, sys.stdout)                             # the terminal may be gone; the exit status names the signal
    else:
        print(text, end="")
    return result | {"file": [str(path) for path in paths]}, 128 + caught[0] if caught else 0


def run_epochs(record: Run, trainer: Trainer) -> list[int]:
    """Train until the last epoch or a signal, and save at most once a second, and at the end; return the signals."""
    progress, caught = Progress(record.config["epochs"]), []
    saved, since = 0, 0.0

    def save():
        nonlocal saved, since
        if record.save(trainer):
            say(f"{record.folder} or its lock had been removed; it was made again, and the model saved there")
        saved, since = trainer.state.epoch, time.monotonic()

    def after_epoch(trainer):
        if time.monotonic() - since > SECONDS_UNSAVED:
            save()
        progress.after_epoch(trainer)

    save()
    record.write_config()                                  # after a resume that can write: settings may have changed
    note_compilation()
    needed = len(TRAIN if isinstance(trainer.model, VAE) else TRAIN - OF_VAE)
    with finishing_the_step(trainer, caught), watched(KernelProgress(needed)), second_compiler(trainer.model.dtype):
        try:
            trainer.run(record.config["epochs"], progress.after_step, after_epoch)
        except TrainingError as error:
            raise TrainingError(f"{error} {record.model_file} holds the model after epoch {saved}.") from error
        finally:
            progress.close()
        if caught or saved < trainer.state.epoch:
            save()
    if not trainer.is_patient():
        say(f"stopped early: since epoch {trainer.state.history.best()} the held-out loss has not fallen. Go on with: "
            f"scratchvae train --out {record.folder} --resume --patience {2 * record.config['patience']}")
    elif trainer.state.epoch < record.config["epochs"]:
        say(f"stopped after step {trainer.state.optimizer.step}; saved. Go on with: "
            f"scratchvae train --out {record.folder} --resume")
    return caught


def _report(record, trainer):
    """Return (result, text): what --json prints, and what is printed in any case."""
    state, model = trainer.state, trainer.model
    history = state.history
    result = {"run": str(record.folder), "epochs": state.epoch, "steps": state.optimizer.step,
              "first_loss": history.first_loss, "skipped": state.skipped}
    if state.skipped:
        say(f"skipped  {state.skipped} batches whose loss or gradient was not finite")
    if not history:
        return result, ""
    epoch = state.best_epoch or state.epoch
    last, seconds = history[epoch - 1], sum(history.column("seconds"))
    sign = "<=" if ESTIMATORS[record.config["estimator"]].bound else "="   # S6
    parts = (f" {sign} reconstruction {last.test_reconstruction:.2f} + {model.beta:g} x KL {last.test_kl:z.2f}"
             if isinstance(model, VAE) else "")
    result |= {"train_loss": last.train_loss, "test_loss": last.test_loss, "reconstruction": last.test_reconstruction,
               "kl": last.test_kl, "kept_epoch": epoch, "seconds": seconds,
               "steps_per_second": float(np.median(history.column("steps_per_second")))}
    kept = "" if epoch == state.epoch else f"kept     epoch {epoch}, the best of the held-out loss\n"
    return result, (f"run      {record.folder}\ntrained  {state.epoch} epochs in {seconds:.1f} s\n{kept}"
                    f"held-out loss {last.test_loss:.2f}{parts} nats per example\n")
