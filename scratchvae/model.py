"""VAE and Autoencoder: parameters, layers and likelihood behind one small class each."""
import inspect
from typing import NamedTuple

import numpy as np

from . import elbo
from .batches import as_rows, check_rows
from .checkpoint import load_arrays, save_arrays
from .elbo import Objective, Workspace
from .errors import ConfigurationError, RunError, ShapeError
from .layers import MLP, activation_code
from .likelihoods import make_likelihood
from .parameters import Layout, Parameters, network_shapes
from .training import check_seed, fit, held_out_objective

DTYPES = ("float32", "float64")
ESTIMATORS = ("analytic",)
CHUNK = 512                                   # rows that encode, decode and sample take at a time


def _positive_integer(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}; it must be an integer of at least 1. Choose for example 20.")
    return int(value)


def _one_of(name, value, known):
    if value not in known:
        raise ConfigurationError(f"{name} is {value!r}; known are {', '.join(known)}. Choose one of them.")
    return value


class Posterior(NamedTuple):
    """q(z | x) of n examples: means and log variances, each (n, Z)."""

    mu: np.ndarray
    logvar: np.ndarray


class _Model:
    """What VAE and Autoencoder share: settings, networks, files, and the edge where users' arrays come in."""

    kind = None                               # name in files and on the command line
    n_samples = 1

    def _build(self, n_visible, n_latent, head, hidden, activation, likelihood, sigma, dtype, seed):
        self.n_visible = _positive_integer("n_visible", n_visible)
        self.n_latent = _positive_integer("n_latent", n_latent)
        try:
            self.hidden = tuple(_positive_integer("hidden", size) for size in hidden)
        except TypeError:
            raise ConfigurationError(f"hidden is {hidden!r}; it must be a sequence of layer sizes. "
                                     "Pass for example (400,).") from None
        activation_code(activation)
        self.activation, self.sigma = activation, sigma
        self.dtype = _one_of("dtype", str(dtype), DTYPES)
        self.seed = check_seed(seed)
        self.likelihood = make_likelihood(likelihood, sigma)
        self.encoder = MLP.build((self.n_visible, *self.hidden, head), activation)
        self.decoder = MLP.build((self.n_latent, *reversed(self.hidden), self.likelihood.n_outputs(self.n_visible)),
                                 activation)
        sizes = {"encoder": self.encoder, "decoder": self.decoder}
        shapes = {}
        for prefix, network in sizes.items():
            shapes |= network_shapes(prefix, (network.layers[0].n_in, *(layer.n_out for layer in network.layers)))
        self.parameters = Parameters.zeros(Layout(shapes), self.dtype)
        rng = np.random.default_rng(self.seed)
        self.encoder.initialise(self.parameters.encoder, rng)
        self.decoder.initialise(self.parameters.decoder, rng)

    def workspace(self, batch):
        """Return the arrays that a step on up to `batch` examples writes."""
        return Workspace.allocate(self.encoder, self.decoder, batch, self.n_samples, self.dtype)

    def _rows(self, X, name="X"):
        """Return users' data as checked rows in the model's dtype, scaled if they are uint8 pixels."""
        rows = as_rows(X, self.n_visible, name)
        check_rows(rows, self.likelihood, name)
        return rows

    def _fill(self, ws, rows):
        ws.x[:] = rows
        if rows.dtype == np.uint8:
            np.divide(ws.x, 255, out=ws.x)

    def _encode(self, X):
        """Return the encoder's head for every row of X."""
        rows = self._rows(X)
        head = np.empty((len(rows), self.encoder.layers[-1].n_out), self.dtype)
        whole = self.workspace(min(CHUNK, len(rows)))
        for start in range(0, len(rows), CHUNK):
            piece = rows[start:start + CHUNK]
            ws = whole.first(len(piece))
            self._fill(ws, piece)
            self.encoder.forward(self.parameters.encoder, ws.x, ws.encoder)
            head[start:start + CHUNK] = ws.encoder[-1]
        return head

    def decode_outputs(self, z):
        """Return the decoder's outputs (logits, or means), (n, n_outputs), for latents z (n, Z).

        Raises
        ------
        ShapeError
            If z has another width than n_latent.
        """
        z = np.asarray(z)
        if z.ndim != 2 or z.shape[1] != self.n_latent or z.dtype.kind not in "iuf":
            raise ShapeError(f"z has shape {z.shape} and dtype {z.dtype}; this model decodes numbers of shape "
                             f"(n, {self.n_latent}) (n_latent). Pass one latent vector a row.")
        z = np.ascontiguousarray(z, self.dtype)
        outputs = np.empty((len(z), self.decoder.layers[-1].n_out), self.dtype)
        for start in range(0, len(z), CHUNK):
            piece = z[start:start + CHUNK]
            y = self.decoder.outputs(len(piece), self.dtype)
            self.decoder.forward(self.parameters.decoder, piece, y)
            outputs[start:start + CHUNK] = y[-1]
        return outputs

    def decode(self, z):
        """Return E[x | z], (n, D), for latents z (n, Z): probabilities for a Bernoulli, means for a Gaussian."""
        return self.likelihood.mean(self.decode_outputs(z))

    def inverse_transform(self, z):
        """Decode z; scikit-learn's name for `decode`."""
        return self.decode(z)

    def reconstruct(self, X):
        """Return what the decoder makes of the codes of X, (n, D)."""
        return self.decode(self.transform(X))

    def score(self, X):
        """Return minus the loss at beta = 1, averaged over X (n, D), in nats per example: a VAE's ELBO.

        The noise is a fixed function of the model's seed.
        """
        objective = held_out_objective(self, self._rows(X), seed=self.seed)
        return -(objective.reconstruction + objective.kl)

    def fit(self, X, epochs=10, batch_size=128, learning_rate=1e-3, validation=None, seed=0, optimizer="adam",
            binarize="none", output_bias="data"):
        """Train on X, starting from the present parameters.

        Parameters
        ----------
        X : array_like (n, D)
            Floats, uint8 images (0..255 stands for 0..1), or a memory map.
        epochs, batch_size, learning_rate, validation, seed, optimizer, binarize, output_bias
            As in `scratchvae.training.Trainer`.

        Returns
        -------
        History
            One `Epoch` an epoch, losses in nats per example.

        Raises
        ------
        ConfigurationError, ShapeError, DataError, TrainingError
            With what, got, expected and remedy.
        """
        return fit(self, X, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
                   validation=validation, seed=seed, optimizer=optimizer, binarize=binarize, output_bias=output_bias)

    def get_params(self, deep=True):
        """Return the constructor's arguments as a dict (`deep` is scikit-learn's and changes nothing)."""
        params = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if params["likelihood"].name in ("bernoulli", "gaussian"):
            params["likelihood"] = params["likelihood"].name
        return params

    def set_params(self, **params):
        """Rebuild the model with some arguments changed, parameters newly initialised; return it."""
        self.__init__(**{**self.get_params(), **params})
        return self

    def save(self, path, extra_meta=None, extra_arrays=None):
        """Write settings and parameters to `path` (.npz), atomically; extras come back from `load_run`.

        Raises
        ------
        RunError
            If the file cannot be written.
        ConfigurationError
            If the likelihood is a custom object, which a file cannot hold.
        """
        settings = self.get_params()
        if not isinstance(settings["likelihood"], str):
            raise ConfigurationError(f"likelihood {settings['likelihood']!r} is a custom object; a file holds only "
                                     "settings and numbers. Save parameters.flat yourself, with np.save.")
        save_arrays(path, self.kind, {"settings": settings, **(extra_meta or {})},
                    {"parameters": self.parameters.flat, **(extra_arrays or {})})

    @classmethod
    def load(cls, path):
        """Return the model saved at `path`.

        Raises
        ------
        RunError
            If the file is missing, damaged, or holds another kind of model.
        """
        model, _, _ = load_run(path)
        if not isinstance(model, cls):
            raise RunError(f"{path} holds a model of kind {model.kind!r}; expected {cls.kind!r}. "
                           f"Load it with {type(model).__name__}.load.")
        return model


class VAE(_Model):
    """A variational autoencoder with a Gaussian encoder, trained on the ELBO's hand-derived gradient.

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
        "bernoulli", "gaussian" (fixed `sigma`), or an object like those in `scratchvae.likelihoods`.
    beta : float
        Weight of the KL term; 1 is the ELBO (T9's lambda).
    estimator : str
        "analytic": the KL in closed form.
    n_samples : int
        K, samples of z an example.
    dtype : str
        "float32" to train, "float64" to check gradients.
    seed : int
        Of the initial weights.
    sigma : float
        Standard deviation of a pixel, for likelihood "gaussian".

    Attributes
    ----------
    parameters : Parameters
        One flat vector with named, writable views.

    Raises
    ------
    ConfigurationError
        For a setting that cannot work.

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

    def __init__(self, n_visible, n_latent=20, hidden=(400,), activation="relu", likelihood="bernoulli", beta=1.0,
                 estimator="analytic", n_samples=1, dtype="float32", seed=0, sigma=1.0):
        if not isinstance(beta, (int, float, np.number)) or not 0 <= beta < np.inf:
            raise ConfigurationError(f"beta is {beta!r}; the KL's weight must be a finite number of at least 0. "
                                     "Use 1 for the ELBO.")
        self.beta = float(beta)
        self.estimator = _one_of("estimator", estimator, ESTIMATORS)
        self.n_samples = _positive_integer("n_samples", n_samples)
        n_latent = _positive_integer("n_latent", n_latent)
        self._build(n_visible, n_latent, 2 * n_latent, hidden, activation, likelihood, sigma, dtype, seed)

    def forward(self, ws):
        """Return the Objective of the batch in ws.x with the noise in ws.eps."""
        return elbo.forward(self, self.parameters, ws, self.beta)

    def forward_backward(self, ws, gradient):
        """The same, and overwrite `gradient` with dL/d(parameters)."""
        return elbo.forward_backward(self, self.parameters, ws, self.beta, gradient)

    def _workspace_of(self, X, eps):
        rows = self._rows(X)
        eps = np.asarray(eps)
        wanted = (len(rows), self.n_samples, self.n_latent)
        if eps.shape != wanted and not (self.n_samples == 1 and eps.shape == wanted[::2]):
            raise ShapeError(f"eps has shape {eps.shape}; expected {wanted[::2] if self.n_samples == 1 else wanted}, "
                             "one standard normal draw a latent (and sample). Draw it with "
                             "np.random.default_rng(seed).standard_normal(shape).")
        ws = self.workspace(len(rows))
        self._fill(ws, rows)
        ws.eps[:] = eps.reshape(ws.eps.shape)
        return ws

    def objective(self, X, eps):
        """Return the Objective of X with given noise: a deterministic function of (parameters, X, eps).

        Parameters
        ----------
        X : array_like (n, D)
            Data.
        eps : array_like (n, Z) or (n, K, Z)
            Standard normal noise.

        Returns
        -------
        Objective
            loss, reconstruction, kl in nats per example (E4).

        Raises
        ------
        ShapeError, DataError
            If the arrays do not fit the model or the likelihood.
        """
        return self.forward(self._workspace_of(X, eps))

    def gradient(self, X, eps):
        """Return (Objective, Parameters): the loss and dL/d(parameters) (E5 to E7), in a fresh Parameters.

        Arguments and errors are those of `objective`; neither the model nor the arguments change.
        """
        gradient = Parameters.zeros(self.parameters.layout, self.dtype)
        return self.forward_backward(self._workspace_of(X, eps), gradient), gradient

    def encode(self, X):
        """Return the Posterior of every row of X (n, D): mu and logvar, each (n, Z)."""
        head = self._encode(X)
        return Posterior(head[:, :self.n_latent], head[:, self.n_latent:])

    def transform(self, X):
        """Return the posterior means of X (n, D), (n, Z)."""
        return self.encode(X).mu

    def sample(self, n, seed=0):
        """Return E[x | z] for n draws of z from the prior N(0, I), (n, D).

        For pixels drawn from p(x | z) as well: `vae.likelihood.sample(vae.decode_outputs(z), rng)`.
        """
        n = _positive_integer("n", n)
        return self.decode(np.random.default_rng(check_seed(seed)).standard_normal((n, self.n_latent)))


class Autoencoder(_Model):
    """A plain autoencoder (T4): the VAE's networks without noise and without a prior.

    Parameters
    ----------
    n_visible, n_latent, hidden, activation, likelihood, dtype, seed, sigma
        As in `VAE`.  With likelihood "gaussian" the loss is the squared error, halved, over sigma^2, and a
        constant; with "bernoulli" the cross entropy.

    Examples
    --------
    >>> Autoencoder(n_visible=6, n_latent=2, hidden=()).transform(np.ones((3, 6))).shape
    (3, 2)
    """

    kind = "ae"

    def __init__(self, n_visible, n_latent=20, hidden=(400,), activation="relu", likelihood="bernoulli",
                 dtype="float32", seed=0, sigma=1.0):
        self._build(n_visible, n_latent, n_latent, hidden, activation, likelihood, sigma, dtype, seed)

    def _decode_codes(self, ws):
        p = self.parameters
        self.encoder.forward(p.encoder, ws.x, ws.encoder)
        self.decoder.forward(p.decoder, ws.encoder[-1], ws.decoder)

    def forward(self, ws):
        """Return the Objective of the batch in ws.x; its kl is 0."""
        self._decode_codes(ws)
        self.likelihood.nll(ws.decoder[-1], ws.x, ws.nll)
        loss = float(ws.nll.mean())
        return Objective(loss, loss, 0.0)

    def forward_backward(self, ws, gradient):
        """The same, and overwrite `gradient` with dL/d(parameters)."""
        p = self.parameters
        self._decode_codes(ws)
        self.likelihood.nll_backward(ws.decoder[-1], ws.x, 1.0 / len(ws.x), ws.nll, ws.d_decoder[-1])
        self.decoder.backward(p.decoder, ws.encoder[-1], ws.decoder, ws.d_decoder, gradient.decoder,
                              ws.d_encoder[-1])
        self.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
        loss = float(ws.nll.mean())
        return Objective(loss, loss, 0.0)

    def _workspace_of(self, X):
        rows = self._rows(X)
        ws = self.workspace(len(rows))
        self._fill(ws, rows)
        return ws

    def objective(self, X, eps=None):
        """Return the Objective of X (n, D), in nats per example; there is no noise, eps is ignored."""
        return self.forward(self._workspace_of(X))

    def gradient(self, X, eps=None):
        """Return (Objective, Parameters): the loss and dL/d(parameters), in a fresh Parameters."""
        gradient = Parameters.zeros(self.parameters.layout, self.dtype)
        return self.forward_backward(self._workspace_of(X), gradient), gradient

    def encode(self, X):
        """Return the codes of X (n, D), (n, Z)."""
        return self._encode(X)

    def transform(self, X):
        """Return the codes of X (n, D), (n, Z)."""
        return self.encode(X)


MODELS = {"vae": VAE, "ae": Autoencoder}


def load_run(path):
    """Return (model, meta, arrays) of a file that `save` wrote; meta and arrays are the extras.

    Raises
    ------
    RunError
        If the file is missing, damaged, or does not describe a model.
    """
    kind, meta, arrays = load_arrays(path)
    try:
        model = MODELS[kind](**meta.pop("settings"))
        flat = arrays.pop("parameters")
        model.parameters.flat[:] = flat
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} does not describe a model ({type(error).__name__}: {error}). "
                       "Take a file that scratchvae saved.") from error
    return model, meta, arrays
