"""What VAE and Autoencoder share: networks, training, and the checks of users' arrays."""
import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import as_array
from .data.meaning import as_floats
from .data.minibatch import as_rows, check_data, join_labels, one_hot
from .elbo import Workspace
from .errors import ConfigurationError, ShapeError, warn
from .layers import activation_code, MLP
from .learning_rates import Rate, WarmUp
from .likelihoods import make_likelihood
from .model_files import ModelFiles
from .model_settings import Settings
from .parameters import Layout, network_shapes, Parameters
from .schedules import KLWeight
from .state_dict import StateDict
from .training import held_out_objective, Trainer
from .validation import at_least, check_seed, function_of, instance_of, number, one_of, positive_integer, rows_at_once

DTYPES = ("float32", "float64")
CHUNK = 512                                   # rows that encode and decode take at a time
MOST_PARAMETERS = 1 << 31                     # numbers; with gradient and moments they are 34 GB of float32


class Model(Settings, ModelFiles, StateDict):
    """The base of VAE and Autoencoder.

    A copy of any kind (`copy`, `deepcopy`, a pickle) is a model of its own: its views look into its own flat vector,
    and it trains to the same bits as the original would.
    """

    n_samples = 1
    n_conditions = 0
    _training = None                              # the TrainingState from which partial_fit continues

    def build(self, n_visible: int, n_latent: int, hidden: Sequence[int], activation: str, likelihood: Any,
              sigma: float, dtype: Any, seed: int) -> None:
        """Check the settings, lay out the networks and draw the first weights."""
        self.n_visible = positive_integer("n_visible", n_visible)
        self.n_latent = positive_integer("n_latent", n_latent)
        try:
            if iter(hidden) is hidden:                    # a generator could be read only once
                raise TypeError
            self.hidden = tuple(positive_integer("hidden", size) for size in hidden)
        except TypeError:
            raise ConfigurationError(f"hidden is {hidden!r}; it must be a sequence of layer sizes. "
                                     "Pass for example (400,).") from None
        activation_code(activation)
        self.activation = activation
        self.dtype = one_of("dtype", np.dtype(dtype).name if isinstance(dtype, (type, np.dtype)) else dtype, DTYPES)
        self.seed = check_seed(seed)
        self.likelihood = make_likelihood(likelihood, sigma)
        remedy = "Pass the noise level of a pixel, for example 0.1."
        self.sigma = getattr(self.likelihood, "sigma", at_least("sigma", sigma, 0, remedy, open_interval=True))
        encoder = (self.n_visible + self.n_conditions, *self.hidden, len(self.head_parts) * self.n_latent)
        decoder = (self.n_latent + self.n_conditions, *reversed(self.hidden), self.likelihood.n_outputs(self.n_visible))
        own = {f"likelihood.{name}": shape
               for name, shape in self.likelihood.parameter_shapes(self.n_visible).items()}
        layout = Layout({**network_shapes("encoder", encoder), **network_shapes("decoder", decoder), **own})
        if layout.size > MOST_PARAMETERS:
            raise ConfigurationError(f"n_visible {self.n_visible}, hidden {self.hidden} and n_latent {self.n_latent} "
                                     f"make {layout.size:,} parameters; at most {MOST_PARAMETERS:,} are taken. "
                                     "Choose smaller layers.")
        self.encoder, self.decoder = MLP.build(encoder, activation), MLP.build(decoder, activation)
        self._parameters = Parameters.zeros(layout, self.dtype)
        self._draw_weights()

    def _draw_weights(self):
        p, rng = self.parameters, np.random.default_rng(self.seed)
        p.flat[:] = 0
        self.encoder.initialize(p.encoder, rng)
        self.decoder.initialize(p.decoder, rng)
        self.likelihood.initialize(p.likelihood)

    @property
    def parameters(self) -> Parameters:
        """The Parameters that the model learns: one flat vector with named, writable views.

        To assign others copies their numbers into it; raises ShapeError unless their layout and dtype are the same.
        """
        return self._parameters

    @parameters.setter
    def parameters(self, others: Parameters) -> None:
        """Copy the numbers of other Parameters into this model's."""
        instance_of("parameters", others, Parameters, "Take the parameters of a model with the same settings.")
        if others.layout != self._parameters.layout or others.flat.dtype != self.dtype:
            raise ShapeError(f"parameters have {others.flat.size:,} numbers of {others.flat.dtype} in segments of "
                             f"their own; expected {self._parameters.flat.size:,} of {self.dtype}, laid out as this "
                             "model's are. Take the parameters of a model with the same settings.")
        self._parameters.flat[:] = others.flat

    def check_schedule(self, schedule: KLWeight) -> None:
        """Raise ConfigurationError: only a VAE has a KL to weigh."""
        raise ConfigurationError(f"beta is {schedule!r}; a model of kind {self.kind!r} has no KL to weigh. "
                                 "Leave beta out, or train a VAE.")

    def initial_state(self) -> dict:
        """Return the dict that the gradient's estimator keeps from step to step, as it is before the first."""
        return {}

    def update_state(self, state: dict, loss: float) -> None:
        """Update that dict after a step with its loss, in nats per example."""

    def workspace(self, batch: int) -> Workspace:
        """Return the arrays that a step on up to `batch` examples writes.

        Raises ConfigurationError if so many numbers are not made at once.
        """
        batch = positive_integer("batch", batch)
        widest = max(layer.n_out for layer in (*self.encoder.layers, *self.decoder.layers))
        rows_at_once("batch times n_samples", batch * self.n_samples, widest)
        return Workspace.allocate(self.encoder, self.decoder, batch, self.n_samples, self.dtype,
                                  self.n_conditions)

    def for_evaluation(self) -> Any:
        """Return the model for evaluation: this one, or one that shares its parameters and has another likelihood."""
        likelihood = self.likelihood.for_evaluation()
        if likelihood is self.likelihood:
            return self
        model = object.__new__(type(self))
        vars(model).update(vars(self), likelihood=likelihood)
        return model

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_trained_by"}    # nobody trains a copy

    def __copy__(self):
        return copy.deepcopy(self)

    def _workspace_of(self, X):
        """Return a workspace that holds the rows of X."""
        rows = check_data(X, self, "X")
        ws = self.workspace(len(rows))
        ws.x[:] = as_floats(rows, self.dtype)
        return ws

    def _encode(self, X):
        """Return the encoder's head for every row of X."""
        return self._outputs(self.encoder, self.parameters.encoder, check_data(X, self, "X"))

    def _outputs(self, network, p, rows):
        """Return the last layer's output of a network for every row, CHUNK rows at a time."""
        outputs = np.empty((len(rows), network.layers[-1].n_out), self.dtype)
        for start in range(0, len(rows), CHUNK):
            # A copy, because read-only arrays would need kernels of their own.
            x = np.array(as_floats(rows[start:start + CHUNK], self.dtype), order="C")
            y = network.outputs(len(x), self.dtype)
            network.forward(p, x, y)
            outputs[start:start + CHUNK] = y[-1]
        return outputs

    def join(self, X: Any, y: Any) -> np.ndarray:
        """Return rows [x | y] (n, D + C) of a model with conditions, which all methods and functions take as X.

        y (n,) are whole numbers of 0 to C - 1, one a row of X (n, D); rows that are joined already pass if y is None.
        Levels (uint8) stay levels.  A model without conditions returns X, whatever y is.  Raises ShapeError or
        DataError if X or y do not fit.
        """
        if not self.n_conditions or y is None:
            return X
        return join_labels(as_rows(X, self.n_visible), y, self.n_conditions)

    def decode_outputs(self, z: Any, y: Any = None) -> np.ndarray:
        """Return the decoder's outputs (logits, or means), (n, n_outputs), for latents z (n, Z).

        A model with conditions needs y, (n,) labels or one for all.  Raises ShapeError if z has another width than
        n_latent.
        """
        z = as_array(z, "z")
        if z.ndim != 2 or z.shape[1] != self.n_latent or z.dtype.kind not in "iuf":
            raise ShapeError(f"z has shape {z.shape} and dtype {z.dtype}; this model decodes numbers of shape "
                             f"(n, {self.n_latent}) (n_latent). Pass one latent vector a row.")
        if self.n_conditions:
            if y is None:
                raise ConfigurationError(f"y is None; this model decodes z for one of {self.n_conditions} conditions. "
                                         "Pass y, a label for all rows or one for each.")
            z = np.hstack([z, one_hot(y, len(z), self.n_conditions)])
        return self._outputs(self.decoder, self.parameters.decoder, z.astype(self.dtype))

    def decode(self, z: Any, y: Any = None) -> np.ndarray:
        """Return E[x | z], (n, D), for latents z (n, Z): probabilities for a Bernoulli, means for a Gaussian.

        A model with conditions needs y, (n,) labels or one for all.
        """
        return self.likelihood.mean(self.parameters.likelihood, self.decode_outputs(z, y))

    def inverse_transform(self, z: Any) -> np.ndarray:
        """Decode z; scikit-learn's name for `decode`."""
        return self.decode(z)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return the decoder's means E[x | z], (n, D), at the codes of X."""
        X = check_data(X, self, "X")
        return self.decode(self.transform(X), X[:, self.n_visible:].argmax(axis=1) if self.n_conditions else None)

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus reconstruction minus KL, averaged over X (n, D), in nats per example: a VAE's ELBO.

        It is the ELBO whatever beta is, and also where the loss is another bound (S6), so that models can be compared.
        The noise is a fixed function of the model's seed; y is ignored by a model without conditions.
        """
        objective = held_out_objective(self, check_data(self.join(X, y), self, "X"), seed=self.seed)
        return -(objective.reconstruction + objective.kl)

    def fit(self, X: Any, y: Any = None, *, epochs: int = 10, batch_size: int = 128,
            learning_rate: float | Rate | WarmUp = 1e-3, validation: Any = None, validation_split: float = 0.0,
            seed: int = 0, optimizer: str | dict = "adam", binarize: str = "none", output_bias: str = "data",
            on_nonfinite: str = "stop", beta: Any = None, patience: int | None = None, shuffle: bool = True,
            keep: str = "last", callback: Callable | None = None) -> "Model":
        """Train on X from freshly drawn weights, whatever the present ones are; return the model itself.

        A second call gives the same bits as the first.  Afterwards `history_` holds one `Epoch` an epoch, losses in
        nats per example.  Raises ConfigurationError, ShapeError or DataError for settings or data that cannot work, and
        then has changed nothing, and TrainingError if a loss is not finite.

        Parameters
        ----------
        X : array_like (n, D)
            Floats, uint8 images (0..255 stands for 0..1), or a memory map.
        y : array_like (n,), optional
            Labels, which a model with conditions learns from and others ignore: scikit-learn passes them.
        epochs : int
            How often every example is seen.
        batch_size, learning_rate, validation
            As in `scratchvae.training.Trainer`; validation may be (X, y), as it must be with conditions.
        validation_split : float
            The share of X, its last rows as they stand, that is held out instead of `validation`.
        seed, optimizer, binarize, output_bias, on_nonfinite, beta, patience, shuffle
            As in `scratchvae.training.Trainer`.  This seed draws order and noise; the model's own draws the weights.
        keep : str
            "last", or "best": the model ends with the parameters of the epoch whose held-out loss was least, also if
            training is interrupted.
        callback : callable(model, epoch), optional
            Called after each epoch with its `Epoch`; training ends if it returns True.  ProgressLine(), of
            `scratchvae.progress_line`, shows the epochs, in a notebook as one line.  If it has close(), that is called
            at the end.
        """
        return self._train(True, X, y, epochs, validation_split, callback, batch_size=batch_size,
                           learning_rate=learning_rate, validation=validation, seed=seed, optimizer=optimizer,
                           binarize=binarize, output_bias=output_bias, on_nonfinite=on_nonfinite, beta=beta,
                           patience=patience, shuffle=shuffle, keep=keep)

    def partial_fit(self, X: Any, y: Any = None, *, epochs: int = 1, batch_size: int = 128,
                    learning_rate: float | Rate | WarmUp = 1e-3, validation: Any = None,
                    validation_split: float = 0.0, seed: int = 0,
                    optimizer: str | dict = "adam", binarize: str = "none", output_bias: str = "data",
                    on_nonfinite: str = "stop", beta: Any = None, patience: int | None = None, shuffle: bool = True,
                    keep: str = "last", callback: Callable | None = None) -> "Model":
        """Train on X from the present weights, also from those that you set by hand; return the model itself.

        It continues where `fit` or the last `partial_fit` ended: weights, moments, step count, order, noise and
        `history_`.  So n calls with epochs=1 give the bits of one with epochs=n, and of `fit` with epochs=n.  Copies,
        pickles and saved models continue as well.  An interrupted epoch starts again.

        Parameters
        ----------
        X, y, epochs, batch_size, learning_rate, validation, validation_split, seed, optimizer
        binarize, output_bias, on_nonfinite, beta, patience, shuffle, keep, callback
            As in `fit`, and so are the errors.  They may change from call to call, with two exceptions: another
            optimizer is refused, because it has other moments, and output_bias matters for the very first step only.
            After keep="best" training goes on from those parameters; in a copy that a callback made, from those of
            its epoch.  patience and keep count the held-out losses of earlier calls, too, unless the held-out loss of
            the present weights is another one now: you changed the weights, the model's settings or the held-out rows.
        """
        return self._train(False, X, y, epochs, validation_split, callback, batch_size=batch_size,
                           learning_rate=learning_rate, validation=validation, seed=seed, optimizer=optimizer,
                           binarize=binarize, output_bias=output_bias, on_nonfinite=on_nonfinite, beta=beta,
                           patience=patience, shuffle=shuffle, keep=keep)

    def _train(self, anew, X, y, epochs, validation_split, callback, **settings):
        if y is not None and np.isscalar(y):
            raise ConfigurationError(f"y is {y!r}; it stands for labels, one for each row. Give settings by name, for "
                                     "example epochs=20.")
        epochs = positive_integer("epochs", epochs)
        X = self.join(X, y)
        X, settings["validation"] = _split(X, validation_split, self._validation(settings["validation"]))
        trainer = Trainer(self, X, **settings)            # checks everything, and moves nothing
        after_epoch = None if callback is None else _epoch_end(callback)
        try:
            if vars(self).setdefault("_trained_by", trainer) is not trainer:
                raise ConfigurationError("this model is being trained by another thread, or by the call of fit whose "
                                         "callback this is; expected one at a time. Train a copy (copy.deepcopy).")
            if anew:
                self._draw_weights()
            elif self._training is not None:
                trainer.go_on(self._training)
            if not trainer.is_patient():
                warn(f"patience is {trainer.patience}, and since epoch {trainer.state.history.best()} the held-out "
                     "loss has not fallen: no epoch is trained. Pass a larger patience, or None.")
            self._take_state(trainer.state)
            trainer.run(trainer.state.epoch + epochs, after_epoch=after_epoch)
        finally:
            if vars(self).get("_trained_by") is trainer:
                if trainer.keep == "best" and trainer.state.best is not None:
                    self.parameters.flat[:] = trainer.state.best
                del self._trained_by
                getattr(callback, "close", bool)()
        return self

    def _validation(self, given):
        """Return the rows of validation, which may be a pair (X, y) where X itself has rows."""
        pair = isinstance(given, tuple) and len(given) == 2 and as_array(given[0], "validation").ndim > 1
        return self.join(*given) if pair else given

    def _take_state(self, state):
        self._training, self.history_, self.n_features_in_ = state, state.history, self.n_visible

    def fit_transform(self, X: Any, y: Any = None, **settings: Any) -> np.ndarray:
        """Call `fit` with the same arguments, and return the codes of X, (n, Z)."""
        return self.fit(X, y, **settings).transform(self.join(X, y))


def _split(X, share, validation):
    """Return (rows to train on, rows held out): the last `share` of X, or those that were given."""
    share = number("validation_split", share, 0, 1, "It is a share of the rows: use 0.1.")
    if not share:
        return X, validation
    if validation is not None:
        raise ConfigurationError(f"validation_split is {share}, and validation is given too; expected one of them. "
                                 "Leave one out.")
    X = as_array(X, "X")
    held_out = round(share * len(X)) if X.ndim else 0
    if not 0 < held_out < len(X):
        raise ConfigurationError(f"validation_split is {share}: of X with shape {X.shape} it leaves no row to train on "
                                 "or none to hold out. Use another share, or pass validation.")
    return X[:-held_out], X[-held_out:]


def _epoch_end(callback):
    """Return what the trainer calls after an epoch to have callback(model, epoch) called."""
    if isinstance(callback, type):
        raise ConfigurationError(f"callback is the class {callback.__name__}; expected one of its objects. Pass "
                                 f"{callback.__name__}().")
    function_of("callback", callback, "f(model, epoch)", 2)

    def after_epoch(trainer):
        answer = callback(trainer.model, trainer.state.history[-1])
        trainer.stop = isinstance(answer, (bool, np.bool_)) and bool(answer)
    return after_epoch
