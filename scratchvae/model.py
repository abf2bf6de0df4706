"""What VAE and Autoencoder share: settings, networks, files, and the edge where users' arrays come in."""
import copy
import inspect
from dataclasses import fields

import numpy as np

from .arrays import as_array
from .data.meaning import as_floats
from .data.minibatch import check_data
from .elbo import Workspace
from .errors import ConfigurationError, RunError, ShapeError
from .estimators.named import estimator_settings, make_estimator
from .layers import activation_code, MLP
from .likelihoods import LIKELIHOODS, make_likelihood
from .parameters import Layout, network_shapes, Parameters
from .storage.checkpoint import load_arrays, save_arrays
from .training import check_seed, fit, held_out_objective
from .validation import one_of, positive_integer

DTYPES = ("float32", "float64")
CHUNK = 512                                   # rows that encode and decode take at a time
MOST_PARAMETERS = 1 << 31                     # with Adam's moments and the gradient 34 GB of float32
KINDS = {}                                    # kind in files and on the command line -> class


class Model:
    """The base of VAE and Autoencoder."""

    kind = None
    n_samples = 1

    def __init_subclass__(cls):
        if "kind" in vars(cls):                   # a subclass of VAE that names no kind of its own leaves files to VAE
            KINDS[cls.kind] = cls

    def build(self, n_visible, n_latent, head, hidden, activation, likelihood, sigma, dtype, seed):
        """Check the settings, lay out the networks (the encoder ends in `head` units) and draw the first weights."""
        self.n_visible = positive_integer("n_visible", n_visible)
        self.n_latent = positive_integer("n_latent", n_latent)
        try:
            self.hidden = tuple(positive_integer("hidden", size) for size in hidden)
        except TypeError:
            raise ConfigurationError(f"hidden is {hidden!r}; it must be a sequence of layer sizes. "
                                     "Pass for example (400,).") from None
        activation_code(activation)
        self.activation = activation
        self.dtype = one_of("dtype", str(dtype), DTYPES)
        self.seed = check_seed(seed)
        self.likelihood = make_likelihood(likelihood, sigma)
        self.sigma = getattr(self.likelihood, "sigma", sigma)
        sizes = {"encoder": (self.n_visible, *self.hidden, head),
                 "decoder": (self.n_latent, *reversed(self.hidden), self.likelihood.n_outputs(self.n_visible))}
        shapes = {}
        for prefix, units in sizes.items():
            shapes |= network_shapes(prefix, units)
        shapes |= {f"likelihood.{name}": shape
                   for name, shape in self.likelihood.parameter_shapes(self.n_visible).items()}
        layout = Layout(shapes)
        if layout.size > MOST_PARAMETERS:
            raise ConfigurationError(f"n_visible {self.n_visible}, hidden {self.hidden} and n_latent {self.n_latent} make "
                                     f"{layout.size:,} parameters; at most {MOST_PARAMETERS:,} are taken. Choose smaller layers.")
        self.encoder, self.decoder = (MLP.build(units, activation) for units in sizes.values())
        self.parameters = Parameters.zeros(layout, self.dtype)
        rng = np.random.default_rng(self.seed)
        self.encoder.initialise(self.parameters.encoder, rng)
        self.decoder.initialise(self.parameters.decoder, rng)
        self.likelihood.initialise(self.parameters.likelihood)

    def check_schedule(self, schedule):
        """Raise ConfigurationError: only a VAE has a KL to weigh."""
        raise ConfigurationError(f"beta is {schedule!r}; a model of kind {self.kind!r} has no KL to weigh. "
                                 "Leave beta out, or train a VAE.")

    def initial_state(self):
        """Return what the gradient's estimator remembers from step to step, before the first one: a dict."""
        return {}

    def update_state(self, state, loss):
        """Take note of a step's loss in that dict."""

    def workspace(self, batch):
        """Return the arrays that a step on up to `batch` examples writes."""
        return Workspace.allocate(self.encoder, self.decoder, batch, self.n_samples, self.dtype)

    def frozen(self):
        """Return the model to measure with: this one, or one with the same parameters and `likelihood.frozen()`."""
        likelihood = self.likelihood.frozen()
        if likelihood is self.likelihood:
            return self
        model = copy.copy(self)
        model.likelihood = likelihood
        return model

    def _rows(self, X, name="X"):
        """Return users' data as checked rows of uint8 levels, float32 or float64."""
        return check_data(X, self, name)

    def _fill(self, ws, rows):
        ws.x[:] = as_floats(rows, self.dtype)

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
        z = as_array(z, "z")
        if z.ndim != 2 or z.shape[1] != self.n_latent or z.dtype.kind not in "iuf":
            raise ShapeError(f"z has shape {z.shape} and dtype {z.dtype}; this model decodes numbers of shape "
                             f"(n, {self.n_latent}) (n_latent). Pass one latent vector a row.")
        z = np.array(z, self.dtype, order="C")            # a copy: for a read-only array kernels are compiled anew
        outputs = np.empty((len(z), self.decoder.layers[-1].n_out), self.dtype)
        for start in range(0, len(z), CHUNK):
            piece = z[start:start + CHUNK]
            y = self.decoder.outputs(len(piece), self.dtype)
            self.decoder.forward(self.parameters.decoder, piece, y)
            outputs[start:start + CHUNK] = y[-1]
        return outputs

    def decode(self, z):
        """Return E[x | z], (n, D), for latents z (n, Z): probabilities for a Bernoulli, means for a Gaussian."""
        return self.likelihood.mean(self.parameters.likelihood, self.decode_outputs(z))

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
            binarize="none", output_bias="data", on_nonfinite="stop", beta=None):
        """Train on X, starting from the present parameters.

        Parameters
        ----------
        X : array_like (n, D)
            Floats, uint8 images (0..255 stands for 0..1), or a memory map.
        epochs, batch_size, learning_rate, validation, seed, optimizer, binarize, output_bias, on_nonfinite, beta
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
                   validation=validation, seed=seed, optimizer=optimizer, binarize=binarize, output_bias=output_bias,
                   on_nonfinite=on_nonfinite, beta=beta)

    def get_params(self, deep=True):
        """Return the constructor's arguments as a dict (`deep` is scikit-learn's and changes nothing)."""
        params = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        name = self.likelihood.name
        if name in LIKELIHOODS and self.likelihood == make_likelihood(name, self.sigma):
            params["likelihood"] = name
        if "estimator" in params and not fields(self.estimator):
            params["estimator"] = self.estimator.name
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
        if "estimator" in settings:
            settings["estimator"] = estimator_settings(self.estimator)
        if not isinstance(settings["likelihood"], str):
            raise ConfigurationError(f"likelihood {settings['likelihood']!r} is a custom object; a file holds only "
                                     "settings and numbers. Save dict(parameters.segments()) yourself, with np.savez.")
        save_arrays(path, self.kind, {"settings": settings, **(extra_meta or {})},
                    {"parameters": self.parameters.layout.in_order(self.parameters.flat), **(extra_arrays or {})})

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


def load_run(path):
    """Return (model, meta, arrays) of a file that `save` wrote; meta and arrays are the extras.

    Raises
    ------
    RunError
        If the file is missing, damaged, or does not describe a model.
    """
    kind, meta, arrays = load_arrays(path)
    try:
        settings, numbers = meta.pop("settings"), arrays.pop("parameters")
        estimator, baseline = settings.get("estimator"), settings.pop("baseline", "none")    # older files: a setting of its own
        if baseline != "none":
            settings["estimator"] = make_estimator(estimator, baseline=baseline)
        elif isinstance(estimator, dict):
            settings["estimator"] = make_estimator(estimator.pop("name"), **estimator)
        sizes = [int(settings["n_visible"]), *map(int, settings["hidden"]), int(settings["n_latent"])]
        if sum(n_in * n_out for n_in, n_out in zip(sizes, sizes[1:])) > numbers.size:      # before memory is taken
            raise ValueError(f"layers of {sizes} units have more than the {numbers.size} numbers stored")
        model = KINDS[kind](**settings)
        model.parameters.layout.place(numbers, model.parameters.flat)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} does not describe a model ({type(error).__name__}: {error}). "
                       "Take a file that scratchvae saved.") from error
    return model, meta, arrays
