"""`scratchvae explore`: a run's own model as a page to play with."""
from argparse import Namespace
from typing import Any

import numpy as np

from ..data.loading import Dataset
from ..errors import ConfigurationError, RunError
from ..history import TrainingState
from ..pages import build_page
from ..pages.film import film
from ..pages.trained import model_data
from ..vae import VAE
from .page import add_page_flags, write_page
from .parser import out_path
from .pictures import add_picture_command, history_of
from .run_folder import open_run, Run
from .screen import say
from .train import NEW_DEFAULTS


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_picture_command(commands, "explore", run, "make a page with a run's own model in it, to play with",
                                 "runs/mnist5k-vae --open")
    add_page_flags(parser, "RUN/explore.html")
    parser.set_defaults(out=None)
    parser.add_argument("--film", action="store_true", help="repeat the run's training, and show it in the page")


def run(args: Namespace) -> tuple[dict, int]:
    """Write the page."""
    record = open_run(args.folder)
    model, meta, arrays = record.load_model()
    if type(model) is not VAE:
        raise ConfigurationError(f"{args.folder} holds a model of kind {model.kind!r}; the page shows a VAE's latents, "
                                 "bound and draws. Use a run of --model vae.")
    data, config = record.load_data(meta, args.data, args.image_shape), record.config
    path = out_path("--out", str(record.folder / "explore.html") if args.out is None else args.out, ".html")
    history = history_of(record, arrays)
    try:
        steps = TrainingState.of_file(model, meta["training"], arrays).optimizer.step if args.film else 0
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{record.model_file} does not say how far its training came ({error}). Take one that "
                       "`scratchvae train` wrote, or leave out --film.") from error
    page = model_data(model, data, config["data"], config.get("binarize", "none"), config.get("seed", 0))
    kept = config.get("keep") == "best" and history.best() or len(history)
    page |= {"run": record.folder.resolve().name, "film": _film(record, data, steps, page["kl"]) if steps else None,
             "history": [epoch[5:7] for epoch in history[:kept] if np.isfinite(epoch[5:7]).all()]}
    if kept < len(history):
        page["data"] += f" (epoch {kept} of {len(history)} was kept)"
    if record.shown != config["data"]:
        where = f"of which {data.name}, shown here, is a part" if args.data is None else f"and shown {data.name} here"
        page["data"] = f"{config['data']}, {where}"
    try:
        html = build_page("explore", page)
    except ValueError as error:                            # JSON has no infinity
        raise RunError(f"{record.model_file} has a held-out loss or KL that is not finite, which no page can show. "
                       "Look for a diverged encoder, and train another run.") from error
    return write_page(html, path, args)


def _film(record: Run, data: Dataset, steps: int, kl: list) -> dict[str, Any]:
    """Repeat the training, and return its film in the plane of the two latents with the largest KL."""
    say(f"repeating {steps} steps of training for the film ...")
    axes = np.argsort(-np.array(kl), kind="stable")[:2].tolist()
    record.config, last = {**NEW_DEFAULTS, **record.config}, record.load_model(last=True)[0]
    found = film(record.trainer(VAE(**last.get_params()), data), steps, data, last, axes)
    if not found["same"]:
        say("the repeated training did not end in the run's own bits, as it does on the machine and the backend that "
            "the run was trained with, if --resume changed no setting; the page says so")
    return found
