"""The folder for files that this package can make or fetch again."""
import os
import sys
from pathlib import Path


def absolute(path: str) -> Path | None:
    """Return a path that somebody set as an absolute one, "~" being the home folder; None where there is no home.

    A shell leaves "~" as it is in quotes and in files of settings; a folder called ~ must not come of it.

    Examples
    --------
    >>> absolute("~/kernels") == Path.home() / "kernels"
    True
    """
    path = os.path.expanduser(path)
    return None if path.startswith("~") else Path(os.path.abspath(path))


def user_cache_folder(name: str) -> Path | None:
    """Return the absolute path of the user's folder for cached files of the kind `name`; the folder is not made.

    It is `name` in SCRATCHVAE_CACHE, else `scratchvae/name` in the folder for caches of the system: XDG_CACHE_HOME or
    `~/.cache`, on macOS `~/Library/Caches`, on Windows LOCALAPPDATA.  For a user without a home folder it is None.
    """
    chosen = os.environ.get("SCRATCHVAE_CACHE")
    if chosen:
        folder = absolute(chosen)
        return folder and folder / name
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):                     # the XDG standard: a relative path is ignored
            base = "~/.cache"
    base = os.path.expanduser(base)                     # "~" stays if there is no home folder
    return Path(base, "scratchvae", name) if os.path.isabs(base) else None
