"""Where this package keeps what it can make or fetch again."""
import os
import sys
from pathlib import Path


def absolute(path):
    """Return a path that somebody set as an absolute one, "~" being the home folder; None where there is no home.

    A shell leaves "~" as it is in quotes and in files of settings; a folder called ~ must not come of it.

    Examples
    --------
    >>> absolute("~/kernels") == Path.home() / "kernels"
    True
    """
    path = os.path.expanduser(path)
    return None if path.startswith("~") else Path(os.path.abspath(path))


def user_cache_folder(name):
    """Return the user's folder for one kind of cached files; nothing is made.

    It is `name` in SCRATCHVAE_CACHE, else `scratchvae/name` in the folder for caches of the system: XDG_CACHE_HOME or
    `~/.cache`, on macOS `~/Library/Caches`, on Windows LOCALAPPDATA.

    Parameters
    ----------
    name : str
        "kernels" or "data".

    Returns
    -------
    Path or None
        An absolute path; None for a user who has no home folder.

    Examples
    --------
    >>> user_cache_folder("kernels").name
    'kernels'
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
        if not os.path.isabs(base):                     # the standard says: ignored
            base = "~/.cache"
    base = os.path.expanduser(base)                     # "~" stays where nobody knows a home
    return Path(base, "scratchvae", name) if os.path.isabs(base) else None
