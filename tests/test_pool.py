"""The threads that kernels share: every part of a region runs once, whoever runs it, and whoever sleeps is woken."""
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from scratchvae.kernels import threads, twins

if twins.BACKEND == "numpy":
    pytest.skip("NumPy is called from one thread", allow_module_level=True)

import numba

from scratchvae.kernels.internals import NullCache
from scratchvae.kernels.pool import ASLEEP, load, MOST_TURNS, pause, store
from scratchvae.kernels.twins import in_parallel, running_threads

ROOT = Path(__file__).parents[1]
STRIDE = 16                                 # numbers from one part's counter to the next one's
several = pytest.mark.skipif(threads.threads() == 1, reason="this process uses only one thread")


def separate(function):
    """A body for in_parallel, compiled here and now: the cache does not know when this file changes."""
    body = twins.device(separate=True)(function)
    body._cache = NullCache()
    return body


@separate
def count(turns, counters, part):
    for _ in range(turns):
        pause()
    counters[STRIDE * part[0]] += 1


@numba.njit
def count_often(regions, turns, counters):
    for _ in range(regions):
        in_parallel(count, running_threads(), (turns, counters))


@separate
def meet(first, part):
    """Wait for the part beside this one: two threads have to be awake."""
    store(first + 8 * part[0], 1)
    while not load(first + 8 * (part[0] ^ 1)):
        pause()


@separate
def take_long(turns, part):
    if part[0]:
        for _ in range(turns):
            pause()


@numba.njit
def call_meet(first):
    in_parallel(meet, 2, (first,))


@numba.njit
def call_take_long(turns):
    in_parallel(take_long, 2, (turns,))


def counters():
    return np.zeros(STRIDE * threads.threads(), np.int64)


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def asleep():
    """Whether each thread but the callers' sleeps."""
    return threads._LINES[1:, 0] & ASLEEP != 0


def test_every_part_of_many_regions_runs_once():
    own = counters()
    count_often(200000, 0, own)
    assert (own[::STRIDE] == 200000).all()


def test_every_part_runs_once_though_python_threads_call_at_once():
    regions = 3000
    own = [counters() for _ in range(3)]
    with ThreadPoolExecutor(3) as callers:
        list(callers.map(lambda each: count_often(regions, 500, each), own))
    for each in own:
        assert (each[::STRIDE] == regions).all()


def test_every_part_runs_once_while_threads_fall_asleep_and_wake():
    own, pauses = counters(), np.random.default_rng(0).uniform(0, 300e-6, 1000)
    for seconds in pauses:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        count_often(2, 0, own)
    assert (own[::STRIDE] == 2 * len(pauses)).all()


@several
def test_threads_that_have_nothing_to_do_sleep_and_are_woken_for_their_part():
    for _ in range(20):
        count_often(1, 0, counters())
        wait_until(lambda: asleep().all())
        flags = np.zeros(2, np.int64)
        call_meet(flags.ctypes.data)            # would wait for ever for a thread that sleeps on
        assert flags.all()


@several
def test_a_caller_sleeps_while_a_part_takes_long_and_is_woken():
    for _ in range(20):
        call_take_long(10 * MOST_TURNS)


EXITS = {
    "the last line": "work()",
    "sys.exit in a forked child": """
pid = os.fork() if hasattr(os, "fork") else 1
work()
if pid == 0:
    sys.exit(0)
assert pid == 1 or os.waitpid(pid, 0)[1] == 0""",
    "a Python thread that still works": """
threading.Thread(target=lambda: [work() for _ in range(10 ** 6)], daemon=True).start()
time.sleep(0.3)""",
    "a Python thread in a product that outlives the modules": """
import scratchvae
work()
big = np.ones((3000, 3000), np.float32)
threading.Thread(target=lambda: matmul.multiply_nn(big, big, np.empty_like(big)), daemon=True).start()
time.sleep(0.1)""",
    "a function that runs at exit": "atexit.register(work); work()",
    "spawned processes": """
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(work, range(4))""",
    "Ctrl-C": """
work()
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    while True:
        work()
except KeyboardInterrupt:
    work()""",
}
WORK = """
import atexit, multiprocessing, os, signal, sys, threading, time
import numpy as np
from scratchvae.kernels import matmul
a = np.ones((90, 90), np.float32)
def work(_=None):
    for _ in range(20):
        c = np.zeros_like(a)
        matmul.multiply_nn(a, a, c)
        assert (c == 90).all()
"""


@pytest.mark.parametrize("how", EXITS)
def test_a_process_ends_cleanly_with(how, tmp_path):
    if how == "Ctrl-C" and os.name == "nt":
        pytest.skip("Windows sends no SIGINT to one process")
    script = tmp_path / "script.py"             # a file, which spawned processes can import
    script.write_text(WORK + EXITS[how])
    done = subprocess.run([sys.executable, "-W", "ignore", str(script)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "4"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
