"""The server's half as a model of MLServer: what its engine loads, in one process or in several workers.

Inputs are `packet` (BYTES [1]; in JSON as base64) and `thresholds` (FP32 [exits - 1]), outputs `probabilities` (FP32
[1, classes]), `exit_index` (INT32 [1], 0-based, of the whole network), `score` (FP32 [1]) and `checksum` (INT64 [1],
that of `packet.checksum`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, RequestInput, ResponseOutput

from bnn_exit.errors import BnnExitError
from bnn_exit.offload import packet
from bnn_exit.offload.halves import ServerHalf
from bnn_exit.policies import rule


class SplitModel(MLModel):
    """One server.tflite; its path is `parameters.uri` of the settings, its backend `parameters.extra["backend"]`."""

    async def load(self) -> bool:
        """Load the file; BnnExitError if it is none."""
        parameters = self.settings.parameters
        assert parameters is not None and parameters.uri is not None
        extra = parameters.extra or {}
        self._half = ServerHalf(parameters.uri, backend=extra.get("backend", "auto"))
        split = self._half.split
        self.inputs = [
            MetadataTensor(name="packet", datatype="BYTES", shape=[1]),
            MetadataTensor(name="thresholds", datatype="FP32", shape=[split.exits - 1]),
        ]
        self.outputs = [
            MetadataTensor(name="probabilities", datatype="FP32", shape=[1, len(split.whole.labels)]),
            MetadataTensor(name="exit_index", datatype="INT32", shape=[1]),
            MetadataTensor(name="score", datatype="FP32", shape=[1]),
            MetadataTensor(name="checksum", datatype="INT64", shape=[1]),
        ]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The answer for one packet; InferenceError in one line for anything else."""
        try:
            data, thresholds = self._read(payload)
            tensors = packet.decode(data, self._half.split)
            # The event loop is not blocked: the native library holds no lock of Python.
            answer = await asyncio.to_thread(self._half, tensors, thresholds)
        except BnnExitError as error:
            raise InferenceError(" ".join(str(error).split())) from None
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[
                _output("probabilities", "FP32", [1, answer.probabilities.size], answer.probabilities.tolist()),
                _output("exit_index", "INT32", [1], [answer.exit_index]),
                _output("score", "FP32", [1], [answer.score]),
                _output("checksum", "INT64", [1], [packet.checksum(payload.id or "", data, thresholds, answer)]),
            ],
        )

    def _read(self, payload: InferenceRequest) -> tuple[bytes, Any]:
        found: dict[str, RequestInput] = {each.name: each for each in payload.inputs}
        if sorted(found) != ["packet", "thresholds"] or len(payload.inputs) != 2:
            raise InferenceError(f"the inputs are {_names(payload)}, but must be packet and thresholds, each once")
        split = self._half.split
        for name, datatype, shape in (("packet", "BYTES", [1]), ("thresholds", "FP32", [split.exits - 1])):
            each = found[name]
            if str(getattr(each.datatype, "value", each.datatype)) != datatype or list(each.shape) != shape:
                raise InferenceError(
                    f"{name} is {getattr(each.datatype, 'value', each.datatype)} {list(each.shape)[:8]}, but must be "
                    f"{datatype} {shape}"
                )
        data = _list(found["packet"])
        if len(data) != 1 or not isinstance(data[0], (bytes, str)):
            raise InferenceError("packet must be one element of bytes, in JSON as base64")
        limit = packet.max_bytes(split)
        size = len(data[0]) * 3 // 4 if isinstance(data[0], str) else len(data[0])
        if size > limit + 3:
            raise InferenceError(f"the packet has {size} bytes, but may have {limit}")
        thresholds = rule.check_thresholds(_list(found["thresholds"]), exits=split.exits)
        return _bytes(data[0]), thresholds


def _list(each: RequestInput) -> list[Any]:
    data = getattr(each.data, "root", each.data)
    return list(data) if isinstance(data, (list, tuple, np.ndarray)) else [data]


def _bytes(value: bytes | str) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InferenceError(f"the packet is not base64: {error}") from None


def _output(name: str, datatype: str, shape: list[int], data: list[Any]) -> ResponseOutput:
    return ResponseOutput(name=name, datatype=datatype, shape=shape, data=data)


def _names(payload: InferenceRequest) -> str:
    return ", ".join(repr(each.name[:40]) for each in payload.inputs[:8]) or "none"
