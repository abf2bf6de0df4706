"""The figures of a run, from its model and its data."""
from typing import TYPE_CHECKING

import numpy as np

from .. import plots
from ..analysis.latent import traverse
from ..data.loading import Dataset
from ..data.meaning import as_floats
from ..model import Model
from ..plots.images import image_rows
from ..plots.sheet import note
from ..probability.divergences import kl_terms
from ..vae import VAE
from ..validation import rows_at_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, CELLS = 8, 20     # most images, and most labels, of the figure of conditions
GRID = 15               # images on each side of the decoded grid


def kl_per_dimension(model: VAE, x: np.ndarray) -> np.ndarray:
    """Return KL(q(z_j | x) || p(z_j)) averaged over x, (Z,), in nats per example (E4)."""
    return kl_terms(*model.encode(x)).mean(axis=0)


def reconstruction_figure(model: Model, data: Dataset, n: int) -> "Figure":
    """Draw n held-out images over their reconstructions."""
    originals = data.test[:n]
    pixels = as_floats(originals[:, :model.n_visible], np.float64)
    return plots.reconstructions(pixels, model.reconstruct(originals), data.image_shape, fields=data.fields)


def condition_figure(model: VAE, data: Dataset) -> "Figure":
    """Draw test images' z decoded for every label: the style is held in a row, the class is changed."""
    labels = np.arange(min(model.n_conditions, CELLS))
    z = model.transform(data.test[:ROWS])
    images = model.decode(np.repeat(z, len(labels), axis=0), np.tile(labels, len(z)))
    which = "every label" if len(labels) == model.n_conditions else f"{len(labels)} of {model.n_conditions} labels"
    return image_rows(images.reshape(len(z), len(labels), -1), data.image_shape,
                      [f"test image {k}" for k in range(len(z))], f"z of an image, decoded for {which}", values=labels,
                      label="label", fields=data.fields)


def sample_figure(model: VAE, data: Dataset, n: int, seed: int, label: int | None = None) -> "Figure":
    """Draw the decoded means of n draws from the prior, of one label or of all in turn if the model has conditions."""
    n = rows_at_once("n", n, model.n_visible)
    labels = np.arange(n) % max(1, model.n_conditions) if label is None else label
    title = f"{n} samples from the prior" + ("" if label is None else f", label {label}")
    return plots.image_grid(model.sample(n, seed, labels), data.image_shape, title, fields=data.fields)


def decoded_grid_figure(model: VAE, data: Dataset) -> "Figure":
    """Draw the decoded means over the plane of a model with two latents."""
    axis = np.linspace(-3, 3, GRID)
    z = np.array([(z1, z2) for z2 in axis for z1 in axis])
    figure = plots.decoded_grid(model.decode(z, 0), data.image_shape, axis, axis, fields=data.fields)
    return _with_label(figure, model, 0)


def traversal_figure(model: VAE, data: Dataset, dimensions: np.ndarray, index: int | None,
                     values: np.ndarray) -> "Figure":
    """Draw one latent a row swept over `values`, the others at the posterior mean of test image `index` or 0."""
    base = np.zeros(model.n_latent) if index is None else model.transform(data.test[index:index + 1])[0]
    z = traverse(base, dimensions, values)
    label = 0 if index is None or data.test_labels is None else data.test_labels[index]
    images = model.decode(z.reshape(-1, model.n_latent), label).reshape(len(dimensions), len(values), -1)
    figure = plots.traversal(images, data.image_shape, values, [f"z{j + 1}" for j in dimensions], fields=data.fields)
    return _with_label(figure, model, label)


def _with_label(figure, model, label):
    """Return the figure with a note on the label that all its images are decoded for, if the model has conditions."""
    if model.n_conditions:
        note(figure.axes[0], f"decoded for label {label}")
    return figure
