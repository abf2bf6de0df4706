"""lambda, the weight of the KL: what it trades, which one a data set wants, and what it means.

T9: loss = squared error + lambda KL.  A large lambda buys codes that follow the prior with blurred reconstructions; a
small one buys sharp reconstructions with codes that the prior does not know.  Data sets want different lambdas.
T16: with a Gaussian decoder of standard deviation sigma_x the loss is, up to a factor and a constant, the negative
ELBO, where lambda = 2 sigma_x^2.  So a model of each lambda is a density of the data, and held-out log p(x), each
with its own sigma_x, compares them; and a model that learns its sigma_x says which lambda the data want.
"""
import numpy as np

from scratchvae import load_data, VAE
from scratchvae.analysis.elbo_decomposition import effective_sigma
from scratchvae.analysis.rate_distortion import rate_distortion
from scratchvae.data.faces import IMAGE_SHAPE, make_faces
from scratchvae.data.loading import Dataset
from scratchvae.data.meaning import as_floats
from scratchvae.plots.images import image_rows
from scratchvae.plots.labs import rate_distortion as rate_distortion_figure
from scratchvae.probability.divergences import kl_terms

from .course import Claim, main, Result

TITLE = "lambda: what the weight of the KL trades, and which one a data set wants"
ROUNDING = 1e-12              # relative: sums of some thousand float64 numbers
NEAR = 4                      # times: one step of the quick range, which spans a factor of 256
SHOWN = 12                    # images of a kind in a row


def identities(settings, x):
    """T16: three ways to write the squared error, three lambdas, one ELBO; and its gradient."""
    sigma, n_visible = 0.3, x.shape[1]
    shared = dict(n_visible=n_visible, n_latent=3, hidden=(16,), activation="tanh", likelihood="gaussian",
                  dtype="float64", seed=settings.seed)
    vae = VAE(sigma=sigma, **shared)
    eps = np.random.default_rng(settings.seed).standard_normal((len(x), 3))
    objective, gradient = vae.gradient(x, eps)
    q = vae.encode(x)
    squares = np.square(x - vae.decode(q.mu + np.exp(q.logvar / 2) * eps)).sum(axis=1).mean()
    kl = kl_terms(q.mu, q.logvar).sum(axis=1).mean()
    constant = 0.5 * n_visible * np.log(2 * np.pi * sigma**2)
    claims = []
    for name, of_squares, lambda_, text in (("sum", 1, 2 * sigma**2, "squared error + lambda KL, lambda = 2 sigma^2"),
                                            ("half", 0.5, sigma**2, "half squared error + lambda KL, lambda = sigma^2"),
                                            ("mean", 1 / n_visible, 2 * sigma**2 / n_visible,
                                             "mean squared error a pixel + lambda KL, lambda = 2 sigma^2 / D")):
        by_hand, elbo = of_squares * squares + lambda_ * kl, lambda_ * (objective.loss - constant)
        back = effective_sigma(lambda_, name, n_visible=n_visible)
        claims.append(Claim("T16", f"{text}: it is lambda (-ELBO - constant)", f"{by_hand:.12g}, of sigma {back:.12g}",
                            f"{elbo:.12g}, of sigma {sigma}; relative error below {ROUNDING:.0e}",
                            abs(by_hand / elbo - 1) < ROUNDING and abs(back / sigma - 1) < ROUNDING))
    _, same = VAE(sigma=np.sqrt(0.5), beta=2 * sigma**2, **shared).gradient(x, eps)
    apart = max(np.abs(a - 2 * sigma**2 * b).max() / np.abs(a).max()
                for (_, a), (_, b) in zip(same.segments(), gradient.segments()))
    return claims + [
        Claim("T16", "the gradient of squared error + lambda KL is 2 sigma^2 times that of -ELBO: largest relative "
              "error of any segment", f"{apart:.0e}", f"below {ROUNDING:.0e}", apart < ROUNDING)]


def trade(curve):
    """T9 and T16 on one data set."""
    name, points = curve.dataset, curve.points
    kl, error = (np.array([getattr(point, part) for point in points]) for part in ("rate", "distortion"))
    best, learned = 2 * curve.best_beta, 2 * curve.implied_beta
    ends = f"lambda {2 * points[0].beta:.2g} to {2 * points[-1].beta:.2g}"
    return [
        Claim("T9", f"{name}: a larger lambda, a smaller KL, at each step; {ends}",
              " ".join(f"{value:.3g}" for value in kl) + " nats", "falling", bool((np.diff(kl) < 0).all())),
        Claim("T9", f"{name}: the squared error a pixel pays for it; {ends}", f"{error[0]:.4f} to {error[-1]:.4f}",
              "larger at the end", error[-1] > error[0]),
        Claim("T9", f"{name}: the best lambda on held-out data lies inside the range", f"{best:.3g}",
              f"between {2 * points[0].beta:.2g} and {2 * points[-1].beta:.2g}", not curve.at_edge),
        Claim("T16", f"{name}: a learned sigma_x gives the best lambda without a search: 2 sigma_x^2", f"{learned:.3g}",
              f"{best:.3g} within {NEAR} times", abs(np.log(learned / best)) <= np.log(NEAR))]


def pictures(settings, data, curve):
    """Reconstructions and draws from the prior, at a lambda far too small, the best, and one far too large."""
    rows, names, originals = [], [], as_floats(data.test[:SHOWN], float)
    for times in (1 / 64, 1, 64):
        beta = times * curve.best_beta
        vae = VAE(data.train.shape[1], n_latent=10, hidden=(64,), likelihood="gaussian", beta=beta, seed=settings.seed)
        vae.fit(data.train, epochs=10 if settings.quick else 40, batch_size=64, learning_rate=2e-3, seed=settings.seed)
        rows += [originals, vae.reconstruct(data.test[:SHOWN]), vae.sample(SHOWN, seed=settings.seed)]
        names += [f"lambda = {2 * beta:.2g}: original", "reconstruction", "draw from the prior"]
    return image_rows(np.stack(rows), data.image_shape, names,
                      "A small lambda cannot be drawn from; a large one blurs all", blocks=3)


def run(settings):
    digits, n_train = load_data("digits"), 400 if settings.quick else 1500
    if settings.quick:
        digits = digits._replace(train=digits.train[:800])
    faces = make_faces(n_train + 200, seed=settings.seed).images
    sets = [digits, Dataset(faces[:n_train], faces[n_train:], None, None, "faces", IMAGE_SHAPE)]
    if not settings.quick:
        images = settings.images()
        sets.append(images._replace(train=images.train[:3000], test=images.test[:300]))
    betas = 0.0004 * (4.0 if settings.quick else 2.2) ** np.arange(5 if settings.quick else 8)
    size = dict(epochs=15, hidden=(32,), importance_samples=20) if settings.quick else dict(epochs=30, hidden=(64,))
    curves = [rate_distortion(data, betas, seed=settings.seed, **size) for data in sets]
    best = [2 * curve.best_beta for curve in curves]
    claims = identities(settings, digits.test[:16].astype(float))
    claims += [claim for curve in curves for claim in trade(curve)]
    names = ", ".join(curve.dataset for curve in curves)
    claims.append(Claim("T9", f"different data sets want different lambdas: {names}",
                        ", ".join(f"{value:.3g}" for value in best), "not all the same", len(set(best)) > 1))
    return Result(claims, {"rate_distortion": rate_distortion_figure(curves, as_lambda=True),
                           "pictures": pictures(settings, sets[0 if settings.quick else -1],
                                                curves[0 if settings.quick else -1])})


if __name__ == "__main__":
    main(run)
