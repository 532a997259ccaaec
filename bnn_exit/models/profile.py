"""The cost of a network: multiply-accumulates and weight bytes, counted layer by layer."""

from __future__ import annotations

import math
from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.calibration import operator_work
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.models.calls import inner_calls
from bnn_exit.models.foreign_layers import is_binary
from bnn_exit.models.half_precision import is_stored_in_half

layers = keras.layers

_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
# Packages of Keras whose layers multiply nothing by weights, or only value by value.
_FREE = ("activation", "core.activation", "merging", "normalization", "pooling", "regularization", "reshaping")
_MULTIPLYING = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"}


def cost(model: keras.Model) -> Cost:
    """Binary MACs, float MACs and bytes of one stage or head, for one clip.

    Counted are convolutions and dense layers; additions, activations, pooling and BatchNorm are not (the convention of
    the BNN literature). Bytes are those of the weights as converted: 1 bit for a binary weight, packed into 32-bit
    words along the input channels, 2 bytes for one of a dense kernel that is stored in half precision,
    4 bytes for any other.

    Raises:
        ArgumentError: a layer multiplies by weights in a way that is not counted here, as recurrent layers do.
    """
    binary_macs = float_macs = 0
    nodes = list(inner_calls(model))
    for node in nodes:
        if is_binary(node.layer):
            binary_macs += _macs(node)
        else:
            float_macs += _macs(node)
    size = sum(_bytes(layer) for layer in dict.fromkeys(node.layer for node in nodes))
    return Cost(binary_macs, float_macs, size)


def work(model: keras.Model) -> dict[str, int]:
    """What one stage or head computes for one clip, by kind of operator: `calibration.operator_work.KINDS`.

    The same that `operator_work.of_file` counts in the converted file.
    """
    found = operator_work.none()
    for node in inner_calls(model):
        macs = _macs(node)
        if not macs:
            continue
        found["layers"] += 1
        found[_kind(node.layer)] += macs
        if is_binary(node.layer):
            found["values"] += math.prod(node.output_shapes[1:])
    return found


def _kind(layer: keras.layers.Layer) -> str:
    if is_binary(layer):
        return "binary_macs"
    if isinstance(layer, layers.Dense):
        return "dense_macs"
    return "depthwise_macs" if isinstance(layer, _DEPTHWISE) else "conv_macs"


def _macs(node: Any) -> int:
    """Of one call of a layer. A grouped kernel holds only the channels of a group, so its size is what counts too."""
    layer = node.layer
    if isinstance(layer, layers.Dense):
        return _positions(node.output_shapes) * math.prod(layer.kernel.shape)
    if isinstance(layer, _DEPTHWISE):
        return _positions(node.output_shapes) * math.prod(layer.depthwise_kernel.shape)
    if isinstance(layer, _SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return _positions(node.output_shapes) * kernels
    if isinstance(layer, _TRANSPOSED):
        return _positions(node.input_shapes) * math.prod(layer.kernel.shape)
    if isinstance(layer, _CONVOLUTIONS):
        return _positions(node.output_shapes) * math.prod(layer.kernel.shape)
    if not _is_free(layer) and _operators(node) & _MULTIPLYING:
        raise ArgumentError(
            f"layer {layer.name!r} is a {type(layer).__name__}, whose multiply-accumulates are not counted here: "
            "counted are dense layers and ordinary, depthwise, separable and transposed convolutions"
        )
    return 0


def _bytes(layer: keras.layers.Layer) -> int:
    words = sum(math.prod(weight.shape) for weight in layer.weights)
    if is_binary(layer):
        height, width, channels, filters = layer.kernel.shape
        words -= height * width * (channels - math.ceil(channels / 32)) * filters
    if isinstance(layer, layers.Dense) and is_stored_in_half(layer.kernel.numpy()):
        return 4 * words - 2 * math.prod(layer.kernel.shape)
    return 4 * words


def _positions(shape: tuple[int, ...]) -> int:
    """Places of a map `[batch, ..., channels]`."""
    return math.prod(shape[1:-1])


def _is_free(layer: keras.layers.Layer) -> bool:
    package = type(layer).__module__.partition(".layers.")[2]
    return package.startswith(_FREE)


def _operators(node: Any) -> set[str]:
    """The TensorFlow operators of one call, those of inner functions and loops included."""
    structure = (node.call_args, node.call_kwargs)
    sources = node.keras_inputs

    @tf.function(autograph=False)
    def run(tensors: list[tf.Tensor]) -> Any:
        known = {id(source): tensor for source, tensor in zip(sources, tensors, strict=True)}
        arguments, options = tf.nest.map_structure(lambda value: known.get(id(value), value), structure)
        return node.layer(*arguments, **options)

    specs = [tf.TensorSpec([1, *source.shape[1:]], source.dtype) for source in sources]
    graph = run.get_concrete_function(specs).graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    return {operator.op for body in bodies for operator in body}
