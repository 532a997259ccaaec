"""The calls of a Keras network's layers, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bnn_exit._keras import keras


def calls(model: keras.Model) -> list[Any]:
    """Keras's nodes of a functional model, sources before what reads them; a layer that is used twice has two."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth] if not node.is_input]


def inner_calls(model: keras.Model) -> Iterator[Any]:
    """The same with a nested model's own calls in place of the call of that model."""
    for node in calls(model):
        if isinstance(node.layer, keras.Model):
            yield from inner_calls(node.layer)
        else:
            yield node
