"""Faults of what is reported and generated: the model learns right, and something else is shown."""
import math

import numpy as np

from .. import elbo, training
from ..analysis import evaluation
from ..training import Trainer
from ..vae import VAE
from .injection import bug

REPORTED, HELD_OUT, ORACLE = "reported = differentiated", "held-out objective", "linear-Gaussian oracle"


@bug(elbo.forward_backward, seen_in="PyPI easyvae 1.3.3 (prints mean MSE + mean KL)",
     symptom="a loss of 0.2 that fits no formula in the paper", detected_by=("gradient check", REPORTED),
     diagnosis="gradient reports a loss of")
def means_reported(original, vae, p, ws, weight, gradient):
    """The loss that is printed is averaged over pixels, the one that is differentiated is summed (E4)."""
    objective = original(vae, p, ws, weight, gradient)
    return type(objective)(*(part / ws.x.shape[1] for part in objective))


@bug(elbo.forward, elbo.forward_backward, seen_in="AntixK/PyTorch-VAE#68 ('KLD': -kld_loss)",
     symptom="the log shows a negative KL", detected_by="beta linearity")
def negative_kl(original, *arguments):
    """The KL is reported with a minus sign; loss and gradient are right (E4)."""
    objective = original(*arguments)
    return objective._replace(kl=-objective.kl)


@bug(Trainer.step, seen_in="classic: an average of batch means", symptom="the epoch's loss is a little off",
     detected_by=REPORTED)
def short_batch_counts_full(original, self, order):
    """An epoch's loss is the mean over batches, although the last one is shorter."""
    before = [*self.state.totals]                                    # the step adds to it in place
    objective = original(self, order)
    self.state.totals = [total + part * len(self.x) / self.batches for total, part in zip(before, objective)]
    return objective


@bug(training.held_out_objective, seen_in="pytorch/examples before PR#419 (reparameterize in eval)",
     symptom="the held-out loss is lower than the training loss from the first epoch on", detected_by=HELD_OUT)
def held_out_without_noise(original, model, x, **settings):
    """The held-out loss is computed at z = mu: no ELBO, and no bound (E4)."""
    def quiet(ws, *rest):
        ws.eps[:] = 0
        return type(model).forward(model, ws, *rest)
    model.forward = quiet
    try:
        return original(model, x, **settings)
    finally:
        del model.forward


@bug(training.held_out_objective, seen_in="AntixK/PyTorch-VAE, experiment.py (trains at 0.00025, validates at 1.0)",
     symptom="training and held-out curves cannot be compared", detected_by=HELD_OUT, beta=2.5)
def held_out_at_another_beta(original, model, x, **settings):
    """The held-out loss has beta = 1, while the training loss has another beta (E4)."""
    found = original(model, x, **settings)
    return found._replace(loss=found.reconstruction + found.kl)


@bug(evaluation.log_mean_exp, seen_in="scvi-tools#369 to PR#370, zhusuan#98",
     symptom="log p(x) grows with every sample", detected_by=ORACLE)
def sum_of_weights(original, total, top, count):
    """log p(x) is estimated by the sum of the importance weights, not by their mean."""
    return original(total, top, count) + math.log(count)


@bug(evaluation.evaluate, seen_in="classic: the ELBO in a table's column called log-likelihood",
     symptom="log p(x) looks worse than it is, by the gap", detected_by=ORACLE)
def elbo_for_likelihood(original, vae, X, **settings):
    """The ELBO is reported as log p(x) (E4)."""
    found = original(vae, X, **settings)
    return found._replace(log_likelihood=found.elbo)


@bug(evaluation.evaluate, seen_in="abdulfatir/normalizing-flows#2 (a bound of -79.4 on MNIST)",
     symptom="too good to be true", detected_by=ORACLE)
def bound_without_kl(original, vae, X, **settings):
    """The ELBO that is reported lacks its KL: it may exceed log p(x) (E4)."""
    found = original(vae, X, **settings)
    return found._replace(elbo=-found.reconstruction)


@bug(VAE.encode, seen_in="classic: chunk(2, dim=1) unpacked the other way round",
     symptom="latent plots lie off the origin; active latents are negative", detected_by="sampler moments")
def encode_swapped(original, self, X):
    """encode returns (logvar, mu)."""
    found = original(self, X)
    return type(found)(found.logvar, found.mu)


@bug(VAE.encode, seen_in="pyro#1773, y0ast/VAE-Torch#3, wohlert/semi-supervised-pytorch#23",
     symptom="error bars of the wrong size", detected_by="sampler moments")
def encode_gives_sigma(original, self, X):
    """encode returns sigma under the name of logvar."""
    found = original(self, X)
    return found._replace(logvar=np.exp(0.5 * found.logvar))


@bug(VAE.sample, symptom="samples of one kind, from the corner of the latent space", detected_by="generative moments")
def prior_is_uniform(original, self, n, seed=0):
    """Samples are decoded from uniform z in (0, 1), not from the prior."""
    return self.decode(np.random.default_rng(seed).random((n, self.n_latent)))


@bug(VAE.sample, seen_in="classic: torch.manual_seed in a helper", symptom="every sheet of samples is the same",
     detected_by="generative moments")
def samples_repeat(original, self, n, seed=0):
    """sample ignores its seed."""
    return original(self, n)
