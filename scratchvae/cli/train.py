"""`scratchvae train`: train a model and write a run folder."""
import argparse
import sys

import numpy as np

from ..autoencoder import Autoencoder
from ..data.download import SETS
from ..data.loading import BUNDLED, DRAWN, load_data
from ..data.minibatch import BINARIZE
from ..errors import ConfigurationError, RunError, TrainingError
from ..estimators import BASELINES, ESTIMATORS
from ..kernels.registry import note_compilation
from ..layers import ACTIVATIONS
from ..likelihoods import LIKELIHOODS
from ..nonfinite import POLICIES
from ..optimizers import OPTIMIZERS
from ..schedules import SCHEDULES
from ..training import OUTPUT_BIASES
from ..vae import VAE
from ..validation import positive_integer
from .parser import add_command
from .progress import finishing_the_step, Progress
from .run_folder import data_source, MODEL, Run

# What a run is, flag by flag.  A run folder keeps these; --resume may change only the FREE ones.
TRAIN_DEFAULTS = dict(data="mnist5k", model="vae", hidden=[400], latent=20, activation="relu", likelihood="bernoulli",
                      sigma=1.0, beta=1.0, estimator="analytic", samples=1, baseline="none", schedule="constant",
                      schedule_steps=1000, nats=0.25, binarize="none", epochs=50,
                      batch_size=128, learning_rate=1e-3, optimizer="adam", output_bias="data", dtype="float32",
                      seed=0, on_nonfinite="stop")
FREE = {"epochs", "on_nonfinite"}


def add(commands):
    """Add the command's parser; absent flags of a setting stay absent, so that a run knows what was said."""
    train = add_command(commands, "train", run, "train a model and write a run folder")

    def say(name):
        return f"default: {TRAIN_DEFAULTS[name]}"

    def setting(flag, **options):
        train.add_argument(flag, default=argparse.SUPPRESS, **options)

    setting("--data", metavar="NAME or PATH",
            help=f"{', '.join(BUNDLED + DRAWN)}, one that was fetched ({', '.join(SETS)}), or a folder of IDX files, "
                 f"an .npz or an .npy file; {say('data')}")
    setting("--model", choices=("vae", "ae"), help=say("model"))
    setting("--hidden", type=int, nargs="*", metavar="UNITS", help="hidden layer sizes, as in --hidden 400; the "
            f"decoder mirrors them; default: {TRAIN_DEFAULTS['hidden'][0]}")
    setting("--latent", type=int, metavar="Z", help=f"latent dimensions; {say('latent')}")
    setting("--activation", choices=ACTIVATIONS, help=say("activation"))
    setting("--likelihood", choices=LIKELIHOODS, help=say("likelihood"))
    setting("--sigma", type=float, help="standard deviation of a pixel, for gaussian, or where a learned one starts; "
                                         f"{say('sigma')}")
    setting("--beta", type=float, help=f"weight of the KL term; {say('beta')}")
    setting("--estimator", choices=ESTIMATORS, help=say("estimator"))
    setting("--samples", type=int, metavar="K", help=f"samples of z an example; {say('samples')}")
    setting("--baseline", choices=BASELINES, help=f"what score_function subtracts from the loss; {say('baseline')}")
    setting("--schedule", choices=SCHEDULES, help=f"how the KL is weighted as training goes on; {say('schedule')}")
    setting("--schedule-steps", type=int, metavar="N",
            help=f"steps of the ramp (linear, capacity) or of a cycle (cyclical); {say('schedule_steps')}")
    setting("--nats", type=float, help="what each latent has for free (free_bits), or what all reach in the end "
            f"(capacity); {say('nats')}")
    setting("--binarize", choices=BINARIZE, help=say("binarize"))
    setting("--epochs", type=int, metavar="N", help=say("epochs"))
    setting("--batch-size", type=int, metavar="B", help=say("batch_size"))
    setting("--learning-rate", type=float, help=say("learning_rate"))
    setting("--optimizer", choices=OPTIMIZERS, help=say("optimizer"))
    setting("--output-bias", choices=OUTPUT_BIASES,
            help=f"where the decoder's output bias starts: at the data's mean, or zero; {say('output_bias')}")
    setting("--dtype", choices=("float32", "float64"), help=say("dtype"))
    setting("--seed", type=int, help=say("seed"))
    setting("--on-nonfinite", choices=POLICIES, help="of a batch whose loss or gradient is not finite: stop with its "
            f"cause, or skip it; {say('on_nonfinite')}")
    train.add_argument("--out", metavar="RUN", help="the run folder; runs/<data>-<model> if absent")
    what = train.add_mutually_exclusive_group()
    what.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    what.add_argument("--overwrite", action="store_true", help="replace the run in the folder")


def run(args):
    """Train, save after each epoch, draw the figures."""
    folder, settings = _settings(args)
    positive_integer("--epochs", settings["epochs"])
    with Run(folder, settings).held() as record:
        return _train(record, settings, args)


def _train(record, settings, args):
    folder = record.folder
    if not args.resume and not args.overwrite and Run.exists(folder):
        raise RunError(f"{folder} already holds a run. Go on with it (--resume), replace it (--overwrite), or choose "
                       "another folder (--out).")
    data = load_data(settings["data"])
    if settings["batch_size"] > len(data.train):
        print(f"--batch-size is {settings['batch_size']}, but the training data have {len(data.train)} rows: "
              "every step uses all of them", file=sys.stderr)
    resumed = args.resume and record.has_model()          # else it was killed before its first step: from there
    if resumed:
        model, meta, arrays = record.load_model()
    else:
        model = _new_model(settings, data.train.shape[1])
    trainer = record.trainer(model, data)
    if resumed:
        try:
            trainer.restore(meta["training"], arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder}/model.npz does not say how far its training came ({error}). "
                           "Begin another run.") from error
        if trainer.state.epoch >= settings["epochs"]:
            raise ConfigurationError(f"the run in {folder} has {trainer.state.epoch} epochs; --epochs is "
                                     f"{settings['epochs']}. Ask for more epochs in all, as in "
                                     f"--epochs {trainer.state.epoch + 10}.")
    if not resumed:
        record.begin()
    else:
        record.write_config()                             # more epochs, perhaps
    record.save(trainer)
    note_compilation()
    progress, caught = Progress(settings["epochs"]), []

    def after_epoch(trainer):
        progress.after_epoch(trainer)
        if record.save(trainer):
            print(f"{folder} had been removed; it was made again, and the model saved there", file=sys.stderr)

    with finishing_the_step(trainer, caught):
        try:
            history = trainer.run(settings["epochs"], progress.after_step, after_epoch)
        except TrainingError as error:
            raise TrainingError(f"{error} {folder}/{MODEL} holds the model after epoch "
                                f"{trainer.state.epoch}.") from error
        progress.close()
        if caught:
            record.save(trainer)
            print(f"stopped after step {trainer.state.optimizer.step}; saved. Go on with: "
                  f"scratchvae train --out {folder} --resume", file=sys.stderr)
    if not caught:
        for path in record.draw(model, data, history):
            print(f"figure   {path}")
    status = 128 + caught[0] if caught else 0
    last = history[-1] if history else None
    result = {"run": str(record.folder), "epochs": trainer.state.epoch, "steps": trainer.state.optimizer.step,
              "first_loss": history.first_loss, "skipped": trainer.state.skipped}
    if trainer.state.skipped:
        print(f"skipped  {trainer.state.skipped} batches whose loss or gradient was not finite", file=sys.stderr)
    if last:
        seconds = sum(history.column("seconds"))
        result |= {"train_loss": last.train_loss, "test_loss": last.test_loss,
                   "reconstruction": last.test_reconstruction, "kl": last.test_kl, "seconds": seconds,
                   "steps_per_second": float(np.median(history.column("steps_per_second")))}
        sign = "<=" if settings["estimator"] in ("iwae", "dreg") else "="            # the bounds are below it (S6)
        parts = (f" {sign} reconstruction {last.test_reconstruction:.2f} + {settings['beta']:g} x KL {last.test_kl:.2f}"
                 if isinstance(model, VAE) else "")
        print(f"run      {record.folder}\nheld-out loss {last.test_loss:.2f}{parts} nats per example after "
              f"{trainer.state.epoch} epochs, {seconds:.1f} s")
    return result, status


def _settings(args):
    """Return (folder, settings) from what was said and what the folder holds."""
    said = {name: getattr(args, name) for name in TRAIN_DEFAULTS if hasattr(args, name)}
    if "data" in said:
        said["data"] = data_source(said["data"])
    settings = {**TRAIN_DEFAULTS, **said}
    name = settings["data"].rstrip("/").rsplit("/", 1)[-1]
    folder = args.out or f"runs/{name}-{settings['model']}"
    if args.resume:
        record = Run.open(folder)
        for name, value in said.items():
            if name not in FREE and record.config.get(name) != value:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {value!r}, but the run in {folder} was begun "
                                         f"with {record.config.get(name)!r}. Leave it out, or begin another run.")
        try:
            return folder, {**{name: record.config[name] for name in TRAIN_DEFAULTS}, **said}
        except KeyError as error:
            raise RunError(f"{folder}/config.json lacks {error}; it cannot be resumed. Begin another run.") from None
    return folder, settings


def _new_model(settings, n_visible):
    shared = dict(n_visible=n_visible, n_latent=settings["latent"], hidden=settings["hidden"],
                  activation=settings["activation"], likelihood=settings["likelihood"], sigma=settings["sigma"],
                  dtype=settings["dtype"], seed=settings["seed"])
    if settings["model"] == "ae":
        return Autoencoder(**shared)
    return VAE(**shared, beta=settings["beta"], estimator=settings["estimator"], n_samples=settings["samples"],
               baseline=settings["baseline"])
