"""Float operators that sum over a window or an axis: convolutions, pooling, dense layers, reductions, the FFT.

Sums are made in float64 and rounded once. Whatever the machine and its matrix library, the result is then the same,
and closer to the true value than any float32 sum that it judges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.flatbuffer import Tensor
from bnn_exit.runtime.reference_common import (
    Array,
    Kernel,
    Options,
    activate,
    patches,
    pooled,
    require_size,
)


def _finish(total: Array, bias: Array | None, options: Options) -> tuple[Array]:
    if bias is not None:
        total = total + bias
    return (activate(total.astype(np.float32), options),)


def _conv_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Filters are [out, height, width, in / groups]."""
    values, filters, bias = _with_bias(inputs)
    groups, rest = divmod(values.shape[3], filters.shape[3])
    if rest or groups < 1:
        raise ValueError(f"{values.shape[3]} channels do not fit filters of {filters.shape[3]}")
    taps = patches(values.astype(np.float64), filters.shape[1:3], options, pad_value=0)
    total: Any = 0
    for row, columns in enumerate(taps):
        for column, patch in enumerate(columns):
            pairs = zip_strict(np.split(patch, groups, axis=-1), np.split(filters[:, row, column], groups, axis=0))
            total = total + np.concatenate([part @ kernel.T.astype(np.float64) for part, kernel in pairs], axis=-1)
    return _finish(total, bias, options)


def _depthwise_conv_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """Filters are [1, height, width, in * multiplier]; output channel c * multiplier + m reads input channel c."""
    values, filters, bias = _with_bias(inputs)
    multiplier, rest = divmod(filters.shape[3], values.shape[3])
    if rest:
        raise ValueError(f"{filters.shape[3]} filters do not fit {values.shape[3]} channels")
    taps = patches(values.astype(np.float64), filters.shape[1:3], options, pad_value=0)
    total: Any = 0
    for row, columns in enumerate(taps):
        for column, patch in enumerate(columns):
            total = total + np.repeat(patch, multiplier, axis=-1) * filters[0, row, column]
    return _finish(total, bias, options)


def _fully_connected(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, weights, bias = _with_bias(inputs)
    if options["weights_format"] != 0:
        raise ValueError(f"weights format {options['weights_format']} is not supported")
    rows = values.reshape(-1, weights.shape[1])
    shape = (*values.shape[:-1], len(weights)) if options["keep_num_dims"] else (len(rows), len(weights))
    return _finish((rows.astype(np.float64) @ weights.T.astype(np.float64)).reshape(shape), bias, options)


def _batch_matmul(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    left, right = (
        np.swapaxes(value, -1, -2).astype(np.float64) if flipped else value.astype(np.float64)
        for value, flipped in zip_strict(inputs, (options["adj_x"], options["adj_y"]))
    )
    require_size((*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1]))
    return ((left @ right).astype(np.float32),)


def _with_bias(inputs: list[Any]) -> tuple[Array, Array, Array | None]:
    values, weights, bias = [*inputs, None][:3]
    return values, weights, bias


def _pool(reduce: Any) -> Kernel:
    def pool(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = inputs
        result = pooled(values, options, lambda window, axis: reduce(window.astype(np.float64), axis=axis))
        return (activate(result, options),)

    return pool


def _reduction(function: Any) -> Kernel:
    def reduce(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        values, axes = inputs
        wide = values.astype(np.float64) if values.dtype == np.float32 else values
        axis = tuple({int(axis) % values.ndim for axis in np.ravel(axes)})
        return (np.asarray(function(wide, axis=axis, keepdims=options["keep_dims"])).astype(values.dtype),)

    return reduce


def _softmax(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values = inputs[0].astype(np.float64) * options["beta"]
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return ((exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32),)


def _log_softmax(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values = inputs[0].astype(np.float64)
    values = values - values.max(axis=-1, keepdims=True)
    return ((values - np.log(np.exp(values).sum(axis=-1, keepdims=True))).astype(np.float32),)


def _rfft_2d(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    values, lengths = inputs
    size = tuple(int(length) for length in lengths)
    require_size((*values.shape[:-2], *size))
    return (np.fft.rfft2(values.astype(np.float64), s=size).astype(np.complex64),)


OPERATORS: dict[str, Kernel] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "AVERAGE_POOL_2D": _pool(np.mean),
    "MAX_POOL_2D": _pool(np.max),
    "MEAN": _reduction(np.mean),
    "SUM": _reduction(np.sum),
    "REDUCE_PROD": _reduction(np.prod),
    "REDUCE_MAX": _reduction(np.max),
    "REDUCE_MIN": _reduction(np.min),
    "REDUCE_ANY": _reduction(np.any),
    "REDUCE_ALL": _reduction(np.all),
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "RFFT2D": _rfft_2d,
}
