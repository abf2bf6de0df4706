"""`scratchvae practice`: write the derivation's formulas yourself, and be checked."""
import os
import shlex
from argparse import Namespace
from pathlib import Path

from ..errors import ConfigurationError
from ..practice import EXERCISES
from ..practice.folder import find, Folder, holds_exercises, start
from .parser import add_command, require_name
from .screen import print_filled, print_text

DEFAULT = "practice"
LEVELS = 3


def add(commands: object) -> None:
    """Add the parsers of the five actions."""
    does = "exercises: write the formulas yourself, and be checked"
    group = commands.add_parser("practice", help=does, description=does,
                                epilog="example: scratchvae practice start mine")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    parser = add_command(actions, "start", run_start, "write files with signatures and empty bodies", "mine")
    parser.add_argument("folder", metavar="DIR", nargs="?", default=DEFAULT, help=f"a new folder; default: {DEFAULT}")
    parser.add_argument("--notebook", action="store_true", help="one notebook instead of a file a chapter")
    for name, run, does, example in (
            ("check", run_check, "judge every answer, or some", "d_mu"),
            ("hint", run_hint, "the next of three hints", "d_mu"),
            ("reveal", run_reveal, "show the model answer", "d_mu"),
            ("next", run_next, "show the first exercise that is not solved", "")):
        parser = add_command(actions, name, run, does, example)
        parser.add_argument("words", metavar="DIR or EXERCISE", nargs="*", help="a folder that `start` wrote, or a "
                            f"file in it (default: the present folder if it is one, else {DEFAULT}), and exercises' "
                            "names or tags")


def _opened(args):
    """Return (Folder, a list of exercises for each word but the folder's) of the words on the command line."""
    words = list(dict.fromkeys(args.words))
    known = {name for exercise in EXERCISES.values() for name in (exercise.name, exercise.tag)}
    places = [word for word in words if word not in known or holds_exercises(Path(word))]       # a folder named train
    chosen = [find(word) for word in words if word not in places]
    for word in places:
        if not os.path.exists(word):
            find(word)                                           # refuses, with the nearest names
    if len(places) > 1:
        raise ConfigurationError(f"got {' and '.join(places)}; expected one folder or file. Leave one out.")
    place = Path(*places or ["." if holds_exercises(Path()) else DEFAULT])
    if not place.is_file():
        return Folder(place), chosen
    folder = Folder(place.parent)
    chosen = chosen or [[exercise for exercise in EXERCISES.values() if folder.place(exercise) == place]]
    if not all(chosen):
        raise ConfigurationError(f"{place} holds none of the exercises in {place.parent}. Name a file that `scratchvae "
                                 "practice start` wrote, or an exercise.")
    return folder, chosen


def _command(folder, action, exercise):
    """Return what to type next."""
    usual = folder.path in (Path(), Path(DEFAULT))
    return f"scratchvae practice {action} {'' if usual else f'{shlex.quote(str(folder.path))} '}{exercise.name}"


def _row(folder, name, **more):
    exercise, entry = EXERCISES[name], folder.progress.get(name, {})
    return {"name": name, "tag": exercise.tag, "chapter": exercise.chapter, "title": exercise.title,
            "state": entry.get("state", "unsolved"), "hints": entry.get("hints", 0),
            "revealed": entry.get("revealed", False), **more}


def _not_solved(folder, chosen=()):
    """Return the exercises that are not right, in order from that which was chosen."""
    left = list(EXERCISES.values())
    start = left.index(chosen[0]) if chosen else 0
    return [exercise for exercise in left[start:] + left[:start] if _row(folder, exercise.name)["state"] != "right"]


def _chosen(args):
    """Return (Folder, for each word its first exercise that is not solved); without a word [] if all are solved."""
    folder, chosen = _opened(args)
    left = _not_solved(folder)
    found = [([exercise for exercise in group if exercise in left] or group)[0] for group in chosen or [left] if group]
    if not found:
        print_filled(f"All {len(EXERCISES)} exercises are right. Name the one that you mean, such as d_mu.")
    return folder, found


def run_start(args: Namespace) -> tuple[dict, int]:
    """Write the files."""
    require_name("DIR", args.folder, DEFAULT)
    folder = Path(args.folder)
    paths = start(folder, args.notebook)
    for path in paths:
        print(path)
    print_filled(f"{len(EXERCISES)} exercises. Open {paths[0]}, write a body, then: scratchvae practice check "
                 f"{shlex.quote(str(folder))}")
    return {"exercises": [_row(Folder(folder), name) for name in EXERCISES], "files": list(map(str, paths))}, 0


def run_check(args: Namespace) -> tuple[dict, int]:
    """Judge, print a line an answer, keep the progress."""
    folder, groups = _opened(args)
    chosen = list({exercise.name: exercise for group in groups for exercise in group}.values())
    verdicts = folder.check(chosen or list(EXERCISES.values()))
    said: dict = {}
    for verdict in verdicts:
        if chosen or verdict.state != "unsolved":
            alone = "" if verdict.state == "wrong" else verdict.name          # a broken file breaks all that is in it
            said.setdefault((verdict.state, verdict.text, alone), []).append(verdict.name)
    for (state, text, _), names in said.items():
        mark = {"right": "right", "wrong": "WRONG"}.get(state, "-")
        print_filled(text, f"{mark:6s}{', '.join(names):25s} ", " " * 8)
    left = _not_solved(folder, chosen)
    print_filled(f"{len(EXERCISES) - len(left)} of {len(EXERCISES)} are right. " + (
        f"Next: {left[0].name}, in {folder.place(left[0])}. Stuck? {_command(folder, 'hint', left[0])}" if left
        else "You have written a variational autoencoder, and every line of it is checked."))
    wrong = any(verdict.state == "wrong" or chosen and verdict.state != "right" for verdict in verdicts)
    return {"exercises": [_row(folder, verdict.name, text=verdict.text) for verdict in verdicts],
            "right": len(EXERCISES) - len(left), "ok": not wrong}, 1 if wrong else 0


def run_hint(args: Namespace) -> tuple[dict, int]:
    """Give the next hint."""
    folder, chosen = _chosen(args)
    rows = []
    for exercise in chosen:
        level = min(folder.progress.get(exercise.name, {}).get("hints", 0) + 1, LEVELS)
        folder.note(exercise.name, hints=level)
        folder.save()
        print_filled(exercise.hints[level - 1], f"{exercise.name}, hint {level} of {LEVELS}: ", "  ")
        if level == LEVELS:
            print_filled(f"That was the last hint. The answer: {_command(folder, 'reveal', exercise)}")
        rows.append(_row(folder, exercise.name, hint=exercise.hints[level - 1]))
    return {"exercises": rows}, 0


def run_reveal(args: Namespace) -> tuple[dict, int]:
    """Show the model answer."""
    folder, chosen = _chosen(args)
    for exercise in chosen:
        folder.note(exercise.name, revealed=True)
        folder.save()
        print(exercise.answer)
        print_filled(f"Where it comes from: scratchvae explain {exercise.tag}")
    return {"exercises": [_row(folder, exercise.name, answer=exercise.answer) for exercise in chosen]}, 0


def run_next(args: Namespace) -> tuple[dict, int]:
    """Show what to write next."""
    folder, chosen = _chosen(args)
    for exercise in chosen:
        print(f"{folder.place(exercise)}\n")
        print_filled(f"{exercise.name}({', '.join(exercise.parameters)})", rest="    ")
        print_text(exercise.text)
        print()
        print_filled(f"Write it, then: {_command(folder, 'check', exercise)}. Stuck? "
                     f"{_command(folder, 'hint', exercise)}. Where it comes from: scratchvae explain {exercise.tag}")
    return {"exercises": [_row(folder, exercise.name, text=exercise.text) for exercise in chosen]}, 0
