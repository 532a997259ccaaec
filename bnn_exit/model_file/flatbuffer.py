"""The network in a TFLite file as plain dataclasses, checked so far that no index in them is out of range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import arity, schema
from bnn_exit.model_file.options import builtin_options, custom_options
from bnn_exit.model_file.tables import Buffer, Table, damaged, pick

MAX_ELEMENTS = 2**26
"""Values in one tensor. Far above any network for a board; a damaged shape must not ask for all memory."""

MAX_DIMENSIONS = 8
MAX_SUBGRAPHS = 256
MAX_STEPS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A value of the network.

    Attributes:
        name: what the converter called it.
        shape: its dimensions; () is one number.
        dtype: a name in schema.ELEMENT_TYPES, such as "float32". Bit-packed values are "int32".
        data: the bytes of a constant, None if an operator or the caller provides the value.
        quantized: holds scaled integers, which bnn_exit's files never do.
        variable: keeps its value from one call to the next, which bnn_exit's files never do.
        dynamic: some dimension is only known at run time; `shape` then has a placeholder.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: memoryview | None = dataclasses.field(repr=False)
    quantized: bool = False
    variable: bool = False
    dynamic: bool = False

    def array(self) -> npt.NDArray[Any] | None:
        """The value of a constant, read-only; None if it is not a constant of numbers."""
        if self.dtype not in schema.NUMPY_TYPES:
            return None
        if math.prod(self.shape) == 0:
            # A constant without values, such as the shape of a single number, has no bytes either.
            return np.zeros(self.shape, self.dtype)
        if self.data is None:
            return None
        return np.frombuffer(self.data, schema.NUMPY_TYPES[self.dtype].newbyteorder("<")).reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Operator:
    """One step of the network.

    Attributes:
        name: that of a builtin ("CONV_2D") or of a custom operator ("LceBconv2d").
        custom: it is not part of TFLite.
        inputs: indices of tensors; -1 stands for an optional input that is not given.
        outputs: indices of tensors.
        options: settings by name; enumerations as their names, such as padding "SAME".
    """

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Subgraph:
    """Operators in the order in which they run, and the tensors that they read and write."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """Names of the inputs and outputs of a subgraph: name -> index of a tensor."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    subgraph: int


@dataclasses.dataclass(frozen=True)
class Model:
    """A whole file. Subgraph 0 is the main one; the others are the branches of its IF operators."""

    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: Mapping[str, Signature]
    metadata: Mapping[str, bytes] = dataclasses.field(repr=False)


def is_allowed(shape: Sequence[int]) -> bool:
    """Whether a tensor may have that shape: asked of those in a file and of all that operators make of them.

    The product of the axes that are not 0 is bounded, for loops and strides are made of these also where there is no
    value.
    """
    if len(shape) > MAX_DIMENSIONS or any(size < 0 for size in shape):
        return False
    return math.prod(size for size in shape if size) <= MAX_ELEMENTS


def read(data: bytes) -> Model:
    """The network in the bytes of a TFLite file.

    Raises:
        ModelFileError: not a TFLite file, truncated, damaged, or with an index that leads nowhere.
    """
    if len(data) < 8 or data[4:8] != schema.FILE_IDENTIFIER:
        what = "is empty" if not data else "does not begin as one"
        raise ModelFileError(f"this is not a TFLite file: it {what}")
    root = Buffer(bytes(data)).root()
    version = root.scalar(0, "uint32", 0)
    if version != 3:
        raise ModelFileError(f"this TFLite file is of schema {version}, but bnn_exit reads schema 3: export it again")
    buffers = [_buffer(table) for table in root.tables(4)]
    codes = [_operator_code(table) for table in root.tables(1)]
    tables = list(root.tables(2))
    if not 1 <= len(tables) <= MAX_SUBGRAPHS:
        raise damaged(f"it holds {len(tables)} subgraphs")
    subgraphs = tuple(_subgraph(table, buffers, codes) for table in tables)
    _check_branches(subgraphs)
    return Model(
        description=root.text(3),
        subgraphs=subgraphs,
        signatures=_by_name("signature", ((table.text(2), _signature(table, subgraphs)) for table in root.tables(7))),
        metadata=_by_name(
            "metadata entry",
            (
                (table.text(0), bytes(pick(buffers, table.scalar(1, "uint32", 0), "a metadata buffer")))
                for table in root.tables(6)
            ),
        ),
    )


def _buffer(table: Table) -> memoryview:
    # Offsets of 0 and 1 mean "inside the table"; others place the data behind the flatbuffer (files above 2 GB).
    if table.scalar(1, "uint64", 0) > 1:
        raise ModelFileError("this TFLite file keeps its weights behind the flatbuffer, which bnn_exit does not read")
    return table.bytes(0)


def _operator_code(table: Table) -> tuple[str, bool]:
    # Files from before 2020 hold the code in a single byte, the only field that old readers know.
    code = max(table.scalar(0, "int8", 0), table.scalar(3, "int32", 0))
    if code == schema.CUSTOM:
        # Operators go by their names from here on.
        name = table.text(1)
        if name in schema.OPERATOR_NAMES:
            raise damaged(f"a custom operator is called {name}, as a builtin one")
        return name, True
    if not 0 <= code < len(schema.OPERATOR_NAMES):
        return f"builtin operator {code}", False
    return schema.OPERATOR_NAMES[code], False


def _subgraph(table: Table, buffers: list[memoryview], codes: list[tuple[str, bool]]) -> Subgraph:
    tensors = tuple(_tensor(entry, buffers) for entry in table.tables(0))
    operators = tuple(_operator(entry, codes) for entry in table.tables(3))
    inputs, outputs = table.int32s(1), table.int32s(2)
    _check_indices(inputs, tensors, "an input of a subgraph")
    _check_indices(outputs, tensors, "an output of a subgraph")
    for operator in operators:
        _check_indices([index for index in operator.inputs if index != -1], tensors, f"an input of {operator.name}")
        _check_indices(operator.outputs, tensors, f"an output of {operator.name}")
        arity.check(operator.name, operator.options, len(operator.inputs), len(operator.outputs))
    return Subgraph(table.text(4), tensors, inputs, outputs, operators)


def _tensor(table: Table, buffers: list[memoryview]) -> Tensor:
    name, shape = table.text(3), table.int32s(0)
    dtype = pick(schema.ELEMENT_TYPES, table.scalar(1, "int8", 0), "an element type")
    if not is_allowed(shape):
        raise damaged(f"tensor {name!r} has the shape {list(shape[: MAX_DIMENSIONS + 1])}")
    data = pick(buffers, table.scalar(2, "uint32", 0), "a buffer")
    if len(data) and dtype in schema.NUMPY_TYPES:
        size = math.prod(shape) * schema.NUMPY_TYPES[dtype].itemsize
        if size != len(data):
            raise damaged(f"constant {name!r} has {len(data)} bytes, but its shape needs {size}")
    quantization = table.table(4)
    return Tensor(
        name=name,
        shape=shape,
        dtype=dtype,
        data=data if len(data) else None,
        quantized=quantization is not None and len(quantization.int32s(2)) > 0,
        variable=table.scalar(5, "bool", False),
        dynamic=-1 in table.int32s(7),
    )


def _operator(table: Table, codes: list[tuple[str, bool]]) -> Operator:
    name, custom = pick(codes, table.scalar(0, "uint32", 0), "an operator code")
    options = custom_options(table, name) if custom else builtin_options(table, name)
    return Operator(name, custom, table.int32s(1), table.int32s(2), options)


def _signature(table: Table, subgraphs: tuple[Subgraph, ...]) -> Signature:
    index = table.scalar(4, "uint32", 0)
    tensors = pick(subgraphs, index, "a subgraph").tensors
    inputs, outputs = (
        _by_name(what, ((entry.text(0), entry.scalar(1, "uint32", 0)) for entry in table.tables(slot)))
        for slot, what in enumerate(("input", "output"))
    )
    _check_indices([*inputs.values(), *outputs.values()], tensors, "a tensor of a signature")
    return Signature(inputs, outputs, index)


def _by_name(what: str, entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary, unless a name is there twice: readers would choose differently."""
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise damaged(f"the {what} {name!r} is there twice")
        found[name] = value
    return found


def branches(operator: Operator) -> tuple[int, ...]:
    """The subgraphs that an operator may run."""
    if operator.name != "IF":
        return ()
    return operator.options["then_subgraph_index"], operator.options["else_subgraph_index"]


def _check_branches(subgraphs: tuple[Subgraph, ...]) -> None:
    """Branches must exist, must not lead in circles, and must not unfold into more steps than could ever be run."""
    steps: dict[int, int | None] = {}

    def longest_run(index: int) -> int:
        if index in steps:
            known = steps[index]
            if known is None:
                raise damaged(f"subgraph {index} runs itself")
            return known
        steps[index] = None
        total = 0
        for operator in subgraphs[index].operators:
            choices = branches(operator)
            _check_indices(choices, subgraphs, f"a branch of an IF in subgraph {index}")
            for choice in choices:
                target = subgraphs[choice]
                if (len(target.inputs) + 1, len(target.outputs)) != (len(operator.inputs), len(operator.outputs)):
                    raise damaged(f"an IF in subgraph {index} does not fit its branch, subgraph {choice}")
            total += 1 + max((longest_run(choice) for choice in choices), default=0)
        if total > MAX_STEPS:
            raise damaged(f"subgraph {index} unfolds into {total} steps")
        steps[index] = total
        return total

    for index in range(len(subgraphs)):
        longest_run(index)


def _check_indices(indices: Iterable[int], items: tuple[Any, ...], what: str) -> None:
    for index in indices:
        pick(items, index, what)
