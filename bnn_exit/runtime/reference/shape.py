"""Operators that move values without changing them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bnn_exit.model_file.header import MAX_ELEMENTS, Tensor
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.reference.common import (
    Array,
    Kernel,
    Options,
    activate,
    axis_of,
    operands,
    require_size,
    whole,
)


def _reshape(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    shape = whole(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else list(options["new_shape"])
    if min(shape, default=0) < -1:  # NumPy takes any negative size for one to be found out
        raise ValueError(f"a size of {min(shape)}")
    return (inputs[0].reshape(shape),)


def _squeeze(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    return (np.squeeze(inputs[0], axis=tuple(options["squeeze_dims"]) or None),)


def _expand_dims(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    require_size((1, *inputs[0].shape))
    return (np.expand_dims(inputs[0], whole(inputs[1])[0]),)


def _transpose(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    return (inputs[0].transpose(whole(inputs[1])),)


def _concatenation(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    _require_one_type(inputs)
    axis = axis_of(options["axis"], inputs[0].ndim)
    shape = list(inputs[0].shape)
    shape[axis] = sum(value.shape[axis] for value in inputs)
    require_size(shape)
    return (activate(np.concatenate(inputs, axis=axis), options),)


def _require_one_type(inputs: list[Any]) -> None:
    if len({value.dtype for value in inputs}) > 1:
        raise TypeError("its inputs differ in type")


def _split(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array, ...]:
    axis, values = inputs
    return tuple(np.split(values, len(outputs), axis=axis_of(whole(axis)[0], values.ndim)))


def _split_v(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array, ...]:
    values, sizes, axis = inputs
    where, lengths = axis_of(whole(axis)[0], values.ndim), whole(sizes)
    rest = values.shape[where] - sum(length for length in lengths if length != -1)
    lengths = [rest if length == -1 else length for length in lengths]
    if sum(lengths) != values.shape[where] or min(lengths) < 0:
        raise ValueError(f"parts of {lengths} do not make up {values.shape[where]}")
    return tuple(np.split(values, np.cumsum(lengths)[:-1].tolist(), axis=where))


def _pack(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    _require_one_type(inputs)
    require_size((len(inputs), *inputs[0].shape))
    return (np.stack(inputs, axis=axis_of(options["axis"], inputs[0].ndim + 1)),)


def _unpack(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array, ...]:
    axis = axis_of(options["axis"], inputs[0].ndim)
    if inputs[0].shape[axis] != len(outputs):
        raise ValueError(f"{inputs[0].shape[axis]} values for {len(outputs)} outputs")
    return tuple(np.moveaxis(inputs[0], axis, 0))


def _gather(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, indices = inputs
    if options["batch_dims"] != 0:
        raise ValueError("batch_dims other than 0 are not supported")
    if indices.dtype.name not in ("int32", "int64"):
        raise TypeError(f"indices are {indices.dtype}")
    axis = axis_of(options["axis"], values.ndim)
    if indices.size and not 0 <= indices.min() <= indices.max() < values.shape[axis]:
        raise IndexError(f"an index is outside the {values.shape[axis]} values")
    require_size((*values.shape[:axis], *indices.shape, *values.shape[axis + 1 :]))
    return (np.take(values, indices, axis=axis),)


def _slice(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, begin, size = inputs
    where = []
    for start, length, limit in zip_strict(whole(begin), whole(size), values.shape):
        stop = limit if length == -1 else start + length
        if not 0 <= start <= stop <= limit:
            raise IndexError(f"the slice [{start}, {stop}) is outside the {limit} values")
        where.append(slice(start, stop))
    return (values[tuple(where)],)


def _strided_slice(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Bit i of a mask concerns entry i of begin, end and strides."""
    values, begin, end, strides = inputs
    where: list[Any] = []
    for entry, (start, stop, step) in enumerate(zip_strict(whole(begin), whole(end), whole(strides))):

        def marked(name: str, entry: int = entry) -> bool:
            return bool(options[f"{name}_mask"] >> entry & 1)

        if marked("ellipsis"):
            where.append(Ellipsis)
        elif marked("new_axis"):
            where.append(None)
        elif marked("shrink_axis"):
            where.append(start)
        else:
            if options["offset"]:
                stop = start + stop
            first, last = (None if marked("begin") else start), (None if marked("end") else stop)
            where.append(slice(first, last, step))
    return (np.asarray(values[tuple(where)]),)


def _pad(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, margins = inputs[:2]
    fill: Any = 0
    if len(inputs) > 2 and inputs[2] is not None:
        _require_one_type([values, inputs[2]])
        fill = np.ravel(inputs[2])[0]
    pairs = _pairs(values, margins)
    return (np.pad(values, pairs, constant_values=fill).astype(values.dtype),)


def _mirror_pad(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, margins = inputs
    pairs = _pairs(values, margins)
    reach = 1 if options["mode"] == "REFLECT" else 0
    if any(max(pair) > size - reach for pair, size in zip_strict(pairs, values.shape)):
        raise ValueError(f"margins of {pairs} are wider than the values they mirror")
    if options["mode"] == "REFLECT":
        return (np.pad(values, pairs, mode="reflect"),)
    return (np.pad(values, pairs, mode="symmetric"),)


def _by_two(numbers: Any) -> list[tuple[int, int]]:
    flat = whole(numbers)
    if len(flat) % 2:
        raise ValueError(f"{len(flat)} margins")
    return [(flat[index], flat[index + 1]) for index in range(0, len(flat), 2)]


def _pairs(values: Array, margins: Array) -> list[tuple[int, int]]:
    pairs = _by_two(margins)
    if len(pairs) != values.ndim:
        raise ValueError(f"{len(pairs)} margins for {values.ndim} axes")
    if any(min(pair) < 0 for pair in pairs):
        raise ValueError(f"margins are {pairs}, but must be at least 0")
    require_size([size + sum(pair) for size, pair in zip_strict(values.shape, pairs)])
    return pairs


def _space_to_batch(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Each of the `block` phases of height and width becomes a part of the batch (TensorFlow's dilated layers)."""
    values, block, margins = inputs
    rows, columns = whole(block)
    if values.ndim != 4 or min(rows, columns) < 1 or rows * columns > MAX_ELEMENTS:
        raise ValueError(f"it asks for blocks of {rows} x {columns} of {list(values.shape)}")
    pairs = [(0, 0), *_by_two(margins), (0, 0)]
    values = np.pad(values, _pairs(values, np.array(pairs, np.int64)))
    batch, height, width, channels = values.shape
    if height % rows or width % columns:  # NumPy does not mind where there is no value
        raise ValueError(f"{height} x {width} values in blocks of {rows} x {columns}")
    parts = values.reshape(batch, height // rows, rows, width // columns, columns, channels)
    moved = parts.transpose(2, 4, 0, 1, 3, 5)
    return (moved.reshape(rows * columns * batch, height // rows, width // columns, channels),)


def _batch_to_space(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, block, crops = inputs
    rows, columns = whole(block)
    (top, bottom), (left, right) = _by_two(crops)
    batch, height, width, channels = values.shape
    if min(rows, columns) < 1 or max(rows, columns) > MAX_ELEMENTS:
        raise ValueError(f"it asks for blocks of {rows} x {columns}")
    if batch % (rows * columns):
        raise ValueError(f"a batch of {batch} is no whole number of blocks")
    require_size((batch // (rows * columns), height * rows, width * columns, channels))
    if min(top, bottom, left, right) < 0 or top + bottom > height * rows or left + right > width * columns:
        raise ValueError("it crops more than there is")
    parts = values.reshape(rows, columns, batch // (rows * columns), height, width, channels)
    merged = parts.transpose(2, 3, 0, 4, 1, 5).reshape(-1, height * rows, width * columns, channels)
    return (merged[:, top : height * rows - bottom, left : width * columns - right],)


def _shape(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    if outputs[0].dtype not in ("int32", "int64"):
        raise TypeError(f"a result of {outputs[0].dtype} is not supported")
    return (np.array(inputs[0].shape, outputs[0].dtype),)


def _tile(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, times = inputs[0], whole(inputs[1])
    require_size([size * count for size, count in zip_strict(values.shape, times)])
    return (np.tile(values, times),)


def _broadcast_to(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    require_size(whole(inputs[1]))
    return (np.broadcast_to(inputs[0], whole(inputs[1])),)


def _fill(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    require_size(whole(inputs[0]))
    if inputs[1].size != 1:
        raise ValueError(f"it has {inputs[1].size} values to fill with")
    return (np.full(whole(inputs[0]), inputs[1].reshape(-1)[0]),)


def _range(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    _require_one_type(inputs)
    if inputs[0].dtype.name not in ("float32", "int32"):
        raise TypeError(f"values of {inputs[0].dtype} are not supported")
    start, limit, delta = (np.ravel(value)[0] for value in inputs)
    count = max(0, math.ceil((float(limit) - float(start)) / float(delta)))
    if count > MAX_ELEMENTS:
        raise ValueError(f"it asks for {count} values")
    return ((float(start) + np.arange(count) * float(delta)).astype(start.dtype),)


def _arg(function: Any) -> Kernel:
    def find(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs[:1], 1, ("float32", "int32"))
        if values.size == 0 or outputs[0].dtype not in ("int32", "int64"):
            raise ValueError(f"its input is {list(values.shape)} and its result {outputs[0].dtype}")
        return (np.asarray(function(values, axis=axis_of(whole(inputs[1])[0], values.ndim))).astype(outputs[0].dtype),)

    return find


OPERATORS: dict[str, Kernel] = {
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "PACK": _pack,
    "UNPACK": _unpack,
    "GATHER": _gather,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "SHAPE": _shape,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast_to,
    "FILL": _fill,
    "RANGE": _range,
    "ARG_MAX": _arg(np.argmax),
    "ARG_MIN": _arg(np.argmin),
}
