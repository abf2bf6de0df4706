"""Faults of the likelihood: of what the decoder's outputs mean."""
from collections.abc import Callable

import numpy as np

from ..kernels import learned_sigma, likelihoods
from ..kernels.likelihoods import example_rows
from ..likelihoods import Bernoulli
from .injection import bug

BERNOULLI = (likelihoods.bernoulli_nll, likelihoods.bernoulli_nll_backward)
GAUSSIAN = (likelihoods.gaussian_nll, likelihoods.gaussian_nll_backward)
CHECKS = ("layer check", "gradient check")
SUM_TO_ONE, ORACLE = "probabilities sum to one", "linear-Gaussian oracle"
FREY_FACES = "y0ast/Variational-Autoencoder, scikit-learn/ (Frey faces)"


def sigmoid(a: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-a)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def change_gradient(d_logits: Callable, original: Callable, logits: np.ndarray, x: np.ndarray, d_nll: np.ndarray,
                    nll: np.ndarray, d_out: np.ndarray) -> None:
    """Run bernoulli_nll_backward, then replace the gradient by d_logits(logits, x) times d_nll."""
    weights = np.array(np.reshape(d_nll, (-1, 1)))                       # d_nll may be one number for all rows
    original(logits, x, d_nll, nll, d_out)
    d_out[:] = weights * d_logits(logits, example_rows(x, logits))


@bug(BERNOULLI[1], seen_in="classic: the cross entropy's slope in p, carried through the sigmoid of a logit loss",
     symptom="confident wrong pixels do not learn", detected_by=CHECKS, diagnosis="multiplied in once more",
     likelihood="bernoulli")
def sigmoid_slope_once_more(*arguments):
    """d_logit = (p - x) p (1 - p): the sigmoid's slope again, which the logit form has in it (E5)."""
    def d_logits(logits, x):
        p = sigmoid(logits)
        return (p - x) * p * (1 - p)
    change_gradient(d_logits, *arguments)


@bug(BERNOULLI[1], seen_in="classic: a decoder that ends in a sigmoid, and a loss with logits",
     symptom="gray, washed-out reconstructions", detected_by=CHECKS, diagnosis="is applied twice",
     likelihood="bernoulli")
def sigmoid_twice_in_gradient(*arguments):
    """d_logit = sigmoid(sigmoid(logit)) - x (E5)."""
    change_gradient(lambda logits, x: sigmoid(sigmoid(logits)) - x, *arguments)


@bug(BERNOULLI[1], symptom="the loss climbs", detected_by=CHECKS, diagnosis="a sign is flipped", likelihood="bernoulli")
def flipped_residual(*arguments):
    """d_logit = x - p (E5)."""
    change_gradient(lambda logits, x: x - sigmoid(logits), *arguments)


@bug(GAUSSIAN[1], seen_in="classic: the 1/2 of the squared error", symptom="the curve looks fine; beta is halved",
     detected_by=CHECKS, diagnosis="analytic is 2 x numeric", likelihood="gaussian")
def squared_error_without_half(original, means, x, sigma, d_nll, nll, d_means):
    """The gradient is that of the whole squared error; the loss has half of it (E9)."""
    original(means, x, sigma, d_nll, nll, d_means)
    d_means *= 2


@bug(GAUSSIAN[1], symptom="the curve looks fine; beta is off by sigma", detected_by=CHECKS,
     diagnosis="analytic is sigma = ", likelihood="gaussian", sigma=0.3)
def sigma_for_variance_in_pixels(original, means, x, sigma, d_nll, nll, d_means):
    """The gradient divides by sigma, where the loss divides by sigma^2 (E9)."""
    original(means, x, sigma, d_nll, nll, d_means)
    d_means *= sigma


@bug(learned_sigma.diagonal_nll_backward, seen_in=FREY_FACES,
     symptom="the Bernoulli model is right, the continuous one is not; both curves look fine", detected_by=CHECKS,
     diagnosis="right at some entries, and at the others 2 x numeric", likelihood="gaussian_diagonal")
def pixel_sigma_without_half(original, outputs, x, d_nll, nll, d_outputs):
    """The 1/2 in the slope along every pixel's log variance is missing (L9)."""
    original(outputs, x, d_nll, nll, d_outputs)
    d_outputs[:, x.shape[1]:] *= 2


@bug(learned_sigma.diagonal_nll_backward, seen_in=FREY_FACES,
     symptom="sigma learns at a quarter of the speed, or less; the curve looks fine", detected_by=CHECKS,
     diagnosis="right at some entries, and times a sigmoid's slope", likelihood="gaussian_diagonal")
def pixel_sigma_through_a_sigmoid(original, outputs, x, d_nll, nll, d_outputs):
    """The slope along every pixel's log variance is multiplied by a sigmoid's, which belongs to the mean alone (L9)."""
    original(outputs, x, d_nll, nll, d_outputs)
    s = sigmoid(outputs[:, x.shape[1]:])
    d_outputs[:, x.shape[1]:] *= s * (1 - s)


# In the rest, forward and backward agree: no gradient check finds these faults
# `buffers` are (nll,) in the forward pass, and (d_nll, nll, gradient) in the backward pass: [-2:] is what is written.


@bug(*GAUSSIAN, seen_in="AntixK/PyTorch-VAE (MSE mean, 11 threads on the KL's weight), keras#3220 to #6015",
     symptom="posterior collapse, or a KL weight of 0.00025 that nobody can explain",
     detected_by=(SUM_TO_ONE, ORACLE), likelihood="gaussian")
def mean_over_pixels(original, means, x, sigma, *buffers):
    """The squared error is averaged over the pixels, the KL is summed over the latents (E8)."""
    original(means, x, sigma, *buffers)
    for output in buffers[-2:]:
        output /= means.shape[1]


@bug(*BERNOULLI, seen_in="keras#3373, pytorch/examples#234, #290, #652",
     symptom="posterior collapse: every image decodes to the mean", detected_by=SUM_TO_ONE, likelihood="bernoulli")
def cross_entropy_mean(original, logits, x, *buffers):
    """The cross entropy is averaged over the pixels, the KL is summed over the latents (E4)."""
    original(logits, x, *buffers)
    for output in buffers[-2:]:
        output /= logits.shape[1]


@bug(*GAUSSIAN, seen_in="Pythae#123 (constant terms), abhayran/VAE-numpy (sigma^2 = 1/2)",
     symptom="the curve looks fine; its number is not -ELBO", detected_by=(SUM_TO_ONE, ORACLE), likelihood="gaussian")
def constants_dropped(original, means, x, sigma, *buffers):
    """log sigma + log(2 pi) / 2 is left out: a density that does not integrate to one (E8)."""
    original(means, x, sigma, *buffers)
    nll, *_ = buffers[-2:]
    nll -= means.shape[1] * (np.log(sigma) + 0.5 * np.log(2 * np.pi))


@bug(*BERNOULLI, seen_in="classic: binary cross entropy of a decoder that ends in a sigmoid, called with logits",
     symptom="gray, washed-out pictures; the curve stops high", detected_by=(SUM_TO_ONE, "extreme inputs"),
     likelihood="bernoulli")
def sigmoid_twice(original, logits, x, *buffers):
    """The outputs pass a sigmoid, and the loss takes the result for logits: no pixel can be below 1/2 (E4)."""
    p = sigmoid(logits)
    original(p, x, *buffers)
    for d_logits in buffers[2:]:
        d_logits *= p * (1 - p)


@bug(*BERNOULLI, seen_in="classic: log(clip(p, 1e-7, 1 - 1e-7))",
     symptom="a confident wrong pixel costs 16 nats and never learns", detected_by="extreme inputs",
     likelihood="bernoulli")
def clipped_probabilities(original, logits, x, *buffers):
    """The loss is computed from clipped probabilities, not from logits (E4)."""
    limit = np.log(1e7 - 1)
    original(np.clip(logits, -limit, limit), x, *buffers)
    for d_logits in buffers[2:]:
        d_logits[np.abs(logits) > limit] = 0


@bug(*BERNOULLI, seen_in="synthcity#331, keras#12371, kvfrans/variational-autoencoder#5 (NaN at epoch 432)",
     symptom="NaN after hundreds of epochs", detected_by="extreme inputs", likelihood="bernoulli")
def overflowing_softplus(original, logits, x, *buffers):
    """softplus(l) is computed as log(1 + exp(l)): exp overflows for large logits (E4)."""
    original(logits, x, *buffers)
    nll, *_ = buffers[-2:]
    with np.errstate(over="ignore", invalid="ignore"):
        nll[:] = np.sum(np.log(1 + np.exp(logits)) - example_rows(x, logits) * logits, axis=1)


@bug(Bernoulli.sample, seen_in="jax examples/mnist_vae.py, image_sample (062caa4)",
     symptom="samples too bright; the loss is unaffected", detected_by="generative moments", likelihood="bernoulli")
def softplus_for_probability(original, self, p, outputs, rng):
    """Pixels are drawn with probability softplus(logit)."""
    return (rng.random(outputs.shape) < np.logaddexp(0, outputs)).astype(outputs.dtype)


@bug(Bernoulli.mean, seen_in="FluxML/model-zoo PR#289",
     symptom="pictures with values below 0 and above 1", detected_by="generative moments", likelihood="bernoulli")
def logits_for_pixels(original, self, p, outputs):
    """The decoder's logits are shown as pixels, without the sigmoid."""
    return outputs.copy()
