"""The museum of bugs: faults to inject, and the detectors that find them."""
from .cases import Case, random_case
from .catalog import demonstrate, Demonstration, detections, DETECTORS, examine, mystery_bug
from .injection import Bug, BUGS, find_bug, inject

__all__ = ["BUGS", "DETECTORS", "Bug", "Case", "Demonstration", "demonstrate", "detections", "examine", "find_bug",
           "inject", "mystery_bug", "random_case"]
