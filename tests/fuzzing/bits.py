"""Operators on bits, in random graphs."""

from __future__ import annotations

import numpy as np

from bnn_exit.runtime.reference.binary import pack
from fuzzing.layers import kernel, window
from fuzzing.maker import Maker, Unfit, Value
from fuzzing.values import ACTIVATIONS


def quantize_value(maker: Maker, value: Value) -> Value:
    if not value.array.ndim or not value.array.size:
        raise Unfit
    (bits,) = maker.add("LceQuantize", [value], ["int32"])
    bits.channels = value.array.shape[-1]
    return bits


def quantize(maker: Maker) -> None:
    quantize_value(maker, maker.image() if maker.chance(0.8) else maker.pick_type("float32", "bool", rank=1))


def bits(maker: Maker) -> Value:
    """Bits of an image: found, made of floats, or given as words."""
    kind = maker.below(8)
    found = [value for value in maker.values if value.channels and value.array.ndim == 4]
    if kind == 0:
        channels = maker.one_of([1, 31, 32, 33, 64, 65, 96, 128, 130])
        size = [maker.one_of([1, 1, 2]), maker.between(1, 6), maker.between(1, 6), -(-channels // 32)]
        words = maker.random.integers(-(2**31), 2**31, size).astype(np.int32)
        if maker.depth or maker.chance(0.4):
            value = maker.constant(words, channels=channels)
            maker.values.append(value)
            return value
        return maker.input(words, channels=channels)
    if kind < 5 and found:
        return maker.one_of(found[-4:])
    return quantize_value(maker, maker.image())


def binary(maker: Maker) -> Value:
    """A binary convolution with floats as its result."""
    return binary_convolution(maker, packed=False)


def binary_packed(maker: Maker) -> None:
    binary_convolution(maker, packed=True)


def binary_convolution(maker: Maker, *, packed: bool) -> Value:
    value = bits(maker)
    words = value.array.shape[3]
    channels = value.channels
    if maker.chance(0.15):  # a reader may look at fewer channels than there are, or at the unused ones
        channels = maker.between(32 * words - 31, 32 * words)
    groups = maker.one_of([count for count in (1, 1, 2, 3, 4) if channels % (32 * count) == 0 or count == 1])
    filters = groups * maker.one_of([1, 2, 8, 16, 31, 32, 33, 40] if groups == 1 else [1, 2, 8, 16])
    taps = kernel(maker)
    weights = maker.random.random((filters, *taps, channels // groups)) < 0.5
    constants = [maker.constant(pack(weights))]
    options = window(maker, value.array.shape[1:3], taps)
    pad_values = 1 if packed else maker.below(2)
    zeros = options["padding"] == "SAME" and not pad_values
    if packed:
        largest = weights[0].size
        thresholds = maker.random.integers(-1, largest + 2, filters)
        thresholds = np.where(
            maker.random.random(filters) < 0.1, maker.one_of([-1, largest, 2**31 - 1, -(2**31)]), thresholds
        )
        constants += [None, None, maker.constant(thresholds, "int32")]
    else:
        constants += [
            maker.constant(maker.numbers([filters], "float32")),
            maker.constant(maker.numbers([filters], "float32")),
            None,
        ]
    (found,) = maker.add(
        *("LceBconv2d", [value, *constants], [((), "int32" if packed else "float32")]),
        channels_in=channels,
        pad_values=pad_values,
        fused_activation_function="NONE" if zeros else maker.one_of(ACTIVATIONS),
        **options,
    )
    if packed:
        found.channels = filters
    return found


def binary_pool(maker: Maker) -> None:
    value, taps = bits(maker), kernel(maker)
    options = window(maker, value.array.shape[1:3], taps, dilates=False)
    (found,) = maker.add("LceBMaxPool2d", [value], ["int32"], filter_height=taps[0], filter_width=taps[1], **options)
    found.channels = value.channels


def dequantize(maker: Maker) -> None:
    value = bits(maker) if maker.chance(0.8) else maker.pick(lambda value: value.channels > 0)
    words = value.array.shape[-1]
    channels = value.channels if maker.chance(0.8) else maker.between(32 * words - 31, 32 * words)
    maker.add("LceDequantize", [value], [((*value.array.shape[:-1], channels), "float32")])


def words_as_numbers(maker: Maker) -> None:
    """Bits that something else reads, too, lie as the file has them."""
    value = maker.pick(lambda value: value.channels > 0)
    name = maker.one_of(["ABS", "NEG"]) if maker.chance(0.5) else "ADD"
    maker.add(
        name,
        [value] if name != "ADD" else [value, value],
        ["int32"],
        **({"fused_activation_function": "NONE"} if name == "ADD" else {}),
    )
