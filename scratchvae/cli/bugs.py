"""`scratchvae bugs`: the museum of planted faults."""
from argparse import Namespace

from .. import bugs
from ..data.loading import load_data
from ..errors import ConfigurationError
from ..validation import check_seed, integer, SEEDS
from .detective import describe, play, row_of, show_curves, verdict_on_curve
from .parser import add_command
from .progress import note_compilation
from .screen import print_filled

# Flags by their names in Python, with their defaults and what must be asked for, so that they count.
FLAGS = {"level": (1, ("--hide",)), "data": ("digits", ("NAME", "--hide")), "epochs": (15, ("NAME", "--hide")),
         "seed": (0, ("NAME", "--all", "--hide"))}


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "bugs", run, "list the bugs that real VAEs had, plant one, see what detects it",
                         "--hide 1")
    parser.add_argument("name", metavar="NAME", nargs="?", help="train a small VAE with and without this bug")
    parser.add_argument("--all", action="store_true", help="plant every bug in turn and ask all detectors")
    parser.add_argument("--hide", type=int, metavar="SEED", help="plant one without naming it: a detective game")
    parser.add_argument("--level", type=int, metavar="L", help="of the game, 1 to 3; default: 1")
    parser.add_argument("--data", metavar="NAME or PATH", help="what to train on; default: digits")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of each run; default: 15")
    parser.add_argument("--seed", type=int, help="seed of weights, noise and the case; default: 0")


def run(args: Namespace) -> tuple[dict, int]:
    """List, demonstrate, examine or hide."""
    if sum((args.name is not None, args.all, args.hide is not None)) > 1:
        raise ConfigurationError("got more than one of NAME, --all and --hide; they exclude each other. Leave one.")
    asked = "--hide" if args.hide is not None else "--all" if args.all else "NAME" if args.name is not None else ""
    for name, (default, wanted) in FLAGS.items():
        value = getattr(args, name)
        if value is None:
            setattr(args, name, default)
        elif asked not in wanted:
            raise ConfigurationError(f"{name} is {value!r}; it counts only with {' or '.join(wanted)}. Leave it out, "
                                     "or give that, too.")
    check_seed(args.seed)
    integer("epochs", args.epochs, 2)
    integer("level", args.level, 1, len(bugs.LEVELS), "Begin with 1.")
    if args.hide is not None:
        integer("hide", args.hide, 0, SEEDS - 1, "Choose for example 1.")
    if not asked:
        return _list()
    note_compilation()
    if args.all:
        return _examine_all(args.seed)
    return play(args) if args.hide is not None else _demonstrate(args.name, args)


def _row(bug, found):
    """Return what --json says of a bug, with what detectors found, {name: text}, in place of what the catalog says."""
    return {**row_of(bug), "detected_by": list(found), "diagnosis": next(iter(found.values()), "")}


def _list():
    for file in bugs.FILES:
        names = [bug.name for bug in bugs.BUGS.values() if bug.make.__module__ == file.__name__]
        print_filled(f"{file.__name__.rpartition('.')[2]} ({len(names)}): {', '.join(names)}", rest="  ")
    print_filled(f"{len(bugs.BUGS)} bugs. `scratchvae bugs NAME` plants one, `scratchvae explain NAME` says what it "
                 "is, and `scratchvae bugs --hide 1` does not say which.")
    return {"bugs": [row_of(bug) for bug in bugs.BUGS.values()]}, 0


def _examine_all(seed):
    """Plant one bug after another, ask all detectors, and report what they find, not what the catalog says."""
    rows = []
    for bug in bugs.BUGS.values():
        found = {name: text for name, text in bugs.detections(bug.name, seed).items() if text}
        missed = set(bug.detected_by) - set(found)
        rows.append(_row(bug, found))
        print_filled("MISSED by " + ", ".join(missed) if missed else "found by " + ", ".join(found),
                     f"{bug.name:30s} ", " " * 31)
    innocent = {name: text for name, text in bugs.examine(bugs.random_case(seed)).items() if text}
    print_filled(f"found by {', '.join(innocent) or 'none'}", f"{'no bug at all':30s} ", " " * 31)
    right = not innocent and all(set(bugs.BUGS[row["name"]].detected_by) <= set(row["detected_by"]) for row in rows)
    return {"bugs": rows, "innocent": innocent, "ok": right}, 0 if right else 1


def _demonstrate(name, args):
    data = load_data(args.data)
    shown = bugs.demonstrate(name, data, epochs=args.epochs, seed=args.seed)
    bug = bugs.find_bug(name)
    print(bug.name)
    describe(bug)
    show_curves(shown.right, shown.wrong, data.name)
    curves = {"right": [epoch.test_loss for epoch in shown.right], "wrong": [epoch.test_loss for epoch in shown.wrong]}
    verdict = verdict_on_curve(curves["right"], curves["wrong"], shown.stopped)
    print_filled(verdict)
    print()
    for detector, text in shown.findings.items():
        print_filled(f"{detector}: {f'finds it: {text}' if text else 'finds nothing'}", "  ", "      ")
    found = {detector: text for detector, text in shown.findings.items() if text}
    return {"bugs": [{**_row(bug, found), **curves, "curve": verdict}]}, 0
