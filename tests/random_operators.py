"""How random graphs get each operator: functions that add one, or a few that belong together, to a subgraph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from random_graphs import MOST_BRANCHES, Maker, Unfit, Value, choose_outputs, grow

from bnn_exit.runtime.reference_binary import pack

NUMBERS = ("float32", "float32", "float32", "int32", "int64")
ANYTHING = (
    "float32",
    "float32",
    "float32",
    "int32",
    "int64",
    "bool",
    "uint8",
    "int8",
    "float64",
    "float16",
    "complex64",
)
ACTIVATIONS = ("NONE", "NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
FUNCTIONS = (
    *(
        "FLOOR",
        "CEIL",
        "ROUND",
        "SQRT",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "ELU",
        "HARD_SWISH",
        "LOGISTIC",
    ),
    *("TANH", "EXP", "LOG", "SIN", "COS", "RSQRT"),
)
COMPARISONS = ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")


def activation(maker: Maker) -> dict[str, str]:
    return {"fused_activation_function": maker.one_of(ACTIVATIONS)}


# ---- each value on its own


def function(maker: Maker) -> None:
    maker.add(maker.one_of(FUNCTIONS), [maker.pick_type("float32")], ["float32"])


def function_of_numbers(maker: Maker) -> None:
    value = maker.pick_type(*NUMBERS)
    maker.add(maker.one_of(["ABS", "NEG", "SIGN", "SQUARE"]), [value], [value.array.dtype.name])


def clamp(maker: Maker) -> None:
    maker.add(maker.one_of(["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]), [maker.pick_type("float32")], ["float32"])


def leaky(maker: Maker) -> None:
    maker.add(
        "LEAKY_RELU",
        [maker.pick_type("float32")],
        ["float32"],
        alpha=float(np.float32(maker.one_of([0.25, 0.3, -1, 2]))),
    )


def zeros(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    maker.add("ZEROS_LIKE", [value], [value.array.dtype.name])


def logical(maker: Maker) -> None:
    value = maker.pick_type("bool")
    if maker.chance(0.3):
        maker.add("LOGICAL_NOT", [value], ["bool"])
    else:
        maker.add(maker.one_of(["LOGICAL_AND", "LOGICAL_OR"]), [value, maker.partner(value)], ["bool"])


def arithmetic(maker: Maker) -> None:
    value = maker.pick_type(*NUMBERS)
    pair = [value, maker.partner(value)]
    if maker.chance(0.1):
        pair = [value, value]
    if maker.chance(0.3):
        pair.reverse()
    dtype = value.array.dtype.name
    name = maker.one_of(
        ["ADD", "ADD", "MUL", "MUL", "SUB", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"]
    )
    options = activation(maker) if name in ("ADD", "SUB", "MUL", "DIV") else {}
    maker.add(name, pair, [dtype], **options)


def power(maker: Maker) -> None:
    value = maker.pick_type("float32")
    maker.add("POW", [value, maker.partner(value)], ["float32"])


def prelu(maker: Maker) -> None:
    value = maker.pick_type("float32", rank=1)
    shape = value.array.shape
    alpha = maker.constant(
        maker.numbers(maker.one_of([shape[-1:], (1,) * (len(shape) - 1) + shape[-1:], (1, 1, shape[-1])]), "float32")
    )
    maker.add("PRELU", [value, alpha], ["float32"])


def compare(maker: Maker) -> None:
    value = maker.pick_type(*NUMBERS, "bool")
    maker.add(maker.one_of(COMPARISONS), [value, maker.partner(value)], ["bool"])


def select(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING[:-1])
    shape = value.array.shape
    name = maker.one_of(["SELECT", "SELECT_V2"])
    if name == "SELECT":
        conditions = maker.one_of([shape, shape[:1]])
        other = maker.fresh(shape, value.array.dtype.name)
    else:
        conditions = [size if maker.chance(0.7) else 1 for size in shape]
        other = maker.partner(value)
    known = [
        truth for truth in maker.values if truth.array.dtype == np.bool_ and truth.array.shape == tuple(conditions)
    ]
    condition = maker.one_of(known) if known else maker.fresh(conditions, "bool")
    maker.add(name, [condition, value, other], [value.array.dtype.name])


def cast(maker: Maker) -> None:
    if maker.chance(0.1):
        halves = maker.constant(maker.numbers(maker.shape(), "float16"))
        maker.add(maker.one_of(["DEQUANTIZE", "CAST"]), [halves], [((), "float32")])
        return
    value = maker.pick_type(*ANYTHING)
    to = maker.one_of(["float32", "float32", "int32", "int64", "bool", "uint8", "int8", "float64"])
    maker.add("CAST", [value], [((), to)])


def complex_part(maker: Maker) -> None:
    maker.add(maker.one_of(["REAL", "IMAG", "COMPLEX_ABS"]), [maker.pick_type("complex64")], ["float32"])


def softmax(maker: Maker) -> None:
    value = maker.pick_type("float32", rank=1)
    if not value.array.size:
        raise Unfit
    if maker.chance(0.5):
        maker.add("SOFTMAX", [value], ["float32"], beta=float(np.float32(maker.one_of([1, 1, 0.3, 2]))))
    else:
        maker.add("LOG_SOFTMAX", [value], ["float32"])


# ---- layers of floats


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


def follow(maker: Maker, value: Value) -> Value:
    """What a layer may take in behind it: constants of each channel, clamps, residuals; also what it may not."""
    for _ in range(maker.one_of([0, 1, 1, 2, 3, 5, 8])):
        shape, kind = value.array.shape, maker.below(7)
        if kind == 0:
            (value,) = maker.add(maker.one_of(["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]), [value], ["float32"])
        elif kind == 1 and shape:
            leading = maker.one_of([(), (1,) * (len(shape) - 1)])
            (value,) = maker.add(
                "PRELU", [value, maker.constant(maker.numbers(leading + shape[-1:], "float32"))], ["float32"]
            )
        elif kind == 2:
            same = [other for other in maker.values if other.array.shape == shape and other.array.dtype == np.float32]
            pair = [value, maker.one_of(same)]
            if maker.chance(0.5):
                pair.reverse()
            (value,) = maker.add(maker.one_of(["ADD", "ADD", "MUL"]), pair, ["float32"], **activation(maker))
        elif kind == 3 and maker.chance(0.3):
            (value,) = maker.add("LOGISTIC", [value], ["float32"])
        else:
            form = maker.one_of([(), (1,), shape[-1:], (1,) * max(0, len(shape) - 1) + shape[-1:]])
            pair = [value, maker.constant(maker.numbers(form, "float32"))]
            if maker.chance(0.2):
                pair.reverse()
            (value,) = maker.add(maker.one_of(["ADD", "MUL", "SUB"]), pair, ["float32"], **activation(maker))
        if maker.chance(0.12) and value.array.ndim == 4:
            quantize_value(maker, value)
    return value


def block(maker: Maker) -> None:
    """A layer and what may become part of it, perhaps with the signs of the result."""
    value = follow(maker, maker.one_of([convolution, depthwise, pool, dense, binary])(maker))
    if maker.chance(0.4) and value.array.ndim == 4:
        quantize_value(maker, value)


# ---- sums


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


# ---- values that move


def reshape(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    size, shape = value.array.size, []
    if not size:
        raise Unfit
    while size > 1 and len(shape) < 4:
        factor = maker.one_of([part for part in range(1, size + 1) if size % part == 0][:12])
        shape.append(factor)
        size //= factor
    if size > 1 or (not shape and maker.chance(0.5)):
        shape.append(size)
    shape = [part for part in maker.random.permutation(shape).tolist()]
    asked = list(shape)
    if asked and maker.chance(0.4):
        asked[maker.below(len(asked))] = -1
    by_option = maker.chance(0.2)
    inputs = [value] if by_option else [value, maker.constant(np.array(asked, np.int32))]
    maker.add("RESHAPE", inputs, [value.array.dtype.name], new_shape=asked if by_option else [])


def image_again(maker: Maker) -> None:
    """Four axes for what has fewer, so that layers follow."""
    value = maker.pick(
        lambda value: value.array.dtype == np.float32 and value.array.size >= 1 and value.array.ndim != 4
    )
    size = value.array.size
    width = maker.one_of([part for part in range(1, min(size, 9) + 1) if size % part == 0])
    shape = [1, 1, width, size // width] if maker.chance(0.5) else [1, width, 1, size // width]
    maker.add("RESHAPE", [value, maker.constant(shape, "int32")], ["float32"], new_shape=[])


def squeeze(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    ones = [axis for axis, size in enumerate(value.array.shape) if size == 1]
    dims = [axis - value.array.ndim * maker.below(2) for axis in ones if maker.chance(0.5)]
    maker.add("SQUEEZE", [value], [value.array.dtype.name], squeeze_dims=dims)


def expand_dims(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    rank = value.array.ndim + 1
    axis = maker.constant(maker.between(-rank, rank - 1), "int32")
    maker.add("EXPAND_DIMS", [value, axis], [value.array.dtype.name])


def transpose(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    order = maker.constant(maker.random.permutation(value.array.ndim).astype(np.int32))
    maker.add("TRANSPOSE", [value, order], [value.array.dtype.name])


def concatenation(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING, rank=1)
    dtype, shape = value.array.dtype, list(value.array.shape)
    axis = maker.below(len(shape))
    fits = [
        other for other in maker.values
        if other.array.dtype == dtype and other.array.ndim == len(shape) and not other.channels
        and all(a == b for k, (a, b) in enumerate(zip(other.array.shape, shape)) if k != axis)
    ]  # fmt: skip
    parts = [value]
    for _ in range(maker.one_of([0, 1, 1, 2, 3])):
        part = list(shape)
        part[axis] = maker.between(1, 3)
        parts.append(maker.one_of(fits) if maker.chance(0.6) and fits else maker.fresh(part, dtype.name))
    maker.random.shuffle(parts)
    options = activation(maker) if dtype == np.float32 else {"fused_activation_function": "NONE"}
    maker.add("CONCATENATION", parts, [dtype.name], axis=axis - len(shape) * maker.below(2), **options)


def split(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING, rank=1)
    dtype, shape = value.array.dtype.name, value.array.shape
    axis = maker.below(len(shape))
    size = shape[axis]
    where = axis - len(shape) * maker.below(2)
    kind = maker.below(3)
    if kind == 0:
        parts = maker.one_of([count for count in range(1, 6) if size % count == 0])
        maker.add("SPLIT", [maker.constant(where, "int32"), value], [dtype] * parts, num_splits=parts)
    elif kind == 1:
        cuts = sorted(maker.between(0, size) for _ in range(maker.below(3)))
        sizes = np.diff([0, *cuts, size])
        if maker.chance(0.3):
            sizes[maker.below(len(sizes))] = -1
        inputs = [value, maker.constant(sizes, "int32"), maker.constant(where, "int32")]
        maker.add("SPLIT_V", inputs, [dtype] * len(sizes), num_splits=len(sizes))
    elif size <= 8:
        maker.add("UNPACK", [value], [dtype] * size, num=size, axis=where)


def pack_values(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    dtype, shape = value.array.dtype, value.array.shape
    fits = [other for other in maker.values if other.array.dtype == dtype and other.array.shape == shape]
    parts = [maker.one_of(fits) for _ in range(maker.between(1, 3))] if fits else [value]
    axis = maker.between(-len(shape) - 1, len(shape))
    maker.add("PACK", parts, [dtype.name], values_count=len(parts), axis=axis)


def gather(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING, rank=1)
    axis = maker.below(value.array.ndim)
    size = value.array.shape[axis]
    if not size:
        raise Unfit
    indices = maker.random.integers(0, size, maker.shape()[:2]).astype(maker.one_of(["int32", "int64"]))
    chosen = maker.constant(indices) if maker.depth or maker.chance(0.6) else maker.input(indices)
    maker.add(
        "GATHER", [value, chosen], [value.array.dtype.name], axis=axis - value.array.ndim * maker.below(2), batch_dims=0
    )


def slices(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING, rank=1)
    shape, dtype = value.array.shape, value.array.dtype.name
    if maker.chance(0.4):
        begins = [maker.between(0, size) for size in shape]
        sizes = [-1 if maker.chance(0.2) else maker.between(0, size - begin) for begin, size in zip(begins, shape)]
        maker.add("SLICE", [value, maker.constant(begins, "int32"), maker.constant(sizes, "int32")], [dtype])
        return
    count = maker.between(1, len(shape) + maker.below(2))
    begins = [maker.between(-9, 9) for _ in range(count)]
    ends = [maker.between(-9, 9) for _ in range(count)]
    strides = [maker.one_of([1, 1, 1, 2, 3, -1, -2]) for _ in range(count)]
    masks = {f"{name}_mask": maker.below(1 << count) if maker.chance(0.6) else 0 for name in ("begin", "end")}
    rare = {
        name: maker.below(1 << count) if maker.chance(0.25) else 0 for name in ("new_axis_mask", "shrink_axis_mask")
    }
    ellipsis = 1 << maker.below(count) if maker.chance(0.15) else 0
    inputs = [value, *(maker.constant(part, "int32") for part in (begins, ends, strides))]
    maker.add("STRIDED_SLICE", inputs, [dtype], **masks, **rare, ellipsis_mask=ellipsis, offset=maker.chance(0.1))


def pad(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    shape, dtype = value.array.shape, value.array.dtype.name
    name = maker.one_of(["PAD", "PADV2", "MIRROR_PAD"])
    most = [min(2, size - 1) if name == "MIRROR_PAD" else 2 for size in shape]
    if min(most, default=0) < 0:
        raise Unfit
    margins = np.reshape([[maker.between(0, limit), maker.between(0, limit)] for limit in most], (-1, 2))
    inputs = [value, maker.constant(margins, maker.one_of(["int32", "int32", "int64"]))]
    if name == "PADV2":
        inputs.append(maker.constant(maker.numbers((), dtype)))
    options = {"mode": maker.one_of(["REFLECT", "SYMMETRIC"])} if name == "MIRROR_PAD" else {}
    maker.add(name, inputs, [dtype], **options)


def blocks_of_space(maker: Maker) -> None:
    value = maker.pick(lambda value: value.array.ndim == 4 and not value.channels)
    batch, height, width, _ = value.array.shape
    dtype, sides = value.array.dtype.name, [maker.between(1, 3), maker.between(1, 3)]
    block = maker.constant(sides, "int32")
    if batch % (sides[0] * sides[1]) == 0 and maker.chance(0.7):
        crops = [
            [maker.below(2), maker.below(2)] if size * side > 2 else [0, 0]
            for size, side in zip((height, width), sides)
        ]
        maker.add("BATCH_TO_SPACE_ND", [value, block, maker.constant(crops, "int32")], [dtype])
        return
    margins = []
    for size, side in zip((height, width), sides):
        before = maker.below(3)
        margins.append([before, -(size + before) % side])
    maker.add("SPACE_TO_BATCH_ND", [value, block, maker.constant(margins, "int32")], [dtype])


def repeat(maker: Maker) -> None:
    value = maker.pick_type(*ANYTHING)
    shape, dtype = value.array.shape, value.array.dtype.name
    if maker.chance(0.5):
        times = maker.constant(np.array([maker.one_of([1, 1, 2, 3]) for _ in shape], maker.one_of(["int32", "int64"])))
        maker.add("TILE", [value, times], [dtype])
    else:
        wanted = [maker.between(1, 3) for _ in range(maker.below(2))] + [
            maker.between(1, 4) if size == 1 else size for size in shape
        ]
        maker.add("BROADCAST_TO", [value, maker.constant(np.array(wanted, np.int32))], [dtype])


def made(maker: Maker) -> None:
    """Values out of little: shapes, ranges, one value everywhere."""
    kind = maker.below(3)
    if kind == 0:
        maker.add("SHAPE", [maker.pick_type(*ANYTHING)], [((), maker.one_of(["int32", "int64"]))])
    elif kind == 1:
        dtype = maker.one_of(ANYTHING[:-1])
        value = maker.fresh(maker.one_of([(), (1,)]), dtype)
        maker.add("FILL", [maker.constant(np.array(maker.shape(), np.int32)), value], [dtype])
    else:
        dtype = maker.one_of(["int32", "float32"])
        step = maker.one_of([1, 2, 3, -1, -2])
        start = maker.between(-5, 5)
        stop = start + step * maker.between(0, 9) + maker.one_of([0, 0, 1])
        inputs = [maker.constant(np.array(number, dtype)) for number in (start, stop, step)]
        if not maker.depth and maker.chance(0.3):
            inputs[0] = maker.input(inputs[0].array)
        maker.add("RANGE", inputs, [((), dtype)])


def arg(maker: Maker) -> None:
    value = maker.pick_type("float32", "float32", "int32", rank=1)
    if not value.array.size:
        raise Unfit
    axis = maker.constant(maker.between(-value.array.ndim, value.array.ndim - 1), "int32")
    maker.add(maker.one_of(["ARG_MAX", "ARG_MIN"]), [value, axis], [((), maker.one_of(["int32", "int64"]))])


# ---- bits


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


# ---- branches


def branch(maker: Maker) -> None:
    """An IF of two subgraphs that share some values and end in results of the same shapes."""
    if maker.depth >= MOST_BRANCHES or len(maker.file.graphs) > 12:
        raise Unfit
    truths = [value for value in maker.values if value.array.dtype == np.bool_ and value.array.size == 1]
    if truths and maker.chance(0.6):
        condition = maker.one_of(truths)
    elif maker.depth or maker.chance(0.5):
        value = maker.pick(lambda value: value.array.dtype == np.float32 and value.array.size)
        axes = np.arange(value.array.ndim)
        if value.array.ndim:
            (value,) = maker.add("REDUCE_MAX", [value, maker.constant(axes, "int32")], ["float32"], keep_dims=False)
        pair = [value, maker.constant(maker.numbers((), "float32"))]
        (condition,) = maker.add(maker.one_of(COMPARISONS), pair, ["bool"])
    else:
        condition = maker.input(np.array(maker.chance(0.5)))
    shared = [maker.one_of(maker.values) for _ in range(maker.between(1, 4))]
    wanted: list[Value] = []
    graphs = []
    for number in range(2):
        inner = Maker(maker.file, maker.random, style=maker.style, depth=maker.depth + 1)
        for value in shared:
            inner.input(value.array, channels=value.channels)
        grow(inner, maker.one_of([0, 1, 2, 4, 8]), ADDERS)
        results = choose_outputs(inner)[:3] if number == 0 else [_same(inner, value) for value in wanted]
        inner.end(results)
        graphs.append((maker.file.graphs.index(inner.graph), results))
        wanted = wanted or results
    chosen = graphs[0][1] if condition.array.reshape(-1)[0] else graphs[1][1]
    outputs = [Value(maker.tensor(value.array), value.array, channels=value.channels) for value in chosen]
    options = {"then_subgraph_index": graphs[0][0], "else_subgraph_index": graphs[1][0]}
    maker.write("IF", [condition, *shared], outputs, options)


def _same(maker: Maker, wanted: Value) -> Value:
    """A value of the type and shape of another."""
    dtype, shape = wanted.array.dtype, wanted.array.shape
    found = [
        value
        for value in maker.values
        if value.array.dtype == dtype and value.array.shape == shape and value.channels == wanted.channels
    ]
    if found and maker.chance(0.8):
        return maker.one_of(found)
    return maker.constant(maker.numbers(shape, dtype.name), channels=wanted.channels)


ADDERS: tuple[tuple[float, Callable[[Maker], Any]], ...] = (
    *(
        (4, block),
        (3, binary),
        (3, binary_packed),
        (2, binary_pool),
        (2, dequantize),
        (2, quantize),
        (0.5, words_as_numbers),
    ),
    *((1, convolution), (1, depthwise), (1.5, pool), (1.5, dense), (2, image_again)),
    *(
        (2, function),
        (1, function_of_numbers),
        (1.5, clamp),
        (0.5, leaky),
        (0.3, zeros),
        (0.7, logical),
        (4, arithmetic),
    ),
    *((0.4, power), (1, prelu), (1, compare), (1, select), (1.5, cast), (0.3, complex_part), (0.7, softmax)),
    *((0.7, batch_matmul), (1.5, reduction), (0.7, spectrum), (2, reshape), (0.6, squeeze), (0.6, expand_dims)),
    *((1, transpose), (1.2, concatenation), (1, split), (0.8, pack_values), (0.8, gather), (1.2, slices), (1, pad)),
    *((0.7, blocks_of_space), (0.7, repeat), (0.6, made), (0.6, arg), (1.5, branch)),
)
"""How often, and what."""
