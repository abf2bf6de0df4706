"""The command line: `scratchvae COMMAND`.

Exit status: 0 on success; 1 if a command finds a fault; 2 with one line on standard error for bad usage or bad input;
130, 143 or 129 after Ctrl-C, SIGTERM or SIGHUP (training saves first); 141 if nobody reads the output.
"""
import argparse
import errno
import os

from ..errors import ScratchVAEError
from ..kernels.threads import set_threads
from . import (attribute, backward, bugs, codes, data, estimators, evaluate, explain, explore, gradcheck, lambda_,
               pictures, practice, reproduce, train)
from .parser import as_json, in_flags, OneLineParser
from .screen import flush_streams, open_streams, say

# The commands, in the order in which --help lists them.
COMMANDS = (train, evaluate, pictures, attribute, codes, gradcheck, practice, explain, bugs, estimators, lambda_,
            reproduce, backward, explore, data)
CLOSED = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)      # errors if nobody reads a pipe


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = OneLineParser(prog="scratchvae", description="A variational autoencoder derived and written by hand.",
                           epilog="example: scratchvae train --data digits --epochs 20")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    open_streams()
    parser, complaint, failure = build_parser(), None, None
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
        set_threads(args.threads)
    result, status = args.run(args)
    if args.json:
        print(as_json(result))
    return status
