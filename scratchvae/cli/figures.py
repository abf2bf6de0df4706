"""The figures of a run, from its model and its data."""
import numpy as np

from .. import plots
from ..analysis.latent import traverse
from ..probability.divergences import kl_terms

GRID = 15                                          # decoded grid: images a side


def kl_per_dimension(model, x):
    """Return KL(q(z_j | x) || p(z_j)) averaged over x, (Z,), in nats per example (E4)."""
    return kl_terms(*model.encode(x)).mean(axis=0)


def reconstruction_figure(model, data, n):
    """Draw n held-out images over their reconstructions."""
    originals = data.test[:n]
    scaled = originals / 255 if originals.dtype == np.uint8 else originals
    return plots.reconstructions(scaled, model.reconstruct(originals), data.image_shape)


def sample_figure(model, data, n, seed):
    """Draw the decoded means of n draws from the prior."""
    return plots.image_grid(model.sample(n, seed), data.image_shape, f"{n} samples from the prior")


def decoded_grid_figure(model, data):
    """Draw the decoded means over the plane of a model with two latents."""
    axis = np.linspace(-3, 3, GRID)
    z = np.array([(z1, z2) for z2 in axis for z1 in axis])
    return plots.decoded_grid(model.decode(z), data.image_shape, axis, axis)


def traversal_figure(model, data, dimensions, index, values):
    """Draw one latent a row swept over `values`, the others at the posterior mean of test image `index` or 0."""
    base = np.zeros(model.n_latent) if index is None else model.transform(data.test[index:index + 1])[0]
    z = traverse(base, dimensions, values)
    images = model.decode(z.reshape(-1, model.n_latent)).reshape(len(dimensions), len(values), -1)
    return plots.traversal(images, data.image_shape, values, [f"z{j + 1}" for j in dimensions])
