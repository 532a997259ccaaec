"""The client: one answer for each clip, from the device, the other half on it, or the server."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.split import HalfFile, require_same
from bnn_exit.offload import packet
from bnn_exit.offload.halves import DeviceHalf, ExitAnswer, ServerHalf
from bnn_exit.offload.remote import Address, Fault, Remote
from bnn_exit.offload.scheduler import LEAVE, LOCAL, SEND, SMOOTHING, EnergyModel, Link, Scheduler
from bnn_exit.policies import rule

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
MEASURE_EVERY_S, _MEASURE_TIMEOUT_S = 5.0, 20.0
"""How often a link that seems too slow is measured again, by a packet whose answer is dropped."""
_LASTING_BACKOFF_S = 300.0
"""After a fault that another try would not mend, such as another version of the model."""

DEVICE, SERVER = "device", "server"


@dataclasses.dataclass(frozen=True)
class OffloadPrediction:
    """The answer for one clip.

    Attributes:
        label: the most probable class.
        label_index: its number.
        probabilities: float32 [classes].
        exit_index: of the whole network, 0-based.
        score: of that exit; low is certain.
        where: "device" (an exit of the device), "local" (the other half on the device) or "server".
        fault: why the server's answer does not count, if the clip was sent; "" otherwise.
        sent_bytes: size of the packet; 0 if nothing was sent.
        request_id: of the clip: no other has it.
        seconds: from its samples to this answer.
    """

    label: str
    label_index: int
    probabilities: npt.NDArray[np.float32]
    exit_index: int
    score: float
    where: str
    fault: str
    sent_bytes: int
    request_id: str
    seconds: float


class OffloadClient:
    """A device with a server behind it.

    The exits of the device run first. A clip that the exit rule does not let leave is sent, or continues here if the
    other half is here too, as the scheduler says. The server costs at most the deadline: if it is slow, gone, of
    another model version or answers nonsense, the device answers by its last exit. After a fault nothing is sent for a
    while, which doubles with each fault; a request that nobody waits for then finds out when the server is back.

    Args:
        device: device.tflite.
        server: where the server is; None: there is none.
        local: server.tflite on this device; None: clips do not go on here.
        profile: measured times of the whole file on this device.
        objective: "latency", "energy" or "accuracy": see `scheduler.Scheduler`.
        deadline_s: for a clip. A longer one lets more clips be sent, and a dead server cost more.
        energy: watts of the device.
        backend, threads: of both halves here.
        clock: seconds, rising; for tests.

    Raises:
        ArgumentError: an argument that breaks a rule.
        ModelFileError: files that are damaged or do not belong together.
        MissingPackageError: a server is given, and grpcio is not installed.

    Example:
        >>> client = OffloadClient("device.tflite", Address("192.168.1.5:8081"), deadline_s=0.2)
        >>> client.predict(waveform).where
        'server'
    """

    def __init__(
        self,
        device: str | os.PathLike[str] | HalfFile,
        server: Address | None = None,
        *,
        local: str | os.PathLike[str] | HalfFile | None = None,
        profile: DeviceProfile | None = None,
        objective: str = "latency",
        deadline_s: float = 0.5,
        energy: EnergyModel | None = None,
        backend: str = "auto",
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = DeviceHalf(device, backend=backend, threads=threads)
        self.split = self.device.split
        self.labels = self.split.whole.labels
        self._local = None if local is None else ServerHalf(local, backend=backend, threads=threads)
        if self._local is not None:
            require_same(self.split, self._local.split)
        self.scheduler = Scheduler(
            self.split.whole.operating_points,
            after=self.split.after,
            profile=profile,
            has_local=self._local is not None,
            objective=objective,
            deadline_s=deadline_s,
            energy=energy,
        )
        self.link = Link()
        self._clock, self._lock = clock, threading.Lock()
        self._remote = None if server is None else Remote(server, self.split)
        self._is_up, self._is_probing = False, False
        self._retry_at, self._backoff_s = clock(), FIRST_BACKOFF_S
        self.fault = ""
        """The last fault of the server; "" while it works."""
        self._measure_at = clock() + MEASURE_EVERY_S
        self._packet_bytes = float(packet.max_bytes(self.split))
        points = self.split.whole.operating_points
        self._thresholds = {name: np.asarray(point.thresholds, np.float32) for name, point in points.items()}

    def __enter__(self) -> OffloadClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._remote is not None:
            self._remote.close()

    def connect(self, timeout_s: float = 2.0) -> bool:
        """Ask the server once and wait for its answer, at most `timeout_s`; whether clips can be sent.

        Without it the first clips are answered here, until the server has said that it is ready.
        """
        done = threading.Event()
        self._probe(timeout_s, done.set)
        done.wait(timeout_s + 1)
        return self._is_up

    @property
    def is_up(self) -> bool:
        """Whether clips can be sent now."""
        return self._is_up

    def predict(
        self,
        waveform: npt.ArrayLike,
        *,
        sample_rate_hz: float | None = None,
        operating_point: str = "balanced",
        thresholds: Sequence[float] | npt.ArrayLike | None = None,
    ) -> OffloadPrediction:
        """Classify one clip; arguments and errors as of `Session.predict`.

        Args:
            waveform: [samples].
            sample_rate_hz: None means the file's own.
            operating_point: of the whole file. For the objective "accuracy" the scheduler chooses.
            thresholds: of the whole network, [exits - 1], in place of an operating point.
        """
        begin = self._clock()
        inputs = self.device.session.inputs(waveform, sample_rate_hz=sample_rate_hz)
        return self._predict(inputs, operating_point, thresholds, begin)

    def predict_inputs(
        self,
        inputs: npt.ArrayLike,
        *,
        operating_point: str = "balanced",
        thresholds: Sequence[float] | npt.ArrayLike | None = None,
    ) -> OffloadPrediction:
        """Classify one clip from what the network takes, as `device.session.inputs` gives it."""
        return self._predict(inputs, operating_point, thresholds, self._clock())

    def _predict(self, inputs: npt.ArrayLike, name: str, thresholds: Any, begin: float) -> OffloadPrediction:
        self._probe_if_due()
        limits, point = self._limits(name, thresholds)
        answer, leaves, tensors = self.device(inputs, limits)
        request_id, where, fault, sent = uuid.uuid4().hex, DEVICE, "", 0
        if not leaves:
            answer, where, fault, sent = self._go_on(answer, tensors, limits, point, request_id, begin)
        index = int(answer.probabilities.argmax())
        return OffloadPrediction(
            label=self.labels[index],
            label_index=index,
            probabilities=answer.probabilities,
            exit_index=answer.exit_index,
            score=answer.score,
            where=where,
            fault=fault,
            sent_bytes=sent,
            request_id=request_id,
            seconds=self._clock() - begin,
        )

    def _limits(self, name: str, thresholds: Any) -> tuple[npt.NDArray[np.float32], OperatingPoint | None]:
        whole = self.split.whole
        if thresholds is not None:
            return rule.check_thresholds(thresholds, exits=self.split.exits), None
        points = whole.operating_points
        if not points:
            raise ArgumentError(f"the file has no operating points: give {self.split.exits - 1} thresholds")
        one_of("operating point", name, points)
        name = self.scheduler.operating_point(name, link=self.link, size=self._packet_bytes, is_up=self._is_up)
        return self._thresholds[name], points[name]

    def _go_on(
        self,
        answer: ExitAnswer,
        tensors: dict[str, npt.NDArray[Any]],
        limits: npt.NDArray[np.float32],
        point: OperatingPoint | None,
        request_id: str,
        begin: float,
    ) -> tuple[ExitAnswer, str, str, int]:
        """Answer, where it is from, fault and bytes sent, of a clip that the rule does not let leave."""
        deadline = begin + self.scheduler.deadline_s
        fault, size = "", 0

        def chosen(may_send: bool) -> str:
            left, expected = deadline - self._clock(), self._packet_bytes
            return self.scheduler.choose(link=self.link, size=expected, is_up=may_send, left_s=left, point=point).name

        is_up = self._is_up
        way = chosen(is_up)
        try:
            if way == SEND:
                data = self._packed(tensors)
                size = len(data)
                return self._send(data, limits, request_id, deadline), SERVER, "", size
            if is_up and self._clock() >= self._measure_at:
                self._measure(self._packed(tensors), limits)
        except ArgumentError as error:  # NaN on the device: no packet holds it
            fault = str(error)
        except Fault as error:
            fault = str(error)
            self._down(error)
        if way == SEND:
            way = chosen(False)
        if way == LOCAL and self._local is not None:
            return self._local(tensors, limits), LOCAL, fault, size
        assert way in (LEAVE, LOCAL)
        return answer, DEVICE, fault, size

    def _packed(self, tensors: dict[str, npt.NDArray[Any]]) -> bytes:
        data = packet.encode(tensors, self.split)
        self._packet_bytes += SMOOTHING * (len(data) - self._packet_bytes)
        return data

    def _send(self, data: bytes, limits: npt.NDArray[np.float32], request_id: str, deadline: float) -> ExitAnswer:
        assert self._remote is not None
        begin = self._clock()
        try:
            answer = self._remote.infer(data, limits, request_id=request_id, timeout_s=deadline - begin)
        except Fault as error:
            if error.is_late:  # it takes at least so long
                self._observe(len(data), self._clock() - begin)
            raise
        self._observe(len(data), self._clock() - begin)
        self._backoff_s = FIRST_BACKOFF_S
        return answer

    def _observe(self, size: int, seconds: float) -> None:
        with self._lock:
            self.link.observe_transfer(size, seconds)
            self._measure_at = self._clock() + MEASURE_EVERY_S

    def _measure(self, data: bytes, limits: npt.NDArray[np.float32]) -> None:
        """Follow a link that nothing is sent over, so that a better one is found out."""
        assert self._remote is not None
        self._measure_at = self._clock() + MEASURE_EVERY_S
        size = len(data)
        self._remote.measure(data, limits, lambda s: self._observe(size, s), timeout_s=_MEASURE_TIMEOUT_S)

    # ---- whether the server is there

    def _down(self, fault: Fault) -> None:
        """Send nothing for a while."""
        with self._lock:
            self._is_up, self.fault = False, str(fault)
            wait = _LASTING_BACKOFF_S if fault.is_lasting else self._backoff_s
            self._retry_at = self._clock() + wait
            self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)

    def _probe_if_due(self) -> None:
        if self._remote is not None and not self._is_up and self._clock() >= self._retry_at:
            self._probe(self.scheduler.deadline_s, lambda: None)

    def _probe(self, timeout_s: float, then: Callable[[], None]) -> None:
        with self._lock:
            is_first, self._is_probing = not self._is_probing, True
        if self._remote is None or not is_first:
            then()
            return

        def done(seconds: float | None, fault: Fault | None) -> None:
            if fault is not None:
                self._down(fault)
            with self._lock:
                self._is_probing = False
                if seconds is not None:
                    self._is_up, self.fault = True, ""
                    self.link.observe_round_trip(seconds)
            then()

        self._remote.probe(done, timeout_s=timeout_s)
