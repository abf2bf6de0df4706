"""The museum of bugs: planted faults, and the instruments that convict them."""
from .cases import Case, random_case
from .catalog import convictions, demonstrate, Demonstration, examine, hidden, INSTRUMENTS
from .injection import Bug, BUGS, find_bug, plant

__all__ = ["BUGS", "INSTRUMENTS", "Bug", "Case", "Demonstration", "convictions", "demonstrate", "examine", "find_bug",
           "hidden", "plant", "random_case"]
