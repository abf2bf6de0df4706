"""Any tag or word of the derivation: its formula, lines, tests, chapter, and a number that is checked now."""
from .lookup import explain, Explanation

__all__ = ["Explanation", "explain"]
