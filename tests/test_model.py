"""The public edge of VAE and Autoencoder: what comes in, what comes out, and what is refused."""
import numpy as np
import pytest

from scratchvae import Autoencoder, ScratchVAEError, VAE
from scratchvae.errors import ConfigurationError, DataError, RunError, ShapeError
from scratchvae.likelihoods import Bernoulli, Gaussian


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
