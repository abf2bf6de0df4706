"""A model in a file: settings, parameters, and how far its training has come."""
import inspect
from typing import Any

from .errors import ConfigurationError, DataError, RunError
from .estimators.named import estimator_settings, make_estimator
from .history import TrainingState
from .likelihoods import LIKELIHOODS, make_likelihood
from .nonfinite import not_finite
from .storage.checkpoint import load_arrays, save_arrays

# What a file says of a model itself, and of the run that it belongs to.
RESERVED = {"format", "kind", "sha256", "settings", "training", "config",
            "parameters", "totals", "history", "best", "m", "v", "velocity"}


class ModelFiles:
    """`save` and `load` of a model."""

    kind: Any = None                              # name of the class in files

    def save(self, path: Any, extra_meta: dict | None = None, extra_arrays: dict | None = None) -> None:
        """Write settings and parameters to `path` (.npz), atomically; extras come back from `load_run`.

        Raises RunError if the file cannot be written, ConfigurationError if the likelihood or the estimator is a custom
        object, or an extra one has a name in RESERVED or is not of a kind that files hold, and DataError if a parameter
        is not finite, by name.
        """
        taken = [name for name in {**(extra_meta or {}), **(extra_arrays or {})} if name in RESERVED]
        if taken:
            raise ConfigurationError(f"an extra is called {', '.join(map(repr, taken))}, as a model's own entries are; "
                                     "it would replace them. Give it another name.")
        save_run(self, path, extra_meta or {}, extra_arrays or {})

    @classmethod
    def load(cls, path: Any) -> "ModelFiles":
        """Return the model saved at `path`; its `partial_fit` continues where that of the saved model had ended.

        Raises RunError if the file is missing, damaged, or holds another kind of model.
        """
        model, meta, arrays = load_run(path, made=cls)
        if not isinstance(model, cls):
            raise RunError(f"{path} holds a model of kind {model.kind!r}; expected {cls.kind!r}. "
                           f"Load it with {type(model).__name__}.load.")
        if "training" in meta:
            try:
                model._take_state(TrainingState.of_file(model, meta["training"], arrays))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise RunError(f"{path} does not say how far its training came ({type(error).__name__}: "
                               f"{error!s:.300}). Take a file that scratchvae saved.") from error
        return model


def save_run(model: Any, path: Any, extra_meta: dict, extra_arrays: dict) -> None:
    """Write a model as its `save` does, but let the extras replace its own entries: a run's state of training."""
    name = not_finite(model.parameters.segments())
    if name:
        raise DataError(f"{name} is not finite; a saved model needs finite parameters. Train it anew, with a lower "
                        "learning rate.")
    settings = {name: getattr(model, name) for name in inspect.signature(type(model)).parameters}
    if "estimator" in settings:
        settings["estimator"] = estimator_settings(model.estimator)
    name = model.likelihood.name
    if name not in LIKELIHOODS or model.likelihood != make_likelihood(name, model.sigma):
        raise ConfigurationError(f"likelihood {model.likelihood!r} is a custom object; a file holds only "
                                 "settings and numbers. Save dict(parameters.segments()) yourself, with np.savez.")
    settings["likelihood"] = name
    layout, meta, arrays = model.parameters.layout, {}, {}
    if model._training is not None:
        meta["training"], arrays = model._training.pack(layout)
    save_arrays(path, model.kind, {"settings": settings, **meta, **extra_meta},
                {"parameters": layout.pack(model.parameters.flat), **arrays, **extra_arrays})


def load_run(path: Any, last: bool = False, made: Any = None) -> tuple:
    """Return (model, meta, arrays) of a file that `save` wrote; meta and arrays are the extras, and the training's.

    Where a run (with its config) has kept the best parameters, the model has those, or, if `last`, those from which it
    goes on.  The model is a `made` if that is a class of its kind.  Raises RunError if the file is missing, damaged,
    or does not describe a model.
    """
    kind, meta, arrays = load_arrays(path)
    try:
        settings, numbers = dict(meta.pop("settings")), arrays.pop("parameters")
        numbers = arrays.get("best", numbers) if "config" in meta and not last else numbers
        estimator, baseline = settings.get("estimator"), settings.pop("baseline", "none")     # its own in older files
        if baseline != "none":
            settings["estimator"] = make_estimator(estimator, baseline=baseline)
        elif isinstance(estimator, dict):
            settings["estimator"] = make_estimator(estimator.pop("name"), **estimator)
        sizes = [int(settings["n_visible"]), *map(int, settings["hidden"]), int(settings["n_latent"])]
        if sum(n_in * n_out for n_in, n_out in zip(sizes, sizes[1:])) > numbers.size:      # before memory is taken
            raise ValueError(f"layers of {sizes} units have more than the {numbers.size} numbers stored")
        kinds = {made.kind: made for base in ModelFiles.__subclasses__() for made in base.__subclasses__()}
        made = made if made and issubclass(made, kinds[kind]) else kinds[kind]
        model = made(**{**settings, "hidden": tuple(settings["hidden"])})
        if numbers.dtype not in (model.dtype, "float16"):                                          # as export writes
            raise ValueError(f"parameters are {numbers.dtype}, the model's dtype is {model.dtype}")
        model.parameters.layout.unpack(numbers, model.parameters.flat)
        if name := not_finite(model.parameters.segments()):
            raise ValueError(f"{name} is not finite")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunError(f"{path} does not describe a model ({type(error).__name__}: {error!s:.300}). "
                       "Take a file that scratchvae saved.") from error
    return model, meta, arrays
