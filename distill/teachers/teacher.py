"""A teacher: whatever gives logits or an embedding for log-mel clips."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.network import Network

KINDS = ("logits", "embedding")
EMBEDDING = "embedding"
"""The layer of `residual.residual` that gives one."""


class Teacher(Protocol):
    """What a student learns from.

    Attributes:
        kind: "logits", or "embedding" for a teacher that knows other classes or none.
        size: values for each clip: classes, or the length of the embedding.
        input: "log_mel" or "waveform".
        input_shape: of one clip.
        keras_model: the network, where its layers can be reached; else None.
    """

    kind: str
    size: int
    input: str
    input_shape: tuple[int, ...]
    keras_model: Any

    def outputs(self, clips: np.ndarray) -> np.ndarray:
        """float32 `[clips, size]` for log-mel clips `[clips, frames, mels]` or waveforms `[clips, samples]`."""
        ...

    def digest(self) -> str:
        """A short fingerprint of its weights, to tell stored outputs from those of another teacher."""
        ...


class NetworkTeacher:
    """A network of this package: the logits of its last exit, or the output of its layer `embedding`.

    Args:
        network: trained.
        kind: "logits" or "embedding".

    Raises:
        ArgumentError: an unknown kind, or an embedding of a network that has no layer of this name: a student.
    """

    input = "log_mel"

    def __init__(self, network: Network, *, kind: str = "logits") -> None:
        one_of("kind", kind, KINDS)
        self.network, self.kind, self.size = network, kind, network.num_classes
        self.input_shape: tuple[int, ...] = network.input_shape
        self.keras_model = network.keras_model
        if kind == "embedding":
            if EMBEDDING not in {layer.name for layer in network.keras_model.layers}:
                raise ArgumentError(
                    "a student's run as a teacher gives no embedding: give a folder of distill.train_teacher or a "
                    "model file that gives one"
                )
            layer = network.keras_model.get_layer(EMBEDDING)
            self._embed = keras.Model(network.keras_model.inputs, layer.output)
            self.size = int(layer.output.shape[-1])

    def outputs(self, clips: np.ndarray) -> np.ndarray:
        """Logits `[clips, classes]`, or embeddings `[clips, size]`."""
        if self.kind == "logits":
            return self.network.logits(clips)[:, -1]
        return self._embed.predict(
            np.asarray(clips, np.float32).reshape(-1, *self._embed.input_shape[1:]), batch_size=128, verbose=0
        )

    def digest(self) -> str:
        """Of the weights."""
        return digest_of(self.network.keras_model.get_weights())


class MeanTeacher:
    """The mean of several teachers' logits, or of their embeddings.

    Args:
        teachers: of one kind and size, with the same input.

    Raises:
        ArgumentError: no teachers, or ones that do not fit together.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        # A network of log-mel may lack the last axis.
        found = {(teacher.kind, teacher.size, teacher.input, tuple(teacher.input_shape[:2])) for teacher in teachers}
        if len(found) != 1:
            listed = ", ".join(
                f"{teacher.size} {teacher.kind} of a {teacher.input} {list(teacher.input_shape[:2])}"
                for teacher in teachers
            )
            listed = listed or "none"
            raise ArgumentError(f"teachers give {listed}, but must all give the same: leave out those that do not fit")
        self._teachers = list(teachers)
        ((self.kind, self.size, self.input, _),) = found
        self.input_shape = self._teachers[0].input_shape
        self.keras_model = None  # layers of several networks have no mean

    def outputs(self, clips: np.ndarray) -> np.ndarray:
        """`[clips, size]`."""
        return np.mean([teacher.outputs(clips) for teacher in self._teachers], axis=0, dtype=np.float32)

    def digest(self) -> str:
        """Of all of them."""
        return hashlib.sha256("".join(teacher.digest() for teacher in self._teachers).encode()).hexdigest()[:16]


def digest_of(arrays: Sequence[np.ndarray]) -> str:
    """A short fingerprint of some weights."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(str(array.shape).encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]
