"""Codes, walks, exports and comparisons of runs, from the command line."""
import json
import subprocess
import sys

import numpy as np
import pytest
from test_cli import command, refused, result
from test_formats import csv

from scratchvae import load_data, VAE
from scratchvae.cli.codes import ACTIVATIONS
from scratchvae.cli.main import main
from scratchvae.cli.run_folder import Run
from scratchvae.layers import ACTIVATIONS as KNOWN
from scratchvae.likelihoods import LIKELIHOODS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on digits of two epochs, without its figures."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "draw", lambda *_: [])
        assert main(["train", "--data", "digits", "--hidden", "16", "--latent", "3", "--epochs", "2", "--out",
                     str(folder)]) == 0
    return folder


@pytest.mark.parametrize("part", ["test", "train"])
def test_encode_writes_the_posterior_means_with_the_labels(capsys, run, tmp_path, part):
    data, vae = load_data("digits"), VAE.load(run / "model.npz")
    rows, numbers = (data.test, data.test_labels) if part == "test" else (data.train, data.train_labels)
    for name in ("codes.npy", "codes.csv"):
        assert result(capsys, "encode", run, "--to", tmp_path / name, "--part", part)["n"] == len(rows)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), vae.transform(rows))
    table = np.loadtxt(tmp_path / "codes.csv", delimiter=",", skiprows=1)
    assert (tmp_path / "codes.csv").read_text(encoding="utf-8").startswith("label,z1,z2,z3\n")
    np.testing.assert_array_equal(table[:, 0], numbers)
    np.testing.assert_array_equal(table[:, 1:].astype(np.float32), vae.transform(rows))


def test_codes_of_data_without_labels_have_no_column_of_them(capsys, tmp_path, no_figures):
    data = csv(tmp_path / "a.csv", np.random.default_rng(0).random((20, 5)))
    result(capsys, "train", "--data", data, "--hidden", "--latent", 1, "--epochs", 1, "--batch-size", 9, "--model",
           "ae", "--out", tmp_path / "run")
    result(capsys, "encode", tmp_path / "run", "--to", tmp_path / "codes.csv")
    assert (tmp_path / "codes.csv").read_text(encoding="utf-8").splitlines()[0] == "z1"


@pytest.mark.parametrize("words, said", [
    (["encode", "RUN", "--to", "codes.txt"], "--to is 'codes.txt'"), (["encode", "RUN"], "--to"),
    (["encode", "RUN", "--to", "."], "ends in .csv or .npy. Pass for example codes.csv"),
    (["encode", "RUN", "--to", "RUN/history.csv"], "history.csv', a file of the run in"),
    (["export", "RUN", "--to", "RUN/model.npz"], "model.npz', a file of the run in"),
    (["export", "RUN", "--to", "RUN/Model.NPZ"], "Model.NPZ', a file of the run in"),           # on Windows and macOS
    (["encode", "RUN", "--to", "no/such/folder/a.npy"], "no/such/folder"),
    (["encode", "RUN", "--to", "a.npy", "--part", "all"], "'all' is unknown"),
    (["interpolate", "RUN", "--from", 0, "--to", 359], "--to is 359; the test part has images 0 to 358"),
    (["interpolate", "RUN", "--from", -1, "--to", 3], "--from is -1"),
    (["interpolate", "RUN", "--from", 1, "--to", 3, "--n", 1], "--n is 1"),
    (["compare", "RUN", "nowhere"], "nowhere holds no run"), (["export", "RUN", "--to", ""], "--to is ''"),
    (["export", "nowhere"], "nowhere holds no run")])
def test_what_cannot_be_is_refused_in_one_line(capsys, run, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    before = [(run / name).read_bytes() for name in ("model.npz", "history.csv")]
    refused(capsys, said, *(str(word).replace("RUN", str(run)) for word in words))
    assert before == [(run / name).read_bytes() for name in ("model.npz", "history.csv")]


def test_interpolate_draws_both_paths(capsys, run):
    got = result(capsys, "interpolate", run, "--from", 3, "--to", 7)
    assert got["file"].endswith("interpolation-3-7.png") and (run / "figures" / "interpolation-3-7.png").exists()


MODELS = [("bernoulli", activation) for activation in ACTIVATIONS] + [(name, "tanh") for name in LIKELIHOODS]


def test_every_activation_has_its_line_in_an_export():
    assert ACTIVATIONS.keys() == set(KNOWN)


@pytest.mark.parametrize("likelihood, activation", MODELS)
def test_an_exported_script_decodes_without_this_package(capsys, tmp_path, monkeypatch, likelihood, activation):
    vae = VAE(64, 3, hidden=(5, 4), likelihood=likelihood, activation=activation, dtype="float64")
    vae.parameters.flat[:] = np.random.default_rng(0).normal(size=vae.parameters.flat.size)
    vae.parameters.decoder.head.b[0] = -50                            # a pixel that is as good as never on
    folder = tmp_path / "run"
    folder.mkdir()
    vae.save(folder / "model.npz")
    (folder / "config.json").write_text(json.dumps({"data": "digits", "model": "vae"}))
    monkeypatch.chdir(tmp_path)
    assert result(capsys, "export", folder, "--to", ".")["file"] == ["weights.npz", "decode.py"]
    assert result(capsys, "export", folder)["file"][1].endswith("decode.py")
    segments = np.load(folder / "export" / "weights.npz")
    assert list(segments) == [name for name, _ in vae.parameters.segments()]
    z = np.vstack([np.zeros((1, 3)), np.random.default_rng(1).normal(size=(6, 3))])
    np.save(tmp_path / "codes.npy", z)
    subprocess.run([sys.executable, "-I", folder / "export" / "decode.py", "codes.npy", "images.npy"], cwd=tmp_path,
                   check=True)
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), vae.decode(z), rtol=1e-9,
                               atol=1e-9 if likelihood == "continuous_bernoulli" else 0)       # a short series near 0


def test_compare_shows_what_differs_and_whether_the_data_do(capsys, run, tmp_path, no_figures):
    other = tmp_path / "other"
    result(capsys, "train", "--data", "digits", "--hidden", 8, "--latent", 3, "--epochs", 1, "--out", other)
    got = result(capsys, "compare", run, other)
    assert got["settings"] == {"hidden": [[16], [8]], "epochs": [2, 1]} and got["same_data"]
    assert got["numbers"]["held-out loss"][0] == pytest.approx(Run.open(run).load_model()[2]["history"][-1][4])
    assert got["numbers"]["parameters"][1] == VAE.load(other / "model.npz").parameters.flat.size
    _, out, _ = command(capsys, "compare", run, run)
    assert out.splitlines()[0].split() == [str(run)] * 2                # its name alone may be that of both, or empty
    assert "hidden" not in out and "held-out loss" in out


def test_a_run_on_ones_own_table_has_every_command(capsys, tmp_path):
    """Names with dollar signs, labels of eleven digits, one latent, data under another name through a link."""
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{20230101000 + k}" for k, (a, b) in enumerate(rng.random((60, 2)))]
    (tmp_path / "3fa9c1").write_text("price_$,cost_$,label\n" + "\n".join(rows) + "\n")
    try:
        (tmp_path / "cost $ and fee $.csv").symlink_to("3fa9c1")
    except OSError:                                                    # Windows, without the privilege
        (tmp_path / "3fa9c1").rename(tmp_path / "cost $ and fee $.csv")
    data, run = tmp_path / "cost $ and fee $.csv", tmp_path / "run"
    found = result(capsys, "train", "--data", data, "--hidden", 4, "--latent", 1, "--epochs", 1, "--batch-size", 20,
                   "--out", run)
    assert found["epochs"] == 1 and (run / "figures" / "samples.png").is_file()
    result(capsys, "data", "show", data, "--figure", tmp_path / "shown.png")
    result(capsys, "interpolate", run, "--from", 0, "--to", 1)
    result(capsys, "encode", run, "--to", tmp_path / "codes.csv")
    assert (tmp_path / "codes.csv").read_text(encoding="utf-8").splitlines()[1].startswith("20230101")
    refused(capsys, "--image-shape is (5, 5)", "explore", run, "--image-shape", "5x5")


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")     # of twins
def test_what_overflows_half_precision_is_not_exported_and_an_encoder_that_overflows_is_drawn(capsys, tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 2)) * [1, 1e6]
    np.savetxt(tmp_path / "raw.csv", rows, delimiter=",", header="a,b", comments="")
    command(capsys, "train", "--data", tmp_path / "raw.csv", "--likelihood", "gaussian_diagonal", "--latent", 2,
            "--hidden", 16, "--epochs", 2, "--batch-size", 20, "--out", tmp_path / "run")
    result(capsys, "figures", tmp_path / "run")
    assert "gray" not in command(capsys, "evaluate", tmp_path / "run", "--importance-samples", 2)[1]
    np.savetxt(tmp_path / "far.csv", rows * [1, 1e-6] + [7e4, 0], delimiter=",", header="a,b", comments="")
    result(capsys, "train", "--data", tmp_path / "far.csv", "--likelihood", "gaussian", "--latent", 1, "--hidden", 4,
           "--epochs", 1, "--batch-size", 20, "--learning-rate", 1e-6, "--seed", 1, "--out",
           tmp_path / "far")
    refused(capsys, "half precision ends at 65504", "export", tmp_path / "far", "--to", tmp_path / "far.npz")
    assert not (tmp_path / "far.npz").exists()
