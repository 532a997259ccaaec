"""Random valid graphs, executed as they are made by the operators of the reference.

random_graph(number) -> RandomGraph: a file, inputs for two runs, and what the first gives
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bnn_exit.model_file import schema
from fuzzing import bits, layers, moves, values
from fuzzing.bits import quantize_value
from fuzzing.maker import Adders, Maker, Unfit, Value
from fuzzing.parts import FileParts
from fuzzing.values import COMPARISONS, activation

MOST_BRANCHES = 3


@dataclasses.dataclass
class RandomGraph:
    """A file, inputs for two runs, and what the first gives."""

    data: bytes
    inputs: list[list[Any]]
    outputs: list[Any]
    operators: list[str]


def random_graph(seed: int) -> RandomGraph:
    """The graph of that number."""
    random = np.random.default_rng(seed)
    file = FileParts()
    file.alignment = int(random.choice([16, 16, 16, 4, 1]))
    maker = Maker(
        file, random, ADDERS, style=str(random.choice(["grid", "grid", "grid", "spread", "special", "dynamic"]))
    )
    for _ in range(maker.between(1, 2)):
        maker.values.append(maker.image() if maker.chance(0.7) else maker.fresh(maker.shape(), "float32"))
    maker.grow(maker.one_of([1, 2, 3, 5, 8, 12, 20]))
    outputs = maker.choose_outputs()
    maker.end(outputs)
    first = _inputs(maker)
    second = [maker.numbers(array.shape, array.dtype.name) for array in first]
    names = [custom or schema.OPERATOR_NAMES[code] for code, custom in file.codes]
    used = [names[operator.code] for graph in file.graphs for operator in graph.operators]
    return RandomGraph(file.to_bytes(), [first, second], [value.array for value in outputs], used)


def _inputs(maker: Maker) -> list[Any]:
    known = {value.index: value.array for value in maker.values}
    return [known[index] for index in maker.graph.inputs]


def follow(maker: Maker, value: Value) -> Value:
    """Operators after a layer, which may or may not be fused into it: constants of each channel, clamps, residuals."""
    for _ in range(maker.one_of([0, 1, 1, 2, 3, 5, 8])):
        shape, kind = value.array.shape, maker.below(7)
        if kind == 0:
            (value,) = maker.add(maker.one_of(["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"]), [value], ["float32"])
        elif kind == 1 and shape:
            leading = maker.one_of([(), (1,) * (len(shape) - 1)])
            (value,) = maker.add(
                "PRELU", [value, maker.constant(maker.numbers(leading + shape[-1:], "float32"))], ["float32"]
            )
        elif kind == 2:
            same = [other for other in maker.values if other.array.shape == shape and other.array.dtype == np.float32]
            pair = [value, maker.one_of(same)]
            if maker.chance(0.5):
                pair.reverse()
            (value,) = maker.add(maker.one_of(["ADD", "ADD", "MUL"]), pair, ["float32"], **activation(maker))
        elif kind == 3 and maker.chance(0.3):
            (value,) = maker.add("LOGISTIC", [value], ["float32"])
        else:
            form = maker.one_of([(), (1,), shape[-1:], (1,) * max(0, len(shape) - 1) + shape[-1:]])
            pair = [value, maker.constant(maker.numbers(form, "float32"))]
            if maker.chance(0.2):
                pair.reverse()
            (value,) = maker.add(maker.one_of(["ADD", "MUL", "SUB"]), pair, ["float32"], **activation(maker))
        if maker.chance(0.12) and value.array.ndim == 4:
            quantize_value(maker, value)
    return value


def block(maker: Maker) -> None:
    """A layer and what may become part of it, perhaps with the signs of the result."""
    value = follow(
        maker, maker.one_of([layers.convolution, layers.depthwise, layers.pool, layers.dense, bits.binary])(maker)
    )
    if maker.chance(0.4) and value.array.ndim == 4:
        quantize_value(maker, value)


def branch(maker: Maker) -> None:
    """An IF of two subgraphs that share some values and end in results of the same shapes."""
    if maker.depth >= MOST_BRANCHES or len(maker.file.graphs) > 12:
        raise Unfit
    truths = [value for value in maker.values if value.array.dtype == np.bool_ and value.array.size == 1]
    if truths and maker.chance(0.6):
        condition = maker.one_of(truths)
    elif maker.depth or maker.chance(0.5):
        value = maker.pick(lambda value: value.array.dtype == np.float32 and value.array.size)
        axes = np.arange(value.array.ndim)
        if value.array.ndim:
            (value,) = maker.add("REDUCE_MAX", [value, maker.constant(axes, "int32")], ["float32"], keep_dims=False)
        pair = [value, maker.constant(maker.numbers((), "float32"))]
        (condition,) = maker.add(maker.one_of(COMPARISONS), pair, ["bool"])
    else:
        condition = maker.input(np.array(maker.chance(0.5)))
    shared = [maker.one_of(maker.values) for _ in range(maker.between(1, 4))]
    wanted: list[Value] = []
    graphs = []
    for number in range(2):
        inner = Maker(maker.file, maker.random, maker.adders, style=maker.style, depth=maker.depth + 1)
        for value in shared:
            inner.input(value.array, channels=value.channels)
        inner.grow(maker.one_of([0, 1, 2, 4, 8]))
        results = inner.choose_outputs()[:3] if number == 0 else [_same(inner, value) for value in wanted]
        inner.end(results)
        graphs.append((maker.file.graphs.index(inner.graph), results))
        wanted = wanted or results
    chosen = graphs[0][1] if condition.array.reshape(-1)[0] else graphs[1][1]
    outputs = [Value(maker.tensor(value.array), value.array, channels=value.channels) for value in chosen]
    options = {"then_subgraph_index": graphs[0][0], "else_subgraph_index": graphs[1][0]}
    maker.write("IF", [condition, *shared], outputs, options)


def _same(maker: Maker, wanted: Value) -> Value:
    """A value of the type and shape of another."""
    dtype, shape = wanted.array.dtype, wanted.array.shape
    found = [
        value
        for value in maker.values
        if value.array.dtype == dtype and value.array.shape == shape and value.channels == wanted.channels
    ]
    if found and maker.chance(0.8):
        return maker.one_of(found)
    return maker.constant(maker.numbers(shape, dtype.name), channels=wanted.channels)


ADDERS: Adders = (
    (4, block),
    (3, bits.binary),
    (3, bits.binary_packed),
    (2, bits.binary_pool),
    (2, bits.dequantize),
    (2, bits.quantize),
    (0.5, bits.words_as_numbers),
    (1, layers.convolution),
    (1, layers.depthwise),
    (1.5, layers.pool),
    (1.5, layers.dense),
    (2, moves.image_again),
    (2, values.function),
    (1, values.function_of_numbers),
    (1.5, values.clamp),
    (0.5, values.leaky),
    (0.3, values.zeros),
    (0.7, values.logical),
    (4, values.arithmetic),
    (0.4, values.power),
    (1, values.prelu),
    (1, values.compare),
    (1, values.select),
    (1.5, values.cast),
    (0.3, values.complex_part),
    (0.7, values.softmax),
    (0.7, layers.batch_matmul),
    (1.5, layers.reduction),
    (0.7, layers.spectrum),
    (2, moves.reshape),
    (0.6, moves.squeeze),
    (0.6, moves.expand_dims),
    (1, moves.transpose),
    (1.2, moves.concatenation),
    (1, moves.split),
    (0.8, moves.pack_values),
    (0.8, moves.gather),
    (1.2, moves.slices),
    (1, moves.pad),
    (0.7, moves.blocks_of_space),
    (0.7, moves.repeat),
    (0.6, moves.made),
    (0.6, values.arg),
    (1.5, branch),
)
