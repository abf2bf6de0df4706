"""What a dense layer refuses; its derivatives are test_gradcheck's, its kernels test_kernels'."""
import numpy as np
import pytest

from scratchvae.errors import ShapeError
from scratchvae.layers import Dense
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
