"""What a network costs: multiply-accumulates and weight bytes, counted layer by layer."""

from __future__ import annotations

import math

from bnn_exit._keras import keras, larq
from bnn_exit.cost import Cost


def cost(model: keras.Model) -> Cost:
    """Binary MACs, float MACs and bytes of one stage or head, for one clip.

    Counted are convolutions and dense layers; additions, activations, pooling and BatchNorm are not (the convention of
    the BNN literature). Bytes are those of the weights as converted: 1 bit for a binary weight, packed into 32-bit
    words along the input channels, 4 bytes for any other.
    """
    total = Cost(0, 0)
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.Model):
            total = total + _layer_cost(layer)
    return total


def _layer_cost(layer: keras.layers.Layer) -> Cost:
    weight_bytes = 4 * sum(math.prod(weight.shape) for weight in layer.weights)
    if isinstance(layer, larq.layers.QuantConv2D) and layer.input_quantizer and layer.kernel_quantizer:
        height, width, channels, filters = layer.kernel.shape
        packed_bytes = 4 * height * width * math.ceil(channels / 32) * filters
        return Cost(_positions(layer) * math.prod(layer.kernel.shape), 0, packed_bytes)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return Cost(0, _positions(layer) * math.prod(layer.depthwise_kernel.shape), weight_bytes)
    if isinstance(layer, keras.layers.Conv2D):
        return Cost(0, _positions(layer) * math.prod(layer.kernel.shape), weight_bytes)
    if isinstance(layer, keras.layers.Dense):
        return Cost(0, math.prod(layer.kernel.shape), weight_bytes)
    return Cost(0, 0, weight_bytes)


def _positions(layer: keras.layers.Layer) -> int:
    """Output pixels of a convolution."""
    return math.prod(layer.output_shape[1:-1])
