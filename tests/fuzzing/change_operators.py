"""Changes of operators: their options, what they read and write, and which they are."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np

from bnn_exit.errors import BnnExitError
from bnn_exit.model_file import schema
from bnn_exit.model_file.flexbuffer import read_map
from bnn_exit.runtime.reference.interpreter import OPERATORS
from fuzzing.changer import FLOATS, Changer, dynamic
from fuzzing.flex import flexbuffer
from fuzzing.parts import TYPES, OperatorPart, TensorPart


def options(change: Changer) -> None:
    _, operator = change.operator()
    if operator.custom:
        _custom_options(change, operator)
        return
    if change.chance(0.1):
        operator.table = change.one_of([0, *schema.OPTIONS, 200])
        return
    fields = schema.OPTIONS.get(operator.table, ())
    if not fields:
        return
    name, _, kind, default = change.one_of(fields)
    if change.chance(0.1):
        operator.options.pop(name, None)
    elif kind == "int32s":
        values = list(operator.options.get(name, default))
        operator.options[name] = (
            values[:-1]
            if change.chance(0.3)
            else [*values, change.number()]
            if change.chance(0.4)
            else [change.number() for _ in values]
        )
    elif kind == "bool":
        operator.options[name] = not operator.options.get(name, default)
    elif kind == "float32":
        operator.options[name] = change.one_of(FLOATS)
    elif kind == "int32":
        operator.options[name] = max(-(2**31), min(2**31 - 1, change.number(operator.options.get(name, default))))
    else:
        operator.options[name] = change.one_of([0, 1, 2, 3, 4, 5, 6, -1, 127])


def _custom_options(change: Changer, operator: OperatorPart) -> None:
    try:
        pairs: list[tuple[str, Any]] = list(read_map(operator.custom).items())
    except BnnExitError:
        return
    if not pairs:
        return
    place = change.place(pairs)
    name, value = pairs[place]
    kind = change.random.integers(8)
    if kind == 0:
        del pairs[place]
    elif kind == 1:
        pairs.append((name, change.number()))
    elif kind == 2:
        pairs[place] = (
            name,
            change.one_of([True, False, "x", 1.5, float(value) if isinstance(value, int) else 0.0, float("nan")]),
        )
    elif kind == 3:
        pairs.append((change.one_of(["", "x", "groups", "filter_height"]), change.number()))
    else:
        pairs[place] = (name, change.number(value) if isinstance(value, int) else 1)
    with contextlib.suppress(OverflowError, ValueError):
        operator.custom = flexbuffer(pairs, width=change.one_of([4, 4, 2, 8]))


def links(change: Changer) -> None:
    graph, operator = change.operator()
    ends = operator.inputs if change.chance(0.7) else operator.outputs
    if not ends:
        return
    place = change.place(ends)
    alike = [
        k
        for k, tensor in enumerate(graph.tensors)
        if ends[place] < len(graph.tensors) and tensor.type == graph.tensors[ends[place]].type
    ]
    ends[place] = (
        change.one_of(alike)
        if alike and change.chance(0.7)
        else change.one_of([-1, -1, -2, change.place(graph.tensors), len(graph.tensors)])
    )


def counts(change: Changer) -> None:
    """More or fewer inputs or outputs of an operator or a subgraph."""
    graph, operator = change.operator()
    ends = change.one_of([operator.inputs, operator.inputs, operator.outputs, graph.inputs, graph.outputs])
    if ends and change.chance(0.4):
        del ends[change.place(ends)]
    elif change.chance(0.5) and ends:
        ends.insert(change.place([*ends, 0]), change.one_of(ends))
    elif change.chance(0.5):
        ends.append(change.place(graph.tensors))
    else:
        other = copy.copy(change.one_of(graph.tensors))
        graph.tensors.append(other)
        ends.append(len(graph.tensors) - 1)


def operators(change: Changer) -> None:
    graph, operator = change.operator()
    kind, place = change.random.integers(6), graph.operators.index(operator)
    if kind == 0:
        del graph.operators[place]
    elif kind == 1:
        graph.operators.insert(place, copy.deepcopy(change.one_of(graph.operators)))
    elif kind == 2:
        other = change.place(graph.operators)
        graph.operators[place], graph.operators[other] = graph.operators[other], operator
    elif kind == 3:
        operator.code = change.one_of([*range(len(change.file.codes)), 2**31])
    else:
        operator.code = change.file.code(change.one_of([*OPERATORS, "IF", "WHILE", "GELU", "LceNone", "EXP2"]))
        operator.table = schema.OPTIONS_OF.get(change.name_of(operator), 0)
        dynamic(change)


def insert(change: Changer) -> None:
    """An operator of one value between two others, its result in place of what it reads."""
    graph, operator = change.operator()
    if not operator.inputs:
        return
    place = change.place(operator.inputs)
    index = operator.inputs[place]
    if not 0 <= index < len(graph.tensors):
        return
    source = graph.tensors[index]
    graph.tensors.append(TensorPart(list(source.shape), source.type, 0, "inserted"))
    name = change.one_of(
        ["ABS", "NEG", "SQUARE", "RELU", "SIGN", "RESHAPE", "ZEROS_LIKE", "FLOOR", "LOGICAL_NOT", "EXP", "FILL", "CAST"]
    )
    inputs = [index]
    if name in ("RESHAPE", "FILL"):
        wanted = np.array(source.shape, np.int64).clip(-(2**31), 2**31 - 1).astype(np.int32)
        graph.tensors.append(TensorPart([len(wanted)], TYPES["int32"], change.file.buffer(wanted.tobytes()), "shape"))
        inputs.append(len(graph.tensors) - 1)
    if name == "FILL":
        data = np.zeros(1, schema.NUMPY_TYPES.get(schema.ELEMENT_TYPES[source.type % 18], np.float32)).tobytes()
        graph.tensors.append(TensorPart([], source.type, change.file.buffer(data), "value"))
        inputs = [inputs[1], len(graph.tensors) - 1]
    made = graph.tensors.index(next(tensor for tensor in graph.tensors[::-1] if tensor.name == "inserted"))
    part = OperatorPart(change.file.code(name), inputs, [made], schema.OPTIONS_OF.get(name, 0))
    graph.operators.insert(graph.operators.index(operator), part)
    operator.inputs[place] = made


def twice(change: Changer) -> None:
    """Another reader of a value, so that it is read twice."""
    graph, operator = change.operator()
    reads = [index for index in operator.inputs if 0 <= index < len(graph.tensors)]
    if not reads:
        return
    index = change.one_of(reads)
    if change.chance(0.4):
        graph.outputs.append(index)
        return
    source = graph.tensors[index]
    graph.tensors.append(TensorPart(list(source.shape), source.type, 0, "more"))
    part = OperatorPart(
        change.file.code(change.one_of(["ABS", "NEG", "RELU", "SQUARE"])), [index], [len(graph.tensors) - 1]
    )
    graph.operators.insert(change.place([*graph.operators, 0]), part)
    graph.outputs.append(len(graph.tensors) - 1)
