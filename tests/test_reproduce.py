"""`scratchvae reproduce`: a row trains by its protocol, within a budget, goes on, and is measured and written down."""
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from test_cli import command, result
from test_run_folder import bits, refused

from scratchvae import evaluate
from scratchvae.cli import published, reproduced
from scratchvae.cli.progress import Progress
from scratchvae.cli.published import IWAE_PAPER, Row, ROWS, STAGES
from scratchvae.cli.reproduced import curves, expected, expected_text, merged, page, read_records, Record, RECORDED
from scratchvae.cli.train import TRAIN_DEFAULTS
from scratchvae.model_files import load_run

SMALL = dict(hidden=[6], n_latent=2, batch_size=10, rate_schedule="burda", binarize="dynamic")


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """Put two small rows in the place of the papers' ones; return the words of the command."""
    rng, path = np.random.default_rng(0), tmp_path / "small.npz"
    np.savez(path, train=rng.random((40, 6), np.float32), test=rng.random((8, 6), np.float32))
    for name in reversed(list(ROWS)):                     # which puts them back in their order
        monkeypatch.delitem(ROWS, name)
    monkeypatch.setitem(ROWS, "small", Row(-3.0, "dynamic pixels", "mnist", SMALL, "nobody", (1, 4, 13)))
    monkeypatch.setitem(ROWS, "gray", Row(3.0, "gray pixels", "mnist", {**SMALL, "binarize": "none"}, "nobody", (2,),
                                          True))
    monkeypatch.setattr(reproduced, "RECORDED", tmp_path / "recorded.csv")
    monkeypatch.setitem(published.WANTED, "mnist", ("six numbers", (40, 6)))
    return ["reproduce", "--data", f"mnist={path}", "--importance-samples", 7, "--out", tmp_path / "out"]


def test_the_rows_are_settings_of_train_and_the_stages_are_the_papers():
    assert STAGES == (1, 4, 13, 40, 121, 364, 1093, 3280)
    for row in ROWS.values():
        assert row.settings.keys() <= TRAIN_DEFAULTS.keys()
        assert row.data in {"mnist5k", *published.WANTED} and row.stages == tuple(sorted(row.stages))
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
    losses, likelihoods = zip(*((row["loss"], row["log_likelihood"]) for row in found[:2]))
    lines = (tmp_path / "out" / "README.md").read_text(encoding="utf-8").splitlines()
    assert "| small, published | 13 | | | -3.00 | | | | | |" in lines
    assert any(line.startswith(f"| small | 13 of 13 | 2 | {-max(losses):.2f} to {-min(losses):.2f} | "
                               f"{min(likelihoods):.2f} to {max(likelihoods):.2f} | ") for line in lines)
    assert "| gray, published | 2 | | 3.00 | | | | | | |" in lines
    assert any(line.startswith("| gray | 2 of 2 | 2 | ") for line in lines)
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert (tmp_path / "out" / "curves.png").exists()


def test_a_budget_ends_with_the_last_stage_that_fits_and_a_larger_one_goes_on(capsys, tmp_path, rows):
    status, _, err = command(capsys, *rows, "small", "--budget", 1e-9)
    assert status == 0 and "the next 3 epochs would take 0.1 min, beyond --budget" in err
    assert result(capsys, *rows, "small", "--budget", 1e-9)["rows"][0]["epochs"] == 1
    assert result(capsys, *rows, "small")["rows"][0]["epochs"] == 13
    went_on = bits(tmp_path / "out" / "small-0")
    result(capsys, *rows[:-1], tmp_path / "whole", "small")
    assert bits(tmp_path / "whole" / "small-0") == went_on
    assert result(capsys, *rows, "small")["rows"][0]["epochs"] == 13           # complete: it is measured again


def test_a_run_that_was_removed_does_not_stop_the_others(capsys, tmp_path, rows):
    """Its curve was looked for after hours of training.  Now what was recorded is drawn of it."""
    result(capsys, *rows, "gray", "small", "--seeds", 2)
    for name in ("gray-0", "gray-1", "small-1"):
        shutil.rmtree(tmp_path / "out" / name)
    assert [row["seed"] for row in result(capsys, *rows, "small")["rows"]] == [0]
    records = read_records(tmp_path / "out" / "reproduced.csv")
    (_, small), (_, gray) = curves(tmp_path / "out", records).values()
    assert len(records) == 8 and [curve.shape[1] for curve in small["small"][1]] == [13, 3]     # every epoch; stages
    for (curve,), record in zip(np.swapaxes(gray["gray"][1], 1, 2), records[6:], strict=True):
        assert tuple(curve) == record[2:4]


def test_a_readme_of_somebody_else_is_not_replaced(capsys, tmp_path, rows):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine", encoding="utf-8")
    refused(capsys, "has a README.md and no reproduced.csv", *rows, "gray")
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8") == "mine"


def test_an_interrupted_row_goes_on(capsys, tmp_path, rows, monkeypatch):
    with monkeypatch.context() as interrupted:
        interrupted.setattr(Progress, "after_step", lambda *_: signal.raise_signal(signal.SIGINT))
        status, out, _ = command(capsys, *rows, "small")
    assert status == 130 and out == ""
    result(capsys, *rows, "small")
    result(capsys, *rows[:-1], tmp_path / "whole", "small")
    assert bits(tmp_path / "out" / "small-0") == bits(tmp_path / "whole" / "small-0")


def test_a_run_is_told_beside_what_was_recorded_and_one_far_from_it_ends_with_1(capsys, tmp_path, rows):
    status, out, err = command(capsys, *rows, "small", "--budget", 1e-9)
    assert status == 0 and "expected" not in out and "to expect: not recorded yet" in err
    (record,) = read_records(tmp_path / "out" / "reproduced.csv")

    def recorded(*losses):
        text = "".join(f"\nsmall,{seed},1,{loss},0.1,m,nan,nan,0,0,0" for seed, loss in enumerate(losses))
        (tmp_path / "recorded.csv").write_text(",".join(Record._fields) + text)
        return command(capsys, *rows, "small", "--budget", 1e-9)

    near, far = record.loss + 0.29, record.loss + 0.31
    status, out, err = recorded(near, near + 1)
    assert status == 0 and f"expected {near:.2f} to {near + 1:.2f}" in out and "far" not in out
    assert f"to expect: {near:.2f} to {near + 1:.2f} after 1 epochs" in err
    status, out, _ = recorded(far, far + 1)
    assert status == 1 and f"far from it: after 1 epochs the held-out loss was {record.loss:.2f}" in out
    status, out, _ = recorded(far)                             # one seed does not tell how wide the range is
    assert status == 0 and f"expected {far:.2f}," in out


def test_the_range_of_one_seed_is_as_wide_as_that_of_the_last_epoch_with_several(monkeypatch, tmp_path):
    path = tmp_path / "recorded.csv"
    path.write_text(",".join(Record._fields) + "".join(f"\n{line},0.1,m,nan,nan,0,0,0" for line in (
        "mnist,0,1,120.0", "mnist,1,1,121.0", "mnist,0,4,110.0", "mnist,1,4,110.5", "mnist,2,4,110.25"))
        + "\nmnist,0,13,100.0,0.1,m,-93.0,0.2,50,100,9")
    monkeypatch.setattr(reproduced, "RECORDED", path)
    assert [expected("mnist", epochs) for epochs in (1, 4, 13, 40)] == [(120, 121), (110, 110.5), (99.5, 100.5), None]
    assert expected_text("mnist", 13) == "99.50 to 100.50 (log-likelihood -93.00 +- 0.20)"
    assert (expected_text("mnist", 40), expected_text("mnist", 1)) == ("", "120.00 to 121.00")


def test_an_estimate_stays_until_another_replaces_it():
    bound = Record("mnist", 0, 13, 99.0, 1.0, "m")
    estimate = bound._replace(log_likelihood=-93.0, stderr=0.2, importance_samples=50, n=100)
    assert merged([estimate], [bound]) == merged([bound], [estimate]) == [estimate]
    assert merged([estimate], [bound._replace(loss=98.0)]) == [bound._replace(loss=98.0)]       # another training
    assert merged([], [bound._replace(row="static"), bound._replace(epochs=40), bound])[0] == bound


def test_the_page_of_the_projects_results_says_what_is_recorded():
    path = Path(__file__).parents[1] / "benchmarks" / "results" / "README.md"
    if not path.exists():
        pytest.skip("not a checkout")
    records = read_records(RECORDED)
    assert path.read_text(encoding="utf-8") == page(records)
    assert {record.row for record in records} <= ROWS.keys() and len(records) > 20


@pytest.mark.parametrize("words, said", [
    (["nothing"], "TABLE is 'nothing'; known are mnist, "), (["mnist", "--seeds", 0], "--seeds is 0"),
    (["mnist", "--budget", 0], "--budget is 0"), (["mnist", "--out", ""], "--out is empty"),
    (["mnist", "--data", "mnist"], "--data is 'mnist'; expected NAME=PATH of something that is there"),
    ([], "static needs data that are neither bundled nor fetched: an .npz"),
    (["mnist", "--importance-samples", -1], "--importance-samples is -1"),
    (["frey"], "frey needs data that are neither bundled nor fetched: an .npz"),
    (["frey", "--data", "frey=/nowhere.npz"], "--data is 'frey=/nowhere.npz'; expected NAME=PATH"),
    (["pytorch", "--data", "mnist=8x8.npy"], "training examples of shape (36, 64); expected (60000, 784): a folder"),
    (["frey", "--data", "frey=8x8.npy"], "with training examples of shape (36, 64); expected (1765, 560): an .npz"),
])
def test_wrong_words_are_refused(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    np.save("8x8.npy", np.random.default_rng(0).random((40, 8, 8)))
    refused(capsys, said, "reproduce", *words)


HEAD = ",".join(Record._fields) + "\n"


@pytest.mark.parametrize("text", [f"{HEAD}small,x", f"{HEAD}small", f"{HEAD}other,0,1,3.0,0.1,m,nan,nan,0,0,0",
                                  "somebody's notes", "name,score\n", ""])
def test_damaged_records_are_refused_before_training(capsys, tmp_path, rows, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "reproduced.csv").write_text(text)
    refused(capsys, "reproduced.csv holds no records of `scratchvae reproduce`", *rows, "small", "--budget", 1e-9)
