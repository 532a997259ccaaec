"""A server of the Open Inference Protocol in this process, which does what a test wants, also what no server should."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from concurrent import futures

import grpc

from bnn_exit.offload import open_inference, packet
from bnn_exit.offload.open_inference import _field, _fields, _packed

SERVICE = "inference.GRPCInferenceService"


def tensor(name, datatype, shape, data, field=6):
    """An output with typed contents."""
    sizes = b"".join(map(_packed, shape))
    return _field(1, name.encode()) + _field(2, datatype.encode()) + _field(3, sizes) + _field(5, _field(field, data))


def answer_message(probabilities, exit_index, score, *, request_id, version="", shape=None, checksum=0):
    values = struct.pack(f"<{len(probabilities)}f", *probabilities)
    outputs = (
        tensor("probabilities", "FP32", shape or [1, len(probabilities)], values),
        tensor("exit_index", "INT32", [1], _packed(exit_index % 2**64), field=5 - 3),
        tensor("score", "FP32", [1], struct.pack("<f", score)),
        tensor("checksum", "INT64", [1], _packed(checksum), field=3),
    )
    texts = _field(1, b"bnn_exit") + _field(2, version.encode()) + _field(3, request_id.encode())
    return texts + b"".join(_field(5, each) for each in outputs)


class FakeServer:
    """Runs `half` on what arrives, unless `behaviour`, a function of (request, context), answers in its place.

    Attributes:
        requests: (id, packet, thresholds) of every request, in order.
        target: HOST:PORT.
    """

    def __init__(self, half, *, port=0, token=None, credentials=None):
        self.half, self.behaviour, self.requests, self.token = half, None, [], token
        self.is_ready, self.tokens = True, []
        self._lock = threading.Lock()
        handlers = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
            "ModelReady": grpc.unary_unary_rpc_method_handler(self._ready),
        }
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        where = f"127.0.0.1:{port}"
        secure = credentials and self._server.add_secure_port(where, credentials)
        self.port = secure or self._server.add_insecure_port(where)
        self.target = f"localhost:{self.port}" if credentials else f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self):
        self._server.stop(0).wait()

    def _ready(self, request, context):
        self.tokens.append(dict(context.invocation_metadata()).get("authorization"))
        if self.token and self.tokens[-1] != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong token")
        return b"\x08\x01" if self.is_ready else b""

    def _infer(self, request, context):
        fields = {number: value for number, _, value in _fields(request) if number in (1, 2, 3)}
        inputs = {}
        for number, _, value in _fields(request):
            if number == 5:
                name, _, _, contents = open_inference._read_tensor(value)
                inputs[name] = contents
        thresholds = struct.unpack(f"<{len(inputs['thresholds'][6][0]) // 4}f", inputs["thresholds"][6][0])
        with self._lock:
            self.requests.append((fields[3].decode(), inputs["packet"][8][0], thresholds))
        if self.behaviour is not None:
            made = self.behaviour(self.requests[-1], context)
            if made is not None:
                return made
        return self.right(*self.requests[-1])

    def right(self, request_id, data, thresholds, **more):
        answer = self.half(packet.decode(data, self.half.split), thresholds)
        values = answer.probabilities.tolist(), answer.exit_index, answer.score
        checksum = packet.checksum(request_id, data, thresholds, answer)
        return answer_message(*values, request_id=request_id, **{"checksum": checksum, **more})


@contextlib.contextmanager
def serving(half, **more):
    server = FakeServer(half, **more)
    try:
        yield server
    finally:
        server.stop()


def slow(seconds):
    """A behaviour: the right answer, late."""

    def behave(request, context):
        time.sleep(seconds)

    return behave
