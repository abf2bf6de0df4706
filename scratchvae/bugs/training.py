"""Faults of the training loop: the optimizer, the noise, the rows that a step sees, what a resumed run remembers."""
import numpy as np

from ..kernels.random import EPS
from ..optimizers import make_optimizer
from ..schedules import Constant
from .injection import bug

NOISE = "kernels.random.standard_normal"
REFERENCE = "optimizer against a scalar reference"
SAMPLER, ROWS, REPLAY = "sampler moments", "rows of a step", "replay"


def adam(change):
    """Return a `make` for optimizers.Adam.update: change(self, gradient, m_hat, v_hat) -> the step to subtract."""
    def make(original):
        def update(self, theta, gradient):
            self.step += 1
            m, v = self.moments["m"], self.moments["v"]
            m += (1 - self.beta1) * (gradient - m)
            v += (1 - self.beta2) * (gradient * gradient - v)
            theta -= change(self, gradient, m, v).astype(theta.dtype)
        return update
    return make


@bug("optimizers.Adam.update", seen_in="classic",
     symptom="the first steps are several times too long; the curve looks fine", detected_by=REFERENCE)
def adam_without_bias_correction(original):
    """Adam's running means, which start at zero, are not divided by 1 - beta^step."""
    return adam(lambda self, gradient, m, v: self.learning_rate * m / (np.sqrt(v) + self.epsilon))(original)


@bug("optimizers.Adam.update", seen_in="classic", symptom="parameters with small gradients stand still",
     detected_by=REFERENCE)
def adam_epsilon_under_the_root(original):
    """sqrt(v + epsilon) in place of sqrt(v) + epsilon: with 1e-8 a floor of 1e-4."""
    def step(self, gradient, m, v):
        m_hat, v_hat = m / (1 - self.beta1**self.step), v / (1 - self.beta2**self.step)
        return self.learning_rate * m_hat / np.sqrt(v_hat + self.epsilon)
    return adam(step)(original)


@bug("optimizers.Adam.update", seen_in="classic", symptom="slow, as gradient descent with one tiny rate",
     detected_by=REFERENCE)
def adam_without_root(original):
    """The step is divided by v, not by its root."""
    def step(self, gradient, m, v):
        m_hat, v_hat = m / (1 - self.beta1**self.step), v / (1 - self.beta2**self.step)
        return self.learning_rate * m_hat / (v_hat + self.epsilon)
    return adam(step)(original)


@bug("optimizers.Adam.update", seen_in="kwj2104/Simple-Variational-Autoencoder and danielkurniadi's refactor of it",
     symptom="the curve looks fine, and worse than it should be", detected_by=REFERENCE)
def moments_of_batch_slots(original):
    """Adam keeps moments by slot of the batch: each of four sets sees every fourth gradient."""
    def update(self, theta, gradient):
        slots = self.__dict__.setdefault("slots", [make_optimizer("adam", len(theta), theta.dtype, self.learning_rate)
                                                   for _ in range(4)])
        original(slots[self.step % 4], theta, gradient)
        self.step += 1
    return update


@bug("optimizers.Adam.update", seen_in="classic: the optimiser is made inside the loop",
     symptom="every step has length one learning rate; the loss rattles", detected_by=REFERENCE)
def moments_forgotten(original):
    """Adam's moments and count start anew with every step."""
    def update(self, theta, gradient):
        step = self.step
        for moment in self.moments.values():
            moment[:] = 0
        self.step = 0
        original(self, theta, gradient)
        self.step = step + 1
    return update


@bug("optimizers.SGD.update", seen_in="classic", symptom="the loss climbs", detected_by=REFERENCE)
def ascent(original):
    """The step goes along the gradient, not against it."""
    return lambda self, theta, gradient: original(self, theta, -gradient)


@bug("optimizers.SGD.update", seen_in="classic", symptom="a rate ten times smaller than the one that was asked for",
     detected_by=REFERENCE)
def dampened_momentum(original):
    """The velocity takes (1 - momentum) of the gradient, with the other convention's learning rate."""
    return lambda self, theta, gradient: original(self, theta, (1 - self.momentum) * gradient)


@bug("optimizers.Adam.update", "optimizers.SGD.update", seen_in="classic: a default of somebody else's optimiser",
     symptom="weights shrink, and the loss that is printed does not say why", detected_by=REFERENCE)
def silent_weight_decay(adam_update, sgd_update):
    """0.01 theta is added to the gradient, and stands in no loss."""
    def decayed(update):
        return lambda self, theta, gradient: update(self, theta, gradient + np.asarray(0.01, theta.dtype) * theta)
    return decayed(adam_update), decayed(sgd_update)


def noise(change):
    """Return a `make` for standard_normal, of training noise alone: change(original, seed, stream, step, out)."""
    def make(original):
        def standard_normal(seed, stream, step, out):
            if stream == EPS:
                change(original, seed, stream, step, out)
            else:
                original(seed, stream, step, out)
        return standard_normal
    return make


@bug(NOISE, seen_in="RV29/VAE: noise of shape (L, d_z) for a minibatch",
     symptom="the curve looks fine; gradients are noisier than they need be", detected_by=SAMPLER)
def one_noise_for_the_batch(original):
    """All examples of a step share one number of noise for each latent."""
    def change(original, seed, stream, step, out):
        original(seed, stream, step, out)
        out[:] = np.resize(out[:1], out.shape)
    return noise(change)(original)


@bug(NOISE, seen_in="classic: the generator is seeded inside the loop",
     symptom="the training loss is too good, the held-out one is not", detected_by=SAMPLER)
def frozen_noise(original):
    """Every step draws the same noise."""
    return noise(lambda original, seed, stream, step, out: original(seed, stream, 0, out))(original)


@bug(NOISE, seen_in="classic: rand for randn", symptom="the curve looks fine", detected_by=SAMPLER)
def uniform_noise(original):
    """eps is uniform on (0, 1): its mean is 1/2 and its variance 1/12."""
    def change(original, seed, stream, step, out):
        out[:] = np.random.default_rng([seed, step]).random(out.shape)
    return noise(change)(original)


@bug(NOISE, seen_in="classic", symptom="a run cannot be repeated", detected_by=REPLAY)
def unseeded_noise(original):
    """The noise comes from a generator that nobody seeded."""
    rng = np.random.default_rng()

    def change(original, seed, stream, step, out):
        out[:] = rng.standard_normal(out.shape)
    return noise(change)(original)


@bug("data.minibatch.epoch_permutation", seen_in="classic",
     symptom="batches of one digit after another; the curve saws", detected_by=ROWS)
def never_shuffled(original):
    """Every epoch visits the rows in the order of the file."""
    return lambda n, seed, epoch: np.arange(n)


@bug("data.minibatch.epoch_permutation", seen_in="classic",
     symptom="the same batches in every epoch; the curve looks fine", detected_by=ROWS)
def shuffled_once(original):
    """The order is drawn once, for all epochs."""
    return lambda n, seed, epoch: original(n, seed, 0)


@bug("data.minibatch.epoch_permutation", seen_in="classic: randint for permutation",
     symptom="a third of the rows is not seen in an epoch", detected_by=ROWS)
def drawn_with_replacement(original):
    """Rows are drawn with replacement and called an epoch."""
    return lambda n, seed, epoch: np.random.default_rng([seed, epoch]).integers(0, n, n)


@bug("data.minibatch.load_batch", seen_in="classic",
     symptom="a first loss in the ten thousands, or an error about the range", detected_by=ROWS)
def pixels_to_255(original):
    """uint8 images go into the network as 0 to 255."""
    def load_batch(data, index, mode, seed, step, out):
        original(data, index, mode, seed, step, out)
        if data.dtype == np.uint8:
            out *= 255
    return load_batch


@bug("data.minibatch.load_batch", seen_in="classic: / 255 in the loader and in the model",
     symptom="all images are black; a splendid loss", detected_by=ROWS)
def scaled_twice(original):
    """Images are divided by 255 a second time."""
    def load_batch(data, index, mode, seed, step, out):
        original(data, index, mode, seed, step, out)
        if data.dtype == np.uint8:
            out /= 255
    return load_batch


@bug("data.minibatch.load_batch", seen_in="yburda/iwae README (a fixed binarisation overfits by 3.5 nats)",
     symptom="the training loss is too good, the held-out one is not", detected_by=ROWS)
def binarized_once(original):
    """Dynamic binarization draws the same pixels at every step."""
    return lambda data, index, mode, seed, step, out: original(data, index, mode, seed, 0, out)


@bug("training.Trainer.__init__", seen_in="classic: train and test joined before the split was made",
     symptom="the held-out loss is as good as the training loss", detected_by=ROWS)
def trained_on_held_out(original):
    """The held-out rows are among the training rows."""
    def __init__(self, model, x, *, validation=None, **settings):
        rows = x if validation is None else np.concatenate([x, validation])
        original(self, model, rows, validation=validation, **settings)
    return __init__


@bug("training.Trainer.restore", seen_in="classic: the weights are saved, the optimiser is not",
     symptom="a jump in the curve where a run was resumed", detected_by=REPLAY)
def moments_not_restored(original):
    """A resumed run starts with empty moments."""
    def restore(self, meta, arrays):
        original(self, meta, {name: np.zeros_like(arrays[name]) if name in self.state.optimizer.moments else arrays[name]
                              for name in arrays})
    return restore


@bug("training.Trainer.restore", seen_in="classic", symptom="a resumed run repeats the noise of its beginning",
     detected_by=REPLAY)
def counter_not_restored(original):
    """A resumed run counts its steps from 0: noise repeats, and Adam's bias correction starts over."""
    return lambda self, meta, arrays: original(self, {**meta, "step": 0}, arrays)


@bug("elbo.forward_backward", seen_in="classic", symptom="steps are B times too long; Adam hides it",
     detected_by="gradient check", diagnosis="is a 1/B missing")
def forgotten_mean(original):
    """The gradient is summed over the batch, the loss averaged."""
    def forward_backward(vae, p, ws, weight, gradient):
        objective = original(vae, p, ws, weight, gradient)
        gradient.flat[:] *= len(ws.x)
        return objective
    return forward_backward


@bug("elbo.forward", "elbo.forward_backward", seen_in="pytorch/examples#234, PR#228 to #296",
     symptom="loss and gradient depend on the batch size; a short last batch counts less",
     detected_by="batch independence")
def summed_over_the_batch(forward, forward_backward):
    """Loss and gradient are both summed over the batch."""
    def times_batch(objective, ws):
        return type(objective)(*(len(ws.x) * part for part in objective))

    def summed_forward(vae, p, ws, weight):
        return times_batch(forward(vae, p, ws, weight), ws)

    def summed_forward_backward(vae, p, ws, weight, gradient):
        objective = forward_backward(vae, p, ws, weight, gradient)
        gradient.flat[:] *= len(ws.x)
        return times_batch(objective, ws)
    return summed_forward, summed_forward_backward


@bug("elbo.forward", "elbo.forward_backward", seen_in="Lightning-bolts#328 (kl_coeff), tsgm#69 (beta)",
     symptom="every beta gives the same model", detected_by="beta linearity", beta=2.5)
def beta_ignored(forward, forward_backward):
    """beta is a setting that nothing reads."""
    return (lambda vae, p, ws, weight: forward(vae, p, ws, Constant(1.0)),
            lambda vae, p, ws, weight, gradient: forward_backward(vae, p, ws, Constant(1.0), gradient))
