"""`scratchvae reproduce`: published numbers, trained and measured as their papers did."""
import argparse
import math
import os
from pathlib import Path

from ..analysis.evaluation import evaluate
from ..data.download import SETS
from ..data.loading import BUNDLED, load_data
from ..errors import ConfigurationError
from ..validation import at_least, one_of, positive_integer
from .parser import add_command, require_name
from .pictures import history_of
from .published import ROWS, WANTED
from .reproduced import expected, expected_text, is_far, merged, PAGE, read_records, RECORDS, records_of, write
from .run_folder import data_source, Run
from .screen import say
from .train import begun, resumed, run_epochs, TRAIN_DEFAULTS


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
    """Train and measure each row and seed, and write the page after each; the status is 1 if a number is far off."""
    names = [one_of("TABLE", name, ROWS) for name in args.names or ROWS]
    budget = None if args.budget is None else at_least("budget", args.budget, 0, "Use 10.", open_interval=True)
    positive_integer("seeds", args.seeds)
    positive_integer("importance_samples", args.importance_samples)
    require_name("--out", args.out, "runs/reproduce")
    sources, rows, folder = _sources(args.data), [], Path(args.out)
    for name in names:
        if ROWS[name].data not in {*BUNDLED, *SETS, *sources}:
            raise ConfigurationError(f"{name} needs data that are neither bundled nor fetched: "
                                     f"{WANTED[ROWS[name].data][0]}. Say where: --data {ROWS[name].data}=PATH.")
    if not read_records(folder / RECORDS) and os.path.lexists(folder / PAGE):              # before anything is trained
        raise ConfigurationError(f"--out is {args.out!r}, which has a {PAGE} and no {RECORDS}: the page would replace "
                                 "it. Choose another folder.")
    for name in names:
        for seed in range(args.seeds):
            caught, history, found = _reproduced(name, seed, sources, budget, args)
            if caught:
                return {"rows": rows}, 128 + caught[0]
            *before, last = records_of(name, seed, history)
            records = [*before, last._replace(**found)]
            write(folder, merged(read_records(folder / RECORDS), records))
            rows.append(_told(records))
    return {"rows": rows, "file": str(folder / PAGE)}, int(any(row["far_after"] for row in rows))


def _sources(pairs):
    """Return {name: path} of --data NAME=PATH."""
    sources = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if name not in WANTED or not os.path.exists(path):
            raise ConfigurationError(f"--data is {pair!r}; expected NAME=PATH of something that is there, as in --data "
                                     f"mnist=FOLDER. Names are {', '.join(WANTED)}.")
        sources[name] = data_source(path)
        (wanted, shape), given = WANTED[name], load_data(sources[name]).train.shape
        if given != shape:
            raise ConfigurationError(f"--data is {pair!r}, with training examples of shape {given}; expected {shape}: "
                                     f"{wanted}. Name that.")
    return sources


def _reproduced(name, seed, sources, budget, args):
    """Train and measure one row with one seed; return (signals that stopped it, history, estimates)."""
    told = ROWS[name]
    record = Run(Path(args.out) / f"{name}-{seed}", {
        **TRAIN_DEFAULTS, **told.settings, "data": sources.get(told.data, told.data), "seed": seed,
        "epochs": told.stages[-1]})
    say(f"{name}, seed {seed}: {told.protocol}; published: {told.published or 'nothing'}")
    texts = {stage: expected_text(name, stage) for stage in told.stages}
    known = ", ".join(f"{text} after {stage:,}" for stage, text in texts.items() if text)
    say(f"held-out loss to expect: {known and f'{known} epochs' or 'not recorded yet'}")
    caught = _train(record, told.stages, budget)
    model, meta, arrays = record.load_model()
    history = history_of(record, arrays)
    if caught:
        return caught, history, {}
    test, binarize = record.load_data(meta).test, record.config["binarize"]
    k = 1 if told.is_loss else args.importance_samples
    found = evaluate(model, test, importance_samples=k, seed=seed, binarize=binarize)
    k = 0 if math.isnan(found.log_likelihood) else found.importance_samples
    return [], history, dict(log_likelihood=found.log_likelihood, stderr=found.stderr, importance_samples=k, n=found.n,
                             active_units=found.active_units)


def _told(records):
    """Print the last record of a run beside what is published and expected, and return what --json says of it."""
    last = records[-1]
    row, text = ROWS[last.row], expected_text(last.row, last.epochs)
    far = [record for record in records if is_far(record)]
    print(f"{last.row}, seed {last.seed}, {last.epochs:,} of {row.stages[-1]:,} epochs in {last.minutes:.1f} min: "
          f"held-out loss {last.loss:.2f}{text and f', expected {text}'}"
          + (f", log-likelihood {last.log_likelihood:.2f} +- {last.stderr:.2f} (K {last.importance_samples:,}, n "
             f"{last.n:,})" if last.importance_samples else "") + f", published {row.published or 'nothing'}")
    for record in far:
        print(f"far from it: after {record.epochs:,} epochs the held-out loss was {record.loss:.2f}, expected "
              f"{expected_text(record.row, record.epochs)}")
    return {**last._asdict(), "published": row.published, "protocol": row.protocol, "of": row.stages[-1],
            "expected": expected(last.row, last.epochs), "far_after": [record.epochs for record in far]}


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
                say(f"the next {end - trainer.state.epoch} epochs would take {max(0.1, (needed - spent) / 60):.1f} "
                    "min, beyond --budget")
                break
            record.config["epochs"] = end
            caught = run_epochs(record, trainer)
            if caught:
                break
        return caught
