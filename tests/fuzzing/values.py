"""Operators on each value of its own, in random graphs."""

from __future__ import annotations

import numpy as np

from fuzzing.maker import Maker, Unfit

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


def arg(maker: Maker) -> None:
    value = maker.pick_type("float32", "float32", "int32", rank=1)
    if not value.array.size:
        raise Unfit
    axis = maker.constant(maker.between(-value.array.ndim, value.array.ndim - 1), "int32")
    maker.add(maker.one_of(["ARG_MAX", "ARG_MIN"]), [value, axis], [((), maker.one_of(["int32", "int64"]))])
