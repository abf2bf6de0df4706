"""Labels in the model: q(z | x, y) and p(x | z, y) by one-hot columns, held to finite differences and to an oracle."""
import copy
import importlib
import sys

import numpy as np
import pytest
from test_cli import command, result
from test_formats import csv

from scratchvae import Autoencoder, evaluate, load_data, VAE
from scratchvae.analysis.elbo_decomposition import optimize_posteriors
from scratchvae.errors import ScratchVAEError
from scratchvae.estimators import ESTIMATORS
from scratchvae.gradcheck import assert_ok, check_model
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.oracles import LinearGaussian, Quadrature, sigma_points
from scratchvae.parameters import Affine

D, Z, C, N = 6, 2, 3, 5
RNG = np.random.default_rng(0)
X, Y = RNG.random((N, D)), np.array([0, 2, 1, 2, 2])


def made(**settings):
    vae = VAE(D, Z, **{"hidden": (4,), "activation": "tanh", "dtype": "float64", "n_conditions": C, **settings})
    vae.parameters.flat[:] = np.random.default_rng(1).normal(size=vae.parameters.flat.size) / 2
    return vae


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_s_gradient_is_that_of_its_loss(estimator):
    vae = made(estimator=estimator, n_samples=2)
    eps = RNG.standard_normal((N, 2, Z))
    assert_ok(check_model(vae, vae.join(X, Y), eps))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_looks_at_the_pixels_alone(likelihood):
    vae, eps = made(likelihood=likelihood), RNG.standard_normal((N, Z))
    assert_ok(check_model(vae, vae.join(X, Y), eps))


def linear():
    """A linear VAE with conditions, and for each label the oracle of the world that it is then."""
    vae = made(hidden=(), likelihood="gaussian", sigma=0.7)
    e, d = vae.parameters.encoder.head, vae.parameters.decoder.head
    worlds = [LinearGaussian(d.W[:Z], d.b + d.W[Z + y], 0.7, encoder=Affine(e.W[:D].copy(), e.b + e.W[D + y]))
              for y in range(C)]
    return vae, worlds


def test_the_linear_gaussian_oracle_of_each_label_agrees():
    vae, worlds = linear()
    points = sigma_points(Z)
    loss = [np.mean([vae.objective(vae.join(x[None], [y]), eps[None]).loss for eps in points]) for x, y in zip(X, Y)]
    exact = [-worlds[y].elbo(x[None])[0] for x, y in zip(X, Y)]
    np.testing.assert_allclose(loss, exact, rtol=1e-12)


def test_evaluate_finds_log_p_of_x_given_y():
    vae, worlds = linear()
    found = evaluate(vae, vae.join(X, Y), importance_samples=20_000)
    exact = np.mean([worlds[y].log_p(x[None])[0] for x, y in zip(X, Y)])
    assert found.elbo < found.log_likelihood and abs(found.log_likelihood - exact) < 0.05
    best = optimize_posteriors(vae, vae.join(X, Y), steps=300)
    for x, y, mu in zip(X, Y, best.mu):
        np.testing.assert_allclose(mu, worlds[y].best_diagonal(x[None]).mu[0], atol=0.05)


def test_training_with_labels_decodes_each_label_as_its_class():
    """Three classes that differ in where the light is, and a style that no label tells: how much light there is."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, 600)
    x = np.zeros((600, D))
    x[np.arange(600), 2 * y] = x[np.arange(600), 2 * y + 1] = rng.random(600)
    vae = VAE(D, 1, hidden=(16,), likelihood="gaussian", sigma=0.1, n_conditions=C)
    vae.fit(x, y, epochs=60, batch_size=50, learning_rate=1e-2, validation=(x[:50], y[:50]))
    assert vae.history_[-1].test_loss < vae.history_[0].test_loss - 1
    for label in range(C):
        light = vae.sample(50, y=label)
        assert (light.reshape(50, C, 2).sum(axis=2).mean(axis=0).argmax() == label)
        own, others = x[y == label], (label + 1) % C
        changed = vae.decode(vae.transform(vae.join(own, y[y == label])), y=others)[:, 2 * others]
        assert abs(np.corrcoef(changed, own.max(axis=1))[0, 1]) > 0.95           # the style is held, bright or dark


def test_levels_and_floats_mean_the_same_and_joined_rows_pass():
    levels = RNG.integers(0, 256, (40, D), dtype=np.uint8)
    y = np.arange(40) % C
    one = made().fit(levels, y, epochs=2, batch_size=10, binarize="dynamic")
    two = made().fit(levels / 255, y, epochs=2, batch_size=10, binarize="dynamic")
    three = made().fit(one.join(levels, y), epochs=2, batch_size=10, binarize="dynamic")
    np.testing.assert_allclose(one.parameters.flat, two.parameters.flat, rtol=1e-9)
    np.testing.assert_array_equal(one.parameters.flat, three.parameters.flat)
    np.testing.assert_allclose(one.score(levels, y), one.score(one.join(levels, y)))
    assert one.reconstruct(one.join(levels, y)).shape == (40, D)


def test_validation_may_come_with_labels_and_fit_transform_knows_them():
    y = np.arange(40) % C
    x = RNG.random((40, D))
    plain = VAE(D, Z, hidden=(4,))
    one, two = (copy.deepcopy(plain).fit(x, y, batch_size=20, epochs=2, validation=rows) for rows in ((x, y), x))
    assert one.history_[-1].test_loss == two.history_[-1].test_loss
    vae = made()
    codes = vae.fit_transform(x, y, batch_size=20, epochs=1, validation=(x, y))
    np.testing.assert_array_equal(codes, vae.transform(vae.join(x, y)))
    for wrong in ((x, y, y), [x, y]):
        with pytest.raises(ScratchVAEError, match="validation"):
            vae.fit(x, y, batch_size=20, epochs=1, validation=wrong)


def test_a_saved_copied_and_exchanged_model_keeps_its_conditions(tmp_path):
    vae = made()
    vae.save(tmp_path / "a.npz")
    for other in (VAE.load(tmp_path / "a.npz"), copy.deepcopy(vae),
                  VAE.from_state_dict(vae.to_state_dict(), activation="tanh", n_conditions=C)):
        np.testing.assert_array_equal(other.sample(4, y=[0, 1, 2, 2]), vae.sample(4, y=[0, 1, 2, 2]))
    assert "n_conditions=3" in repr(vae) and vae.get_params()["n_conditions"] == C


def test_a_model_without_conditions_has_the_bits_that_it_had_and_ignores_labels():
    digits = load_data("digits")
    vae = VAE(64, 3, hidden=(8,), dtype="float64")
    alone = copy.deepcopy(vae).fit(digits.train, epochs=1)
    np.testing.assert_array_equal(vae.fit(digits.train, digits.train_labels, epochs=1).parameters.flat,
                                  alone.parameters.flat)


FAULTS = {
    "no label": lambda vae: vae.sample(3), "no labels": lambda vae: vae.fit(X, epochs=1),
    "a label too large": lambda vae: vae.fit(X, Y + 1, epochs=1), "a label below 0": lambda vae: vae.sample(3, y=-1),
    "half a label": lambda vae: vae.decode(np.zeros((1, Z)), y=0.5), "too few": lambda vae: vae.fit(X, Y[:4], epochs=1),
    "one for all rows": lambda vae: vae.join(X, Y[:, None]), "text": lambda vae: vae.sample(1, y="3"),
    "rows without labels": lambda vae: vae.encode(X), "a list without labels": lambda vae: vae.encode(X.tolist()),
    "images without labels": lambda vae: vae.fit(X.reshape(N, 2, 3), epochs=1),
    "levels joined with ones": lambda vae: vae.encode(np.hstack([np.uint8(255 * X), np.eye(3, dtype=np.uint8)[Y]])),
    "three labels at once": lambda vae: vae.fit(np.hstack([X, np.ones((N, C))]), epochs=1),
    "half a label in a row": lambda vae: vae.encode(np.hstack([X, np.eye(C)[Y] / 2])),
    "no label in a row": lambda vae: vae.fit(vae.join(X, Y), epochs=1, validation=np.hstack([X, np.zeros((N, C))])),
    "-1 conditions": lambda vae: made(n_conditions=-1),
    "an oracle": lambda vae: LinearGaussian.of(made(hidden=(), likelihood="gaussian")),
    "quadrature": lambda vae: Quadrature(vae),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused(fault):
    with pytest.raises(ScratchVAEError, match=r"y is|y has|n_conditions"):
        FAULTS[fault](made())


def test_the_remedy_for_text_in_the_place_of_labels_works_and_masked_labels_are_left_out():
    for words in (list("abcab"), np.array(list("abcab"))):
        with pytest.raises(ScratchVAEError, match=r"np\.unique\(y, return_inverse=True\)\[1\]"):
            made().join(X, words)
    rows = made().join(X, np.unique(words, return_inverse=True)[1])
    np.testing.assert_array_equal(rows[:, D:], np.eye(C)[[0, 1, 2, 0, 1]])
    with pytest.raises(ScratchVAEError, match="y has 1 masked values.*Leave such rows out.$"):
        made().join(X, np.ma.masked_equal(Y, 1))
    with pytest.raises(ScratchVAEError, match="y is 1; it stands for labels, one for each row. Give settings by name"):
        made().fit(X, 1)


def test_an_autoencoder_has_no_conditions():
    with pytest.raises(TypeError):
        Autoencoder(D, Z, n_conditions=3)


def test_the_command_line_trains_draws_and_measures_with_labels(capsys, monkeypatch, tmp_path):
    titles = {}

    def save(figure, path):
        path.write_bytes(b"")
        titles[path.name] = [figure.axes[0].get_title(loc=loc) for loc in ("left", "right")]

    monkeypatch.setattr("scratchvae.plots.save", save)
    run = tmp_path / "run"
    words = ["train", "--data", "digits", "--condition", "--hidden", 8, "--latent", 2]
    result(capsys, *words, "--epochs", 1, "--out", run)
    result(capsys, "train", "--resume", "--epochs", 2, "--out", run)
    assert VAE.load(run / "model.npz").n_conditions == 10
    assert {"conditions.png", "samples.png", "decoded_grid.png"} <= {path.name for path in (run / "figures").iterdir()}
    for words in (["sample", run, "--condition", 3, "--n", 4], ["reconstruct", run], ["traverse", run, "--index", 1],
                  ["attribute", run, "--attribute", 3], ["interpolate", run, "--from", 1, "--to", 2],
                  ["gradcheck", run], ["encode", run, "--to", tmp_path / "codes.npy"], ["export", run],
                  ["compare", run, run],
                  ["evaluate", run, "--importance-samples", 5, "--ledger"]):
        result(capsys, *words)
    y = load_data("digits").test_labels[1]
    assert titles["samples.png"][0] == "4 samples from the prior, label 3"
    assert titles["interpolation-1-2.png"][0] == f"From test image 1 to 2, decoded for label {y}"
    assert titles["decoded_grid.png"][1] == "decoded for label 0"
    assert titles["traversal.png"][1] == f"decoded for label {y}"
    sys.path.insert(0, str(run / "export"))
    decode = importlib.import_module("decode").decode
    sys.path.pop(0)
    z = np.random.default_rng(0).normal(size=(10, 2))
    wanted = VAE.load(run / "model.npz").decode(z, np.arange(10))
    np.testing.assert_allclose(decode(np.hstack([z, np.eye(10)])), wanted, rtol=1e-4)
    for words, said in ((["sample", run, "--condition", 10], "--condition is 10"),
                        (["train", "--data", "digits", "--condition", "--model", "ae", "--out", tmp_path / "b"],
                         "of a VAE"),
                        (["train", "--data", csv(tmp_path / "a.csv", X), "--condition", "--out", tmp_path / "b"],
                         "--condition needs labels")):
        status, _, err = command(capsys, *words)
        assert status == 2 and said in err and len(err.splitlines()) == 1, err


def test_other_labels_are_other_data_and_fewer_classes_are_measured(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("scratchvae.plots.save", lambda figure, path: path.write_bytes(b""))
    y = np.arange(30) % C
    x, y_test, run = RNG.random((30, D)), np.arange(10) % C, tmp_path / "run"

    def file(name, **changed):
        np.savez(tmp_path / name, **{"train": x, "test": x[:10], "train_labels": y, "test_labels": y_test, **changed})
        return tmp_path / name
    result(capsys, "train", "--data", file("a.npz"), "--condition", "--hidden", 4, "--latent", 2, "--batch-size", 10,
           "--epochs", 1, "--out", run)
    resume = "train", "--resume", "--epochs", 2, "--out", run, "--data"
    measure = "evaluate", run, "--importance-samples", 5, "--data"
    assert result(capsys, *measure, file("b.npz", train_labels=y * 0, test_labels=y_test * 0))["n"] == 10
    result(capsys, *resume, file("c.npz", train_labels=y.astype(np.uint8)))             # the same, in another type
    for words, name, changed, said in (
            (resume, "d.npz", dict(train_labels=y[::-1]), "d holds other data"),
            (("sample", run, "--data"), "e.npz", dict(test_labels=y_test[::-1]), "e holds other data"),
            (measure, "f.npz", dict(test_labels=y_test + 1), "--condition needs labels of 0 to 2 for all rows"),
            (measure, "g.npz", dict(train=x[:, :4], test=x[:, :4], test_labels=y), "g has 4 numbers an example")):
        status, _, err = command(capsys, *words, file(name, **changed))
        assert status == 2 and said in err and len(err.splitlines()) == 1, err
