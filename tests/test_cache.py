"""Where compiled kernels are kept: a folder that is missing or fails costs time, never the call."""
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from scratchvae.kernels import cache, twins, vectormath  # noqa: F401  (registers exp)

PACKAGE = Path(cache.__file__).parents[1]

pytestmark = pytest.mark.skipif(twins.BACKEND == "numpy", reason="nothing is compiled")

ONE_KERNEL = """
import numpy as np
from scratchvae.kernels import cache, twins, vectormath  # noqa: F401  (registers exp)
x = np.linspace(-1, 1, 7)
y = np.empty_like(x)
vectormath.exp_array(x, y)
assert np.allclose(y, np.exp(x), rtol=1e-14, atol=0)
print(cache.__file__, cache.CACHE_FOLDER)
"""


def test_where_no_folder_can_be_written_kernels_are_compiled_in_every_process(tmp_path):
    """Every folder lies where a file already is, which stops root too, as a read-only disk would."""
    copy, wall = tmp_path / "scratchvae", tmp_path / "wall"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "datasets"))
    (copy / "kernels" / "__pycache__").write_text("")
    wall.write_text("")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(wall), "XDG_CACHE_HOME": str(wall), "HOME": str(wall),
                   "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", ONE_KERNEL], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.split() == [str(copy / "kernels" / "cache.py"), "None"]


@contextmanager
def full_disk(folder):
    resource = pytest.importorskip("resource", reason="no limits on the size of a file")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def file_in_its_place(folder):
    shutil.rmtree(folder)
    folder.write_text("")
    yield


def cut_short(pattern):
    @contextmanager
    def cut(folder):
        files = list(folder.rglob(pattern))
        assert files
        for path in files:
            path.write_bytes(path.read_bytes()[:-20])
        yield
    return cut


def compiled():
    """The kernel of exp, as a process that starts now would have it."""
    return twins._compile(twins.TWINS["exp_array"].source, parallel=False, fastmath=twins.STRICT)


def use(kernel, dtype):
    x = np.linspace(-1, 1, 7, dtype=dtype)
    y = np.empty_like(x)
    kernel(x, y)
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that holds exp in float32."""
    monkeypatch.setattr(cache, "CACHE_FOLDER", tmp_path / "cache")
    use(compiled(), np.float32)
    return tmp_path / "cache"


@pytest.mark.parametrize("damage, dtype", [
    (full_disk, np.float64), (file_in_its_place, np.float32), (cut_short("*.nbi"), np.float32),
    (cut_short("*.nbi"), np.float64), (cut_short("*.nbc"), np.float32)],
    ids=["full disk", "a file in its place", "index cut short", "index cut short, written", "code cut short"])
def test_a_cache_that_fails_is_warned_of_and_the_kernel_compiled(folder, damage, dtype):
    kernel = compiled()
    with damage(folder), pytest.warns(RuntimeWarning, match="delete that folder"):
        use(kernel, dtype)


def test_a_cache_that_is_removed_is_made_again(folder):
    kernel = compiled()
    shutil.rmtree(folder)
    use(kernel, np.float32)
    assert list(folder.rglob("*.nbi"))
