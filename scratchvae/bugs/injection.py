"""How a fault is planted in the running package, and always taken out again."""
import ast
import difflib
import inspect
import sys
import threading
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import ConfigurationError

PACKAGE = __name__.split(".")[0]
MISSING = object()                      # what a class has not got itself
_ONE_AT_A_TIME = threading.RLock()      # a planted fault is seen by the whole process: two would mix


class Bug(NamedTuple):
    """A fault: where it was seen, how it shows, what convicts it.

    `detected_by` names detectors; `diagnosis` is a phrase that the hints of the gradient checks contain, "" for a
    fault whose gradient is that of its loss.  `make(*originals)` returns what stands in the place of `targets`.
    `settings` are those of a model on which the fault has an effect at all.
    """

    name: str
    seen_in: str
    symptom: str
    detected_by: tuple
    diagnosis: str
    targets: tuple
    make: object
    settings: dict

    @property
    def what(self):
        """What is wrong, in one line: the docstring of `make`, which `python -OO` leaves in its source only."""
        text = self.make.__doc__ or ast.get_docstring(ast.parse(inspect.getsource(self.make)).body[0])
        return " ".join(text.split())

    @property
    def case_settings(self):
        """The settings of a case; detectors that look at several samples make a model of their own for it."""
        return {key: value for key, value in self.settings.items() if key not in ("estimator", "n_samples")}


BUGS: dict[str, Bug] = {}


def bug(*targets, seen_in, symptom, detected_by, diagnosis="", **settings):
    """Register the function below as a planted fault, its docstring saying what is wrong.

    Parameters
    ----------
    targets : str
        What is replaced: "layers.Dense.backward", "kernels.gaussian.gaussian_backward".
    seen_in, symptom, detected_by, diagnosis, settings
        As in `Bug`; detected_by is one name or a tuple of them.
    """
    def register(make):
        by = (detected_by,) if isinstance(detected_by, str) else detected_by
        BUGS[make.__name__] = Bug(make.__name__, seen_in, symptom, by, diagnosis, targets, make, settings)
        return make
    return register


def find_bug(name):
    """Return the Bug of a name; raises ConfigurationError for an unknown one."""
    if name not in BUGS:
        nearest = ", ".join(difflib.get_close_matches(name, BUGS, cutoff=0))
        raise ConfigurationError(f"the bug is {name!r}; expected one of {len(BUGS)} names, such as {nearest}. "
                                 "`scratchvae bugs` lists them all.")
    return BUGS[name]


def _resolve(target):
    """Return ([(owner, name)], original): everything of ours that holds the original, under whatever name.

    A kernel's twin stays, also where the twin is what runs: other twins are written with it.
    """
    path, _, attribute = target.rpartition(".")
    module, _, owner = path.rpartition(".")
    if owner[:1].isupper():
        cls = getattr(sys.modules[f"{PACKAGE}.{module}"], owner)
        return [(cls, attribute)], inspect.getattr_static(cls, attribute)
    original = getattr(sys.modules[f"{PACKAGE}.{path}"], attribute)
    held = [(other, name) for key, other in list(sys.modules.items()) if key.partition(".")[0] == PACKAGE
            for name, value in list(vars(other).items()) if value is original and not name.endswith("_ref")]
    return held, original


@contextmanager
def inject(name):
    """While open, the package has the fault `name`; then it is as before, whatever happened.

    One fault at a time: another thread that plants waits.  All threads see the fault.

    Parameters
    ----------
    name : str
        One of `BUGS`.

    Raises
    ------
    ConfigurationError
        For an unknown name.

    Examples
    --------
    >>> import numpy as np
    >>> from scratchvae import VAE
    >>> from scratchvae.bugs import inject
    >>> with inject("logits_for_pixels"):
    ...     float(VAE(n_visible=2, n_latent=1, hidden=()).decode(np.zeros((1, 1)))[0, 0])
    0.0
    """
    bug_ = find_bug(name)
    with _ONE_AT_A_TIME:
        resolved = [_resolve(target) for target in bug_.targets]
        made = bug_.make(*(original for _, original in resolved))
        made = made if isinstance(made, tuple) else (made,)
        before = [(owner, attribute, vars(owner).get(attribute, MISSING))
                  for held, _ in resolved for owner, attribute in held]
        try:
            for (held, _), replacement in zip(resolved, made):
                for owner, attribute in held:
                    setattr(owner, attribute, replacement)
            yield bug_
        finally:
            for owner, attribute, original in before:
                if original is MISSING:
                    delattr(owner, attribute)                   # it was inherited
                else:
                    setattr(owner, attribute, original)
