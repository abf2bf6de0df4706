"""What all figures share: how one is made, looks and is saved, and a sheet of images of one size."""
import functools
import io
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np

from ..errors import ConfigurationError, ShapeError
from ..storage.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 150                               # pixels of the file per inch
INK, GRAY, FAINT = "#222222", "#777777", "#cccccc"
MOST_FIELDS, NOTE_WIDTH = 12, 70        # names of a table's columns, and letters on a line, below curves
TRAIN, TEST = "#74acd5", "#8c2d04"      # One is light and one dark: they differ in print without color as well.


def check_backend() -> None:
    """Raise ConfigurationError if MPLBACKEND stops the import of matplotlib, so that a run fails before it trains."""
    if os.environ.get("MPLBACKEND"):
        try:
            import matplotlib  # noqa: F401
        except ValueError as error:
            raise ConfigurationError(f"MPLBACKEND is {os.environ['MPLBACKEND']!r}, which matplotlib refuses: {error}. "
                                     "Unset it: the figures here need none.") from None


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """Return an empty white figure of width x height inches on the Agg canvas; every figure begins here."""
    check_backend()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", **options)
    FigureCanvasAgg(figure)
    figure._repr_png_ = functools.partial(_png, figure)         # what a notebook asks for
    return figure


def _png(figure):
    stream = io.BytesIO()
    _write_png(figure, stream)
    return stream.getvalue()


def _write_png(figure, stream, source=None):
    """Write the same bytes for the same figure."""
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None, "Source": source})


def laid_out(figure: "Figure") -> "Figure":
    """Make room for the labels now and only once: a layout at each draw would move them and change the file's bytes."""
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    return figure


def plain_axes(axes: "Axes", title: str, x_label: str, y_label: str) -> None:
    """Set the title, at the left, and the labels of the axes, and remove the upper and right edge of the frame."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.spines[["top", "right"]].set_visible(False)


def plain_text(text: str) -> str:
    """Return text that matplotlib shows as it is, where a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def note(axes: "Axes", text: str) -> None:
    """Write a remark at the upper right, outside the data."""
    axes.set_title(text, loc="right", fontsize=8, color=GRAY)


def log_ticks(axis: "Axis") -> None:
    """Write few ticks of a logarithmic axis, as plain numbers, so that none overprints another: call it at the end."""
    from matplotlib.ticker import LogLocator
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 60 * low else (1,), numticks=5))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def number_text(value: float) -> str:
    """Return a tick's text: three digits, a true minus sign, no minus zero."""
    return f"{round(float(value), 9) + 0.0:.3g}".replace("-", "−")


def as_images(rows: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Return rows (n, D) as float images (n, *image_shape), whose shape is (rows, columns) or (rows, columns, 3)."""
    rows = np.asarray(rows, dtype=float)
    n_pixels = int(np.prod(image_shape))
    is_shape = len(image_shape) == 2 or len(image_shape) == 3 and image_shape[2] == 3
    if not is_shape or rows.ndim != 2 or rows.shape[1] != n_pixels or not len(rows):
        raise ShapeError(f"images is {rows.shape}; expected (n, {n_pixels}) with n >= 1 for image_shape "
                         f"{tuple(image_shape)}. Pass rows of D = rows * columns (* 3 for color) of image_shape.")
    return rows.reshape(len(rows), *image_shape)


def save(figure: "Figure", path: str | Path, source: str | None = None) -> None:
    """Write a figure as PNG, whole or not at all; the same figure always gives the same bytes.

    An existing file is replaced; RunError is raised if the file cannot be written. A `source` is kept in the file, as
    its text of the keyword Source.
    """
    write_atomically(path, lambda stream: _write_png(figure, stream, source))


class Sheet:
    """Cells of one size in rows and columns; in its axes a cell is 1 x 1 and y grows downwards.

    `values` are all values that will be drawn, `left` is the room at the left in inches, `blocks` the number of groups
    of rows with space between them, `gap` the space between cells in pixels, `fields` the names of what a curve's
    points are.  Sizes are whole pixels of the file, so that no image pixel is blurred or drawn wider than its neighbor.
    """

    def __init__(self, rows: int, columns: int, image_shape: tuple[int, ...], title: str, values: np.ndarray,
                 label: str = "", left: float = 0.15, blocks: int = 1, gap: int = 4,
                 fields: Sequence[str] = ()) -> None:
        title, fields = plain_text(title), [plain_text(name) for name in fields]
        self.color, image_shape = len(image_shape) == 3, image_shape[:2]
        self.curves = min(image_shape) == 1 and not self.color
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
            names = f"{', '.join(fields[:MOST_FIELDS])}{', ...' * (len(fields) > MOST_FIELDS)}"
            across = f"{names} from left to right" if fields else "data dimensions across"
            note = textwrap.fill(f"in each cell: {across}, values {low} to {high} upwards", NOTE_WIDTH)
            label, bottom = f"{label}\n{note}".lstrip(), bottom + 0.2 * (1 + note.count("\n"))
        width = columns * self.pitch[1] - gap
        height = rows * self.pitch[0] - gap + (blocks - 1) * between
        left, bottom, margin, top = (round(inches * DPI) for inches in (left, bottom, 0.15, 0.35))
        label_width = round(0.075 * DPI * max(map(len, label.split("\n"))))       # the width of letters of 10 points
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

    def draw(self, cells: np.ndarray, top: float = 0.0) -> None:
        """Draw images (rows, columns, height, width) with their upper edge at `top`, in cells."""
        (self._draw_curves if self.curves else self._draw_images)(cells, top)

    def _draw_images(self, cells, top):
        import matplotlib
        rows, columns = cells.shape[:2]
        sheet = np.full((rows * self.pitch[0], columns * self.pitch[1], *cells.shape[4:]), 2.0)    # 2 is paper
        for row, column in np.ndindex(rows, columns):
            y, x = row * self.pitch[0], column * self.pitch[1]
            sheet[y:y + self.cell[0], x:x + self.cell[1]] = np.clip(cells[row, column], 0.0, 1.0).repeat(
                self.scale, axis=0).repeat(self.scale, axis=1)
        if self.color:
            missing = np.isnan(sheet).any(-1, keepdims=True)
            sheet = np.where(missing, matplotlib.colors.to_rgb(TEST), np.minimum(sheet, 1.0))
        gray = matplotlib.colormaps["gray"].with_extremes(over="white", bad=TEST)  # NaN stays visible
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


def curve_range(values: np.ndarray) -> tuple[float, float]:
    """Return the range that curves are drawn in: 0 to 1 if all values lie there, else smallest to largest."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if 0.0 <= low and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)
