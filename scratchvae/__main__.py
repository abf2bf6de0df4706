"""The command `scratchvae`, also `python -m scratchvae`.  It handles Ctrl-C and errors during the imports."""
import os
import signal
import sys
from contextlib import suppress

from .errors import ScratchVAEError


def _leave(number, frame):
    """End at once: an exception would be swallowed or wrapped wherever an import happens to be."""
    with suppress(OSError):
        os.write(2, b"scratchvae: interrupted\n")
    os._exit(130)


def main() -> int:
    """Import a command, which takes a moment, and run it; return its exit status."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler       # otherwise others handle it
    if ours:
        signal.signal(signal.SIGINT, _leave)
    if sys.argv[1:2] in (["practice"], ["explain"]):       # small arrays, and students' functions: nothing to compile
        os.environ.setdefault("SCRATCHVAE_BACKEND", "numpy")
    try:
        from .cli.main import build_parser
        from .cli.main import main as run
        from .plots.sheet import check_backend
        check_backend()
        build_parser(sys.argv[1:])
    except ScratchVAEError as error:
        print(f"scratchvae: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:                               # other packages look up the present folder when imported
        print(f"scratchvae: error: {error}. Check the disk, its permissions and the present folder.", file=sys.stderr)
        return 2
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
