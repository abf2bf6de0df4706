"""T21: the encoder as a feature extractor, judged by a linear probe.

A VAE and a plain autoencoder learn from images without labels.  Then a few images are labeled, and a linear
classifier is fitted to features of those: the VAE's posterior means, the autoencoder's codes, as many principal
components (PCA), or the pixels themselves.  The classifier is one-against-rest ridge regression; its ridge is chosen
for each of them by leave-one-out error on the labeled images alone, so that nobody is favored.

Look for two things.  At the same size the learned features beat PCA by far: the classes lie straighter.  And ten
numbers do not hold all that 784 pixels tell: with twenty labels they do nearly as well, from fifty on the pixels are
ahead.  The plain autoencoder's codes do about as well as the VAE's means: it is the learned, nonlinear code that makes
features, not its size alone and not the KL.
"""
import numpy as np

from demos.plots.features import probe_accuracy
from scratchvae import Autoencoder, VAE
from scratchvae.data.meaning import as_floats

from .course import Claim, main, Result

TITLE = "Features: what a linear probe makes of the codes"
N_LATENT = 10
RIDGES = np.logspace(-3, 2, 11)             # in units of the labeled features' mean eigenvalue


def features(settings, data):
    """Return {name: (train, test)}: four kinds of features of the same images."""
    hidden, rows, learning_rate = ((96,), 24_000, 3e-3) if settings.quick else ((128,), 60_000, 2e-3)
    found = {}
    for name, kind in (("VAE means", VAE), ("autoencoder codes", Autoencoder)):
        model = kind(data.train.shape[1], n_latent=N_LATENT, hidden=hidden, seed=settings.seed)
        model.fit(data.train, epochs=settings.epochs(data, rows, rows), batch_size=64, learning_rate=learning_rate,
                  seed=settings.seed)
        found[name] = model.transform(data.train).astype(float), model.transform(data.test).astype(float)
    train, test = as_floats(data.train, float), as_floats(data.test, float)
    center = train.mean(axis=0)
    directions = np.linalg.eigh((train - center).T @ (train - center))[1][:, :-N_LATENT - 1:-1]
    found["PCA"] = (train - center) @ directions, (test - center) @ directions
    return found | {"pixels": (train, test)}


def probe(x, labels):
    """Fit one-against-rest ridge regression; return (weights (d, classes), bias (classes,)).

    With (x - mean)(x - mean)^T = U diag(s) U^T the fit is H targets, H = U diag(s / (s + ridge)) U^T + 1/n, and what
    leaving example i out makes of its residual is residual / (1 - H_ii): one decomposition judges every ridge.
    """
    centered, targets = x - x.mean(axis=0), np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
    if len(x) <= x.shape[1]:
        s, u = np.linalg.eigh(centered @ centered.T)
    else:
        u, s, _ = np.linalg.svd(centered, full_matrices=False)
        s = s * s
    along, middle, best = u.T @ targets, targets.mean(axis=0), None
    for ridge in RIDGES * np.mean(s):
        kept = s / (s + ridge)
        residual = targets - middle - (u * kept) @ along
        error = np.sum((residual / (1 - (u * u) @ kept - 1 / len(x))[:, None])**2)
        if best is None or error < best[0]:
            best = error, ridge
    weights = centered.T @ (u @ (along / (s + best[1])[:, None]))
    return weights, middle - x.mean(axis=0) @ weights


def accuracies(found, data, n_labels, draws, seed):
    """Return {name: (draws, len(n_labels))}: held-out accuracy, all features on the same labeled examples."""
    accuracy = {name: np.empty((draws, len(n_labels))) for name in found}
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(len(data.train))
        for k, n in enumerate(n_labels):
            for name, (train, test) in found.items():
                weights, bias = probe(train[order[:n]], data.train_labels[order[:n]])
                accuracy[name][draw, k] = np.mean((test @ weights + bias).argmax(axis=1) == data.test_labels)
    return accuracy


def run(settings):
    """Train both models, probe all four kinds of features."""
    data = settings.images()
    n_labels, draws = ((20, 100, 300), 6) if settings.quick else ((20, 50, 100, 200, 500), 12)
    accuracy = accuracies(features(settings, data), data, n_labels, draws, settings.seed)
    vae = accuracy["VAE means"]

    def ahead(other, k):
        """By how much the VAE's means are ahead of another kind with n_labels[k] labels: mean, standard error, text."""
        difference = vae[:, k] - accuracy[other][:, k]
        gain, stderr = difference.mean(), difference.std(ddof=1) / np.sqrt(draws)
        return gain, stderr, f"{100 * gain:+.1f} ± {100 * stderr:.1f}"

    def text(k, *names):
        return f"{n_labels[k]} labels: " + ", ".join(
            f"{name} {100 * accuracy[name][:, k].mean():.1f} ± "
            f"{100 * accuracy[name][:, k].std(ddof=1) / np.sqrt(draws):.1f} %" for name in names)

    few, many = n_labels.index(100), len(n_labels) - 1
    claims = []
    for k in (few, many):
        gain, stderr, lead = ahead("PCA", k)
        claims.append(Claim("T21", f"{N_LATENT} VAE means tell digits apart better than the {N_LATENT} of PCA",
                            f"{text(k, 'VAE means', 'PCA')} ({lead})", "ahead by over 3 standard errors",
                            gain > 3 * stderr))
    gain, _, lead = ahead("pixels", 0)
    claims.append(Claim("T21", f"with few labels {N_LATENT} numbers do nearly as well as {data.train.shape[1]} pixels",
                        f"{text(0, 'VAE means', 'pixels')} ({lead})", "at most 5 % behind", gain > -0.05))
    gain, stderr, lead = ahead("pixels", many)
    claims.append(Claim("T21", "with many labels the pixels win: the means are a summary, not the image",
                        f"{text(many, 'VAE means', 'pixels')} ({lead})", "behind by over 3 standard errors",
                        gain < -3 * stderr))
    for k in (few, many):
        gain, _, lead = ahead("autoencoder codes", k)
        claims.append(Claim("T21", "the plain autoencoder's codes do about as well: the KL is not what makes features",
                            f"{text(k, 'VAE means', 'autoencoder codes')} ({lead})", "less apart than means and PCA",
                            abs(gain) < ahead("PCA", k)[0]))
    leads = [f"{n}: {ahead('pixels', k)[2]} %" for k, n in enumerate(n_labels)]
    claims.append(Claim("T21", f"the VAE means' lead over pixels, at {', '.join(map(str, n_labels))} labels",
                        ", ".join(leads), "falls from the first to the last",
                        ahead("pixels", 0)[0] > ahead("pixels", many)[0]))
    title = f"{data.name}: a linear probe on {N_LATENT} numbers an image, and on its pixels"
    return Result(claims, {"probe": probe_accuracy(n_labels, accuracy, title)})


if __name__ == "__main__":
    main(run)
