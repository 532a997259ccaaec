"""Layers of floats, and other sums, in random graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fuzzing.maker import Maker, Unfit, Value
from fuzzing.values import NUMBERS, activation


def window(maker: Maker, size: tuple[int, int], kernel: tuple[int, int], *, dilates: bool = True) -> dict[str, Any]:
    """Padding, strides and dilations with which a filter fits an image of that height and width."""
    dilations = [maker.one_of([1, 1, 1, 2, 3, 5]) if dilates else 1 for _ in size]
    reaches = all((tap - 1) * dilation < axis for tap, dilation, axis in zip(kernel, dilations, size))
    options = {
        "padding": maker.one_of(["SAME", "VALID"]) if reaches else "SAME",
        "stride_height": maker.one_of([1, 1, 1, 2, 3]),
        "stride_width": maker.one_of([1, 1, 1, 2, 3]),
    }
    if dilates:
        options |= {"dilation_height_factor": dilations[0], "dilation_width_factor": dilations[1]}
    return options


def kernel(maker: Maker) -> tuple[int, int]:
    if maker.chance(0.4):
        return maker.one_of([(1, 1), (3, 3), (3, 3), (2, 2)])
    return maker.between(1, 5), maker.between(1, 5)


def biased(maker: Maker, channels: int) -> list[Value | None]:
    kind = maker.below(4)
    return [] if kind == 0 else [None] if kind == 1 else [maker.constant(maker.numbers([channels], "float32"))]


def finite(weights: Any) -> Any:
    """What is not finite times the zeros of the padding would be NaN, if these are not skipped: runtimes differ."""
    return np.where(np.isfinite(weights), weights, 1).astype(np.float32)


def convolution(maker: Maker) -> Value:
    value, taps = maker.image(), kernel(maker)
    channels = value.array.shape[3]
    groups = maker.one_of([1, 1, 1, *(count for count in (2, 3, 4) if channels % count == 0)])
    filters = groups * maker.one_of([1, 2, 3, 5, 8, 15, 16, 17, 32, 33]) if groups < 3 else groups * maker.between(1, 3)
    weights = maker.constant(finite(maker.numbers([filters, *taps, channels // groups], "float32")))
    options = window(maker, value.array.shape[1:3], taps)
    return maker.add("CONV_2D", [value, weights, *biased(maker, filters)], ["float32"], **options, **activation(maker))[
        0
    ]


def depthwise(maker: Maker) -> Value:
    value, taps = maker.image(), kernel(maker)
    filters = value.array.shape[3] * maker.one_of([1, 1, 2, 3])
    weights = maker.constant(finite(maker.numbers([1, *taps, filters], "float32")))
    options = window(maker, value.array.shape[1:3], taps)
    return maker.add(
        "DEPTHWISE_CONV_2D", [value, weights, *biased(maker, filters)], ["float32"], **options, **activation(maker)
    )[0]


def pool(maker: Maker) -> Value:
    value, taps = maker.image(), kernel(maker)
    options = window(maker, value.array.shape[1:3], taps, dilates=False)
    name = maker.one_of(["AVERAGE_POOL_2D", "MAX_POOL_2D"])
    sides = {"filter_height": taps[0], "filter_width": taps[1]}
    return maker.add(name, [value], ["float32"], **options, **sides, **activation(maker))[0]


def dense(maker: Maker) -> Value:
    value = maker.pick_type("float32", rank=1)
    if not value.array.size:
        raise Unfit
    keeps = maker.chance(0.6)
    width = value.array.shape[-1] if keeps else maker.one_of([value.array.shape[-1], value.array.size])
    if width > 600:
        raise Unfit
    units = maker.one_of([1, 2, 3, 5, 16, 17, 32, 33, 40])
    weights = maker.constant(maker.numbers([units, width], "float32"))
    return maker.add(
        *("FULLY_CONNECTED", [value, weights, *biased(maker, units)], ["float32"]),
        **{"weights_format": 0, "keep_num_dims": keeps, **activation(maker)},
    )[0]


def batch_matmul(maker: Maker) -> None:
    value = maker.pick_type("float32", rank=2)
    flips = [maker.chance(0.3), maker.chance(0.3)]
    *outer, rows, columns = value.array.shape
    inner = rows if flips[0] else columns
    shape = [inner, maker.between(1, 5)]
    if flips[1]:
        shape.reverse()
    outer = [size if maker.chance(0.6) else 1 for size in outer[maker.below(len(outer) + 1) :]]
    maker.add("BATCH_MATMUL", [value, maker.fresh([*outer, *shape])], ["float32"], adj_x=flips[0], adj_y=flips[1])


def reduction(maker: Maker) -> None:
    name = maker.one_of(["MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ANY", "REDUCE_ALL"])
    types = {"MEAN": ("float32",), "REDUCE_ANY": ("bool",), "REDUCE_ALL": ("bool",)}.get(name, NUMBERS)
    value = maker.pick_type(*types, rank=1)
    rank = value.array.ndim
    if not value.array.size:
        raise Unfit
    axes = [axis - rank * maker.below(2) for axis in range(rank) if maker.chance(0.5)] or [maker.below(rank)]
    if maker.chance(0.1):
        axes.append(axes[0])
    shape = (len(axes),) if len(axes) > 1 or maker.chance(0.7) else ()
    inputs = [value, maker.constant(np.reshape(axes, shape), "int32")]
    maker.add(name, inputs, [value.array.dtype.name], keep_dims=maker.chance(0.4))


def spectrum(maker: Maker) -> None:
    size = maker.one_of([2, 4, 8, 16, 32, 64])
    fits = [
        value
        for value in maker.values
        if value.array.dtype == np.float32 and value.array.ndim >= 2 and value.array.size
    ]
    if fits and maker.chance(0.6):
        value = maker.one_of(fits)
        if value.array.shape[-2] != 1:
            shape = (*value.array.shape[:-1], 1, value.array.shape[-1])
            (value,) = maker.add("EXPAND_DIMS", [value, maker.constant(-2, "int32")], ["float32"])
            assert value.array.shape == shape
    else:
        value = maker.fresh([*maker.shape()[:2], 1, maker.one_of([size, size - 1, size + 3])])
    (found,) = maker.add("RFFT2D", [value, maker.constant([1, size], "int32")], ["complex64"])
    maker.add(maker.one_of(["REAL", "IMAG", "COMPLEX_ABS"]), [found], ["float32"])
