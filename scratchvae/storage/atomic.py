"""Files that are written whole or not at all."""
import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import RunError

PART = ".part"          # the end of a temporary file's name


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Call write(file) on a temporary file beside `path`, flush it to disk, then rename it to `path`.

    A reader sees the old file or the new one, never a part.  If the file cannot be written, or is a device or a FIFO,
    RunError is raised and the old file stays.

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
        if path.exists() and not path.is_file() and not path.is_dir():     # a file took the place of root's /dev/null
            raise OSError(errno.EINVAL, "it is no regular file")
        try:
            temporary.unlink(missing_ok=True)
            with open(temporary, "xb") as file:         # "x" never writes through a link of that name
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
    """Rename, and try again for two seconds: Windows refuses to replace a file while somebody reads it."""
    for pause in (0.01, 0.1, 0.4, 1.5):
        with suppress(PermissionError):
            return os.replace(temporary, path)
        time.sleep(pause)
    return os.replace(temporary, path)


def _flush_folder(folder):
    """Flush a folder's list of names to disk, where the system allows it, so that a rename survives a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:                 # this file system cannot flush folders
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, names: str) -> None:
    """Remove the temporary files that a killed process left in a folder. Call only while holding its lock.

    `names` is a regular expression for the names that `write_atomically` was given.  Links, other users' files and
    files of other names are left alone.
    """
    ours = re.compile(rf"\.({names})\.\d+-\d+{re.escape(PART)}")
    for path in folder.glob(f".*{PART}"):
        with suppress(OSError):                         # another process may have just renamed it
            found = path.lstat()
            mine = found.st_uid == getattr(os, "getuid", int)()                # st_uid is 0 on Windows
            if ours.fullmatch(path.name) and stat.S_ISREG(found.st_mode) and mine:
                path.unlink()


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, open to read bytes; raises OSError for anything else, as a FIFO would block."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(path, "rb")
