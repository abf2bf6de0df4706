"""Data sets that are fetched once: several mirrors, checked sums, a cache folder, and no network after that."""
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError, DownloadError
from ..storage.atomic import write_atomically
from ..storage.cache_folder import user_cache_folder
from ..validation import one_of

TIMEOUT = 20.0              # seconds that a mirror may be silent
SLOWEST = 20_000            # bytes a second: a mirror that is slower on the whole is given up
PIECE = 1 << 16


class RemoteFile(NamedTuple):
    """A file as it was published: its name, its bytes, and their SHA-256."""

    name: str
    size: int
    sha256: str


class RemoteSet(NamedTuple):
    """A data set as IDX files, and the addresses that its files' names are appended to, best first."""

    title: str
    mirrors: tuple
    files: tuple

    @property
    def size(self):
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


SETS = {
    "mnist": RemoteSet(
        "MNIST: 70,000 handwritten digits, 28 x 28 grey",
        ("https://ossci-datasets.s3.amazonaws.com/mnist/",
         "https://storage.googleapis.com/cvdf-datasets/mnist/",
         "https://raw.githubusercontent.com/fgnt/mnist/master/"),
        (RemoteFile("train-images-idx3-ubyte.gz", 9912422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
         RemoteFile("train-labels-idx1-ubyte.gz", 28881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
         RemoteFile("t10k-images-idx3-ubyte.gz", 1648877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
         RemoteFile("t10k-labels-idx1-ubyte.gz", 4542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"))),
    "fashion": RemoteSet(
        "Fashion-MNIST: 70,000 pieces of clothing, 28 x 28 grey",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
         "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
         "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
        (RemoteFile("train-images-idx3-ubyte.gz", 26421880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
         RemoteFile("train-labels-idx1-ubyte.gz", 29515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
         RemoteFile("t10k-images-idx3-ubyte.gz", 4422102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
         RemoteFile("t10k-labels-idx1-ubyte.gz", 5148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"))),
}


def cache_folder():
    """Return the folder that holds a folder for each fetched set: SCRATCHVAE_DATA, else one in the user's cache."""
    chosen = os.environ.get("SCRATCHVAE_DATA")
    folder = Path(chosen) if chosen else user_cache_folder("data")
    if folder is None:
        raise ConfigurationError("there is no home folder to keep fetched data in. "
                                 "Set SCRATCHVAE_DATA to a folder that can be written to.")
    return folder


def missing_files(name):
    """Return the files of the set `name` that the cache folder lacks; their contents are not looked at."""
    folder = cache_folder() / name
    return [file for file in SETS[name].files if not (folder / file.name).is_file()]


def fetch(name, mirrors=None, timeout=TIMEOUT, report=None):
    """Bring a data set into the cache folder, file by file; what is there already and intact is kept.

    A file is written under another name, checked against its published SHA-256 while it arrives, and renamed:
    it is never there in part. Of a mirror that fails, the next one is asked.

    Parameters
    ----------
    name : str
        A name in `SETS`.
    mirrors : sequence of str or None
        Addresses that the files' names are appended to; None for those of the set.
    timeout : float
        Seconds that a mirror may be silent. One that sends less than 20 kB a second on the whole is given up, too.
    report : callable or None
        Called as report(file name, bytes so far, bytes in all) as they arrive.

    Returns
    -------
    Path
        The folder of the four files; `load_data(name)` finds it.

    Raises
    ------
    ConfigurationError
        If there is no such set, or timeout is not positive.
    DownloadError
        If no mirror gave a file as it was published; says what each did.
    RunError
        If the cache folder cannot be written.
    """
    one_of("name", name, SETS)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 1e-3 <= timeout <= 86400:
        raise ConfigurationError(f"timeout is {timeout!r}; it must be from 0.001 to 86400 seconds. "
                                 "Choose for example 20.")
    mirrors = SETS[name].mirrors if mirrors is None else mirrors
    if not isinstance(mirrors, (list, tuple)) or not mirrors or not all(map(_is_address, mirrors)):
        raise ConfigurationError(f"mirrors is {mirrors!r}; expected addresses that begin with http:// or https://. "
                                 "Leave it out for the set's own.")
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the cache folder {folder} cannot be made: {error.strerror or error}. "
                                 "Set SCRATCHVAE_DATA to a folder that can be written to.") from error
    for file in SETS[name].files:
        if not _is_intact(folder / file.name, file):
            _fetch_file(file, folder, mirrors, timeout, report)
    return folder


def _is_address(mirror):
    return isinstance(mirror, str) and mirror.startswith(("http://", "https://"))


def _is_intact(path, file):
    try:
        with open(path, "rb") as stored:
            return os.fstat(stored.fileno()).st_size == file.size and _digest(stored) == file.sha256
    except OSError:
        return False


def _digest(stream):
    digest = hashlib.sha256()
    while piece := stream.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _fetch_file(file, folder, mirrors, timeout, report):
    failures = []
    for mirror in mirrors:
        try:
            write_atomically(folder / file.name, lambda out: _copy(mirror + file.name, file, out, timeout, report))
            return
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError(f"{file.name} could not be fetched: {'; '.join(failures)}. Check the connection and try again, "
                        f"or copy the file into {folder}.")


def _copy(url, file, out, timeout, report):
    """Write what `url` sends to `out`; raises DownloadError unless it is `file`, byte for byte."""
    host = url.split("/")[2]
    deadline = time.monotonic() + timeout + file.size / SLOWEST
    digest, done = hashlib.sha256(), 0
    for piece in _pieces(url, file, host, timeout):
        done += len(piece)
        if done > file.size:
            raise DownloadError(f"{host} sent more than the {file.size:,} bytes expected")
        if time.monotonic() > deadline:
            raise DownloadError(f"{host} was too slow ({done:,} of {file.size:,} bytes)")
        digest.update(piece)
        out.write(piece)
        if report:
            report(file.name, done, file.size)
    if done < file.size:
        raise DownloadError(f"{host} sent {done:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise DownloadError(f"{host} sent other bytes than were published (SHA-256 {digest.hexdigest()[:12]}..., "
                            f"expected {file.sha256[:12]}...)")


def _pieces(url, file, host, timeout):
    """Yield what `url` sends; what the network does wrong becomes a DownloadError."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "scratchvae"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            offered = getattr(answer, "length", None)      # by its own account
            if offered not in (None, file.size):
                raise DownloadError(f"{host} offers {offered:,} bytes, expected {file.size:,}")
            while piece := answer.read1(PIECE):
                yield piece
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{host} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"{host}: {str(reason) or type(error).__name__}") from error
