"""`scratchvae reproduce`: published numbers, trained and measured as their papers did."""
import argparse
import os
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import __version__
from ..analysis.evaluation import evaluate
from ..errors import ConfigurationError
from ..history import Epoch, History
from ..storage.atomic import write_atomically
from ..validation import at_least, one_of, positive_integer
from .parser import add_command
from .run_folder import data_source, Run
from .screen import say
from .train import begun, resumed, run_epochs, TRAIN_DEFAULTS

IWAE_PAPER = dict(hidden=[200, 200], n_latent=50, activation="tanh", batch_size=20, epsilon=1e-4, binarize="dynamic",
                  rate_schedule="burda")
PAPER = "Burda et al. 2016"
STAGES = tuple((3**i - 1) // 2 for i in range(1, 9))          # epochs at the ends of the stages of its learning rate


class Row(NamedTuple):
    """A published number, and the settings of `scratchvae train` that lead to it, where they are not the defaults.

    `protocol` says what the number is: a log-likelihood estimated with K samples of z, or a loss.  `stages` are the
    numbers of epochs at which a shorter training may end; the last is the paper's.
    """

    published: str
    source: str
    protocol: str
    data: str
    settings: dict
    stages: tuple = STAGES


ROWS = {
    "mnist": Row("-86.76", f"{PAPER}, k = 1", "dynamic pixels, log-likelihood", "mnist", IWAE_PAPER),
    "mnist-iwae5": Row("-85.54", f"{PAPER}, k = 5", "dynamic pixels, log-likelihood", "mnist",
                       {**IWAE_PAPER, "estimator": "iwae", "n_samples": 5}),
    "mnist-iwae50": Row("-84.78", f"{PAPER}, k = 50", "dynamic pixels, log-likelihood", "mnist",
                        {**IWAE_PAPER, "estimator": "iwae", "n_samples": 50}),
    "mnist-dreg5": Row("-84.90", "a TensorFlow reproduction of DReG, k = 5", "dynamic pixels, log-likelihood", "mnist",
                       {**IWAE_PAPER, "estimator": "dreg", "n_samples": 5}),
    "static": Row("-88.71", f"{PAPER}, appendix D", "pixels binarized once, log-likelihood", "static",
                  {**IWAE_PAPER, "binarize": "none"}),
    "omniglot": Row("none on these pixels", "", "dynamic pixels, log-likelihood", "omniglot", IWAE_PAPER),
    "pytorch": Row("106.66", "pytorch/examples, vae", "gray pixels, loss", "mnist", {}, (1, 7)),
    "frey": Row("none", "", "gray pixels, log-likelihood of a Gaussian", "frey",
                dict(hidden=[200], likelihood="gaussian_diagonal", activation="tanh", batch_size=100), (100, 1000)),
}
WANTED = {
    "mnist": "a folder of MNIST's IDX files",
    "static": "an .npz of bool arrays train and test: MNIST as Larochelle binarized it",
    "omniglot": "an .npz of uint8 arrays train and test, 28 x 28",
    "frey": "an .npz of uint8 arrays train and test, 28 x 20",
}


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "reproduce", run, "train and measure what papers have published",
                         "pytorch --budget 5")
    parser.add_argument("names", nargs="*", metavar="TABLE", help=f"{', '.join(ROWS)}; default: all")
    parser.add_argument("--data", action="append", metavar="NAME=PATH", default=[],
                        help=f"where a data set is that is not fetched or bundled; {', '.join(WANTED)}")
    parser.add_argument("--budget", type=float, metavar="MINUTES",
                        help="minutes of training for each row and seed: it ends with the last stage that fits")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds, from 0 on; default: 1")
    parser.add_argument("--importance-samples", type=int, default=5000, metavar="K",
                        help="samples of z for each image; default: 5000")
    parser.add_argument("--out", metavar="FOLDER", default="runs/reproduce",
                        help="where the runs and the table go; interrupted runs are continued; default: runs/reproduce")


def run(args: argparse.Namespace) -> tuple[dict, int]:
    """Train and measure each row and seed, and write the table after each."""
    names = [one_of("TABLE", name, ROWS) for name in args.names or ROWS]
    budget = None if args.budget is None else at_least("budget", args.budget, 0, "Use 10.", open_interval=True)
    positive_integer("seeds", args.seeds)
    positive_integer("importance_samples", args.importance_samples)
    sources, rows = _sources(args.data), []
    for name in names:
        if ROWS[name].data not in {"mnist", *sources}:
            raise ConfigurationError(f"{name} needs data that are neither bundled nor fetched: "
                                     f"{WANTED[ROWS[name].data]}. Say where: --data {ROWS[name].data}=PATH.")
    for name in names:
        for seed in range(args.seeds):
            row, caught = _reproduced(name, seed, sources, budget, args)
            if caught:
                return {"rows": rows}, 128 + caught[0]
            rows.append(row)
            _write(Path(args.out), rows)
    print(_table(rows))
    return {"rows": rows, "file": str(Path(args.out) / "README.md")}, 0


def _sources(pairs):
    """Return {name: path} of --data NAME=PATH."""
    sources = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if name not in WANTED or not os.path.exists(path):
            raise ConfigurationError(f"--data is {pair!r}; expected NAME=PATH of something that is there, as in --data "
                                     f"mnist=FOLDER. Names are {', '.join(WANTED)}.")
        sources[name] = data_source(path)
    return sources


def _reproduced(name, seed, sources, budget, args):
    """Train and measure one row with one seed; return (row, signals)."""
    told = ROWS[name]
    record = Run(Path(args.out) / f"{name}-{seed}", {
        **TRAIN_DEFAULTS, **told.settings, "data": sources.get(told.data, told.data), "seed": seed,
        "epochs": told.stages[-1]})
    say(f"{name}, seed {seed}: {told.protocol}; published {told.published}")
    caught = _train(record, told.stages, budget)
    model, meta, arrays = record.load_model()
    if caught:
        return None, caught
    test, binarize = record.load_data(meta).test, record.config["binarize"]
    found = evaluate(model, test, importance_samples=args.importance_samples, seed=seed, binarize=binarize)
    history = History(Epoch(*row) for row in arrays["history"].tolist())
    return dict(row=name, seed=seed, protocol=told.protocol, published=told.published, source=told.source,
                log_likelihood=found.log_likelihood, stderr=found.stderr, elbo=found.elbo, loss=history[-1].test_loss,
                importance_samples=found.importance_samples, n=found.n, active_units=found.active_units,
                epochs=meta["training"]["epoch"], of=told.stages[-1], minutes=sum(history.column("seconds")) / 60), None


def _train(record, stages, budget):
    """Train to the end of the last stage that fits into the budget; return the signals that stopped it, if any."""
    with record.held():
        if record.has_model() and record.load_model()[1]["training"]["epoch"] >= stages[-1]:
            return []
        if record.has_model():
            _, trainer = resumed(record, ())
        else:
            _, trainer = begun(record)
            record.begin()
        caught, history = [], trainer.state.history
        for end in (stage for stage in stages if stage > trainer.state.epoch):
            spent = sum(history.column("seconds"))
            needed = spent / len(history) * end if history else 0.0
            if budget is not None and needed > 60 * budget:
                say(f"the next {end - trainer.state.epoch} epochs would take {(needed - spent) / 60:.0f} min, beyond "
                    "--budget")
                break
            record.config["epochs"] = end
            caught = run_epochs(record, trainer)
            if caught:
                break
        return caught


def _table(rows):
    """Return the rows as a table in Markdown."""
    lines = ["| row | seed | protocol | published | ours | standard error | K | n | bound | active | epochs | min |",
             "|" + " --- |" * 12]
    for row in rows:
        gray = np.isnan(row["log_likelihood"])                                  # no likelihood: the loss is compared
        ours = row["loss"] if gray else row["log_likelihood"]
        n, k = f"{row['n']:,}", f"{row['importance_samples']:,}"
        exact = ["", "", n, ""] if gray else [f"{row['stderr']:.2f}", k, n, f"{row['elbo']:.2f}"]
        lines.append(f"| {row['row']} | {row['seed']} | {row['protocol']} | {row['published']} | {ours:.2f} | "
                     f"{' | '.join(exact)} | {row['active_units']} | {row['epochs']:,} of {row['of']:,} | "
                     f"{row['minutes']:.1f} |")
    return "\n".join(lines)


def _write(folder, rows):
    """Write the table and where it was measured."""
    text = ("# Published numbers, reproduced\n\nIn nats per example, from `scratchvae reproduce`. Rows of different "
            f"protocols cannot be compared.\nscratchvae {__version__}, NumPy {np.__version__}, Python "
            f"{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.\n\n{_table(rows)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "README.md", lambda file: file.write(text.encode()))
