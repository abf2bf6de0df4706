"""The flat vector and its views."""
import numpy as np
import pytest

from scratchvae import VAE
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.parameters import Layout, Parameters, network_shapes

LAYOUT = Layout(network_shapes("encoder", (3, 5, 4)) | network_shapes("decoder", (2, 5, 3)))


def test_segments_tile_the_vector_exactly_once():
    p = Parameters.zeros(LAYOUT, "float64")
    for _, view in p.segments():
        view += 1
    np.testing.assert_array_equal(p.flat, 1)
    assert sum(view.size for _, view in p.segments()) == p.flat.size


def test_names_are_those_of_the_design():
    assert VAE(6, 2, (5, 4)).parameters.layout.names == (
        "encoder.0.W", "encoder.0.b", "encoder.1.W", "encoder.1.b", "encoder.head.W", "encoder.head.b",
        "decoder.0.W", "decoder.0.b", "decoder.1.W", "decoder.1.b", "decoder.head.W", "decoder.head.b")


def test_writing_to_a_view_writes_to_the_vector_and_back():
    p = Parameters.zeros(LAYOUT, "float32")
    p.encoder[0].W[1, 2] = 7
    assert p["encoder.0.W"][1, 2] == 7 and p.flat[1 * 5 + 2] == 7
    p.flat[-1] = 9
    assert p.decoder.head.b[-1] == 9


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
