"""What the operators of the reference backend share: padding, fused activations and limits on damaged files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.runtime.flatbuffer import MAX_ELEMENTS, Tensor

Array = npt.NDArray[Any]
Options = Mapping[str, Any]
Kernel = Callable[[list[Any], Options, tuple[Tensor, ...]], tuple[Array, ...]]

RANGES = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}
"""Fused activation -> the range that it clamps to."""


def activate(values: Array, options: Options) -> Array:
    """The values after the fused activation of an operator."""
    low, high = RANGES[options["fused_activation_function"]]
    return np.clip(values, low, high).astype(values.dtype) if (low, high) != RANGES["NONE"] else values


def require_size(shape: Sequence[int]) -> None:
    """Raise ValueError if an array would be larger than any network needs: a damaged file may ask for anything."""
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"it asks for an array of shape {list(shape)}")


def output_size(size: int, *, filter_size: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Length of an output axis, and how many values lie before the input's first one, by TFLite's rule.

    An uneven rest of "SAME" padding goes behind the input.
    """
    if min(filter_size, stride, dilation) < 1:
        raise ValueError(f"filter {filter_size}, stride {stride} and dilation {dilation} must be at least 1")
    reach = (filter_size - 1) * dilation + 1
    if padding == "VALID":
        return max(0, (size - reach) // stride + 1), 0
    length = -(-size // stride)
    return length, max(0, (length - 1) * stride + reach - size) // 2


def pooled(values: Array, options: Options, reduce: Callable[..., Any]) -> Array:
    """`reduce(window, axis=(1, 2))` of each window: `[batch, out_height, out_width, channels]`, of the inputs' type.

    Padding takes no part: a window at the edge holds fewer values.
    """
    (height, top), (width, left) = (
        output_size(
            values.shape[1 + axis],
            filter_size=options[f"filter_{side}"],
            stride=options[f"stride_{side}"],
            dilation=1,
            padding=options["padding"],
        )
        for axis, side in enumerate(("height", "width"))
    )
    result = np.empty((len(values), height, width, values.shape[3]), values.dtype)
    for row in range(height):
        for column in range(width):
            y, x = row * options["stride_height"] - top, column * options["stride_width"] - left
            window = values[:, max(y, 0) : y + options["filter_height"], max(x, 0) : x + options["filter_width"]]
            result[:, row, column] = reduce(window, axis=(1, 2))
    return result


def patches(values: Array, filter_shape: Sequence[int], options: Options, *, pad_value: float) -> list[list[Array]]:
    """For each row and column of a filter, the inputs [batch, out_height, out_width, channels] that it meets."""
    rows, columns = (
        _taps(values.shape[1 + axis], filter_shape[axis], options, side)
        for axis, side in enumerate(("height", "width"))
    )
    require_size((len(values), rows[2], columns[2], values.shape[3]))
    padded = np.full((len(values), rows[2], columns[2], values.shape[3]), pad_value, values.dtype)
    padded[:, rows[1] : rows[1] + values.shape[1], columns[1] : columns[1] + values.shape[2]] = values
    return [[padded[:, row, column] for column in columns[0]] for row in rows[0]]


def _taps(size: int, filter_size: int, options: Options, side: str) -> tuple[list[slice], int, int]:
    """Slices of the padded axis, one for each tap; the padding before the input; the padded length."""
    stride, dilation = options[f"stride_{side}"], options.get(f"dilation_{side}_factor", 1)
    length, before = output_size(
        size, filter_size=filter_size, stride=stride, dilation=dilation, padding=options["padding"]
    )
    starts = [tap * dilation for tap in range(filter_size)]
    span = (length - 1) * stride + 1 if length else 0
    return [slice(start, start + span, stride) for start in starts], before, max(before + size, starts[-1] + span)
