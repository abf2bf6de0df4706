"""`scratchvae bugs --hide SEED`: the detective game, played on standard input."""
import sys
from argparse import Namespace
from textwrap import indent

from .. import bugs
from ..data.loading import load_data
from ..history import History
from .screen import print_filled

FULL = 10               # points of a right guess; each detector costs one
TOLD = ("name", "what", "seen_in", "symptom", "detected_by", "diagnosis")              # of a bug, by --json
HELP = ("Type `buy 3` for a detector's evidence, `guess 2` for a suspect (names work, too), `list` to see both again, "
        "`give up` to be told.")


def show_curves(right: History, wrong: History, name: str) -> None:
    """Print two learning curves side by side."""
    print(f"\n{name}, held-out loss in nats per example\nepoch       right     with bug")
    for k, epoch in enumerate(right):
        other = f"{wrong[k].test_loss:12.2f}" if k < len(wrong) else f"{'-':>12s}"
        print(f"{epoch.epoch:5d}{epoch.test_loss:12.2f} {other}")         # a loss that climbs fills its column


def _course(curve):
    change, steps = (curve[-1] - curve[0]) / abs(curve[0]), [b > a for a, b in zip(curve, curve[1:])]
    return ("hardly moves" if abs(change) < 0.01 else "falls" if change < 0
            else "climbs" if sum(steps) > len(steps) / 2 else "goes up and down")


def verdict_on_curve(right: list, wrong: list, stopped: str) -> str:
    """Return what two learning curves say, lists of held-out losses.

    Examples
    --------
    >>> verdict_on_curve([30.0, 25.0], [30.0, 20.0], "")
    "With the fault the loss falls, and ends 20.0 % below the right one's: the wrong curve is the better one."
    """
    if stopped:
        return f"Training stops: {stopped}"
    moves, share = _course(wrong), 100 * (wrong[-1] - right[-1]) / abs(right[-1])
    if abs(share) < 0.05:
        return f"With the fault the loss {moves}, and ends where the right one does: the curves tell nothing."
    side = "below" if share < 0 else "above"
    tells = ("the wrong curve is the better one." if share < 0 else
             "nobody who has one curve alone would know." if moves in ("falls", _course(right)) else
             "the curve gives it away.")
    return f"With the fault the loss {moves}, and ends {abs(share):.1f} % {side} the right one's: {tells}"


def _show_choices(hidden, bought):
    print()
    for k, name in enumerate(hidden.suspects, 1):
        print_filled(bugs.BUGS[name].what, f"  suspect {k}  {name}: ", " " * 13)
    print()
    for k, name in enumerate(bugs.DETECTORS, 1):
        print(f"  {'bought' if name in bought else 'detector'} {k:2d}  {name}")


def _chosen(words, known):
    """Return the member of a list that a number or a name stands for, or None."""
    word = " ".join(words)
    if word.isdecimal() and 1 <= int(word) <= len(known):
        return known[int(word) - 1]
    return next((name for name in known if name.lower() == word), None)


def describe(bug: bugs.Bug) -> None:
    """Print what a bug does, where it was seen, and how it shows."""
    for label, text in (("what", bug.what), ("seen in", bug.seen_in), ("symptom", bug.symptom)):
        print_filled(text, f"  {label:10s} ", " " * 13)


def row_of(bug: bugs.Bug) -> dict:
    """Return what --json says of a bug."""
    return {name: getattr(bug, name) for name in TOLD}


def _explain(name):
    print(f"\nIt was {name}.")
    describe(bugs.BUGS[name])
    print_filled(f"by {', '.join(bugs.BUGS[name].detected_by)}", f"  {'found':10s} ", " " * 13)
    print(f"\nThe patch\n{indent(bugs.patch(name), '  ')}\n\nWhat it changes in a small model")
    for line in bugs.effect(name):
        print_filled(line, "  ", "      ")


def play(args: Namespace) -> tuple[dict, int]:
    """Show model, data and curves, sell evidence, take one guess, and explain."""
    hidden, data, bought = bugs.mystery_bug(args.hide, args.level), load_data(args.data), {}
    right, wrong, stopped = bugs.train_both(hidden.name, data, epochs=args.epochs, seed=args.seed)
    curves = [epoch.test_loss for epoch in right], [epoch.test_loss for epoch in wrong]
    settings = ", ".join(f"{key}={value}" for key, value in bugs.demonstration_settings(hidden.name).items())
    print_filled(f"Level {args.level}: {bugs.LEVELS[args.level]}. A VAE with {settings} was trained twice on "
                 f"{data.name}, once with a fault.")
    show_curves(right, wrong, data.name)
    verdict = verdict_on_curve(curves[0], curves[1], stopped)
    print_filled(verdict)
    _show_choices(hidden, bought)
    print()
    print_filled(HELP)
    guess = None
    while guess is None:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        action, *words = line.lower().split() or ["", ""]
        if not line:
            print(end="\n" * sys.stdin.isatty())                  # Ctrl-D leaves the cursor behind the prompt
            break
        detector, suspect = _chosen(words, list(bugs.DETECTORS)), _chosen(words, hidden.suspects)
        if action == "buy" and detector:
            bought.setdefault(detector, bugs.evidence(hidden.name, detector, args.seed))
            print(f"{detector} ({len(bought)} bought)\n{indent(bought[detector], '  ')}")
        elif action == "guess" and suspect:
            guess = suspect
        elif (action, *words) == ("give", "up"):
            guess = ""
        elif action == "list":
            _show_choices(hidden, bought)
        elif action:
            print_filled(HELP)
    score = max(1, FULL - len(bought)) if guess == hidden.name else 0
    row = {"suspects": list(hidden.suspects), "bought": list(bought), "guess": guess, "score": score,
           "right": curves[0], "wrong": curves[1], "curve": verdict, **dict.fromkeys(TOLD)}
    if guess is None:
        print_filled(f"No guess. Play it in a terminal, or pipe it: echo guess 1 | scratchvae bugs --hide {args.hide}")
        return {"bugs": [row]}, 0
    verdict = "Right" if score else "Not that one" if guess else "You gave up"
    print(f"{verdict}: {score} of {FULL} points, {len(bought)} {'detector' if len(bought) == 1 else 'detectors'} used.")
    _explain(hidden.name)
    return {"bugs": [row | row_of(bugs.BUGS[hidden.name])]}, 0
