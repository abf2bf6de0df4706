"""What the figures draw, what their labels say, and what the files hold."""
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scratchvae import plots
from scratchvae.errors import ConfigurationError, DataError, RunError, ShapeError
from scratchvae.history import Epoch

rng = np.random.default_rng(7)
IMAGES = rng.random((24, 12))               # 24 images of 4 x 3
SHAPE = (4, 3)


CURVE = np.array([[1.0, 4.0, 13.0], [-120.0, -110.0, -100.0]])
BOUNDS = {"one protocol": ((1, 4, 13, 40), {"first": (-90.0, [CURVE, CURVE + 1], np.array([[13.0], [-95.0]])),
                                            "second": (-90.0, [CURVE - 2], np.empty((2, 0)))}),
          "another": ((1, 4), {"third": (None, [CURVE[:, :1]], np.empty((2, 0)))})}


def history(n_epochs, held_out=True, kl=True):
    """Curves that fall like 1 / epoch from 300 to about 100 nats, with a KL that rises to 20 or is absent."""
    rows = []
    for epoch in range(1, n_epochs + 1):
        reconstruction, rate = 80.0 + 200.0 / epoch, kl * (20.0 - 18.0 / epoch)
        rows.append(Epoch(epoch, reconstruction + rate, reconstruction, rate, *3 * [np.nan], 0.0, 0.0))
        if held_out:
            rows[-1] = rows[-1]._replace(test_loss=reconstruction + 1 + rate, test_kl=rate,
                                         test_reconstruction=reconstruction + 1)
    return rows


def pixels(figure):
    """The drawn picture, (height, width), 0 to 255."""
    if figure.stale:
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, 0]


def png(figure, path):
    plots.save(figure, path)
    return path.read_bytes()


def png_chunks(data):
    """The (kind, content) of each part of a PNG file, their checksums verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    start = 8
    while start < len(data):
        length, = struct.unpack(">I", data[start:start + 4])
        body = data[start + 4:start + 8 + length]
        assert struct.unpack(">I", data[start + 8 + length:start + 12 + length]) == (zlib.crc32(body),)
        yield body[:4], body[4:]
        start += 12 + length


FIGURES = {
    "bounds_over_epochs": lambda: plots.bounds_over_epochs(BOUNDS),
    "learning_curves": lambda: plots.learning_curves(history(5)),
    "one_epoch": lambda: plots.learning_curves(history(1)),
    "long_run": lambda: plots.learning_curves(history(500)),
    "no_held_out": lambda: plots.learning_curves(history(3, held_out=False)),
    "autoencoder": lambda: plots.learning_curves(history(3, kl=False)),
    "reconstructions": lambda: plots.reconstructions(IMAGES[:13], IMAGES[:13] / 2, SHAPE),
    "one_reconstruction": lambda: plots.reconstructions(IMAGES[:1], IMAGES[:1], SHAPE),
    "image_grid": lambda: plots.image_grid(IMAGES, SHAPE, "Samples"),
    "one_image": lambda: plots.image_grid(IMAGES[:1], SHAPE, "Sample"),
    "constant_images": lambda: plots.image_grid(np.full((3, 12), 0.5), SHAPE, "Samples"),
    "rows_as_curves": lambda: plots.image_grid(IMAGES, (1, 12), "Samples"),
    "constant_curves": lambda: plots.image_grid(np.full((3, 1), 5.0), (1, 1), "Samples"),
    "latent_plane": lambda: plots.latent_plane(IMAGES[:, :2], np.arange(24) % 3),
    "no_labels": lambda: plots.latent_plane(IMAGES[:, :2], None, explained=(0.5, 0.25)),
    "one_latent": lambda: plots.latent_plane(plots.principal_directions(IMAGES[:, :1])[0], np.arange(24) % 3),
    "equal_classes": lambda: plots.latent_plane(np.tile(IMAGES[:8, :2], (3, 1)), np.repeat([0, 1, 2], 8)),
    "no_points": lambda: plots.latent_plane(np.zeros((0, 2)), np.zeros(0, int)),
    "one_point": lambda: plots.latent_plane(np.zeros((5, 2)), np.arange(5)),
    "decoded_grid": lambda: plots.decoded_grid(IMAGES, SHAPE, np.linspace(-3, 3, 6), np.linspace(-2, 2, 4)),
    "kl_per_dimension": lambda: plots.kl_per_dimension([2.0, 0.001, 1.0]),
    "hundred_latents": lambda: plots.kl_per_dimension(np.linspace(0.0, 2.0, 100)),
    "all_collapsed": lambda: plots.kl_per_dimension(np.zeros(3)),
    "one_cell_traversal": lambda: plots.traversal(IMAGES[None, :1], SHAPE, [0.5], ["z1"]),
    "one_cell_decoded": lambda: plots.decoded_grid(IMAGES[:1], SHAPE, [0.25], [-1.5]),
    "one_curve_traversal": lambda: plots.traversal(IMAGES[None, :2], (1, 12), [-1, 1], ["z1"]),
    "traversal": lambda: plots.traversal(IMAGES.reshape(4, 6, 12), SHAPE, np.linspace(-3, 3, 6), "abcd"),
}


# ---------------------------------------------------------------------------------------------- every figure

@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_the_same_valid_png_twice(name, tmp_path):
    from matplotlib.image import imread
    figure = FIGURES[name]()
    data = png(figure, tmp_path / "a.png")
    assert data == png(FIGURES[name](), tmp_path / "b.png") == png(figure, tmp_path / "c.png")
    chunks = dict(png_chunks(data))
    assert set(chunks) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}, "no software, no date"
    per_meter = struct.unpack(">IIB", chunks[b"pHYs"])[0]
    assert abs(per_meter * 0.0254 - 150) < 0.02             # PNG stores whole pixels for each meter
    picture = imread(tmp_path / "a.png")
    assert picture.shape[1::-1] == struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(np.unique(picture)) > 1


@pytest.mark.parametrize("name", FIGURES)
def test_every_axes_has_a_title_and_text_that_stays_on_the_page(name):
    figure = FIGURES[name]()
    figure.canvas.draw()
    page = figure.bbox.padded(0.5)
    for axes in figure.axes:
        assert axes.get_title(loc="left")
        ticks = [tick for axis, low, high in ((axes.xaxis, *sorted(axes.get_xlim())),
                                              (axes.yaxis, *sorted(axes.get_ylim())))
                 for tick, place in zip(axis.get_ticklabels(), axis.get_ticklocs()) if low <= place <= high]
        for text in (*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *ticks):
            box = text.get_window_extent()
            if text.get_text():
                assert page.x0 <= box.x0 and box.x1 <= page.x1, text.get_text()
                assert page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()


def test_the_same_figures_come_from_two_threads_at_once(tmp_path):
    def draw(index, name):
        return png(FIGURES[name](), tmp_path / f"{index}.png")

    names = list(FIGURES) * 2
    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(draw, range(len(names)), names))
    assert drawn[:len(FIGURES)] == drawn[len(FIGURES):]


def test_pyplot_and_its_global_state_are_never_touched(tmp_path):
    script = f"""
import sys
from scratchvae import plots
assert "matplotlib" not in sys.modules, "matplotlib is imported before a figure is asked for"
sys.path.insert(0, {os.path.dirname(__file__)!r})
import matplotlib, pathlib, test_plots
before = dict(matplotlib.rcParams.items())
for name, make in test_plots.FIGURES.items():
    plots.save(make(), pathlib.Path({str(tmp_path)!r}) / (name + ".png"))
assert "matplotlib.pyplot" not in sys.modules
assert before == dict(matplotlib.rcParams.items())
"""
    # An interactive backend without a display would fail if it were ever asked for.
    environment = {**os.environ, "MPLBACKEND": "tkagg", "PYTHONPATH": os.getcwd()}
    environment.pop("DISPLAY", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------- training

def test_bounds_of_each_protocol_have_a_panel_of_their_own_with_published_lines_in_their_rows_color():
    figure = plots.bounds_over_epochs(BOUNDS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(BOUNDS)
    flat = [line for line in figure.axes[0].lines if list(line.get_ydata()) == [-90.0, -90.0]]
    curves = {line.get_label(): line for line in figure.axes[0].lines}
    assert [line.get_color() for line in flat] == [curves[name].get_color() for name in ("first", "second")]
    for axes, names in zip(figure.axes, (["first", "second", "log-likelihood", "published"], ["third"]), strict=True):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == names and not axes.texts
    early = np.array([[1.0, 10.0, 100.0], [-9e4, -100.0, -91.0]])
    axes, = plots.bounds_over_epochs({"a protocol": ((10, 100), {"row": (None, [early], np.empty((2, 0)))})}).axes
    assert axes.get_ylim()[0] > -110 and axes.get_xlim()[0] > 5        # what comes before the first tick is cut off
    axes, = plots.bounds_over_epochs({"more rows than styles": ((10, 100), {
        str(row): (None, [early], np.empty((2, 0))) for row in range(7)})}).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list("0123456")
    with pytest.raises(DataError, match="no curve"):
        plots.bounds_over_epochs({})


def test_learning_curves_draw_both_splits_of_the_loss_and_its_parts():
    rows = history(5)
    figure = plots.learning_curves(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Reconstruction", "KL divergence"]
    for axes, part in zip(figure.axes, ("loss", "reconstruction", "kl")):
        assert axes.get_xlabel() == "epoch" and axes.get_ylabel() == "nats per example"
        for line, split in zip(axes.lines, ("train", "test"), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
            np.testing.assert_array_equal(line.get_ydata(), [getattr(row, f"{split}_{part}") for row in rows])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "held-out"]


def test_the_splits_differ_in_darkness_width_and_marker_and_not_only_in_hue():
    from matplotlib.colors import to_rgb
    for n_epochs in (5, 500):
        train, test = plots.learning_curves(history(n_epochs)).axes[0].lines
        light, dark = (np.dot(to_rgb(line.get_color()), (0.2126, 0.7152, 0.0722)) for line in (train, test))
        assert light - dark > 0.3 and train.get_linewidth() >= 2 * test.get_linewidth()
        assert n_epochs > 15 or train.get_marker() != test.get_marker()


def test_without_a_held_out_set_only_training_is_drawn():
    for axes in plots.learning_curves(history(3, held_out=False)).axes:
        assert [line.get_label() for line in axes.lines] == ["training"]
        assert np.all(np.isfinite(axes.get_ylim()))


@pytest.mark.parametrize("held_out", [True, False])
def test_an_autoencoder_has_no_kl_panel(held_out):
    figure = plots.learning_curves(history(3, held_out, kl=False))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss (reconstruction)"]


def test_one_epoch_is_a_visible_point_at_a_whole_tick():
    figure = plots.learning_curves(history(1))
    figure.canvas.draw()
    for axes in figure.axes:
        assert axes.lines[0].get_marker() == "o"
        assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]
        assert [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]] == [1]


def test_the_first_epochs_do_not_flatten_the_rest_and_the_cut_is_said():
    axes = plots.learning_curves(history(500)).axes[0]
    settled = axes.lines[0].get_ydata()[50:]
    low, high = axes.get_ylim()
    assert low < settled.min() and settled.max() < high
    assert np.ptp(settled) > 0.3 * (high - low)
    assert axes.get_title(loc="right") == "training from 282.0"


def test_nothing_is_cut_where_all_epochs_fit():
    for axes in plots.learning_curves(history(2)).axes:
        for line in axes.lines:
            assert axes.get_ylim()[0] < line.get_ydata().min() and line.get_ydata().max() < axes.get_ylim()[1]
        assert axes.get_title(loc="right") == ""


def test_an_empty_history_is_refused():
    with pytest.raises(DataError, match="Train for an epoch first"):
        plots.learning_curves([])


# ---------------------------------------------------------------------------------------------- pictures

GRAY_LEVELS = 2.0           # of 255: the color map has 256 levels, and matplotlib rounds down twice


def gray_at(figure, axes, row, column, image, gap=4):
    """The drawn cell whose corner is (column, row) in axes units, reduced to one value an image pixel."""
    picture = pixels(figure)
    x, y = axes.transData.transform((column, row))
    x, y = round(x), len(picture) - round(y)
    width = axes.transData.transform((column + 1, row))[0] - axes.transData.transform((column, row))[0]
    scale = round((width - gap) / image.shape[1])
    cell = picture[y:y + scale * image.shape[0], x:x + scale * image.shape[1]]
    blocks = cell.reshape(image.shape[0], scale, image.shape[1], scale)
    assert np.all(blocks == blocks[:, :1, :, :1]), "an image pixel is blurred or uneven"
    return blocks[:, 0, :, 0]


@pytest.mark.parametrize("n_images, columns, place", [(24, 6, (3, 5)), (24, None, (4, 3)), (1, None, (0, 0)),
                                                      (2, 9, (0, 1))])
def test_an_image_reaches_the_page_pixel_for_pixel_in_reading_order(n_images, columns, place):
    figure = plots.image_grid(IMAGES[:n_images], SHAPE, "Samples", columns=columns)
    image = IMAGES[n_images - 1].reshape(SHAPE)
    drawn = gray_at(figure, figure.axes[0], *place, image)
    np.testing.assert_allclose(drawn, 255 * image, atol=GRAY_LEVELS)


def test_gray_levels_are_fixed_so_that_faint_images_stay_faint():
    figure = plots.image_grid(np.repeat([[0.4], [0.5], [-3.0], [7.0]], 12, axis=1), SHAPE, "Samples", columns=4)
    drawn = [gray_at(figure, figure.axes[0], 0, column, np.zeros(SHAPE))[0, 0] for column in range(4)]
    np.testing.assert_allclose(drawn, [102, 127.5, 0, 255], atol=GRAY_LEVELS)


def test_a_pixel_that_is_not_a_number_is_not_drawn_as_a_gray_level():
    image = np.zeros((1, 12))
    image[0, 0] = np.nan
    figure = plots.image_grid(image, SHAPE, "Samples")
    figure.canvas.draw()
    colors = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    assert np.any(np.ptp(colors, axis=2) > 50)


@pytest.mark.parametrize("count, columns, blocks", [(1, 1, 1), (10, 10, 1), (11, 6, 2), (20, 10, 2),
                                                    (24, 8, 3)])
def test_reconstructions_stand_under_their_originals(count, columns, blocks):
    figure = plots.reconstructions(IMAGES[:count], 1.0 - IMAGES[:count], SHAPE)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["original", "reconstruction"] * blocks
    tops = axes.get_yticks() - 0.5
    for index in range(count):
        block, column = divmod(index, columns)
        image = IMAGES[index].reshape(SHAPE)
        upper = gray_at(figure, axes, tops[2 * block], column, image)
        lower = gray_at(figure, axes, tops[2 * block + 1], column, image)
        np.testing.assert_allclose(upper, 255 * image, atol=GRAY_LEVELS)
        np.testing.assert_allclose(lower, 255 * (1 - image), atol=GRAY_LEVELS)


def test_traversal_rows_are_dimensions_and_columns_are_values():
    cells = IMAGES.reshape(4, 6, 12)
    figure = plots.traversal(cells, SHAPE, [-3, -1.5, -0.0, 1e-17, 1.5, 3], ["z4", "z1", "z9", "z2"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["z4", "z1", "z9", "z2"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["−3", "−1.5", "0", "0", "1.5", "3"]
    assert "standard deviations" in axes.get_xlabel()
    image = cells[2, 4].reshape(SHAPE)
    np.testing.assert_allclose(gray_at(figure, axes, 2, 4, image), 255 * image, atol=GRAY_LEVELS)


@pytest.mark.parametrize("flip1", [False, True])
@pytest.mark.parametrize("flip2", [False, True])
def test_decoded_grid_puts_small_z1_left_and_small_z2_at_the_bottom(flip1, flip2):
    z1, z2, cells = np.array([-2.0, -1, 0, 1, 2, 4]), np.array([-3.0, 0, 1, 3]), IMAGES.reshape(4, 6, 12)
    step1, step2 = (-1 if flip else 1 for flip in (flip1, flip2))
    figure = plots.decoded_grid(cells[::step2, ::step1].reshape(24, 12), SHAPE, z1[::step1], z2[::step2])
    axes = figure.axes[0]
    image = cells[0, 0].reshape(SHAPE)
    np.testing.assert_allclose(gray_at(figure, axes, 3, 0, image, gap=0), 255 * image, atol=GRAY_LEVELS)
    image = cells[2, 5].reshape(SHAPE)
    np.testing.assert_allclose(gray_at(figure, axes, 1, 5, image, gap=0), 255 * image, atol=GRAY_LEVELS)


def test_decoded_grid_ticks_are_in_latent_units_at_the_middle_of_their_cell():
    z1, z2 = np.array([-2.0, -1, 0, 1, 2, 4]), np.array([-3.0, 0, 1, 3])
    axes = plots.decoded_grid(IMAGES, SHAPE, z1, z2).axes[0]
    x = {text.get_text(): place for text, place in zip(axes.get_xticklabels(), axes.get_xticks())}
    y = {text.get_text(): place for text, place in zip(axes.get_yticklabels(), axes.get_yticks())}
    assert (x["−2"], x["0"], x["2"], x["3"], x["4"]) == (0.5, 2.5, 4.5, 5.0, 5.5)
    assert (y["−3"], y["0"], y["1"], y["3"]) == (3.5, 2.5, 1.5, 0.5)
    assert np.all(np.diff(axes.get_xticks()) > 0) and np.all(np.diff(axes.get_yticks()) < 0)
    assert axes.get_xlabel() == "z1 (prior standard deviations)"
    assert axes.get_ylabel() == "z2 (prior standard deviations)"


def test_rows_that_are_no_images_are_drawn_as_curves_on_one_scale():
    values = np.array([[0.0, 2.0, -2.0], [1.0, 1.0, 1.0]])
    axes = plots.image_grid(values, (1, 3), "Rows", columns=2).axes[0]
    first, second = (line for line in axes.lines if line.get_gid() == "curve")
    assert not axes.images and "values −2 to 2 upwards" in axes.get_xlabel()
    assert 0 < first.get_xdata()[0] and np.all(np.diff(first.get_xdata()) > 0) and first.get_xdata()[-1] < 1
    height = -first.get_ydata()                             # y grows downwards
    assert height[2] < height[0] < height[1]
    np.testing.assert_allclose(height - height[0], (height[1] - height[0]) * values[0] / 2, atol=1e-12)
    np.testing.assert_allclose(-second.get_ydata(), (height[0] + height[1]) / 2)


@pytest.mark.parametrize("draw, error, message", [
    (lambda: plots.image_grid(IMAGES, (5, 5), "x"), ShapeError, r"\(24, 12\).*\(n, 25\)"),
    (lambda: plots.image_grid(IMAGES[:0], SHAPE, "x"), ShapeError, "n >= 1"),
    (lambda: plots.image_grid(IMAGES, SHAPE, "x", columns=0), ConfigurationError, "columns is 0"),
    (lambda: plots.reconstructions(IMAGES, IMAGES[:3], SHAPE), ShapeError, "one reconstruction for each"),
    (lambda: plots.traversal(IMAGES.reshape(4, 6, 12), SHAPE, [1, 2], "abcd"), ShapeError, r"\(4, 2, D\)"),
    (lambda: plots.decoded_grid(IMAGES, SHAPE, [1, 2, 3], [1, 2]), ShapeError, r"\(2, 3, 12\)"),
    (lambda: plots.decoded_grid(IMAGES, SHAPE, [1, 1, 2], [1, 2]), DataError, "z1 is .*monotone"),
    (lambda: plots.latent_plane(IMAGES, None), ShapeError, "principal_directions"),
    (lambda: plots.latent_plane(IMAGES[:, :2], [1, 2]), ShapeError, r"labels is \(2,\)"),
    (lambda: plots.kl_per_dimension([]), ShapeError, r"expected \(Z,\)"),
])
def test_arrays_that_do_not_fit_are_refused_with_what_was_expected(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


# ---------------------------------------------------------------------------------------------- latent space

def drawn_points(axes, gid):
    parts = [np.asarray(part.get_offsets()) for part in axes.collections if gid(part.get_gid())]
    return np.concatenate(parts)


def rows_of(points):
    return sorted(map(tuple, np.asarray(points, dtype=float)))


def test_each_point_of_the_plane_is_drawn_once_as_its_label():
    points, labels = rng.standard_normal((60, 2)), rng.integers(0, 10, 60)
    axes = plots.latent_plane(points, labels).axes[0]
    shapes = {}
    for label in np.unique(labels):
        drawn = drawn_points(axes, lambda gid: gid == f"class {label}")
        assert rows_of(drawn) == rows_of(points[labels == label])
        outline = next(part for part in axes.collections if part.get_gid() == f"class {label}").get_paths()[0]
        shapes[outline.vertices.tobytes()] = label
    assert len(shapes) == len(np.unique(labels)), "two classes share a marker"
    assert sorted(text.get_text() for text in axes.texts) == sorted(map(str, np.unique(labels)))


def test_class_names_stand_at_the_median_unless_they_would_overlap():
    far = np.repeat([[0.0, 0.0], [10.0, 0.0]], 5, axis=0)
    names = plots.latent_plane(far, np.repeat([3, 8], 5)).axes[0].texts
    np.testing.assert_allclose([text.xy for text in names], [[0, 0], [10, 0]], atol=1e-5)
    for scale in (1.0, 1e-3):                               # a collapsed posterior is a dot in the circles
        same = np.concatenate([scale * rng.standard_normal((40, 2))] * 10)
        axes = plots.latent_plane(same, np.repeat(np.arange(10), 40)).axes[0]
        places = np.array([text.xy for text in axes.texts])
        apart = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(10, 1)]
        assert apart.min() > 0.04 * np.ptp(axes.get_xlim())


def test_the_plane_is_equally_scaled_and_names_its_axes():
    axes = plots.latent_plane(IMAGES[:, :2], None).axes[0]
    assert axes.get_aspect() == 1.0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1 (prior standard deviations)",
                                                      "z2 (prior standard deviations)")
    axes = plots.latent_plane(IMAGES[:, :2], None, explained=(0.413, 0.2)).axes[0]
    assert axes.get_xlabel() == "first principal direction (41 % of variance)"
    assert axes.get_ylabel() == "second principal direction (20 % of variance)"


def test_the_priors_circles_are_drawn_in_a_true_latent_plane_only():
    def circles(axes):
        return [np.hypot(*line.get_data()) for line in axes.lines if line.get_gid() == "prior"]
    first, second = circles(plots.latent_plane(IMAGES[:, :2], None).axes[0])
    np.testing.assert_allclose(first, 1.0)
    np.testing.assert_allclose(second, 2.0)
    assert not circles(plots.latent_plane(IMAGES[:, :2], None, explained=(0.5, 0.5)).axes[0])


def test_a_large_set_is_thinned_evenly_and_says_so():
    points = np.arange(20000.0).reshape(-1, 2)
    axes = plots.latent_plane(points, None).axes[0]
    drawn = drawn_points(axes, lambda gid: gid is None)
    assert len(np.unique(drawn, axis=0)) == plots.plane.MAX_POINTS
    assert rows_of(drawn)[0] == (0, 1) and rows_of(drawn)[-1] == (19998, 19999)
    assert "4,000 of 10,000" in axes.get_title(loc="left")


def test_principal_directions_are_the_eigenvectors_of_the_covariance():
    mu = rng.standard_normal((50, 6)) * [3, 1, 5, 1, 1, 1] + 10.0
    projected, explained = plots.principal_directions(mu)
    covariance = np.cov(mu.T)
    largest = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(explained, largest[:2] / largest.sum(), rtol=1e-12)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(projected.T), np.diag(largest[:2]), atol=1e-12 * largest[0])


def test_principal_directions_have_a_fixed_sign():
    mu = rng.standard_normal((30, 4)) * [1, 4, 1, 2]
    projected, _ = plots.principal_directions(mu)
    centered = mu - mu.mean(axis=0)
    for column in projected.T:
        loadings = np.linalg.lstsq(centered, column, rcond=None)[0]
        assert loadings[np.argmax(np.abs(loadings))] > 0
    np.testing.assert_allclose(plots.principal_directions(mu[::-1])[0], projected[::-1], atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (1, 1), (2, 1), (9, 1), (2, 5), (3, 2)])
def test_principal_directions_of_few_rows_or_columns_are_finite_and_padded_with_zeros(shape):
    projected, explained = plots.principal_directions(rng.standard_normal(shape))
    assert projected.shape == (shape[0], 2) and explained.shape == (2,)
    assert np.all(np.isfinite(projected)) and np.all(explained >= 0) and explained.sum() <= 1 + 1e-12
    if min(shape[0] - 1, shape[1]) < 2:
        np.testing.assert_allclose(projected[:, 1], 0, atol=1e-12)
        assert explained[1] < 1e-12


def test_principal_directions_of_equal_rows_explain_nothing():
    projected, explained = plots.principal_directions(np.ones((5, 3)))
    assert not projected.any() and not explained.any()


def test_kl_is_sorted_and_split_at_the_threshold():
    kl = np.array([0.5, 0.0, 2.0, 0.009, 0.011, 1e-7])
    axes = plots.kl_per_dimension(kl).axes[0]
    used, unused = axes.lines[:2]
    np.testing.assert_array_equal(used.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(used.get_ydata(), [2.0, 0.5, 0.011])
    np.testing.assert_array_equal(unused.get_xdata(), [4, 5, 6])
    np.testing.assert_array_equal(unused.get_ydata(), [0.009, 1e-7, 0.0])
    assert axes.get_title(loc="left") == "3 of 6 latent dimensions used, 2.52 nats per example in total"
    assert axes.get_ylabel() == "KL divergence (nats per example)"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["z3", "z1", "z5", "z4", "z6", "z2"]
    assert axes.get_yscale() == "linear" and "unused, at most 0.01 nats" in axes.get_xlabel()
    assert used.get_markerfacecolor() != unused.get_markerfacecolor()


@pytest.mark.parametrize("n_latent", [1, 2, 33, 100, 700])
def test_kl_of_any_number_of_dimensions_is_drawn_whole(n_latent):
    axes = plots.kl_per_dimension(np.geomspace(1e-6, 30.0, n_latent)).axes[0]
    x, y = np.concatenate([line.get_xydata() for line in axes.lines[:2]]).T
    assert len(x) == n_latent and np.all(np.diff(x) == 1) and np.all(np.diff(y) <= 0)
    assert axes.get_xlim()[0] < x.min() and x.max() < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < y.min() and y.max() < axes.get_ylim()[1]


# ---------------------------------------------------------------------------------------------- files

def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    plots.save(FIGURES["one_image"](), path)
    assert os.listdir(tmp_path) == ["a.png"] and path.read_bytes().startswith(b"\x89PNG")


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    class Broken:
        def savefig(self, stream, **options):
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plots.save(Broken(), path)
    assert os.listdir(tmp_path) == ["a.png"] and path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_written_is_named_in_the_error(tmp_path):
    with pytest.raises(RunError, match="missing.a.png cannot be written.*folder that exists"):
        plots.save(FIGURES["one_image"](), tmp_path / "missing" / "a.png")
