"""Faults of the bound of K samples: how the samples are weighed, and what the weights are made of."""
import numpy as np

from ..estimators import Analytic
from ..estimators.importance import bound_loss, normalized
from .injection import bug

WEIGH, LOSS, HEAD = (f"estimators.importance.IWAE.{name}" for name in ("weigh", "loss", "write_head"))
CONVICTED, SETTINGS = "K-sample bound", {"estimator": "iwae", "n_samples": 3}


@bug(WEIGH, seen_in="AntixK/PyTorch-VAE, models/iwae.py (log_weight = +MSE + w KL)",
     symptom="sharp samples of z are punished; the curve falls all the same", detected_by=CONVICTED,
     diagnosis="the worst sample weighs most", **SETTINGS)
def worst_sample_weighs_most(original):
    """The gradient weighs the samples by softmax(-log w): the sign of log w is that of a loss."""
    return lambda self, log_w: normalized(-log_w)


@bug(WEIGH, seen_in="classic: K samples an example, and loss.mean() on the way back",
     symptom="as good as the ELBO, and called better", detected_by=CONVICTED, diagnosis="every sample weighs 1/K",
     **SETTINGS)
def samples_weigh_alike(original):
    """The loss is the bound of K samples, the gradient the mean of theirs."""
    return lambda self, log_w: np.full(log_w.shape, 1 / log_w.shape[1])


# Loss and gradient agree: no gradient check sees these


@bug(WEIGH, LOSS, seen_in="AntixK/PyTorch-VAE, models/iwae.py: the same sign, in the loss too",
     symptom="the loss rises with K; the curve looks fine", detected_by=CONVICTED, **SETTINGS)
def bound_of_the_worst(weigh, loss):
    """The loss is log 1/K sum 1/w, which the worst sample rules, in the place of -log 1/K sum w."""
    return lambda self, log_w: normalized(-log_w), lambda self, log_w: -bound_loss(-log_w)


@bug(WEIGH, LOSS, seen_in="AntixK/PyTorch-VAE#34, PR#53",
     symptom="a loss too good to be true, and better with every sample", detected_by=CONVICTED, **SETTINGS)
def weights_not_held(weigh, loss):
    """The loss is -sum v log w, and v, the normalized weights, is differentiated with it."""
    def own_loss(self, log_w):
        return -(normalized(log_w) * log_w).sum(axis=1)

    def moving(self, log_w):
        return normalized(log_w) * (1 + log_w + own_loss(self, log_w)[:, None])
    return moving, own_loss


@bug(HEAD, "estimators.sampled.sample_kl", seen_in="AntixK/PyTorch-VAE, models/iwae.py (kld_loss in log_weight)",
     symptom="the curve looks fine; its figure is no bound", detected_by=CONVICTED, **SETTINGS)
def closed_form_kl_in_weights(write_head, sample_kl):
    """log w has the KL's closed form in the place of log q(z | x) - log p(z): one number for all samples."""
    def closed(head, eps, z):
        mu, logvar = np.split(head.astype(np.float64), 2, axis=1)
        kl = 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1)
        return np.repeat(kl[:, None], len(z) // len(head), axis=1)
    return Analytic.write_head, closed
