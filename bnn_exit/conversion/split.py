"""Cut a model file in two behind an exit: the operators stay as they are, so both halves compute what the whole does.

The else branch of the `IF` at exit K is the server's network, and what the branch captures is what must travel. Where
every reader of the features is a smaller view of them, the views travel in their place: their bits (`LceQuantize`,
1 bit for each feature, nothing lost) and, in strided stages, their averages for the shortcut. Elsewhere the shortcut
reads the features themselves, and they travel as a linear code whose cells meet at 0, so that every binary layer still
reads the exact bits.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bnn_exit import policies
from bnn_exit._keras import tflite_schema as schema
from bnn_exit.conversion.flatbuffer_edit import compact_buffers, name_tensors, pack
from bnn_exit.errors import ArgumentError, ExportError
from bnn_exit.model_file.metadata import METADATA_NAME, Metadata
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.reader import SIGNATURE, ModelFile
from bnn_exit.model_file.split import SPLIT_NAME, Split, Traveller

_QUANTIZE = "LceQuantize"


@dataclass(frozen=True)
class Halves:
    """Both files of a split.

    Attributes:
        device, server: the bytes of the files.
        split: how the whole was cut.
        captured: numbers that the stages behind the exit read, each 4 bytes as a float.
    """

    device: bytes
    server: bytes
    split: Split
    captured: int


def check_after(file: ModelFile, after: int, *, argument: str = "after") -> None:
    """ArgumentError unless a file can be cut behind exit `after`, counted from 1."""
    exits = len(file.metadata.exits)
    if exits < 2:
        raise ArgumentError(f"{file.path} has one exit, but a split needs at least two: there is nothing behind it")
    if file.metadata.skips:
        raise ArgumentError(
            f"{file.path} has the policy {file.metadata.policy}, whose gate decides for all exits at once, so it "
            "cannot be split: export the run with another policy, such as margin"
        )
    if not 1 <= after < exits:
        why = "the last exit, with nothing behind it for a server" if after == exits else "no exit of this network"
        raise ArgumentError(f"{argument} is {after}, {why}, but must be 1 to {exits - 1}")


def cut(
    file: ModelFile,
    after: int,
    *,
    bits: int = 8,
    raw: bool = False,
    operating_points: dict[str, OperatingPoint] | None = None,
) -> Halves:
    """Cut a model file behind an exit.

    Args:
        file: the whole.
        after: the last exit of the device, counted from 1. A later one answers more clips on the device and takes more
            of its time.
        bits: of each value that travels by a linear code, 2 to 8. Fewer are smaller and less exact.
        raw: floats travel as they are: 4 bytes for each, and nothing is lost.
        operating_points: of the device's file alone, which has the first exits; None: none.

    Raises:
        ArgumentError: a file that cannot be cut there.
        ExportError: the file has another structure than `bnn_exit.export` gives it.

    Example:
        >>> halves = cut(reader.read("runs/words/model.tflite"), after=1)
        >>> halves.split.travels[0].code
        'bits'
    """
    check_after(file, after)
    server_graph = _Graph(file.data)
    path = server_graph.path_to(after)
    captured, views = server_graph.to_server(path, after, bits=bits, raw=raw)
    device_graph = _Graph(file.data)
    device_graph.to_device(path, captured)
    identity = hashlib.sha256(file.data)
    identity.update(json.dumps([after, [[v.name, list(v.shape), v.code, v.bits] for v in views]]).encode())
    split = Split("device", identity.hexdigest(), after, tuple(views), file.metadata)
    names = tuple(view.name for view in views)
    device = device_graph.pack(
        inputs=tuple(sorted(file.inputs, key=lambda name: file.inputs[name])),
        outputs=(*_in_order(file), *names),
        metadata={
            METADATA_NAME: _of_device(file.metadata, after, operating_points or {}).to_json(),
            SPLIT_NAME: split.to_json(),
        },
    )
    server = server_graph.pack(
        inputs=(*names, "thresholds"),
        outputs=_in_order(file),
        metadata={SPLIT_NAME: dataclasses.replace(split, role="server").to_json()},
    )
    return Halves(device, server, split, sum(entry.values for entry in captured))


def device_policy(metadata: Metadata, exits: int) -> policies.Policy:
    """The policy of the first exits: what it learned of the others is left out."""
    policy = policies.from_dict(metadata.policy_dict)
    total = len(metadata.exits)
    # What is learned for each exit has an entry for each, or for each but the last.
    kept = {
        field.name: values[: len(values) - (total - exits)]
        for field in dataclasses.fields(policy)
        if isinstance(values := getattr(policy, field.name), tuple)
        and len(values) in (total, total - 1)
        and field.name not in policy.whole
    }
    return dataclasses.replace(policy, **kept) if kept else policy


def _of_device(metadata: Metadata, after: int, points: dict[str, OperatingPoint]) -> Metadata:
    settings = {}
    if metadata.policy_settings:
        policy = device_policy(metadata, after)
        if not policy.fits(exits=after, classes=len(metadata.labels)):
            raise ArgumentError(f"policy {metadata.policy} cannot be split: what it learned holds for all exits alone")
        settings = {name: value for name, value in policy.to_dict().items() if name != "name"}
    return dataclasses.replace(
        metadata,
        exits=tuple(metadata.exits)[:after],
        operating_points=points,
        policy_settings=settings,
        listening_points={},
    )


def _in_order(file: ModelFile) -> tuple[str, ...]:
    return tuple(sorted(file.outputs, key=lambda name: file.outputs[name]))


@dataclass
class _Captured:
    """A value that the else branch reads, and the operators that make its views on the device (None: itself)."""

    operand: int
    values: int
    views: list[schema.OperatorT | None]
    shapes: list[list[int]]
    types: list[int]


class _Graph:
    """A whole file that becomes one of its halves."""

    def __init__(self, data: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
        self.size = len(data)

    def path_to(self, after: int) -> list[tuple[int, int]]:
        """Subgraph and operator of the `IF` of each exit on the way, that of exit `after` last."""
        path, subgraph = [], 0
        for _ in range(after):
            found = [
                index
                for index, operator in enumerate(self.model.subgraphs[subgraph].operators)
                if self._name(operator) == "IF"
            ]
            if len(found) != 1 or self.model.subgraphs[subgraph].operators[found[0]].outputs is None:
                raise ExportError("the file has another structure than bnn_exit.export gives it: export the run again")
            path.append((subgraph, found[0]))
            subgraph = self.model.subgraphs[subgraph].operators[found[0]].builtinOptions.elseSubgraphIndex
        return path

    # ---- the server's half

    def to_server(
        self, path: list[tuple[int, int]], after: int, *, bits: int, raw: bool
    ) -> tuple[list[_Captured], list[Traveller]]:
        """Make the else branch the main graph; what it captures, and as what that travels."""
        thresholds = self._thresholds_on(path)
        subgraph, position = path[-1]
        operator = self.model.subgraphs[subgraph].operators[position]
        operands = [int(each) for each in operator.inputs[1:]]
        branch_index = operator.builtinOptions.elseSubgraphIndex
        branch = self.model.subgraphs[branch_index]
        thresholds_operand = thresholds[-1]
        used = {tensor for operator in branch.operators for tensor in operator.inputs} | set(map(int, branch.outputs))
        outside = self.model.subgraphs[subgraph].tensors
        captured: list[_Captured] = []
        views: list[Traveller] = []
        inputs: list[int] = []
        thresholds_tensor = None
        for operand, tensor in enumerate(map(int, branch.inputs)):
            if operand == thresholds_operand:
                thresholds_tensor = tensor
            elif tensor in used and self._is_constant(outside[operands[operand]]):
                branch.tensors[tensor].buffer = outside[operands[operand]].buffer  # both halves know it
            elif tensor in used:
                entry, made = self._capture(branch, operand, tensor)
                captured.append(entry)
                for view, (shape, kind) in zip(made, zip(entry.shapes, entry.types, strict=True), strict=True):
                    inputs.append(view)
                    code, width = _code(shape, kind, bits=bits, raw=raw)
                    views.append(Traveller(f"travel_{len(views)}", tuple(map(int, shape)), code, width))
        if thresholds_tensor is None:
            # The last exit compares nothing: its branch captures no thresholds. The file takes them all the same.
            thresholds_tensor = self._new_tensor(branch, self._thresholds_shape())
        branch.inputs = [*inputs, thresholds_tensor]
        self._keep(branch_index)
        return captured, views

    def _capture(self, branch: schema.SubGraphT, operand: int, tensor: int) -> tuple[_Captured, list[int]]:
        """The views of a captured tensor. They become inputs of the branch, and their operators go to the device."""
        readers = [operator for operator in branch.operators if tensor in operator.inputs]
        shrinks = all(self._name(operator) in (_QUANTIZE, "AVERAGE_POOL_2D") for operator in readers)
        strided = all(
            max(operator.builtinOptions.strideW, operator.builtinOptions.strideH) > 1
            for operator in readers
            if self._name(operator) == "AVERAGE_POOL_2D"
        )
        itself = branch.tensors[tensor]
        values = int(np.prod(itself.shape))
        if not readers or not shrinks or not strided or tensor in branch.outputs:
            return _Captured(operand, values, [None], [list(itself.shape)], [itself.type]), [tensor]
        made = [int(operator.outputs[0]) for operator in readers]
        branch.operators = [operator for operator in branch.operators if all(operator is not each for each in readers)]
        shapes = [list(branch.tensors[each].shape) for each in made]
        return _Captured(operand, values, list(readers), shapes, [branch.tensors[each].type for each in made]), made

    # ---- the device's half

    def to_device(self, path: list[tuple[int, int]], captured: list[_Captured]) -> None:
        """Answer in place of the `IF` of the last exit, and hand out what travels."""
        thresholds = self._thresholds_on(path)
        after = len(path)
        subgraph_index, position = path[-1]
        graph = self.model.subgraphs[subgraph_index]
        operator = graph.operators.pop(position)
        operands = [int(each) for each in operator.inputs[1:]]
        then = self.model.subgraphs[operator.builtinOptions.thenSubgraphIndex]
        answers = self._inline(graph, then, operands)
        renamed = dict(zip(map(int, operator.outputs), answers, strict=True))
        graph.outputs = [renamed.get(int(each), int(each)) for each in graph.outputs]
        travellers = []
        for entry in captured:
            source = operands[entry.operand]
            for view, shape, kind in zip(entry.views, entry.shapes, entry.types, strict=True):
                if view is None:
                    travellers.append(source)
                    continue
                made = self._new_tensor(graph, shape, kind)
                step = copy.copy(view)
                step.inputs, step.outputs = [source], [made]
                graph.operators.append(step)
                travellers.append(made)
        shapes = [(list(graph.tensors[each].shape), graph.tensors[each].type) for each in travellers]
        graph.outputs = [*graph.outputs, *travellers]
        if len(set(graph.outputs)) != len(graph.outputs):
            raise ExportError("what travels is an output of the exit already, which no file of bnn_exit.export has")
        for (index, at), _ in zip(reversed(path[:-1]), path[1:], strict=True):
            self._hand_up(self.model.subgraphs[index], at, shapes)
        # The thresholds of later exits are no longer there.
        index = int(self.model.subgraphs[0].inputs[self._main_thresholds])
        self.model.subgraphs[0].tensors[index].shape = [after - 1]
        for (subgraph, at), operand in zip(path[:-1], thresholds, strict=False):
            if operand is None:
                continue
            options = self.model.subgraphs[subgraph].operators[at].builtinOptions
            for branch in (options.thenSubgraphIndex, options.elseSubgraphIndex):
                inner = self.model.subgraphs[branch]
                inner.tensors[int(inner.inputs[operand])].shape = [after - 1]
        self._remove_dead(graph)
        self._keep(0)

    def _hand_up(self, graph: schema.SubGraphT, position: int, shapes: list[tuple[list[int], int]]) -> None:
        """Give the outputs of a deeper branch out of `graph`; where a clip leaves before, they are zeros."""
        operator = graph.operators[position]
        then = self.model.subgraphs[operator.builtinOptions.thenSubgraphIndex]
        for shape, kind in shapes:
            made = self._new_tensor(graph, shape, kind)
            operator.outputs = [*operator.outputs, made]
            graph.outputs = [*graph.outputs, made]
            zeros = self._new_tensor(then, shape, kind)
            dims = self._constant(then, np.asarray(shape, "<i4"), schema.TensorType.INT32, [len(shape)])
            dtype = "<i4" if kind == schema.TensorType.INT32 else "<f4"
            value = self._constant(then, np.zeros((), dtype), kind, [])
            fill = schema.OperatorT()
            fill.opcodeIndex = self._builtin(schema.BuiltinOperator.FILL, version=1)
            fill.builtinOptionsType, fill.builtinOptions = schema.BuiltinOptions.FillOptions, schema.FillOptionsT()
            fill.inputs, fill.outputs = [dims, value], [zeros]
            then.operators = [*(then.operators if then.operators is not None else []), fill]
            then.outputs = [*then.outputs, zeros]

    def _inline(self, graph: schema.SubGraphT, inner: schema.SubGraphT, operands: list[int]) -> list[int]:
        """Put the operators of a branch at the end of `graph`; where its outputs are."""
        places = dict(zip(map(int, inner.inputs), operands, strict=True))

        def place(tensor: int) -> int:
            if tensor >= 0 and tensor not in places:
                graph.tensors.append(copy.copy(inner.tensors[tensor]))
                places[tensor] = len(graph.tensors) - 1
            return places.get(tensor, -1)

        for operator in inner.operators if inner.operators is not None else []:
            step = copy.copy(operator)
            step.inputs = [place(int(each)) for each in operator.inputs]
            step.outputs = [place(int(each)) for each in operator.outputs]
            graph.operators.append(step)
        return [place(int(each)) for each in inner.outputs]

    # ---- thresholds

    @property
    def _main_thresholds(self) -> int:
        (signature,) = (each for each in self.model.signatureDefs if _text(each.signatureKey) == SIGNATURE)
        (tensor,) = (each.tensorIndex for each in signature.inputs if _text(each.name) == "thresholds")
        return [int(each) for each in self.model.subgraphs[0].inputs].index(tensor)

    def _thresholds_shape(self) -> list[int]:
        main = self.model.subgraphs[0]
        return [int(each) for each in main.tensors[int(main.inputs[self._main_thresholds])].shape]

    def _thresholds_on(self, path: list[tuple[int, int]]) -> list[int | None]:
        """Among the operands of each `IF` on the path, which one is the thresholds; None if they end there."""
        tensor: int | None = int(self.model.subgraphs[0].inputs[self._main_thresholds])
        found = []
        for subgraph, position in path:
            operator = self.model.subgraphs[subgraph].operators[position]
            operands = [int(each) for each in operator.inputs[1:]]
            operand = operands.index(tensor) if tensor in operands else None
            found.append(operand)
            inner = self.model.subgraphs[operator.builtinOptions.elseSubgraphIndex]
            tensor = None if operand is None else int(inner.inputs[operand])
        return found

    # ---- parts

    def _name(self, operator: schema.OperatorT) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return _text(code.customCode)
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        known = {schema.BuiltinOperator.IF: "IF", schema.BuiltinOperator.AVERAGE_POOL_2D: "AVERAGE_POOL_2D"}
        return known.get(number, str(number))

    def _is_constant(self, tensor: schema.TensorT) -> bool:
        data = self.model.buffers[tensor.buffer].data
        return data is not None and len(data) > 0

    def _builtin(self, number: int, *, version: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if not code.customCode and max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _new_tensor(self, graph: schema.SubGraphT, shape: list[int], kind: int = schema.TensorType.FLOAT32) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = shape, kind, 0
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def _constant(self, graph: schema.SubGraphT, values: np.ndarray, kind: int, shape: list[int]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        index = self._new_tensor(graph, shape, kind)
        graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def _remove_dead(self, graph: schema.SubGraphT) -> None:
        """Leave out operators whose results nobody reads: the comparison of the exit that now always answers."""
        wanted, kept = set(map(int, graph.outputs)), []
        for operator in reversed(graph.operators):
            if wanted & set(map(int, operator.outputs)):
                wanted |= set(map(int, operator.inputs))
                kept.append(operator)
        graph.operators = kept[::-1]

    def _keep(self, main: int) -> None:
        """Make subgraph `main` the main one, and leave out what it does not reach: subgraphs, tensors, buffers."""
        order: list[int] = []

        def visit(index: int) -> None:
            if index in order:
                return
            order.append(index)
            for operator in _operators(self.model.subgraphs[index]):
                if self._name(operator) == "IF":
                    visit(operator.builtinOptions.thenSubgraphIndex)
                    visit(operator.builtinOptions.elseSubgraphIndex)

        visit(main)
        for index in order:
            for operator in _operators(self.model.subgraphs[index]):
                if self._name(operator) == "IF":
                    options = copy.copy(operator.builtinOptions)
                    options.thenSubgraphIndex = order.index(options.thenSubgraphIndex)
                    options.elseSubgraphIndex = order.index(options.elseSubgraphIndex)
                    operator.builtinOptions = options
        self.model.subgraphs = [self.model.subgraphs[index] for index in order]
        for index, graph in enumerate(self.model.subgraphs):
            graph.name = "main" if index == 0 else f"subgraph_{index}"
            _compact(graph)
        self.model.metadata = []
        compact_buffers(self.model)

    # ---- the file

    def pack(self, *, inputs: tuple[str, ...], outputs: tuple[str, ...], metadata: dict[str, bytes]) -> bytes:
        """The bytes of the file, with names for its inputs and outputs."""
        main = self.model.subgraphs[0]
        for tensor in main.tensors:
            tensor.name = None
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        signature.inputs, signature.outputs = (
            name_tensors(main, indices, names) for indices, names in ((main.inputs, inputs), (main.outputs, outputs))
        )
        self.model.signatureDefs = [signature]
        for name, value in metadata.items():
            buffer, entry = schema.BufferT(), schema.MetadataT()
            buffer.data = np.frombuffer(value, np.uint8)
            self.model.buffers.append(buffer)
            entry.name, entry.buffer = name, len(self.model.buffers) - 1
            self.model.metadata.append(entry)
        return pack(self.model, size=self.size)


def _code(shape: list[int], kind: int, *, bits: int, raw: bool) -> tuple[str, int]:
    if kind == schema.TensorType.INT32:
        return "bits", 1
    # What policies carry from exit to exit are a few numbers: a code would save nothing.
    return ("float", 32) if raw or int(np.prod(shape)) < 512 else ("linear", bits)


def _operators(graph: schema.SubGraphT) -> Iterable[schema.OperatorT]:
    return graph.operators if graph.operators is not None else []


def _compact(graph: schema.SubGraphT) -> None:
    used = {int(each) for each in (*graph.inputs, *graph.outputs)}
    for operator in _operators(graph):
        used |= {int(each) for each in (*operator.inputs, *operator.outputs)}
    kept = sorted(used - {-1})
    places = {-1: -1, **{tensor: place for place, tensor in enumerate(kept)}}
    graph.tensors = [copy.copy(graph.tensors[tensor]) for tensor in kept]
    graph.inputs, graph.outputs = ([places[int(each)] for each in ends] for ends in (graph.inputs, graph.outputs))
    for operator in _operators(graph):
        operator.inputs, operator.outputs = (
            [places[int(each)] for each in ends] for ends in (operator.inputs, operator.outputs)
        )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
