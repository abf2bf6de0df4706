"""Dense layers: forward and backward next to each other, over buffers that the caller owns."""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .arrays import aligned
from .errors import ShapeError
from .kernels import dense as kernels
from .validation import one_of, positive_integer

ACTIVATIONS = {"identity": kernels.IDENTITY, "relu": kernels.RELU, "tanh": kernels.TANH,
               "sigmoid": kernels.SIGMOID, "softplus": kernels.SOFTPLUS}
HEAD_GAIN = 0.1


def activation_code(name):
    """Return the kernels' code of an activation; raises ConfigurationError for an unknown name."""
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]


@dataclass(frozen=True)
class Dense:
    """y = act(x W + b), with x (B, n_in) and y (B, n_out).

    What the layer remembers for its backward is exactly its input and its output: the derivative of every
    activation can be written in the output.  All arrays have one dtype, float32 or float64.

    Examples
    --------
    >>> from scratchvae.parameters import Affine
    >>> layer = Dense(2, 1, "relu")
    >>> p = Affine(np.array([[1.0], [2.0]]), np.array([-1.0]))
    >>> y = np.empty((1, 1))
    >>> layer.forward(p, np.array([[3.0, 4.0]]), y)
    >>> float(y[0, 0])
    10.0
    """

    n_in: int
    n_out: int
    activation: str = "identity"

    def __post_init__(self):
        for name in ("n_in", "n_out"):
            positive_integer(name, getattr(self, name))
        activation_code(self.activation)

    def initialise(self, p, rng):
        """Fill W with He's (relu, softplus) or Glorot's uniform draws and b with zeros.

        He et al. 2015, section 2.2: Var W = 2 / n_in.  Glorot & Bengio 2010, eq. 16: 2 / (n_in + n_out).
        """
        fan = self.n_in if self.activation in ("relu", "softplus") else self.n_in + self.n_out
        limit = np.sqrt(3 * 2 / fan)                       # a uniform draw on +-limit has variance limit^2 / 3
        p.W[:] = rng.uniform(-limit, limit, p.W.shape)
        p.b[:] = 0

    def forward(self, p, x, y):
        """Write act(x W + b) into y; raises ShapeError for an x or W whose rows do not lie in one piece."""
        if ((x.strides[1] != x.itemsize and x.shape[1] > 1)
                or (p.W.strides[1] != p.W.itemsize and p.W.shape[1] > 1)):
            raise ShapeError(f"x has strides {x.strides} and W {p.W.strides}, in bytes; a dense layer needs the numbers "
                             "of a row side by side. Pass np.ascontiguousarray of a transposed or sliced array.")
        kernels.dense_forward(x, p.W, p.b, ACTIVATIONS[self.activation], y)

    def backward(self, p, x, y, d_y, d_p, d_x):
        """Overwrite d_p and d_x with the gradients; d_y is consumed.

        d_x may be None: the first layer's input is data, and nothing learns from its gradient.

        forward was a = x W + b and y = act(a), so
            d_a = d_y * act'(a)            (D2)
            d_W = x^T d_a                  (D3)
            d_b = sum over rows of d_a     (D4)
            d_x = d_a W^T                  (D5)
        """
        kernels.dense_backward(x, p.W, y, d_y, ACTIVATIONS[self.activation], d_p.W, d_p.b,
                               x[:0] if d_x is None else d_x)


class MLP(NamedTuple):
    """Dense layers in a row; y is the tuple of every layer's output, `y[-1]` the network's.

    Parameters, gradients and cotangents are tuples alike: p[i] is the `Affine` of layer i.

    Examples
    --------
    >>> network = MLP.build((3, 5, 2), "tanh")
    >>> [layer.activation for layer in network.layers]
    ['tanh', 'identity']
    """

    layers: tuple

    @classmethod
    def build(cls, sizes, activation):
        """Return a network with `sizes` units a layer, input first; the last layer (the head) is linear."""
        pairs = list(zip(sizes, sizes[1:]))
        hidden = [Dense(n_in, n_out, activation) for n_in, n_out in pairs[:-1]]
        return cls((*hidden, Dense(*pairs[-1])))

    def outputs(self, batch, dtype):
        """Return empty arrays for every layer's output, (batch, n_out) each; also the shape of the cotangents."""
        return tuple(aligned((batch, layer.n_out), dtype) for layer in self.layers)

    def initialise(self, p, rng):
        """Initialise every layer, the head at HEAD_GAIN times its Glorot weights.

        A network then starts close to its output bias: q(z | x) near the prior, p(x | z) near the data's mean.
        """
        for layer, p_layer in zip(self.layers, p):
            layer.initialise(p_layer, rng)
        p[-1].W[:] *= HEAD_GAIN

    def forward(self, p, x, y):
        """Write every layer's output into y."""
        for i, layer in enumerate(self.layers):
            layer.forward(p[i], y[i - 1] if i else x, y[i])

    def backward(self, p, x, y, d_y, d_p, d_x):
        """Overwrite d_p and d_x; d_y[-1] is the cotangent, the others are scratch; all of d_y is consumed.

        forward was y[i] = layer_i(y[i - 1]), so d_y[i - 1] is what layer i returns for its input.
        """
        for i in range(len(self.layers) - 1, -1, -1):
            below, d_below = (y[i - 1], d_y[i - 1]) if i else (x, d_x)
            self.layers[i].backward(p[i], below, y[i], d_y[i], d_p[i], d_below)
