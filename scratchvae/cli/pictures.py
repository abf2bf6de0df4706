"""`scratchvae figures`, `sample`, `reconstruct`, `traverse`: pictures of a run, as PNG files."""
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any, TYPE_CHECKING

import numpy as np

from ..data.loading import Dataset
from ..errors import ConfigurationError, RunError
from ..history import Epoch, History
from ..vae import VAE
from ..validation import positive_integer
from .figures import kl_per_dimension, reconstruction_figure, sample_figure, traversal_figure
from .parser import add_image_shape, add_run_command
from .run_folder import open_run, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add(commands: object) -> None:
    """Add the parsers of the four commands."""
    add_picture_command(commands, "figures", run_figures, "draw every figure of a run")
    sample = add_picture_command(commands, "sample", run_sample, "draw images from the prior")
    sample.add_argument("--n", type=int, default=64, help="how many images; default: 64")
    sample.add_argument("--condition", type=int, metavar="Y", help="the label that is drawn, of a run with "
                        "--condition; all in turn if absent")
    sample.add_argument("--seed", type=int, default=0, help="seed of the draws; default: 0")
    reconstruct = add_picture_command(commands, "reconstruct", run_reconstruct,
                                      "draw held-out images over their reconstructions")
    reconstruct.add_argument("--n", type=int, default=10, help="how many images; default: 10")
    traverse = add_picture_command(commands, "traverse", run_traverse, "sweep the most used latents, one a row")
    traverse.add_argument("--latents", type=int, metavar="L", default=10, help="how many latents; default: 10")
    traverse.add_argument("--index", type=int, metavar="I", help="start from test image I; the origin if absent")


def run_figures(args: Namespace) -> tuple[dict, int]:
    """Draw what `train` draws when it ends, up to the last epoch that was saved."""
    run = open_run(args.folder)
    model, meta, arrays = run.load_model()
    data = run.load_data(meta, args.data, args.image_shape)
    paths = [str(path) for path in run.draw(model, data, history_of(run, arrays))]
    print(*paths, sep="\n")
    return {"file": paths}, 0


def history_of(run: Run, arrays: dict[str, np.ndarray]) -> History:
    """Return the epochs in the arrays of a run's model; raises RunError if there are none."""
    try:
        return History(Epoch(*row) for row in arrays["history"].tolist())
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.model_file} holds no history of a training ({error}). Take one that `scratchvae "
                       "train` wrote.") from error


def run_sample(args: Namespace) -> tuple[dict, int]:
    """Draw from the prior."""
    run, model, data = open_for_pictures(args, only_vae=True)
    if args.condition is not None and not 0 <= args.condition < model.n_conditions:
        known = f"labels 0 to {model.n_conditions - 1}" if model.n_conditions else "no labels"
        raise ConfigurationError(f"--condition is {args.condition}; the model has {known}. Choose one, or leave it "
                                 "out.")
    return report_figure(run, sample_figure(model, data, args.n, args.seed, args.condition), "samples.png")


def run_reconstruct(args: Namespace) -> tuple[dict, int]:
    """Draw held-out images over their reconstructions."""
    positive_integer("n", args.n)
    run, model, data = open_for_pictures(args, only_vae=False)
    return report_figure(run, reconstruction_figure(model, data, args.n), "reconstructions.png")


def run_traverse(args: Namespace) -> tuple[dict, int]:
    """Sweep the most used latents."""
    positive_integer("latents", args.latents)
    run, model, data = open_for_pictures(args, only_vae=True)
    if args.index is not None and not 0 <= args.index < len(data.test):
        raise ConfigurationError(f"--index is {args.index}; the test part has images 0 to {len(data.test) - 1}. "
                                 "Choose one of them.")
    used = np.argsort(-kl_per_dimension(model, data.test[:2000]))[:args.latents]
    figure = traversal_figure(model, data, used, args.index, np.linspace(-3, 3, 9))
    return report_figure(run, figure, "traversal.png")


def add_picture_command(commands: object, name: str, run: Callable, help_text: str,
                        example: str = "runs/mnist5k-vae") -> ArgumentParser:
    """Add a command that needs the data of a run, and return its parser."""
    parser = add_run_command(commands, name, run, help_text, example)
    parser.add_argument("--data", metavar="NAME or PATH", help="where the run's data are now, if they have moved")
    add_image_shape(parser)
    return parser


def open_for_pictures(args: Namespace, only_vae: bool) -> tuple[Run, Any, Dataset]:
    """Return (run, model, data) for a picture command."""
    run = open_run(args.folder)
    model, meta, _ = run.load_model()
    if only_vae and not isinstance(model, VAE):
        raise ConfigurationError(f"{args.folder} holds an autoencoder: the distribution of its codes is unknown, so it "
                                 "cannot be sampled. Use a run of --model vae.")
    return run, model, run.load_data(meta, args.data, args.image_shape)


def report_figure(run: Run, figure: "Figure", name: str) -> tuple[dict, int]:
    """Save a figure in the run's folder, print its path, and return what a command returns."""
    path = run.save_figure(figure, name)
    print(path)
    return {"file": str(path)}, 0
