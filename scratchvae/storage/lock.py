"""A folder that one process at a time writes to."""
import errno
import os
from pathlib import Path

from ..errors import RunError

try:
    import fcntl
except ImportError:                                     # Windows
    import msvcrt
    fcntl = None

LOCK = ".lock"
BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)      # a lock that somebody else holds, by system
FAR = 1 << 30       # the byte that Windows locks: past the text, which could not be read otherwise
ATTEMPTS = 100      # at a lock whose file is removed under our hands by the process that lets go of it


class FolderLock:
    """A folder that only one process writes to: the second is refused.

    The system lets go of the lock when the process ends, however it ends (kill -9, power), so no stale lock has to
    be removed by hand.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there, and removed again in `release` if nothing was put into it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder + "/run") as lock:
    ...     lock.is_held(), os.listdir(folder + "/run")
    (True, ['.lock'])
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.path = self.folder / LOCK
        self.file = None
        self.made = []

    def acquire(self):
        """Take the lock.

        Raises
        ------
        RunError
            If another process holds it, or the folder cannot be made or written to.
        """
        try:
            for _ in range(ATTEMPTS):
                self.made += [p for p in (self.folder, *self.folder.parents) if not p.exists()]
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self.file = open(self.path, "a+b")
                except (FileNotFoundError, FileExistsError):
                    if os.path.exists(self.folder) and not self.folder.is_dir():
                        raise
                    continue                            # the folder was removed in between
                self._lock()
                if self.is_held():
                    self.file.truncate(0)
                    self.file.write(str(os.getpid()).encode())
                    self.file.flush()
                    return
                self.file.close()                       # it was removed before we had it
        except OSError as error:
            raise RunError(f"{self.folder} cannot be used: {error.strerror or error}. Choose a folder that exists "
                           "or can be made, is writable and has room.") from error
        raise RunError(f"{self.folder} cannot be locked: its {LOCK} keeps vanishing. Let no other program remove it.")

    def _lock(self):
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                self.file.seek(FAR)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            self.file.seek(0)
            holder = self.file.read(20).decode("ascii", "replace") or "unknown"
            self.file.close()
            if error.errno not in BUSY:
                raise
            raise RunError(f"{self.folder} is being written to by another run (process {holder}); two would overwrite "
                           "each other. Wait until it has ended, or choose another folder (--out).") from None

    def is_held(self):
        """Whether the lock file that stands in the folder is still the one that was taken."""
        try:
            there, ours = os.stat(self.path), os.fstat(self.file.fileno())
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def release(self):
        """Let go, and remove the lock file and what folders `acquire` made and nobody used."""
        if fcntl and self.is_held():
            self.path.unlink(missing_ok=True)           # while it is held: another's file is never removed
        self.file.close()
        try:
            if not fcntl:
                self.path.unlink(missing_ok=True)       # Windows refuses this if somebody else has it open
            for folder in self.made:
                folder.rmdir()
        except OSError:
            return                                      # in use, as it should be

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *error):
        self.release()
