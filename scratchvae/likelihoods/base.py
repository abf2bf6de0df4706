"""What a likelihood is: the methods that a model calls, with those that most likelihoods share."""
import functools

import numpy as np

from ..arrays import once, require_buffer, require_floats
from ..errors import DataError, ShapeError

ROUNDING = 1e-6             # how far outside [0, 1] a pixel may lie: a scaler of float32 or float64 rounds that much
FLOAT64 = np.dtype("float64")


class Likelihood:
    """The protocol, and the answers of a likelihood without parameters of its own.

    A likelihood of your own inherits from this class, or has all of its methods, and adds `name` and

        check(x, what)                                             raise DataError for data that it cannot have drawn
        nll(p, outputs, x, nll)                                    write -log p(x | z) of each row
        nll_backward(p, outputs, x, d_nll, nll, d_p, d_outputs)    the same, and the gradients
        mean(p, outputs)                                           return E[x | z], (rows, D)
        sample(p, outputs, rng)                                    return draws from p(x | z), (rows, D)

    outputs (rows, n_outputs) is what the decoder puts out; row r belongs to x[r // K], x (B, D).  nll and d_nll
    (rows,) are float64, d_nll is dL/d(nll) of each row and may be consumed.  p and d_p are the likelihood's own
    parameters and their gradients, a dict of views as `parameter_shapes` names them; d_p and d_outputs are overwritten.

    Examples
    --------
    >>> class Poisson(Likelihood):
    ...     name = "poisson"                                    # up to log x!, which no gradient sees
    ...     def check(self, x, what="x"):
    ...         require_finite(x, what)
    ...     def nll(self, p, outputs, x, nll):
    ...         nll[:] = np.sum(np.exp(outputs) - np.repeat(x, len(outputs) // len(x), axis=0) * outputs, axis=1)
    ...     def nll_backward(self, p, outputs, x, d_nll, nll, d_p, d_outputs):
    ...         self.nll(p, outputs, x, nll)
    ...         d_outputs[:] = d_nll[:, None] * (np.exp(outputs) - np.repeat(x, len(outputs) // len(x), axis=0))
    ...     def mean(self, p, outputs):
    ...         return np.exp(outputs)
    ...     def sample(self, p, outputs, rng):
    ...         return rng.poisson(np.exp(outputs)).astype(outputs.dtype)
    ...     def is_density(self, x):
    ...         return False
    >>> from scratchvae import VAE
    >>> from scratchvae.gradcheck import check_model
    >>> vae = VAE(n_visible=4, n_latent=1, hidden=(), likelihood=Poisson(), dtype="float64")
    >>> all(check.ok for check in check_model(vae, np.array([[0, 2.0, 1, 5]]), np.ones((1, 1))))
    True
    """

    running: tuple = ()                                           # own parameters that no optimizer moves

    def is_density(self, x: np.ndarray) -> bool:
        """Return whether exp(-nll) is a normalized density, or a probability, of every row of x (n, D).

        True unless a likelihood says otherwise.  Where it is False, evaluation reports losses only: an ELBO or a
        log-likelihood would not be one.
        """
        return True

    def sigma_of(self, p: dict) -> float | None:
        """Return sigma, one number, if p(x | z) = N(outputs, sigma^2 I), else None: what closed forms need."""
        return None

    def n_outputs(self, n_visible: int) -> int:
        """Return how many numbers the decoder must put out for `n_visible` pixels."""
        return n_visible

    def parameter_shapes(self, n_visible: int) -> dict:
        """Return {name: shape} of the parameters that are the likelihood's own."""
        return {}

    def initialize(self, p: dict) -> None:
        """Write the first values of p."""

    def init_output_bias(self, p: dict, bias: np.ndarray, mean: np.ndarray, variance: float) -> None:
        """Set the decoder's output bias (n_outputs,) and p so that p(x | z) lies where the training data lie.

        mean (D,) is the data's mean row, variance (one number) the average of the pixels' variances around it.
        """

    def for_evaluation(self) -> "Likelihood":
        """Return the likelihood for evaluation: one under which the rows of a batch do not depend on each other."""
        return self

    def update_running_variance(self, p: dict, outputs: np.ndarray, nll: np.ndarray) -> None:
        """Update p from the outputs and the nll of a training step, where the likelihood remembers any of them."""


def _require(per_pixel, outputs, x, nll, *backward):
    """Raise ShapeError unless the arrays of `nll`, or with d_nll and d_outputs of `nll_backward`, fit each other."""
    require_floats("x", x, 2)
    require_floats("outputs", outputs, 2)
    rows, (n, n_visible) = len(outputs), x.shape
    if n == 0 or rows % n:
        raise ShapeError(f"outputs has {rows} rows and x {n}; expected K rows of outputs for each row of x. "
                         "Decode K samples of each example.")
    require_buffer("x", x, x.shape, x.dtype)
    require_buffer("outputs", outputs, (rows, per_pixel * n_visible), x.dtype)
    require_buffer("nll", nll, (rows,), FLOAT64, written=True)
    if backward:
        d_nll, d_outputs = backward
        require_buffer("d_nll", d_nll, (rows,), FLOAT64, written=True)
        require_buffer("d_outputs", d_outputs, outputs.shape, x.dtype, written=True)


# For likelihoods with one and with two outputs a pixel.
require_sizes, require_two_a_pixel = (once(functools.partial(_require, per_pixel)) for per_pixel in (1, 2))


def require_finite(x: np.ndarray, what: str) -> None:
    """Raise DataError unless every value of x (n, D) is finite."""
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(f"{what} has the value {x[row, column]} at row {row}, column {column}; every value must be "
                        "finite. Remove or fill such rows.")


def require_unit_range(x: np.ndarray, what: str, name: str) -> None:
    """Raise DataError unless every value of x (n, D) lies in [0, 1]."""
    require_finite(x, what)
    if x.size and (x.min() < -ROUNDING or x.max() > 1 + ROUNDING):
        raise DataError(f"{what} has values from {x.min():.16g} to {x.max():.16g}; a {name} likelihood needs values "
                        "in [0, 1]. Scale the data (images of 0..255: pass uint8, or divide by 255), or choose "
                        "likelihood='gaussian'.")
