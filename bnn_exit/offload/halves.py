"""The halves of a split file, ready to run."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError, one_of
from bnn_exit.model_file import flatbuffer, reader
from bnn_exit.model_file.split import HalfFile, read_half
from bnn_exit.policies import rule
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.session import Session

Floats = npt.NDArray[np.float32]
Run = Callable[[Sequence[npt.ArrayLike]], Sequence[npt.NDArray[Any]]]

BACKENDS = ("native", "reference")


@dataclasses.dataclass(frozen=True)
class ExitAnswer:
    """The answer of one exit.

    Attributes:
        probabilities: float32 [classes].
        exit_index: 0-based, of the whole network.
        score: of that exit, by the file's policy; low is certain.
    """

    probabilities: Floats
    exit_index: int
    score: float


class _Half:
    """One half on a backend; several threads may call it, one at a time."""

    def __init__(self, file: HalfFile, *, backend: str, threads: int) -> None:
        one_of("backend", backend, ["auto", *BACKENDS])
        self.file, self.split = file, file.split
        if backend == "auto":
            backend = "native" if native_backend.is_installed() else "reference"
        self.backend = backend
        try:
            self._network = _network(file.data, backend, threads=threads)
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {error}") from error
        self._lock = threading.Lock()
        self._order = sorted(file.inputs, key=file.inputs.__getitem__)

    def _run(self, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
        ordered = [inputs[name] for name in self._order]
        with self._lock:
            try:
                results = self._network(ordered)
            except ModelFileError as error:
                raise ModelFileError(f"{self.file.path}: {error}") from error
        return {name: np.asarray(results[position]) for name, position in self.file.outputs.items()}

    def _answer(self, results: Mapping[str, npt.NDArray[Any]]) -> ExitAnswer:
        exit_index = int(results["exit_index"].reshape(-1)[0])
        last = self.split.after - 1 if self.split.role == "device" else self.split.exits - 1
        first = 0 if self.split.role == "device" else self.split.after
        if not first <= exit_index <= last:
            raise ModelFileError(
                f"{self.file.path}: the network returned exit_index {exit_index}, but must return {first} to {last}: "
                "split the run again"
            )
        score = float(results["score"].reshape(-1)[0])
        return ExitAnswer(np.array(results["probabilities"], np.float32).reshape(-1), exit_index, score)


class DeviceHalf(_Half):
    """The exits of the device.

    Args:
        file: device.tflite, or what was read of it.
        backend: "native" (fast), "reference" (NumPy), or "auto": the first that is installed.
        threads: processor threads for one clip; more may be faster for large networks.

    Attributes:
        session: the same file as an ordinary one of fewer exits: its labels and features.
    """

    def __init__(self, file: str | os.PathLike[str] | HalfFile, *, backend: str = "auto", threads: int = 1) -> None:
        half = file if isinstance(file, HalfFile) else read_half(file, role="device")
        super().__init__(half, backend=backend, threads=threads)
        self.session = Session(reader.decode(self.file.data, place=self.file.path), backend=self.backend)

    def __call__(
        self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike
    ) -> tuple[ExitAnswer, bool, dict[str, npt.NDArray[Any]]]:
        """One clip.

        Args:
            inputs: as `session.inputs(waveform)` gives them.
            thresholds: of the whole network, [exits - 1].

        Returns:
            (answer, leaves, tensors): the answer of the exit that was reached; whether the exit rule lets the clip
            leave there; and what travels, which has a meaning only if it does not.
        """
        limits, after = np.asarray(thresholds, np.float32), self.split.after
        whole = self.split.whole
        clip = np.asarray(inputs, np.float32).reshape(1, *whole.input_shape)
        results = self._run({whole.input: clip, "thresholds": limits[: after - 1]})
        answer = self._answer(results)
        leaves = answer.exit_index < after - 1 or bool(rule.leaves(answer.score, limits[after - 1]))
        return answer, leaves, {each.name: results[each.name] for each in self.split.travels}


class ServerHalf(_Half):
    """The other exits: on a server, or on the device itself.

    Args:
        file: server.tflite, or what was read of it.
        backend, threads: as of `DeviceHalf`.
    """

    def __init__(self, file: str | os.PathLike[str] | HalfFile, *, backend: str = "auto", threads: int = 1) -> None:
        half = file if isinstance(file, HalfFile) else read_half(file, role="server")
        super().__init__(half, backend=backend, threads=threads)

    def __call__(self, tensors: Mapping[str, npt.NDArray[Any]], thresholds: npt.ArrayLike) -> ExitAnswer:
        """The answer for what travelled.

        Args:
            tensors: by name, as `packet.decode` or `DeviceHalf` gives them.
            thresholds: of the whole network, [exits - 1]; those of the device's exits are not compared.
        """
        return self._answer(self._run({**tensors, "thresholds": np.asarray(thresholds, np.float32)}))


def _network(data: bytes, backend: str, *, threads: int) -> Run:
    if backend == "native":
        return native_backend.NativeNetwork(data, threads=threads)
    from bnn_exit.runtime.reference.interpreter import Interpreter

    return Interpreter(flatbuffer.read(data)).run
