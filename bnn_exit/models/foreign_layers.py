"""Foreign layers, of networks made elsewhere: which of them Larq Compute Engine (LCE) computes on bits.

The backbones here use one form of binary layer and `binary_ops.check_binary` insists on it. Other networks, as those of
Larq Zoo, use Larq's layers in every form: without quantizers as ordinary layers, padded with zeros, with weights of one
bit on real inputs. All of these can be converted, but layers that stay float must be counted as float.
"""

from __future__ import annotations

import warnings
from typing import Any

from bnn_exit._keras import keras, larq
from bnn_exit.models.calls import inner_calls

_quantizers = larq.quantizers
_INPUT_SIGNS = (_quantizers.SteSign, _quantizers.ApproxSign, _quantizers.SwishSign)
# DoReFa's weights of one bit are scaled signs; its activations are 0 and 1.
_KERNEL_SIGNS = (*_INPUT_SIGNS, _quantizers.MagnitudeAwareSign, _quantizers.DoReFa)


def is_binary(layer: keras.layers.Layer) -> bool:
    """Whether LCE computes the layer on bits."""
    return isinstance(layer, larq.layers.QuantConv2D) and _why_float(layer) is None


def count_binary(model: keras.Model) -> int:
    """Calls of layers in `model` that LCE computes on bits; a warning names quantized layers in float, or slow ones.

    Layers without any quantizer are not named: Larq's are then the ordinary ones of Keras.
    """
    found: dict[str, dict[str, None]] = {}
    nodes = list(inner_calls(model))
    for node in nodes:
        reason = (_why_float(node.layer) or _why_bad(node)) if _has_quantizer(node.layer) else None
        if reason:
            found.setdefault(reason, {})[node.layer.name] = None
    if found:
        warnings.warn("; ".join(f"{_listed(list(names))}: {reason}" for reason, names in found.items()), stacklevel=4)
    return sum(is_binary(node.layer) for node in nodes)


def _has_quantizer(layer: keras.layers.Layer) -> bool:
    kinds = ("input", "kernel", "depthwise", "pointwise")
    return any(getattr(layer, f"{kind}_quantizer", None) is not None for kind in kinds)


def _why_float(layer: keras.layers.Layer) -> str | None:
    if not isinstance(layer, larq.layers.QuantConv2D):
        return f"a {type(layer).__name__} stays float, and is counted so"
    if not _is_sign(layer.input_quantizer, _INPUT_SIGNS):
        return "stays float, and is counted so, because its input is not a sign"
    if not _is_sign(layer.kernel_quantizer, _KERNEL_SIGNS):
        return "stays float, and is counted so, because its weights are not signs"
    if layer.padding == "same" and layer.pad_values not in (0.0, 1.0):
        return f"stays float, and is counted so, because of pad_values {layer.pad_values}: 1.0 is the best"
    if layer.groups > 1 and layer.kernel.shape[2] % 32:
        return "stays float, and is counted so, because its groups have no multiple of 32 channels"
    return None


def _why_bad(node: Any) -> str | None:
    layer = node.layer
    if not _pads_with_zeros(layer):
        return None
    if _is_larger_than_its_input(node):
        return "pads with zeros and is larger than its input, which LCE computes wrongly: run it on another backend"
    return "pads with zeros, which costs time: pad_values=1.0 is faster"


def _pads_with_zeros(layer: keras.layers.Layer) -> bool:
    return layer.padding == "same" and layer.pad_values != 1.0 and max(layer.kernel_size) > 1


def _is_larger_than_its_input(node: Any) -> bool:
    return any(size > axis for size, axis in zip(node.layer.kernel_size, node.input_shapes[1:3], strict=True))


def lce_errs(model: keras.Model) -> bool:
    """Whether LCE's kernels compute a layer of the model wrongly; `count_binary` has warned of it."""
    return any(
        is_binary(node.layer) and _pads_with_zeros(node.layer) and _is_larger_than_its_input(node)
        for node in inner_calls(model)
    )


def _is_sign(quantizer: object, classes: tuple[type, ...]) -> bool:
    """Whether it is one of Larq's `classes`, or a function for kernels that is marked as one bit, as Larq Zoo has."""
    one_bit = getattr(quantizer, "precision", None) == 1
    is_larq = isinstance(quantizer, _quantizers.Quantizer)
    return one_bit and (isinstance(quantizer, classes) if is_larq else classes is _KERNEL_SIGNS)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
