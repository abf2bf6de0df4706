"""The command line as a user meets it: what it prints, what it leaves behind, and how it refuses."""
import argparse
import gzip
import json
import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from scratchvae.cli.main import build_parser, COMMANDS, main
from scratchvae.cli.parser import in_flags
from scratchvae.vae import VAE

QUICK = ["--data", "digits", "--hidden", "16", "--latent", "3", "--epochs", "2"]


def command(capsys, *args):
    """Run a command in this process: (exit status, standard output, standard error)."""
    try:
        status = main([str(arg) for arg in args])
    except SystemExit as leaving:
        status = leaving.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def result(capsys, *args):
    """Run a command with --json that must succeed, and return its JSON."""
    status, out, _ = command(capsys, *args, "--json")
    assert status == 0
    return json.loads(out.splitlines()[-1], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def refused(capsys, words, *args):
    """Run a command that must be refused in one line with these words."""
    status, out, err = command(capsys, *args)
    assert status == 2 and not out and len(err.splitlines()) == 1 and words in err, err


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", *QUICK, "--out", str(folder)]) == 0
    return folder


def test_train_writes_a_run_folder_and_its_json(capsys, tmp_path):
    folder = tmp_path / "new" / "run"
    got = result(capsys, "train", *QUICK, "--out", folder)
    assert set(got) >= {"run", "epochs", "train_loss", "test_loss", "reconstruction", "kl", "seconds",
                        "steps_per_second"}
    assert got["epochs"] == 2 and got["test_loss"] == pytest.approx(got["reconstruction"] + got["kl"])
    assert sorted(os.listdir(folder)) == [".lock", "config.json", "figures", "history.csv", "model.npz"]
    assert sorted(os.listdir(folder / "figures")) == [
        "kl_per_dimension.png", "latent_plane.png", "learning_curves.png", "reconstructions.png", "samples.png"]
    assert [os.path.relpath(path, folder / "figures") for path in sorted(got["file"])] == sorted(
        os.listdir(folder / "figures"))
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["n_latent"] == 3
    rows = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 3 and rows[0].startswith("epoch,train_loss,train_reconstruction,train_kl,test_loss")
    assert VAE.load(folder / "model.npz").n_latent == 3


def test_a_batch_larger_than_the_data_is_all_of_them_and_says_so_once(capsys, tmp_path):
    status, _, err = command(capsys, "train", *QUICK, "--batch-size", 1439, "--out", tmp_path / "run")
    assert status == 0 and err.count("--batch-size is 1439, but the training data have 1438 rows") == 1
    assert command(capsys, "train", "--resume", "--epochs", 3, "--out", tmp_path / "run")[0] == 0


def test_two_latents_also_give_the_decoded_grid(capsys, tmp_path):
    result(capsys, "train", *QUICK[:-4], "--latent", 2, "--epochs", 1, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "figures" / "decoded_grid.png").stat().st_size > 1000


def test_an_autoencoder_and_a_gaussian_train_too(capsys, tmp_path):
    assert result(capsys, "train", *QUICK, "--model", "ae", "--out", tmp_path / "ae")["kl"] == 0
    result(capsys, "train", *QUICK, "--likelihood", "gaussian", "--sigma", 0.3, "--hidden", "--samples", 2,
           "--optimizer", "sgd", "--learning-rate", 1e-4, "--out", tmp_path / "gaussian")


def test_progress_in_a_pipe_is_one_plain_line_an_epoch(capsys, tmp_path):
    _, out, err = command(capsys, "train", *QUICK, "--out", tmp_path / "run")
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2 and "\r" not in err
    for word in ("loss", "reconstruction", "KL", "held-out", "steps/s", "left"):
        assert word in lines[0]


def test_same_seed_gives_the_same_parameters_on_disk(capsys, tmp_path):
    for name in ("a", "b"):
        result(capsys, "train", *QUICK, "--binarize", "dynamic", "--seed", 7, "--out", tmp_path / name)
    a, b = (VAE.load(tmp_path / name / "model.npz").parameters.flat for name in "ab")
    np.testing.assert_array_equal(a, b)


def test_resume_continues_to_the_bits_of_an_undisturbed_run(capsys, tmp_path):
    result(capsys, "train", *QUICK, "--out", tmp_path / "cut")
    result(capsys, "train", "--resume", "--epochs", 4, "--out", tmp_path / "cut")
    result(capsys, "train", *QUICK[:-1], 4, "--out", tmp_path / "whole")
    a, b = (VAE.load(tmp_path / name / "model.npz").parameters.flat for name in ("cut", "whole"))
    np.testing.assert_array_equal(a, b)
    assert len((tmp_path / "cut" / "history.csv").read_text(encoding="utf-8").splitlines()) == 5


def test_resume_refuses_other_settings_and_no_further_epochs(capsys, run):
    refused(capsys, "--beta is 2.0, but the run", "train", "--resume", "--beta", 2, "--epochs", 9, "--out", run)
    refused(capsys, "has 2 epochs", "train", "--resume", "--out", run, "--epochs", 2)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signal to one process")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_after_the_step_and_saves(tmp_path, number, status):
    arguments = [sys.executable, "-m", "scratchvae", "train", *QUICK[:-1], "100000", "--out", str(tmp_path / "run")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "saved. Go on with: scratchvae train --out" in err and "Traceback" not in err
    assert VAE.load(tmp_path / "run" / "model.npz").n_latent == 3


def test_evaluate_gives_elbo_and_log_likelihood_with_its_tags(capsys, run):
    got = result(capsys, "evaluate", run, "--importance-samples", 50)
    assert set(got) >= {"elbo", "log_likelihood", "stderr", "importance_samples", "active_units", "binarization", "n"}
    assert got["binarization"] == "dynamic" and got["n"] == 359 and got["importance_samples"] == 50
    assert got["elbo"] < got["log_likelihood"] < 0 < got["stderr"]


def test_evaluate_reports_gray_pixels_as_a_loss_only(capsys, run):
    got = result(capsys, "evaluate", run, "--importance-samples", 10, "--binarize", "none")
    assert got["binarization"] == "gray" and got["log_likelihood"] is None and got["loss"] > 0


@pytest.mark.parametrize("name, count", [("sample", "--n"), ("reconstruct", "--n"), ("traverse", "--latents")])
def test_picture_commands_write_a_png_and_name_it(capsys, run, name, count):
    path = result(capsys, name, run, count, 3)["file"]
    with open(path, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_traverse_can_start_from_an_image(capsys, run):
    result(capsys, "traverse", run, "--index", 5)
    refused(capsys, "images 0 to 358", "traverse", run, "--index", 359)


def test_gradcheck_of_all_kinds_and_of_a_run_are_right(capsys, run):
    for got in (result(capsys, "gradcheck"), result(capsys, "gradcheck", run)):
        assert got["ok"] is True and got["worst"] <= 1e-6 and len(got["checks"]) >= 8


def test_python_dash_m_is_the_same_command():
    shown = subprocess.run([sys.executable, "-m", "scratchvae", "--help"], capture_output=True, text=True, check=True)
    for name in ("train", "evaluate", "sample", "reconstruct", "traverse", "attribute", "gradcheck", "bugs",
                 "estimators", "lambda"):
        assert name in shown.stdout


def commands(parser=None):
    """Yield the parser of every command."""
    for action in (parser or build_parser())._actions:
        for parser in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            below = list(commands(parser))
            yield from below or [parser]


def test_each_command_is_found_in_its_own_file_alone():
    for names in COMMANDS.values():
        for name in names:
            action, = (action for action in build_parser([name])._actions if action.choices)
            assert list(action.choices) == names


every_command = pytest.mark.parametrize("parser", list(commands()), ids=lambda parser: parser.prog)


@every_command
def test_help_fits_80_columns_and_ends_with_an_example_that_can_be_typed(capsys, parser):
    words = parser.prog.split()[1:]
    status, out, _ = command(capsys, *words, "--help")
    lines = out.splitlines()
    assert status == 0 and max(map(len, lines)) <= 80
    assert lines[-1].startswith(f"example: {parser.prog}")
    build_parser().parse_args(lines[-1].split()[2:])
    assert "--json" in out and "--threads" in out


# ---- refusals: status 2, one line on standard error, nothing on disk -------------------------------------------


def write_idx(path, array, magic=None, claim=None):
    shape = claim or array.shape
    header = struct.pack(f">{1 + len(shape)}I", magic or {1: 2049, 3: 2051}[array.ndim], *shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(header + array.tobytes())


def idx_folder(path):
    path.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        write_idx(path / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 4, 4), dtype=np.uint8))
        write_idx(path / f"{part}-labels-idx1-ubyte.gz", rng.integers(0, 10, n, dtype=np.uint8))
    return path


def missing_file(folder):
    (folder / "t10k-images-idx3-ubyte.gz").unlink()


def truncated_gzip(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])


def truncated_idx(folder):
    write_idx(folder / "train-images-idx3-ubyte.gz", np.zeros((19, 4, 4), np.uint8), claim=(20, 4, 4))


def mislabeled(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes((folder / "train-labels-idx1-ubyte.gz").read_bytes())


def wrong_magic(folder):
    write_idx(folder / "train-images-idx3-ubyte.gz", np.zeros((20, 4, 4), np.uint8), magic=1234)


def other_size(folder):
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((10, 5, 5), np.uint8))


def too_few_labels(folder):
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(19, np.uint8))


@pytest.mark.parametrize("damage, words", [
    (missing_file, "t10k-images"), (truncated_gzip, "train-images"), (truncated_idx, "cut short"),
    (mislabeled, "labels"), (wrong_magic, "1234"), (other_size, "5 x 5"), (too_few_labels, "19 labels")])
def test_a_damaged_data_folder_is_refused_in_one_line(capsys, tmp_path, damage, words):
    folder = idx_folder(tmp_path / "data")
    assert command(capsys, "train", "--data", folder, "--epochs", 1, "--batch-size", 5, "--hidden", 4, "--latent", 3,
                   "--out", tmp_path / "good")[0] == 0
    damage(folder)
    assert_refused(capsys, tmp_path, words, "--data", folder, "--batch-size", 5)


def assert_refused(capsys, tmp_path, words, *args):
    refused(capsys, words, "train", *args, "--out", tmp_path / "refused", "--json")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("train, words", [
    (np.full((20, 6), np.nan), "nan at row 0"), (np.full((20, 6), 1.5), "[0, 1]"), (np.full((20, 6), -1.0), "[0, 1]"),
    (np.zeros((0, 6)), "empty")])
def test_values_that_cannot_be_trained_on_are_refused_in_one_line(capsys, tmp_path, train, words):
    np.savez(tmp_path / "data.npz", train=train, test=np.zeros((2, 6)))
    assert_refused(capsys, tmp_path, words, "--data", tmp_path / "data.npz", "--batch-size", 5)


@pytest.mark.parametrize("args, words", [
    (["--data", "nowhere/at/all"], "nowhere/at/all"),
    (["--data", "mnist6k"], "mnist5k, digits"),
    (["--latent", "0"], "--latent is 0"),
    (["--latent", "two"], "invalid int value"),
    (["--likelihood", "poisson"], "bernoulli"),
    (["--activation", "gelu"], "relu"),
    (["--model", "gan"], "vae"),
    (["--epochs", "0"], "--epochs is 0"),
    (["--learning-rate", "-1"], "--learning-rate is -1.0"),
    (["--beta", "nan"], "--beta is nan"),
    (["--threads", "0"], "--threads is 0"),
    (["--seed", "-5"], "--seed is -5"),
    (["--frobnicate"], "--frobnicate"),
    (["--resume"], "holds no run"),
])
def test_bad_usage_is_refused_in_one_line(capsys, tmp_path, args, words):
    assert_refused(capsys, tmp_path, words, *args)


def test_a_model_that_does_not_fit_into_memory_is_refused_before_training(capsys, tmp_path, monkeypatch):
    """The kernel killed the process, which could not say why."""
    monkeypatch.setattr("scratchvae.cli.train._memory", lambda: 16_000)
    assert_refused(capsys, tmp_path, "a model of ", *QUICK, "--hidden", 8)
    result(capsys, "train", *QUICK, "--hidden", 8, "--optimizer", "sgd", "--out", tmp_path / "run")


def test_a_folder_that_holds_a_run_is_not_overwritten_unasked(capsys, run):
    before = (run / "model.npz").read_bytes()
    refused(capsys, "already holds a run", "train", *QUICK, "--out", run)
    assert (run / "model.npz").read_bytes() == before


def test_overwrite_replaces_a_run(capsys, tmp_path):
    for seed in (1, 2):
        result(capsys, "train", *QUICK, "--seed", seed, "--overwrite", "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["seed"] == 2


@pytest.mark.parametrize("name", ["evaluate", "sample", "reconstruct", "traverse", "gradcheck"])
def test_a_folder_without_a_run_is_refused_in_one_line(capsys, tmp_path, name):
    refused(capsys, "holds no run", name, tmp_path / "nothing")


def test_an_empty_name_is_not_the_present_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"data": "digits", "model": "vae"}', encoding="utf-8")
    refused(capsys, "error: '' holds no run", "evaluate", "")
    refused(capsys, "DIR is empty; expected the name of a folder. Leave it out for practice.", "practice", "start", "")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_damaged_run_is_refused_in_one_line(capsys, tmp_path):
    result(capsys, "train", *QUICK, "--out", tmp_path / "run")
    model = tmp_path / "run" / "model.npz"
    whole = model.read_bytes()
    model.write_bytes(whole[:len(whole) // 2])
    refused(capsys, "model.npz", "evaluate", tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text("{")
    refused(capsys, "config.json", "sample", tmp_path / "run")


def test_an_autoencoder_has_neither_samples_nor_a_likelihood(capsys, tmp_path):
    result(capsys, "train", *QUICK, "--model", "ae", "--out", tmp_path / "ae")
    for name in ("sample", "evaluate", "traverse"):
        refused(capsys, "autoencoder", name, tmp_path / "ae")
    assert result(capsys, "reconstruct", tmp_path / "ae")["file"].endswith(".png")


def test_no_command_is_bad_usage(capsys):
    refused(capsys, "COMMAND")


# ---- refusals in the words of the command line -------------------------------------------------------------------

# What a command needs so that a flag's value is looked at.
BESIDES = {"train": ["--data", "digits", "--likelihood", "gaussian", "--schedule", "capacity",
                     "--rate-schedule", "steps"],
           "attribute": ["--attribute", "3"], "encode": ["--to", "codes.npy"],
           "interpolate": ["--from", "1", "--to", "2"], "explain": ["E7"],
           "lambda": ["--data", "digits", "--epochs", "1", "--hidden", "4"]}


def numeric_flags():
    for parser in commands():
        for action in parser._actions:
            kind = getattr(action.type, "args", [action.type])[0]                 # also of partial(_or_none, int)
            if kind in (int, float):
                name, flag = parser.prog.split(maxsplit=1)[1], action.option_strings[-1]
                values = ("-1", "1000000000000", "x") if kind is int else ("nan", "1e999", "x")
                for value in values:
                    yield pytest.param(parser, flag, value, id=f"{name} {flag} {value}")


@pytest.mark.parametrize("parser, flag, value", list(numeric_flags()))
def test_a_number_that_is_refused_is_called_by_the_flag_that_was_typed(capsys, run, tmp_path, monkeypatch, parser, flag,
                                                                       value):
    monkeypatch.chdir(tmp_path)
    folder = [str(run) for action in parser._actions if action.dest == "folder"]
    words = parser.prog.split()[1:]
    names = ["mnist" for action in parser._actions if action.dest in ("names", "name", "other") and action.required]
    sgd = ["--optimizer", "sgd"] if flag == "--momentum" else []
    status, out, err = command(capsys, *words, *folder, *names, *BESIDES.get(words[0], ()), *sgd, f"{flag}={value}")
    assert status == 2 and out == "" and len(err.splitlines()) == 1
    assert f"error: {flag} is {value.replace('1e999', 'inf')}; " in err or f"argument {flag}: invalid" in err


@pytest.mark.parametrize("words, meant", [
    (["trian"], "did you mean train?"), (["recon"], "did you mean reconstruct?"), (["frobnicate"], "known are train, "),
    (["train", "--likelihod", "gaussian"], "unknown flag --likelihod; did you mean --likelihood?"),
    (["train", "--learning", "1"], "unknown flag --learning; did you mean --learning-rate?"),
    (["train", "--estimator", "iwea"], "argument --estimator: 'iwea' is unknown; did you mean iwae?"),
    (["train", "--model=gan"], "argument --model: 'gan' is unknown; known are vae, ae."),
    (["data", "fetch", "mnits"], "did you mean mnist?"), (["data", "lits"], "did you mean list?"),
    (["traverse", "run", "--n", "3"],
     "unknown flag --n; known are --help, --json, --threads, --data, --image-shape, --latents, --index."),
    (["train", "digits"], "'digits' is one word too many."),
    (["lambda", "--betas", "0.01"], "--betas is [0.01]; expected two or more different positive numbers."),
    (["lambda", "--betas", "1,x"], "--betas is '1,x'; expected numbers with commas between them."),
])
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(capsys, words, meant):
    refused(capsys, meant, *words)


@pytest.mark.parametrize("message, said", [
    ("n_latent is 0; it must be at least 1.", "--latent is 0; it must be at least 1."),
    ("hidden[1] is -3; expected more.", "--hidden[1] is -3; expected more."),
    ("baseline is 'x'; it needs even n_samples.", "--baseline is 'x'; it needs even --samples."),
    ("the training data have 4 rows; choose batch_size=4.", "the training data have 4 rows; choose --batch-size 4."),
    ('run/config.json says "n_latent": 3.', 'run/config.json says "n_latent": 3.'),
    ("runs/batch_size/n_latent.npz is damaged.", "runs/batch_size/n_latent.npz is damaged."),
    ("choose likelihood='gaussian'.", "choose --likelihood gaussian."), ("n_visible=3.", "n_visible=3."),
    ("n_visible is 3.", "n_visible is 3.")])
def test_words_of_the_library_become_flags_and_nothing_else_does(message, said):
    parser = next(parser for parser in commands() if parser.prog.endswith("train"))
    assert in_flags(parser, message) == said
