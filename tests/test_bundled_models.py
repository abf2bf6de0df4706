"""Models by name: the bundled one is good, small and taken wherever a run is; `export` makes such a file of a run."""
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_cli import command, result
from test_run_folder import refused, trained

from scratchvae import evaluate, load_data, load_model
from scratchvae.bundled_models import BUNDLED_MODELS, MODELS
from scratchvae.errors import ConfigurationError, RunError
from scratchvae.model_files import load_run
from scratchvae.storage.checkpoint import load_arrays

README = (MODELS / "README.md").read_text(encoding="utf-8")


def measured(words):
    """Return the numbers of the line of models/README.md that begins with these words."""
    return [float(number) for number in re.findall(r"-?\d+\.\d+", re.search(rf"\| {words}.*", README)[0])]


def test_the_bundled_model_is_as_good_as_the_run_that_it_was_made_of():
    elbo, test = measured("ELBO on the 1,000 held-out images of mnist5k")[0], load_data("mnist5k").test
    found = evaluate(load_model("mnist"), test, importance_samples=1, binarize="dynamic")
    assert abs(found.elbo - elbo) < 0.05                       # that of the run's own float32, with the same draws
    assert found.active_units >= 15


def test_the_bundled_files_are_the_ones_described_and_small():
    assert {path.name for path in MODELS.iterdir()} == {"README.md", *(f"{name}.npz" for name in BUNDLED_MODELS)}
    for name in BUNDLED_MODELS:
        file = MODELS / f"{name}.npz"
        assert hashlib.sha256(file.read_bytes()).hexdigest() in README
        assert file.stat().st_size < 1_000_000
        meta, arrays = load_arrays(file)[1:]
        assert arrays["parameters"].dtype == np.float16 and not re.search(r"[/\\]", json.dumps(meta))
        assert f"{len(arrays['history']):,} epochs" in README


def test_the_bundled_model_has_the_papers_shapes_and_can_be_trained_on():
    model = load_model("mnist")
    assert (model.hidden, model.n_latent, model.activation, model.dtype) == ((200, 200), 50, "tanh", "float32")
    assert {name: view.shape for name, view in model.parameters.segments()}["decoder.head.W"] == (200, 784)
    before = model.parameters.flat.copy()
    model.partial_fit(load_data("mnist5k").train[:20], batch_size=20, binarize="dynamic")
    assert 0 < np.abs(model.parameters.flat - before).max() < 0.01


def test_commands_take_the_bundled_model_by_name_and_write_beside_the_users_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(MODELS.iterdir())
    page = Path(result(capsys, "explore", "mnist")["file"])                            # the first one makes the folder
    assert '"data":"mnist, of which mnist5k, shown here, is a part"' in page.read_text(encoding="utf-8")
    assert result(capsys, "sample", "mnist")["file"].endswith("samples.png")
    assert result(capsys, "evaluate", "mnist", "--importance-samples", 1)["n"] == 1000
    assert len(result(capsys, "export", "mnist")["file"]) == 2
    assert result(capsys, "compare", "mnist", "mnist")["same_data"] is None
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {f"runs/bundled-mnist/{name}" for name in
                     ("explore.html", "figures/samples.png", "export/weights.npz", "export/decode.py")}
    assert sorted(MODELS.iterdir()) == before
    status, _, err = command(capsys, "reconstruct", "mnist", "--data", "digits")
    assert status == 2 and "digits has 64 numbers an example; the run in" in err.splitlines()[-1]
    status, _, err = command(capsys, "explore", "mnist", "--film")
    assert status == 2 and "mnist.npz does not say how far its training came" in err.splitlines()[-1]
    refused(capsys, "holds no run", "sample", "./mnist")
    refused(capsys, "holds no run", "train", "--out", "mnist", "--resume")


@pytest.mark.parametrize("keep", ["last", "best"])
def test_an_exported_file_is_the_model_in_half_the_digits(capsys, tmp_path, keep):
    run = trained(capsys, tmp_path, keep=keep)
    result(capsys, "export", run, "--to", tmp_path / "small.npz")
    model, meta, arrays = load_run(tmp_path / "small.npz")
    whole = load_model(run)
    assert result(capsys, "compare", "mnist", run)["settings"]["data"][0] == "mnist"        # not what it is shown
    np.testing.assert_array_equal(model.parameters.flat, whole.parameters.flat.astype(np.float16).astype(np.float32))
    assert repr(model) == repr(whole) and len(whole.history_) == 2
    assert meta["config"]["data"] == "data" and meta["config"]["epochs"] == len(arrays["history"]) == 2
    assert str(tmp_path) not in json.dumps(meta)


@pytest.mark.parametrize("source, error, words", [
    (3, ConfigurationError, "source is int; expected the name mnist, a run folder"),
    ("mnist5k", RunError, "mnist5k does not exist"), ("", ConfigurationError, "path is ''")])
def test_what_is_no_model_is_refused(tmp_path, monkeypatch, source, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        load_model(source)
