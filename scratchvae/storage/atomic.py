"""Files that are there whole or not at all."""
import errno
import os
import threading
import time
from pathlib import Path

from ..errors import RunError

PART = ".part"                                          # the end of a temporary file's name


def write_atomically(path, write):
    """Call write(file) on a temporary file beside `path`, flush it to disk, then rename it to `path`.

    A reader sees the old file or the new one, never a part; a failed write leaves the old one alone.

    Parameters
    ----------
    path : str or Path
        The file to write or replace.
    write : callable
        Gets a binary file.

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(folder + "/note", lambda file: file.write(b"whole"))
    ...     os.listdir(folder)
    ['note']
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PART}")
    try:
        try:
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            _replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}. Choose a folder that exists, is writable "
                       "and has room.") from error


def _replace(temporary, path):
    """Rename; again for two seconds if that is refused: Windows does not replace a file while somebody reads it."""
    for pause in (0.01, 0.1, 0.4, 1.5):
        try:
            return os.replace(temporary, path)
        except PermissionError:
            time.sleep(pause)
    return os.replace(temporary, path)


def _flush_folder(folder):
    """Flush a folder's list of names to disk, where the system has that: a rename is lasting only then."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:                 # a file system that has no such thing
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder):
    """Remove the temporary files that a killed process left in a folder; for who holds its lock."""
    for path in Path(folder).glob(f".*{PART}"):
        path.unlink(missing_ok=True)
