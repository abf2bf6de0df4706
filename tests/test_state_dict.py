"""Weights by PyTorch's names and in its shapes: both ways change no bit, and what does not fit is named."""
import numpy as np
import pytest

from scratchvae import Autoencoder, VAE
from scratchvae.errors import ConfigurationError, ScratchVAEError, ShapeError

ORDER = ("fc1", "fc21", "fc22", "fc3", "fc4")                      # of the VAE in pytorch/examples
MODELS = {"one layer": VAE(6, 2, hidden=(5,)), "none": VAE(6, 2, hidden=()), "two": VAE(6, 2, hidden=(5, 4)),
          "squares": VAE(4, 4, hidden=(4, 4)), "float64": VAE(6, 2, hidden=(5,), dtype="float64"),
          "two outputs a pixel": VAE(6, 2, hidden=(5,), likelihood="gaussian_diagonal"),
          "a learned sigma": VAE(6, 2, hidden=(5,), likelihood="gaussian_scalar"),
          "an autoencoder": Autoencoder(6, 2, hidden=(5,))}


def varied(model):
    model.parameters.flat[:] = np.random.default_rng(0).normal(size=model.parameters.flat.size)
    return model


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("joint", [False, True])
def test_the_way_there_and_back_is_exact(model, joint):
    model = varied(model)
    n_layers = 2 * len(model.hidden) + 2
    theirs = model.to_state_dict([f"l{k}" for k in range(n_layers)] if joint else None)
    back = type(model).from_state_dict(theirs, likelihood=model.likelihood)
    np.testing.assert_array_equal(back.parameters.flat, model.parameters.flat)
    assert back.hidden == model.hidden and back.dtype == model.dtype
    assert not any(np.shares_memory(array, model.parameters.flat) for array in theirs.values())


def test_shapes_and_names_are_pytorch_s():
    vae = varied(VAE(6, 2, hidden=(5,)))
    theirs = vae.to_state_dict(ORDER)
    assert [(name, array.shape) for name, array in theirs.items()] == [
        ("fc1.weight", (5, 6)), ("fc1.bias", (5,)), ("fc21.weight", (2, 5)), ("fc21.bias", (2,)),
        ("fc22.weight", (2, 5)), ("fc22.bias", (2,)), ("fc3.weight", (5, 2)), ("fc3.bias", (5,)),
        ("fc4.weight", (6, 5)), ("fc4.bias", (6,))]
    x = np.random.default_rng(1).random((3, 6), np.float32)
    h = np.maximum(x @ theirs["fc1.weight"].T + theirs["fc1.bias"], 0)
    np.testing.assert_allclose(vae.encode(x).logvar, h @ theirs["fc22.weight"].T + theirs["fc22.bias"], rtol=1e-5)
    mixed = {name: theirs[name] for name in sorted(theirs, reverse=True)}            # order tells, not the mapping
    np.testing.assert_array_equal(VAE.from_state_dict(mixed, ORDER).parameters.flat, vae.parameters.flat)


def without(name):
    return lambda m: {key: value for key, value in m.items() if key != name}


FAULTS = {
    "a missing bias": (without("fc21.bias"), "has no fc21.bias"),
    "a batch norm": (lambda m: {**m, "bn.running_mean": np.ones(5)}, "also has bn.running_mean"),
    "a matrix of ours": (lambda m: {**m, "fc22.weight": m["fc22.weight"].T}, "fc22.weight"),
    "another width": (lambda m: {**m, "fc3.weight": np.ones((4, 2))}, "fc3.weight has shape (4, 2)"),
    "a long bias": (lambda m: {**m, "fc4.bias": np.ones(7)}, "fc4.bias has shape (7,)"),
    "a convolution": (lambda m: {**m, "fc1.weight": np.ones((5, 6, 3, 3))}, "fc1.weight has shape (5, 6, 3, 3)"),
    "text": (lambda m: {**m, "fc1.bias": "none"}, "fc1.bias"),
    "another output": (lambda m: {**m, "fc4.weight": np.ones((7, 5)), "fc4.bias": np.ones(7)}, "fc4.weight"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_by_name(fault):
    change, words = FAULTS[fault]
    with pytest.raises(ShapeError) as caught:
        VAE.from_state_dict(change(VAE(6, 2, hidden=(5,)).to_state_dict(ORDER)), ORDER)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("order", [(), np.ndarray, np.array(0.0), ("fc1",), "fc1", 3, (1, 2), ("fc1", "fc1"),
                                   ORDER[:3], (*ORDER, "fc5")])
def test_an_order_that_cannot_be_is_refused(order):
    vae = VAE(6, 2, hidden=(5,))
    with pytest.raises(ScratchVAEError, match="order is|mapping"):
        VAE.from_state_dict(vae.to_state_dict(ORDER), order)
    with pytest.raises(ConfigurationError, match="order is"):
        vae.to_state_dict(order)
    with pytest.raises(ConfigurationError, match="order is"):
        Autoencoder(6, 2, hidden=(5,)).to_state_dict(ORDER)


@pytest.mark.parametrize("mapping", [None, [], "path.pt", 3])
def test_what_is_no_mapping_is_refused(mapping):
    with pytest.raises(ConfigurationError, match="mapping is"):
        VAE.from_state_dict(mapping)


def test_names_without_a_layer_are_shown_as_they_are():
    """They were "mapping has no .bias, .weight ...; expected a weight and a bias of each of ."."""
    layers = VAE(6, 2, hidden=(5,)).to_state_dict(ORDER)
    for more, words in (({}, r"mapping has the arrays \['epoch'\] and order no layers"),
                        (layers, "mapping also has epoch; expected a weight and a bias of each of fc1, ")):
        with pytest.raises(ShapeError, match=words):
            VAE.from_state_dict({"epoch": np.ones(1), **more})


@pytest.mark.parametrize("settings", [{}, {"n_conditions": 2}, {"n_conditions": 9}])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_labels_that_are_not_told_of_are_named(hidden, settings):
    mapping = VAE(6, 2, hidden=hidden, n_conditions=3).to_state_dict()
    with pytest.raises(ShapeError, match="decoder with 3 inputs more than latents; .*Pass n_conditions=3"):
        VAE.from_state_dict(mapping, **settings)
    with pytest.raises(ConfigurationError, match="n_conditions is 'three'"):
        VAE.from_state_dict(mapping, n_conditions="three")


def test_a_sigma_that_was_learned_must_come_along():
    vae = VAE(6, 2, hidden=(5,), likelihood="gaussian_scalar")
    theirs = {name: a for name, a in vae.to_state_dict().items() if not name.startswith("likelihood")}
    with pytest.raises(ShapeError, match="has no likelihood"):
        VAE.from_state_dict(theirs, likelihood="gaussian_scalar")
    with pytest.raises(ShapeError, match="also has likelihood.logvar; Bernoulli.*'gaussian_scalar'"):
        VAE.from_state_dict(vae.to_state_dict())                       # it became a Bernoulli's, without a word


def test_a_pytorch_model_takes_the_weights_and_gives_them_back():
    torch = pytest.importorskip("torch")
    vae = varied(VAE(6, 2, hidden=(5,)))
    theirs = torch.nn.ModuleDict({name: torch.nn.Linear(*sizes) for name, sizes in zip(
        ORDER, ((6, 5), (5, 2), (5, 2), (2, 5), (5, 6)))})
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in vae.to_state_dict(ORDER).items()})
    x = torch.rand(3, 6)
    mu = theirs["fc21"](torch.relu(theirs["fc1"](x))).detach().numpy()
    np.testing.assert_allclose(vae.transform(x.numpy()), mu, rtol=1e-4, atol=1e-5)
    back = VAE.from_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(back.parameters.flat, vae.parameters.flat)
