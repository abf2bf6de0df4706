"""scikit-learn, pandas and joblib take the models as their own.  Each is skipped where it is missing."""
import subprocess
import sys

import numpy as np
import pytest

from scratchvae import Autoencoder, load_data, VAE
from scratchvae.errors import ConfigurationError
from scratchvae.likelihoods import Gaussian, GaussianScalar

WHY = "this interoperation is tested where it is installed"
BOTH = pytest.mark.parametrize("kind", [VAE, Autoencoder])
X, Y = np.random.default_rng(0).random((300, 8)), np.arange(300) % 2


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn", reason=WHY)


def made(kind=VAE, **settings):
    return kind(8, 2, **{"hidden": (6,), **settings})


@BOTH
@pytest.mark.parametrize("settings", [
    {}, dict(hidden=[6, 5], dtype=np.float64, seed=np.int64(3)), dict(likelihood=GaussianScalar(0.5)),
    dict(likelihood="gaussian", sigma=np.float32(0.25), activation="tanh"), dict(hidden=np.array([6, 5]))])
def test_clone_makes_an_untrained_model_of_the_same_settings(sklearn, kind, settings):
    from sklearn.base import clone
    model = made(kind, **settings)
    first = model.parameters.flat.copy()
    cloned = clone(model.fit(X, epochs=1))
    assert type(cloned) is kind and repr(cloned) == repr(model) and not hasattr(cloned, "history_")
    np.testing.assert_array_equal(cloned.parameters.flat, first)
    assert not np.shares_memory(cloned.parameters.flat, model.parameters.flat)


@BOTH
def test_fit_answers_as_transformers_do(sklearn, kind):
    model = made(kind)
    codes = model.fit(X, Y).transform(X)
    assert codes.shape == (300, 2) and model.n_features_in_ == 8
    np.testing.assert_array_equal(made(kind).fit_transform(X, Y), codes)
    assert model.score(X, Y) == model.score(X)


@BOTH
def test_a_pipeline_scales_trains_codes_and_decodes(sklearn, kind):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    pipeline = make_pipeline(MinMaxScaler(), made(kind, dtype="float64")).fit(50 * X - 7)
    codes = pipeline.transform(50 * X - 7)
    assert codes.shape == (300, 2) and pipeline.inverse_transform(codes).shape == X.shape
    assert -7 <= pipeline.inverse_transform(codes).min() and np.isfinite(pipeline.score(50 * X - 7))


def test_a_pipeline_ends_in_a_classifier_of_codes(sklearn):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    digits = load_data("digits")
    pipeline = make_pipeline(VAE(64, 8, hidden=(64,)), LogisticRegression(max_iter=5000))
    pipeline.set_params(vae__beta=0.1)
    scores = cross_val_score(pipeline, digits.train[:400], digits.train_labels[:400], cv=2,
                             params={"vae__epochs": 60, "vae__learning_rate": 3e-3, "vae__batch_size": 32})
    assert scores.min() > 0.5                                                   # chance is 0.1


@BOTH
def test_cross_validation_gives_a_score_a_fold(sklearn, kind):
    from sklearn.model_selection import cross_val_score
    scores = cross_val_score(made(kind), X, Y, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, cross_val_score(made(kind), X, Y, cv=2, n_jobs=2))


@BOTH
def test_a_grid_search_in_two_processes_trains_every_setting(sklearn, kind):
    from sklearn.model_selection import GridSearchCV
    grid = {"n_latent": np.arange(1, 3), "hidden": [(4,), (6, 5)], "activation": ["relu", "tanh"]}
    search = GridSearchCV(made(kind), grid, cv=2, n_jobs=2).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 8 and np.isfinite(scores).all() and len(set(scores)) == 8
    again = made(kind).set_params(**search.best_params_).fit(X)
    np.testing.assert_array_equal(search.best_estimator_.parameters.flat, again.parameters.flat)
    assert search.transform(X).shape == (300, search.best_params_["n_latent"])


def test_scikit_learn_sees_a_transformer_that_needs_no_labels_and_whether_it_is_fitted(sklearn):
    from sklearn.exceptions import NotFittedError
    from sklearn.utils import get_tags
    from sklearn.utils.validation import check_is_fitted
    tags = get_tags(made())
    assert tags.estimator_type is None and not tags.target_tags.required and tags.transformer_tags is not None
    with pytest.raises(NotFittedError):
        check_is_fitted(made())
    check_is_fitted(made().fit(X))


def test_a_setting_that_no_model_has_is_named(sklearn):
    from sklearn.model_selection import GridSearchCV
    with pytest.raises(ConfigurationError, match="latents: no setting of VAE"):
        GridSearchCV(made(), {"latents": [1, 2]}, cv=2).fit(X)


def test_the_package_imports_none_of_them():
    code = ("import sys, numpy as np; from scratchvae import VAE; VAE(8, 2, hidden=(6,)).fit(np.ones((200, 8)))"
            ".score(np.ones((2, 8))); assert not {'sklearn', 'pandas', 'joblib'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


@BOTH
def test_a_data_frame_is_its_numbers(kind):
    pandas = pytest.importorskip("pandas", reason=WHY)
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(8)], index=np.arange(300)[::-1])
    model, plain = made(kind).fit(frame, pandas.Series(Y), validation=frame[:50]), made(kind).fit(X, validation=X[:50])
    np.testing.assert_array_equal(model.parameters.flat, plain.parameters.flat)
    np.testing.assert_array_equal(model.transform(frame), plain.transform(X))
    np.testing.assert_array_equal(model.inverse_transform(pandas.DataFrame(plain.transform(X))), plain.reconstruct(X))
    assert model.score(frame) == plain.score(X)
    table = pandas.DataFrame(model.history_)
    assert list(table["epoch"]) == list(range(1, 11)) and table["test_loss"].notna().all()


@BOTH
@pytest.mark.parametrize("largest", [None, 1])
def test_joblib_trains_models_in_processes_also_where_it_maps_their_arrays(kind, largest, tmp_path):
    joblib = pytest.importorskip("joblib", reason=WHY)
    begun = [made(kind, seed=seed, likelihood=Gaussian(0.3)).fit(X, epochs=1) for seed in range(2)]
    there = joblib.Parallel(n_jobs=2, max_nbytes=largest)(joblib.delayed(model.partial_fit)(X, epochs=2)
                                                          for model in begun)
    for model, elsewhere in zip(begun, there):
        joblib.dump(model, tmp_path / "model.joblib")
        stored = joblib.load(tmp_path / "model.joblib")
        mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
        for it in (model, stored, mapped):
            it.partial_fit(X, epochs=2)
            np.testing.assert_array_equal(it.parameters.flat, elsewhere.parameters.flat)
            assert np.shares_memory(it.parameters.flat, it.parameters.encoder[0].W)
