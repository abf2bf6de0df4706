"""What a notebook shows: a line that is rewritten, curves, tables; and what an interruption leaves."""
import io

import numpy as np
import pytest

from scratchvae import evaluate, VAE
from scratchvae.gradcheck import check_model
from scratchvae.progress_line import ProgressLine

X = (np.random.default_rng(0).random((30, 6)) > 0.5).astype(float)


def kernel_stream():
    """A stream such as the one of a notebook's kernel."""
    return type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()


def shown(text):
    """What a notebook leaves of a text: after a carriage return a line is written over."""
    lines = [""]
    for letter in text:
        if letter == "\n":
            lines.append("")
            place = 0
        elif letter == "\r":
            place = 0
        else:
            place = place if lines[-1] else 0
            lines[-1] = lines[-1][:place] + letter + lines[-1][place + 1:]
            place += 1
    return [line.rstrip() for line in lines]


def made():
    return VAE(6, 2, hidden=(4,), dtype="float64")


def test_a_notebook_sees_one_line_that_is_rewritten_and_then_closed(monkeypatch):
    monkeypatch.setattr("sys.stdout", stream := kernel_stream())
    vae = made().fit(X, epochs=12, batch_size=10, validation=X, callback=ProgressLine())
    last = vae.history_[-1]
    assert shown(stream.getvalue()) == [f"epoch 12  loss {last.train_loss:.2f}  held-out {last.test_loss:.2f} nats", ""]


def test_a_shorter_line_leaves_nothing_of_a_longer_one(monkeypatch):
    monkeypatch.setattr("sys.stdout", stream := kernel_stream())
    line, epoch = ProgressLine(), made().fit(X, epochs=1, batch_size=10).history_[0]
    line(None, epoch._replace(train_loss=1e9))
    line(None, epoch._replace(train_loss=1.0))
    line.close()
    line.close()
    assert shown(stream.getvalue()) == ["epoch 1  loss 1.00 nats", ""]


def test_a_pipe_gets_a_line_an_epoch(capsys):
    made().fit(X, epochs=3, batch_size=10, callback=ProgressLine())
    out = capsys.readouterr().out
    assert [line.split("  ")[0] for line in out.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"] and "\r" not in out


def test_an_interrupted_model_is_usable_and_its_line_is_closed(monkeypatch):
    monkeypatch.setattr("sys.stdout", stream := kernel_stream())
    line = ProgressLine()
    vae, undisturbed = made(), made().fit(X, epochs=2, batch_size=10)

    def interrupt(model, epoch):
        line(model, epoch)
        if epoch.epoch == 2:
            raise KeyboardInterrupt
    interrupt.close = line.close
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X, epochs=9, batch_size=10, callback=interrupt)
    assert stream.getvalue().endswith("\n")
    np.testing.assert_array_equal(vae.sample(3), undisturbed.sample(3))
    assert len(vae.history_) == 2
    vae.partial_fit(X, epochs=3, batch_size=10)
    np.testing.assert_array_equal(vae.parameters.flat, made().fit(X, epochs=5, batch_size=10).parameters.flat)


def test_curves_and_tables_are_what_a_notebook_can_show():
    vae = made().fit(X, epochs=2, batch_size=10)
    assert vae.history_.plot()._repr_png_().startswith(b"\x89PNG")
    for table in (vae.history_, evaluate(vae, X, importance_samples=3), check_model(vae, X, np.zeros((30, 2)))):
        assert table._repr_html_().startswith("<table>")
