"""The procedural faces, what reads their factors back, their figures, and `scratchvae attribute`."""
import math

import numpy as np
import pytest
from test_cli import command, result

from scratchvae import load_data
from scratchvae.cli.main import main
from scratchvae.cli.run_folder import Run
from scratchvae.data import face_painter as portrait
from scratchvae.data import faces
from scratchvae.data.faces import FACTORS, HIGH, IMAGE_SHAPE, is_large, LOW, make_faces, measure, OUTSIDE, render
from scratchvae.errors import ConfigurationError, DataError, ShapeError

SPAN = HIGH - LOW


def extremes(n, seed=0, beyond=OUTSIDE):
    """Factors at either end of where a measured one may lie."""
    ends = np.random.default_rng(seed).random((n, len(FACTORS))) < 0.5
    return dict(zip(FACTORS, np.where(ends, LOW - beyond * SPAN, HIGH + beyond * SPAN).T))


def as_matrix(factors):
    return np.column_stack([factors[name] for name in FACTORS])


@pytest.fixture(scope="module")
def some():
    return make_faces(12, seed=5)


def test_a_seed_gives_the_same_faces_and_a_larger_n_begins_with_them(some):
    again, other = make_faces(15, seed=5), make_faces(12, seed=6)
    assert np.array_equal(again.images[:12], some.images)
    assert all(np.array_equal(again.factors[name][:12], some.factors[name]) for name in FACTORS)
    assert not np.array_equal(other.images, some.images)
    assert some.images.shape == (12, 1024) and some.images.dtype == np.float32
    assert 0 <= some.images.min() and some.images.max() <= 1


def test_render_draws_what_make_faces_drew(some):
    assert np.array_equal(render(some.factors).astype(np.float32), some.images)


def test_factors_are_spread_evenly_over_their_range():
    factors = make_faces(1000, seed=1).factors
    for name, (low, high, _) in FACTORS.items():
        place = np.sort((factors[name] - low) / (high - low))
        # Kolmogorov-Smirnov: the largest distance exceeds 1.95 / sqrt(n) once in a thousand times
        assert np.abs(place - (np.arange(1000) + 0.5) / 1000).max() < 1.95 / math.sqrt(1000), name


def test_the_correlation_asked_for_is_the_one_that_comes_and_the_others_stay_independent():
    factors = make_faces(1000, seed=2, correlation={("eye_size", "mouth_curve"): 0.8}).factors
    found = np.corrcoef(as_matrix(factors).T)
    names = list(FACTORS)
    i, j = names.index("eye_size"), names.index("mouth_curve")
    # of a correlation r the standard error is (1 - r^2) / sqrt(n): 0.012 and 0.032; 4 of them
    assert abs(found[i, j] - 6 / math.pi * math.asin(0.4)) < 0.05
    found[i, j] = found[j, i] = 0
    assert np.abs(found - np.eye(len(names))).max() < 0.13


def test_a_picture_is_a_smooth_function_of_every_factor(some):
    """Halving the step of a central difference quarters its error: the derivative exists and is continuous."""
    base = as_matrix(some.factors)[:4]

    def slope(k, step):
        move = np.zeros(len(FACTORS))
        move[k] = step * SPAN[k]
        return (render(dict(zip(FACTORS, (base + move).T))) - render(dict(zip(FACTORS, (base - move).T)))) / (2 * step)

    for k, name in enumerate(FACTORS):
        coarse, fine = slope(k, 1e-3), slope(k, 5e-4)
        assert np.abs(fine).max() > 0.1, f"{name} changes nothing"
        assert np.abs(coarse - fine).max() < 0.02 * np.abs(fine).max(), name


def test_no_layer_is_cut_off_by_the_rows_it_is_painted_in(monkeypatch):
    extreme = extremes(40)
    cut = render(extreme)
    for name in ("EYES", "BROWS", "NOSE", "MOUTH", "FRINGE"):
        monkeypatch.setattr(portrait, name, slice(None))
    assert np.abs(render(extreme) - cut).max() < 1e-12


def test_a_face_mirrored_is_the_face_with_gaze_and_light_turned(some):
    turned = {**some.factors, "gaze": -some.factors["gaze"], "light": -some.factors["light"]}
    mirrored = render(some.factors).reshape(-1, *IMAGE_SHAPE)[:, :, ::-1]
    assert np.allclose(render(turned).reshape(mirrored.shape), mirrored, atol=1e-12)


def test_every_factor_is_read_back_from_the_pixels_in_ten_steps(some, monkeypatch):
    monkeypatch.setattr(faces, "GAUSS_NEWTON_STEPS", 10)     # quadratic near the end, if the damping gives way
    found, error = measure(some.images)
    off = np.abs(as_matrix(found) - as_matrix(some.factors)) / SPAN
    assert off.max() < 1e-5                  # the pixels are float32, rounded by 3e-8; slopes are at least 1e-2 a range
    assert error.max() < 1e-5


def test_factors_are_read_back_through_noise_without_bias(some):
    noise = 0.02 * np.random.default_rng(0).standard_normal(some.images.shape)
    found, error = measure(some.images + noise, start=some.factors)
    off = (as_matrix(found) - as_matrix(some.factors)) / SPAN
    assert np.abs(off).mean() < 0.02 and np.abs(off.mean(axis=0)).max() < 0.03
    # nine factors are fitted to 1024 pixels: what is left is the noise, a little less
    assert abs(error.mean() - 0.02) < 5e-4


def test_no_start_however_far_away_ends_worse_than_it_began(some):
    start = extremes(12, seed=3)
    began = np.sqrt(np.mean((render(start) - some.images)**2, axis=1))
    found, error = measure(some.images, start)
    assert (error < began).all()
    again = np.sqrt(np.mean((render(found) - some.images)**2, axis=1))
    assert np.allclose(again, error, atol=1e-12)             # the error reported is that of the factors reported


def test_measured_factors_stay_within_half_a_range_of_their_range():
    found, _ = measure(np.stack([np.zeros(1024), np.random.default_rng(0).random(1024)]))
    place = (as_matrix(found) - LOW) / SPAN
    assert np.isfinite(place).all() and place.min() >= -OUTSIDE - 1e-12 and place.max() <= 1 + OUTSIDE + 1e-12


def test_load_data_gives_the_faces_labeled_by_eye_size(monkeypatch):
    monkeypatch.setattr(faces, "N_TRAIN", 40)                # so many are soon drawn; all else is the same
    monkeypatch.setattr(faces, "N_TEST", 20)
    data = load_data("faces")
    assert data.name == "faces" and data.image_shape == (32, 32)
    assert data.train.shape == (40, 1024) and data.test.shape == (20, 1024)
    whole = make_faces(60)
    assert np.array_equal(np.concatenate([data.train, data.test]), whole.images)
    assert np.array_equal(data.train_labels, is_large(whole.factors["eye_size"][:40]))
    assert data.train_labels.sum() == 20 and data.test_labels.sum() == 10


@pytest.mark.parametrize("call, kind, words", [
    (lambda: make_faces(0), ConfigurationError, "n is 0"),
    (lambda: make_faces(10**8), ConfigurationError, "at most 1000000"),
    (lambda: make_faces(2, seed=-1), ConfigurationError, "seed is -1"),
    (lambda: make_faces(2, correlation=0.8), ConfigurationError, "expected a dict"),
    (lambda: make_faces(2, correlation={("eye_size", "nose"): 0.8}), ConfigurationError, "two different factors"),
    (lambda: make_faces(2, correlation={("hair", "hair"): 0.8}), ConfigurationError, "two different factors"),
    (lambda: make_faces(2, correlation={("hair", "light"): 1.0}), ConfigurationError, "between -1 and 1"),
    (lambda: make_faces(2, correlation={("hair", "light"): 0.9, ("hair", "gaze"): 0.9}), ConfigurationError,
     "all of these correlations"),
    (lambda: render({"eye_size": [1.0]}), ConfigurationError, "expected a dict with the names eye_size"),
    (lambda: render({**extremes(2), "hair": [1.0]}), ShapeError, "'hair': 1.*expected the same length"),
    (lambda: render({**extremes(1), "hair": [np.nan]}), DataError, "hair"),
    (lambda: measure(np.zeros((2, 784))), ShapeError, "784 columns"),
    (lambda: measure(np.zeros((2, 1024)), start=[1.0]), ConfigurationError, "start is list"),
    (lambda: measure(np.zeros((2, 1024)), start=extremes(3)), ShapeError, "start has 3 faces and images 2"),
    (lambda: is_large([[1.0]]), ShapeError, "factor has shape"),
])
def test_what_does_not_fit_is_refused_with_what_got_and_expected(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def run_folder(tmp_path, data, monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: [])          # its other figures take seconds
    folder = tmp_path / "run"
    assert main(["train", "--data", data, "--hidden", "8", "--latent", "2", "--epochs", "1", "--out", str(folder)]) == 0
    return str(folder)


def test_the_attribute_command_draws_digits_on_the_way_to_a_class(capsys, tmp_path, monkeypatch):
    folder = run_folder(tmp_path, "digits", monkeypatch)
    path = result(capsys, "attribute", folder, "--attribute", "3", "--n", "2")["file"]
    assert path.endswith("attribute-3.png")
    with open(path, "rb") as picture:
        assert picture.read(4) == b"\x89PNG"
    status, _, err = command(capsys, "attribute", folder, "--attribute", "eyes")
    assert status == 2 and "0, 1, 2, 3" in err and len(err.splitlines()) == 1


def test_a_label_that_all_rows_have_is_no_attribute(capsys, tmp_path, monkeypatch):
    rows = np.random.default_rng(0).random((140, 5))
    np.savez(tmp_path / "sevens.npz", images=rows, labels=np.full(140, 7))
    folder = run_folder(tmp_path, str(tmp_path / "sevens.npz"), monkeypatch)
    for name in ("7", "3"):
        status, _, err = command(capsys, "attribute", folder, "--attribute", name)
        assert status == 2 and f"--attribute is '{name}', but all training rows of sevens have the label 7" in err


def test_the_attribute_command_draws_faces_along_any_factor(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "N_TRAIN", 130)
    monkeypatch.setattr(faces, "N_TEST", 20)
    folder = run_folder(tmp_path, "faces", monkeypatch)
    assert result(capsys, "attribute", folder, "--attribute", "hair", "--n", "2")["file"].endswith("attribute-hair.png")
    status, _, err = command(capsys, "attribute", folder, "--attribute", "beard")
    assert status == 2 and "eye_size" in err and len(err.splitlines()) == 1
