"""The museum of bugs: faults to inject, and the detectors that find them."""
from .cases import Case, random_case
from .catalog import (demonstrate, Demonstration, demonstration_settings, detections, DETECTORS, examine, FILES,
                      train_both)
from .detective import effect, evidence, LEVELS, Mystery, mystery_bug, patch, source_of
from .injection import Bug, BUGS, find_bug, inject

__all__ = ["BUGS", "DETECTORS", "FILES", "LEVELS", "Bug", "Case", "Demonstration", "Mystery", "demonstrate",
           "demonstration_settings", "detections", "effect", "evidence", "examine", "find_bug", "inject",
           "mystery_bug", "patch", "random_case", "source_of", "train_both"]
