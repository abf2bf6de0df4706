"""The command line: `scratchvae COMMAND`.

Exit status: 0 on success, 1 if `gradcheck` finds a wrong gradient, 2 with one line on standard error for bad
usage or bad input, 130 or 143 after Ctrl-C or SIGTERM (training saves first), 141 if nobody reads the output.
"""
import os
import sys

from ..cli import attribute, bugs, data, estimators, evaluate, gradcheck, lambda_, pictures, train
from ..errors import ConfigurationError, ScratchVAEError
from ..kernels.threads import set_threads
from .parser import as_json, OneLineParser

COMMANDS = (train, evaluate, pictures, attribute, gradcheck, bugs, estimators, lambda_, data)      # in the order of --help


def build_parser():
    """Return the parser of all commands."""
    parser = OneLineParser(prog="scratchvae", description="A variational autoencoder derived and written by hand.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLineParser)
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv=None):
    """Run one command; return its exit status."""
    args = build_parser().parse_args(argv)
    try:
        if args.threads is not None:
            try:
                set_threads(args.threads)
            except ValueError as error:
                raise ConfigurationError(str(error)) from None
        result, status = args.run(args)
        if args.json:
            print(as_json(result))
        sys.stdout.flush()
    except ScratchVAEError as error:
        print(f"scratchvae {args.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"scratchvae {args.command}: interrupted", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(f"scratchvae {args.command}: error: out of memory ({error}). Ask for less at once.", file=sys.stderr)
        return 2
    except BrokenPipeError:                                # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:                               # the system failed where no room foresaw it
        print(f"scratchvae {args.command}: error: {error}. Check the disk, its permissions and the present folder.",
              file=sys.stderr)
        return 2
    return status
