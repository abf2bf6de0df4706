"""Interactive pages: each is one HTML file that needs no network, put together from small modules."""
from .assembly import build_page
from .lesson import backward_page

__all__ = ["backward_page", "build_page"]
