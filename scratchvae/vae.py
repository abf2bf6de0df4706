"""VAE: networks, likelihood and estimator behind one small class."""
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import as_array
from .elbo import Objective, Workspace
from .errors import ShapeError
from .estimators import make_estimator
from .model import Model
from .parameters import Parameters
from .schedules import as_weight, KLWeight
from .validation import check_seed, integer, positive_integer, rows_at_once


class Posterior(NamedTuple):
    """q(z | x) of n examples: means and log variances, each (n, Z)."""

    mu: np.ndarray
    logvar: np.ndarray


class VAE(Model):
    """A variational autoencoder with a Gaussian encoder, trained on the ELBO's hand-derived gradient.

    Raises ConfigurationError for a setting that cannot work.

    Parameters
    ----------
    n_visible : int
        D, the numbers in an example.
    n_latent : int
        Z, the latent dimensions.
    hidden : sequence of int
        Units in the encoder's hidden layers; the decoder mirrors them.
    activation : str
        "relu", "tanh", "sigmoid", "softplus" or "identity", for hidden layers.
    likelihood : str or object
        "bernoulli", "continuous_bernoulli", "gaussian" (fixed `sigma`), "gaussian_scalar" (one learned sigma),
        "gaussian_diagonal" (a learned sigma a pixel), "gaussian_optimal" (one sigma, solved for), or an object
        like those in `scratchvae.likelihoods`.
    beta : float
        Weight of the KL term; 1 is the ELBO (T9's lambda).
    estimator : str or Estimator
        "analytic", the KL in closed form; "monte_carlo", "stl", "score_function", "antithetic", "iwae", "dreg", or an
        object such as `ScoreFunction(baseline="moving_average")`; see `scratchvae.estimators`.
    n_samples : int
        K, samples of z an example.
    dtype : str
        "float32" to train, "float64" to check gradients.
    seed : int
        Seed of the initial weights.
    sigma : float
        Standard deviation of a pixel for "gaussian"; its first value for "gaussian_scalar" and "gaussian_optimal",
        which a training from new weights sets to the data's unless output_bias is "zero".
    n_conditions : int
        C, the classes of a label y; the model is then of q(z | x, y) and p(x | z, y).  0 for a model without labels.

    Attributes
    ----------
    parameters : Parameters
        One flat vector with named, writable views.

    Examples
    --------
    >>> vae = VAE(n_visible=6, n_latent=2, hidden=(5,), dtype="float64")
    >>> X, eps = np.full((3, 6), 0.25), np.zeros((3, 2))
    >>> objective, gradient = vae.gradient(X, eps)
    >>> vae.parameters.encoder.head.b[0] += 1e-6           # and now by a finite difference
    >>> slope = (vae.objective(X, eps).loss - objective.loss) / 1e-6
    >>> bool(abs(slope - gradient.encoder.head.b[0]) < 1e-5)
    True
    """

    kind = "vae"
    head_parts = ("mu", "logvar")
    keep_weights = ("beta", "estimator", "n_samples")

    def __init__(self, n_visible: int, n_latent: int = 20, *, hidden: Sequence[int] = (400,), activation: str = "relu",
                 likelihood: Any = "bernoulli", beta: Any = 1.0, estimator: Any = "analytic", n_samples: int = 1,
                 dtype: Any = "float32", seed: int = 0, sigma: float = 1.0, n_conditions: int = 0):
        given = dict(locals())
        self.beta = beta                                             # checked wherever it is assigned
        self.estimator = make_estimator(estimator)
        self.n_samples = positive_integer("n_samples", n_samples)
        self.n_conditions = integer("n_conditions", n_conditions, 0)
        self.build(n_visible, n_latent, hidden, activation, likelihood, sigma, dtype, seed)
        self.estimator.check(self.n_samples, self.likelihood)
        self._remember(given)

    def forward(self, ws: Workspace, beta: Any = None) -> Objective:
        """Return the Objective of the batch in ws.x with the noise in ws.eps; beta is the model's if not given."""
        return self.estimator.forward(self, self.parameters, ws, as_weight(self.beta if beta is None else beta))

    def forward_backward(self, ws: Workspace, gradient: Parameters, beta: Any = None,
                         state: dict | None = None) -> Objective:
        """Return the same, and overwrite `gradient`; `state` is what the estimator remembers from earlier steps."""
        weight = as_weight(self.beta if beta is None else beta)
        return self.estimator.forward_backward(self, self.parameters, ws, weight, gradient, state)

    def _workspace_of(self, X, eps):
        ws, eps = super()._workspace_of(X), as_array(eps, "eps")
        full = (len(ws.x), self.n_samples, self.n_latent)
        wanted = full[::2] if self.n_samples == 1 else full
        if eps.shape not in (full, wanted) or eps.dtype.kind not in "iuf":
            raise ShapeError(f"eps of {eps.dtype} has shape {eps.shape}; expected {wanted}, "
                             "one standard normal draw a latent (and sample) for each row of X. "
                             "Draw it with np.random.default_rng(seed).standard_normal(shape).")
        ws.eps[:] = eps.reshape(ws.eps.shape)
        return ws

    def objective(self, X: Any, eps: Any) -> Objective:
        """Return the Objective of X with given noise: a deterministic function of (parameters, X, eps).

        Raises ShapeError or DataError if the arrays do not fit the model or the likelihood.

        Parameters
        ----------
        X : array_like (n, D)
            Data.
        eps : array_like (n, Z) or (n, K, Z)
            Standard normal noise; of "antithetic", the first K / 2 samples, which the others mirror.

        Returns
        -------
        Objective
            loss, reconstruction, kl in nats per example (E4, S2, S6).
        """
        return self.forward(self._workspace_of(X, eps))

    def gradient(self, X: Any, eps: Any) -> tuple[Objective, Parameters]:
        """Return (Objective, Parameters): the loss and the estimator's gradient (E5 to E7), in a fresh Parameters.

        Arguments and errors are those of `objective`; neither the model nor the arguments change.  "stl",
        "score_function" and "dreg" are not the derivative of the loss with eps held, but of `surrogate`.
        """
        gradient = Parameters.zeros(self.parameters.layout, self.dtype)
        return self.forward_backward(self._workspace_of(X, eps), gradient), gradient

    def surrogate(self, X: Any, eps: Any) -> Callable[[], float]:
        """Return a function () -> float whose derivative at the present parameters is `gradient`: the loss, or S11."""
        return self.estimator.surrogate(self, self._workspace_of(X, eps), as_weight(self.beta))

    def initial_state(self) -> dict:
        """Return the dict that the estimator keeps from step to step, as it is before the first."""
        return self.estimator.initial_state()

    def update_state(self, state: dict, loss: float) -> None:
        """Update that dict after a step with its loss, in nats per example."""
        self.estimator.update_state(state, loss)

    def check_schedule(self, schedule: KLWeight) -> None:
        """Raise ConfigurationError if the estimator cannot follow a schedule of beta (`scratchvae.schedules`)."""
        self.estimator.check_weight(schedule)

    def encode(self, X: Any) -> Posterior:
        """Return the Posterior of every row of X (n, D): mu and logvar, each (n, Z)."""
        head = self._encode(X)
        return Posterior(head[:, :self.n_latent], head[:, self.n_latent:])

    def transform(self, X: Any) -> np.ndarray:
        """Return the posterior means of X (n, D), (n, Z)."""
        return self.encode(X).mu

    def sample(self, n: int, seed: int = 0, y: Any = None) -> np.ndarray:
        """Return E[x | z] for n draws of z from the prior N(0, I), (n, D); of E[x | z, y] with conditions.

        For pixels drawn from p(x | z) as well: `vae.likelihood.sample(vae.parameters.likelihood,
        vae.decode_outputs(z), rng)`.
        """
        n = rows_at_once("n", n, self.n_visible)
        return self.decode(np.random.default_rng(check_seed(seed)).standard_normal((n, self.n_latent)), y)
