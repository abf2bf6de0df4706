"""What can go wrong, by kind.  Every message says what, got, expected, remedy."""
import sys
import warnings


class ScratchVAEError(Exception):
    """The base of every error that this package raises on purpose."""


class ConfigurationError(ScratchVAEError, ValueError):
    """A setting is unknown or out of range."""


class ShapeError(ScratchVAEError, ValueError):
    """An array has the wrong shape or dtype."""


class DataError(ScratchVAEError, ValueError):
    """Values or a file's contents are not what they should be."""


class DownloadError(ScratchVAEError):
    """A data set could not be fetched."""


class RunError(ScratchVAEError):
    """A run folder or a saved model cannot be used."""


class TrainingError(ScratchVAEError, ArithmeticError):
    """Training met numbers that are not finite."""


class ScratchVAEWarning(UserWarning):
    """Something is not as it was asked for, and the package goes on."""


def warn(message: str) -> None:
    """Issue a ScratchVAEWarning at the line outside of this package that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ScratchVAEWarning, stacklevel=level)
