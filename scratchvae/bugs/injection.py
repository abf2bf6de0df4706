"""How a fault is injected into the running package, and always removed again."""
import difflib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..errors import ConfigurationError
from ..source import docstring

PACKAGE = __name__.split(".")[0]
_ONE_AT_A_TIME = threading.RLock()      # the whole process sees an injected fault, so two at once would mix


class Bug(NamedTuple):
    """A fault: where it was seen, how it shows, and which detectors find it.

    `detected_by` names detectors.  `diagnosis` is a phrase that the hints of the gradient checks contain; it is "" for
    a fault whose gradient is the derivative of its loss.  `targets` are the functions that are replaced, and
    `make(*targets)` returns their replacements.  `settings` are those of a model on which the fault has an effect.
    """

    name: str
    seen_in: str
    symptom: str
    detected_by: tuple
    diagnosis: str
    targets: tuple
    make: Callable
    settings: dict

    @property
    def what(self) -> str:
        """What is wrong, in one line: the docstring of `make`."""
        return " ".join(docstring(self.make).split())

    @property
    def case_settings(self) -> dict:
        """The settings of a case.  Detectors that look at several samples make a model of their own for it."""
        return {key: value for key, value in self.settings.items() if key not in ("estimator", "n_samples")}


BUGS: dict[str, Bug] = {}


def bug_maker(*targets: Callable, symptom: str, detected_by: str | tuple, seen_in: str = "classic", diagnosis: str = "",
              **settings: Any) -> Callable:
    """Register the function below as a fault: it takes the targets and returns their replacements.

    Its docstring says what is wrong.  A target is a function of a module, a kernel, or a method such as
    `Dense.backward`.  The rest is as in `Bug`; detected_by is one name or a tuple of them.
    """
    def register(make):
        by = (detected_by,) if isinstance(detected_by, str) else detected_by
        BUGS[make.__name__] = Bug(make.__name__, seen_in, symptom, by, diagnosis, targets, make, settings)
        return make
    return register


def bug(*targets: Callable, **label: Any) -> Callable:
    """Register the function below as a fault: it replaces each target and takes the original as its first argument.

    Targets and label are as in `bug_maker`.
    """
    def register(wrong):
        def replacement(original):
            return lambda *arguments, **settings: wrong(original, *arguments, **settings)

        @functools.wraps(wrong)
        def make(*originals):
            return tuple(map(replacement, originals))
        return bug_maker(*targets, **label)(make)
    return register


def find_bug(name: str) -> Bug:
    """Return the Bug of a name; raises ConfigurationError for an unknown one."""
    if name not in BUGS:
        nearest = ", ".join(difflib.get_close_matches(name, BUGS, cutoff=0))
        raise ConfigurationError(f"the bug is {name!r}; expected one of {len(BUGS)} names, such as {nearest}. "
                                 "`scratchvae bugs` lists them all.")
    return BUGS[name]


def _places(target):
    """Return (owner, name) of everything in the package that holds the target: its class, or modules.

    A kernel's twin stays, also where the twin is what runs: other twins are written with it.
    """
    class_name, _, method = target.__qualname__.rpartition(".")
    if class_name:
        return [(getattr(sys.modules[target.__module__], class_name), method)]
    return _holders(target)


def _holders(function):
    """Return (module, name) of every name in the package that a function has, but for twins'."""
    return [(module, name) for key, module in list(sys.modules.items()) if key.partition(".")[0] == PACKAGE
            for name, value in list(vars(module).items()) if value is function and not name.endswith("_ref")]


@contextmanager
def inject(name: str) -> Iterator[Bug]:
    """Put the fault `name`, one of `BUGS`, into the package while the with block runs; then it is as before.

    All threads see the fault.  There is one fault at a time: another thread that calls `inject` waits.  Raises
    ConfigurationError for an unknown name.

    Examples
    --------
    >>> import numpy as np
    >>> from scratchvae import VAE
    >>> from scratchvae.bugs import inject
    >>> with inject("logits_for_pixels"):
    ...     float(VAE(n_visible=2, n_latent=1, hidden=()).decode(np.zeros((1, 1)))[0, 0])
    0.0
    """
    found = find_bug(name)
    with _ONE_AT_A_TIME:
        made = found.make(*found.targets)
        made = made if isinstance(made, tuple) else (made,)
        changes = [(owner, attribute, getattr(owner, attribute), replacement)
                   for target, replacement in zip(found.targets, made) for owner, attribute in _places(target)]
        try:
            for owner, attribute, _, replacement in changes:
                setattr(owner, attribute, replacement)
            yield found
        finally:
            for owner, attribute, before, _ in changes:
                setattr(owner, attribute, before)
            for target, replacement in zip(found.targets, made):              # in modules that were imported meanwhile
                for owner, attribute in _holders(replacement):
                    setattr(owner, attribute, target)
