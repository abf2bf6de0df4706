"""A run folder that somebody gave you: nothing in it is followed, removed or believed without a look."""
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_cli import command, refused, result

from scratchvae.cli.progress import Progress
from scratchvae.cli.run_folder import CONFIG, HISTORY, MODEL, Run
from scratchvae.cli.train import TRAIN_DEFAULTS
from scratchvae.errors import RunError
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.model_files import load_run
from scratchvae.storage.atomic import open_regular, remove_leftovers, write_atomically
from scratchvae.storage.checkpoint import load_arrays, save_arrays
from scratchvae.storage.lock import FolderLock
from scratchvae.training import Trainer
from scratchvae.vae import VAE

QUICK = ["--hidden", 4, "--latent", 2, "--batch-size", 10]
INTERRUPTED = 130, "--resume"               # exit status after Ctrl-C in mid-run, and what the message names
LINKS = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")


def write_data(path, n=40, seed=0):
    """Write random rows of six numbers, the training part n rows."""
    rng = np.random.default_rng(seed)
    np.savez(path, train=rng.random((n, 6), np.float32), test=rng.random((8, 6), np.float32),
             train_labels=np.arange(n) % 2, test_labels=np.arange(8) % 2)
    return path


def trained(capsys, folder, epochs=2, **options):
    """Train in `folder`/run on `folder`/data.npz; return the run folder."""
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    result(capsys, "train", "--data", write_data(folder / "data.npz"), *QUICK, *words, "--epochs", epochs,
           "--out", folder / "run")
    return folder / "run"


def contents(folder):
    """Return what lies in a folder, by name, and when it was last written."""
    return {path.relative_to(folder).as_posix(): (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
            for path in folder.rglob("*")}


def bits(run):
    """Return what two equal runs have in common: all arrays but the seconds."""
    return {name: array[:, :7].tobytes() if name == "history" else array.tobytes()
            for name, array in load_arrays(run / MODEL)[2].items()}


# ---- the lock file and what was left behind

def link(path, target):
    path.symlink_to(target)


def hard_link(path, target):
    target.write_text(f"scratchvae {7:<20}\n")             # another run's lock, perhaps
    path.hardlink_to(target)


def fifo(path, _):
    os.mkfifo(path)


FOREIGN = {"a link": pytest.param(link, marks=LINKS), "a second name": pytest.param(hard_link, marks=LINKS),
           "a FIFO": pytest.param(fifo, marks=PIPES), "a folder": lambda path, _: path.mkdir(),
           "text": lambda path, _: path.write_text("another program's lock"),
           "a number": lambda path, _: path.write_text("4711\n"),
           "our line and more": lambda path, _: path.write_text(f"scratchvae {7:<20}\nmore")}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_lock_file_that_is_not_ours_is_refused_and_left_alone(capsys, tmp_path, make):
    precious = tmp_path / "precious.txt"
    precious.write_text("ten years of work")
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder / ".lock", precious)
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(RunError, match=r"given/\.lock is not the lock file of a run .* Choose another folder"):
            FolderLock(folder).acquire()
    refused(capsys, ".lock is not the lock file", "train", "--data", "digits", *QUICK, "--out", folder)
    assert contents(tmp_path) == before


@LINKS
def test_a_link_that_leads_nowhere_is_no_lock_file_either(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "new")
    with pytest.raises(RunError, match="is not the lock file"):
        FolderLock(tmp_path).acquire()
    assert not (tmp_path / "new").exists()


def test_the_lock_file_stays_and_is_taken_again_whoever_left_it(tmp_path):
    for left in (None, b"", f"scratchvae {2**40:<20}\n".encode()):
        if left is not None:
            (tmp_path / ".lock").write_bytes(left)
        with FolderLock(tmp_path) as lock:
            assert lock.is_held()
        assert (tmp_path / ".lock").read_text(encoding="utf-8").split() == ["scratchvae", str(os.getpid())]


def test_only_our_own_leftovers_are_removed(tmp_path):
    foreign = [".movie.mkv.part", ".model.npz.part", ".model.npz.1-2.part.bak", ".other.npz.1-2.part",
               "model.npz.1-2.part", ".model.npz.1-.part", ".model_npz.1-2.part", ".amodel.npz.1-2.part",
               ".config.json.x-2.part"]
    for name in foreign:
        (tmp_path / name).write_text("another program's")
    (tmp_path / ".history.csv.8-8.part").mkdir()
    for name in (MODEL, CONFIG, HISTORY):
        (tmp_path / f".{name}.1-2.part").write_text("ours")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / ".samples.png.3-4.part").write_text("ours")
    (tmp_path / "figures" / ".x.jpg.3-4.part").write_text("another program's")
    with Run(tmp_path, {"data": "digits", "model": "vae"}).held() as run:
        run.begin()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == sorted([*foreign, ".history.csv.8-8.part", ".lock", "config.json", "figures",
                           "figures/.x.jpg.3-4.part"])


@LINKS
def test_leftovers_are_links_or_another_users_for_somebody_else_to_remove(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("")
    (tmp_path / ".model.npz.1-2.part").symlink_to(tmp_path / "precious")
    (tmp_path / ".model.npz.3-4.part").write_text("")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    remove_leftovers(tmp_path, r"model\.npz")
    assert len(os.listdir(tmp_path)) == 3


@LINKS
def test_nothing_is_written_through_a_link(tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.write_text("ten years of work")
    monkeypatch.setattr("threading.get_ident", lambda: 7)
    for name in ("file", f".file.{os.getpid()}-7.part"):          # the very file, and the one that becomes it
        (tmp_path / name).symlink_to(precious)
        write_atomically(tmp_path / "file", lambda file: file.write(b"new"))
        assert precious.read_text(encoding="utf-8") == "ten years of work" and not (tmp_path / "file").is_symlink()
        assert (tmp_path / "file").read_bytes() == b"new" and len(os.listdir(tmp_path)) == 2


@LINKS
def test_figures_that_lead_elsewhere_are_refused_before_anything_is_trained(capsys, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "samples.png").write_text("a holiday")
    (pictures / ".samples.png.1-1.part").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "figures").symlink_to(pictures)
    refused(capsys, "figures is a link", "train", "--data", "digits", *QUICK, "--out", tmp_path / "run")
    assert sorted(os.listdir(pictures)) == [".samples.png.1-1.part", "samples.png"]
    assert sorted(os.listdir(tmp_path / "run")) == [".lock", "figures"]


def test_a_run_folder_may_be_reached_through_a_link_and_hold_other_files(capsys, tmp_path, no_figures):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("mine")
    if os.name != "nt":
        (tmp_path / "run").symlink_to(tmp_path / "there")
    else:
        (tmp_path / "there").rename(tmp_path / "run")
    run = trained(capsys, tmp_path)
    assert (run / "notes.txt").read_text(encoding="utf-8") == "mine" and Run.open(run).load_model()


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_refused_command_has_touched_nothing(capsys, tmp_path, no_figures, options):
    run = trained(capsys, tmp_path)
    if not options:
        for name in (CONFIG, MODEL, HISTORY, ".lock"):
            (run / name).unlink(missing_ok=True)
        (run / "notes.txt").write_text("mine")
    np.save(tmp_path / "bad.npy", np.full((50, 6), np.nan))
    before = contents(run)
    for words in (["--data", tmp_path / "nowhere.npy"], ["--data", tmp_path / "bad.npy"], ["--likelihood", "poisson"],
                  ["--data", "digits", "--batch-size", 0], ["--data", "digits", "--learning-rate", -1]):
        assert command(capsys, "train", *QUICK, *words, *options, "--out", run)[0] == 2
        assert contents(run) == before


@PIPES
@pytest.mark.parametrize("name", [CONFIG, MODEL])
def test_a_fifo_in_place_of_a_file_is_refused_and_not_waited_for(capsys, tmp_path, no_figures, name):
    run = trained(capsys, tmp_path)
    (run / name).unlink()
    os.mkfifo(run / name)
    for words in (["evaluate", run], ["train", "--resume", "--epochs", 9, "--out", run]):
        done = subprocess.run([sys.executable, "-m", "scratchvae", *map(str, words)], capture_output=True, text=True,
                              timeout=60, check=False, env={**os.environ, "SCRATCHVAE_BACKEND": "numpy"})
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "no regular file" in done.stderr


@PIPES
def test_no_file_takes_the_place_of_a_fifo_or_a_device(tmp_path):
    """`model.save("/dev/null")`, by root, put a file in its place for all programs."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for name in ("fifo", "link"):
        with pytest.raises(RunError, match="cannot be written: it is no regular file"):
            write_atomically(tmp_path / name, lambda file: file.write(b"new"))
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link"] and (tmp_path / "link").is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_no_regular_file(tmp_path):
    (tmp_path / "file").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="no regular file"):
        open_regular(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
def test_a_lock_file_that_is_removed_under_a_run_is_made_again(tmp_path):
    run = Run(tmp_path / "run", {"data": "digits", "model": "vae"})
    trainer = Trainer(VAE(6, 2, hidden=(4,)), np.random.default_rng(0).random((20, 6), np.float32), batch_size=10)
    with run.held():
        run.begin()
        run.save(trainer)
        (run.folder / ".lock").unlink()
        trainer.run(1)
        assert run.save(trainer) is True and run.lock.is_held()


# ---- the data and the settings that a checkpoint was trained with

def interrupted(capsys, monkeypatch, folder, step, **options):
    """Train and end by Ctrl-C after `step` steps; return the run folder."""
    after_step = Progress.after_step

    def pressed(progress, trainer, objective):
        after_step(progress, trainer, objective)
        if progress.steps + 1 == step:
            signal.raise_signal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "after_step", pressed)
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        status, _, err = command(capsys, "train", "--data", write_data(folder / "data.npz"), *QUICK, *words,
                                 "--epochs", 3, "--out", folder / "run")
    assert (status, INTERRUPTED[1] in err) == (INTERRUPTED[0], True), err
    return folder / "run"


def of_an_earlier_version(run):
    """Take from a run what earlier versions did not save, and give its settings the names they had."""
    kind, meta, arrays = load_arrays(run / MODEL)
    save_arrays(run / MODEL, kind, {name: meta[name] for name in ("settings", "training")}, arrays)
    config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    config["latent"], config["samples"] = config.pop("n_latent"), config.pop("n_samples")
    (run / CONFIG).write_text(json.dumps(config))


OTHER = {"fewer rows": dict(n=20), "more rows": dict(n=44), "other numbers": dict(seed=1)}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_run_does_not_go_on_with_other_data(capsys, monkeypatch, tmp_path, no_figures, change, step):
    run = interrupted(capsys, monkeypatch, tmp_path, step)
    before = {name: (run / name).read_bytes() for name in (CONFIG, MODEL, HISTORY)}
    write_data(tmp_path / "data.npz", **change)
    what = "rows instead of 40." if "n" in change else "also 40 rows, but not the same ones."
    refused(capsys, "holds other data", "train", "--resume", "--out", run)
    refused(capsys, what, "train", "--resume", "--out", run)
    assert before == {name: (run / name).read_bytes() for name in (CONFIG, MODEL, HISTORY)}


def test_a_changed_held_out_part_is_other_data_too(capsys, tmp_path, no_figures):
    run = trained(capsys, tmp_path)
    with np.load(tmp_path / "data.npz") as arrays:
        np.savez(tmp_path / "data.npz", **{**arrays, "test": arrays["test"][::-1]})
    refused(capsys, "holds other data", "train", "--resume", "--epochs", 9, "--out", run)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_data_that_have_moved_are_named_anew_and_give_the_same_bits(capsys, monkeypatch, tmp_path, no_figures, step):
    (tmp_path / "whole").mkdir()
    whole = trained(capsys, tmp_path / "whole", epochs=3)
    run = interrupted(capsys, monkeypatch, tmp_path, step)
    (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    refused(capsys, "with --data", "train", "--resume", "--out", run)
    refused(capsys, "holds other data", "train", "--resume", "--out", run, "--data",
            write_data(tmp_path / "other.npz", seed=1))
    result(capsys, "train", "--resume", "--out", run, "--data", tmp_path / "moved.npz")
    assert bits(run) == bits(whole)
    assert json.loads((run / CONFIG).read_text(encoding="utf-8"))["data"] == str((tmp_path / "moved.npz").resolve())
    result(capsys, "train", "--resume", "--epochs", 4, "--out", run)          # it has kept the new name


PICTURES = {"sample": [], "reconstruct": [], "traverse": [], "attribute": ["--attribute", 1], "figures": []}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_find_data_that_have_moved_and_refuse_others(capsys, tmp_path, no_figures, name):
    run = trained(capsys, tmp_path)
    words = [name, run, *PICTURES[name]]
    result(capsys, *words)
    (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    refused(capsys, "with --data", *words)
    result(capsys, *words, "--data", tmp_path / "moved.npz")
    write_data(tmp_path / "data.npz", seed=1)
    refused(capsys, "holds other data", *words)
    refused(capsys, "holds other data", *words, "--data", tmp_path / "data.npz")


def test_evaluate_measures_on_other_data_only_if_they_are_named(capsys, tmp_path, no_figures):
    run = trained(capsys, tmp_path)
    write_data(tmp_path / "data.npz", seed=1)
    words = ["evaluate", run, "--importance-samples", 3]
    refused(capsys, "holds other data", *words)
    assert result(capsys, *words, "--data", tmp_path / "data.npz")["n"] == 8


def test_a_run_of_an_earlier_version_goes_on_with_one_line_of_warning(capsys, monkeypatch, tmp_path, no_figures):
    run = interrupted(capsys, monkeypatch, tmp_path, 6)
    of_an_earlier_version(run)
    assert result(capsys, "sample", run)
    status, _, err = command(capsys, "train", "--resume", "--out", run)
    assert status == 0 and err.count("of an earlier version") == 1
    config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    assert config["n_latent"] == 2 and "latent" not in config
    status, _, err = command(capsys, "train", "--resume", "--epochs", 5, "--out", run)
    assert status == 0 and "earlier version" not in err                       # now it says on which data


@pytest.mark.parametrize("n", [20, 30, 50])
def test_a_run_of_an_earlier_version_whose_epochs_had_another_length_is_refused(capsys, monkeypatch, tmp_path,
                                                                                no_figures, n):
    run = interrupted(capsys, monkeypatch, tmp_path, 7)                       # 3 of 4 batches of the second epoch
    of_an_earlier_version(run)
    write_data(tmp_path / "data.npz", n)
    words = f"epochs of data have {n // 10} batches" if n > 20 else "batch 3 of 2"
    refused(capsys, words, "train", "--resume", "--out", run)


EDITS = dict(beta=2.0, n_latent=3, n_samples=2, hidden=[4, 4], likelihood="gaussian", activation="tanh", sigma=2.0,
             estimator="stl", dtype="float64", seed=1, learning_rate=0.1, batch_size=20, optimizer="sgd",
             schedule="linear", binarize="dynamic", baseline="leave_one_out", output_bias="zero", model="ae")


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_setting_is_pointed_out_and_not_printed_as_if_it_were_used(capsys, tmp_path, no_figures, name):
    run = trained(capsys, tmp_path)
    config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    assert config[name] != EDITS[name]
    (run / CONFIG).write_text(json.dumps({**config, name: EDITS[name]}))
    said = f'config.json says "{name}": {EDITS[name]!r}, but the model was trained with {config[name]!r}'
    for words in (["train", "--resume", "--epochs", 9, "--out", run], ["evaluate", run], ["figures", run]):
        refused(capsys, said, *words)
    of_an_earlier_version(run)
    if name in ("model", *load_run(run / MODEL)[0].get_params()):              # which the model's own settings tell
        refused(capsys, said, "sample", run)


def test_the_settings_that_may_change_are_no_edit(capsys, tmp_path, no_figures):
    run = trained(capsys, tmp_path)
    config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    (run / CONFIG).write_text(json.dumps({**config, "epochs": 3, "on_nonfinite": "skip", "scratchvae": "9", "note": 1}))
    assert result(capsys, "train", "--resume", "--out", run)["epochs"] == 3


@pytest.mark.parametrize("options", [*({"likelihood": name} for name in LIKELIHOODS), {"model": "ae"},
                                     {"model": "ae", "likelihood": "gaussian", "sigma": 0.3},
                                     {"likelihood": "gaussian_scalar", "sigma": 0.7, "output-bias": "zero"},
                                     {"estimator": "iwae", "samples": 4, "beta": 1}, {"dtype": "float64"}], ids=str)
def test_what_a_run_says_of_itself_is_what_its_model_says(capsys, tmp_path, no_figures, options):
    run = trained(capsys, tmp_path, epochs=1, **options)
    config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    assert config.keys() == TRAIN_DEFAULTS.keys() | {"scratchvae"}
    model, _, _ = Run.open(run).load_model()               # no difference is found where there is none
    assert {name for name in model.get_params()} <= config.keys() | {"n_visible", "n_conditions"}
