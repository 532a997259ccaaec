"""The same network in another precision, to compare with, or to start training from.

Backbones are written once, binary. `with_precision` rebuilds a stage of theirs layer by layer; weights have the same
order and shapes in every precision, so `set_weights` carries them over.
"""

from __future__ import annotations

from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.errors import one_of
from bnn_exit.models.binary_ops import BINARY_PREFIX
from bnn_exit.models.calls import calls
from bnn_exit.settings.model import PRECISIONS


def with_precision(
    model: keras.Model, precision: str, *, rebuilt: dict[keras.layers.Layer, keras.layers.Layer] | None = None
) -> keras.Model:
    """`model` with its binary layers in another precision and new weights; for "binary", `model` itself.

    The float twin has a ReLU where the sign was, because in Bi-Real Net and BinaryDenseNet nothing else stands between
    convolutions, and without it they would be one linear map. It pads with zeros, as float networks do.

    Args:
        model: functional; a stage of a backbone.
        precision: a name in PRECISIONS.
        rebuilt: old layer -> new one, of the stages that were rebuilt before; added to. A layer that several stages
            share is shared by the new ones, too.

    Raises:
        ArgumentError: an unknown precision.
    """
    if one_of("precision", precision, PRECISIONS) == "binary":
        return model

    known = {} if rebuilt is None else rebuilt

    def new(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer not in known:
            settings = layer.get_config()
            real = _real(settings, precision) if "input_quantizer" in settings else settings
            known[layer] = type(layer).from_config(real)
        return known[layer]

    # Keras's own clone_model cannot use a layer that another model has called.
    tensors = {id(source): keras.Input(source.shape[1:]) for source in model.inputs}

    def found(values: Any) -> Any:
        return tf.nest.map_structure(lambda value: tensors.get(id(value), value), values)

    for node in calls(model):
        results = tf.nest.flatten(new(node.layer)(*found(node.call_args), **found(node.call_kwargs)))
        tensors.update(zip(map(id, tf.nest.flatten(node.outputs)), results, strict=True))
    return keras.Model(found(model.input), found(model.output), name=model.name)


def _real(settings: dict[str, Any], precision: str) -> dict[str, Any]:
    """Settings of a Larq layer, its kernels real and for "float" its input as well."""
    # Without the prefix, optimisers treat the kernel as a real one.
    changed = {**settings, "name": settings["name"].removeprefix(BINARY_PREFIX)}
    for name in settings:
        if name.endswith("_quantizer") and name != "input_quantizer":
            changed |= {name: None, name.replace("quantizer", "constraint"): None}
    if precision == "float":
        changed["input_quantizer"] = keras.activations.relu if settings["input_quantizer"] else None
        changed["pad_values"] = 0.0
    return changed
