"""What chapters 2 and 9 measure of images, and of the models that make them."""
import numpy as np


def squared_distance(x, y):
    """Mean over rows of |x - y|^2."""
    return float(np.square(x - y).sum(axis=1).mean())


def principal_components(train, test, n):
    """Held-out rows, projected on the first n components of the training rows."""
    mean = train.mean(axis=0)
    axes = np.linalg.svd(train - mean, full_matrices=False)[2][:n]
    return mean + (test - mean) @ axes.T @ axes


def frechet(a, b):
    """Squared Frechet (Wasserstein-2) distance between the Gaussians with the moments of rows a and b."""
    (mean_a, mean_b), (cov_a, cov_b) = ([f(rows) for rows in (a, b)]
                                        for f in (lambda r: r.mean(axis=0), lambda r: np.cov(r.T)))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap)


def nearest(images, real):
    """Distance of each image to the nearest real one, (n,)."""
    squares = np.square(images).sum(axis=1)[:, None] + np.square(real).sum(axis=1) - 2 * images @ real.T
    return np.sqrt(np.maximum(squares, 0)).min(axis=1)


def one_without_the_other(vae, x, z):
    """T19: the numbers that change in the codes with the decoder erased, and in the images with the encoder erased."""
    p, codes, images, changed = vae.parameters, vae.encode(x).mu, vae.decode(z), 0
    whole = p.flat.copy()
    for erased, was, again in (("decoder", codes, lambda: vae.encode(x).mu),
                               ("encoder", images, lambda: vae.decode(z))):
        for name, values in p.segments():
            values[:] = np.nan if name.startswith(erased) else values
        changed += int((again() != was).sum())
        p.flat[:] = whole
    return changed
