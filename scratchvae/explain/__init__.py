"""Any tag or word of the derivation: its formula, lines, tests, chapter, and a number that is checked now."""
from .lookup import Explanation, explain

__all__ = ["Explanation", "explain"]
