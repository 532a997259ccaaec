"""What layers inside a network give, found by their names."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.errors import ArgumentError


def layer_called(model: keras.Model, name: str, *, what: str) -> keras.layers.Layer:
    """The layer of `model`, or of a model inside it, with this name; `what` names the argument in the error."""
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    if name not in layers:
        # A network has hundreds of layers: only those with names like this one help.
        nearest = difflib.get_close_matches(name, layers, n=3, cutoff=0.3) or list(layers)[-3:]
        raise ArgumentError(
            f"{what} is {name!r}, but must be one of {len(layers)} layers such as {', '.join(nearest)}; did you mean "
            f"{nearest[0]!r}?"
        )
    return layers[name]


@contextlib.contextmanager
def recording(layers: Mapping[str, keras.layers.Layer]) -> Iterator[dict[str, tf.Tensor]]:
    """While it is open, what each layer gives when it is called is put into the yielded dict, under its key.

    Keras can take tensors out of a functional model, but not out of models inside it, and stages are such models.
    """
    found: dict[str, tf.Tensor] = {}

    def listened(name: str, call: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        def listened_call(*arguments: Any, **options: Any) -> tf.Tensor:
            value = call(*arguments, **options)
            # Two readers for each tensor, the listener and the network: gradients are then added two by two, in an
            # order that never changes (see `MultiExitModel`).
            found[name] = tf.identity(value)
            return tf.identity(value)

        return listened_call

    try:
        for name, layer in layers.items():
            layer.call = listened(name, layer.call)
        yield found
    finally:
        for layer in layers.values():
            del layer.call
