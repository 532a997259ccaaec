"""The same network in another precision, to compare with, or to start training from.

Backbones are written once, binary. `with_precision` rebuilds a stage of theirs layer by layer; weights have the same
order and shapes in every precision, so `set_weights` carries them over.
"""

from __future__ import annotations

from typing import Any

from bnn_exit._keras import keras
from bnn_exit.errors import one_of
from bnn_exit.models.binary_ops import BINARY_PREFIX
from bnn_exit.settings.model import PRECISIONS


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """`model` with its binary layers in another precision and new weights; for "binary", `model` itself.

    The float twin has a ReLU where the sign was, because in Bi-Real Net and BinaryDenseNet nothing else stands between
    convolutions, and without it they would be one linear map. It pads with zeros, as float networks do.

    Args:
        model: functional; a stage of a backbone.
        precision: a name in PRECISIONS.

    Raises:
        ArgumentError: an unknown precision.
    """
    if one_of("precision", precision, PRECISIONS) == "binary":
        return model

    def rebuilt(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        return type(layer).from_config(_real(settings, precision) if "input_quantizer" in settings else settings)

    return keras.models.clone_model(model, clone_function=rebuilt)


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
