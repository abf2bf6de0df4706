"""Fetching data sets from a real HTTP server on the loopback address that does everything wrong that a server can."""
import _thread
import gzip
import hashlib
import json
import socket
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from test_cli import command
from test_data import idx

from scratchvae.data import download
from scratchvae.data.download import fetch, missing_files, RemoteFile, RemoteSet
from scratchvae.data.loading import load_data
from scratchvae.errors import ConfigurationError, DataError, DownloadError, RunError

TIMEOUT = 0.3                       # seconds until the first byte is here; the loopback answers within a few ms


RNG = np.random.default_rng(0)
CONTENT = {name: gzip.compress(idx(RNG.integers(0, most, shape, dtype=np.uint8))) for name, most, shape in (
    ("train-images-idx3-ubyte.gz", 256, (300, 28, 28)), ("train-labels-idx1-ubyte.gz", 10, (300,)),
    ("t10k-images-idx3-ubyte.gz", 256, (9, 28, 28)), ("t10k-labels-idx1-ubyte.gz", 10, (9,)))}
FIRST = "train-images-idx3-ubyte.gz"


class Server(BaseHTTPRequestHandler):
    """Serves /BEHAVIOR/FILE."""

    asked = []

    def log_message(self, *arguments):
        """Keep quiet."""

    def do_GET(self):
        _, behavior, name = self.path.split("/", 2)
        self.asked.append((behavior, name))
        content = CONTENT[name]
        try:
            getattr(self, behavior)(content)
        except OSError:
            pass                                        # the client has hung up, as it should
        self.close_connection = True

    def head(self, length, status=200):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def good(self, content):
        self.head(len(content))
        self.wfile.write(content)

    def silent_about_its_length(self, content):
        self.head(None)
        self.wfile.write(content)

    def truncates(self, content):
        self.head(len(content))
        self.wfile.write(content[:-100])

    def truncates_silently(self, content):
        self.head(None)
        self.wfile.write(content[:-100])

    def claims_less(self, content):
        self.head(len(content) - 1)
        self.wfile.write(content)

    def claims_a_terabyte(self, content):
        self.head(10**12)
        self.wfile.write(content)

    def never_ends(self, content):
        self.head(None)
        while True:
            self.wfile.write(bytes(1 << 16))

    def flips_a_bit(self, content):
        self.head(len(content))
        self.wfile.write(content[:50] + bytes([content[50] ^ 1]) + content[51:])

    def gives_a_login_page(self, content):
        self.head(15)
        self.wfile.write(b"<!DOCTYPE html>")

    def is_missing(self, content):
        self.head(0, 404)

    def breaks(self, content):
        self.head(0, 500)

    def hangs_up(self, content):
        self.connection.shutdown(socket.SHUT_RDWR)

    def talks_nonsense(self, content):
        self.wfile.write(b"HELO\r\n\r\n")

    def stalls_before_its_answer(self, content):
        time.sleep(3 * TIMEOUT)

    def stalls_in_the_middle(self, content):
        self.head(len(content))
        self.wfile.write(content[:1000])
        self.wfile.flush()
        time.sleep(3 * TIMEOUT)

    def trickles(self, content):
        self.head(len(content))
        while True:
            self.wfile.write(b"\x1f")
            time.sleep(TIMEOUT / 10)

    def drips(self, *parts):
        self.wfile.write(b"HTTP/1.1 ")
        while True:
            for part in parts:
                self.wfile.write(part)
                time.sleep(TIMEOUT / 10)

    def drips_headers(self, content):
        self.drips(b"200 OK\r\nX: ", *[b"x"] * 10**4)

    def continues_for_ever(self, content):
        self.drips(b"100 Continue\r\n\r\nHTTP/1.1 ")

    def drips_the_size_of_a_chunk(self, content):
        self.drips(b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", *[b"x"] * 10**4)

    def redirects_slowly(self, content):
        time.sleep(TIMEOUT / 4)                         # the same address five times is taken for a circle
        self.redirects_for_ever(content)

    def interrupts(self, content):
        self.head(len(content))
        self.wfile.write(content[:1000])
        _thread.interrupt_main()                        # what Ctrl-C does
        time.sleep(3 * TIMEOUT)

    def redirects_for_ever(self, content):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def redirects_to_a_file(self, content):
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()


@pytest.fixture(scope="module")
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch, address):
    """An empty cache folder, and "mnist" as the server has it."""
    files = tuple(RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())
                  for name, content in CONTENT.items())
    monkeypatch.setenv("SCRATCHVAE_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(download.SETS, "mnist", RemoteSet("Digits", (f"{address}/good/",), files))
    Server.asked.clear()
    return tmp_path / "cache"


def test_a_set_is_fetched_once_and_found_by_name_without_a_network(cache):
    seen = []
    folder = fetch("mnist", report=lambda *what: seen.append(what))
    assert folder == cache / "mnist" and sorted(p.name for p in folder.iterdir()) == sorted(CONTENT)
    assert seen[-1][1] == seen[-1][2] and {name for name, _, _ in seen} == set(CONTENT)
    data = load_data("mnist")
    assert data.name == "mnist" and data.train.shape == (300, 784) and data.test_labels.shape == (9,)
    fetch("mnist", mirrors=["http://127.0.0.1:9/"])              # nobody there: and nobody is asked
    assert len(Server.asked) == len(CONTENT)


def test_a_server_that_does_not_state_a_length_will_do(cache, address):
    fetch("mnist", mirrors=[f"{address}/silent_about_its_length/"])
    assert not missing_files("mnist")


FAULTS = {
    "truncates": "sent .* of", "truncates_silently": "sent .* of", "claims_less": "offers",
    "claims_a_terabyte": "offers 1,000,000,000,000", "never_ends": "more than", "flips_a_bit": "other bytes",
    "gives_a_login_page": "offers 15 bytes", "is_missing": "answered 404", "breaks": "answered 500",
    "hangs_up": "127", "talks_nonsense": "HELO", "stalls_before_its_answer": "too slow: 0 of",
    "stalls_in_the_middle": "too slow: 1,000 of", "trickles": "too slow", "redirects_for_ever": "302",
    "redirects_to_a_file": "answered 302", "drips_headers": r"too slow: 0 of .* in \d",
    "continues_for_ever": "too slow: 0 of", "drips_the_size_of_a_chunk": "too slow: 0 of",
    "redirects_slowly": "too slow: 0 of"}


def let_requests_end():
    """Wait for the threads that ask; one that never ends fails the test."""
    for thread in threading.enumerate():
        if thread.name.startswith("request for"):
            thread.join(30)
            assert not thread.is_alive(), thread.name


@pytest.mark.parametrize("behavior", FAULTS)
def test_a_faulty_mirror_is_given_up_for_the_next_and_leaves_nothing(cache, address, behavior, monkeypatch):
    monkeypatch.setattr(download, "SLOWEST", 1e6)                 # bytes a second: 0.2 s for the largest file
    with pytest.raises(DownloadError, match=FAULTS[behavior]) as caught:
        fetch("mnist", mirrors=[f"{address}/{behavior}/"], timeout=TIMEOUT)
    assert "\n" not in str(caught.value)
    assert FIRST in str(caught.value) and "127.0.0.1" in str(caught.value) and str(cache) in str(caught.value)
    assert f"{address}/{behavior}/{FIRST}" in str(caught.value)
    assert list((cache / "mnist").iterdir()) == []
    let_requests_end()
    if behavior == "flips_a_bit":
        fetch("mnist", mirrors=[f"{address}/{behavior}/", f"{address}/good/"])
        assert load_data("mnist").train.shape == (300, 784)


def test_a_damaged_file_in_the_cache_is_fetched_again_and_only_that(cache):
    fetch("mnist")
    path = cache / "mnist" / FIRST
    path.write_bytes(path.read_bytes()[:-1])
    Server.asked.clear()
    fetch("mnist")
    assert Server.asked == [("good", FIRST)] and path.read_bytes() == CONTENT[FIRST]


def test_a_slow_mirror_is_said_to_be_slow_and_is_asked_last_from_then_on(cache, address):
    slow, good, said = f"{address}/drips_headers/", f"{address}/good/", []
    fetch("mnist", mirrors=[slow, good], timeout=5 * TIMEOUT, warn=said.append)
    assert not missing_files("mnist")
    assert [behavior for behavior, _ in Server.asked] == ["drips_headers"] + 4 * ["good"]
    assert len(said) == 1 and f"{slow}{FIRST} was too slow: 0 of" in said[0] and f"Asking {good} instead" in said[0]


def test_a_name_that_is_looked_up_for_ever_is_given_up(cache, address, monkeypatch):
    answered, look_up = threading.Event(), socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *what: answered.wait(30) and look_up(*what))
    with pytest.raises(DownloadError, match="too slow: 0 of"):
        fetch("mnist", mirrors=[f"{address}/drips_headers/"], timeout=TIMEOUT)
    answered.set()                                      # the answer that now comes is not waited for
    let_requests_end()


def test_a_handshake_that_is_not_answered_is_given_up(cache):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DownloadError, match="handshake.*after"):
        fetch("mnist", mirrors=[f"https://127.0.0.1:{silent.getsockname()[1]}/"],
              timeout=10 * TIMEOUT)                          # of which reading the certificates takes a part
    let_requests_end()


def test_ctrl_c_ends_a_fetch_and_leaves_the_file_that_was_there(cache, address):
    (cache / "mnist").mkdir(parents=True)
    (cache / "mnist" / FIRST).write_bytes(b"an older one")
    with pytest.raises(KeyboardInterrupt):
        fetch("mnist", mirrors=[f"{address}/interrupts/"])
    assert [path.read_bytes() for path in (cache / "mnist").iterdir()] == [b"an older one"]
    let_requests_end()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nobody_foresaw_is_not_waited_for(cache, monkeypatch):
    monkeypatch.setattr(urllib.request, "build_opener", lambda *handlers: 1 / 0)
    with pytest.raises(DownloadError, match="sent 0 of"):
        fetch("mnist")
    let_requests_end()


def test_many_at_once_fetch_the_same_set(cache):
    failures = []

    def one():
        try:
            fetch("mnist")
        except (DownloadError, RunError) as error:
            failures.append(error)
    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and sorted(p.name for p in (cache / "mnist").iterdir()) == sorted(CONTENT)


def test_absent_and_offline_gives_one_line_with_what_to_do(cache):
    with pytest.raises(DataError, match="scratchvae data fetch mnist.*or copy these files there") as caught:
        load_data("mnist")
    assert "\n" not in str(caught.value) and str(cache) in str(caught.value)
    with pytest.raises(DownloadError, match="Connection refused.*copy the file into"):
        fetch("mnist", mirrors=["http://127.0.0.1:9/"])


@pytest.mark.parametrize("arguments, words", [
    (dict(name="mnits"), "name is 'mnits'; known are mnist, fashion"),
    (dict(name="mnist", timeout=0), "timeout is 0"), (dict(name="mnist", timeout="9"), "timeout is '9'"),
    (dict(name="mnist", mirrors=["file:///etc/"]), "mirrors is")])
def test_wrong_arguments_are_named(cache, arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        fetch(**arguments)


def test_a_cache_folder_that_cannot_be_made_is_named(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCRATCHVAE_DATA", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigurationError, match="SCRATCHVAE_DATA"):
        fetch("mnist")


def test_the_published_sums_are_whole_and_all_mirrors_are_addresses():
    for known in download.SETS.values():
        assert len(known.mirrors) >= 3
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in known.mirrors)
        assert len(known.files) == 4 and all(len(file.sha256) == 64 and int(file.sha256, 16) for file in known.files)


def test_the_command_lists_fetches_and_refuses(capsys, cache, address, monkeypatch):
    def states():
        status, out, _ = command(capsys, "data", "list", "--json")
        assert status == 0
        return {row["name"]: row["state"] for row in json.loads(out.splitlines()[-1])["datasets"]}
    assert states() == {"mnist5k": "bundled", "digits": "bundled", "faces": "drawn", "mnist": "absent",
                        "fashion": "absent"}
    status, out, err = command(capsys, "data", "fetch", "mnist", "--json")
    assert status == 0 and json.loads(out.splitlines()[-1])["datasets"][0]["name"] == "mnist"
    assert len(err.splitlines()) == len(CONTENT) and "of 0.2 MB" in err
    assert states()["mnist"] == "fetched"
    monkeypatch.setitem(download.SETS, "mnist", download.SETS["mnist"]._replace(
        mirrors=(f"{address}/is_missing/", f"{address}/good/")))
    (cache / "mnist" / FIRST).unlink()
    _, _, err = command(capsys, "data", "fetch", "mnist")
    assert "answered 404" in err.splitlines()[0] and f"Asking {address}/good/ instead." in err.splitlines()[0]
    status, _, err = command(capsys, "data", "fetch", "mnits")
    assert status == 2 and len(err.splitlines()) == 1 and "mnits" in err
