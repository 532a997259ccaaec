"""Operators that move values, in random graphs."""

from __future__ import annotations

import numpy as np

from fuzzing.maker import Maker, Unfit
from fuzzing.values import ANYTHING, activation


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
