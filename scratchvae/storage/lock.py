"""A folder that one process at a time writes to."""
import errno
import os
import re
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..errors import RunError

try:
    import fcntl
except ImportError:                                     # Windows
    import msvcrt
    fcntl = None                                        # type: ignore[assignment]

LOCK = ".lock"
CONTENT = "scratchvae {:<20}\n"                         # the holder's process number, padded to one length
OURS = re.compile(rb"(scratchvae (\d+) *\n)?")          # empty if its process was killed before it wrote
BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)      # what systems report if another process holds the lock
FAR = 1 << 30       # the byte that Windows locks; it lies past the text because a locked text could not be read


class FolderLock:
    """A folder that only one process writes to: the second is refused.

    The system lets go of the lock when the process ends, however it ends (kill -9, power), so no stale lock has to
    be removed by hand.  The lock file is never removed.  The folder is made if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder + "/run") as lock:
    ...     lock.is_held(), os.listdir(folder + "/run")
    (True, ['.lock'])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / LOCK
        self.file: Any = None

    def acquire(self) -> None:
        """Take the lock.

        Raises RunError if another process holds it, if the folder cannot be made or written to, or if another program
        made its `.lock`.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = os.lstat(self.path) if os.path.lexists(self.path) else None
            if found and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):  # a FIFO would block
                raise self._foreign("it is a link or no regular file")
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with ExitStack() as closing:
                self.file = closing.enter_context(open(os.open(self.path, flags, 0o666), "r+b", buffering=0))
                self._lock()
                closing.pop_all()                       # the lock is taken: the file stays open
        except OSError as error:
            raise RunError(f"{self.folder} cannot be used: {error.strerror or error}. Choose a folder that exists "
                           "or can be made, is writable and has room.") from error

    def _foreign(self, why):
        return RunError(f"{self.path} is not the lock file of a run ({why}), so it is left alone. Choose another "
                        "folder (--out), or remove the file if no program uses it.")

    def _lock(self):
        free = self._take()
        found = OURS.fullmatch(self.file.read(len(CONTENT.format(0)) + 1))
        if not found:
            raise self._foreign("another program wrote it")
        if not free:
            raise RunError(f"{self.folder} is being written to by another run (process "
                           f"{(found[2] or b'unknown').decode()}); two would overwrite each other. Wait until it has "
                           "ended, or choose another folder (--out).")
        self.file.seek(0)
        self.file.write(CONTENT.format(os.getpid()).encode())

    def _take(self):
        """Try to lock the file; return False if another process holds the lock."""
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                self.file.seek(FAR)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in BUSY:
                raise
            return False
        finally:
            self.file.seek(0)
        return True

    def is_held(self) -> bool:
        """Return whether the folder's lock file is still the one that was taken."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self.file.fileno()))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go of the lock."""
        self.file.close()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *error):
        self.release()
