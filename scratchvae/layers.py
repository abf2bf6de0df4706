"""Dense layers: forward and backward next to each other, over buffers that the caller owns."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .arrays import aligned, once
from .errors import ShapeError
from .kernels import dense as kernels
from .layer_checks import require_fitting
from .validation import keep, one_of, positive_integer

ACTIVATIONS = {"identity": kernels.IDENTITY, "relu": kernels.RELU, "tanh": kernels.TANH,
               "sigmoid": kernels.SIGMOID, "softplus": kernels.SOFTPLUS}
HEAD_GAIN = 0.1


def activation_code(name: str) -> int:
    """Return the kernels' code of an activation; raises ConfigurationError for an unknown name."""
    return ACTIVATIONS[one_of("activation", name, ACTIVATIONS)]


@dataclass(frozen=True)
class Dense:
    """y = act(x W + b), with x (B, n_in) and y (B, n_out).

    What the layer remembers for its backward is exactly its input and its output: the derivative of every
    activation can be written in the output.  All arrays have one dtype, float32 or float64.

    Arrays of another size, and outputs that share memory with another array, raise ShapeError.  They are checked when
    the layer first meets them, not at every step.

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
        n_in, n_out = positive_integer("n_in", self.n_in), positive_integer("n_out", self.n_out)
        keep(self, n_in=n_in, n_out=n_out, _code=activation_code(self.activation),
             _check_forward=once(require_fitting), _check_backward=once(require_fitting))

    def __reduce__(self):
        return type(self), (self.n_in, self.n_out, self.activation)

    def initialize(self, p: Any, rng: np.random.Generator) -> None:
        """Fill W with He's (relu, softplus) or Glorot's uniform draws and b with zeros.

        He et al. 2015, section 2.2: Var W = 2 / n_in.  Glorot & Bengio 2010, eq. 16: 2 / (n_in + n_out).
        """
        fan = self.n_in if self.activation in ("relu", "softplus") else self.n_in + self.n_out
        limit = np.sqrt(3 * 2 / fan)                       # a uniform draw on +-limit has variance limit^2 / 3
        p.W[:] = rng.uniform(-limit, limit, p.W.shape)
        p.b[:] = 0

    def forward(self, p: Any, x: np.ndarray, y: np.ndarray) -> None:
        """Write act(x W + b) into y."""
        self._check_forward(self, p.W, p.b, x, y)
        kernels.dense_forward(x, p.W, p.b, self._code, y)

    def backward(self, p: Any, x: np.ndarray, y: np.ndarray, d_y: np.ndarray, d_p: Any,
                 d_x: np.ndarray | None) -> None:
        """Overwrite d_p and d_x with the gradients; d_y is consumed.

        d_x may be None: the first layer's input is data, and nothing learns from its gradient.

        forward was a = x W + b and y = act(a), so
            d_a = d_y * act'(a)            (D2)
            d_W = x^T d_a                  (D3)
            d_b = sum over rows of d_a     (D4)
            d_x = d_a W^T                  (D5)
        """
        self._check_backward(self, p.W, p.b, x, y, d_y, d_p.W, d_p.b, d_x)
        kernels.dense_backward(x, p.W, y, d_y, self._code, d_p.W, d_p.b, x[:0] if d_x is None else d_x)


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
    def build(cls, sizes: Sequence[int], activation: str) -> "MLP":
        """Return a network with `sizes` units a layer, input first; the last layer (the head) is linear."""
        pairs = list(zip(sizes, sizes[1:]))
        hidden = [Dense(n_in, n_out, activation) for n_in, n_out in pairs[:-1]]
        return cls((*hidden, Dense(*pairs[-1])))

    def outputs(self, batch: int, dtype: Any) -> tuple:
        """Return empty arrays for every layer's output, (batch, n_out) each; also the shape of the cotangents."""
        return tuple(aligned((batch, layer.n_out), dtype) for layer in self.layers)

    def initialize(self, p: Any, rng: np.random.Generator) -> None:
        """Initialize every layer, the head at HEAD_GAIN times its Glorot weights.

        A network then starts close to its output bias: q(z | x) near the prior, p(x | z) near the data's mean.
        """
        for layer, p_layer in zip(self.layers, p):
            layer.initialize(p_layer, rng)
        p[-1].W[:] *= HEAD_GAIN

    def _refuse(self, **tuples):
        for name, of_layers in tuples.items():
            if len(of_layers) != len(self.layers):
                raise ShapeError(f"{name} has {len(of_layers)} members; this network has {len(self.layers)} layers. "
                                 "Pass one for each layer.")

    def forward(self, p: tuple, x: np.ndarray, y: tuple) -> None:
        """Write every layer's output into y."""
        if not len(p) == len(y) == len(self.layers):
            self._refuse(p=p, y=y)
        for layer, p_layer, output in zip(self.layers, p, y):
            layer.forward(p_layer, x, output)
            x = output

    def backward(self, p: tuple, x: np.ndarray, y: tuple, d_y: tuple, d_p: tuple, d_x: np.ndarray | None) -> None:
        """Overwrite d_p and d_x; d_y[-1] is the cotangent, the others are scratch; all of d_y is consumed.

        forward was y[i] = layer_i(y[i - 1]), so d_y[i - 1] is what layer i returns for its input.
        """
        if not len(p) == len(y) == len(d_y) == len(d_p) == len(self.layers):
            self._refuse(p=p, y=y, d_y=d_y, d_p=d_p)
        for i in range(len(self.layers) - 1, -1, -1):
            below, d_below = (y[i - 1], d_y[i - 1]) if i else (x, d_x)
            self.layers[i].backward(p[i], below, y[i], d_y[i], d_p[i], d_below)
