"""Data sets that are fetched once, from one of several mirrors, checked and kept in a cache folder."""
import contextlib
import hashlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError, DownloadError
from ..storage.atomic import write_atomically
from ..storage.cache_folder import absolute, user_cache_folder
from ..validation import number, one_of

TIMEOUT = 20.0           # seconds until a mirror has sent the first byte of a file
SLOWEST = 20_000         # bytes a second: a mirror that is slower over TIMEOUT seconds is given up
BYTES_AT_ONCE = 1 << 16  # bytes read at a time
QUEUE_SECONDS = 0.2      # seconds to wait for a queue: on Windows Ctrl-C is handled only between two waits


class RemoteFile(NamedTuple):
    """A file as it was published: its name, its bytes, and their SHA-256."""

    name: str
    size: int
    sha256: str


class RemoteSet(NamedTuple):
    """A data set as IDX files, and the addresses that its files' names are appended to, best first."""

    title: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all files together."""
        return sum(file.size for file in self.files)


SETS = {
    "mnist": RemoteSet(
        "MNIST: 70,000 handwritten digits, 28 x 28 gray",
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
        "Fashion-MNIST: 70,000 pieces of clothing, 28 x 28 gray",
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


def cache_folder() -> Path:
    """Return the folder of all fetched sets: SCRATCHVAE_DATA, else `data` in the user's cache."""
    chosen = os.environ.get("SCRATCHVAE_DATA")
    folder = absolute(chosen) if chosen else user_cache_folder("data")
    if folder is None:
        raise ConfigurationError("there is no home folder to keep fetched data in. "
                                 "Set SCRATCHVAE_DATA to a folder that can be written to.")
    return folder


def missing_files(name: str) -> list[RemoteFile]:
    """Return the files of the set `name` that the cache folder lacks; the contents of others are not checked."""
    folder = cache_folder() / name
    return [file for file in SETS[name].files if not (folder / file.name).is_file()]


def fetch(name: str, mirrors: Sequence[str] | None = None, *, timeout: float = TIMEOUT, report: Callable | None = None,
          warn: Callable | None = None) -> Path:
    """Bring a data set into the cache folder, file by file, and return its folder; intact files are kept.

    A file is written under another name, checked against its published SHA-256 while it arrives, and then renamed.  If
    a mirror fails or is too slow, the next one is asked.  Raises ConfigurationError for a bad argument, DownloadError
    if no mirror gave a file as it was published, and RunError if the cache folder cannot be written.

    Parameters
    ----------
    name : str
        A name in `SETS`.
    mirrors : sequence of str, optional
        Addresses that the files' names are appended to; by default those of the set.
    timeout : float
        Seconds that a mirror has to send the first byte of a file, including the look-up of its name.  After that it
        must send 20 kB a second on average, over any stretch of that many seconds.
    report : callable, optional
        Called as report(file name, bytes so far, bytes in all) as they arrive.
    warn : callable, optional
        Called with a sentence when a mirror is given up and another one is asked.
    """
    one_of("name", name, SETS)
    number("timeout", timeout, 0.001, 86400, "It is in seconds; choose for example 20.", closed="both")
    mirrors = SETS[name].mirrors if mirrors is None else mirrors
    if not isinstance(mirrors, (list, tuple)) or not mirrors or not all(
            isinstance(mirror, str) and mirror.startswith(("http://", "https://")) for mirror in mirrors):
        raise ConfigurationError(f"mirrors is {mirrors!r}; expected addresses that begin with http:// or https://. "
                                 "Leave it out for the set's own.")
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the cache folder {folder} cannot be made: {error.strerror or error}. "
                                 "Set SCRATCHVAE_DATA to a folder that can be written to.") from error
    mirrors = list(mirrors)
    for file in SETS[name].files:
        if not _is_intact(folder / file.name, file):
            _fetch_file(file, folder, mirrors, timeout, report, warn)
    return folder


def _is_intact(path, file):
    try:
        with open(path, "rb") as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _fetch_file(file, folder, mirrors, timeout, report, warn):
    """Write a file from the first of `mirrors` that has it; mirrors that fail move to the end of the list."""
    failures = []
    for mirror in tuple(mirrors):
        try:
            write_atomically(folder / file.name, lambda out: _copy(mirror + file.name, file, out, timeout, report))
            return
        except DownloadError as error:
            failures.append(str(error))
            mirrors.append(mirrors.pop(0))
            if warn and len(failures) < len(mirrors):
                warn(f"{error}. Asking {mirrors[0]} instead.")
    raise DownloadError(f"{file.name} could not be fetched: {'; '.join(failures)}. Check the connection and try again, "
                        f"or copy the file into {folder}.")


def _copy(url, file, out, timeout, report):
    """Write what `url` sends to `out`; raises DownloadError unless it is `file`, byte for byte."""
    digest, done = hashlib.sha256(), 0
    for piece in _pieces(url, file.size, timeout):
        done += len(piece)
        digest.update(piece)
        out.write(piece)
        if report:
            report(file.name, done, file.size)
    if done < file.size:
        raise DownloadError(f"{url} sent {done:,} of {file.size:,} bytes")
    if digest.hexdigest() != file.sha256:
        raise DownloadError(f"{url} sent other bytes than were published (SHA-256 {digest.hexdigest()[:12]}..., "
                            f"expected {file.sha256[:12]}...)")


def _pieces(url, size, timeout):
    """Yield what `url` sends, at most `size` bytes; raises DownloadError if it fails or is too slow.

    Another thread asks it.  A socket's timeout bounds one read, but not the look-up of a name, headers that come byte
    by byte, or several redirections; the clock here bounds them all.
    """
    request = _Request(url, size, timeout)
    request.start()
    start, done, wanted = time.monotonic(), 0, 1
    due = start + timeout                                   # at this time `wanted` bytes must have come
    try:
        while True:
            try:
                piece = request.arrived.get(timeout=min(QUEUE_SECONDS, max(0, due - time.monotonic())))
            except queue.Empty:
                now = time.monotonic()
                if now < due:
                    continue
                raise DownloadError(f"{url} was too slow: {done:,} of {size:,} bytes in {now - start:.1f} s") from None
            if isinstance(piece, DownloadError):
                raise piece
            if not piece:
                return
            done += len(piece)
            if done >= wanted:
                due, wanted = time.monotonic() + timeout, done + SLOWEST * timeout
            yield piece
    finally:
        request.give_up()


class _Request(threading.Thread):
    """Asks for `url` and puts into `arrived` the pieces that come, then a DownloadError if it fails, and b""."""

    def __init__(self, url, size, timeout):
        super().__init__(name=f"request for {url}", daemon=True)
        self.url, self.size, self.timeout = url, size, timeout
        self.arrived, self.sockets, self.given_up = queue.SimpleQueue(), [], False

    def run(self) -> None:
        """Receive the file; `_pieces` raises what goes wrong."""
        import http.client  # here, because most processes fetch nothing
        import urllib.error
        start = time.monotonic()
        try:
            self._receive()
        except (OSError, http.client.HTTPException, ValueError) as error:
            verb = ":"
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                verb = f" answered {error.code}"
            reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
            self.arrived.put(DownloadError(f"{self.url}{verb} {reason} (after {time.monotonic() - start:.1f} s)"))
        except DownloadError as error:
            self.arrived.put(error)
        finally:
            self.arrived.put(b"")                           # marks the end

    def _receive(self):
        import urllib.request
        opener = urllib.request.build_opener(self._watched(urllib.request.HTTPHandler),
                                             self._watched(urllib.request.HTTPSHandler))
        request = urllib.request.Request(self.url, headers={"User-Agent": "scratchvae"})
        with opener.open(request, timeout=self.timeout / 3) as answer:   # a name may have several addresses
            offered = getattr(answer, "length", None)                       # the size that it states
            if offered not in (None, self.size):
                raise DownloadError(f"{self.url} offers {offered:,} bytes, expected {self.size:,}")
            done = 0
            while piece := answer.read1(BYTES_AT_ONCE):
                done += len(piece)
                if done > self.size:
                    raise DownloadError(f"{self.url} sent more than the {self.size:,} bytes expected")
                self.arrived.put(piece)

    def _watched(self, kind):
        """Return a handler of that kind whose answers are read by `_answer`."""
        class Handler(kind):
            def do_open(handler, connection, request, **settings):
                def connect(*arguments, **named):
                    connected = connection(*arguments, **named)
                    connected.response_class = self._answer
                    return connected
                return super().do_open(connect, request, **settings)
        return Handler

    def _answer(self, opened, *arguments, **named):
        """Return the reader of an answer, and remember its socket so that `give_up` can shut it down."""
        import http.client
        self.sockets.append(opened)
        if self.given_up:
            raise TimeoutError("given up")
        opened.settimeout(2 * self.timeout)                                 # `_pieces` gives up earlier
        return http.client.HTTPResponse(opened, *arguments, **named)

    def give_up(self) -> None:
        """End the thread: a read from a socket that is shut down returns nothing."""
        self.given_up = True
        for opened in self.sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
