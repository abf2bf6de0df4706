"""Rows of images under each other, each with its name at the left: real beside made."""
import numpy as np

from ..errors import ShapeError
from .sheet import named_rows


def image_rows(images, image_shape, names, title):
    """Images in named rows, in the order given.

    Parameters
    ----------
    images : (rows, columns, D), values of 0 (black) to 1 (white).
    image_shape : (rows, columns) of one image.
    names : sequence of str, one a row.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        The sizes disagree.

    Examples
    --------
    >>> figure = image_rows(np.zeros((2, 3, 4)), (2, 2), ["real", "made"], "Two rows")
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['real', 'made']
    """
    images = np.asarray(images)
    if images.ndim != 3 or len(images) != len(names):
        raise ShapeError(f"images is {images.shape} for {len(names)} names; expected ({len(names)}, columns, D). "
                         "Pass one row of images a name.")
    return named_rows(images, image_shape, names, title).figure
