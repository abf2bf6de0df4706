"""Faults of the bound of K samples: how the samples are weighed, and what the weights are made of."""
from typing import Any

import numpy as np

from ..estimators import Analytic, IWAE, sampled
from ..estimators.importance import bound_loss, normalized
from ..estimators.pathwise import MonteCarlo
from .injection import bug, bug_maker

LABEL: Any = {"detected_by": "K-sample bound", "estimator": "iwae", "n_samples": 3}


@bug(IWAE.weigh, seen_in="AntixK/PyTorch-VAE, models/iwae.py (log_weight = +MSE + w KL)",
     symptom="sharp samples of z are punished; the loss hardly moves",
     diagnosis="the worst sample weighs most", **LABEL)
def worst_sample_weighs_most(original, self, log_w):
    """The gradient weighs the samples by softmax(-log w): the sign of log w is that of a loss (S6)."""
    return normalized(-log_w)


@bug(IWAE.weigh, seen_in="classic: K samples of an example, and loss.mean() in the backward pass",
     symptom="as good as the ELBO, and said to be better", diagnosis="every sample weighs 1/K", **LABEL)
def samples_weigh_alike(original, self, log_w):
    """The loss is the bound of K samples, the gradient is the mean of theirs (S6)."""
    return np.full(log_w.shape, 1 / log_w.shape[1])


# In the rest, loss and gradient agree: no gradient check finds these faults


@bug_maker(IWAE.weigh, IWAE.loss, seen_in="AntixK/PyTorch-VAE, models/iwae.py: the same sign, in the loss too",
           symptom="the loss rises with K, and training hardly moves it", **LABEL)
def bound_of_the_worst(weigh, loss):
    """The loss is log 1/K sum 1/w, which the worst sample dominates, in the place of -log 1/K sum w (S6)."""
    return lambda self, log_w: normalized(-log_w), lambda self, log_w: -bound_loss(-log_w)


@bug_maker(IWAE.weigh, IWAE.loss, seen_in="AntixK/PyTorch-VAE#34, PR#53",
           symptom="a loss too good to be true, and better with every sample", **LABEL)
def weights_not_held(weigh, loss):
    """The loss is -sum v log w, and v, the normalized weights, is differentiated with it (S6)."""
    def own_loss(self, log_w):
        return -(normalized(log_w) * log_w).sum(axis=1)

    def moving(self, log_w):
        return normalized(log_w) * (1 + log_w + own_loss(self, log_w)[:, None])
    return moving, own_loss


@bug_maker(MonteCarlo.write_head, sampled.sample_kl,
           seen_in="AntixK/PyTorch-VAE, models/iwae.py (kld_loss in log_weight)",
           symptom="the curve looks fine; its number is no bound", **LABEL)
def closed_form_kl_in_weights(write_head, sample_kl):
    """log w has the KL's closed form in the place of log q(z | x) - log p(z): one number for all samples (S1)."""
    def closed(head, eps, z):
        mu, logvar = np.split(head.astype(np.float64), 2, axis=1)
        kl = 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1)
        return np.repeat(kl[:, None], len(z) // len(head), axis=1)
    return Analytic.write_head, closed
