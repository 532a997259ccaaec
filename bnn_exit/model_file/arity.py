"""How many inputs and outputs each operator has. `native/core/format/arity.inc` is the same table for the native
backend.

Later code does not check again: with one input too many NumPy would write to an array of the network, and one output
too many would never be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bnn_exit.model_file.tables import damaged

MANY = 2**31 - 1
"""No limit."""

_ONE = (
    "ABS NEG SIGN SQUARE FLOOR CEIL ROUND SQRT RSQRT RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU ELU "
    "HARD_SWISH LOGISTIC TANH EXP LOG SIN COS LOGICAL_NOT ZEROS_LIKE REAL IMAG COMPLEX_ABS SOFTMAX LOG_SOFTMAX "
    "CAST DEQUANTIZE SHAPE SQUEEZE AVERAGE_POOL_2D MAX_POOL_2D LceQuantize LceDequantize LceBMaxPool2d"
)
_TWO = (
    "ADD SUB MUL DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM SQUARED_DIFFERENCE POW PRELU LESS LESS_EQUAL GREATER "
    "GREATER_EQUAL EQUAL NOT_EQUAL LOGICAL_AND LOGICAL_OR ARG_MAX ARG_MIN EXPAND_DIMS TRANSPOSE GATHER MIRROR_PAD "
    "TILE BROADCAST_TO FILL MEAN SUM REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL BATCH_MATMUL RFFT2D"
)
_THREE = "SELECT SELECT_V2 SLICE RANGE SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND"

ARITY: dict[str, tuple[int, int, int, int]] = {
    **{name: (1, 1, 1, 1) for name in _ONE.split()},
    **{name: (2, 2, 1, 1) for name in _TWO.split()},
    **{name: (3, 3, 1, 1) for name in _THREE.split()},
    "RESHAPE": (1, 2, 1, 1),
    "PAD": (2, 3, 1, 1),
    "PADV2": (2, 3, 1, 1),
    "CONV_2D": (2, 3, 1, 1),
    "DEPTHWISE_CONV_2D": (2, 3, 1, 1),
    "FULLY_CONNECTED": (2, 3, 1, 1),
    "STRIDED_SLICE": (4, 4, 1, 1),
    "LceBconv2d": (5, 5, 1, 1),
    "CONCATENATION": (1, MANY, 1, 1),
    "PACK": (1, MANY, 1, 1),
    "SPLIT": (2, 2, 1, MANY),
    "SPLIT_V": (3, 3, 1, MANY),
    "UNPACK": (1, 1, 1, MANY),
    "IF": (1, MANY, 0, MANY),
}
"""Operator -> least and most inputs, least and most outputs. Inputs include optional ones that are not given."""

_COUNTED = {
    "PACK": ("values_count", "inputs"),
    "UNPACK": ("num", "outputs"),
    "SPLIT": ("num_splits", "outputs"),
    "SPLIT_V": ("num_splits", "outputs"),
}
"""Operator -> the option that repeats the number of its inputs or outputs."""


def check(name: str, options: Mapping[str, Any], inputs: int, outputs: int) -> None:
    """Raise ModelFileError if an operator has too few or too many inputs or outputs. Unknown operators may have any."""
    if name not in ARITY:
        return
    least_inputs, most_inputs, least_outputs, most_outputs = ARITY[name]
    for what, count, least, most in (
        ("inputs", inputs, least_inputs, most_inputs),
        ("outputs", outputs, least_outputs, most_outputs),
    ):
        option = _COUNTED.get(name, ("", ""))
        if not least <= count <= most or (option[1] == what and options[option[0]] != count):
            raise damaged(f"an operator {name} has {count} {what}")
