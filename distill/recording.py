"""Record the outputs of layers inside a network, found by their names."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import BINARY_PREFIX


def layer_called(model: keras.Model, name: str, *, what: str, built: bool = False) -> keras.layers.Layer:
    """The layer of `model`, or of a model inside it, with this name.

    Args:
        model: the network.
        name: of the layer.
        what: names the argument in the error.
        built: the network was built here and not read from a file. Keras then numbers the layers that have no name of
            their own otherwise in each build, so they cannot be named, and `binary_` before a name may be left out
            or stand where the layer is not binary: one name holds in every precision.

    Raises:
        ArgumentError: no such layer.
    """
    layers = {
        layer.name: layer
        for layer in model._flatten_layers(include_self=False)
        if not isinstance(layer, keras.layers.InputLayer) and not (built and _is_numbered(layer))
    }
    wanted = name
    if built:
        layers = {own.removeprefix(BINARY_PREFIX): layer for own, layer in layers.items()}
        wanted = name.removeprefix(BINARY_PREFIX)
    if wanted not in layers:
        # A network has hundreds of layers: only those with names like this one help.
        nearest = difflib.get_close_matches(wanted, layers, n=3, cutoff=0.3) or list(layers)[-3:]
        hint = f" such as {', '.join(nearest)}; did you mean {nearest[0]!r}?" if nearest else ""
        raise ArgumentError(f"{what} is {name!r}, but must be one of {len(layers)} layers{hint}")
    return layers[wanted]


def _is_numbered(layer: keras.layers.Layer) -> bool:
    """Whether Keras named the layer after its class, with a number from the second one on, or after a function."""
    own = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return own == type(layer).__name__.lower() or layer.name.startswith("tf.")


@contextlib.contextmanager
def recording(layers: Mapping[str, keras.layers.Layer]) -> Iterator[dict[str, tf.Tensor]]:
    """While it is open, the outputs of the layers are put into the yielded dict, under their keys.

    Of a stage that hands on more than its features, these are the features.

    Keras can take tensors out of a functional model, but not out of models inside it, and stages are such models.
    """
    found: dict[str, tf.Tensor] = {}

    def listened(name: str, call: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        def listened_call(*arguments: Any, **options: Any) -> Any:
            value = call(*arguments, **options)
            if isinstance(value, (list, tuple)):
                found[name] = tf.identity(value[0])
                return [tf.identity(value[0]), *value[1:]]
            # Two readers for each tensor, the recorder and the network: gradients are then added two by two, in an
            # order that never changes (see `MultiExitModel`).
            found[name] = tf.identity(value)
            return tf.identity(value)

        return listened_call

    # Layers that Keras makes of functions have a `call` of their own, others that of their class.
    calls = {id(layer): (layer, vars(layer).get("call")) for layer in layers.values()}
    try:
        for name, layer in layers.items():
            layer.call = listened(name, layer.call)
        yield found
    finally:
        for layer, own in calls.values():
            del layer.call
            if own is not None:
                layer.call = own
