"""The functions of a VAE that others wrote: what they take and return, checked and brought into one form."""
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import ScratchVAEError, ShapeError
from .comparison import STAIRS
from .contract import same_bits
from .foreign import used_by
from .numerical import COARSE, rounding_noise
from .properties import differs, EXACT
from .trees import as_array, as_number, float_leaves, is_array, kind, matched, parameters, Snapshot

FUNCTIONS = {"encode": "encode(x) -> (mu, logvar)", "draw": "draw(mu, logvar, eps) -> z, or draw(mu, logvar) -> z",
             "decode": "decode(z) -> what nll takes", "nll": "nll(x, decoded) -> nats, for any number of pixels",
             "objective": "objective(x, eps) -> loss, or (loss, reconstruction, kl)",
             "gradient": "gradient(x, eps) -> a tree like params, or (loss, tree)",
             "step": "step(x, eps), which trains", "update": "update(param, gradient) -> param, or in place",
             "generate": "generate(z) -> pixels", "reseed": "reseed(), which resets the noise"}
ARGUMENTS = {name: form[form.index("(") + 1:form.index(")")].split(", ") for name, form in FUNCTIONS.items()}
SINGLE = 1e-4                           # tolerance of numbers that were computed in float32
LOOKED_AT = 16                          # entries of what a function returns: the noise of many averages out


def is_number(value: Any) -> bool:
    """Return True for a number, or an array or tensor of one."""
    return isinstance(value, (int, float)) or is_array(value) and as_array(value).size == 1


def rounds_to_float32(f: Callable, arrays: Iterable) -> bool:
    """Return True if f(*arrays) has the noise of float32, whatever it returns; False if it has another or fails."""
    varied = [np.array(array, np.float64) for array in arrays]

    def found():
        return np.ravel(f(*varied))[:LOOKED_AT]

    with contextlib.suppress(ScratchVAEError):
        size = float(np.sum(np.abs(found())))
        return COARSE / 100 * size < rounding_noise(lambda: float(np.sum(found())), varied) < STAIRS * size
    return False


def accepts(f: Any, *names: str) -> bool:
    """Return True if f can be called with so many arguments, or if that is not known."""
    try:
        inspect.signature(f).bind(*names)
    except TypeError:
        return False
    except ValueError:                                            # a compiled function may have no signature
        pass
    return True


class VAEFunctions:
    """A foreign VAE; `given` holds its functions and settings by name, of which those that are None are missing.

    `wrong` has the names of what was found wrong so far, and `modifies` {function: the argument that it writes into}.
    """

    def __init__(self, given: dict):
        self.wrong: set = set()
        self.modifies: dict = {}
        self.given = {name: value for name, value in given.items() if value is not None}
        self.x, self.eps, self.params, self.beta = (given[name] for name in ("x", "eps", "params", "beta"))
        self.outputs, self.reduction, self.learning_rate = (
            given[name] for name in ("outputs", "reduction", "learning_rate"))
        self.paths = [] if self.params is None else list(parameters(self.params))
        arrays = [self.x, *self.arrays.values()]
        self.tolerance = SINGLE if any(getattr(array, "dtype", None) == np.float32 for array in arrays) else EXACT
        if self.x is not None and self.eps is None and "encode" in self.given:
            self.eps = self.given["eps"] = np.random.default_rng(0).standard_normal(self.posterior(self.x)[0].shape)
        self.own_gradient = self.has("gradient")
        if self.has("step", "params", "learning_rate") and not self.own_gradient:
            self.given["gradient"] = lambda x, eps: used_by(
                lambda: self.call("step", x, eps), self.snapshot(), self.learning_rate)
        self.repeats, self.same_noise = True, False
        if self.has("objective", "x", "eps"):
            pairs = (self.x, self.eps), (self.x, self.eps), (self.x, 1 - self.eps), (self.x[::-1], self.eps[::-1])
            loss, again, other, back = (self.loss(*pair) for pair in pairs)
            self.repeats = loss == again
            self.same_noise = not self.has("reseed") and loss == again == other and differs(loss, back, SINGLE)
        self.takes_eps = self.repeats and not self.has("reseed") and not self.same_noise

    @functools.cached_property
    def in_float32(self) -> bool:
        """True if one of the functions computes in float32."""
        rng = np.random.default_rng(0)
        row = rng.uniform(0.2, 0.8, 3)
        latent = rng.standard_normal((3, 4, 3 if self.eps is None else self.eps.shape[1]))
        subjects: dict[tuple, tuple[Callable, Any]] = {
            ("nll",): (self.cost, (row, row[::-1])), ("encode", "x"): (lambda x: self.posterior(x)[0], (self.x,)),
            ("decode", "eps"): (self.decode, latent[:1]), ("objective", "x", "eps"): (self.loss, (self.x, self.eps)),
            ("gradient", "params", "x", "eps"): (self.numbers, (self.x, self.eps))}
        if self.has("draw") and accepts(self.given["draw"], "mu", "logvar", "eps"):
            subjects["draw",] = (self.draw, latent)
        return any(self.has(*needs) and rounds_to_float32(f, arrays) for needs, (f, arrays) in subjects.items())

    def has(self, *names: str) -> bool:
        """Return True if all of these are given."""
        return all(name in self.given for name in names)

    @property
    def arrays(self) -> dict:
        """The parameters, {path: array}: a step may put others there, and an object may come to keep other arrays."""
        now = float_leaves(self.params)
        return {path: now[path] for path in self.paths}

    def snapshot(self) -> Snapshot:
        """Return a Snapshot of the parameters."""
        return Snapshot(self.params, self.arrays)

    def arguments(self, name: str) -> Any:
        """Return the names of a function's arguments, as far as they are known."""
        try:
            return inspect.signature(self.given[name]).parameters
        except ValueError:                                        # a compiled function
            return ()

    def call(self, name: str, *arrays: Any, **settings: Any) -> Any:
        """Return what a function makes of copies of arrays, or of those that update changes; an error is one line."""
        passed = arrays if name == "update" else [np.array(array) for array in arrays]
        try:
            found = self.given[name](*passed, **settings)
        except ScratchVAEError:
            raise
        except (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError,
                ValueError) as error:
            shapes = ", ".join(str(np.shape(array)) for array in arrays)
            raise ShapeError(f"{name} fails for arrays of shape {shapes} ({error}); expected {FUNCTIONS[name]}, with "
                             "one row an example. Wrap yours in a lambda that takes and returns these.") from error
        self.modifies.update({name: argument for argument, array, old in zip(ARGUMENTS[name], passed, arrays)
                              if not same_bits(array, old)})
        return found

    def rows(self, name: str, found: Any, n: int, width: Any = None) -> np.ndarray:
        """Return what a function has returned as an array (n, width) of float64."""
        array = as_array(found)
        if array.dtype == np.float32:
            self.tolerance = SINGLE
        if array.ndim != 2 or array.shape != (n, width or array.shape[1]):
            raise ShapeError(f"{name} returns an array of shape {array.shape}; expected ({n}, {width or 'any'}): "
                             f"{FUNCTIONS[name]}, with one row an example. Transpose columns.")
        return np.array(array, np.float64)

    def posterior(self, x: np.ndarray) -> tuple:
        """Return (mu, logvar)."""
        found = self.call("encode", x)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise ShapeError(f"encode returns a {kind(found)}; expected (mu, logvar). Split the head; of a "
                             "head that holds log sigma return 2 * log_sigma.")
        mu = self.rows("encode", found[0], len(x))
        return mu, self.rows("encode", found[1], *mu.shape)

    def draw(self, mu: np.ndarray, logvar: np.ndarray, *eps: np.ndarray) -> np.ndarray:
        """Return draws of z."""
        return self.rows("draw", self.call("draw", mu, logvar, *eps), *mu.shape)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return what nll takes."""
        return self.rows("decode", self.call("decode", z), len(z))

    def mean(self, decoded: np.ndarray) -> np.ndarray:
        """Return the pixels' means."""
        return 0.5 * (1 + np.tanh(0.5 * decoded)) if self.outputs == "logits" else decoded

    def cost(self, x: np.ndarray, decoded: np.ndarray) -> float:
        """Return the nll of one example, (D,) each."""
        return as_number(self.call("nll", np.array(x)[None], np.array(decoded)[None]), "nll")

    def parts(self, x: np.ndarray, eps: np.ndarray, **beta: float) -> tuple:
        """Return (loss, reconstruction, kl), or (loss,)."""
        if "reseed" in self.given:
            self.call("reseed")
        found = self.call("objective", x, eps, **beta)
        parts = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        if len(parts) not in (1, 3):
            raise ShapeError(f"objective returns {len(parts)} numbers; expected loss, or (loss, reconstruction, kl). "
                             "Return one of these.")
        return tuple(as_number(part, "objective") for part in parts)

    def loss(self, x: np.ndarray, eps: np.ndarray) -> float:
        """Return the loss."""
        return self.parts(x, eps)[0]

    def gradient_tree(self, x: np.ndarray, eps: np.ndarray) -> Any:
        """Return (loss or None, gradient); it is called right after the loss, of which it may need what that left."""
        found = self.call("gradient", x, eps)
        pair = isinstance(found, tuple) and len(found) == 2 and is_number(found[0])
        two = isinstance(self.params, (tuple, list)) and len(self.params) == 2 and is_number(self.params[0])
        return found if pair and not two else (None, found)

    def gradient(self, x: np.ndarray, eps: np.ndarray) -> dict:
        """Return {path: gradient} right after the loss was computed."""
        self.parts(x, eps)
        return matched(self.gradient_tree(x, eps)[1], self.arrays, "gradient")

    def numbers(self, x: np.ndarray, eps: np.ndarray) -> np.ndarray:
        """Return all numbers of the gradient in one array."""
        return np.concatenate([array.ravel() for array in self.gradient(x, eps).values()])

    def gradient_repeats(self) -> bool:
        """Return True if the gradient is the same when it is computed again."""
        return np.array_equal(self.numbers(self.x, self.eps), self.numbers(self.x, self.eps))

    def per_example(self, number: float) -> float:
        """Return what is reported for the batch as a mean over its examples."""
        return number / len(self.x) if self.reduction == "sum" else number
