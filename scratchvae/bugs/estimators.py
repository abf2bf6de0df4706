"""Faults of the bound of K samples: how the samples are weighed, and what the weights are made of."""
import numpy as np

from ..estimators import heads
from .injection import bug

EVERY, SAMPLE_KL = "estimators.EVERY", "estimators.heads.sample_kl"
CONVICTED, IWAE = "K-sample bound", {"estimator": "iwae", "n_samples": 3}


def weighed(weigh, loss=None):
    """Return a `make` for the table of estimators: "iwae" weighs its samples by weigh(log_w), (B, K) from (B, K).

    loss(log_w), (B,), is what it reports; the right bound if not given.
    """
    def make(original):
        iwae = original["iwae"]
        return {**original, "iwae": iwae._replace(weigh=weigh, loss=loss or iwae.loss)}
    return make


@bug(EVERY, seen_in="AntixK/PyTorch-VAE, models/iwae.py (log_weight = +MSE + w KL)",
     symptom="sharp samples of z are punished; the curve falls all the same", convicted_by=CONVICTED,
     diagnosis="the worst sample weighs most", **IWAE)
def worst_sample_weighs_most(original):
    """The gradient weighs the samples by softmax(-log w): the sign of log w is that of a loss."""
    return weighed(lambda log_w: heads.normalised(-log_w))(original)


@bug(EVERY, seen_in="classic: K samples an example, and loss.mean() on the way back",
     symptom="as good as the ELBO, and called better", convicted_by=CONVICTED, diagnosis="every sample weighs 1/K",
     **IWAE)
def samples_weigh_alike(original):
    """The loss is the bound of K samples, the gradient the mean of theirs."""
    return weighed(lambda log_w: heads.uniform(log_w))(original)


# Loss and gradient agree: no gradient check sees these


@bug(EVERY, seen_in="AntixK/PyTorch-VAE, models/iwae.py: the same sign, in the loss too",
     symptom="the loss rises with K; the curve looks fine", convicted_by=CONVICTED, **IWAE)
def bound_of_the_worst(original):
    """The loss is log 1/K sum 1/w, which the worst sample rules, in the place of -log 1/K sum w."""
    return weighed(lambda log_w: heads.normalised(-log_w), lambda log_w: -heads.bound_loss(-log_w))(original)


@bug(EVERY, seen_in="AntixK/PyTorch-VAE#34, PR#53", symptom="a loss too good to be true, and better with every sample",
     convicted_by=CONVICTED, **IWAE)
def weights_not_held(original):
    """The loss is -sum v log w, and v, the normalised weights, is differentiated with it."""
    def loss(log_w):
        return -(heads.normalised(log_w) * log_w).sum(axis=1)

    def weigh(log_w):
        return heads.normalised(log_w) * (1 + log_w + loss(log_w)[:, None])
    return weighed(weigh, loss)(original)


@bug(EVERY, SAMPLE_KL, seen_in="AntixK/PyTorch-VAE, models/iwae.py (kld_loss in log_weight)",
     symptom="the curve looks fine; its figure is no bound", convicted_by=CONVICTED, **IWAE)
def closed_form_kl_in_weights(original, sample_kl):
    """log w has the KL's closed form in the place of log q(z | x) - log p(z): one number for all samples."""
    def closed(head, eps, z):
        mu, logvar = np.split(head.astype(np.float64), 2, axis=1)
        kl = 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1)
        return np.repeat(kl[:, None], len(z) // len(head), axis=1)
    return {**original, "iwae": original["iwae"]._replace(write_head=heads.closed_form)}, closed
