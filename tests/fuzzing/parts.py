"""A TFLite file as plain lists that may be changed at will, written and read without TFLite's own code.

Nothing is checked: a file with numbers that lead nowhere is written as it stands, for that is what fuzzers want.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import numpy as np

from bnn_exit.model_file import schema
from bnn_exit.model_file.tables import Buffer, FlatbufferTable

TYPES = {name: code for code, name in enumerate(schema.ELEMENT_TYPES)}
CODES = {name: code for code, name in enumerate(schema.OPERATOR_NAMES)}
_SCALARS = {"int32": "i", "int8": "b", "bool": "?", "float32": "f"}  # others are enumerations


@dataclasses.dataclass
class TensorPart:
    shape: list[int]
    type: int
    buffer: int = 0
    name: str = ""
    scales: list[float] = dataclasses.field(default_factory=list)
    variable: bool = False
    announced: list[int] | None = None
    """`shape` with -1 for what is only known in a run."""


@dataclasses.dataclass
class OperatorPart:
    code: int
    inputs: list[int]
    outputs: list[int]
    table: int = 0
    """Number of the class of `options`, 0 for none."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    custom: bytes = b""


@dataclasses.dataclass
class GraphPart:
    name: str = "main"
    tensors: list[TensorPart] = dataclasses.field(default_factory=list)
    inputs: list[int] = dataclasses.field(default_factory=list)
    outputs: list[int] = dataclasses.field(default_factory=list)
    operators: list[OperatorPart] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class FileParts:
    graphs: list[GraphPart] = dataclasses.field(default_factory=list)
    codes: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    """Number of a builtin, and the name of a custom operator."""
    buffers: list[bytes] = dataclasses.field(default_factory=lambda: [b""])
    signatures: list[tuple[str, int, list[tuple[str, int]], list[tuple[str, int]]]] = dataclasses.field(
        default_factory=list
    )
    """Name, subgraph, named inputs, named outputs."""
    metadata: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    """Name, buffer."""
    version: int = 3
    alignment: int = 16
    """Of the buffers' bytes in the file."""

    def code(self, name: str) -> int:
        """The place of an operator in the list of codes, where it is put if it is not there."""
        entry = (CODES[name], "") if name in CODES else (schema.CUSTOM, name)
        if entry not in self.codes:
            self.codes.append(entry)
        return self.codes.index(entry)

    def buffer(self, data: bytes) -> int:
        """The number of a new buffer with these bytes; 0, the empty one, if there are none."""
        if not data:
            return 0
        self.buffers.append(data)
        return len(self.buffers) - 1

    def to_bytes(self) -> bytes:
        """The file."""
        writer = _Writer(self.alignment)
        writer.data += b"\0\0\0\0TFL3"
        struct.pack_into("<I", writer.data, 0, writer.table(_root(self)))
        return bytes(writer.data)


class _Writer:
    """Tables lie before what they refer to, since offsets of flatbuffers lead forward."""

    def __init__(self, alignment: int) -> None:
        self.data = bytearray()
        self._alignment = alignment

    def _align(self, size: int, ahead: int = 0) -> None:
        self.data += bytes(-(len(self.data) + ahead) % size)

    def table(self, fields: dict[int, Any]) -> int:
        """Where a table of slot -> (format, number) or something that `_refer` takes was written."""
        places, size = {}, 4
        for slot, value in sorted(fields.items(), key=lambda item: -_size(item[1])):
            width = _size(value)
            size += -size % width
            places[slot] = size
            size += width
        slots = max(fields, default=-1) + 1
        vtable = struct.pack(f"<{2 + slots}H", 4 + 2 * slots, size, *(places.get(slot, 0) for slot in range(slots)))
        self._align(8, len(vtable))
        begin = len(self.data) + len(vtable)
        self.data += vtable + struct.pack("<i", len(vtable)) + bytes(size - 4)
        for slot, value in fields.items():
            place = begin + places[slot]
            if isinstance(value, tuple):
                struct.pack_into(f"<{value[0]}", self.data, place, value[1])
            else:
                self._refer(place, value)
        return begin

    def _refer(self, place: int, value: Any) -> None:
        if isinstance(value, dict):
            target = self.table(value)
        elif isinstance(value, list):
            self._align(4)
            target = len(self.data)
            self.data += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for index, entry in enumerate(value):
                self._refer(target + 4 + 4 * index, entry)
        else:  # values of one kind, or a text
            array = np.frombuffer(value.encode(), np.uint8) if isinstance(value, str) else value
            self._align(self._alignment if array.dtype == np.uint8 and array.size else 4, 4)
            self._align(4)
            target = len(self.data)
            self.data += struct.pack("<I", array.size) + array.tobytes() + b"\0"
        struct.pack_into("<I", self.data, place, target - place)


def _size(value: Any) -> int:
    return struct.calcsize(f"<{value[0]}") if isinstance(value, tuple) else 4


def _int32s(values: list[int]) -> Any:
    return np.array([value & 0xFFFFFFFF for value in values], "<u4")


def _octets(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)


def _root(file: FileParts) -> dict[int, Any]:
    return {
        0: ("I", file.version),
        1: [{0: ("b", min(code, 127)), 1: name, 3: ("i", code)} for code, name in file.codes],
        2: [_graph(graph) for graph in file.graphs],
        4: [{0: _octets(data)} if data else {} for data in file.buffers],
        6: [{0: name, 1: ("I", buffer)} for name, buffer in file.metadata],
        7: [
            {
                **{slot: [{0: key, 1: ("I", index)} for key, index in ports] for slot, ports in ((0, ins), (1, outs))},
                **{2: name, 4: ("I", graph)},
            }
            for name, graph, ins, outs in file.signatures
        ],
    }


def _graph(graph: GraphPart) -> dict[int, Any]:
    return {
        0: [_tensor(tensor) for tensor in graph.tensors],
        1: _int32s(graph.inputs),
        2: _int32s(graph.outputs),
        3: [_operator(operator) for operator in graph.operators],
        4: graph.name,
    }


def _tensor(tensor: TensorPart) -> dict[int, Any]:
    fields: dict[int, Any] = {0: _int32s(tensor.shape), 1: ("b", tensor.type), 2: ("I", tensor.buffer), 3: tensor.name}
    if tensor.scales:
        fields[4] = {2: np.array(tensor.scales, "<f4")}
    if tensor.variable:
        fields[5] = ("?", True)
    if tensor.announced is not None:
        fields[7] = _int32s(tensor.announced)
    return fields


def _operator(operator: OperatorPart) -> dict[int, Any]:
    fields: dict[int, Any] = {
        **{0: ("I", operator.code), 1: _int32s(operator.inputs), 2: _int32s(operator.outputs)},
    }
    if operator.table:
        options = {}
        for name, slot, kind, _ in schema.OPTIONS.get(operator.table, ()):
            if name in operator.options:
                value = operator.options[name]
                options[slot] = _int32s(value) if kind == "int32s" else (_SCALARS.get(kind, "b"), value)
        fields |= {3: ("B", operator.table), 4: options}
    if operator.custom:
        fields[5] = _octets(operator.custom)
    return fields


def parts_of(data: bytes) -> FileParts:
    """The parts of a good file, as far as the runtimes of the project look at them."""
    root = Buffer(data).root()
    file = FileParts(version=root.scalar(0, "uint32", 0))
    file.codes = [(max(code.scalar(0, "int8", 0), code.scalar(3, "int32", 0)), code.text(1)) for code in root.tables(1)]
    file.buffers = [bytes(buffer.bytes(0)) for buffer in root.tables(4)]
    file.graphs = [_read_graph(graph, file.codes) for graph in root.tables(2)]
    file.metadata = [(entry.text(0), entry.scalar(1, "uint32", 0)) for entry in root.tables(6)]
    file.signatures = [
        (
            *(signature.text(2), signature.scalar(4, "uint32", 0)),
            *([(port.text(0), port.scalar(1, "uint32", 0)) for port in signature.tables(slot)] for slot in (0, 1)),
        )
        for signature in root.tables(7)
    ]
    return file


def _read_graph(graph: FlatbufferTable, codes: list[tuple[int, str]]) -> GraphPart:
    tensors = []
    for tensor in graph.tables(0):
        quantization = tensor.table(4)
        tensors.append(
            TensorPart(
                shape=list(tensor.int32s(0)),
                type=tensor.scalar(1, "int8", 0),
                buffer=tensor.scalar(2, "uint32", 0),
                name=tensor.text(3),
                scales=[1.0] * len(quantization.int32s(2)) if quantization else [],
                variable=tensor.scalar(5, "bool", False),
                announced=list(tensor.int32s(7)) or None,
            )
        )
    operators = []
    for operator in graph.tables(3):
        code = operator.scalar(0, "uint32", 0)
        number = operator.scalar(3, "uint8", 0)
        name = schema.OPERATOR_NAMES[codes[code][0]]
        part = OperatorPart(code, list(operator.int32s(1)), list(operator.int32s(2)), custom=bytes(operator.bytes(5)))
        options = operator.table(4)
        if options is not None and number == schema.OPTIONS_OF.get(name):
            part.table = number
            for field, slot, kind, default in schema.OPTIONS[number]:
                part.options[field] = (
                    list(options.int32s(slot))
                    if kind == "int32s"
                    else options.scalar(slot, kind if kind in _SCALARS else "int8", default)
                )
        operators.append(part)
    return GraphPart(graph.text(4), tensors, list(graph.int32s(1)), list(graph.int32s(2)), operators)
