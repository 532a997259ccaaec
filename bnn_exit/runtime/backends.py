"""The backends by name. A backend runs one clip through a file; everything around that is the session's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bnn_exit.artifact import Artifact
from bnn_exit.audio import logmel
from bnn_exit.config import FeatureConfig
from bnn_exit.errors import ArtifactError
from bnn_exit.runtime import lce, native_backend
from bnn_exit.runtime.reference import Interpreter


class Backend(Protocol):
    """What runs one clip through a file."""

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None: ...

    def run(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit and score of one log-mel [frames, mels] or waveform [samples].

        The array belongs to the caller: a later call does not change it.
        """
        ...


class ReferenceBackend:
    """Runs a file's operators in NumPy: needs nothing else and judges the other backends.

    Args:
        artifact: the file.
        threads: taken for the sake of the interface; NumPy decides on its own.

    Raises:
        ArtifactError: the file has an operator that this backend lacks.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        self._artifact = artifact
        try:
            self.interpreter = Interpreter(artifact.model)
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.path}: {error}") from error

    def run(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit and score of one log-mel [frames, mels] or waveform [samples]."""
        try:
            results = self.interpreter.run(self._artifact.arguments(inputs, thresholds))
        except ArtifactError as error:
            raise ArtifactError(f"{self._artifact.path}: {error}") from error
        return self._artifact.answer(results)


BACKENDS: dict[str, type[Backend]] = {
    "native": native_backend.NativeBackend,
    "lce": lce.LceBackend,
    "reference": ReferenceBackend,
}
"""The fastest first."""


def installed() -> list[str]:
    """Names of the backends that this installation can run, the fastest first."""
    is_there = {"native": native_backend.is_installed, "lce": lce.is_installed, "reference": lambda: True}
    return [name for name in BACKENDS if is_there[name]()]


def front_end(backend: str, features: FeatureConfig) -> Callable[[npt.ArrayLike], npt.NDArray[np.float32]]:
    """What makes log-mel features [frames, mels] of a waveform [samples] beside a backend: the same values, to 1e-4
    relative, in the native library for the native backend and in NumPy for the others.
    """
    if backend == "native":
        return native_backend.FrontEnd(features).log_mel
    return functools.partial(logmel.log_mel, features=features)
