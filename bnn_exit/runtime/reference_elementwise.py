"""Operators that treat each value on its own, with NumPy's broadcasting, which is TFLite's.

Functions other than the four rules of arithmetic are computed in float64 and rounded, so that the mathematics library
of the machine does not show in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnn_exit.runtime.flatbuffer import Tensor
from bnn_exit.runtime.reference_common import Array, Kernel, Options, activate


def _arithmetic(function: Callable[..., Any]) -> Kernel:
    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        left, right = inputs
        return (activate(np.asarray(function(left, right), left.dtype), options),)

    return run


def _divide(left: Array, right: Array) -> Array:
    if left.dtype.kind == "f":
        return left / right
    if not np.all(right):
        raise ZeroDivisionError("a whole number is divided by zero")
    # Like C: towards zero.
    return np.trunc(left.astype(np.float64) / right)


def _floor_divide(left: Array, right: Array) -> Array:
    if left.dtype.kind != "f" and not np.all(right):
        raise ZeroDivisionError("a whole number is divided by zero")
    return np.floor(left / right) if left.dtype.kind == "f" else left // right


def _same_type(function: Callable[..., Any]) -> Kernel:
    """For functions whose result is exact, or of whole numbers: the type of the first input."""

    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        return (np.asarray(function(*inputs), inputs[0].dtype),)

    return run


def _rounded(function: Callable[..., Any]) -> Kernel:
    """For functions that are computed in float64 and rounded once to float32."""

    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        return (np.asarray(function(*(value.astype(np.float64) for value in inputs)), np.float32),)

    return run


def _truth(function: Callable[..., Any]) -> Kernel:
    def run(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
        return (np.asarray(function(*inputs), np.bool_),)

    return run


def _leaky_relu(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = inputs
    return (np.where(values > 0, values, values * np.float32(options["alpha"])).astype(np.float32),)


def _select(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    """The old form, in which a list of conditions chooses whole rows."""
    condition, chosen, other = inputs
    if condition.ndim == 1 and chosen.ndim > 1:
        condition = condition.reshape(-1, *[1] * (chosen.ndim - 1))
    return (np.where(condition, chosen, other),)


def _select_v2(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    condition, chosen, other = inputs
    return (np.where(condition, chosen, other),)


def _cast(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    (values,) = inputs
    if values.dtype.kind == "c" and not outputs[0].dtype.startswith("complex"):
        values = values.real
    return (values.astype(outputs[0].dtype),)


def _complex_abs(inputs: list[Any], options: Options, outputs: tuple[Tensor, ...]) -> tuple[Array]:
    return (np.abs(inputs[0].astype(np.complex128)).astype(np.float32),)


def _hard_swish(values: Array) -> Array:
    return values * np.clip(values + 3, 0, 6) / 6


def _logistic(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def _relu(low: float, high: float) -> Kernel:
    return _same_type(lambda values: np.clip(values, low, high))


OPERATORS: dict[str, Kernel] = {
    "ADD": _arithmetic(np.add),
    "SUB": _arithmetic(np.subtract),
    "MUL": _arithmetic(np.multiply),
    "DIV": _arithmetic(_divide),
    "FLOOR_DIV": _same_type(_floor_divide),
    "FLOOR_MOD": _same_type(np.mod),
    "MAXIMUM": _same_type(np.maximum),
    "MINIMUM": _same_type(np.minimum),
    "SQUARED_DIFFERENCE": _same_type(lambda left, right: (left - right) * (left - right)),
    "ABS": _same_type(np.abs),
    "NEG": _same_type(np.negative),
    "SIGN": _same_type(np.sign),
    "SQUARE": _same_type(np.square),
    "FLOOR": _same_type(np.floor),
    "CEIL": _same_type(np.ceil),
    "ROUND": _same_type(np.round),
    "SQRT": _same_type(np.sqrt),
    "RELU": _relu(0, np.inf),
    "RELU6": _relu(0, 6),
    "RELU_N1_TO_1": _relu(-1, 1),
    "RELU_0_TO_1": _relu(0, 1),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _same_type(lambda values, alpha: np.where(values >= 0, values, values * alpha)),
    "ELU": _rounded(lambda values: np.where(values < 0, np.expm1(np.minimum(values, 0)), values)),
    "HARD_SWISH": _rounded(_hard_swish),
    "LOGISTIC": _rounded(_logistic),
    "TANH": _rounded(np.tanh),
    "EXP": _rounded(np.exp),
    "LOG": _rounded(np.log),
    "SIN": _rounded(np.sin),
    "COS": _rounded(np.cos),
    "RSQRT": _rounded(lambda values: 1 / np.sqrt(values)),
    "POW": _rounded(np.power),
    "LESS": _truth(np.less),
    "LESS_EQUAL": _truth(np.less_equal),
    "GREATER": _truth(np.greater),
    "GREATER_EQUAL": _truth(np.greater_equal),
    "EQUAL": _truth(np.equal),
    "NOT_EQUAL": _truth(np.not_equal),
    "LOGICAL_AND": _truth(np.logical_and),
    "LOGICAL_OR": _truth(np.logical_or),
    "LOGICAL_NOT": _truth(np.logical_not),
    "SELECT": _select,
    "SELECT_V2": _select_v2,
    "CAST": _cast,
    "DEQUANTIZE": _cast,  # of float16 weights; quantized tensors are refused when a file is loaded
    "COMPLEX_ABS": _complex_abs,
    "REAL": lambda inputs, options, outputs: (inputs[0].real,),
    "IMAG": lambda inputs, options, outputs: (inputs[0].imag,),
    "ZEROS_LIKE": _same_type(np.zeros_like),
}
