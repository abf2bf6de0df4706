"""The flat vector and its views."""
import copy

import numpy as np
import pytest

from scratchvae import VAE
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.model_files import save_run
from scratchvae.parameters import Layout, network_shapes, Parameters
from scratchvae.training import Trainer

LAYOUT = Layout(network_shapes("encoder", (3, 5, 4)) | network_shapes("decoder", (2, 5, 3)))


def test_segments_tile_the_vector_exactly_once():
    p = Parameters.zeros(LAYOUT, "float64")
    for _, view in p.segments():
        view += 1
    np.testing.assert_array_equal(p.flat, 1)
    assert sum(view.size for _, view in p.segments()) == p.flat.size


def test_matrices_lie_first_each_at_the_beginning_of_a_cache_line():
    vae = VAE(784, 20, hidden=(400,))
    for parameters in (vae.parameters, vae.gradient(np.zeros((2, 784)), np.zeros((2, 20)))[1]):
        assert [view.ctypes.data % 64 for _, view in parameters.segments() if view.ndim == 2] == 4 * [0]
    biases = 400 + 40 + 400 + 784
    assert max(s.stop for s in vae.parameters.layout.segments if len(s.shape) == 2) == vae.parameters.flat.size - biases


def test_files_hold_the_segments_in_order_wherever_they_lie(tmp_path):
    vae = VAE(6, 2, hidden=(5,), dtype="float64")
    trainer = Trainer(vae, np.random.default_rng(0).random((8, 6)), batch_size=4)
    trainer.run(1)
    save_run(vae, tmp_path / "model.npz", *trainer.checkpoint())
    with np.load(tmp_path / "model.npz") as file:
        for name, flat in {"parameters": vae.parameters.flat, **trainer.state.optimizer.moments}.items():
            one_by_one = [view.ravel() for _, view in Parameters(vae.parameters.layout, flat).segments()]
            np.testing.assert_array_equal(file[name], np.concatenate(one_by_one))
            assert not np.array_equal(file[name], flat)


def test_numbers_are_placed_only_if_there_are_as_many_as_places():
    flat = np.full(LAYOUT.size, np.nan)
    numbers = np.arange(float(LAYOUT.size))
    LAYOUT.unpack(numbers, flat)
    np.testing.assert_array_equal(LAYOUT.pack(flat), numbers)
    for wrong in (numbers[:-1], np.append(numbers, 0), numbers[:1], numbers[None]):
        with pytest.raises(ShapeError, match=rf"this layout needs \({LAYOUT.size},\)"):
            LAYOUT.unpack(wrong, flat)


def test_names_are_those_of_the_design():
    assert VAE(6, 2, hidden=(5, 4)).parameters.layout.names == (
        "encoder.0.W", "encoder.0.b", "encoder.1.W", "encoder.1.b", "encoder.head.W", "encoder.head.b",
        "decoder.0.W", "decoder.0.b", "decoder.1.W", "decoder.1.b", "decoder.head.W", "decoder.head.b")


def test_writing_to_a_view_writes_to_the_vector_and_back():
    p = Parameters.zeros(LAYOUT, "float32")
    p.encoder[0].W[1, 2] = 7
    assert p["encoder.0.W"][1, 2] == 7 and p.flat[1 * 5 + 2] == 7
    p.flat[-1] = 9
    assert p.decoder.head.b[-1] == 9


def test_assigned_numbers_are_copied_into_the_vector_and_nothing_is_detached():
    vae = VAE(6, 2, hidden=(5,), likelihood="gaussian_scalar")
    p, flat = vae.parameters, vae.parameters.flat
    p.flat = np.arange(p.layout.size)
    p.likelihood["logvar"] = -3
    p.likelihood["logvar"] += 1
    assert p.flat is flat and p["encoder.0.W"][0].tolist() == [0, 1, 2, 3, 4]
    assert flat[-1] == p["likelihood.logvar"] == -2
    p.likelihood.update(logvar=5)
    p.likelihood |= {"logvar": -2}
    assert p.likelihood["logvar"] == flat[-1] == -2
    with pytest.raises(ShapeError, match="what is assigned to it"):
        p.flat = np.zeros(2)
    assert copy.deepcopy(p.likelihood) == {"logvar": -2}
    with pytest.raises(ConfigurationError, match="encoder of Parameters cannot be replaced"):
        p.encoder = p.copy().encoder
    with pytest.raises(KeyError):
        p.likelihood["sigma"] = 1


def test_weights_are_stored_input_by_output_in_c_order():
    p = Parameters.zeros(LAYOUT, "float32")
    assert p["decoder.head.W"].shape == (5, 3) and p["decoder.head.W"].flags.c_contiguous


def test_a_copy_is_independent():
    p = Parameters.zeros(LAYOUT, "float32")
    p.copy().flat[:] = 1
    assert not p.flat.any()


def test_a_vector_of_the_wrong_size_is_refused_with_both_sizes():
    with pytest.raises(ShapeError, match=rf"shape \(3,\).*\({LAYOUT.size},\)"):
        Parameters(LAYOUT, np.zeros(3))
    with pytest.raises(ConfigurationError, match="flat is a list"):
        Parameters(LAYOUT, [0.0])
