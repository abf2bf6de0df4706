"""What the page on a trained model holds: its weights, rounded, held-out rows, and directions in its latent space."""
import copy

import numpy as np

from ..analysis.attribute_vectors import balanced_difference, mean_difference
from ..analysis.latent import AggregatePosterior
from ..data.faces import FACTORS, is_large, load_faces, measure
from ..data.loading import Dataset, DRAWN
from ..errors import ConfigurationError
from ..probability.distributions import DiagonalGaussian
from ..probability.divergences import kl_terms
from ..probability.mixture import fit_mixture
from ..probability.monte_carlo import kl_from_samples
from ..training import held_out_objective
from ..vae import VAE
from .packing import pack, rounded

LEVELS = (32767, 511, 255, 127, 75, 23)     # of a weight matrix on either side of 0, the finest that fit: 16 or 8 bits
MOST_TEXT, ORDINARY = 585_000, 652_824      # characters of the weights of a page of 700 kB, which a 784-400-20 must fit
MOST_PARAMETERS = 2_000_000         # of a model in a page, so that a drag stays below 16 ms
MEASURED, CODES, FITTED = 2000, 300, 5000        # held-out rows of losses, and of codes shown; training rows of fits
PIXELS, MOST_SHOWN, MOST_LABELS = 40_000, 24, 20           # of the held-out rows shown, their number, and attributes
GRAYS = 255 * 256                   # levels of 16 bits, so that 1/16 and 1/255 are whole numbers of them
COMPONENTS, DRAWS = 10, 4000        # of the mixture that is fitted to draws from q(z)
SWEEP, LEAKS = 0.5, 16              # how far faces move along an attribute vector, to either side, and how many do


def model_data(model: VAE, data: Dataset, source: str, binarize: str = "none", seed: int = 0) -> dict:
    """Return what JSON holds for the page.

    `source` is where the data come from, as `load_data` takes it; `binarize` and `seed` are those of the run.
    Raises ConfigurationError if the model is too large for a page.
    """
    model = model.for_evaluation()
    held, weights = rounded_model(model)
    before, after = (held_out_objective(of, data.test[:MEASURED], binarize=binarize, seed=seed).loss
                     for of in (model, held))
    train, test = held.encode(data.train[:FITTED]), held.encode(data.test[:MEASURED])
    drawn = AggregatePosterior(*train).sample(DRAWS, seed)
    mixture = fit_mixture(drawn, COMPONENTS, seed=seed, tolerance=1e-3).mixture
    z, prior = mixture.sample(DRAWS, seed=seed), DiagonalGaussian(np.zeros(held.n_latent), np.zeros(held.n_latent))
    names, vectors, leak = attributes(held, data, source, train.mu)
    shown = _shown(data)
    pixels, low, high = _as_levels(data.test[shown, :model.n_visible], data.train[:MEASURED, :model.n_visible])
    parts = mixture.components
    arrays = {"pixels": pixels, "codes": rounded(test.mu[:CODES], 127), "vectors": rounded(vectors, 32767),
              "shares": rounded(mixture.weights, 32767), "means": rounded(np.array([p.mean for p in parts]), 32767),
              "factors": rounded(np.array([p.cholesky for p in parts]), 32767)}
    return {
        "weights": weights, "arrays": pack(arrays), "likelihood": held.likelihood.name, "activation": held.activation,
        "sigma": held.likelihood.sigma_of(held.parameters.likelihood), "beta": model.beta, "low": low, "high": high,
        "n_latent": held.n_latent, "n_conditions": held.n_conditions,
        "hidden": list(held.hidden), "image_shape": list(data.image_shape),
        "data": data.name, "shown": shown, "loss": [before, after], "measured": len(test.mu), "binarize": binarize,
        "labels": None if data.test_labels is None else         # as text: JavaScript rounds integers above 2^53
        [str(label) for label in data.test_labels[:max(CODES, max(shown) + 1)]],
        "kl": kl_terms(*test).mean(axis=0).tolist(),
        "attributes": names, "leak": leak,
        "mixture_kl": list(kl_from_samples(mixture.log_density(z), prior.log_density(z)))[:2]}


def rounded_model(model: VAE) -> tuple[VAE, dict]:
    """Return (the model with rounded weights, these as `pack` returns them, with `levels` and `parameters`).

    Raises ConfigurationError if it has more than `MOST_PARAMETERS`.
    """
    size = model.parameters.flat.size
    if size > MOST_PARAMETERS:
        raise ConfigurationError(f"the model has {size:,} parameters; a page holds at most {MOST_PARAMETERS:,}, to "
                                 "stay small and quick. Train one with fewer --hidden units.")
    for levels in LEVELS:
        held, arrays = copy.deepcopy(model), {}
        for name, values in model.parameters.segments():
            numbers, step = arrays[name] = rounded(values, levels if values.ndim == 2 else LEVELS[0])
            held.parameters[name][...] = numbers * step
        packed = pack(arrays)
        if len(packed["text"]) <= MOST_TEXT * max(1, size / ORDINARY):
            break
    return held, {**packed, "levels": levels, "parameters": size}


def attributes(model: VAE, data: Dataset, source: str, codes: np.ndarray) -> tuple[list, np.ndarray, list | None]:
    """Return (names, vectors (A, Z), leak) of the labels of the training rows that have the codes (n, Z)   (T22).

    A label's vector is the mean code with it less the mean code without it.  A face has factors instead, whose vectors
    are corrected for one another; leak (A, A) is how much each of them changes every factor, as measured in the
    decoded pictures, in standard deviations of the factors.
    """
    n = len(codes)
    if source in DRAWN:
        train, test = load_faces()
        factors = np.column_stack(list(train.factors.values()))[:n]
        vectors = np.array([balanced_difference(codes, is_large(factors[:, k]), np.delete(factors, k, axis=1))
                            for k in range(len(FACTORS))])
        return [name.replace("_", " ") for name in FACTORS], vectors, _leak(model, vectors, test).tolist()
    labels = np.zeros(n, int) if data.train_labels is None else data.train_labels[:n]
    known, counts = np.unique(labels, return_counts=True)
    known = np.sort(known[np.argsort(-counts, kind="stable")[:MOST_LABELS]]) if len(known) > 1 else known[:0]
    found = np.array([mean_difference(codes, labels == label) for label in known])
    return [str(label) for label in known], found.reshape(-1, model.n_latent), None


def _leak(model, vectors, faces):
    """Return the change of every factor (columns) for a step of 1 along each vector (rows), in standard deviations."""
    factors = {name: values[:LEAKS] for name, values in faces.factors.items()}
    z = model.transform(faces.images[:LEAKS])
    found = [measure(model.decode((z + way * vectors[:, None]).reshape(-1, z.shape[1])),
                     {name: np.tile(values, len(vectors)) for name, values in factors.items()})[0]
             for way in (SWEEP, -SWEEP)]
    return np.column_stack([
        (found[0][name] - found[1][name]).reshape(len(vectors), -1).mean(axis=1)
        / (2 * SWEEP) / ((factor.high - factor.low) / np.sqrt(12)) for name, factor in FACTORS.items()])


def _shown(data):
    """Return the numbers of the held-out rows that the page shows: one of each label, a second of each, ..."""
    labels = np.zeros(len(data.test)) if data.test_labels is None else data.test_labels
    labels = labels[:MEASURED]
    turn = [np.count_nonzero(labels[:i] == label) for i, label in enumerate(labels)]
    return np.lexsort((labels, turn))[:min(MOST_SHOWN, max(2, PIXELS // data.test.shape[1]))].tolist()


def _as_levels(rows, others):
    """Return ((levels of 8 or 16 bits, share that a level is), value of the share 0, value of the share 1)."""
    if rows.dtype == np.uint8:
        return (rows, 1 / 255), 0.0, 1.0
    low, high = (float(end([end(part) for part in (rows, others)])) for end in (np.min, np.max))
    low, high = (0.0, 1.0) if 0 <= low and high <= 1 else (low, high if high > low else low + 1)
    return (np.rint((rows - low) / (high - low) * GRAYS).astype("uint16"), 1 / GRAYS), low, high
