"""The weights of a model by the names and in the shapes of PyTorch's state_dict, both ways."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import as_array
from .errors import ConfigurationError, ShapeError
from .foreign_weights import foreign_views
from .validation import instance_of, integer

PARTS = {"W": "weight", "b": "bias"}     # of a layer: ours and PyTorch's
OWN = "likelihood."                     # the likelihood's own parameters keep their names


class StateDict:
    """`from_state_dict` and `to_state_dict` of a model."""

    head_parts: tuple[str, ...] = ("head",)            # names of the parts of the encoder's head, n_latent units each

    @classmethod
    def from_state_dict(cls, mapping: Mapping[str, Any], order: Sequence[str] | None = None,
                        **settings: Any) -> "StateDict":
        """Return a model with the weights of a PyTorch model; the layers' sizes are read from their shapes.

        Raises ShapeError if an array is missing, is left over, or does not fit; it is named.

        Parameters
        ----------
        mapping : dict
            {name: array}, as `state_dict()` returns it: for each linear layer `<layer>.weight` (n_out, n_in) and
            `<layer>.bias` (n_out,).
        order : sequence of str, optional
            Names of the layers from x to the decoder's output, as in ("fc1", "fc21", "fc22", "fc3", "fc4"); those of
            the mapping, in its order, if absent.  The decoder has the encoder's hidden layers in reverse.  An odd
            number of layers has a head of two, mu before logvar (log sigma^2); an even number has one head of both.
        settings
            The constructor's other arguments, such as activation.  dtype is that of the first weight if absent.

        Examples
        --------
        >>> from scratchvae import VAE
        >>> vae = VAE(n_visible=6, n_latent=2, hidden=(5,), seed=3)
        >>> theirs = vae.to_state_dict(order=("fc1", "fc21", "fc22", "fc3", "fc4"))
        >>> {name: array.shape for name, array in theirs.items() if name.startswith("fc2")}
        {'fc21.weight': (2, 5), 'fc21.bias': (2,), 'fc22.weight': (2, 5), 'fc22.bias': (2,)}
        >>> bool((VAE.from_state_dict(theirs).parameters.flat == vae.parameters.flat).all())
        True
        """
        instance_of("mapping", mapping, Mapping, "Pass what model.state_dict() returns.")
        found = [key for key in mapping if not str(key).startswith(OWN)]
        layers = _names(dict.fromkeys(str(key).rpartition(".")[0] for key in found if "." in str(key))
                        if order is None else order)
        if not layers:
            raise ShapeError(f"mapping has the arrays {sorted(map(str, mapping))} and order no layers; expected a "
                             "weight and a bias of each linear layer. Pass what model.state_dict() returns.")
        wanted = {f"{layer}.{part}" for layer in layers for part in PARTS.values()}
        faults = [f"{fault} {', '.join(sorted(map(str, keys)))}" for fault, keys in (
            ("has no", wanted.difference(found)), ("also has", set(found) - wanted)) if keys]
        if faults:
            raise ShapeError(f"mapping {' and '.join(faults)}; expected a weight and a bias of each of "
                             f"{', '.join(layers)}. Name all linear layers, and nothing else, with order.")
        arrays = {key: as_array(value, str(key)) for key, value in mapping.items()}
        plan, weights = cls._plan(layers), {layer: arrays[f"{layer}.weight"] for layer in layers}
        for layer, weight in weights.items():
            if weight.ndim != 2:
                raise ShapeError(f"{layer}.weight has shape {weight.shape}; expected (n_out, n_in) of a linear layer. "
                                 "Convolutions have no place here.")
        shapes = {segment: weights[names[0]].shape for segment, names in plan.items()}
        hidden = [shapes[f"encoder.{k}"][0] for k in range(len(plan) // 2 - 1)]
        latents, first = shapes["decoder.0" if hidden else "decoder.head"][1], weights[layers[0]]
        build: Any = cls
        n_conditions = integer("n_conditions", settings.get("n_conditions", 0), 0)
        more = latents - sum(len(weights[name]) for name in plan["encoder.head"]) // len(cls.head_parts)
        if more > 0 and more != n_conditions:
            raise ShapeError(f"mapping has a decoder with {more} inputs more than latents; expected n_conditions="
                             f"{n_conditions} more. Pass n_conditions={more} if they are labels.")
        model = build(first.shape[1] - n_conditions, latents - n_conditions, hidden=hidden,
                      **{"dtype": "float64" if first.dtype == np.float64 else "float32", **settings})
        for segment, names in plan.items():
            for kind, part in PARTS.items():
                keys = [f"{layer}.{part}" for layer in names]
                for theirs, ours in foreign_views(" and ".join(keys), model.parameters[f"{segment}.{kind}"],
                                                  [arrays[key] for key in keys], transposed=True):
                    ours[...] = theirs
        own = {OWN + name: view for name, view in model.parameters.likelihood.items()}
        left_over = [str(key) for key in mapping if key not in wanted and key not in own]
        if left_over:
            raise ShapeError(f"mapping also has {', '.join(left_over)}; {model.likelihood!r} learns no "
                             "such array. Pass the likelihood that it comes from, for example 'gaussian_scalar'.")
        for name, view in own.items():
            if name not in arrays or arrays[name].shape != view.shape:
                raise ShapeError(f"mapping has no {name} of shape {view.shape}, which the likelihood learns. Add it.")
            view[...] = arrays[name]
        return model

    def to_state_dict(self, order: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Return the weights as PyTorch's linear layers hold them: {name: array}, copies in the model's dtype.

        `order` names the layers as in `from_state_dict`; without it they are called encoder.0, encoder.mu,
        encoder.logvar, decoder.0, decoder.head.  `load_state_dict` of a PyTorch model takes
        {name: torch.from_numpy(array)}.
        """
        depth = range(len(self.hidden))
        names = _names(order if order is not None else [
            *(f"encoder.{k}" for k in depth), *(f"encoder.{part}" for part in self.head_parts),
            *(f"decoder.{k}" for k in depth), "decoder.head"])
        plan = self._plan(names)
        if len(plan) != 2 * len(self.hidden) + 2:
            raise ConfigurationError(f"order is {order!r}; expected the names of {2 * len(self.hidden) + 2} layers, or "
                                     "of one more for a head in two parts. Name each layer once.")
        made = {}
        for segment, layers in plan.items():
            W, b = (np.split(self.parameters[f"{segment}.{kind}"], len(layers), axis=-1) for kind in PARTS)
            for layer, layer_W, layer_b in zip(layers, W, b):
                made |= {f"{layer}.weight": layer_W.T.copy(), f"{layer}.bias": layer_b.copy()}
        return made | {OWN + name: view.copy() for name, view in self.parameters.likelihood.items()}

    @classmethod
    def _plan(cls, layers):
        """Return {segment without .W and .b: the names of its layers}."""
        parts = 1 + len(layers) % 2
        if len(layers) < 2 or parts > len(cls.head_parts):
            raise ConfigurationError(f"order is {layers!r}; expected two layers or more, and an even number unless the "
                                     "head has two parts. Name the layers from x to the output.")
        depth = len(layers) // 2 - 1
        encoder, head, decoder = layers[:depth], layers[depth:depth + parts], layers[depth + parts:]
        return {**{f"encoder.{k}": [layer] for k, layer in enumerate(encoder)}, "encoder.head": head,
                **{f"decoder.{k}": [layer] for k, layer in enumerate(decoder[:-1])}, "decoder.head": decoder[-1:]}


def _names(order):
    """Return names of layers as a list; raises ConfigurationError unless they are different texts."""
    try:
        layers = [None] if isinstance(order, str) else list(order)
    except TypeError:
        layers = [None]
    if len(set(map(repr, layers))) < len(layers) or not all(isinstance(layer, str) for layer in layers):
        raise ConfigurationError(f"order is {order!r:.200}; expected the names of the layers, each once. Pass for "
                                 "example ('fc1', 'fc21', 'fc22', 'fc3', 'fc4').")
    return layers
