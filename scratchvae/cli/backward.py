"""`scratchvae backward`: one training step as a page that the reader changes by hand."""
from argparse import Namespace

from ..pages import backward_page
from .page import add_page_flags, write_page
from .parser import add_command, out_path


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "backward", run, "make a page where one step of a tiny VAE can be changed by hand",
                         "--open")
    add_page_flags(parser, "runs/backward.html")


def run(args: Namespace) -> tuple[dict, int]:
    """Write the page."""
    return write_page(backward_page(), out_path("--out", args.out, ".html"), args)
