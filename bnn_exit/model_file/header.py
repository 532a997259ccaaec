"""What a TFLite file says of itself before its operators: metadata, signatures, and the tensors of a subgraph.

Enough for a backend that reads the operators itself, in a fraction of the time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import schema
from bnn_exit.model_file.tables import Buffer, FlatbufferTable, damaged, pick

MAX_ELEMENTS = 2**26
"""Values in one tensor. Far above any network for a board; a damaged shape must not ask for all memory."""

MAX_DIMENSIONS = 8
MAX_SUBGRAPHS = 256


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
class Values:
    """The tensors of a subgraph, and which of them it takes and gives: indices into `tensors`."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """Names of the inputs and outputs of a subgraph: name -> index of a tensor."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    subgraph: int


@dataclasses.dataclass(frozen=True)
class Header:
    """A file without its operators. `main` is subgraph 0."""

    main: Values
    signatures: Mapping[str, Signature]
    metadata: Mapping[str, bytes] = dataclasses.field(repr=False)


def is_allowed(shape: Sequence[int]) -> bool:
    """Whether a tensor may have that shape: checked for tensors of a file and for results of operators.

    The product of the axes that are not 0 is bounded, for loops and strides are made of these also where there is no
    value.
    """
    if len(shape) > MAX_DIMENSIONS or any(size < 0 for size in shape):
        return False
    return math.prod(size for size in shape if size) <= MAX_ELEMENTS


def root_of(data: bytes) -> FlatbufferTable:
    """The root table of a TFLite file; ModelFileError if it is none, or of another schema."""
    if len(data) < 8 or data[4:8] != schema.FILE_IDENTIFIER:
        what = "is empty" if not data else "does not begin as one"
        raise ModelFileError(f"this is not a TFLite file: it {what}")
    root = Buffer(bytes(data)).root()
    version = root.scalar(0, "uint32", 0)
    if version != 3:
        raise ModelFileError(f"this TFLite file is of schema {version}, but bnn_exit reads schema 3: export it again")
    return root


def subgraphs_of(root: FlatbufferTable) -> list[FlatbufferTable]:
    """The tables of the subgraphs, at least one."""
    tables = list(root.tables(2))
    if not 1 <= len(tables) <= MAX_SUBGRAPHS:
        raise damaged(f"it holds {len(tables)} subgraphs")
    return tables


def buffers_of(root: FlatbufferTable) -> list[memoryview]:
    """The bytes of every buffer."""
    return [_buffer(table) for table in root.tables(4)]


def read(data: bytes) -> Header:
    """The header in the bytes of a TFLite file.

    Raises:
        ModelFileError: not a TFLite file, truncated, or damaged in what is read here.
    """
    root = root_of(data)
    buffers = buffers_of(root)
    main = values_of(subgraphs_of(root)[0], buffers)
    signatures = signatures_of(root)
    for signature in signatures.values():
        if signature.subgraph == 0:
            check_signature(signature, main)
    return Header(main, signatures, metadata_of(root, buffers))


def metadata_of(root: FlatbufferTable, buffers: list[memoryview]) -> dict[str, bytes]:
    """The metadata entries by name."""
    entries = ((table.text(0), table.scalar(1, "uint32", 0)) for table in root.tables(6))
    return _by_name("metadata entry", ((name, bytes(pick(buffers, at, "a metadata buffer"))) for name, at in entries))


def signatures_of(root: FlatbufferTable) -> dict[str, Signature]:
    """The signatures by name; their indices are not checked."""
    return _by_name("signature", ((table.text(2), _signature(table)) for table in root.tables(7)))


def check_signature(signature: Signature, values: Values) -> None:
    """ModelFileError if a signature names tensors that its subgraph does not have."""
    check_indices([*signature.inputs.values(), *signature.outputs.values()], values.tensors, "a tensor of a signature")


def values_of(table: FlatbufferTable, buffers: list[memoryview]) -> Values:
    """The tensors of one subgraph."""
    tensors = tuple(_tensor(entry, buffers) for entry in table.tables(0))
    inputs, outputs = table.int32s(1), table.int32s(2)
    check_indices(inputs, tensors, "an input of a subgraph")
    check_indices(outputs, tensors, "an output of a subgraph")
    return Values(table.text(4), tensors, inputs, outputs)


def check_indices(indices: Iterable[int], items: tuple[Any, ...], what: str) -> None:
    """ModelFileError, which calls the index `what`, if one leads nowhere."""
    for index in indices:
        pick(items, index, what)


def _buffer(table: FlatbufferTable) -> memoryview:
    # Offsets of 0 and 1 mean "inside the table"; others place the data behind the flatbuffer (files above 2 GB).
    if table.scalar(1, "uint64", 0) > 1:
        raise ModelFileError("this TFLite file keeps its weights behind the flatbuffer, which bnn_exit does not read")
    return table.bytes(0)


def _tensor(table: FlatbufferTable, buffers: list[memoryview]) -> Tensor:
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


def _signature(table: FlatbufferTable) -> Signature:
    inputs, outputs = (
        _by_name(what, ((entry.text(0), entry.scalar(1, "uint32", 0)) for entry in table.tables(slot)))
        for slot, what in enumerate(("input", "output"))
    )
    return Signature(inputs, outputs, table.scalar(4, "uint32", 0))


def _by_name(what: str, entries: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary; an error if a name occurs twice, because readers would choose differently."""
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise damaged(f"the {what} {name!r} is there twice")
        found[name] = value
    return found
