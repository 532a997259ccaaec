"""Operators that treat each value on its own, with NumPy's broadcasting, which is TFLite's.

Functions other than the four rules of arithmetic are computed in float64 and rounded, so that the mathematics library
of the machine does not show in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnn_exit.model_file.header import Tensor
from bnn_exit.runtime.reference.common import (
    FLOATS,
    NUMBERS,
    Array,
    Kernel,
    Options,
    activate,
    clamp,
    operands,
)

_TRUTHS = ("bool",)
_CAST_FROM = ("float32", "float16", "float64", "int32", "int64", "int8", "uint8", "bool", "complex64")
_CAST_TO = ("float32", "float64", "int32", "int64", "int8", "uint8", "bool")


# Each of these unpacks exactly the inputs that its function takes: NumPy would take one more for an array to write to.


def _of_one(function: Callable[[Any], Any], types: tuple[str, ...] = FLOATS) -> Kernel:
    """For functions that are exact: the type of the input."""

    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs, 1, types)
        return (np.asarray(function(values), values.dtype),)

    return run


def _of_two(function: Callable[[Any, Any], Any], types: tuple[str, ...] = NUMBERS) -> Kernel:
    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        left, right = operands(inputs, 2, types)
        return (np.asarray(function(left, right), left.dtype),)

    return run


def _arithmetic(function: Callable[[Any, Any], Any]) -> Kernel:
    exact = _of_two(function)

    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        return (activate(exact(inputs, options, outputs)[0], options),)

    return run


def _rounded(function: Callable[[Any], Any]) -> Kernel:
    """For functions that are computed in float64 and rounded once to float32."""

    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs, 1, FLOATS)
        return (np.asarray(function(values.astype(np.float64)), np.float32),)

    return run


def _power(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    base, exponent = operands(inputs, 2, FLOATS)
    return (np.asarray(np.power(base.astype(np.float64), exponent.astype(np.float64)), np.float32),)


def _truth(function: Callable[[Any, Any], Any], types: tuple[str, ...] = (*NUMBERS, *_TRUTHS)) -> Kernel:
    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        left, right = operands(inputs, 2, types)
        return (np.asarray(function(left, right), np.bool_),)

    return run


def _check_divisor(left: Array, right: Array) -> None:
    if left.dtype.kind != "f" and left.size and not np.all(right):
        raise ZeroDivisionError("a whole number is divided by zero")


def _divide(left: Array, right: Array) -> Array:
    if left.dtype.kind == "f":
        return left / right
    _check_divisor(left, right)
    # Like C: towards zero.
    inexact = (left % right != 0) & ((left < 0) != (right < 0))
    return left // right + inexact.astype(left.dtype)


def _floor_divide(left: Array, right: Array) -> Array:
    _check_divisor(left, right)
    return np.floor(left / right) if left.dtype.kind == "f" else left // right


def _floor_modulo(left: Array, right: Array) -> Array:
    _check_divisor(left, right)
    return np.mod(left, right)


# NaN wins; of two equal values (0 and -0) the second is taken, as in TFLite.


def _maximum(left: Array, right: Array) -> Array:
    return np.where((left > right) | (left != left), left, right)


def _minimum(left: Array, right: Array) -> Array:
    return np.where((left < right) | (left != left), left, right)


def _leaky_relu(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = operands(inputs, 1, FLOATS)
    return (np.where(values > 0, values, values * np.float32(options["alpha"])).astype(np.float32),)


def _select(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """The old form, in which a list of conditions chooses whole rows."""
    condition, chosen, other = inputs
    if condition.ndim == 1 and chosen.ndim > 1:
        condition = condition.reshape(-1, *[1] * (chosen.ndim - 1))
    return _select_v2([condition, chosen, other], options, outputs)


def _select_v2(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (condition,) = operands(inputs[:1], 1, _TRUTHS)
    chosen, other = operands(inputs[1:], 2, (inputs[1].dtype.name,), beside=condition.shape)
    return (np.where(condition, chosen, other),)


def _cast(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = operands(inputs, 1, _CAST_FROM)
    target = outputs[0].dtype
    if target not in _CAST_TO:
        raise TypeError(f"a result of {target} is not supported")
    if values.dtype.kind == "c":
        values = values.real
    if values.dtype.kind == "f" and np.dtype(target).kind in "iu":
        return (_to_whole(values, np.dtype(target)),)
    return (values.astype(target),)


def _to_whole(values: Array, dtype: np.dtype[Any]) -> Array:
    """Towards zero. What the type does not hold, which C leaves undefined, becomes its least number; so does NaN."""
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    towards_zero = np.trunc(values.astype(np.float64))
    fits = (towards_zero >= float(least)) & (towards_zero < float(most + 1))
    return np.where(fits, towards_zero, float(least)).astype(dtype)


def _complex(function: Callable[[Any], Any]) -> Kernel:
    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        (values,) = operands(inputs, 1, ("complex64",))
        return (np.asarray(function(values), np.float32),)

    return run


def _hard_swish(values: Array) -> Array:
    return values * np.clip(values + 3, 0, 6) / 6


def _logistic(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def _relu(low: float, high: float) -> Kernel:
    return _of_one(lambda values: clamp(values, low, high))


def _zeros_like(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = inputs
    return (np.zeros_like(values),)


OPERATORS: dict[str, Kernel] = {
    "ADD": _arithmetic(np.add),
    "SUB": _arithmetic(np.subtract),
    "MUL": _arithmetic(np.multiply),
    "DIV": _arithmetic(_divide),
    "FLOOR_DIV": _of_two(_floor_divide),
    "FLOOR_MOD": _of_two(_floor_modulo),
    "MAXIMUM": _of_two(_maximum),
    "MINIMUM": _of_two(_minimum),
    "SQUARED_DIFFERENCE": _of_two(lambda left, right: (left - right) * (left - right)),
    "ABS": _of_one(np.abs, NUMBERS),
    "NEG": _of_one(np.negative, NUMBERS),
    "SIGN": _of_one(np.sign, NUMBERS),
    "SQUARE": _of_one(np.square, NUMBERS),
    "FLOOR": _of_one(np.floor),
    "CEIL": _of_one(np.ceil),
    "ROUND": _of_one(np.round),
    "SQRT": _of_one(np.sqrt),
    "RELU": _relu(0, np.inf),
    "RELU6": _relu(0, 6),
    "RELU_N1_TO_1": _relu(-1, 1),
    "RELU_0_TO_1": _relu(0, 1),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _of_two(lambda values, alpha: np.where(values >= 0, values, values * alpha), FLOATS),
    "ELU": _rounded(lambda values: np.where(values < 0, np.expm1(np.minimum(values, 0)), values)),
    "HARD_SWISH": _rounded(_hard_swish),
    "LOGISTIC": _rounded(_logistic),
    "TANH": _rounded(np.tanh),
    "EXP": _rounded(np.exp),
    "LOG": _rounded(np.log),
    "SIN": _rounded(np.sin),
    "COS": _rounded(np.cos),
    "RSQRT": _rounded(lambda values: 1 / np.sqrt(values)),
    "POW": _power,
    "LESS": _truth(np.less),
    "LESS_EQUAL": _truth(np.less_equal),
    "GREATER": _truth(np.greater),
    "GREATER_EQUAL": _truth(np.greater_equal),
    "EQUAL": _truth(np.equal),
    "NOT_EQUAL": _truth(np.not_equal),
    "LOGICAL_AND": _truth(np.logical_and, _TRUTHS),
    "LOGICAL_OR": _truth(np.logical_or, _TRUTHS),
    "LOGICAL_NOT": _of_one(np.logical_not, _TRUTHS),
    "SELECT": _select,
    "SELECT_V2": _select_v2,
    "CAST": _cast,
    "DEQUANTIZE": _cast,  # of float16 weights; quantized tensors are refused when a file is loaded
    "COMPLEX_ABS": _complex(lambda values: np.abs(values.astype(np.complex128))),
    "REAL": _complex(np.real),
    "IMAG": _complex(np.imag),
    "ZEROS_LIKE": _zeros_like,
}
