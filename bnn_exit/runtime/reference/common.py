"""What the operators of the reference backend share: padding, fused activations and limits on damaged files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.model_file.header import MAX_DIMENSIONS, Tensor, is_allowed

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


FLOATS = ("float32",)
NUMBERS = ("float32", "int32", "int64")

MAX_NUMBERS = 2**12
"""Sizes, axes and the like that one operator may be given as values."""

MAX_REACH = 2**16
"""Of a filter, stride or dilation: far above any network."""

MAX_WORK = 2**31
"""Multiplications of one operator, far above those of any network for a board."""


def operands(
    inputs: Sequence[Any], count: int, types: tuple[str, ...], *, beside: tuple[int, ...] = ()
) -> Sequence[Any]:
    """The inputs, after a check that they are so many, all of one of the types, and may be broadcast together.

    `beside` is the shape of another operand, of another type.
    """
    if len(inputs) != count or any(value is None for value in inputs):
        raise ValueError(f"it takes {count} inputs")
    names = {value.dtype.name for value in inputs}
    if len(names) > 1 or not names.issubset(types):
        raise TypeError(f"values of {' and '.join(sorted(names))} are not supported")
    require_size(np.broadcast_shapes(beside, *(value.shape for value in inputs)))
    return inputs


def whole(values: Any) -> list[int]:
    """The whole numbers that an operator is given as values: sizes, axes, margins."""
    if values is None or values.dtype.name not in ("int32", "int64") or values.size > MAX_NUMBERS:
        raise ValueError(f"it takes at most {MAX_NUMBERS} whole numbers")
    return [int(value) for value in np.ravel(values)]


def axis_of(number: int, rank: int) -> int:
    """An axis, counted from the end if negative. NumPy may take others: 32 for all axes, before its version 2."""
    if not -rank <= number < rank:
        raise IndexError(f"axis {number} of {rank}")
    return number % rank


def clamp(values: Array, low: float, high: float) -> Array:
    """The values within the range. What is not outside stays as it is: NaN, and -0 at a bound of 0, as in TFLite."""
    if low > -math.inf:
        values = np.where(values < low, values.dtype.type(low), values)
    if high < math.inf:
        values = np.where(values > high, values.dtype.type(high), values)
    return values


def activate(values: Array, options: Options) -> Array:
    """The values after the fused activation of an operator."""
    low, high = RANGES[options["fused_activation_function"]]
    if (low, high) != RANGES["NONE"] and values.dtype.name not in NUMBERS:
        raise TypeError(f"values of {values.dtype} with a fused activation are not supported")
    return clamp(values, low, high)


def require_size(shape: Sequence[int]) -> None:
    """Raise ValueError if no tensor may have that shape. To be asked before NumPy makes it: a damaged file may ask for
    anything."""
    if not is_allowed(shape):
        raise ValueError(f"it asks for an array of shape {list(shape[: MAX_DIMENSIONS + 1])}")


def require_work(*factors: int) -> None:
    """Raise ValueError if the multiplications of an operator, the product of the factors, would take hours."""
    if math.prod(factors) > MAX_WORK:
        raise ValueError(f"it asks for {math.prod(factors)} multiplications")


def require_image(values: Array) -> None:
    """Raise ValueError unless there are four axes, [batch, height, width, channels], none of them empty."""
    if values.ndim != 4 or values.size == 0:
        raise ValueError(f"an image has the shape {list(values.shape)}")


def output_size(size: int, *, filter_size: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Length of an output axis, and how many values lie before the input's first one, by TFLite's rule.

    An uneven rest of "SAME" padding goes behind the input.
    """
    if min(filter_size, stride, dilation) < 1:
        raise ValueError(f"filter {filter_size}, stride {stride} and dilation {dilation} must be at least 1")
    if max(filter_size, stride, dilation, (filter_size - 1) * dilation) > MAX_REACH:
        raise ValueError(f"its filter asks for an array of more than {MAX_REACH} values")
    reach = (filter_size - 1) * dilation + 1
    if padding == "VALID":
        if size < reach:
            raise ValueError("its filter is larger than its input")
        return (size - reach) // stride + 1, 0
    length = -(-size // stride)
    return length, max(0, (length - 1) * stride + reach - size) // 2


def pooled(values: Array, options: Options, reduce: Callable[..., Any]) -> Array:
    """`reduce(window, axis=(1, 2))` of each window: `[batch, out_height, out_width, channels]`, of the inputs' type.

    Padding takes no part: a window at the edge holds fewer values.
    """
    require_image(values)
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
    taps = [
        min(size, options[f"filter_{side}"]) for size, side in ((values.shape[1], "height"), (values.shape[2], "width"))
    ]
    require_work(len(values), height, width, values.shape[3], *taps)
    result = np.empty((len(values), height, width, values.shape[3]), values.dtype)
    for row in range(height):
        for column in range(width):
            y, x = row * options["stride_height"] - top, column * options["stride_width"] - left
            window = values[:, max(y, 0) : y + options["filter_height"], max(x, 0) : x + options["filter_width"]]
            result[:, row, column] = reduce(window, axis=(1, 2))
    return result


def patches(
    values: Array, filters: Array, options: Options, *, channels: int, inputs: int, pad_value: float
) -> Iterator[tuple[int, int, Array]]:
    """Row and column of each tap of the filters [., height, width, .], and the values
    [batch, out_height, out_width, channels] that it meets.

    `channels` of output are to be made of so many `inputs` a tap each: the limits are asked before anything is made.
    """
    require_image(values)
    require_image(filters)
    filter_shape = filters.shape[1:3]
    rows, columns = (
        _taps(values.shape[1 + axis], filter_shape[axis], options, side)
        for axis, side in enumerate(("height", "width"))
    )
    require_size((len(values), rows[2], columns[2], values.shape[3]))
    pixels = len(values), *(len(range(*taps[0].indices(length))) for taps, _, length in (rows, columns))
    require_size((*pixels, channels))
    require_work(*pixels, channels, inputs, *filter_shape)
    padded = np.full((len(values), rows[2], columns[2], values.shape[3]), pad_value, values.dtype)
    padded[:, rows[1] : rows[1] + values.shape[1], columns[1] : columns[1] + values.shape[2]] = values
    for row, vertical in enumerate(rows[0]):
        for column, horizontal in enumerate(columns[0]):
            yield row, column, padded[:, vertical, horizontal]


def _taps(size: int, filter_size: int, options: Options, side: str) -> tuple[list[slice], int, int]:
    """Slices of the padded axis, one for each tap; the padding before the input; the padded length."""
    stride, dilation = options[f"stride_{side}"], options.get(f"dilation_{side}_factor", 1)
    length, before = output_size(
        size, filter_size=filter_size, stride=stride, dilation=dilation, padding=options["padding"]
    )
    starts = [tap * dilation for tap in range(filter_size)]
    span = (length - 1) * stride + 1 if length else 0
    return [slice(start, start + span, stride) for start in starts], before, max(before + size, starts[-1] + span)
