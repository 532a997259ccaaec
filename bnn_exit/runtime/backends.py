"""The backends by name. A backend runs one clip through a file; the session does everything else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.policies import rule
from bnn_exit.registry import Registry
from bnn_exit.settings.features import FeatureConfig


class Backend(Protocol):
    """What runs one clip through a file."""

    def __init__(self, file: ModelFile, *, threads: int = 1) -> None: ...

    @staticmethod
    def is_installed() -> bool:
        """Whether it can run here."""

    def infer(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit index and score of one log-mel [frames, mels] or waveform [samples].

        The array belongs to the caller: a later call does not change it.
        """
        ...


def infer_exit(
    backend: Backend, inputs: npt.ArrayLike, exit_index: int, *, exits: int, skips: bool = False
) -> tuple[npt.NDArray[np.float32], float]:
    """Probabilities [classes] and score of one exit, at which the clip is forced to leave.

    Args:
        backend: runs the clip.
        inputs: as of `Backend.infer`.
        exit_index: 0-based.
        exits: of the model.
        skips: whether the model has a skip gate.

    Raises:
        ModelFileError: the model does not leave there.
    """
    thresholds = rule.forcing_thresholds(exit_index, exits=exits, skips=skips)
    probabilities, left_at, score = backend.infer(inputs, thresholds)
    check_forced(exit_index, left_at, score)
    return probabilities, score


def check_forced(exit_index: int, left_at: int, score: float, *, clip: str = "") -> None:
    """ModelFileError, which begins with `clip`, if a clip left at another exit than the forced one."""
    if left_at != exit_index:
        raise ModelFileError(
            f"{clip}exit {exit_index + 1} was forced, but the clip left at exit {left_at + 1} with score {score:g}: "
            "the weights in the file are damaged, export it again"
        )


BACKENDS: Registry[type[Backend]] = Registry(
    {
        "native": "bnn_exit.runtime.native_backend:NativeBackend",
        "lce": "bnn_exit.runtime.lce:LceBackend",
        "reference": "bnn_exit.runtime.reference.backend:ReferenceBackend",
    }
)
"""The fastest first. A backend is imported when it is first asked for."""


def installed() -> list[str]:
    """Names of the backends that this installation can run, the fastest first."""
    return [name for name in BACKENDS if BACKENDS[name].is_installed()]


def best_installed() -> str:
    """The fastest backend that this installation can run."""
    return next(name for name in BACKENDS if BACKENDS[name].is_installed())


def front_end(backend: str, features: FeatureConfig) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """The front end of a backend, from samples that `waveform.check` gave to a log-mel [frames, mels]: in the native
    library for the native backend, else in NumPy, with values that differ by rounding alone.
    """
    if backend == "native":
        from bnn_exit.runtime.native_backend import FrontEnd

        return FrontEnd(features).of_samples
    from bnn_exit.audio import logmel

    return functools.partial(logmel.of_samples, features=features)
