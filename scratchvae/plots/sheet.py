"""What the figures share: how one begins, looks and is saved, and a sheet of images of one size."""
import os

import numpy as np

from ..errors import ConfigurationError, ShapeError
from ..storage.atomic import write_atomically

DPI = 150
INK, GRAY, FAINT = "#222222", "#777777", "#cccccc"
TRAIN, TEST = "#74acd5", "#8c2d04"      # light and dark, so that they differ in print without color as well


def check_backend():
    """Raise ConfigurationError if MPLBACKEND stops the import of matplotlib: better before training than after."""
    if os.environ.get("MPLBACKEND"):
        try:
            import matplotlib  # noqa: F401
        except ValueError as error:
            raise ConfigurationError(f"MPLBACKEND is {os.environ['MPLBACKEND']!r}, which matplotlib refuses: {error}. "
                                     "Unset it: the figures here need none.") from None


def new_figure(width, height, **options):
    """An empty white figure of width x height inches on the Agg canvas: the one place where figures begin."""
    check_backend()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure


def laid_out(figure):
    """Make room for the labels once: done at each draw it would shift a little, and the bytes differ."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def plain_axes(axes, title, x_label, y_label):
    """Title at the left, labels with units, and no box around the data."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)


def note(axes, text):
    """A remark at the upper right, outside the data."""
    axes.set_title(text, loc="right", fontsize=8, color=GRAY)


def number_text(value):
    """A tick's text: three digits, a true minus sign, no minus zero."""
    return f"{round(float(value), 9) + 0.0:.3g}".replace("-", "−")


def as_images(rows, image_shape):
    """Rows (n, D) as float images (n, *image_shape)."""
    rows = np.asarray(rows, dtype=float)
    n_pixels = int(np.prod(image_shape))
    if len(image_shape) != 2 or rows.ndim != 2 or rows.shape[1] != n_pixels or not len(rows):
        raise ShapeError(f"images is {rows.shape}; expected (n, {n_pixels}) with n >= 1 for image_shape "
                         f"{tuple(image_shape)}. Pass rows of D = rows * columns of image_shape.")
    return rows.reshape(len(rows), *image_shape)


def save(figure, path):
    """Write a figure as PNG, whole or not at all; the same figure always gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or os.PathLike; an existing file is replaced.

    Raises
    ------
    RunError
        The file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from scratchvae.plots import image_grid
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(image_grid(np.zeros((1, 4)), (2, 2), "One"), os.path.join(folder, "one.png"))
    ...     os.listdir(folder)
    ['one.png']
    """
    write_atomically(path, lambda stream: figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None}))


class Sheet:
    """Cells of one size in rows and columns; in its axes a cell is a unit and y grows downwards.

    Sizes are whole pixels of the file, so that no image pixel is blurred or drawn wider than its neighbor.
    """

    def __init__(self, rows, columns, image_shape, title, values, label="", left=0.15, blocks=1, gap=4):
        self.curves = min(image_shape) == 1
        room = max(1, min(280, 1125 // columns, 1400 // rows) - gap)
        self.scale = max(1, room // max(image_shape))
        self.cell = (room * 2 // 3, room) if self.curves else tuple(side * self.scale for side in image_shape)
        self.pitch = tuple(side + gap for side in self.cell)
        between = round(0.15 * self.pitch[0])
        self.space = between / self.pitch[0]
        self.range = curve_range(values)
        bottom = 0.5 if label else 0.15
        if self.curves:
            low, high = map(number_text, self.range)
            note = f"in each cell: data dimensions across, values {low} to {high} upwards"
            label, bottom = f"{label}\n{note}".lstrip(), bottom + 0.2
        width = columns * self.pitch[1] - gap
        height = rows * self.pitch[0] - gap + (blocks - 1) * between
        left, bottom, margin, top = (round(inches * DPI) for inches in (left, bottom, 0.15, 0.35))
        label_width = round(0.075 * DPI * max(map(len, label.split("\n"))))       # 10 point letters, about
        full_width = left + max(width, round(0.085 * DPI * len(title)), label_width) + margin
        full_height = bottom + height + top
        self.figure = new_figure(full_width / DPI, full_height / DPI)
        self.axes = self.figure.add_axes((left / full_width, bottom / full_height,
                                          width / full_width, height / full_height))
        self.axes.set(xlim=(0, width / self.pitch[1]), ylim=(height / self.pitch[0], 0), xticks=[], yticks=[])
        self.axes.spines[:].set_visible(False)
        self.axes.tick_params(length=0)
        self.axes.set_title(title, loc="left", fontsize=11)
        self.axes.set_xlabel(label, loc="center" if label_width <= width else "left")

    def draw(self, cells, top=0.0):
        """Draw images (rows, columns, height, width) with the upper edge at top."""
        (self._draw_curves if self.curves else self._draw_images)(cells, top)

    def _draw_images(self, cells, top):
        import matplotlib
        rows, columns = cells.shape[:2]
        sheet = np.full((rows * self.pitch[0], columns * self.pitch[1]), 2.0)       # over the scale: paper
        for row, column in np.ndindex(rows, columns):
            y, x = row * self.pitch[0], column * self.pitch[1]
            sheet[y:y + self.cell[0], x:x + self.cell[1]] = np.kron(np.clip(cells[row, column], 0.0, 1.0),
                                                                    np.ones((self.scale, self.scale)))
        gray = matplotlib.colormaps["gray"].with_extremes(over="white", bad=TEST)  # NaN must stay visible
        limits = self.axes.axis()
        self.axes.imshow(sheet, cmap=gray, vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto",
                         extent=(0, columns, top + rows, top))
        self.axes.axis(limits)

    def _draw_curves(self, cells, top):
        low, high = self.range
        tall, wide = (side / pitch for side, pitch in zip(self.cell, self.pitch))
        n_points = cells[0, 0].size
        across = wide * (np.arange(n_points) + 0.5) / n_points
        for row, column in np.ndindex(cells.shape[:2]):
            up = tall * (0.05 + 0.9 * (cells[row, column].ravel() - low) / (high - low))
            y = top + row
            self.axes.fill_between((column, column + wide), y, y + tall, color="#f0f0f0", linewidth=0)
            self.axes.plot(column + across, y + tall - up, color=INK, linewidth=1.0,
                           marker="." if n_points < 8 else "", gid="curve")


def named_rows(images, image_shape, names, title, label="", left=None):
    """A drawn Sheet of images (rows, columns, D), each row with its name at the left.

    `left` is the room for the names, in inches: as much as the longest needs if not given.
    """
    rows, columns = images.shape[:2]
    cells = as_images(images.reshape(rows * columns, -1), image_shape)
    if left is None:
        left = 0.25 + 0.085 * max(map(len, names))
    sheet = Sheet(rows, columns, image_shape, title, cells, label=label, left=left)
    sheet.draw(cells.reshape(rows, columns, *image_shape))
    sheet.axes.set_yticks(np.arange(rows) + 0.5, names, fontsize=10)
    return sheet


def curve_range(values):
    """0 to 1 if all values lie there, otherwise from the smallest to the largest."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if 0.0 <= low and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)
