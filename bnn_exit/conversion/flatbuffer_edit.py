"""Adds to a converted flatbuffer what LCE's converter leaves out: the signature, names, and our metadata.

It removes the names of inner tensors: nothing reads them, and they take kilobytes. It stores kernels of dense layers in
half precision where that holds them exactly, and constants of the same bytes once.
"""

from __future__ import annotations

import flatbuffers
import numpy as np

from bnn_exit._keras import tflite_schema as schema
from bnn_exit.models.half_precision import is_stored_in_half

_KERNEL = 1
"""Position of the kernel among the inputs of a dense layer."""
_DEQUANTIZE_VERSION = 3
"""The first version of the operator that takes half precision."""


def add_signature(
    data: bytes, *, inputs: tuple[str, ...], outputs: tuple[str, ...], metadata: dict[str, bytes]
) -> bytes:
    """The flatbuffer `data` with a signature `serving_default` and metadata entries.

    Args:
        inputs, outputs: names for the main subgraph's inputs and outputs, in their order.
        metadata: entries by name.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
    main = model.subgraphs[0]
    for index, subgraph in enumerate(model.subgraphs):
        if index:
            # TensorFlow numbers functions by process history; fixed names make the same network give the same file.
            subgraph.name = f"subgraph_{index}"
        for tensor in subgraph.tensors:
            tensor.name = None
    halves: dict[int, int] = {}
    for subgraph in model.subgraphs:
        _store_kernels_in_half(model, subgraph, halves)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = name_tensors(main, main.inputs, inputs)
    signature.outputs = name_tensors(main, main.outputs, outputs)
    model.signatureDefs = [signature]
    compact_buffers(model)
    model.metadata = [*(model.metadata or []), *(_entry(model, name, value) for name, value in metadata.items())]
    return pack(model, size=len(data))


def _store_kernels_in_half(model: schema.ModelT, subgraph: schema.SubGraphT, halves: dict[int, int]) -> None:
    """Put DEQUANTIZE between a constant kernel and its dense layer. TensorFlow Lite executes it once, before the first
    inference, and the native runtime when it loads the file.

    Args:
        model: changed in place.
        subgraph: of it.
        halves: buffer of floats -> that of the same values in half precision; so far, and added to.
    """
    dense = schema.BuiltinOperator.FULLY_CONNECTED
    for operator in list(subgraph.operators):
        if _code(model.operatorCodes[operator.opcodeIndex]) != dense:
            continue
        kernel = operator.inputs[_KERNEL]
        tensor = subgraph.tensors[kernel]
        data = model.buffers[tensor.buffer].data
        # A constant that is an output stays one: TensorFlow Lite does not copy such a result.
        if tensor.type != schema.TensorType.FLOAT32 or data is None or kernel in subgraph.outputs:
            continue
        values = np.frombuffer(bytes(data), "<f4")
        if not is_stored_in_half(values):
            continue
        if tensor.buffer not in halves:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.astype("<f2").tobytes(), np.uint8)
            halves[tensor.buffer] = len(model.buffers)
            model.buffers.append(buffer)
        half = schema.TensorT()
        half.shape, half.type, half.buffer = tensor.shape, schema.TensorType.FLOAT16, halves[tensor.buffer]
        subgraph.tensors.append(half)
        tensor.buffer = 0  # a result now
        subgraph.operators.insert(0, _dequantize(model, len(subgraph.tensors) - 1, kernel))


def compact_buffers(model: schema.ModelT) -> None:
    """Keep constants of the same bytes once, one empty buffer for everything else, and what metadata holds.

    LCE's converter gives each tensor a buffer of its own, also those that are results.
    """
    kept, places = [model.buffers[0]], {b"": 0}
    # Two subgraphs may hold the same object.
    tensors = {id(tensor): tensor for subgraph in model.subgraphs for tensor in subgraph.tensors}
    for tensor in tensors.values():
        buffer = model.buffers[tensor.buffer]
        held = b"" if buffer.data is None else bytes(buffer.data)
        if held not in places:
            places[held] = len(kept)
            kept.append(buffer)
        tensor.buffer = places[held]
    for entry in model.metadata or []:
        kept.append(model.buffers[entry.buffer])
        entry.buffer = len(kept) - 1
    model.buffers = kept


def _dequantize(model: schema.ModelT, source: int, result: int) -> schema.OperatorT:
    wanted = schema.BuiltinOperator.DEQUANTIZE
    codes = [_code(code) for code in model.operatorCodes]
    if wanted not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = wanted
        code.version = _DEQUANTIZE_VERSION
        model.operatorCodes.append(code)
        codes.append(wanted)
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(wanted)
    operator.inputs, operator.outputs = [source], [result]
    return operator


def _code(code: schema.OperatorCodeT) -> int:
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def with_metadata(data: bytes, name: str, value: bytes) -> bytes:
    """The flatbuffer `data` with another value of its metadata entry `name`; everything else stays."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
    (entry,) = (each for each in model.metadata if bytes(each.name).decode() == name)
    model.buffers[entry.buffer].data = list(value)
    return pack(model, size=len(data) + len(value))


def pack(model: schema.ModelT, *, size: int) -> bytes:
    """The bytes of a model; `size` is about how many they are."""
    builder = flatbuffers.Builder(size + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def name_tensors(subgraph: schema.SubGraphT, indices: list[int], names: tuple[str, ...]) -> list[schema.TensorMapT]:
    """Name the tensors at `indices`; the entries of a signature with these names."""
    maps = []
    for index, name in zip(indices, names, strict=True):
        subgraph.tensors[index].name = name
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, int(index)
        maps.append(entry)
    return maps


def _entry(model: schema.ModelT, name: str, value: bytes) -> schema.MetadataT:
    buffer = schema.BufferT()
    buffer.data = list(value)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers) - 1
    return entry
