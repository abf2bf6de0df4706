"""The museum of bugs: faults to inject, and the detectors that convict them."""
from .cases import Case, random_case
from .catalog import convictions, demonstrate, Demonstration, DETECTORS, examine, mystery_bug
from .injection import Bug, BUGS, find_bug, inject

__all__ = ["BUGS", "DETECTORS", "Bug", "Case", "Demonstration", "convictions", "demonstrate", "examine", "find_bug",
           "inject", "mystery_bug", "random_case"]
