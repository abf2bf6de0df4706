"""What Windows and macOS do differently, as far as it can be had here: what is missing is taken away."""
import ast
import gc
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

import scratchvae
from scratchvae.cli import screen
from scratchvae.cli.run_folder import Run, run_name
from scratchvae.errors import RunError
from scratchvae.kernels import cache, compilation  # noqa: F401 (all kernels)
from scratchvae.kernels.backend import BACKEND
from scratchvae.storage import atomic

PACKAGE, TESTS = Path(scratchvae.__file__).parent, Path(__file__).parent
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="what is to be taken away is not there")

# What every other package needs is imported first; then all is taken away that only POSIX has.
WINDOWS = """
import errno, fcntl, multiprocessing, os, signal, subprocess, sys, tempfile, types
import matplotlib.figure, numpy
if os.environ.get("SCRATCHVAE_BACKEND") != "numpy":
    import numba

def locking(descriptor, mode, n, flock=fcntl.flock, how=fcntl.LOCK_EX | fcntl.LOCK_NB):
    assert mode == msvcrt.LK_NBLCK and n == 1
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20, "what is locked cannot be read: it must lie past the text"
    try:
        flock(descriptor, how)
    except OSError:
        raise PermissionError(errno.EACCES, "Permission denied") from None

msvcrt = types.ModuleType("msvcrt")
msvcrt.locking, msvcrt.LK_NBLCK = locking, 2
sys.modules["msvcrt"] = msvcrt
for name in ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "sched_getaffinity", "mkfifo",
             "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "fchmod", "fchown", "chown", "statvfs", "WNOHANG"):
    vars(os).pop(name, None)
for name in ("SIGHUP", "SIGPIPE", "SIGALRM", "SIGKILL", "SIGQUIT", "SIGUSR1", "pthread_sigmask", "setitimer", "alarm"):
    vars(signal).pop(name, None)

def no_size(*descriptor):
    raise OSError(errno.EBADF, "The handle is invalid")

os.get_terminal_size = no_size

def refusing(real):
    def call(*paths, **options):
        for path in filter(os.path.isfile, paths):
            for number in os.listdir("/dev/fd"):
                try:
                    is_open = os.path.samestat(os.fstat(int(number)), os.stat(path))
                except OSError:                         # the number by which /dev/fd itself was listed
                    continue
                if is_open:
                    raise PermissionError(errno.EACCES, "The file is being used by another process", path)
        return real(*paths, **options)
    return call

for name in ("remove", "rename", "replace", "unlink"):
    setattr(os, name, refusing(getattr(os, name)))
"""


def on_windows(script, folder):
    """Run a script where all that Windows lacks is missing; return what it printed."""
    done = subprocess.run([sys.executable, "-c", WINDOWS + script], cwd=folder, capture_output=True, text=True,
                          encoding="utf-8", env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
    assert done.returncode == 0, done.stderr
    return done.stdout


@POSIX
def test_every_room_works_without_what_only_posix_has(tmp_path):
    on_windows("""
import importlib, pkgutil, scratchvae
for module in pkgutil.walk_packages(scratchvae.__path__, "scratchvae."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from scratchvae.cli.main import main
quick = ["train", "--data", "digits", "--hidden", "4", "--latent", "2", "--out", "run", "--epochs"]
assert main([*quick, "1"]) == 0
assert main([*quick, "2", "--resume"]) == 0
assert main(["evaluate", "run", "--importance-samples", "2"]) == 0
assert main(["sample", "run"]) == 0
assert main([*quick, "1", "--overwrite"]) == 0
assert main(["practice", "start", "mine"]) == 0
assert main(["practice", "check", "mine"]) == 0
with open("run/config.json"):
    assert main([*quick, "1", "--overwrite"]) == 2
""", tmp_path)
    assert (tmp_path / "run" / "figures" / "samples.png").exists()
    assert (tmp_path / "run" / "history.csv").read_bytes().count(b"\n") == 2
    assert b"\r" not in (tmp_path / "run" / "history.csv").read_bytes()


@POSIX
def test_the_lock_of_windows_keeps_the_second_out_and_names_the_first(tmp_path):
    said = on_windows("""
from scratchvae.errors import RunError
from scratchvae.storage.lock import FolderLock
with FolderLock("run") as first:
    assert first.is_held()
    try:
        FolderLock("run").acquire()
    except RunError as error:
        print(os.getpid(), error)
with FolderLock("run") as again:
    assert again.is_held()
""", tmp_path)
    number, message = said.split(maxsplit=1)
    assert f"another run (process {number})" in message


@pytest.mark.parametrize("refusals, error", [(0, None), (2, None), (4, None), (5, RunError)])
def test_a_file_that_somebody_reads_is_replaced_when_they_have_done(monkeypatch, tmp_path, refusals, error):
    """Windows refuses to replace a file that is open; a reader of a model is done in a moment."""
    replace, left, slept = os.replace, [refusals], []

    def busy(source, target):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        replace(source, target)
    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(atomic.time, "sleep", slept.append)
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")
    if error:
        with pytest.raises(error, match="used by another process"):
            atomic.write_atomically(path, lambda file: file.write(b"new"))
    else:
        atomic.write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == (b"old" if error else b"new") and os.listdir(tmp_path) == ["model.npz"]
    assert len(slept) == min(refusals, 4)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_kernel_that_another_process_reads_stays_as_it_is(monkeypatch, tmp_path, is_there):
    def busy(*_):
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")
    monkeypatch.setattr(os, "replace", busy)
    path = tmp_path / "kernel.nbc"
    if is_there:
        path.write_bytes(b"theirs")
    with nullcontext() if is_there else pytest.raises(PermissionError):
        cache._write(path, "kernel.nbc", b"ours")
    assert os.listdir(tmp_path) == ["kernel.nbc"] * is_there


def test_a_folder_of_another_spelling_is_no_link(monkeypatch, tmp_path):
    """Windows calls `Ann Miller` ANNMIL~1 as well, and tells apart no two spellings of a name."""
    real = os.path.realpath
    (tmp_path / "Ann Miller").mkdir()
    (tmp_path / "ANNMIL~1").symlink_to(tmp_path / "Ann Miller", target_is_directory=True)
    monkeypatch.setattr(os.path, "normcase", str.lower)
    monkeypatch.setattr(os.path, "realpath",
                        lambda path, **_: real(path).swapcase() if os.path.exists(path) else real(path))
    run = Run(tmp_path / "ANNMIL~1" / "run", {"data": "digits", "model": "vae"})
    for _ in range(2):                                  # without a folder for figures, and with one
        with run.held():
            assert run.save_figure(Figure(), "empty.png").exists()
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(run.folder / "figures")
    (run.folder / "figures").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(RunError, match="is a link to another folder"):
        run.save_figure(Figure(), "empty.png")


@pytest.mark.skipif(BACKEND == "numpy", reason="nothing is compiled")
def test_the_paths_of_kernels_are_short_enough_for_windows():
    """It takes 259 characters, of which C:/Users/<a name>/AppData/Local/scratchvae/kernels/ may be 80."""
    codegen = SimpleNamespace(magic_tuple=tuple)
    names = [kept._name((), codegen) for kept in gc.get_objects() if issubclass(type(kept), cache.KernelCache)]
    assert len(names) > 30 and max(map(len, names)) < 259 - 80, max(names, key=len)


@pytest.mark.parametrize("what, system, machine, status", [
    ("overflow", "linux", "x86_64", 1), ("overflow", "darwin", "x86_64", 0), ("overflow", "linux", "aarch64", 0),
    ("invalid value", "linux", "x86_64", 0)])
def test_what_a_product_warns_of_for_nothing_is_an_error_elsewhere_only(tmp_path, what, system, machine, status):
    """Products set the processor's flags for nothing; NumPy takes them at their word."""
    (tmp_path / "test_product.py").write_text(
        f"import warnings\n\n\ndef test_it():\n    warnings.warn('{what} encountered in matmul', RuntimeWarning)\n")
    (tmp_path / "pretend.py").write_text(
        "import platform, pytest, sys, sysconfig\n\nsysconfig.get_config_vars()    # looks up what Linux has\n\n\n"
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_configure():\n"
        f"    sys.platform, platform.machine = {system!r}, lambda: {machine!r}\n")
    words = "-c", PACKAGE.parent / "setup.cfg", "-p", "conftest", "-p", "pretend", "-p", "no:cacheprovider"
    done = subprocess.run([sys.executable, "-m", "pytest", tmp_path, *words], cwd=tmp_path, capture_output=True,
                          encoding="utf-8", env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (
                              PACKAGE.parent, TESTS, tmp_path)))})
    assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize("source, name", [
    ("mnist5k", "mnist5k"), (r"C:\Users\ann\mnist", "mnist"), ("C:\\Users\\ann\\mnist\\", "mnist"),
    ("C:mnist", "mnist"),
    ("/home/ann/mnist/", "mnist"), ("../mnist.npz", "mnist"), (r"..\data\MNIST.NPY", "MNIST"),
    ("my faces.npz", "my-faces"),
    ("mnist.v2", "mnist-v2"), ("aux.2024/", "aux-2024"), ("L\u00e4ufe", "L\u00e4ufe"), (".data", "data"),
    ("a:b?.npz", "b"),
    ("C:\\", "data"), ("/", "data"), ("..", "data"), (".npz", "data")])
def test_a_run_is_called_after_its_data_wherever_they_lie(source, name):
    assert run_name(source) == name


@pytest.mark.parametrize("reserved", ["con", "NUL.npz", "aux.txt", "com1", r"C:\data\prn"])
def test_no_run_gets_a_name_that_windows_keeps_for_itself(reserved):
    """It keeps CON, NUL and their kin with anything after a dot; CON-vae is a name like any other."""
    folder = f"{run_name(reserved)}-vae"
    assert folder.split(".")[0].upper() not in ("CON", "PRN", "AUX", "NUL", "COM1")
    assert not set(folder) & set('<>:"/\\|?* .')


def texts_without_encoding(path):
    """Yield the lines that open a file as text and leave its encoding to the system."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("open", "NamedTemporaryFile", "TemporaryFile") and isinstance(node.func, ast.Name):
            mode = given.get("mode") or (node.args[1] if len(node.args) > 1 else ast.Constant("r"))
            text = isinstance(mode, ast.Constant) and "b" not in mode.value
        else:
            asked = getattr(given.get("text"), "value", False) is True   # as in run(..., text=True)
            text = name in ("read_text", "write_text") or asked
        if text and "encoding" not in given:
            yield node.lineno


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_is_read_in_the_encoding_of_the_system(path):
    assert not list(texts_without_encoding(path))


def test_a_width_that_nobody_knows_is_80(monkeypatch):
    class NoFile:
        pass
    assert screen.columns(NoFile()) == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((0, 0)))
    assert screen.columns(sys.__stderr__) == 80


@POSIX
def test_every_file_of_tests_can_be_imported(tmp_path):
    """One that cannot be stops the whole suite before its first test."""
    on_windows(f"""
import contextlib, glob, importlib, multiprocessing.context, pytest
multiprocessing.context._concrete_contexts.pop("fork")
sys.path[:0] = [{str(TESTS)!r}, {str(PACKAGE.parent)!r}]
for path in sorted(glob.glob({str(TESTS / '*.py')!r})):
    with contextlib.suppress(pytest.skip.Exception):
        importlib.import_module(os.path.basename(path)[:-3])
""", tmp_path)
