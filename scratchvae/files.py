"""Files that are there whole or not at all."""
import os
import threading
from pathlib import Path

from .errors import RunError


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        try:
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}. Choose a folder that exists, is writable "
                       "and has room.") from error
