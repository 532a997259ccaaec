"""Adds to a converted flatbuffer what LCE's converter leaves out: the signature, names, and our metadata.

It removes the names of inner tensors: nothing reads them, and they take kilobytes.
"""

from __future__ import annotations

import flatbuffers

from bnn_exit._keras import tflite_schema as schema


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
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = _name_tensors(main, main.inputs, inputs)
    signature.outputs = _name_tensors(main, main.outputs, outputs)
    model.signatureDefs = [signature]
    model.metadata = [*(model.metadata or []), *(_entry(model, name, value) for name, value in metadata.items())]
    return _pack(model, size=len(data))


def with_metadata(data: bytes, name: str, value: bytes) -> bytes:
    """The flatbuffer `data` with another value of its metadata entry `name`; everything else stays."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))
    (entry,) = (each for each in model.metadata if bytes(each.name).decode() == name)
    model.buffers[entry.buffer].data = list(value)
    return _pack(model, size=len(data) + len(value))


def _pack(model: schema.ModelT, *, size: int) -> bytes:
    builder = flatbuffers.Builder(size + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _name_tensors(subgraph: schema.SubGraphT, indices: list[int], names: tuple[str, ...]) -> list[schema.TensorMapT]:
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
