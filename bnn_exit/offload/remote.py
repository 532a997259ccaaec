"""One server behind gRPC: a request with a deadline, and an answer that is checked before anybody believes it."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError, DataError, describe_os_error, missing_package
from bnn_exit.model_file.split import Split
from bnn_exit.offload import open_inference
from bnn_exit.offload.halves import ExitAnswer
from bnn_exit.offload.packet import checksum

VERSION_DIGITS = 12
"""Of the identity of a split, as the version of the model on a server."""
MODEL = "bnn_exit"
"""Usual name of the model on a server."""
SUM_TOLERANCE = 1e-3


class Fault(Exception):
    """Why the server gave no answer that counts, in one line.

    Attributes:
        is_lasting: whether another try would end alike, as with another version of the model.
        is_late: whether the deadline passed.
    """

    def __init__(self, text: str, *, is_lasting: bool = False, is_late: bool = False) -> None:
        super().__init__(text)
        self.is_lasting, self.is_late = is_lasting, is_late


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a server is.

    Attributes:
        target: HOST:PORT.
        token: that it asks for; "" for none.
        certificate: file of the authority (PEM) that its certificate is checked against; with "" the connection is not
            encrypted.
        model: its name there.
    """

    target: str
    token: str = dataclasses.field(default="", repr=False)
    certificate: str = ""
    model: str = MODEL

    def __post_init__(self) -> None:
        host, _, port = self.target.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ArgumentError(f"target is {self.target!r}, but must be HOST:PORT, such as 192.168.1.5:8081")
        if not self.token.isascii() or not self.token.isprintable():
            raise ArgumentError("token must be of printable ASCII characters")


class Remote:
    """A connection. It may be used by several threads; it connects when it is first used, and again by itself.

    Args:
        address: of the server.
        split: of the device's half; the server must have the other half of the same.

    Raises:
        MissingPackageError: grpcio is not installed.
        DataError: the certificate cannot be read.
    """

    def __init__(self, address: Address, split: Split) -> None:
        self._grpc = _grpc()
        self._address, self._split = address, split
        self._version = split.identity[:VERSION_DIGITS]
        options = [
            ("grpc.max_receive_message_length", open_inference.MAX_ANSWER_BYTES),
            # The client tries again at its own times: a connection that failed must not wait for minutes by itself.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 10_000),  # what one try may take: links may be slow
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_retries", 0),  # a request is sent once
        ]
        if address.certificate:
            try:
                root = Path(address.certificate).read_bytes()
            except OSError as error:
                raise DataError(f"cannot read the certificate: {describe_os_error(error)}") from error
            secured = self._grpc.ssl_channel_credentials(root)
            self._channel = self._grpc.secure_channel(address.target, secured, options)
        else:
            self._channel = self._grpc.insecure_channel(address.target, options)
        self._infer = self._channel.unary_unary(f"{open_inference.SERVICE}/ModelInfer")
        self._ready = self._channel.unary_unary(f"{open_inference.SERVICE}/ModelReady")

    def close(self) -> None:
        """End the connection and what is on its way."""
        self._channel.close()

    def infer(self, packet: bytes, thresholds: npt.ArrayLike, *, request_id: str, timeout_s: float) -> ExitAnswer:
        """Send one packet and wait for its answer, at most `timeout_s`. A later answer is dropped.

        Raises:
            Fault: there is no answer, or none that counts.
        """
        request = open_inference.infer_request(
            model=self._address.model,
            version=self._version,
            request_id=request_id,
            packet=packet,
            thresholds=thresholds,
        )
        data = self._call(self._infer, request, timeout_s)
        try:
            answer = open_inference.read_answer(data)
        except DataError as error:
            raise Fault(str(error)) from error
        found = checked(answer, self._split, request_id=request_id)
        expected = checksum(request_id, packet, thresholds, found)
        if int(answer.outputs["checksum"].item()) != expected:
            raise Fault("the answer does not fit its checksum: the request or the answer was changed on its way")
        return found

    def probe(self, done: Callable[[float | None, Fault | None], None], *, timeout_s: float) -> None:
        """Ask whether the model is ready, without waiting. `done` gets the seconds of the round trip, or a fault."""
        begin = time.monotonic()
        request = open_inference.ready_request(model=self._address.model, version=self._version)
        call = self._ready.future(request, timeout=timeout_s, metadata=self._metadata())

        def finished(future: Any) -> None:
            try:
                is_ready = open_inference.read_ready(future.result())
            except DataError as error:
                done(None, Fault(str(error)))
            except Exception as error:  # whatever gRPC makes of a call that failed or was cancelled
                done(None, self._fault(error))
            else:
                if is_ready:
                    done(time.monotonic() - begin, None)
                else:
                    done(None, Fault("the server is not ready"))

        call.add_done_callback(finished)

    def measure(
        self, packet: bytes, thresholds: npt.ArrayLike, done: Callable[[float], None], *, timeout_s: float
    ) -> None:
        """Send a packet for its time alone, without waiting; `done` gets the seconds, if it is answered in time."""
        begin = time.monotonic()
        request = open_inference.infer_request(
            model=self._address.model,
            version=self._version,
            request_id=uuid.uuid4().hex,
            packet=packet,
            thresholds=thresholds,
        )
        call = self._infer.future(request, timeout=timeout_s, metadata=self._metadata())

        def finished(future: Any) -> None:
            if not future.cancelled() and future.exception() is None:
                done(time.monotonic() - begin)

        call.add_done_callback(finished)

    def _call(self, method: Any, request: bytes, timeout_s: float) -> bytes:
        if timeout_s <= 0:
            raise Fault("the deadline has passed before anything was sent")
        try:
            return bytes(method(request, timeout=timeout_s, metadata=self._metadata()))
        except (self._grpc.RpcError, ValueError) as error:
            raise self._fault(error) from error

    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._address.token}")] if self._address.token else []

    def _fault(self, error: Exception) -> Fault:
        code = error.code() if hasattr(error, "code") else None
        detail = " ".join(str(error.details() if hasattr(error, "details") else error).split())[:200]
        codes = self._grpc.StatusCode
        if code == codes.DEADLINE_EXCEEDED:
            return Fault("the server did not answer in time", is_late=True)
        if code == codes.UNAVAILABLE:
            return Fault(f"the server cannot be reached: {detail}")
        if code == codes.RESOURCE_EXHAUSTED:
            return Fault(f"the server has too much to do, or the packet is too large: {detail}")
        if code == codes.NOT_FOUND:
            return Fault(f"the server has no model of this version: {detail}", is_lasting=True)
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return Fault(f"the server refuses the token: {detail}", is_lasting=True)
        name = code.name.lower().replace("_", " ") if code is not None else type(error).__name__
        return Fault(f"the server answered with an error ({name}): {detail}")


def checked(answer: open_inference.InferAnswer, split: Split, *, request_id: str) -> ExitAnswer:
    """The answer, if it can be one of the server's half; Fault otherwise."""
    if answer.request_id != request_id:
        raise Fault(f"the server answered the request {answer.request_id[:40]!r}, but {request_id!r} was asked")
    version = split.identity[:VERSION_DIGITS]
    if answer.model_version and answer.model_version != version:
        raise Fault(f"the server has version {answer.model_version[:40]!r}, not {version}", is_lasting=True)
    classes = len(split.whole.labels)
    wanted = {"probabilities": ("f", classes), "exit_index": ("i", 1), "score": ("f", 1), "checksum": ("i", 1)}
    for name, (kind, size) in wanted.items():
        if name not in answer.outputs:
            raise Fault(f"the answer has no {name}")
        values = answer.outputs[name]
        if values.dtype.kind != kind or values.size != size:
            raise Fault(f"the answer has {values.size} values of {values.dtype.name} as {name}, but must have {size}")
    probabilities = np.array(answer.outputs["probabilities"], np.float32).reshape(-1)
    exit_index, score = int(answer.outputs["exit_index"].item()), float(answer.outputs["score"].item())
    if not np.all((probabilities >= 0) & (probabilities <= 1 + SUM_TOLERANCE)):
        raise Fault("the answer has probabilities that are not from 0 to 1")
    if not abs(float(probabilities.sum()) - 1) <= SUM_TOLERANCE:
        raise Fault(f"the answer has probabilities that sum to {float(probabilities.sum()):.4g}, not to 1")
    if not split.after <= exit_index < split.exits:
        raise Fault(f"the answer is of exit {exit_index + 1}, but must be of {split.after + 1} to {split.exits}")
    if not np.isfinite(score):
        raise Fault("the answer has a score that is not finite")
    return ExitAnswer(probabilities, exit_index, score)


def _grpc() -> Any:
    try:
        import grpc
    except ImportError as error:
        raise missing_package("grpcio", purpose="sending clips to a server", extra="client") from error
    return grpc
