"""The command line: `scratchvae COMMAND`.

Exit status: 0 on success; 1 if a command finds a fault; 2 with one line on standard error for bad usage or bad input;
130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP (training saves first); 141 if nobody reads the output.
"""
import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..errors import ScratchVAEError
from .parser import as_json, in_flags, OneLineParser
from .screen import flush_streams, open_streams, say

# The files of the commands, in the order in which --help lists them, and the commands of each.
COMMANDS = {"train": ["train"], "evaluate": ["evaluate"], "pictures": ["figures", "sample", "reconstruct", "traverse"],
            "attribute": ["attribute"], "codes": ["encode", "interpolate", "export", "compare"],
            "gradcheck": ["gradcheck"], "practice": ["practice"], "explain": ["explain"], "bugs": ["bugs"],
            "estimators": ["estimators"], "lambda_": ["lambda"], "reproduce": ["reproduce"], "backward": ["backward"],
            "explore": ["explore"], "data": ["data"]}
CLOSED = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)      # errors if nobody reads a pipe


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of all commands, or of the one that `words` begin with: no other file is imported then."""
    parser = OneLineParser(prog="scratchvae", description="A variational autoencoder derived and written by hand.",
                           epilog="example: scratchvae train --data digits --epochs 20")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for file in [file for file, names in COMMANDS.items() if words and words[0] in names] or COMMANDS:
        import_module(f".{file}", __package__).add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    open_streams()
    argv = sys.argv[1:] if argv is None else argv
    parser, complaint, failure = build_parser(argv), None, None
    try:
        args = parser.parse_args(argv)
        parser = args.parser
        status = _run(args)
    except SystemExit as leaving:                          # --help, or bad usage
        status = leaving.code
    except ScratchVAEError as error:
        status, complaint = 2, f"error: {in_flags(parser, ' '.join(str(error).split()))}"
    except KeyboardInterrupt:
        status, complaint = 130, "interrupted"
    except MemoryError as error:
        status, complaint = 2, f"error: out of memory ({error}). Ask for less at once."
    except OSError as error:                               # an error of the system that no command handles
        status, failure = 2, error
    unwritten = flush_streams()
    if not status:
        failure = unwritten
    if failure:
        if failure.errno in CLOSED and failure.filename is None:       # nobody reads on, as after `| head`
            return 141
        status, complaint = 2, f"error: {failure}. Check the disk, its permissions and the present folder."
    if complaint:
        say(f"{parser.prog}: {complaint}")
        flush_streams()
    return status


def _run(args):
    if args.threads is not None:
        from ..kernels.threads import set_threads
        set_threads(args.threads)
    result, status = args.run(args)
    if args.json:
        print(as_json(result))
    return status
