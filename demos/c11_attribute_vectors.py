"""T22: larger eyes by one vector in the latent space, and what else it changes.

A VAE learns from unlabeled faces.  Then some faces are labeled: large eyes or not.  The attribute vector, delta, is
the mean code of the large-eyed less the mean code of the others, and dec(enc(x) + t delta) is the face x with larger
eyes (t > 0) or smaller ones.  Nothing here is left to the eye: the faces come from a renderer with nine known factors,
so fitting that renderer to a decoded picture measures all nine in it.

Labels mislead where attributes go together.  In a second labeled set, large-eyed faces mostly smile: the plain
difference of means then adds the smile as well.  The balanced direction is what the label explains of the codes
beyond the other factors; the logistic one is the normal of the plane that best tells the two classes apart.
"""
import numpy as np

from demos.plots import faces as plots
from scratchvae import VAE
from scratchvae.analysis.attribute_vectors import balanced_difference, logistic_direction, mean_difference
from scratchvae.data.faces import FACTORS, IMAGE_SHAPE, is_large, make_faces, measure
from scratchvae.plots.images import attribute_sweep

from .course import Claim, main, Result

TITLE = "Attribute vectors: larger eyes, and what comes along"
WANTED, COMPANION, CORRELATION = "eye_size", "mouth_curve", 0.8
LABELED = {"independent": {}, "large eyes often smile": {(WANTED, COMPANION): CORRELATION}}
VALUES = np.linspace(-0.9, 0.9, 7)
NAMES = [name.replace("_", " ") for name in FACTORS]
SPREAD = np.array([(factor.high - factor.low) / np.sqrt(12) for factor in FACTORS.values()])   # of an even spread
EYE, MOUTH = list(FACTORS).index(WANTED), list(FACTORS).index(COMPANION)


def train(images, settings):
    """Fit a VAE to faces."""
    epochs, hidden = (15, 128) if settings.quick else (60, 256)
    vae = VAE(images.shape[1], n_latent=16, hidden=(hidden,), likelihood="gaussian", sigma=0.05, seed=settings.seed)
    vae.fit(images, epochs=epochs, batch_size=32 if settings.quick else 64, learning_rate=2e-3, seed=settings.seed)
    return vae


def directions(vae, labeled):
    """Return the three attribute vectors of a labeled set."""
    codes, labels = vae.transform(labeled.images), is_large(labeled.factors[WANTED])
    others = np.column_stack([values for name, values in labeled.factors.items() if name != WANTED])
    return {"plain": mean_difference(codes, labels), "balanced": balanced_difference(codes, labels, others),
            "logistic": logistic_direction(codes, labels)}


def sweep(vae, faces, delta):
    """Return dec(enc(x) + t delta), (faces, t, D), and the factors measured there, (faces, t, 9), in sd."""
    z = vae.transform(faces.images)[:, None] + VALUES[:, None] * delta
    images = vae.decode(z.reshape(-1, vae.n_latent))
    start = {name: np.repeat(values, len(VALUES)) for name, values in faces.factors.items()}
    found = np.column_stack(list(measure(images, start)[0].values()))
    return images.reshape(*z.shape[:2], -1), found.reshape(*z.shape[:2], -1) / SPREAD


def slopes(found):
    """Return the least-squares change of each factor for t = 1, face by face: (faces, 9)."""
    weights = (VALUES - VALUES.mean()) / np.sum((VALUES - VALUES.mean())**2)
    return np.einsum("t,ntk->nk", weights, found)


def rank_correlation(found):
    """Return Spearman's rank correlation of each row with VALUES, (faces,)."""
    ranks = found.argsort(axis=1).argsort(axis=1)
    return np.array([np.corrcoef(row, np.arange(len(VALUES)))[0, 1] for row in ranks])


def run(settings):
    """Sweep all directions of both labeled sets and measure."""
    n, n_shown = (2000, 4) if settings.quick else (5000, 8)
    first = 10 * settings.seed
    vae = train(make_faces(n, seed=first).images, settings)
    shown = make_faces(n_shown, seed=first + 1)
    claims, average, images, found = [], {}, {}, {}
    for labels, correlation in LABELED.items():
        labeled = make_faces(n // 2, seed=first + 2, correlation=correlation)
        for name, delta in directions(vae, labeled).items():
            images[labels, name], found[labels, name] = sweep(vae, shown, delta)
            average.setdefault(labels, {})[name] = slopes(found[labels, name]).mean(axis=0)      # of the shown faces
    again, _ = measure(shown.images)
    off = max(np.abs(again[name] - shown.factors[name]).max() / SPREAD[k] for k, name in enumerate(FACTORS))
    claims.append(Claim("T22", "Fitting the renderer reads the nine factors off a face's pixels",
                        f"largest error {off:.1e} sd", "below 0.01 sd", off < 0.01))
    independent, together = LABELED
    ranks = {name: rank_correlation(found[independent, name][:, :, EYE]).min() for name in average[independent]}
    claims.append(Claim("T22", "dec(enc(x) + t delta) has larger eyes the larger t is, for every face",
                        ", ".join(f"{name} {rank:.3f}" for name, rank in ranks.items()) + " (lowest rank correlation)",
                        "0.95 or more", min(ranks["plain"], ranks["balanced"]) >= 0.95))
    for labels in LABELED:
        size = np.abs(average[labels]["balanced"])
        second = max((k for k in range(len(size)) if k != EYE), key=lambda k: size[k])
        claims.append(Claim("T22", "On average over the faces the balanced direction changes the eyes more than "
                            f"anything else ({labels})",
                            f"eye size {size[EYE]:.2f} sd, next {NAMES[second]} {size[second]:.2f} sd",
                            "eye size first", size[EYE] > size[second]))
    leak = {labels: {name: abs(change[MOUTH]) / change[EYE]
                     for name, change in average[labels].items()} for labels in LABELED}
    plain, balanced = leak[together]["plain"], leak[together]["balanced"]
    claims.append(Claim("T22", "Where large eyes often smile, the plain difference adds the smile",
                        f"{plain:.2f} sd of mouth curve a sd of eye size; {leak[independent]['plain']:.2f} with "
                        "independent labels", "at least 0.5, and 2 times that of independent",
                        plain >= 0.5 and plain > 2 * leak[independent]["plain"]))
    claims.append(Claim("T22", "The balanced direction leaks at most half as much",
                        f"{balanced:.2f} against {plain:.2f}", f"at most {plain / 2:.2f}", balanced <= plain / 2))
    claims.append(Claim("T22", "The logistic direction leaks, too, but less than the plain one",
                        f"{leak[together]['logistic']:.2f} against {plain:.2f}", "less than plain",
                        leak[together]["logistic"] < plain))
    figures = {
        "faces": attribute_sweep(shown.images[:4], images[independent, "balanced"][:4], IMAGE_SHAPE, VALUES,
                                 [f"face {k + 1}" for k in range(4)], "dec(enc(x) + tΔ): larger eyes to the right"),
        "leak": attribute_sweep(shown.images[[0] * 3], np.stack([images[together, name][0] for name in leak[together]]),
                                IMAGE_SHAPE, VALUES, list(leak[together]), "Large eyes often smile: three vectors"),
        "eye_size": plots.measured_sweep(VALUES, found[independent, "balanced"][:, :, EYE] * SPREAD[EYE], "eye size",
                                         "pixels", FACTORS[WANTED][:2]),
        "changes": plots.leaks(average, NAMES, NAMES[EYE])}
    return Result(claims, figures)


if __name__ == "__main__":
    main(run)
