"""One flat parameter vector with named views: shapes, places and names of what is learned."""
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .arrays import aligned, aligned_copy, require_buffer, require_floats
from .errors import ConfigurationError, ShapeError
from .validation import instance_of


class Affine(NamedTuple):
    """The arrays of one dense layer: W (n_in, n_out) and b (n_out,)."""

    W: np.ndarray
    b: np.ndarray


class Stack(tuple):
    """The `Affine`s of a network in order; `.head` is the last."""

    @property
    def head(self) -> Affine:
        """The `Affine` of the last layer."""
        return self[-1]


class Segment(NamedTuple):
    """A named piece of the flat vector."""

    name: str
    shape: tuple
    start: int
    stop: int


class Layout:
    """Names, shapes and places of the arrays inside one flat vector.

    They tile the vector without gaps, but the matrices lie first.  Most have a multiple of 16 numbers, so the next one
    begins at a cache line, which it would not after a vector of 40 biases.  (With W and b in turns a step of
    784-400-20 takes about 2 % longer.)

    Parameters
    ----------
    shapes : dict of str to tuple
        The segments, in the order in which they are named, saved and shown.

    Examples
    --------
    >>> layout = Layout({"encoder.head.b": (4,), "encoder.head.W": (3, 4)})
    >>> layout.size, layout.names, [segment.start for segment in layout.segments]
    (16, ('encoder.head.b', 'encoder.head.W'), [12, 0])
    """

    def __init__(self, shapes: dict):
        self.size, places = 0, {}
        for name in sorted(shapes, key=lambda name: len(shapes[name]) < 2):         # matrices, then vectors
            start, self.size = self.size, self.size + prod(shapes[name])
            places[name] = Segment(name, tuple(shapes[name]), start, self.size)
        self.segments = tuple(places[name] for name in shapes)

    @property
    def names(self) -> tuple:
        """The segments' names in order."""
        return tuple(segment.name for segment in self.segments)

    def __eq__(self, other):
        return isinstance(other, Layout) and self.segments == other.segments

    def views(self, flat: np.ndarray) -> dict:
        """Return {name: view of `flat` in the segment's shape}."""
        return {s.name: flat[s.start:s.stop].reshape(s.shape) for s in self.segments}

    def pack(self, flat: np.ndarray) -> np.ndarray:
        """Return a copy of `flat` with one segment after the other, in the order of their names: what files hold."""
        return np.concatenate([flat[:0], *(view.reshape(-1) for view in self.views(flat).values())])

    def unpack(self, numbers: np.ndarray, flat: np.ndarray) -> None:
        """Write numbers (size,), as `pack` returns them, to `flat`; raises ShapeError for another number of them.

        Examples
        --------
        >>> layout, flat = Layout({"encoder.head.b": (1,), "encoder.head.W": (1, 2)}), np.empty(3)
        >>> layout.unpack(np.array([9.0, 1.0, 2.0]), flat)
        >>> flat.tolist(), layout.pack(flat).tolist()
        ([1.0, 2.0, 9.0], [9.0, 1.0, 2.0])
        """
        if numbers.shape != (self.size,):
            raise ShapeError(f"the numbers have shape {numbers.shape}; this layout needs ({self.size},). "
                             "Take those that pack returned.")
        start = 0
        for view in self.views(flat).values():
            view[...] = numbers[start:start + view.size].reshape(view.shape)
            start += view.size


def network_shapes(prefix: str, sizes: Sequence[int]) -> dict:
    """Return the segments' shapes of a network with `sizes` units a layer, input first; the last layer is the head.

    Examples
    --------
    >>> network_shapes("encoder", (784, 400, 40))["encoder.0.W"]
    (784, 400)
    """
    shapes: dict[str, tuple] = {}
    for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
        layer = "head" if i == len(sizes) - 2 else i
        shapes[f"{prefix}.{layer}.W"] = (n_in, n_out)
        shapes[f"{prefix}.{layer}.b"] = (n_out,)
    return shapes


class _Views(dict):
    """Views by name; what is assigned to a name is copied into its view."""

    def __setitem__(self, name, numbers):
        self[name][...] = numbers

    def update(self, *others, **more):
        for name, numbers in dict(*others, **more).items():
            self[name] = numbers

    def __ior__(self, other):
        self.update(other)
        return self

    def __reduce__(self):
        return dict, (dict(self),)


class Parameters:
    """A flat vector and its named views; gradients and optimizer moments have the same layout.

    A copy of any kind (`copy`, `deepcopy`, a pickle) has a vector of its own, into which its views look.  Raises
    ConfigurationError or ShapeError if `layout` is no Layout or `flat` no array of its size.

    Parameters
    ----------
    layout : Layout
        The names, shapes and places.
    flat : ndarray (layout.size,)
        The vector; the views write through to it.  What is assigned to `flat` is copied into it.

    Attributes
    ----------
    encoder, decoder : Stack of Affine
        The views by network: `parameters.encoder[0].W`, `parameters.decoder.head.b`.
    likelihood : dict of str to ndarray
        The likelihood's own views, most often none: `parameters.likelihood["logvar"]`.

    Examples
    --------
    >>> p = Parameters.zeros(Layout(network_shapes("encoder", (3, 2))), "float64")
    >>> p.encoder.head.W[:] = 1
    >>> p["encoder.head.W"] is p.encoder.head.W, float(p.flat.sum())
    (True, 6.0)
    """

    def __init__(self, layout: Layout, flat: np.ndarray):
        instance_of("layout", layout, Layout, "Take model.parameters.layout.")
        instance_of("flat", flat, np.ndarray, "Use Parameters.zeros(layout, dtype) to make one.")
        if flat.shape != (layout.size,):
            raise ShapeError(f"flat has shape {flat.shape}; this layout needs ({layout.size},). "
                             "Use Parameters.zeros(layout, dtype) to make a fitting one.")
        require_floats("flat", flat, 1)
        require_buffer("flat", flat, flat.shape, flat.dtype)               # views of a strided one would be copies
        views = layout.views(flat)
        own = {name.removeprefix("likelihood."): view for name, view in views.items() if name.startswith("likelihood.")}
        vars(self).update(layout=layout, flat=flat, _views=views, likelihood=_Views(own))
        vars(self).update(encoder=self._stack("encoder."), decoder=self._stack("decoder."))

    def __setattr__(self, name, numbers):
        """Copy numbers into `flat`; refuse to replace anything else, whose views would leave the vector."""
        if name == "flat":
            if np.shape(numbers) not in ((), self.flat.shape):
                raise ShapeError(f"flat has shape {self.flat.shape}, what is assigned to it {np.shape(numbers)}; "
                                 "expected as many numbers. Take model.parameters.flat.copy().")
            self.flat[...] = numbers
        elif numbers is not vars(self).get(name):                                # as it is in p.likelihood |= {...}
            raise ConfigurationError(f"{name} of Parameters cannot be replaced: the model would not see it. Write into "
                                     'its arrays, as in parameters.encoder.head.b[:] = 0.')

    @classmethod
    def zeros(cls, layout: Layout, dtype: Any) -> "Parameters":
        """Return all zeros in the given layout and dtype."""
        flat = aligned((layout.size,), dtype)
        flat[:] = 0
        return cls(layout, flat)

    def _stack(self, prefix):
        return Stack(Affine(self._views[name], self._views[name[:-1] + "b"])
                     for name in self.layout.names if name.startswith(prefix) and name.endswith(".W"))

    def segments(self) -> Iterator:
        """Yield (name, view) in order; writing to a view changes `flat`."""
        yield from self._views.items()

    def __getitem__(self, name):
        return self._views[name]

    def copy(self) -> "Parameters":
        """Return an independent copy."""
        return _own(self.layout, self.flat)

    def __reduce__(self):
        return _own, (self.layout, self.flat)

    def __repr__(self):
        lines = [f"  {name:20s} {str(view.shape):14s}" for name, view in self.segments()]
        return "\n".join([f"Parameters: {self.layout.size:,} numbers, {self.flat.dtype}", *lines])


def _own(layout, flat):
    """Return Parameters over a copy of `flat`, because a pickle's may be read-only and not aligned."""
    return Parameters(layout, aligned_copy(flat))
