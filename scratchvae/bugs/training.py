"""Faults of the training loop: optimizer, noise, the rows that a step sees, and what a resumed run remembers."""
from collections.abc import Callable

import numpy as np

from .. import elbo
from ..data import minibatch
from ..kernels import random
from ..optimizers import Adam, make_optimizer, SGD
from ..schedules import Constant
from ..training import Trainer
from .injection import bug

REFERENCE = "optimizer against a scalar reference"
SAMPLER, ROWS, REPLAY = "sampler moments", "rows of a step", "replay"


def change_adam(step: Callable, self: Adam, theta: np.ndarray, gradient: np.ndarray, *, corrected: bool = True) -> None:
    """Update Adam's moments, then subtract step(self, m, v) from theta; m and v have the bias correction, or not."""
    self.step += 1
    m, v = self.moments["m"], self.moments["v"]
    m += (1 - self.beta1) * (gradient - m)
    v += (1 - self.beta2) * (gradient * gradient - v)
    if corrected:
        m, v = m / (1 - self.beta1**self.step), v / (1 - self.beta2**self.step)
    theta -= step(self, m, v).astype(theta.dtype)


@bug(Adam.update, symptom="the first steps are several times too long; the curve looks fine", detected_by=REFERENCE)
def adam_without_bias_correction(original, *arguments):
    """Adam's running means, which start at zero, are not divided by 1 - beta^step (O2)."""
    change_adam(lambda self, m, v: self.learning_rate * m / (np.sqrt(v) + self.epsilon), *arguments, corrected=False)


@bug(Adam.update, symptom="parameters with small gradients do not move", detected_by=REFERENCE)
def adam_epsilon_under_the_root(original, *arguments):
    """sqrt(v + epsilon) in the place of sqrt(v) + epsilon: an epsilon of 1e-8 then acts as one of 1e-4 (O2)."""
    change_adam(lambda self, m, v: self.learning_rate * m / np.sqrt(v + self.epsilon), *arguments)


@bug(Adam.update, symptom="the smaller the gradient, the longer the step: nan after a few steps", detected_by=REFERENCE)
def adam_without_root(original, *arguments):
    """The step is divided by v, not by its root (O2)."""
    change_adam(lambda self, m, v: self.learning_rate * m / (v + self.epsilon), *arguments)


@bug(Adam.update, seen_in="kwj2104/Simple-Variational-Autoencoder and danielkurniadi's refactor of it",
     symptom="the curve looks fine, and worse than it should be", detected_by=REFERENCE)
def moments_of_batch_slots(original, self, theta, gradient):
    """Adam keeps moments for each slot of the batch: each of four sets sees every fourth gradient (O2)."""
    slots = self.__dict__.setdefault("slots", [make_optimizer("adam", len(theta), theta.dtype, self.learning_rate)
                                               for _ in range(4)])
    original(slots[self.step % 4], theta, gradient)
    self.step += 1


@bug(Adam.update, seen_in="classic: the optimizer is made inside the loop",
     symptom="every step is as long as the learning rate; the loss stays a little too high", detected_by=REFERENCE)
def moments_forgotten(original, self, theta, gradient):
    """Adam's moments and count start anew with every step (O2)."""
    original(make_optimizer("adam", len(theta), theta.dtype, self.learning_rate), theta, gradient)
    self.step += 1


@bug(SGD.update, symptom="the loss climbs", detected_by=REFERENCE)
def ascent(original, self, theta, gradient):
    """The step goes along the gradient, not against it (O1)."""
    original(self, theta, -gradient)


@bug(SGD.update, symptom="the learning rate is in effect a tenth of the given one", detected_by=REFERENCE)
def dampened_momentum(original, self, theta, gradient):
    """The velocity takes (1 - momentum) of the gradient, with the learning rate of the other convention (O1)."""
    original(self, theta, (1 - self.momentum) * gradient)


@bug(Adam.update, SGD.update, seen_in="classic: a default of somebody else's optimizer",
     symptom="weights shrink, and the loss that is printed does not say why", detected_by=REFERENCE)
def silent_weight_decay(original, self, theta, gradient):
    """0.01 theta is added to the gradient, and is not part of any loss (O4)."""
    original(self, theta, gradient + np.asarray(0.01, theta.dtype) * theta)


@bug(random.standard_normal, seen_in="RV29/VAE: noise of shape (L, d_z) for a minibatch",
     symptom="the curve looks fine; gradients are noisier than necessary", detected_by=SAMPLER)
def one_noise_for_the_batch(original, seed, stream, step, out):
    """All examples of a step have the same noise (E2)."""
    original(seed, stream, step, out)
    if stream == random.EPS:
        out[:] = np.resize(out[:1], out.shape)


@bug(random.standard_normal, seen_in="classic: the generator is seeded inside the loop",
     symptom="the training loss is too good, the held-out one is not", detected_by=SAMPLER)
def frozen_noise(original, seed, stream, step, out):
    """Every step draws the same noise (E2)."""
    original(seed, stream, 0 if stream == random.EPS else step, out)


@bug(random.standard_normal, seen_in="classic: rand for randn",
     symptom="the training loss falls, the held-out loss climbs", detected_by=SAMPLER)
def uniform_noise(original, seed, stream, step, out):
    """eps is uniform on (0, 1): its mean is 1/2 and its variance 1/12 (E2)."""
    original(seed, stream, step, out)
    if stream == random.EPS:
        out[:] = np.random.default_rng([seed, step]).random(out.shape)


@bug(random.standard_normal, symptom="a run cannot be repeated", detected_by=REPLAY)
def unseeded_noise(original, seed, stream, step, out):
    """The noise comes from a generator without a seed."""
    original(seed, stream, step, out)
    if stream == random.EPS:
        out[:] = np.random.default_rng().standard_normal(out.shape)


@bug(minibatch.epoch_permutation, detected_by=ROWS,
     symptom="of a sorted file batches of one digit after another; of a mixed one the curve looks fine")
def never_shuffled(original, n, seed, epoch):
    """Every epoch visits the rows in the order of the file."""
    return np.arange(n)


@bug(minibatch.epoch_permutation, symptom="the same batches in every epoch; the curve looks fine", detected_by=ROWS)
def shuffled_once(original, n, seed, epoch):
    """The order is drawn once, for all epochs."""
    return original(n, seed, 0)


@bug(minibatch.epoch_permutation, seen_in="classic: randint for permutation",
     symptom="a third of the rows is not seen in an epoch", detected_by=ROWS)
def drawn_with_replacement(original, n, seed, epoch):
    """The rows of an epoch are drawn with replacement."""
    return np.random.default_rng([seed, epoch]).integers(0, n, n)


@bug(minibatch.load_batch, symptom="a loss of ten thousands, often below zero, or an error about the range",
     detected_by=ROWS)
def pixels_to_255(original, data, index, mode, seed, step, out):
    """Images go into the network as 0 to 255."""
    original(data, index, mode, seed, step, out)
    out *= 255


@bug(minibatch.load_batch, seen_in="classic: / 255 in the loader and in the model",
     symptom="all images are black; an excellent loss", detected_by=ROWS)
def scaled_twice(original, data, index, mode, seed, step, out):
    """Images are divided by 255 a second time."""
    original(data, index, mode, seed, step, out)
    out /= 255


@bug(minibatch.load_batch, seen_in="yburda/iwae README (a fixed binarization overfits by 3.5 nats)",
     symptom="the training loss is too good, the held-out one is not", detected_by=ROWS)
def binarized_once(original, data, index, mode, seed, step, out):
    """Dynamic binarization draws the same pixels at every step."""
    original(data, index, mode, seed, 0, out)


@bug(Trainer.__init__, seen_in="classic: train and test joined before the split was made",
     symptom="the held-out loss is as good as the training loss", detected_by=ROWS)
def trained_on_held_out(original, self, model, x, *, validation=None, **settings):
    """The held-out rows are among the training rows."""
    rows = x if validation is None else np.concatenate([x, validation])
    original(self, model, rows, validation=validation, **settings)


@bug(Trainer.restore, seen_in="classic: the weights are saved, the optimizer is not",
     symptom="a jump in the curve where a run was resumed", detected_by=REPLAY)
def moments_not_restored(original, self, meta, arrays):
    """A resumed run starts with empty moments."""
    original(self, meta, {name: np.zeros_like(array) if name in self.state.optimizer.moments else array
                          for name, array in arrays.items()})


@bug(Trainer.restore, symptom="a resumed run repeats the noise of its beginning", detected_by=REPLAY)
def counter_not_restored(original, self, meta, arrays):
    """A resumed run counts its steps from 0: noise repeats, and Adam's bias correction starts over."""
    original(self, {**meta, "step": 0}, arrays)


@bug(elbo.forward_backward, symptom="steps are B times too long; Adam hides it", detected_by="gradient check",
     diagnosis="is a 1/B missing")
def forgotten_mean(original, vae, p, ws, weight, gradient):
    """The gradient is summed over the batch, the loss is averaged (E5)."""
    objective = original(vae, p, ws, weight, gradient)
    gradient.flat[:] *= len(ws.x)
    return objective


@bug(elbo.forward, elbo.forward_backward, seen_in="pytorch/examples#234, PR#228 to #296",
     symptom="loss and gradient depend on the batch size; a short last batch counts less",
     detected_by="batch independence")
def summed_over_the_batch(original, vae, p, ws, weight, *gradients):
    """Loss and gradient are both summed over the batch (E4)."""
    objective = original(vae, p, ws, weight, *gradients)
    for gradient in gradients:                               # none from `forward`, one from `forward_backward`
        gradient.flat[:] *= len(ws.x)
    return type(objective)(*(len(ws.x) * part for part in objective))


@bug(elbo.forward, elbo.forward_backward, seen_in="Lightning-bolts#328 (kl_coeff), tsgm#69 (beta)",
     symptom="every beta gives the same model", detected_by="beta linearity", beta=2.5)
def beta_ignored(original, vae, p, ws, weight, *gradients):
    """beta is a setting that nothing reads (E4)."""
    return original(vae, p, ws, Constant(1.0), *gradients)
