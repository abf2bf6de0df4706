"""Faults of the layers and of how they are connected."""
from collections.abc import Callable

import numpy as np

from ..kernels.dense import activate_ref, slope_ref
from ..layers import ACTIVATIONS, Dense, MLP
from ..model import Model
from ..parameters import Affine
from .injection import bug, bug_maker

CHECKS = ("layer check", "gradient check")


def change_d_a(d_a: Callable, original: Callable, self: Dense, p: Affine, x: np.ndarray, y: np.ndarray,
               d_y: np.ndarray, d_p: Affine, d_x: np.ndarray | None) -> None:
    """Run Dense.backward with d_a(layer, y, d_y) in the place of d_y act'(a).

    The original does the rest, as the backward pass of a layer without an activation.
    """
    linear = type(self)(self.n_in, self.n_out, "identity")
    original(linear, p, x, y, d_a(self, y, d_y).astype(y.dtype), d_p, d_x)


def slope(layer: Dense, y: np.ndarray) -> np.ndarray:
    """Return act'(a) from the layer's output y = act(a)."""
    return slope_ref(y, ACTIVATIONS[layer.activation])


@bug(Dense.backward, symptom="hidden layers learn a little wrong: the loss falls, and climbs again",
     detected_by=CHECKS, diagnosis="act' is missing", activation="tanh", hidden=(5,))
def forgotten_slope(*arguments):
    """The activation's derivative is forgotten: d_a = d_y (D2)."""
    change_d_a(lambda layer, y, d_y: d_y, *arguments)


@bug(Dense.backward, seen_in="classic: act'(y) called where act'(a) was meant",
     symptom="the loss hardly moves for a while, then it climbs", detected_by=CHECKS,
     diagnosis="act' is taken at the output y", activation="sigmoid", hidden=(5,))
def slope_at_the_output(*arguments):
    """The activation's derivative is taken at its output: sigmoid'(sigmoid(a)) (D2)."""
    def d_a(layer, y, d_y):
        return d_y * slope(layer, activate_ref(y, ACTIVATIONS[layer.activation]))
    change_d_a(d_a, *arguments)


@bug(Dense.backward, symptom="training is very slow in deep networks", detected_by=CHECKS,
     diagnosis="act' is multiplied in twice", activation="softplus", hidden=(5, 3))
def slope_twice(*arguments):
    """The activation's derivative is multiplied in by the layer and by its caller (D2)."""
    change_d_a(lambda layer, y, d_y: d_y * slope(layer, y)**2, *arguments)


@bug(Dense.backward, symptom="the loss falls for a while, then it climbs", detected_by=CHECKS,
     diagnosis="the square in 1 - y^2 is missing", activation="tanh", hidden=(5,))
def tanh_without_square(*arguments):
    """tanh' = 1 - y in the place of 1 - y^2 (D2)."""
    def d_a(layer, y, d_y):
        return d_y * (1 - y if layer.activation == "tanh" else slope(layer, y))
    change_d_a(d_a, *arguments)


@bug(Dense.backward, seen_in="classic: the mask of guided backpropagation, written by accident",
     symptom="training is slow", detected_by="layer check", diagnosis="the mask looks at the sign of d_y",
     activation="relu", hidden=(5,))
def mask_of_the_gradient(*arguments):
    """The backward pass of relu sets negative cotangents to 0, besides those of negative activations (D2)."""
    def d_a(layer, y, d_y):
        return d_y * slope(layer, y) * (d_y > 0 if layer.activation == "relu" else 1)
    change_d_a(d_a, *arguments)


@bug(Dense.backward, seen_in="classic: mean(axis=0) for sum(axis=0)",
     symptom="with SGD biases hardly move; Adam hides it", detected_by=CHECKS, diagnosis="only the bias is wrong")
def bias_averaged(original, self, p, x, y, d_y, d_p, d_x):
    """d_b is averaged over the batch, where d_W is summed (D4)."""
    original(self, p, x, y, d_y, d_p, d_x)
    d_p.b[:] /= len(x)


@bug(Dense.backward, seen_in="classic: the shapes fit, because the layer is square",
     symptom="the layers below learn from noise", detected_by=CHECKS, diagnosis="d_x is d_a W", hidden=(4, 4))
def weight_not_transposed(original, self, p, x, y, d_y, d_p, d_x):
    """d_x = d_a W in a square layer, in the place of d_a W^T (D5)."""
    original(self, p, x, y, d_y, d_p, d_x)                           # now d_y holds d_a
    if d_x is not None and self.n_in == self.n_out:
        d_x[:] = d_y @ p.W


@bug(Dense.backward, symptom="the curve looks fine for a while", detected_by=CHECKS,
     diagnosis="analytic is 2 x numeric", hidden=(5,))
def weight_counted_twice(original, self, p, x, y, d_y, d_p, d_x):
    """d_W is added to itself, as if the weight were shared by two layers (D3)."""
    original(self, p, x, y, d_y, d_p, d_x)
    d_p.W[:] *= 2


@bug(Dense.backward, seen_in="classic: zero_grad() forgotten", symptom="steps grow, and the loss climbs",
     detected_by=("layer check", "trainer's gradient"), diagnosis="adds to what the buffer held")
def gradients_pile_up(original, self, p, x, y, d_y, d_p, d_x):
    """d_W and d_b are added to what the buffers held from the step before (D3)."""
    before = d_p.W.copy(), d_p.b.copy()
    original(self, p, x, y, d_y, d_p, d_x)
    d_p.W[:] += before[0]
    d_p.b[:] += before[1]


@bug_maker(Dense.backward, seen_in="RV29/VAE, train_AEVB: q_W1, ... = W once, then rebinds",
           symptom="right at the first step; after it the loss hardly moves",
           detected_by=("gradient check", "trainer's gradient"), diagnosis="are old ones remembered?", hidden=(5,))
def stale_weights(original):
    """The backward pass uses the weights of the first step at all later steps (D5)."""
    kept = {}

    def backward(self, p, x, y, d_y, d_p, d_x):
        _, first = kept.setdefault((p.W.ctypes.data, p.W.shape), (p.W, p.W.copy()))    # p.W keeps its address in use
        original(self, p._replace(W=first), x, y, d_y, d_p, d_x)
    return backward


def hear_half(original: Callable, self: MLP, p: tuple, x: np.ndarray, y: tuple, d_y: tuple, d_p: tuple,
              d_x: np.ndarray | None, *, of_encoder: bool) -> None:
    """Run MLP.backward, where only the first half of one network's head sends a cotangent to the layers below.

    It is the encoder's, which has no d_x because its input is data, or the decoder's.
    """
    if len(self.layers) == 1 or (d_x is None) != of_encoder:
        return original(self, p, x, y, d_y, d_p, d_x)
    half = y[-1].shape[1] // 2
    self.layers[-1].backward(p[-1], y[-2], y[-1], d_y[-1], d_p[-1], d_y[-2])
    d_y[-2][:] = d_y[-1][:, :half] @ p[-1].W[:, :half].T
    original(MLP(self.layers[:-1]), p[:-1], x, y[:-1], d_y[:-1], d_p[:-1], d_x)


@bug(MLP.backward, seen_in="classic: one of two heads forgotten where their cotangents are added up",
     symptom="the encoder's trunk learns for mu alone; the curve looks fine",
     detected_by="gradient check", diagnosis="look at what encoder.head's backward returns", hidden=(4,), n_latent=2)
def trunk_hears_half(*arguments):
    """Only d_mu reaches the encoder's trunk; d_logvar stops at the head."""
    hear_half(*arguments, of_encoder=True)


@bug(MLP.backward, seen_in="y0ast/Variational-Autoencoder, scikit-learn/ (Frey faces)",
     symptom="the decoder's sigma learns from features made for its mean; the curve looks fine",
     detected_by="gradient check", diagnosis="look at what decoder.head's backward returns", hidden=(4,),
     likelihood="gaussian_diagonal")
def decoder_hears_half(*arguments):
    """Of [mean | raw] only the mean's cotangent reaches the decoder's hidden layers."""
    hear_half(*arguments, of_encoder=False)


@bug_maker(MLP.backward, seen_in="oakleafwarrior/numpy_VAE, backprop",
           symptom="the encoder's trunk moves at random; the head learns to live with it",
           detected_by="gradient check", diagnosis="on the way back encoder.0 is the first", hidden=(4,), n_latent=2)
def trunk_hears_the_decoder(original):
    """The loop over the encoder's trunk starts from the decoder's last d_a, not from what the head returns."""
    left = {}

    def backward(self, p, x, y, d_y, d_p, d_x):
        original(self, p, x, y, d_y, d_p, d_x)
        if d_x is not None:
            left["d_a"] = d_y[0].copy()                              # as wide as the last layer of the encoder's trunk
        elif len(self.layers) > 1:
            d_y[-2][:] = left["d_a"].reshape(len(x), -1, y[-2].shape[1]).sum(axis=1)
            original(MLP(self.layers[:-1]), p[:-1], x, y[:-1], d_y[:-1], d_p[:-1], None)
    return backward


@bug(MLP.backward, seen_in="classic: a loop that ends one layer early",
     symptom="the first layer stays random; the curve looks fine", detected_by="gradient check",
     diagnosis="never arrives", hidden=(5, 3))
def first_layer_forgotten(original, self, p, x, y, d_y, d_p, d_x):
    """The loop over the layers ends before the first one."""
    original(self, p, x, y, d_y, d_p, d_x)
    d_p[0].W[:] = 0
    d_p[0].b[:] = 0


@bug(Dense.forward, Dense.backward,
     seen_in="HIPS/autograd, variational_autoencoder.py: batch statistics when generating",
     symptom="a sample depends on its neighbors; a batch of one is blank", detected_by="batch independence")
def batch_statistics(original, self, p, x, y, d_y=None, d_p=None, d_x=None):
    """Every layer's input is centered by the batch's mean, also when a trained model is used (D1)."""
    cotangents = () if d_y is None else (d_y, d_p, d_x)              # none in the forward pass
    original(self, p, x - x.mean(axis=0), y, *cotangents)
    if d_x is not None:
        d_x -= d_x.mean(axis=0)


class EarlyLogvar(MLP):
    """An encoder whose logvar reads the last hidden layer's a, before its activation; mu reads y = act(a)."""

    def _end(self, p, x, y):
        """Return the last hidden layer's input and its a."""
        below = y[-3] if len(y) > 2 else x
        return below, below @ p[-2].W + p[-2].b

    def forward(self, p: tuple, x: np.ndarray, y: tuple) -> None:
        """Write every layer's output into y."""
        super().forward(p, x, y)
        half = y[-1].shape[1] // 2
        if len(y) > 1:
            y[-1][:, half:] = self._end(p, x, y)[1] @ p[-1].W[:, half:] + p[-1].b[half:]

    def backward(self, p: tuple, x: np.ndarray, y: tuple, d_y: tuple, d_p: tuple, d_x: np.ndarray | None) -> None:
        """Overwrite d_p and d_x.

        The forward pass was [mu | logvar] = [act(a) W_mu | a W_logvar] + b, so a gets a cotangent from both.
        """
        if len(y) == 1:
            return super().backward(p, x, y, d_y, d_p, d_x)
        below, a = self._end(p, x, y)
        half, last = y[-1].shape[1] // 2, self.layers[-2]
        d_logvar = d_y[-1][:, half:].copy()
        self.layers[-1].backward(p[-1], y[-2], y[-1], d_y[-1], d_p[-1], d_y[-2])
        d_p[-1].W[:, half:] = a.T @ d_logvar
        d_h = d_y[-1][:, :half] @ p[-1].W[:, :half].T
        d_a = d_h * slope(last, y[-2]) + d_logvar @ p[-1].W[:, half:].T
        Dense(last.n_in, last.n_out).backward(p[-2], below, y[-2], d_a, d_p[-2], d_y[-3] if len(y) > 2 else d_x)
        MLP(self.layers[:-2]).backward(p[:-2], x, y[:-2], d_y[:-2], d_p[:-2], d_x)


@bug(Model.build, seen_in="cdoersch/vae_tutorial#5", symptom="it works just fine, as its author says",
     detected_by="networks by hand", hidden=(5,), activation="tanh")
def logvar_before_the_activation(original, self, *settings):
    """The logvar half of the encoder's head reads the last hidden layer before its activation."""
    original(self, *settings)
    if self.kind == "vae":
        self.encoder = EarlyLogvar(self.encoder.layers)


@bug(Dense.initialize, symptom="all hidden units stay alike; the loss stops early", detected_by="initial weights")
def zero_weights(original, self, p, rng):
    """The weights start at zero: units that begin alike stay alike."""
    p.W[:] = 0
    p.b[:] = 0


@bug(Dense.initialize, seen_in="classic: np.random.randn without a scale",
     symptom="saturated units, and a first loss that is far too high", detected_by="initial weights")
def unit_weights(original, self, p, rng):
    """The weights start at standard deviation 1 for every fan-in."""
    p.W[:] = rng.standard_normal(p.W.shape)
    p.b[:] = 0
