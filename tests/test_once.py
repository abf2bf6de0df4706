"""What is compiled once and called by name: it is there whenever a kernel needs it, and can be done without."""
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratchvae.cli import screen
from scratchvae.cli.progress import KernelProgress
from scratchvae.kernels import compilation, internals, symbols, twins
from scratchvae.kernels.__main__ import compile_now

ROOT = Path(__file__).parents[1]
compiled_only = pytest.mark.skipif(twins.BACKEND == "numpy", reason="nothing is compiled")

MULTIPLY = """
import sys
import numpy as np
from scratchvae.kernels import matmul
a, b = np.random.default_rng(0).standard_normal((2, 90, 90), np.float32)
for name in sys.argv[1:]:
    c = np.empty_like(a)
    getattr(matmul, "multiply_" + name)(a, b, c)
    assert np.allclose(c, a @ (b.T if name == "nt" else b), atol=1e-4)
"""


def run(code, *words, **environment):
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True,
                          timeout=500, env={**os.environ, "PYTHONPATH": str(ROOT), **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@compiled_only
def test_a_kernel_from_the_cache_finds_the_product_whatever_the_order_and_though_its_file_is_gone(tmp_path):
    def files():
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}

    run(MULTIPLY, "nn", "nt", SCRATCHVAE_CACHE=str(tmp_path))
    first = files()
    product, = [name for name in first if name.startswith("matmul._product")]
    run(MULTIPLY, "nt", "nn", SCRATCHVAE_CACHE=str(tmp_path))
    assert files() == first
    next(tmp_path.rglob(product)).unlink()
    run(MULTIPLY, "nt", SCRATCHVAE_CACHE=str(tmp_path))
    again = files()
    assert again.pop(product) > first.pop(product) and again == first


OUTSIDE = """
import numpy as np
from scratchvae.kernels.minibatch import gather_rows
try:
    gather_rows(np.ones((4, 3)), np.arange(8), 1.0, 0, 0, 0, np.empty((8, 3), np.float32))
except RuntimeError as error:
    print(error)
"""


@compiled_only
def test_an_error_in_a_part_is_reported(tmp_path):
    for _ in ("compiled", "from the cache"):
        assert "in a part of gather_rows" in run(OUTSIDE, NUMBA_BOUNDSCHECK="1", SCRATCHVAE_CACHE=str(tmp_path)).stdout


@compiled_only
def test_this_version_of_numba_has_all_names_that_save_time():
    assert internals.missing() is None, "internals.SAVES says where it is used; look there for what Numba has instead"


@compiled_only
@pytest.mark.parametrize("owner, name", [pair for pairs in internals.SAVES.values() for pair in pairs],
                         ids=lambda part: getattr(part, "__name__", part))
def test_a_name_that_numba_has_no_longer_is_named(monkeypatch, owner, name):
    for place in [place for place in owner.__mro__ if name in vars(place)]:
        monkeypatch.delattr(place, name)
    assert internals.missing().startswith(f"{owner.__name__}.{name} for ")


@compiled_only
def test_without_such_a_name_kernels_are_slower_to_compile_and_right():
    without = "from numba.core.dispatcher import Dispatcher; del Dispatcher.get_compile_result\n"
    done = run(without + MULTIPLY, "nn", "nt")
    assert "Dispatcher.get_compile_result for code" in done.stderr and "one thread" in done.stderr


@compiled_only
def test_a_kernel_is_kept_with_the_names_that_it_declares():
    name, other = symbols.name_of("test", (1, "float32")), symbols.name_of("test", (2, "float32"))
    assert name != other == symbols.name_of("test", (2, "float32"))
    code = f"declare void @{name}(i64, i8*)\ndefine void @{other}() {{\n  call void @{name}(i64 1, i8* null)\n}}\n"
    assert symbols.mentioned(code) == [("test", (1, "float32"))]
    known = []
    symbols.announce("test", known.append)
    assert symbols.make_known([("test", (1, "float32"))]) and known == [(1, "float32")]
    assert not symbols.make_known([("nobody", None)])


USED = """
import warnings
import numpy as np
from scratchvae import Autoencoder, VAE
from scratchvae.kernels import cache, compilation, twins
warnings.simplefilter("ignore")
x = np.random.default_rng(0).random((12, 9))
asked = set()
with cache.watched(lambda name, found: asked.add(name)):
    Autoencoder(9, 2, hidden=(4,)).fit(x, epochs=1, validation=x)
    wanted = compilation.TRAIN - compilation.OF_VAE
    assert {name for name in asked if not name.endswith(cache.PART)} == wanted, asked
    VAE(9, 2, hidden=(4,)).fit(x, epochs=1, validation=x)
    assert {name for name in asked if not name.endswith(cache.PART)} == compilation.TRAIN, asked
clipped = {"name": "sgd", "clip_norm": 1.0}
for likelihood in ("continuous_bernoulli", "gaussian", "gaussian_diagonal", "gaussian_optimal"):
    VAE(9, 2, hidden=(4,), likelihood=likelihood).fit(x, epochs=1, validation=x, optimizer=clipped)
found = set()
for name, twin in twins.TWINS.items():
    kernel = twin.compiled
    known = compilation.signatures(compilation.CALLS[name], "float32") if kernel.overloads else ()
    assert set(kernel.overloads) <= set(known), name
    found |= {name} if kernel.overloads else set()
assert found == set(compilation.CALLS), found ^ set(compilation.CALLS)
"""


@compiled_only
def test_what_is_compiled_before_training_is_what_training_asks_for():
    run(USED)


@compiled_only
def test_kernels_are_compiled_before_they_are_needed():
    done = subprocess.run([sys.executable, "-m", "scratchvae.kernels", "--compile"], cwd=ROOT, capture_output=True,
                          text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [line[:18] for line in lines[:-1]] == [f"compiled {n:2d} of 12:" for n in range(1, 13)]


@pytest.mark.parametrize("words, environment, status, said", [
    (["--compile"], {"SCRATCHVAE_BACKEND": "numpy"}, 2, "backend is numpy"),
    (["--compile", "some"], {}, 2, "all"), (["--help"], {}, 0, "")])
def test_what_cannot_be_compiled_is_said(words, environment, status, said):
    done = subprocess.run([sys.executable, "-m", "scratchvae.kernels", *words], cwd=ROOT, capture_output=True,
                          text=True, env={**os.environ, **environment})
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr


def end_at_once(*_):
    os._exit(1)


@compiled_only
def test_a_compiling_process_that_the_system_ends_is_said(monkeypatch, capsys):
    """For want of memory, for example: there may be a process for each of many cores."""
    monkeypatch.setattr(compilation, "compile_kernel", end_at_once)
    assert compile_now(everything=False) == 2
    assert "memory" in capsys.readouterr().err


SECOND = """
import subprocess, time
from scratchvae.kernels import cache, compilation
found = {}
compilation.config.NUMBA_DEFAULT_NUM_THREADS = 2                        # also where there is one core
with cache.watched(found.__setitem__), compilation.second_compiler("float32"):
    while not any(cache.FOLDER.glob("*/adam_update-*.nbc")):
        time.sleep(0.1)
    compilation.compile_kernel("adam_update", "float32")
    assert found and all(found.values()), found
    compilation.compile_kernel("dense_backward", "float32")
assert found["matmul._activate_rows-part"] and found["dense._d_a-part"], found
subprocess.Popen = None                     # not needed where kernels are cached
with compilation.second_compiler("float32"):
    pass
"""


@compiled_only
def test_in_a_first_run_a_second_process_compiles_parts_of_layers_and_what_is_needed_last(tmp_path):
    run(SECOND, SCRATCHVAE_CACHE=str(tmp_path))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream, shown", [(Terminal, ["compiling kernels, 2 of 11", "compiling kernels, 3 of 11"]),
                                           (io.StringIO, [])])
def test_a_terminal_is_told_which_kernel_is_compiled(monkeypatch, stream, shown):
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(screen, "_in_place", 0)
    progress = KernelProgress(11)
    for name, found in (("a", True), ("b-part", False), ("b", False), ("c", False)):
        progress(name, found)
    lines = [line.strip() for line in sys.stderr.getvalue().split("\r") if line]
    assert lines[-2:] == shown
