"""LCE's binary operators. A bit-packed value is -1 where the bit is set and +1 where it is not.

32 channels share an int32, the first in the lowest bit; the unused bits of the last word are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn_exit.model_file.header import Tensor
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.reference.common import (
    RANGES,
    Array,
    Kernel,
    Options,
    operands,
    patches,
    pooled,
    require_image,
    require_size,
)

WORD_BITS = 32


def pack(negative: Array) -> Array:
    """Truth values [..., channels] as int32 words [..., ceil(channels / 32)]."""
    words = -(-negative.shape[-1] // WORD_BITS)
    padded = np.zeros((*negative.shape[:-1], words * WORD_BITS), np.bool_)
    padded[..., : negative.shape[-1]] = negative
    return np.packbits(padded, axis=-1, bitorder="little").view("<i4").astype(np.int32)


def unpack(words: Array, channels: int) -> Array:
    """Int32 words [..., words] as float32 values +1 and -1 of shape [..., channels]."""
    if -(-channels // WORD_BITS) != words.shape[-1]:
        raise ValueError(f"{words.shape[-1]} words do not hold {channels} channels")
    require_size((*words.shape[:-1], channels))
    octets = np.ascontiguousarray(words).astype("<i4").view(np.uint8)
    return 1 - 2 * np.unpackbits(octets, axis=-1, count=channels, bitorder="little").astype(np.float32)


def _quantize(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = operands(inputs, 1, (inputs[0].dtype.name,))
    if values.dtype.name not in ("bool", "float32") or values.ndim == 0 or values.size == 0:
        raise ValueError(f"its input is {values.dtype} {list(values.shape)}")
    if values.dtype == np.bool_:
        return (pack(~values),)
    # Zero, minus zero and NaN count as +1, and so do subnormal numbers, which TFLite has the processor treat as zero.
    return (pack(values <= -np.finfo(np.float32).smallest_normal),)


def _dequantize(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (words,) = operands(inputs, 1, ("int32",))
    if outputs[0].dtype != "float32":
        raise TypeError("its result must be float32")
    return (unpack(words, outputs[0].shape[-1]).astype(outputs[0].dtype),)


def _max_pool(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """The greatest of +1 and -1: a bit stays set only if it is set everywhere."""
    (words,) = operands(inputs, 1, ("int32",))
    return (pooled(words, options, np.bitwise_and.reduce),)


def _convolution(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    words, filters, multiplier, bias, thresholds = inputs
    channels = options["channels_in"]
    if {words.dtype.name, filters.dtype.name} != {"int32"}:
        raise TypeError(f"bits of {words.dtype} and {filters.dtype} are not supported")
    require_image(words)
    require_image(filters)
    groups, rest = divmod(words.shape[-1], filters.shape[-1])
    uneven = rest or channels % groups or len(filters) % groups
    if uneven or (groups > 1 and channels // groups % WORD_BITS):
        raise ValueError(f"{channels} channels of input do not fit filters of {filters.shape[-1]} words")
    signs = unpack(words, channels)
    weights = unpack(filters, channels // groups)
    packed = outputs[0].dtype == "int32"
    for value in (thresholds,) if packed else (multiplier, bias):
        if value.size != len(filters) or value.dtype != ("int32" if packed else "float32"):
            raise ValueError(f"{value.size} {value.dtype} do not fit {len(filters)} filters")
    # What a dot product is when every product is +1.
    largest = weights[0].size
    same_zero = options["padding"] == "SAME" and options["pad_values"] == 0
    products = _products(signs, weights, options, groups=groups, pad_value=1)
    # LCE's accumulator counts the products that are -1, so twice the count is `largest - products`.
    twice_count = largest - products
    if packed:
        if same_zero:
            raise ValueError("bit-packed output with padding by zeros is not defined")
        return (pack(twice_count // 2 > thresholds.reshape(-1)),)
    if outputs[0].dtype != "float32":
        raise ValueError(f"output of type {outputs[0].dtype} is not supported")
    # activation(products) * multiplier + bias, in LCE's order of operations, which decides the last bit of the result.
    low, high = RANGES[options["fused_activation_function"]]
    clamped = np.clip(twice_count, largest - min(high, largest), largest - max(low, -largest))
    multiplier = multiplier.reshape(-1)
    scale, shift = multiplier.astype(np.float64), bias.reshape(-1).astype(np.float64)
    result = clamped.astype(np.float32) * (-scale).astype(np.float32) + (shift + largest * scale).astype(np.float32)
    if same_zero:
        if options["fused_activation_function"] != "NONE":
            raise ValueError("a fused activation with padding by zeros is not defined")
        # Bits know no zero, so LCE pads with +1 and takes away afterwards what the padding added.
        added = products - _products(signs, weights, options, groups=groups, pad_value=0)
        result = result + added.astype(np.float32) * -multiplier
    return (result.astype(np.float32),)


def _products(signs: Array, weights: Array, options: Options, *, groups: int, pad_value: int) -> Array:
    """The convolution of +1 and -1 values as whole numbers, int64 [batch, height, width, filters]."""
    # Sums of +1 and -1 are exact in float32 up to 2^24, in whatever order a matrix product adds them.
    if weights[0].size >= 2**24:
        raise ValueError("a filter has more than 2^24 values")
    total: Any = 0
    for row, column, patch in patches(
        signs, weights, options, channels=len(weights), inputs=weights.shape[3], pad_value=pad_value
    ):
        parts = np.split(patch, groups, axis=-1)
        kernels = np.split(weights[:, row, column], groups, axis=0)
        pairs = zip_strict(parts, kernels)
        total = total + np.concatenate([part @ kernel.T for part, kernel in pairs], axis=-1)
    return np.asarray(total).astype(np.int64)


OPERATORS: dict[str, Kernel] = {
    "LceQuantize": _quantize,
    "LceDequantize": _dequantize,
    "LceBMaxPool2d": _max_pool,
    "LceBconv2d": _convolution,
}
