"""Checks of a layer's contract: it overwrites its outputs, changes nothing else, and remembers nothing."""
import inspect
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from ..errors import ConfigurationError, ShapeError
from .numerical import require_float64
from .trees import branches, copied

FORWARD, BACKWARD = "forward(p, x, y)", "backward(p, x, y, d_y, d_p, d_x)"


def named_arrays(tree: tuple | list | dict | np.ndarray, path: str = "") -> Iterator:
    """Yield (path, array) for every array of a tree: ("W", array), ("0.b", array), or ("p", array) for a single one."""
    if isinstance(tree, (tuple, list, dict)):
        for key, branch in branches(tree).items():
            yield from named_arrays(branch, f"{path}.{key}" if path else str(key))
    else:
        require_float64(path or "p", tree)
        yield path or "p", tree


def arrays_of(y: np.ndarray | tuple) -> tuple:
    """Return the arrays that forward writes, as a tuple; the last one is the output."""
    return (y,) if isinstance(y, np.ndarray) else tuple(y)


def same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    """Return True if two arrays hold the same bytes: NaN equals itself, and 0 differs from -0."""
    return first.tobytes() == second.tobytes()


def require_method(name: str, owner: object, expected: str) -> None:
    """Raise ConfigurationError unless the argument `name` has the method `expected`, say "forward(p, x, y)"."""
    method, arguments = expected.rstrip(")").split("(")
    kind = type(owner).__name__
    if not callable(getattr(owner, method, None)):
        raise ConfigurationError(f"{name} is {kind} without the method {method}; expected {expected}. Write one.")
    if isinstance(owner, type):
        raise ConfigurationError(f"{name} is the class {owner.__name__}; expected an object of it. "
                                 f"Pass {owner.__name__}(...).")
    try:
        signature = inspect.signature(getattr(owner, method))
    except ValueError:                                            # a compiled function may have no signature
        return
    try:
        signature.bind(*arguments.split(", "))
    except TypeError:
        raise ConfigurationError(
            f"{name} is a {kind} whose {method} takes {signature}; expected {expected}. Give it these arguments: "
            "results are written into the last ones, and everything that is needed comes in.") from None


def require_layer(layer: object, p: tuple | list | dict | np.ndarray) -> dict:
    """Return {path: array} of p; raise ConfigurationError or ShapeError unless both are what `check_layer` takes."""
    for expected in (FORWARD, BACKWARD):
        require_method("layer", layer, expected)
    return dict(named_arrays(p))


def layer_with_backprop(layer: object, p: tuple | list | dict | np.ndarray, x: np.ndarray,
                        y: np.ndarray | None = None) -> tuple[np.ndarray, Callable]:
    """Return (output, backprop) of a layer, with backprop(d_y) -> (d_x, d_p).

    The output has the shape of y, or else that which the layer's `outputs(batch, dtype)` or `n_out` gives.
    """
    def buffer(array):
        """Return a buffer like an array: of floats or, while `certify_layer` runs, of exact numbers; or of indices."""
        return np.empty_like(array) if array.dtype.kind in "biu" else np.empty(array.shape)

    def outputs():
        if y is None and hasattr(layer, "outputs"):
            return copied(layer.outputs(len(x), x.dtype), buffer)
        return np.empty((len(x), layer.n_out) if y is None else np.shape(y))

    written = outputs()
    layer.forward(p, x, written)

    def backprop(d_y):
        d_p, d_x, d_outputs = copied(p, buffer), buffer(x), outputs()
        arrays_of(d_outputs)[-1][...] = d_y
        layer.backward(p, x, written, d_outputs, d_p, d_x)
        return d_x, d_p

    return arrays_of(written)[-1], backprop


def require_shapes(trial: "Trial") -> None:
    """Raise ShapeError if x, d_y or the layer's outputs cannot be right; compiled code may not notice."""
    kind, x, y = type(trial.layer).__name__, trial.x, arrays_of(trial.y)
    if y[-1].shape != trial.d_y.shape:
        raise ShapeError(f"d_y has shape {trial.d_y.shape}; {kind}.outputs makes y of shape {y[-1].shape}. "
                         "Pass a d_y of the output's shape.")
    if any(np.may_share_memory(*pair) for pair in itertools.combinations((x, *y), 2)):
        raise ShapeError(f"{kind}.outputs returns arrays that share memory; expected one of its own for each output. "
                         "Make each with np.empty.")
    for name, array, size in (("x", x, "n_in"), ("d_y", trial.d_y, "n_out")):
        width = getattr(trial.layer, size, array.shape[-1])
        if array.shape[-1] != width or len(array) != len(x):
            raise ShapeError(f"{name} has shape {array.shape}; this {kind} was built for {width} columns ({size}), "
                             f"and x has {len(x)} rows. Pass {name} with one row an example.")


class Trial:
    """A layer at one point (p, x, d_y); `faults` records how it breaks its contract, by the name of the array.

    `lay` makes the copy of d_y that backward gets.
    """

    def __init__(self, layer: object, p: tuple | list | dict | np.ndarray, x: np.ndarray, d_y: np.ndarray,
                 lay: Callable = np.copy) -> None:
        self.layer, self.p, self.x, self.d_y, self.lay = layer, p, x, d_y, lay
        self.y = layer.outputs(len(x), x.dtype) if hasattr(layer, "outputs") else np.empty(d_y.shape)
        self.inputs = {"x": x, **dict(named_arrays(p))}
        self.faults = {}

    def _restore(self, arrays, before, who):
        for (name, array), old in zip(arrays, before):
            if not same_bits(array, old):
                self.faults.setdefault(name, f"{who} modifies {name}: it may write into its outputs only")
                array[...] = old

    def forward(self) -> object:
        """Run forward into y, filled with NaN before; return what it returns."""
        for array in arrays_of(self.y):
            array.fill(np.nan)
        before = [array.copy() for array in self.inputs.values()]
        try:
            returned = self.layer.forward(self.p, self.x, self.y)
        except ConfigurationError:                                # says more than what follows here
            raise
        except (ValueError, IndexError) as error:
            raise ShapeError(
                f"{type(self.layer).__name__}.forward fails for x of shape {self.x.shape} and y of shape "
                f"{self.d_y.shape} ({error}); expected shapes that fit the parameters. d_y must have the shape of "
                "the layer's output: pass one that does, and look at x.") from error
        self._restore(self.inputs.items(), before, "forward")
        return returned

    def output(self) -> float:
        """Compute y anew and return <d_y, y>."""
        self.layer.forward(self.p, self.x, self.y)
        return float(np.sum(self.output_terms()))

    def output_terms(self) -> np.ndarray:
        """Return d_y * y, of the y that `output` has left: the terms of <d_y, y>."""
        return self.d_y * arrays_of(self.y)[-1]

    def output_rounding(self) -> float:
        """Return the error of <d_y, y> if every y is rounded once: cancellation in the sum may hide it."""
        self.output()
        return float(np.finfo(np.float64).eps * np.linalg.norm(self.output_terms()))

    def anew(self) -> dict:
        """Run forward, and backward into zeros; return {name: gradient}."""
        self.forward()
        return self.backward(0.0)

    def backward(self, fill: float) -> dict:
        """Run backward into buffers full of `fill`; return {name: gradient}."""
        d_p, d_x = copied(self.p, lambda array: np.full(array.shape, fill)), np.full(self.x.shape, fill)
        gradients = {"x": d_x, **dict(named_arrays(d_p))}
        scratch = [np.full(array.shape, np.nan) for array in arrays_of(self.y)[:-1]]
        d_y = self.lay(self.d_y)                                  # which backward may consume
        d_y = d_y if isinstance(self.y, np.ndarray) else (*scratch, d_y)
        guarded = [*self.inputs.items(), *(("y", array) for array in arrays_of(self.y))]
        before = [array.copy() for _, array in guarded]
        try:
            self.layer.backward(self.p, self.x, self.y, d_y, d_p, d_x)
        except ShapeError:                                        # says more than what follows here
            raise
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in gradients.items())
            raise ShapeError(f"{type(self.layer).__name__}.backward fails ({error}); expected it to write gradients "
                             f"of these shapes: {shapes}. Look at transposes and sums over the batch.") from error
        except AttributeError as error:
            if "can't set attribute" not in str(error):           # the message of a NamedTuple
                raise
            raise ConfigurationError(f"{type(self.layer).__name__}.backward puts other arrays into d_p; expected it to "
                                     "write into those that are there: d_p.W[:] = ..., not d_p.W = or +=.") from error
        self._restore(guarded, before, "backward")
        for name, array in named_arrays(d_p):
            if array is not gradients[name]:
                aliased = any(np.may_share_memory(array, other) for _, other in guarded)
                self.faults.setdefault(name, f"backward puts another array into d_p{' (an input!)' * aliased}: "
                                             "write into the one that is there, with [:] =")
        return gradients


def shaken(trial: Trial, rng: np.random.Generator) -> Trial:
    """Return a Trial of the same layer on other data, with the same shapes and signs."""
    def shake(array):
        return np.asarray(array * rng.uniform(0.5, 1.5, array.shape))      # a product of arrays without axes is none

    return Trial(trial.layer, copied(trial.p, shake), np.flip(shake(trial.x), 0).copy(), trial.d_y)


def output_fault(trial: Trial) -> str:
    """Return what is wrong with what forward writes, or ""."""
    returned = trial.forward()
    y = [array.copy() for array in arrays_of(trial.y)]
    missing = sum(int(np.isnan(array).sum()) for array in y)
    if missing and returned is not None:
        raise ShapeError(f"forward returned a {type(returned).__name__} and left y unwritten; expected {FORWARD} to "
                         "write into y. Use y[:] = ... and return nothing.")
    if missing:
        return f"forward leaves {missing} entries of y unwritten, or NaN: write all of y, with y[:] = ..."
    if not all(np.isfinite(array).all() for array in y):
        return "forward writes infinities into y"
    trial.forward()
    if not all(map(same_bits, y, arrays_of(trial.y))):
        return "forward gives another result every time: pass its noise in as an argument"
    return ""


def gradient_fault(poisoned: np.ndarray, zeros: np.ndarray, ones: np.ndarray) -> str:
    """Return what is wrong with how a gradient is written, from runs into buffers of NaN, 0 and 1, or ""."""
    left, infinite = np.isnan(poisoned), ~np.isfinite(zeros)
    if infinite.any():
        return f"{int(infinite.sum())} of {infinite.size} entries of the gradient are not finite"
    if left.any() and not zeros[left].any() and np.all(ones[left] == 1):
        return f"backward leaves {int(left.sum())} of {left.size} entries unwritten: write all, with [:] ="
    if left.any():
        return "backward adds to what the buffer held: overwrite it, with = in place of +="
    if same_bits(poisoned, zeros) and not same_bits(zeros, ones):
        return ("backward gives another gradient on a second call: it changes something that is not among its outputs; "
                "let it only read")
    if not same_bits(poisoned, zeros):
        return ("the gradient changes when other data run in between: something is remembered that is not in y, "
                "or drawn anew; rerun forward inside backward, or use check_vjp")
    return ""
