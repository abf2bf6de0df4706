"""Figures of images: reconstructions, samples, traversals, the decoded latent plane."""
from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from ..errors import ConfigurationError, DataError, ShapeError
from .sheet import as_images, number_text, Sheet

LINE, LETTER = 22, 13                   # pixels of the file that a row's name and a letter of a tick take

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reconstructions(originals: np.ndarray, reconstructions: np.ndarray, image_shape: tuple[int, ...],
                    *, fields: Sequence[str] = ()) -> "Figure":
    """Originals in the upper row, their reconstructions below; ten columns at most, in pairs of rows.

    Parameters
    ----------
    originals, reconstructions : (n, D), values of 0 (black) to 1 (white).
    image_shape : (rows, columns), or (rows, columns, 3) for color, whose product is D; one row is drawn as a curve.
    fields : sequence of str, what the D numbers are called, written below curves.
    """
    if np.shape(originals) != np.shape(reconstructions):
        raise ShapeError(f"originals is {np.shape(originals)}, reconstructions {np.shape(reconstructions)}; "
                         "expected one reconstruction for each original. Pass both as (n, D).")
    pairs = np.stack([as_images(rows, image_shape) for rows in (originals, reconstructions)])
    count = pairs.shape[1]
    blocks = -(-count // 10)
    columns = -(-count // blocks)
    sheet = Sheet(2 * blocks, columns, image_shape, "Originals and their reconstructions", pairs, left=1.2,
                  blocks=blocks, fields=fields)
    tops = [block * (2 + sheet.space) for block in range(blocks)]
    for block, top in enumerate(tops):
        sheet.draw(pairs[:, block * columns:(block + 1) * columns], top)
    rows = [top + row + 0.5 for top in tops for row in (0, 1)]
    step = -(-LINE // sheet.pitch[0])                               # flat images: a name for some of the rows
    sheet.axes.set_yticks(rows[::step], (["original", "reconstruction"] * blocks)[::step], fontsize=10)
    return sheet.figure


def image_grid(images: np.ndarray, image_shape: tuple[int, ...], title: str, *,
               columns: int | None = None, fields: Sequence[str] = ()) -> "Figure":
    """Images side by side, in reading order, under a title.

    Parameters
    ----------
    images : (n, D), values of 0 (black) to 1 (white).
    image_shape : (rows, columns), or (rows, columns, 3) for color, whose product is D; one row is drawn as a curve.
    title : str
    columns : int, optional; as near to a square as n allows when left out.
    fields : sequence of str, what the D numbers are called, written below curves.

    Examples
    --------
    >>> image_grid(np.zeros((6, 4)), (2, 2), "Samples", columns=3).axes[0].get_title(loc="left")
    'Samples'
    """
    images = as_images(images, image_shape)
    if columns is None:
        columns = int(np.ceil(np.sqrt(len(images))))
    if columns < 1:
        raise ConfigurationError(f"columns is {columns}; expected at least 1. Leave it out for a square.")
    columns = min(len(images), columns)
    rows = -(-len(images) // columns)
    sheet = Sheet(rows, columns, image_shape, title, images, fields=fields)
    for row in range(rows):
        sheet.draw(images[None, row * columns:(row + 1) * columns], top=row)
    return sheet.figure


def image_rows(images: np.ndarray, image_shape: tuple[int, ...], names: Sequence[str], title: str,
               *, values: Any | None = None, label: str = "", left: float | None = None,
               fields: Sequence[str] = (), blocks: int = 1) -> "Figure":
    """Images in named rows, in the order given; `values` are written below the columns.

    Parameters
    ----------
    images : (rows, columns, D), values of 0 (black) to 1 (white).
    image_shape : (rows, columns), or (rows, columns, 3) for color, of one image; one row is drawn as a curve.
    names : sequence of str, one a row.
    title : str
    values : (columns,), optional, numbers or strings; of more than 12 some are left out.
    label : str, what the values are.
    left : float, optional; the room for the names in inches, enough for the longest if left out.
    fields : sequence of str, what the D numbers are called, written below curves.
    blocks : int, how many groups the rows make, with space between them; all have as many rows.
    """
    images, rows = np.asarray(images), len(names)
    columns = len(values) if values is not None else images.shape[1] if images.ndim > 1 else 0
    if images.ndim != 3 or images.shape[:2] != (rows, columns):
        raise ShapeError(f"images is {images.shape}; expected ({rows}, {columns}, D) for {rows} names and "
                         f"{columns} columns. Pass one row of images a name, one column a value.")
    cells = as_images(images.reshape(rows * columns, -1), image_shape)
    if left is None:
        left = 0.25 + 0.085 * max(len(line) for name in names for line in name.split("\n"))
    sheet = Sheet(rows, columns, image_shape, title, cells, label=label, left=left, blocks=blocks, fields=fields)
    tops = np.arange(rows) + sheet.space * (np.arange(rows) * blocks // rows)
    for top, row in zip(tops, cells.reshape(rows, 1, columns, *image_shape)):
        sheet.draw(row, top)
    step = -(-LINE // sheet.pitch[0])                               # flat images: a name for some of the rows
    sheet.axes.set_yticks(tops[::step] + 0.5, names[::step], fontsize=10)
    if values is not None:
        texts = [value if isinstance(value, str) else number_text(value) for value in values]
        step = max(-(-columns // 12), -(-(1 + max(map(len, texts))) * LETTER // sheet.pitch[1]))
        shown = range((columns - 1) // 2 % step, columns, step)
        sheet.axes.set_xticks([column + 0.5 for column in shown], [texts[column] for column in shown])
    return sheet.figure


def traversal(images: np.ndarray, image_shape: tuple[int, ...], values: Any,
              dimension_names: Sequence[str], *, fields: Sequence[str] = ()) -> "Figure":
    """One latent dimension a row, swept over `values` from left to right while the others keep their value.

    The images (rows, columns, D) are decoded means, whose D numbers are called `fields`; values are in standard
    deviations of the prior.
    """
    return image_rows(images, image_shape, dimension_names, "Latent traversal: one dimension a row", values=values,
                      label="value of the dimension (prior standard deviations)", left=0.65, fields=fields)


def attribute_sweep(originals: np.ndarray, images: np.ndarray, image_shape: tuple[int, ...], values: Any,
                    names: Sequence[str], title: str, *, fields: Sequence[str] = ()) -> "Figure":
    """Decoded images (rows, columns, D) along attribute vectors, one face or one vector a row, after the x of the row.

    `originals` (rows, D) are the x, `values` (columns,) the multiples of the vector that were added, and `fields` what
    the D numbers are called.
    """
    return image_rows(np.concatenate([originals[:, None], images], axis=1), image_shape, names, title,
                      values=["x", *values], label="x, and t, how many times the vector is added", fields=fields)


def decoded_grid(images: np.ndarray, image_shape: tuple[int, ...], z1: np.ndarray, z2: np.ndarray,
                 *, fields: Sequence[str] = ()) -> "Figure":
    """The decoder's means over a grid of the latent plane, as one mosaic with axes in latent units.

    z1 grows to the right and z2 upwards.

    Parameters
    ----------
    images : (len(z2) * len(z1), D) or (len(z2), len(z1), D); image (i, j) is decoded at (z1[j], z2[i]).
    image_shape : (rows, columns), or (rows, columns, 3) for color, of one image; one row is drawn as a curve.
    z1, z2 : (columns,) and (rows,), strictly monotone, in standard deviations of the prior.
    fields : sequence of str, what the D numbers are called, written below curves.
    """
    z1, z2 = np.asarray(z1, dtype=float), np.asarray(z2, dtype=float)
    for name, z in (("z1", z1), ("z2", z2)):
        steps = np.diff(z)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise DataError(f"{name} is {z}; expected strictly monotone values. Use np.linspace(-3, 3, 20).")
    images, expected = np.asarray(images), (len(z2), len(z1), int(np.prod(image_shape)))
    if images.size != np.prod(expected) or not images.size:
        raise ShapeError(f"images is {images.shape}; expected {expected} for {len(z2)} z2 and {len(z1)} z1. "
                         "Pass one image for each pair (z2, z1).")
    cells = as_images(images.reshape(-1, expected[2]), image_shape)
    cells = cells.reshape(len(z2), len(z1), *image_shape)[np.ix_(np.argsort(-z2), np.argsort(z1))]
    sheet = Sheet(len(z2), len(z1), image_shape, "Decoded means over the latent plane", cells,
                  label="z1 (prior standard deviations)", left=0.75, gap=0, fields=fields)
    sheet.draw(cells)
    for axis, z, places in ((sheet.axes.xaxis, np.sort(z1), np.arange(len(z1)) + 0.5),
                            (sheet.axes.yaxis, np.sort(z2), np.arange(len(z2))[::-1] + 0.5)):
        ticks = _whole_ticks(z)
        axis.set_ticks(np.interp(ticks, z, places), [number_text(tick) for tick in ticks])
        axis.set_tick_params(length=3)
    sheet.axes.set_ylabel("z2 (prior standard deviations)")
    return sheet.figure


def _whole_ticks(z):
    """Return at most eight round numbers inside the range of z, or z itself if none lies there."""
    from matplotlib.ticker import MaxNLocator
    ticks = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(z[0], z[-1])
    inside = ticks[(ticks >= z[0]) & (ticks <= z[-1])]
    return inside if len(inside) else z
