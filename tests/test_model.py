"""The public edge of VAE and Autoencoder: what comes in, what comes out, and what is refused."""
import sys

import numpy as np
import pytest

from scratchvae import Autoencoder, ScratchVAEError, VAE
from scratchvae.errors import ConfigurationError, DataError, RunError, ShapeError
from scratchvae.estimators import make_estimator, ScoreFunction
from scratchvae.likelihoods import Bernoulli, Gaussian
from scratchvae.optimizers import Adam
from scratchvae.storage.checkpoint import load_arrays
from scratchvae.training import Trainer


@pytest.fixture
def vae():
    return VAE(6, 2, hidden=(5,), dtype="float64", seed=3)


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    first, second, other = VAE(6, 2, seed=1), VAE(6, 2, seed=1), VAE(6, 2, seed=2)
    np.testing.assert_array_equal(first.parameters.flat, second.parameters.flat)
    assert not np.array_equal(first.parameters.flat, other.parameters.flat)


@pytest.mark.parametrize("activation, variance", [("relu", 2 / 400), ("tanh", 2 / 600), ("softplus", 2 / 400)])
def test_weights_start_with_the_variance_of_he_or_glorot(activation, variance):
    W = VAE(400, 2, hidden=(200,), activation=activation).parameters.encoder[0].W
    np.testing.assert_allclose(W.var(), variance, rtol=0.03)             # 80,000 draws: 3 % is over 8 deviations
    np.testing.assert_allclose(W.mean(), 0, atol=5 * np.sqrt(variance / W.size))


def test_encode_gives_means_and_log_variances_that_objective_uses(vae):
    x = np.random.default_rng(0).random((4, 6))
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (4, 2)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()
    np.testing.assert_allclose(vae.objective(x, np.zeros((4, 2))).kl, kl, rtol=1e-12)


def test_uint8_pixels_stand_for_their_share_of_255(vae):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    np.testing.assert_allclose(vae.encode(pixels).mu, vae.encode(pixels / 255).mu, rtol=1e-12)


def test_images_of_any_shape_are_rows(vae):
    x = np.random.default_rng(0).random((4, 2, 3))
    np.testing.assert_array_equal(vae.encode(x).mu, vae.encode(x.reshape(4, 6)).mu)


@pytest.mark.parametrize("change", [lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=0)[::2],
                                    lambda x: x.astype(np.float32).astype(np.float64), lambda x: x.tolist()])
def test_layout_of_the_input_does_not_matter(vae, change):
    x = np.random.default_rng(0).random((4, 6)).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(vae.encode(change(x)).mu, vae.encode(x).mu)


def test_read_only_input_is_read(vae):
    x = np.random.default_rng(0).random((4, 6))
    x.setflags(write=False)
    assert np.isfinite(vae.gradient(x, np.zeros((4, 2)))[0].loss)
    assert np.isfinite(vae.fit(x, epochs=1, batch_size=2).history_[0].train_loss)


def test_a_long_input_is_encoded_as_its_pieces_are(vae):
    x = np.random.default_rng(0).random((1100, 6))
    np.testing.assert_allclose(vae.encode(x).mu[1050:], vae.encode(x[1050:]).mu, rtol=1e-12)


def test_codes_take_no_room_for_samples():
    """It was made for n_samples of every row, as a step needs it, and refused if that was too much."""
    x = np.random.default_rng(0).random((600, 6))
    few, many = (VAE(6, 2, hidden=(5,), n_samples=n) for n in (1, 10**6))
    np.testing.assert_array_equal(many.encode(x).mu, few.encode(x).mu)


def test_decode_of_a_bernoulli_gives_probabilities(vae):
    p = vae.decode(np.random.default_rng(0).standard_normal((7, 2)) * 100)
    assert p.shape == (7, 6) and (p >= 0).all() and (p <= 1).all()


def test_sample_is_a_function_of_its_seed(vae):
    np.testing.assert_array_equal(vae.sample(5, seed=1), vae.sample(5, seed=1))
    assert not np.array_equal(vae.sample(5, seed=1), vae.sample(5, seed=2))


def test_scikit_learn_habits(vae):
    x = np.random.default_rng(0).random((4, 6))
    np.testing.assert_array_equal(vae.transform(x), vae.encode(x).mu)
    np.testing.assert_array_equal(vae.inverse_transform(vae.transform(x)), vae.reconstruct(x))
    assert vae.score(x) < 0
    assert vae.get_params()["n_latent"] == 2
    assert vae.set_params(n_latent=3) is vae and vae.encode(x).mu.shape == (4, 3)


BOTH = [VAE, Autoencoder]
X = np.random.default_rng(5).random((30, 6))


def made(kind=VAE, **settings):
    return kind(**{"n_visible": 6, "n_latent": 2, "hidden": (5,), "dtype": "float64", "seed": 3, **settings})


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_optimal"])
def test_fit_starts_anew_whatever_was_before(kind, likelihood):
    once, again = made(kind, likelihood=likelihood), made(kind, likelihood=likelihood)
    assert once.fit(X, epochs=3, batch_size=10) is once
    again.parameters.flat[:] = 7
    again.fit(X, epochs=2, batch_size=5, optimizer="sgd", seed=1).partial_fit(X, batch_size=5, optimizer="sgd")
    again.fit(X, [0] * 30, epochs=3, batch_size=10)
    np.testing.assert_array_equal(again.parameters.flat, once.parameters.flat)
    assert again._training == once._training and len(again.history_) == 3


@pytest.mark.parametrize("kind, more", [(VAE, {}), (Autoencoder, {}),
                                        (VAE, dict(estimator=ScoreFunction("moving_average")))])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_partial_fit_again_and_again_is_one_fit(kind, more, optimizer):
    settings = dict(batch_size=10, optimizer=optimizer, binarize="dynamic", validation=X[:7], learning_rate=1e-2)
    whole, several, mixed = made(kind, **more).fit(X, epochs=5, **settings), made(kind, **more), made(kind, **more)
    for _ in range(5):
        assert several.partial_fit(X, **settings) is several
    mixed.fit(X, epochs=2, **settings).partial_fit(X, epochs=3, **settings)
    for model in (several, mixed):
        np.testing.assert_array_equal(model.parameters.flat, whole.parameters.flat)
        assert model._training == whole._training
        assert model.history_.column("epoch") == [1, 2, 3, 4, 5]


def test_partial_fit_trains_weights_that_were_set_by_hand():
    by_hand, trainers = made(), made()
    for vae in (by_hand, trainers):
        vae.parameters.flat[:] = np.random.default_rng(0).standard_normal(vae.parameters.flat.size)
    by_hand.partial_fit(X, epochs=2, batch_size=10)
    Trainer(trainers, X, batch_size=10).run(2)
    np.testing.assert_array_equal(by_hand.parameters.flat, trainers.parameters.flat)
    assert not np.array_equal(by_hand.parameters.flat, made().partial_fit(X, epochs=2, batch_size=10).parameters.flat)


@pytest.mark.parametrize("kind, settings", [
    (VAE, {}), (Autoencoder, {}), (VAE, dict(estimator=ScoreFunction("moving_average")))])
def test_partial_fit_goes_on_after_a_file(kind, settings, tmp_path):
    model = made(kind, **settings).fit(X, epochs=2, batch_size=10, optimizer="sgd", validation=X)
    model.save(tmp_path / "model.npz")
    loaded = kind.load(tmp_path / "model.npz")
    assert loaded.history_ == model.history_ and loaded._training == model._training
    for it in (model, loaded):
        it.partial_fit(X, epochs=2, batch_size=10, optimizer="sgd")
    np.testing.assert_array_equal(loaded.parameters.flat, model.parameters.flat)


def test_settings_may_change_between_calls_of_partial_fit_but_not_the_optimizer():
    vae, before = made().fit(X, epochs=1, batch_size=10), made()
    vae.partial_fit(X[:17], batch_size=5, learning_rate=1e-2, binarize="threshold", beta=0.5, seed=4)
    assert vae._training.optimizer.learning_rate == 1e-2 and len(vae.history_) == 2
    before = vae.parameters.flat.copy()
    with pytest.raises(ConfigurationError, match="optimizer is 'sgd'; training began with 'adam'"):
        vae.partial_fit(X, batch_size=10, optimizer="sgd")
    np.testing.assert_array_equal(vae.parameters.flat, before)
    assert len(vae.history_) == 2 and vae._training.optimizer.learning_rate == 1e-2


def test_an_interrupted_epoch_is_begun_again_also_with_fewer_rows():
    vae, seen = made(), []
    step = vae.forward_backward

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return step(*arguments)
    vae.forward_backward = interrupted
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X, epochs=3, batch_size=10)
    assert vae._training.batch == 2 and len(vae.history_) == 1
    vae.partial_fit(X[:10], batch_size=10)
    assert len(seen) == 6 and len(vae.history_) == 2


@pytest.mark.parametrize("change", [dict(epochs=0), dict(batch_size=0), dict(optimizer="lion"), dict(X=X + 2)])
def test_what_fit_refuses_leaves_the_model_as_it_was(change):
    vae = made().fit(X, epochs=1, batch_size=10)
    before, state, history = vae.parameters.flat.copy(), vae._training, vae.history_
    for train in (vae.fit, vae.partial_fit):
        with pytest.raises(ScratchVAEError):
            train(**{"X": X, "batch_size": 10, **change})
    np.testing.assert_array_equal(vae.parameters.flat, before)
    assert vae._training is state and vae.history_ is history


def test_settings_are_given_by_name():
    with pytest.raises(TypeError):
        VAE(6, 2, (5,))
    with pytest.raises(TypeError):
        Autoencoder(6, 2, (5,))
    with pytest.raises(TypeError):
        made().fit(X, None, 20)
    with pytest.raises(ConfigurationError, match="y is 20; it stands for labels.*epochs=20"):
        made().fit(X, 20)


@pytest.mark.parametrize("value", [np.zeros((30, 30)), 10**5000], ids=["array", "integer"])
def test_a_setting_of_any_size_is_refused_on_one_line(value):
    for refuse in (lambda: made(seed=value), lambda: made(beta=value), lambda: made(activation=value),
                   lambda: Adam(value, "float64"), lambda: made().save(value),
                   lambda: made().fit(X, batch_size=8, callback=value)):
        with pytest.raises(ConfigurationError) as caught:
            refuse()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_settings_that_leave_the_networks_alone_keep_the_weights_and_the_training():
    vae, whole = made().fit(X, epochs=1, batch_size=10), made()
    before, state = vae.parameters.flat.copy(), vae._training
    vae.set_params(beta=4.0, estimator="iwae", n_samples=3, hidden=(5,), seed=3)           # the last two are as before
    np.testing.assert_array_equal(vae.parameters.flat, before)
    assert (vae.beta, vae.estimator.name, vae.n_samples) == (4.0, "iwae", 3) and vae._training is state and vae.history_
    vae.partial_fit(X, batch_size=10)
    whole = made(beta=4.0, estimator="iwae", n_samples=3)
    whole.parameters.flat[:], whole._training = before, made().fit(X, epochs=1, batch_size=10)._training
    np.testing.assert_array_equal(vae.parameters.flat, whole.partial_fit(X, batch_size=10).parameters.flat)


def test_a_model_with_another_estimator_than_it_was_trained_with_goes_on_from_its_file(tmp_path):
    vae = made().fit(X, epochs=1, batch_size=10).set_params(estimator="score_function")
    vae.save(tmp_path / "model.npz")
    loaded = VAE.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.partial_fit(X, batch_size=10).parameters.flat,
                                  vae.partial_fit(X, batch_size=10).parameters.flat)


@pytest.mark.parametrize("change", [dict(n_latent=3), dict(n_visible=7), dict(hidden=(4,)), dict(activation="tanh"),
                                    dict(likelihood="gaussian"), dict(dtype="float32"), dict(seed=4), dict(sigma=0.5)])
@pytest.mark.parametrize("kind", BOTH)
def test_other_settings_make_the_model_anew(kind, change):
    model = made(kind).fit(X, epochs=1, batch_size=10)
    model.set_params(**change)
    np.testing.assert_array_equal(model.parameters.flat, made(kind, **change).parameters.flat)
    assert vars(model).keys() == vars(made(kind)).keys()                    # no history, no moments of another model


@pytest.mark.parametrize("change, message", [
    (dict(beta=5.0, n_latent=0), "n_latent is 0"), (dict(hidden=(8,), activation="gelu"), "activation is 'gelu'"),
    (dict(beta=2.0, nonsense=1), "nonsense: no setting of VAE; it has n_visible"),
    (dict(likelihood__sigma=1), "likelihood__sigma"),
    (dict(sigma=0.3), r"sigma is 0.3, but likelihood is Gaussian\(sigma=0.5\), with a sigma of its own"),
    (dict(n_samples=3, estimator="antithetic"), "n_samples is 3")])
def test_a_refused_set_params_changes_nothing_and_the_model_is_saved_and_loaded(change, message, tmp_path):
    vae = made(likelihood=Gaussian(0.5)).fit(X, epochs=1, batch_size=10)
    before, settings, inside = vae.parameters.flat.copy(), vae.get_params(), vars(vae).copy()
    with pytest.raises(ConfigurationError, match=message):
        vae.set_params(**change)
    assert vae.get_params() == settings and vars(vae) == inside
    vae.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(VAE.load(tmp_path / "model.npz").parameters.flat, before)


@pytest.mark.parametrize("kind", BOTH)
def test_a_setting_that_is_assigned_follows_or_is_refused(kind):
    model = made(kind)
    before = vars(model).copy()
    for name in model.get_params().keys() - {"beta", "estimator", "n_samples"}:
        setattr(model, name, getattr(model, name))                # as constructors of subclasses do
        for other in ("another", np.array([5, 4])):
            with pytest.raises(ConfigurationError, match=rf"{name} cannot be assigned.* Call set_params\({name}="):
                setattr(model, name, other)
    assert vars(model) == before
    if kind is VAE:
        model.estimator, model.n_samples = "stl", 4
        assert (model.estimator, model.n_samples) == (make_estimator("stl"), 4)
    model.beta, model.note = 3.0, "mine"
    assert (model.beta, model.note) == (3.0, "mine")


@pytest.mark.parametrize("kind", BOTH)
def test_a_model_is_made_while_a_debugger_looks_at_every_line(kind):
    """In Python 3.12 a look at a frame's variables changes the dict that its locals() returned."""
    def look(frame, event, argument):
        return look if frame.f_locals is not None else None

    before = sys.gettrace()
    sys.settrace(look)
    try:
        model = made(kind)
    finally:
        sys.settrace(before)
    assert model.get_params()["hidden"] == (5,)


def test_settings_come_back_as_they_were_given():
    given = dict(n_visible=np.int64(6), n_latent=2, hidden=[5, 4], beta=2, dtype=np.float64, likelihood=Gaussian(0.5),
                 sigma=np.float64(2), seed=np.uint8(1))
    vae = VAE(**given)
    assert all(vae.get_params()[name] is value for name, value in given.items())
    assert (vae.hidden, vae.dtype, vae.sigma, type(vae.n_visible)) == ((5, 4), "float64", 0.5, int)
    vae.beta = 3.0
    assert vae.get_params()["beta"] == 3.0


def test_counts_of_numpys_small_integers_do_not_overflow():
    """100 epochs after 100 others were -56, and none was trained."""
    vae = made(n_samples=2)
    for _ in range(2):
        vae.partial_fit(X, epochs=np.int8(100), batch_size=30)
    assert len(vae.history_) == 200 and len(vae.workspace(np.int8(100)).eps) == 200


@pytest.mark.parametrize("sizes", [[5], np.array([5])])
def test_a_list_of_sizes_that_changes_later_changes_no_model(sizes):
    """set_params(beta=2) left three layers with the parameters of two."""
    vae = made(hidden=sizes)
    score = vae.score(X)
    sizes *= 2                                                         # [5, 5] or [10]
    assert vae.get_params()["hidden"] == (5,) and "hidden=(5,)" in repr(vae)
    assert vae.set_params(beta=2.0).score(X) == score


def test_models_say_what_they_are_on_one_line():
    assert repr(made()) == "<VAE(n_visible=6, n_latent=2, hidden=(5,), dtype='float64', seed=3): 110 parameters>"
    assert repr(Autoencoder(6)) == "<Autoencoder(n_visible=6): 21,626 parameters>"


@pytest.mark.parametrize("model", [VAE(6, 2, hidden=(5, 4), activation="tanh", likelihood="gaussian", sigma=0.3,
                                       beta=2.0),
                                   VAE(6, 1, hidden=(), dtype="float64"), Autoencoder(6, 2, hidden=(3,))])
def test_save_and_load_give_back_settings_and_bits(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = type(model).load(tmp_path / "model.npz")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.parameters.flat, model.parameters.flat)


def test_loading_the_other_kind_says_so(tmp_path):
    Autoencoder(6, 2).save(tmp_path / "model.npz")
    with pytest.raises(RunError, match="kind 'ae'; expected 'vae'"):
        VAE.load(tmp_path / "model.npz")


def test_a_custom_likelihood_is_taken_by_its_methods():
    class Scaled(Gaussian):
        name = "scaled"

    vae = VAE(6, 2, hidden=(3,), likelihood=Scaled(0.5))
    assert np.isfinite(vae.objective(np.ones((2, 6)), np.zeros((2, 2))).loss)
    with pytest.raises(ConfigurationError, match="custom object"):
        vae.save("unused.npz")


@pytest.mark.parametrize("settings, message", [
    (dict(n_latent=0), "n_latent is 0.*at least 1"),
    (dict(n_visible=2.5), "n_visible is 2.5"),
    (dict(hidden=(4, 0)), "hidden is 0"),
    (dict(hidden=5), "sequence of layer sizes"),
    (dict(activation="gelu"), "'gelu'; known are identity, relu, tanh, sigmoid, softplus"),
    (dict(likelihood="poisson"), "'poisson'; known are bernoulli, continuous_bernoulli, gaussian"),
    (dict(likelihood=object()), "lacks name, n_outputs"),
    (dict(likelihood=Bernoulli), "is the class Bernoulli; expected an object"),
    (dict(likelihood="gaussian", sigma=None), "sigma is None"),
    (dict(beta=-1), "beta is -1"),
    (dict(beta=float("nan")), "beta is nan"),
    (dict(estimator="magic"), "'magic'; known are analytic"),
    (dict(n_samples=0), "n_samples is 0"),
    (dict(dtype="float16"), "'float16'; known are float32, float64"),
    (dict(sigma=0.0, likelihood="gaussian"), "sigma is 0.0"),
    (dict(seed=-1), "seed is -1"),
])
def test_a_setting_that_cannot_work_is_refused_by_name(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        VAE(**{"n_visible": 6, **settings})


@pytest.mark.parametrize("x, kind, message", [
    (np.zeros((2, 7)), ShapeError, "x has 7 columns|X has 7 columns; this model was built for 6"),
    (np.zeros((0, 6)), ShapeError, "empty"),
    (np.zeros(6), ShapeError, r"shape \(6,\)"),
    (np.array([["a"] * 6]), ShapeError, "dtype"),
    (np.full((2, 6), 2.0), DataError, r"values from 2 to 2.*\[0, 1\]"),
    (np.full((2, 6), -0.1), DataError, r"\[0, 1\]"),
    (np.full((2, 6), np.nan), DataError, "nan at row 0, column 0"),
    (np.full((2, 6), np.inf), DataError, "inf at row 0"),
])
def test_data_that_do_not_fit_are_refused_with_what_got_expected_and_remedy(vae, x, kind, message):
    for use in (vae.encode, lambda x: vae.fit(x, batch_size=1), lambda x: vae.objective(x, np.zeros((len(x), 2)))):
        with pytest.raises(kind, match=message):
            use(x)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_that_a_scaler_has_rounded_out_of_range_are_taken(likelihood, dtype):
    x = np.array([[-2e-16, 1 + 2e-16, 0.5], [0, 1 + 1.2e-7, 1]])
    vae = VAE(3, 1, hidden=(), likelihood=likelihood, dtype=dtype).fit(x, batch_size=2)
    assert np.isfinite(vae.score(x))
    with pytest.raises(DataError, match="values from .* to 1"):
        vae.score(x + 1e-5)


def test_wrong_noise_and_latents_are_refused(vae):
    with pytest.raises(ShapeError, match=r"eps of float64 has shape \(2, 3\); expected \(2, 2\)"):
        vae.objective(np.zeros((2, 6)), np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=r"z has shape \(2, 3\)"):
        vae.decode(np.zeros((2, 3)))


def test_errors_are_one_family():
    with pytest.raises(ScratchVAEError):
        VAE(0)
    with pytest.raises(ValueError):
        VAE(0)


def test_output_bias_of_a_bernoulli_is_the_logit_of_the_clipped_mean():
    bias = np.empty(3)
    Bernoulli().init_output_bias({}, bias, np.array([0.0, 0.25, 1.0]), 0.1)
    np.testing.assert_allclose(bias, [np.log(0.001 / 0.999), np.log(1 / 3), np.log(999)], rtol=1e-12)
    Gaussian().init_output_bias({}, bias, np.array([0.3, 0.0, 7.0]), 0.1)
    np.testing.assert_array_equal(bias, [0.3, 0.0, 7.0])


def test_hidden_is_read_more_than_once_so_a_generator_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="hidden is <generator.*sequence of layer sizes"):
        VAE(4, 2, hidden=(size for size in (5, 4)))


@pytest.mark.parametrize("path", [".", "/", ""])
def test_a_path_without_a_name_is_refused(path):
    with pytest.raises(ConfigurationError, match="expected a file's name"):
        VAE(4, 2, hidden=()).save(path)


def test_a_file_has_the_parameters_that_the_model_had(tmp_path):
    rng = np.random.default_rng(0)
    X, V = rng.random((40, 6)), rng.random((10, 6))
    model = VAE(6, 2, hidden=()).fit(X, epochs=3, batch_size=20, validation=V, keep="best")
    model.parameters.flat[:] = 0.25                                    # by hand, beside those that keep remembers
    model.save(tmp_path / "model.npz")
    assert (VAE.load(tmp_path / "model.npz").parameters.flat == 0.25).all()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_extras_replace_nothing_that_a_file_says_of_the_model(optimizer, tmp_path):
    path, model = tmp_path / "model.npz", made().fit(X, epochs=1, batch_size=10, validation=X, keep="best",
                                                     optimizer=optimizer)
    model.save(path, {"note": "mine"}, {"codes": X})
    _, meta, arrays = load_arrays(path)
    assert meta.pop("note") == "mine" and arrays.pop("codes").shape == X.shape
    for extra in [{name: arrays["parameters"]} for name in (*arrays, *meta, "config", "kind", "format", "sha256")]:
        for extras in ((extra, None), (None, extra)):
            with pytest.raises(ConfigurationError, match=f"an extra is called '{[*extra][0]}'"):
                model.save(path, *extras)
    np.testing.assert_array_equal(VAE.load(path).parameters.flat, model.parameters.flat)


def test_a_class_of_ones_own_is_loaded_as_it_was_saved(tmp_path):
    class Mine(VAE):
        pass

    Mine(6, 2, hidden=()).save(tmp_path / "mine.npz")
    assert type(Mine.load(tmp_path / "mine.npz")) is Mine and type(VAE.load(tmp_path / "mine.npz")) is VAE


def test_a_callback_that_cannot_work_is_refused_and_one_that_fails_frees_the_model():
    class Fails:
        def __call__(self, model, epoch):
            pass

        def close(self):
            raise BrokenPipeError("nobody reads")

    X, model = np.random.default_rng(0).random((40, 6)), VAE(6, 2, hidden=())
    for wrong, words in ((Fails, "is the class Fails; .* Pass Fails"), (lambda model: None, "takes .model.")):
        with pytest.raises(ConfigurationError, match=words):
            model.fit(X, epochs=1, batch_size=20, callback=wrong)
    with pytest.raises(BrokenPipeError):
        model.fit(X, epochs=1, batch_size=20, callback=Fails())
    assert len(model.fit(X, epochs=1, batch_size=20, callback=lambda model, epoch: None).history_) == 1
