"""The constructor's arguments of a model, as scikit-learn reads, copies and changes them."""
import inspect
from typing import Any

import numpy as np

from .errors import ConfigurationError
from .schedules import check_beta


class Settings:
    """What a model knows of its constructor's arguments."""

    keep_weights: tuple = ()                      # arguments that `set_params` changes without a new start

    def _remember(self, given):
        """Keep the constructor's arguments beside what was made of them: `clone` asks for the very same objects."""
        self._given = {name: (value, getattr(self, name)) for name, value in given.items() if name != "self"}

    def __setattr__(self, name, value):
        """Assign; settings that can change alone go to `set_params`, but for beta, which is only checked.

        Of the others the constructor made more, such as weights: only what they are already is taken.
        """
        if name == "beta" or name not in vars(self).get("_given", ()):
            super().__setattr__(name, check_beta(value) if name == "beta" else value)
        elif name in self.keep_weights:
            self.set_params(**{name: value})
        elif value is not self._given[name][0] and (isinstance(value, np.ndarray) or value != getattr(self, name)):
            raise ConfigurationError(f"{name} cannot be assigned: the model was built with {getattr(self, name)!r}. "
                                     f"Call set_params({name}=...), which builds it again.")

    def __repr__(self):
        now, signature = self.get_params(), inspect.signature(type(self)).parameters
        said = [f"{name}={value!r}" for name, value in now.items()
                if signature[name].default is signature[name].empty or repr(value) != repr(signature[name].default)]
        return f"<{type(self).__name__}({', '.join(said)}): {self.parameters.flat.size:,} parameters>"

    def get_params(self, deep: bool = True) -> dict:
        """Return the constructor's arguments as they were given, as a dict (`deep` changes nothing)."""
        params = {}
        for name in inspect.signature(type(self)).parameters:
            now = getattr(self, name)
            given, made_of_it = self._given.get(name, (now, now))
            changed = isinstance(given, (list, np.ndarray)) and tuple(given) != now           # by who still holds it
            params[name] = given if made_of_it is now and not changed else now
        return params

    def set_params(self, **params: Any) -> "Settings":
        """Change some of the constructor's arguments, all or none; return the model itself.

        A change of `beta`, `estimator` or `n_samples` keeps the weights and the state of training.  Any other change
        builds the model again, as the constructor does, with freshly drawn weights.  While a model is trained only
        `beta` may change, for the next step.  Raises ConfigurationError if a name is unknown, a value cannot work, or
        a model in training would change otherwise; nothing has changed then.
        """
        present = self.get_params()
        unknown = [name for name in params if name not in present]
        if unknown:
            raise ConfigurationError(f"{', '.join(unknown)}: no setting of {type(self).__name__}; it has "
                                     f"{', '.join(present)}. Check the spelling.")
        made = type(self)(**{**present, **params})
        if "sigma" in params and "likelihood" not in params and params["sigma"] not in (present["sigma"], made.sigma):
            raise ConfigurationError(f"sigma is {params['sigma']!r}, but likelihood is {made.likelihood!r}, with a "
                                     "sigma of its own. Change likelihood.")
        changed = {name for name in params if getattr(made, name) != getattr(self, name)}
        if "_trained_by" in vars(self) and changed - {"beta"}:
            raise ConfigurationError(f"{', '.join(params)}: cannot change while the model is trained, in arrays made "
                                     "for its present settings. Change it before, or in a copy.")
        if changed <= set(self.keep_weights):
            made._parameters = self._parameters
        else:
            for name in ("_training", "history_", "n_features_in_"):
                vars(self).pop(name, None)
        vars(self).update(vars(made))
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "history_")

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags  # it alone calls this
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=InputTags(),
                    transformer_tags=TransformerTags(preserves_dtype=[]))
