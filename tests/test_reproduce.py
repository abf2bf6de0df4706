"""`scratchvae reproduce`: a row trains by its protocol, within a budget, goes on, and is measured and written down."""
import signal

import numpy as np
import pytest
from test_cli import command, result
from test_run_folder import bits, refused

from scratchvae import evaluate
from scratchvae.cli import reproduce
from scratchvae.cli.progress import Progress
from scratchvae.cli.reproduce import IWAE_PAPER, Row, ROWS, STAGES
from scratchvae.cli.train import TRAIN_DEFAULTS
from scratchvae.model_files import load_run

SMALL = dict(hidden=[6], n_latent=2, batch_size=10, rate_schedule="burda", binarize="dynamic")


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """Put two small rows in the place of the papers' ones; return the words of the command."""
    rng, path = np.random.default_rng(0), tmp_path / "small.npz"
    np.savez(path, train=rng.random((40, 6), np.float32), test=rng.random((8, 6), np.float32))
    monkeypatch.setattr(reproduce, "ROWS", {
        "small": Row("-3.00", "nobody", "dynamic pixels, log-likelihood", "mnist", SMALL, (1, 4, 13)),
        "gray": Row("3.00", "nobody", "gray pixels, loss", "mnist", {**SMALL, "binarize": "none"}, (2,))})
    return ["reproduce", "--data", f"mnist={path}", "--importance-samples", 7, "--out", tmp_path / "out"]


def test_the_rows_are_settings_of_train_and_the_stages_are_the_papers():
    assert STAGES == (1, 4, 13, 40, 121, 364, 1093, 3280)
    for row in ROWS.values():
        assert row.settings.keys() <= TRAIN_DEFAULTS.keys()
        assert row.data in reproduce.WANTED and row.stages == tuple(sorted(row.stages))
    assert ROWS["mnist"].settings == IWAE_PAPER and ROWS["mnist-iwae5"].settings["n_samples"] == 5


def test_rows_are_trained_measured_and_written_down(capsys, tmp_path, rows):
    found = result(capsys, *rows, "small", "gray", "--seeds", 2)["rows"]
    assert [(row["row"], row["seed"], row["epochs"]) for row in found] == [
        ("small", 0, 13), ("small", 1, 13), ("gray", 0, 2), ("gray", 1, 2)]
    model = load_run(tmp_path / "out" / "small-1" / "model.npz")[0]
    with np.load(tmp_path / "small.npz") as data:
        again = evaluate(model, data["test"], importance_samples=7, seed=1, binarize="dynamic")
    assert (found[1]["log_likelihood"], found[1]["stderr"]) == (again.log_likelihood, again.stderr)
    assert found[0]["log_likelihood"] != found[1]["log_likelihood"] and found[2]["log_likelihood"] is None
    lines = (tmp_path / "out" / "README.md").read_text().splitlines()
    assert f"| small | 1 | dynamic pixels, log-likelihood | -3.00 | {again.log_likelihood:.2f} |" in lines[-3]
    assert f"| gray | 0 | gray pixels, loss | 3.00 | {found[2]['loss']:.2f} |" in lines[-2]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_a_budget_ends_with_the_last_stage_that_fits_and_a_larger_one_goes_on(capsys, tmp_path, rows):
    status, _, err = command(capsys, *rows, "small", "--budget", 1e-9)
    assert status == 0 and "the next 3 epochs would take 0 min, beyond --budget" in err
    assert result(capsys, *rows, "small", "--budget", 1e-9)["rows"][0]["epochs"] == 1
    assert result(capsys, *rows, "small")["rows"][0]["epochs"] == 13
    went_on = bits(tmp_path / "out" / "small-0")
    result(capsys, *rows[:-1], tmp_path / "whole", "small")
    assert bits(tmp_path / "whole" / "small-0") == went_on
    assert result(capsys, *rows, "small")["rows"][0]["epochs"] == 13           # complete: it is measured again


def test_an_interrupted_row_goes_on(capsys, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(Progress, "after_step", lambda *_: signal.raise_signal(signal.SIGINT))
    status, out, _ = command(capsys, *rows, "small")
    assert status == 130 and out == ""
    monkeypatch.undo()
    reproduce_rows = {"small": Row("-3.00", "nobody", "dynamic", "mnist", SMALL, (1, 4, 13))}
    monkeypatch.setattr(reproduce, "ROWS", reproduce_rows)
    result(capsys, *rows, "small")
    result(capsys, *rows[:-1], tmp_path / "whole", "small")
    assert bits(tmp_path / "out" / "small-0") == bits(tmp_path / "whole" / "small-0")


@pytest.mark.parametrize("words, said", [
    (["nothing"], "TABLE is 'nothing'; known are mnist, "), (["mnist", "--seeds", 0], "--seeds is 0"),
    (["mnist", "--budget", 0], "--budget is 0"),
    (["mnist", "--data", "mnist"], "--data is 'mnist'; expected NAME=PATH of something that is there"),
    ([], "static needs data that are neither bundled nor fetched: an .npz"),
    (["mnist", "--importance-samples", -1], "--importance-samples is -1"),
    (["frey"], "frey needs data that are neither bundled nor fetched: an .npz"),
    (["frey", "--data", "frey=/nowhere.npz"], "--data is 'frey=/nowhere.npz'; expected NAME=PATH"),
])
def test_wrong_words_are_refused(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    refused(capsys, said, "reproduce", *words)
