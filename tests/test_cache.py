"""Where compiled kernels are kept: a folder that is missing or fails costs time, never the call."""
import compileall
import os
import pickle
import shutil
import stat
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from elementwise import ARRAY_TWINS

from scratchvae.data import download
from scratchvae.errors import ConfigurationError
from scratchvae.kernels import cache, twins
from scratchvae.kernels.__main__ import describe
from scratchvae.storage.cache_folder import user_cache_folder

PACKAGE = Path(cache.__file__).parents[1]

compiled_only = pytest.mark.skipif(twins.BACKEND == "numpy", reason="nothing is compiled")
users = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no owner in numbers")

ONE_KERNEL = """
import numpy as np
from scratchvae.kernels import cache, totals
x, out = np.arange(7.0), np.empty(2)
totals.add_up(x, x[:3], out)
assert out.tolist() == [21, 3]
print(cache.__file__, cache.usable_folder())
"""


def run(code, **environment):
    """Run code in a process of its own, without the variables that say where caches are; None removes one more."""
    inherited = {name: value for name, value in os.environ.items()
                 if name not in ("SCRATCHVAE_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    given = {name: str(value) for name, value in {**inherited, **environment}.items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=environment["PYTHONPATH"],
                          env=given)


@compiled_only
@pytest.mark.parametrize("variable", ["SCRATCHVAE_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_where_no_folder_can_be_written_kernels_are_compiled_in_every_process(tmp_path, variable):
    """The folder lies where a file already is, which stops root too, as a read-only disk would."""
    wall = tmp_path / "wall"
    wall.write_text("")
    done = run(ONE_KERNEL, **{variable: wall})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.split() == [cache.__file__, "None"]


@compiled_only
def test_the_package_makes_no_folder_until_a_kernel_is_kept_and_none_in_itself(tmp_path):
    copy = tmp_path / "scratchvae"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "datasets"))
    before = sorted(tmp_path.rglob("*"))
    home = {"HOME": tmp_path / "home", "LOCALAPPDATA": tmp_path / "home", "PYTHONPATH": tmp_path}
    done = run("from scratchvae import VAE; print(VAE)", **home)
    assert done.returncode == 0 and sorted(tmp_path.rglob("*")) == before, done.stderr
    done = run(ONE_KERNEL, **home)
    assert done.stdout.split()[0] == str(copy / "kernels" / "cache.py"), done.stderr
    made = [path for path in tmp_path.rglob("*") if path not in before]
    assert any(path.suffix == ".nbc" for path in made)
    assert all(path.is_relative_to(tmp_path / "home") for path in made)


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


def only_file(folder):
    path, = folder.rglob("*.nbc")
    return path


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, folder):
        self.command = f"open({str(folder / 'sprung')!r}, 'w').close()"

    def __reduce__(self):
        return exec, (self.command,)


def changed(change):
    """Damage that changes what a file holds."""
    @contextmanager
    def changes(folder):
        path = only_file(folder)
        path.write_bytes(change(path.read_bytes(), folder))
        yield
        assert not (folder / "sprung").exists()
    return changes


def flipped(content, at):
    content = bytearray(content)
    content[at] ^= 1
    return content


@contextmanager
def under_another_name(folder):
    """A kernel's file that was renamed to another's: the name says float32, the code is for float64."""
    single = only_file(folder)
    use(compiled(), np.float64)
    double, = set(folder.rglob("*.nbc")) - {single}
    double.replace(single)
    yield


@contextmanager
def link(folder):
    path = only_file(folder)
    path.replace(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    yield


@contextmanager
def pipe(folder):
    path = only_file(folder)
    path.unlink()
    os.mkfifo(path)
    yield


@contextmanager
def file_that_others_write(folder):
    only_file(folder).chmod(0o620)
    yield


@contextmanager
def folder_that_others_write(folder):
    folder.chmod(0o722)
    yield
    folder.chmod(0o700)


@contextmanager
def folder_of_another_user(folder):
    me = os.geteuid()
    os.geteuid = lambda: me + 1
    yield
    os.geteuid = lambda: me


@contextmanager
def link_to_a_folder(folder):
    folder.replace(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))
    yield


def compiled():
    """The kernel of exp, as a process that starts now would have it."""
    return twins.compiled(ARRAY_TWINS["exp"].source, twins.STRICT)


def use(kernel, dtype):
    x = np.linspace(-1, 1, 7, dtype=dtype)
    y = np.empty_like(x)
    kernel(x, y)
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that holds exp in float32."""
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    if hasattr(os, "geteuid"):
        monkeypatch.setattr(os, "geteuid", os.geteuid)
    use(compiled(), np.float32)
    return tmp_path / "cache"


DAMAGE = {
    "a file in its place": file_in_its_place,
    "empty": changed(lambda content, _: b""),
    "cut short": changed(lambda content, _: content[:-20]),
    "a checksum and no more": changed(lambda content, _: content[:32]),
    "one bit of the checksum": changed(lambda content, _: flipped(content, 5)),
    "first bit of the code": changed(lambda content, _: flipped(content, 32)),
    "last bit of the code": changed(lambda content, _: flipped(content, -1)),
    "longer": changed(lambda content, _: content + b"0"),
    "another pickle": changed(lambda content, folder: pickle.dumps(Trap(folder))),
    "another pickle after the checksum": changed(lambda content, folder: content[:32] + pickle.dumps(Trap(folder))),
    "under another name": under_another_name,
}
UNSAFE = {"a link": link, "a pipe": pipe, "a file that others write": file_that_others_write}
UNSAFE_FOLDERS = {"a folder that others write": folder_that_others_write,
                  "a folder of another user": folder_of_another_user, "a link to a folder": link_to_a_folder}


@compiled_only
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_kernel_is_warned_of_and_replaced(folder, damage):
    kernel, again = compiled(), compiled()
    with damage(folder), pytest.warns(RuntimeWarning, match="delete that folder") as caught:
        use(kernel, np.float32)
        use(again, np.float32)
    assert len(caught) == 1, [str(one.message) for one in caught]
    assert sum(kernel.stats.cache_hits.values()) == 0
    assert sum(again.stats.cache_hits.values()) == (damage is not file_in_its_place)        # which keeps nothing


@compiled_only
@users
@pytest.mark.parametrize("damage", [*UNSAFE.values(), *UNSAFE_FOLDERS.values()], ids=[*UNSAFE, *UNSAFE_FOLDERS])
def test_nothing_is_read_that_another_user_could_have_written(folder, damage):
    kernel = compiled()
    with damage(folder), pytest.warns(RuntimeWarning, match="folder of your own") as caught:
        use(kernel, np.float32)
        use(kernel, np.float64)
    assert len(caught) == 1 and not kernel.stats.cache_hits


@compiled_only
@users
@pytest.mark.parametrize("damage", UNSAFE_FOLDERS.values(), ids=UNSAFE_FOLDERS)
def test_nothing_is_written_where_another_user_could_change_it(folder, damage):
    before = sorted(folder.rglob("*"))
    with damage(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use(compiled(), np.float64)
        assert cache.usable_folder() is None and not cache.kernels_are_cached()
    assert sorted(folder.rglob("*")) == before


@compiled_only
@users
def test_the_cache_is_closed_to_others_whatever_the_mask(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "new" / "cache")
    mask = os.umask(0)
    try:
        use(compiled(), np.float32)
    finally:
        os.umask(mask)
    for path in (cache.FOLDER, *cache.FOLDER.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@compiled_only
def test_a_full_disk_is_warned_of(folder):
    kernel = compiled()
    with full_disk(folder), pytest.warns(RuntimeWarning, match="delete that folder"):
        use(kernel, np.float64)
    assert len(list(folder.rglob("*.*"))) == 1, "a part was left"


@compiled_only
def test_kernels_on_a_read_only_disk_are_cached_though_none_can_be_added(folder, monkeypatch):
    """A container may bring them; the terminal was told that every process compiles them again."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    kernel = compiled()
    use(kernel, np.float32)
    assert sum(kernel.stats.cache_hits.values()) == 1
    assert cache.usable_folder() is None and cache.kernels_are_cached()
    assert f"{folder}, read-only" in "\n".join(describe())


@compiled_only
def test_a_cache_that_is_removed_is_made_again(folder):
    kernel = compiled()
    shutil.rmtree(folder)
    use(kernel, np.float32)
    assert list(folder.rglob("*.nbc"))


@compiled_only
def test_a_kernel_is_found_again_though_its_source_has_another_date(tmp_path):
    hits = ONE_KERNEL + "print(sum(totals.add_up.stats.cache_hits.values()))"
    for found in ("0", "1"):
        copy = tmp_path / f"installed{found}" / "scratchvae"                       # elsewhere, too
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "datasets"))
        for path in copy.rglob("*.py"):
            os.utime(path, (int(found), int(found)))
        done = run(hits, PYTHONPATH=copy.parent, SCRATCHVAE_CACHE=tmp_path / "cache")
        assert done.stdout.split()[-1] == found, done.stderr


@compiled_only
def test_without_its_sources_a_package_keeps_no_kernels(tmp_path):
    """Nothing would tell them from those of another version: it would load those."""
    copy = tmp_path / "scratchvae"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "datasets"))
    compileall.compile_dir(copy / "kernels", quiet=1, legacy=True)
    for path in (copy / "kernels").glob("*.py"):
        path.unlink()
    done = run(ONE_KERNEL, PYTHONPATH=tmp_path, SCRATCHVAE_CACHE=tmp_path / "cache")
    assert done.stdout.split() == [str(copy / "kernels" / "cache.pyc"), "None"], done.stderr
    assert not (tmp_path / "cache").exists()


STATE = "from scratchvae.kernels import cache; print(cache._state())"


@compiled_only
@pytest.mark.parametrize("option", [
    "OPT=0", "OPT=max", "BOUNDSCHECK=1", "DEBUGINFO=1", "LOOP_VECTORIZE=0", "SLP_VECTORIZE=1", "ENABLE_AVX=0",
    "DISABLE_INTEL_SVML=1", "CPU_NAME=x86-64", "CPU_FEATURES=", "LLVM_REFPRUNE_PASS=0", "ENABLE_PROFILING=1",
    "EXTEND_VARIABLE_LIFETIMES=1"])
def test_an_option_of_numba_that_changes_code_has_kernels_of_its_own(option):
    name, value = option.split("=")
    plain, other = run(STATE), run(STATE, **{f"NUMBA_{name}": value})
    assert plain.returncode == other.returncode == 0, other.stderr
    assert plain.stdout != other.stdout


@compiled_only
@pytest.mark.parametrize("option", ["NUM_THREADS=3", "THREADING_LAYER=workqueue", "CACHE_DIR=elsewhere",
                                    "COLOR_SCHEME=dark_bg", "FULL_TRACEBACKS=1", "CUDA_DRIVER=x", "GDB_BINARY=x"])
def test_an_option_of_numba_that_changes_no_code_shares_the_kernels(option):
    name, value = option.split("=")
    assert run(STATE).stdout == run(STATE, **{f"NUMBA_{name}": value}).stdout


@compiled_only
def test_an_option_of_numba_that_is_changed_or_added_later_counts(monkeypatch):
    from numba.core import config
    states = {cache._state()}
    monkeypatch.setattr(config, "OPT", 0)
    states.add(cache._state())
    monkeypatch.setattr(config, "AN_OPTION_OF_NEXT_YEAR", 1, raising=False)
    states.add(cache._state())
    assert len(states) == 3


@pytest.mark.parametrize("system, environment, wanted", [
    ("linux", {"HOME": "/h"}, "/h/.cache/scratchvae/data"),
    ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/scratchvae/data"),
    ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "x"}, "/h/.cache/scratchvae/data"),
    ("linux", {"HOME": "h"}, None),
    ("darwin", {"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/Library/Caches/scratchvae/data"),
    ("win32", {"LOCALAPPDATA": "/l", "HOME": "/h"}, "/l/scratchvae/data"),
    ("linux", {"SCRATCHVAE_CACHE": "/s", "XDG_CACHE_HOME": "/x"}, "/s/data"),
    ("win32", {"SCRATCHVAE_CACHE": "/s", "LOCALAPPDATA": "/l"}, "/s/data"),
    ("linux", {"SCRATCHVAE_CACHE": "~/s", "HOME": "/h"}, "/h/s/data"),
])
def test_the_folder_is_the_one_that_the_system_has_for_it(monkeypatch, system, environment, wanted):
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "SCRATCHVAE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert user_cache_folder("data") == (wanted and Path(wanted))


def test_a_variable_may_name_the_home_folder_as_a_shell_does(monkeypatch):
    monkeypatch.delenv("SCRATCHVAE_CACHE", raising=False)
    for name in ("SCRATCHVAE_DATA", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, "~/s")
    assert download.cache_folder() == Path.home() / "s"
    assert cache._chosen_folder() == Path.home() / "s" / "scratchvae" / "kernels"


@users
@pytest.mark.parametrize("variable", [None, "SCRATCHVAE_CACHE", "SCRATCHVAE_DATA", "NUMBA_CACHE_DIR"])
def test_a_user_without_a_home_has_no_folder_and_gets_none_in_the_present_one(monkeypatch, tmp_path, variable):
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "SCRATCHVAE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    for name in ("SCRATCHVAE_DATA", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "~/s")
    assert user_cache_folder("kernels") is cache._chosen_folder() is None
    with pytest.raises(ConfigurationError, match="Set SCRATCHVAE_DATA"):
        download.cache_folder()
    if twins.BACKEND == "numba":
        monkeypatch.setattr(cache, "FOLDER", cache._chosen_folder())
        use(compiled(), np.float32)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="Linux has a folder in which none can be made")
def test_a_folder_that_cannot_be_made_keeps_nothing_and_says_so():
    for folder, flags, words in (("/proc/x", ["--compile"], "no kernel could be kept in /proc/x"),
                                 ("/tmp/" + "/".join(["b" * 200] * 25), [], "none: kernels are compiled")):
        done = subprocess.run([sys.executable, "-W", "ignore", "-m", "scratchvae.kernels", *flags], capture_output=True,
                              text=True, check=False, env={
                                  **os.environ, "SCRATCHVAE_CACHE": folder, "SCRATCHVAE_BACKEND": "numba"})
        assert words in done.stdout + done.stderr and done.returncode == (2 if flags else 0), done.stderr
