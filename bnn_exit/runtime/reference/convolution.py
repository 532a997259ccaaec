"""Float operators that sum over a window or an axis: convolutions, pooling, dense layers, reductions, the FFT.

Sums are made in float64 and rounded once. Whatever the machine and its matrix library, the result is then the same,
and closer to the true value than any float32 sum that it judges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn_exit.model_file.header import Tensor
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.reference.common import (
    FLOATS,
    NUMBERS,
    Array,
    Kernel,
    Options,
    activate,
    axis_of,
    operands,
    patches,
    pooled,
    require_size,
    require_work,
    whole,
)


def _layer(inputs: list[Any]) -> tuple[Array, Array, Array | None]:
    """Values, weights and bias of a layer; the bias is optional."""
    values, weights, bias = [*inputs, None][:3]
    given = [value for value in (values, weights, bias) if value is not None]
    if any(value.dtype.name not in FLOATS for value in given):
        raise TypeError(f"values of {' and '.join(value.dtype.name for value in given)} are not supported")
    return values, weights, bias


def _finish(total: Array, bias: Array | None, options: Options) -> tuple[Array]:
    # Sums begin at 0, so no sum is -0.
    total = total + 0.0
    if bias is not None:
        if bias.size != total.shape[-1]:
            raise ValueError(f"a bias of {bias.size} values does not fit {total.shape[-1]} channels")
        total = total + bias.reshape(-1)
    return (activate(total.astype(np.float32), options),)


def _check_filters(values: Array, filters: Array, options: Options) -> None:
    # A product of the padding, 0, and such a weight is NaN or is left out, as a kernel likes.
    if options["padding"] == "SAME" and filters[0, ..., 0].size > 1 and not np.isfinite(filters).all():
        raise ValueError("a filter that meets padding by zeros holds infinity or NaN")


def _conv_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Filters are [out, height, width, in / groups]."""
    values, filters, bias = _layer(inputs)
    _check_filters(values, filters, options)
    groups, rest = divmod(values.shape[3], filters.shape[3])
    if rest or groups < 1:
        raise ValueError(f"{values.shape[3]} channels do not fit filters of {filters.shape[3]}")
    taps = patches(
        values.astype(np.float64), filters, options, channels=len(filters), inputs=filters.shape[3], pad_value=0
    )
    total: Any = 0
    for row, column, patch in taps:
        pairs = zip_strict(np.split(patch, groups, axis=-1), np.split(filters[:, row, column], groups, axis=0))
        total = total + np.concatenate([part @ kernel.T.astype(np.float64) for part, kernel in pairs], axis=-1)
    return _finish(total, bias, options)


def _depthwise_conv_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Filters are [1, height, width, in * multiplier]; output channel c * multiplier + m reads input channel c."""
    values, filters, bias = _layer(inputs)
    _check_filters(values, filters, options)
    multiplier, rest = divmod(filters.shape[3], values.shape[3])
    if rest or len(filters) != 1:
        raise ValueError(f"{filters.shape[3]} filters do not fit {values.shape[3]} channels")
    taps = patches(values.astype(np.float64), filters, options, channels=filters.shape[3], inputs=1, pad_value=0)
    total: Any = 0
    for row, column, patch in taps:
        total = total + np.repeat(patch, multiplier, axis=-1) * filters[0, row, column]
    return _finish(total, bias, options)


def _fully_connected(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, weights, bias = _layer(inputs)
    if options["weights_format"] != 0:
        raise ValueError(f"weights format {options['weights_format']} is not supported")
    if weights.ndim != 2 or weights.size == 0 or values.size == 0:
        raise ValueError(f"{list(values.shape)} does not fit weights of {list(weights.shape)}")
    if options["keep_num_dims"] and values.ndim == 0:
        raise ValueError("its input has no axis")
    rows = values.reshape(-1, weights.shape[1])
    shape = (*values.shape[:-1], len(weights)) if options["keep_num_dims"] else (len(rows), len(weights))
    require_size(shape)
    require_work(len(rows), weights.size)
    return _finish((rows.astype(np.float64) @ weights.T.astype(np.float64)).reshape(shape), bias, options)


def _batch_matmul(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    if any(value.dtype.name not in FLOATS or value.ndim < 2 for value in inputs):
        raise TypeError("its inputs are no matrices of float32")
    left, right = (
        np.swapaxes(value, -1, -2).astype(np.float64) if flipped else value.astype(np.float64)
        for value, flipped in zip_strict(inputs, (options["adj_x"], options["adj_y"]))
    )
    shape = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    require_size(shape)
    require_work(*shape, left.shape[-1])
    return ((left @ right + 0.0).astype(np.float32),)


def _pool(reduce: Any) -> Kernel:
    def pool(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs, 1, FLOATS)
        result = pooled(values, options, lambda window, axis: reduce(window.astype(np.float64), axis=axis))
        return (activate(result, options),)

    return pool


def _reduction(function: Any, types: tuple[str, ...] = NUMBERS) -> Kernel:
    def reduce(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs[:1], 1, types)
        wide = values.astype(np.float64) if values.dtype == np.float32 else values
        axis = tuple({axis_of(number, values.ndim) for number in whole(inputs[1])})
        return (np.asarray(function(wide, axis=axis, keepdims=options["keep_dims"])).astype(values.dtype),)

    return reduce


def _without_minus_zero(function: Any) -> Any:
    """For functions whose result may be 0 or -0, as the order of the values decides: then it is 0."""

    def wrapped(values: Array, **arguments: Any) -> Array:
        result = function(values, **arguments)
        return result if values.dtype == np.bool_ else result + values.dtype.type(0)

    return wrapped


def _mean(values: Array, **arguments: Any) -> Array:
    """np.mean, but NaN without a warning where there is no value."""
    total = np.sum(values, **arguments)
    return total / np.float64(values.size / total.size if total.size else 1)


def _rows(inputs: list[Any]) -> Array:
    """The only input as float64, if its last axis holds values."""
    (values,) = operands(inputs, 1, FLOATS)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"its input has the shape {list(values.shape)}")
    return values.astype(np.float64)


def _softmax(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values = _rows(inputs) * options["beta"]
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return ((exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32),)


def _log_softmax(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values = _rows(inputs)
    values = values - values.max(axis=-1, keepdims=True)
    return ((values - np.log(np.exp(values).sum(axis=-1, keepdims=True))).astype(np.float32),)


def _rfft_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = operands(inputs[:1], 1, FLOATS)
    rows, length = whole(inputs[1])
    if rows != 1 or values.shape[-2] != 1:
        raise ValueError("only transforms of one axis are supported")
    if not 2 <= length <= 2**20 or length & (length - 1):
        raise ValueError(f"length {length} is no power of two")
    require_size((*values.shape[:-1], length))
    return (np.fft.rfft2(values.astype(np.float64), s=(rows, length)).astype(np.complex64),)


OPERATORS: dict[str, Kernel] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "AVERAGE_POOL_2D": _pool(_without_minus_zero(np.mean)),
    "MAX_POOL_2D": _pool(_without_minus_zero(np.max)),
    "MEAN": _reduction(_without_minus_zero(_mean), FLOATS),
    "SUM": _reduction(_without_minus_zero(np.sum)),
    "REDUCE_PROD": _reduction(np.prod),
    "REDUCE_MAX": _reduction(_without_minus_zero(np.max)),
    "REDUCE_MIN": _reduction(_without_minus_zero(np.min)),
    "REDUCE_ANY": _reduction(np.any, ("bool",)),
    "REDUCE_ALL": _reduction(np.all, ("bool",)),
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "RFFT2D": _rfft_2d,
}
