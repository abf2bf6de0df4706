"""Threads change nothing: neither those that the kernels use, nor those that a user's program trains models in."""
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_kernels import require_the_same_bits_on_any_number_of_threads

from scratchvae import evaluate, VAE
from scratchvae.kernels import matmul, threads, twins

TESTS = Path(__file__).parent
compiled_only = pytest.mark.skipif(twins.BACKEND == "numpy", reason="the twins have no threads of their own")


def train(dtype, seed, batch_size=33):
    """A trained model, at odd sizes large enough for the products to use all threads."""
    x = np.random.default_rng(seed).random((131, 301))
    vae = VAE(301, 5, hidden=(67,), activation="tanh", n_samples=2, dtype=dtype, seed=seed)
    vae.fit(x, epochs=2, batch_size=batch_size, validation=x[:7], seed=seed, binarize="dynamic")
    return vae


def everything(dtype):
    """What every function of the public edge gives, as one list of arrays."""
    vae = train(dtype, seed=1)
    rng = np.random.default_rng(2)
    x, eps = rng.random((61, 301)), rng.standard_normal((61, 2, 5))
    objective, gradient = vae.gradient(x, eps)
    measured = evaluate(vae, x.round(), importance_samples=70)
    return [vae.parameters.flat, objective, gradient.flat, vae.objective(x, eps), *vae.encode(x), vae.decode(eps[:, 0]),
            vae.reconstruct(x), vae.sample(61), *measured[:5], measured.kl_per_dimension]


@compiled_only
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_gives_the_same_bits_on_any_number_of_threads(dtype):
    require_the_same_bits_on_any_number_of_threads(lambda: everything(dtype))


def test_two_models_trained_at_once_in_two_python_threads_give_the_bits_they_give_alone():
    settings = [("float32", 1, 33), ("float32", 2, 33), ("float64", 3, 50)]        # two of the same shapes
    alone = [train(*setting).parameters.flat for setting in settings]
    start = threading.Barrier(len(settings))

    def work(setting):
        start.wait()
        return train(*setting).parameters.flat

    with ThreadPoolExecutor(len(settings)) as pool:
        together = pool.map(work, settings)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@compiled_only
@pytest.mark.parametrize("n_threads", [1, 2])
def test_other_python_threads_run_while_a_product_does(n_threads):
    if threads.threads() < n_threads:
        pytest.skip("this process uses only one thread")
    a = np.ones((1536, 1536))
    c, stamps, call = np.empty_like(a), [], []

    def multiply():
        call.append(time.perf_counter())
        matmul.multiply_nn(a, a, c)
        call.append(time.perf_counter())

    matmul.multiply_nn(a, a, c)                                 # compiled, and its threads started
    worker, before = threading.Thread(target=multiply), threads.set_threads(n_threads)
    try:
        worker.start()
        while worker.is_alive():
            stamps.append(time.perf_counter())
    finally:
        threads.set_threads(before)
    began, ended = call
    third = (ended - began) / 3
    assert any(began + third < stamp < ended - third for stamp in stamps)


@compiled_only
def test_all_this_holds_on_eight_threads():
    environment = {**os.environ, "NUMBA_NUM_THREADS": "8", "PYTHONPATH": str(TESTS.parent)}
    chosen = "number_of_threads or two_python_threads or part or sleep"
    files = [str(TESTS / name) for name in ("test_kernels.py", "test_pool.py", "test_threads.py")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", chosen, *files],
                          env=environment, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


FORK = """
import hashlib, multiprocessing, os, sys
import numpy as np
from scratchvae import VAE

x = np.random.default_rng(0).random((128, 301), np.float32)

def work(seed):
    vae = VAE(301, 5, hidden=(67,), seed=seed)
    vae.fit(x, epochs=2, batch_size=33)
    return hashlib.sha256(vae.parameters.flat.tobytes()).hexdigest()

def work_in_a_pool(seeds):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map_async(work, seeds).get(timeout=240)

def in_a_grandchild(seeds):
    receiver, sender = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=lambda: sender.send(work_in_a_pool(seeds)))
    child.start()
    assert receiver.poll(250)
    return receiver.recv()
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def run_forking(code):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK + code], capture_output=True, text=True,
                          timeout=280, cwd=TESTS.parent, env={**os.environ, "NUMBA_NUM_THREADS": "4"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@forks
@compiled_only
def test_a_process_forked_after_training_trains_to_the_same_bits():
    alone, *others = run_forking(
        "for results in ([work(s) for s in range(3)], work_in_a_pool(range(3)), in_a_grandchild(range(3)), "
        "[work(s) for s in range(3)]): print(*results)")
    assert others == 3 * [alone]


@forks
@compiled_only
def test_a_forked_process_has_threads_of_its_own():
    code = "from scratchvae.kernels import threads; {}; print(threads._LINES[0, threads.STARTED // 8])"
    child = "pid = os.fork(); os.waitpid(pid, 0) if pid else {}"
    assert run_forking(code.format(child.format("work(0)"))) == ["4", "0"]
    assert run_forking(code.format("work(0); " + child.format(0))) == ["0", "4"]
    assert run_forking(code.format("work(0); " + child.format("work(0)"))) == ["4", "4"]


@forks
@compiled_only
def test_a_fork_while_another_python_thread_is_in_a_kernel_leaves_nothing_behind():
    """The child finds the threads taken, and parts that are open or claimed, by a caller that it does not have."""
    assert run_forking("""
import threading
from scratchvae.kernels import threads
alone = work(1)
busy = True
def keep_busy():
    while busy:
        work(0)
caller = threading.Thread(target=keep_busy)
caller.start()
for _ in range(3):
    while not threads._LINES[0, threads.TAKEN // 8]:
        pass
    pid = os.fork()
    if pid == 0:
        os._exit(work(1) != alone or threads._LINES[0, threads.TAKEN // 8])
    assert os.waitpid(pid, 0)[1] == 0
busy = False
caller.join()
print(work(1) == alone)
""") == ["True"]


@compiled_only
@pytest.mark.parametrize("variable, value, words", [
    ("NUMBA_NUM_THREADS", "0", "must be > 0"), ("NUMBA_NUM_THREADS", "-1", "must be > 0"),
    ("NUMBA_NUM_THREADS", "many", "could not be parsed"), ("NUMBA_OPT", "9", "could not be parsed"),
    ("SCRATCHVAE_BACKEND", "cpu", "numba, numpy")])
def test_a_setting_that_cannot_be_followed_is_one_clear_error(variable, value, words):
    done = subprocess.run([sys.executable, "-c", "from scratchvae import VAE"], cwd=TESTS.parent, capture_output=True,
                          text=True, env={**os.environ, variable: value})
    last = done.stderr.splitlines()[-1]
    assert last.startswith("scratchvae.errors.ConfigurationError") and variable in last and words in last
    assert value in last and "Set" in last or "Correct" in last


def test_numba_that_may_not_compile_leaves_the_work_to_the_twins():
    done = subprocess.run([sys.executable, "-m", "scratchvae.kernels"], cwd=TESTS.parent, capture_output=True,
                          text=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.stdout.split() == ["backend", "numpy"], done.stderr
