"""`scratchvae figures`: every figure of a run, drawn anew."""
from argparse import Namespace

from ..errors import RunError
from ..training import Epoch
from .pictures import add_picture_command
from .run_folder import MODEL, Run


def add(commands: object) -> None:
    """Add the command's parser."""
    add_picture_command(commands, "figures", run, "draw every figure of a run")


def run(args: Namespace) -> tuple[dict, int]:
    """Draw what `train` draws when it ends, up to the last epoch that was saved."""
    record = Run.open(args.folder)
    model, meta, arrays = record.load_model()
    data = record.load_data(meta, args.data)
    try:
        history = [Epoch(*row) for row in arrays["history"].tolist()]
    except (KeyError, TypeError) as error:
        raise RunError(f"{record.folder / MODEL} holds no history of a training ({error}). Take one that `scratchvae "
                       "train` wrote.") from error
    paths = record.draw(model, data, history)
    for path in paths:
        print(path)
    return {"file": [str(path) for path in paths]}, 0
