"""The messages of the Open Inference Protocol (KServe, version 2) for one call, as gRPC carries them.

Of `grpc_predict_v2.proto` the client needs `ModelInfer` and `ModelReady` alone, so their few fields are written and
read here by the rules of the protobuf encoding, and a device needs no protobuf package. Answers may come from anybody:
what does not follow the rules is a DataError.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import DataError

SERVICE = "/inference.GRPCInferenceService"
MAX_ANSWER_BYTES = 2**20
"""Of an answer: probabilities, an exit and a score take a few hundred."""
_MAX_OUTPUTS, _MAX_DIMENSIONS = 16, 8
_TYPES = {"FP32": "<f4", "INT32": "<i4", "INT64": "<i8", "FP64": "<f8"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclasses.dataclass(frozen=True)
class InferAnswer:
    """The answer to one `ModelInfer`.

    Attributes:
        model_name, model_version, request_id: as the server gives them back.
        outputs: by name.
    """

    model_name: str
    model_version: str
    request_id: str
    outputs: Mapping[str, npt.NDArray[Any]]


def infer_request(*, model: str, version: str, request_id: str, packet: bytes, thresholds: npt.ArrayLike) -> bytes:
    """A `ModelInferRequest` with the inputs `packet` (BYTES [1]) and `thresholds` (FP32 [exits - 1])."""
    limits = np.asarray(thresholds, "<f4")
    inputs = (
        _tensor("packet", "BYTES", 1, _field(8, packet)),
        _tensor("thresholds", "FP32", limits.size, _field(6, limits.tobytes())),
    )
    texts = (model, version, request_id)
    return b"".join(
        (*(_field(1 + index, text.encode()) for index, text in enumerate(texts)), *(_field(5, each) for each in inputs))
    )


def ready_request(*, model: str, version: str) -> bytes:
    """A `ModelReadyRequest`."""
    return _field(1, model.encode()) + _field(2, version.encode())


def read_ready(data: bytes) -> bool:
    """The value of a `ModelReadyResponse`; DataError if it is none."""
    return any(number == 1 and value == 1 for number, kind, value in _fields(data) if kind == _VARINT)


def read_answer(data: bytes) -> InferAnswer:
    """What a `ModelInferResponse` holds.

    Raises:
        DataError: bytes that are none, an element type that no answer has, or values that do not fit their shape.
    """
    texts, tensors, raw = {1: "", 2: "", 3: ""}, [], []
    for number, kind, value in _fields(data):
        if kind == _BYTES and number in texts:
            texts[number] = _text(value)
        elif kind == _BYTES and number == 5:
            tensors.append(_read_tensor(value))
        elif kind == _BYTES and number == 6:
            raw.append(value)
    if len(tensors) > _MAX_OUTPUTS or (raw and len(raw) != len(tensors)):
        raise DataError(f"the answer has {len(tensors)} outputs and {len(raw)} contents")
    outputs = {}
    for index, (name, datatype, shape, contents) in enumerate(tensors):
        if name in outputs:
            raise DataError(f"the answer has the output {name!r} twice")
        outputs[name] = _values(name, datatype, shape, raw[index] if raw else None, contents)
    return InferAnswer(texts[1], texts[2], texts[3], outputs)


def _values(
    name: str, datatype: str, shape: tuple[int, ...], raw: bytes | None, contents: Mapping[int, list[Any]]
) -> npt.NDArray[Any]:
    if datatype not in _TYPES:
        raise DataError(f"the output {name!r} is of the type {datatype!r}, but must be one of {', '.join(_TYPES)}")
    dtype = np.dtype(_TYPES[datatype])
    if raw is None:
        field = {"FP32": 6, "INT32": 2, "INT64": 3, "FP64": 7}[datatype]
        values = _contents(contents.get(field, []), dtype)
    else:
        if len(raw) % dtype.itemsize:
            raise DataError(f"the output {name!r} has {len(raw)} bytes, which are no values of {datatype}")
        values = np.frombuffer(raw, dtype)
    count = math.prod(shape)
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape) or count != values.size:
        raise DataError(f"the output {name!r} has {values.size} values, but the shape {list(shape)[:_MAX_DIMENSIONS]}")
    return values.reshape(shape)


def _contents(parts: list[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Of repeated numbers, packed or one by one."""
    found: list[npt.NDArray[Any]] = []
    for part in parts:
        if isinstance(part, int):
            found.append(np.array([_signed(part)], np.int64))
        elif dtype.kind == "f":
            if len(part) % dtype.itemsize:
                raise DataError(f"{len(part)} bytes are no list of {dtype.name}")
            found.append(np.frombuffer(part, dtype))
        else:
            at, numbers = 0, []
            while at < len(part):
                number, at = _varint(part, at)
                numbers.append(_signed(number))
            found.append(np.array(numbers, np.int64))
    values = np.concatenate(found) if found else np.zeros(0)
    if dtype.kind == "i" and values.size and not np.all(np.abs(values) <= np.iinfo(dtype).max):
        raise DataError(f"a number is outside of {dtype.name}")
    return values.astype(dtype)


def _read_tensor(data: bytes) -> tuple[str, str, tuple[int, ...], dict[int, list[Any]]]:
    name = datatype = ""
    shape: list[int] = []
    contents: dict[int, list[Any]] = {}
    for number, kind, value in _fields(data):
        if kind == _BYTES and number == 1:
            name = _text(value)
        elif kind == _BYTES and number == 2:
            datatype = _text(value)
        elif number == 3:
            part = [_signed(value)] if kind == _VARINT else _contents([value], np.dtype("<i8")).tolist()
            shape += part
        elif kind == _BYTES and number == 5:
            for inner, _, part in _fields(value):
                contents.setdefault(inner, []).append(part)
    return name, datatype, tuple(shape), contents


# ---- the protobuf encoding: tag (number, kind), then a varint or a length and bytes


def _tensor(name: str, datatype: str, size: int, contents: bytes) -> bytes:
    shape = _field(3, _packed(size))
    return _field(1, name.encode()) + _field(2, datatype.encode()) + shape + _field(5, contents)


def _field(number: int, value: bytes) -> bytes:
    return _packed(number << 3 | _BYTES) + _packed(len(value)) + value


def _packed(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if not data[at - 1] & 128:
            return value & 2**64 - 1, at
    raise DataError("the answer is no message of the protocol: it ends within a number")


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, kind and value of each field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, kind, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise DataError(f"the answer is no message of the protocol: it has a field of kind {kind}")
        if size > len(data) - at:
            raise DataError("the answer is no message of the protocol: it ends within a field")
        yield tag >> 3, kind, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DataError("the answer is no message of the protocol: a text is not UTF-8") from error
