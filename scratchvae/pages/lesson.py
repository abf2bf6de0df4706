"""The page on one training step of a tiny VAE, `scratchvae backward`, and what it quotes from this package."""
from .assembly import build_page


def backward_page() -> str:
    """Return the page as HTML.

    Examples
    --------
    >>> backward_page().startswith("<!doctype html>")
    True
    """
    return build_page("backward", {})
