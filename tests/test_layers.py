"""What a dense layer refuses and how a network begins; the derivatives are test_gradcheck's, kernels test_kernels'."""
import copy
import pickle
import weakref

import numpy as np
import pytest

from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.layers import Dense, MLP
from scratchvae.parameters import Affine


@pytest.mark.parametrize("x, W", [(np.ones((4, 3)).T, np.ones((4, 2))), (np.ones((3, 4)), np.ones((2, 4)).T),
                                  (np.ones((3, 8))[:, ::2], np.ones((4, 2)))],
                         ids=["x transposed", "W transposed", "x of every other column"])
def test_a_row_that_lies_in_pieces_is_refused_with_the_remedy(x, W):
    """The kernels step along a row by one number: they would read other numbers, silently."""
    y = np.empty((3, 2))
    with pytest.raises(ShapeError, match="ascontiguousarray"):
        Dense(4, 2).forward(Affine(W, np.zeros(2)), x, y)
    Dense(4, 2).forward(Affine(np.ascontiguousarray(W), np.zeros(2)), np.ascontiguousarray(x), y)
    np.testing.assert_array_equal(y, 4)


def test_a_single_column_lies_in_one_piece_whatever_its_strides_say():
    x, W, y = np.ones((3, 8))[:, :1], np.ones((1, 6))[:, ::3][:, :1], np.empty((3, 1))
    assert W.strides[1] != W.itemsize
    Dense(1, 1).forward(Affine(W, np.zeros(1)), x, y)
    np.testing.assert_array_equal(y, 1)


def test_an_output_in_the_memory_of_another_array_is_refused():
    """A product that is written over its own factor is wrong by more than itself, silently."""
    layer, p, g = Dense(3, 3), Affine(np.ones((3, 3)), np.ones(3)), Affine(np.empty((3, 3)), np.empty(3))
    x, y, wide = np.ones((4, 3)), np.empty((4, 3)), np.ones((4, 6))
    with pytest.raises(ShapeError, match="y shares memory with x; .* Pass a new array"):
        layer.forward(p, x, x)
    with pytest.raises(ShapeError, match="d_x shares memory with d_y"):
        layer.backward(p, x, y, wide[:, :3], g, wide[:, :3])
    layer.forward(p, wide[:, :3], wide[:, 3:])              # side by side
    np.testing.assert_array_equal(wide, [[1, 1, 1, 4, 4, 4]] * 4)


def test_arrays_that_were_checked_are_known_again_and_others_are_not():
    """What a layer remembers keeps nothing alive, and an array in the place of one that is gone is looked at."""
    layer, p, y = Dense(4, 2), Affine(np.ones((4, 2)), np.zeros(2)), np.empty((3, 2))
    for _ in range(50):
        layer.forward(p, np.ones((3, 4)), y)
        with pytest.raises(ShapeError, match=r"x has shape \(3, 3\)"):
            layer.forward(p, np.ones((3, 3)), y)
    x = np.ones((3, 4))
    layer.forward(p, x, y)
    gone = weakref.ref(x)
    del x
    assert gone() is None and pickle.loads(pickle.dumps(layer)) == copy.deepcopy(layer) == layer


def test_a_network_takes_one_array_for_each_layer():
    network = MLP.build((4, 3, 2), "tanh")
    p = tuple(Affine(np.ones(shape), np.zeros(shape[1])) for shape in ((4, 3), (3, 2)))
    y = network.outputs(5, "float64")
    for wrong_p, wrong_y in ((p[:1], y), (p, y[:1]), (p, (*y, y[-1]))):
        with pytest.raises(ShapeError, match="members; this network has 2 layers"):
            network.forward(wrong_p, np.ones((5, 4)), wrong_y)


def test_a_layer_without_units_is_refused():
    with pytest.raises(ConfigurationError, match="n_out is 0"):
        Dense(3, 0)


@pytest.mark.parametrize("sizes, layers", [
    ((6, 2), (Dense(6, 2),)), ((6, 5, 2), (Dense(6, 5, "tanh"), Dense(5, 2))),
    ((6, 5, 4, 2), (Dense(6, 5, "tanh"), Dense(5, 4, "tanh"), Dense(4, 2)))])
def test_a_network_has_a_layer_between_each_two_sizes_and_the_last_is_linear(sizes, layers):
    assert MLP.build(sizes, "tanh").layers == layers


def test_a_network_starts_with_biases_of_zero_and_a_head_of_a_tenth_of_glorot():
    network = MLP.build((50, 100, 300), "relu")
    p = tuple(Affine(np.full((layer.n_in, layer.n_out), np.nan), np.full(layer.n_out, np.nan))
              for layer in network.layers)
    network.initialize(p, np.random.default_rng(0))
    assert all((affine.b == 0).all() for affine in p)
    np.testing.assert_allclose(p[1].W.std(), 0.1 * np.sqrt(2 / 400), rtol=0.02)     # 30,000 draws: 8 deviations
    np.testing.assert_allclose(p[0].W.std(), np.sqrt(2 / 50), rtol=0.05)            # 5,000 draws: 8 deviations
