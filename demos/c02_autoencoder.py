"""The plain autoencoder: it compresses, and it cannot be sampled from.

T4: trained on the squared reconstruction distance alone, without labels, it beats PCA of the same size.
T5: nothing in that loss says where its codes lie: they can be scaled without changing it, and an autoencoder that
starts with larger codes keeps them and reconstructs as well.  So N(0, I), or any other distribution that you would draw
from, meets codes that the decoder has never seen.  A VAE with the same networks and the same pixels, trained beside it,
has codes near N(0, I) and draws near the data.

Distances.  Codes: the KL divergence from N(0, I) of the Gaussian with the codes' mean and covariance, in nats a
dimension.  Draws: the Frechet distance between the Gaussians with the pixels' means and covariances,
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), beyond that of held-out real images.
"""
import numpy as np

from demos.plots.codes import codes_against_prior
from scratchvae import Autoencoder, VAE
from scratchvae.data.meaning import as_floats
from scratchvae.plots.images import image_rows
from scratchvae.probability.distributions import FullGaussian
from scratchvae.probability.divergences import kl
from scratchvae.training import Trainer

from .course import Claim, main, Result
from .images import frechet, principal_components, squared_distance

TITLE = "The autoencoder, and why it cannot be sampled from"
N_LATENT = 8
WIDER = 4.0                   # times as large are the codes with which the second autoencoder starts
SIGMA = {64: 0.25, 784: 0.5}  # of the VAE's pixels, by their number: lambda = 2 sigma^2 is a choice (T9, T16)


def train(settings, data):
    """The AE, the VAE, and an AE that starts with larger codes: one architecture, one likelihood, one optimizer."""
    shared = dict(n_visible=data.train.shape[1], n_latent=N_LATENT, likelihood="gaussian", seed=settings.seed,
                  sigma=SIGMA.get(data.train.shape[1], 0.5), hidden=(64,) if settings.quick else (256,))
    models = {"AE": Autoencoder(**shared), "VAE": VAE(**shared), "wide AE": scaled(Autoencoder(**shared), WIDER)}
    for model in models.values():
        Trainer(model, data.train, batch_size=64, learning_rate=2e-3, seed=settings.seed).run(
            settings.epochs(data, 72_000, 100_000))
    return models


def decoders_codes(models, x, rng):
    """The codes that each decoder was trained on: enc(x), or draws of q(z | x)."""
    mu, logvar = models["VAE"].encode(x)
    return {"AE": models["AE"].encode(x).astype(float), "VAE": mu + np.exp(logvar / 2) * rng.standard_normal(mu.shape),
            "wide AE": models["wide AE"].encode(x).astype(float)}


def scaled(model, factor):
    """The autoencoder with codes `factor` times as large, and a first decoder layer that undoes it."""
    other = Autoencoder(**model.get_params())
    other.parameters.flat[:] = model.parameters.flat
    for array in other.parameters.encoder.head:
        array *= factor
    other.parameters.decoder[0].W[:] /= factor
    return other


def run(settings):
    data = settings.images(quick="digits")
    train_x, test_x = (as_floats(rows, float) for rows in (data.train, data.test))
    rng, models = np.random.default_rng(settings.seed), train(settings, data)
    error = {"mean": squared_distance(test_x, train_x.mean(axis=0)),
             "PCA": squared_distance(test_x, principal_components(train_x, test_x, N_LATENT)),
             **{name: squared_distance(test_x, model.reconstruct(data.test)) for name, model in models.items()}}
    codes = decoders_codes(models, data.test, rng)
    off = {name: kl(FullGaussian(z.mean(axis=0), np.cov(z.T)),
                    FullGaussian(np.zeros(N_LATENT), np.eye(N_LATENT))) / N_LATENT
           for name, z in codes.items()}
    noise = rng.standard_normal((len(train_x), N_LATENT))
    again, draws = ({name: of(models[name]) for name in ("AE", "VAE")} for of in (
        lambda model: model.reconstruct(data.test), lambda model: model.decode(noise)))
    floor = frechet(test_x, train_x)
    made_again, unreal = ({name: frechet(x, train_x) - floor for name, x in made.items()} for made in (again, draws))
    loss, other = models["AE"].objective(data.test).loss, scaled(models["AE"], 8.0).objective(data.test).loss
    widths, wider = (codes[name].std(axis=0) for name in ("AE", "wide AE"))
    claims = [
        Claim("T4", f"{data.train.shape[1]} pixels through {N_LATENT} numbers: held-out squared error, averaged",
              f"{error['AE']:.2f} (PCA {error['PCA']:.2f}, mean image {error['mean']:.2f})",
              "below PCA of the same size", error["AE"] < error["PCA"] < error["mean"]),
        Claim("T5", "codes 8 times as large give the same loss: nothing holds their range",
              f"change {abs(other - loss):.1g} nats", "below 1e-3 nats", abs(other - loss) < 1e-3),
        Claim("T5", "the AE's codes are not N(0, 1): their sds, dimension by dimension",
              f"{widths.min():.1f} to {widths.max():.1f}",
              "none within 10 % of 1", bool((abs(widths - 1) > 0.1).all())),
        Claim("T5", f"an AE that starts with codes {WIDER:g} times as large: its sds, and its error",
              f"{wider.min():.1f} to {wider.max():.1f}, error {error['wide AE']:.2f}",
              "mean sd over twice the other's, error within 20 %",
              wider.mean() > 2 * widths.mean() and abs(error["wide AE"] / error["AE"] - 1) < 0.2),
        Claim("T5", "KL of the codes from N(0, I), AE and VAE",
              f"{off['AE']:.2f} and {off['VAE']:.3f} nats a dimension",
              "AE at least 3 times VAE", off["AE"] > 3 * off["VAE"]),
        Claim("T5", "Frechet distance of decoded N(0, I) draws, beyond that of real images, AE and VAE",
              f"{unreal['AE']:.1f} and {unreal['VAE']:.1f} (real images: {floor:.1f})", "AE at least 3 times VAE",
              unreal["AE"] > 3 * unreal["VAE"])]
    n, rows = 16, {"real": test_x}
    for name, images in again.items():
        rows[f"{name}, of its code\n{made_again[name]:.1f} from the data"] = images
    for name, images in draws.items():
        rows[f"{name}, z from N(0, I)\n{unreal[name]:.1f} from the data"], rows[f"more of the {name}"] = (
            images, images[n:])
    pictures = image_rows([images[:n] for images in rows.values()], data.image_shape, list(rows),
                          "Both reconstruct; only the VAE can be sampled from",
                          values=[""] * n, label="from the data: squared Fréchet distance, beyond that of real images")
    return Result(claims, {"codes": codes_against_prior({"AE": codes["AE"], "another AE": codes["wide AE"],
                                                         "VAE, z from q(z | x)": codes["VAE"]}),
                           "draws": pictures})


if __name__ == "__main__":
    main(run)
