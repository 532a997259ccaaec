"""Structural changes of files: what a damaged or hostile writer would give, not what a damaged disk would.

    changed(file, seed) -> bytes

Random bytes cannot keep two shapes consistent, so most such files would be refused at the first check; here every
change may come with results whose shapes are only known at run time, and those files get far.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from file_parts import CODES, TYPES, FileParts, GraphPart, OperatorPart, TensorPart, flexbuffer, parts_of

from bnn_exit.errors import BnnExitError
from bnn_exit.runtime import schema
from bnn_exit.runtime.flexbuffer import read_map
from bnn_exit.runtime.reference import OPERATORS

INTEGERS = (
    -(2**31),
    -65536,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    31,
    32,
    33,
    63,
    64,
    65,
    255,
    65535,
    65536,
    2**20,
    2**26,
    2**31 - 1,
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3e38, -3e38, 1e-42, float("inf"), float("-inf"), float("nan"))
ODD_JSON = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    1e300,
    0.5,
    "",
    "x",
    "\u0000",
    "\u001b[31m",
    "\ud83d\ude00",
    [],
    [1],
    ["a", "a"],
    {},
    {"a": 1},
)
SMALL = (0, 1, 2, 3, 4, 5, 31, 32, 33, 64)
ITEM = {code: schema.NUMPY_TYPES[name].itemsize for name, code in TYPES.items() if name in schema.NUMPY_TYPES}


class Changer:
    """The file and the dice."""

    def __init__(self, file: FileParts, random: np.random.Generator) -> None:
        self.file, self.random = file, random

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def place(self, items: Sequence[Any]) -> int:
        return int(self.random.integers(len(items)))

    def graph(self) -> GraphPart:
        return self.one_of([graph for graph in self.file.graphs if graph.operators] or self.file.graphs)

    def operator(self) -> tuple[GraphPart, OperatorPart]:
        graph = self.graph()
        return graph, self.one_of(graph.operators)

    def tensor(self) -> tuple[GraphPart, TensorPart]:
        graph = self.graph()
        return graph, self.one_of(graph.tensors)

    def number(self, value: int = 0) -> int:
        if self.chance(0.3):
            return value + self.one_of([-1, 1, 1, 2])
        return self.one_of(SMALL) if self.chance(0.5) else self.one_of(INTEGERS)

    def name_of(self, operator: OperatorPart) -> str:
        code = self.file.codes[operator.code] if operator.code < len(self.file.codes) else (0, "")
        return code[1] if code[0] == schema.CUSTOM else schema.OPERATOR_NAMES[code[0] % len(schema.OPERATOR_NAMES)]


# ---- shapes, types and values


def shape(change: Changer) -> None:
    _, tensor = change.tensor()
    kind = change.random.integers(6)
    if kind == 0 and len(tensor.shape) < 9:
        tensor.shape.insert(change.place([*tensor.shape, 0]), change.one_of([1, 1, 2, 0]))
    elif kind == 1 and tensor.shape:
        del tensor.shape[change.place(tensor.shape)]
    elif kind == 2:
        change.random.shuffle(tensor.shape)
    elif tensor.shape:
        axis = change.place(tensor.shape)
        tensor.shape[axis] = change.number(tensor.shape[axis])


def input_shape(change: Changer) -> None:
    """Another size of what comes in, with all results to be found out."""
    graph = change.graph()
    if not graph.inputs:
        return
    tensor = graph.tensors[change.one_of(graph.inputs) % len(graph.tensors)]
    if tensor.shape:
        axis = change.place(tensor.shape)
        tensor.shape[axis] = change.one_of([1, 2, 3, 5, 8, 17, 33, 0, 64, 4096, 2**31 - 1])
    dynamic(change)


def dynamic(change: Changer) -> None:
    """Shapes of results are found out in a run."""
    for graph in change.file.graphs:
        for tensor in graph.tensors:
            if not tensor.buffer and tensor.shape:
                tensor.announced = [-1] * len(tensor.shape)


def constant_shape(change: Changer) -> None:
    """A constant of another shape, with as many bytes as that needs."""
    graph = change.graph()
    found = [tensor for tensor in graph.tensors if 0 < tensor.buffer < len(change.file.buffers) and tensor.shape]
    if not found:
        return
    tensor = change.one_of(found)
    axis = change.place(tensor.shape)
    tensor.shape[axis] = max(0, min(change.number(tensor.shape[axis]), 70))
    size = int(np.prod([abs(size) for size in tensor.shape], dtype=object)) * ITEM.get(tensor.type, 4)
    if size < 1 << 18:
        data = change.file.buffers[tensor.buffer] or b"\0"
        tensor.buffer = change.file.buffer((data * (size // len(data) + 1))[:size])


def constant_value(change: Changer) -> None:
    """One number of a constant, often of those that say how: axes, margins, shapes."""
    graph = change.graph()
    found = [tensor for tensor in graph.tensors if 0 < tensor.buffer < len(change.file.buffers) and tensor.type in ITEM]
    small = [tensor for tensor in found if len(change.file.buffers[tensor.buffer]) <= 64]
    if not found:
        return
    tensor = change.one_of(small if small and change.chance(0.8) else found)
    dtype = schema.NUMPY_TYPES[schema.ELEMENT_TYPES[tensor.type]]
    data = change.file.buffers[tensor.buffer]
    values = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).copy()
    if not values.size:
        return
    with np.errstate(all="ignore"):
        number = change.one_of(FLOATS) if dtype.kind in "fc" else change.number(int(values[0]))
        values[change.place(values)] = np.array(number).astype(dtype)
    tensor.buffer = change.file.buffer(values.tobytes())


def element_type(change: Changer) -> None:
    graph, tensor = change.tensor()
    new = change.one_of([*list(ITEM), 5, 0, 2, 6])
    if change.chance(0.5):
        tensor.type = new
        return
    old = tensor.type
    for other in graph.tensors:
        if other.type == old and not other.buffer:
            other.type = new


def flags(change: Changer) -> None:
    _, tensor = change.tensor()
    if change.chance(0.5):
        tensor.scales = [1.0] * change.one_of([1, 2])
    elif change.chance(0.7):
        tensor.variable = True
    else:
        tensor.name = change.one_of(["", "\u0007", "x" * 300, "%s%n", "\ud7ff"])


def buffers(change: Changer) -> None:
    _graph, tensor = change.tensor()
    kind = change.random.integers(5)
    if kind == 0:
        tensor.buffer = change.place(change.file.buffers)
    elif kind == 1:
        tensor.buffer = change.one_of([0, 0, len(change.file.buffers), 2**31])
    elif kind == 2:
        size = int(np.prod([min(abs(size), 1000) for size in tensor.shape], dtype=object)) * ITEM.get(tensor.type, 4)
        if size < 1 << 16:
            tensor.buffer = change.file.buffer(change.random.bytes(size))
    elif change.file.buffers:
        place = change.place(change.file.buffers)
        data = change.file.buffers[place]
        change.file.buffers[place] = (
            data[: len(data) // 2] if kind == 3 else data + b"\0" * change.one_of([1, 4, len(data)])
        )


# ---- operators


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


# ---- the file


def subgraphs(change: Changer) -> None:
    file = change.file
    ifs = [operator for graph in file.graphs for operator in graph.operators if change.name_of(operator) == "IF"]
    kind = change.random.integers(5)
    if ifs and kind < 3:
        operator = change.one_of(ifs)
        name = change.one_of(["then_subgraph_index", "else_subgraph_index"])
        operator.options[name] = change.one_of([*range(len(file.graphs)), -1, len(file.graphs), 2**31 - 1])
    elif kind == 3 and len(file.graphs) > 1:
        del file.graphs[change.place(file.graphs)]
    else:
        file.graphs.insert(change.place([*file.graphs, 0]), copy.deepcopy(change.one_of(file.graphs)))


def ports(change: Changer) -> None:
    """Signatures: names, places and subgraphs."""
    file = change.file
    if not file.signatures:
        file.signatures.append(("serving_default", 0, [], []))
    place = change.place(file.signatures)
    name, graph, ins, outs = copy.deepcopy(file.signatures[place])
    kind, entries = change.random.integers(6), change.one_of([ins, outs])
    if kind == 0:
        graph = change.one_of([0, 1, len(file.graphs), 2**31])
    elif kind == 1:
        name = change.one_of(["", "serving_default", "other"])
        file.signatures.append((name, graph, ins, outs))
        return
    elif entries and kind == 2:
        del entries[change.place(entries)]
    elif entries and kind == 3:
        entries.append(change.one_of(entries))
    elif entries:
        other = change.place(entries)
        key, index = entries[other]
        entries[other] = (
            change.one_of([key, "log_mel", "waveform", "score", "", "x"]),
            change.one_of([index, 0, 1, 2**31, index + 1]),
        )
    file.signatures[place] = (name, graph, ins, outs)


def metadata(change: Changer) -> None:
    """JSON with another value, without a key, with a key twice, or with another text altogether."""
    file = change.file
    if not file.metadata:
        return
    place = change.place(file.metadata)
    name, index = file.metadata[place]
    if change.chance(0.08):
        file.metadata.append((name, change.one_of([index, 0, len(file.buffers)])))
        return
    if index >= len(file.buffers):
        return
    try:
        content = json.loads(file.buffers[index])
    except ValueError:
        return
    text = json.dumps(_changed_json(change, content))
    if change.chance(0.15):
        key = change.one_of([*content, "x"]) if isinstance(content, dict) else "x"
        text = text.replace(
            "{", "{" + json.dumps(key) + ": " + json.dumps(change.one_of(ODD_JSON)) + ", ", change.one_of([1, 2])
        )
    if change.chance(0.1):
        spot = change.place(text)
        text = (
            text[:spot]
            + change.one_of(["", " ", ",", "]", "}", "[" * 300, "\\u0000", "\\ud800", "1e999", "-0", "NaN", "\x01"])
            + text[spot:]
        )
    file.metadata[place] = (name, file.buffer(text.encode("utf-8", "surrogatepass")))


def _changed_json(change: Changer, content: Any) -> Any:
    """A copy in which one value somewhere is another."""
    if isinstance(content, dict) and content and change.chance(0.9):
        content, key = dict(content), change.one_of(list(content))
        if change.chance(0.12):
            del content[key]
        elif change.chance(0.05):
            content[change.one_of(["x", "labels", ""])] = content.pop(key)
        else:
            content[key] = _changed_json(change, content[key])
        return content
    if isinstance(content, list) and content and change.chance(0.8):
        content, place = list(content), change.place(content)
        if change.chance(0.2):
            content.append(content[place])
        elif change.chance(0.2):
            del content[place]
        else:
            content[place] = _changed_json(change, content[place])
        return content
    if isinstance(content, (int, float)) and not isinstance(content, bool) and change.chance(0.6):
        return change.one_of([content + 1, -content, content * 2, content / 2, 0, 1, 2, 3, 1e-9, 1e9])
    return change.one_of(ODD_JSON)


def form(change: Changer) -> None:
    """What is around: alignment, version, codes."""
    file = change.file
    kind = change.random.integers(4)
    if kind == 0:
        file.alignment = change.one_of([1, 2, 4])
    elif kind == 1 and change.chance(0.3):
        file.version = change.one_of([0, 2, 4])
    elif file.codes:
        place = change.place(file.codes)
        code, name = file.codes[place]
        file.codes[place] = change.one_of(
            [(schema.CUSTOM, name or schema.OPERATOR_NAMES[code % 150]), (code, "EXP"), (149, ""), (CODES["ADD"], "")]
        )


CHANGES: tuple[tuple[float, Callable[[Changer], None]], ...] = (
    *(
        (3, shape),
        (3, input_shape),
        (3, constant_shape),
        (4, constant_value),
        (2, element_type),
        (0.7, flags),
        (1.5, buffers),
    ),
    *((5, options), (3, links), (3, counts), (3, operators), (2, insert), (2, twice)),
    *((1.5, subgraphs), (1, ports), (2, metadata), (0.4, form)),
)


def changed(data: bytes, seed: int) -> bytes:
    """The file after one to four changes: those of that number."""
    random = np.random.default_rng(seed)
    change = Changer(parts_of(data), random)
    weights = np.array([weight for weight, _ in CHANGES])
    for pick in random.choice(len(CHANGES), size=int(random.choice([1, 1, 1, 2, 2, 3, 4])), p=weights / weights.sum()):
        try:
            CHANGES[pick][1](change)
        except (IndexError, ValueError):
            continue  # an earlier change left nothing to change
    if change.chance(0.5):
        dynamic(change)
    return change.file.to_bytes()
