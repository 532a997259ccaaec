"""Teachers from elsewhere: a Keras file, a SavedModel or a TFLite file that takes log-mel clips or waveforms.

A `.keras` file is read as data (`keras_file`), a TFLite file runs in a process of its own (`tflite`). Keras's `.h5`
files and SavedModels are programs, and are only run if they are trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.errors import DataError, one_of
from distill.teachers.keras_file import open_keras
from distill.teachers.teacher import KINDS
from distill.teachers.tflite import TFLiteProcess

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_BATCH = 64


class FileTeacher:
    """A model from a file. See `teacher.Teacher`.

    Args:
        path: a Keras file, a folder with a SavedModel, or a TFLite file.
        kind: "logits", also for a model that ends in a softmax, or "embedding".
        clip_samples: what a model of waveforms of any length is given.
        trust: run the file, whatever it holds: an `.h5` file, a SavedModel, or layers that are no data.

    Raises:
        ArgumentError: an unknown kind.
        DataError: a file that is missing, damaged or of another format, or a program that is not trusted, or a model
            with other than one input and output, or an input that is neither log-mel `[batch, frames, mels(, 1)]` nor
            a waveform (`[batch, samples]`, or `[samples]` of one clip), or that does not give finite numbers for
            silence.
    """

    def __init__(
        self, path: Path, *, kind: str = "logits", clip_samples: int | None = None, trust: bool = False
    ) -> None:
        one_of("kind", kind, KINDS)
        self.path, self.kind = path, kind
        with self._one_line("read"):
            self._call, shape, self.size, self._batch, self.keras_model = _open(path, trust=trust)
            self.input_shape = _clip_shape(shape, clip_samples=clip_samples)
            self.input = "waveform" if len(self.input_shape) == 1 else "log_mel"
        with self._one_line("asked"):
            found = self._ask(np.zeros((2, *self.input_shape), np.float32))
            if found.shape != (2, self.size) or found.dtype.kind != "f" or not np.isfinite(found).all():
                raise DataError(
                    f"gives {found.dtype} {list(found.shape)} for two silent clips, but must give finite floats "
                    f"[2, {self.size}]"
                )

    def outputs(self, clips: np.ndarray) -> np.ndarray:
        """Logits or embeddings `[clips, size]` of log-mel clips `[clips, frames, mels]`, or of waveforms."""
        with self._one_line("asked"):
            found = self._ask(np.asarray(clips, np.float32).reshape(len(clips), *self.input_shape))
        return _logits(found) if self.kind == "logits" else found

    def _ask(self, clips: np.ndarray) -> np.ndarray:
        parts = [self._call(clips[start : start + self._batch]) for start in range(0, len(clips), self._batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.size), np.float32)

    @contextlib.contextmanager
    def _one_line(self, what: str) -> Iterator[None]:
        """An error that names this file; TensorFlow raises various errors on damage."""
        try:
            yield
        except DataError as error:
            raise DataError(f"teacher {str(self.path)!r} {error}") from error
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"teacher {str(self.path)!r} cannot be {what} ({type(error).__name__}: {reason})"
            ) from error

    def digest(self) -> str:
        """Of the bytes on disk."""
        files = sorted(file for file in self.path.rglob("*") if file.is_file()) if self.path.is_dir() else [self.path]
        state = hashlib.sha256()
        for file in files:
            state.update(file.read_bytes())
        return state.hexdigest()[:16]


def is_model_file(path: Path) -> bool:
    """Whether `path` looks like something that FileTeacher reads."""
    return path.suffix in (*KERAS_SUFFIXES, ".tflite") or (path / "saved_model.pb").is_file()


_Call = Callable[[np.ndarray], np.ndarray]


class _Opened(NamedTuple):
    """What runs a batch, the shape of its input, the length of one result, clips a batch, and Keras's network."""

    call: _Call
    shape: tuple[int | None, ...]
    size: int
    batch: int
    keras_model: keras.Model | None = None


def _open(path: Path, *, trust: bool) -> _Opened:
    if path.suffix not in (*KERAS_SUFFIXES, ".tflite"):
        return _open_saved_model(path, trust=trust)
    if not path.is_file():
        raise DataError("does not exist: check the path" if not path.exists() else "is no file")
    return _open_tflite(path, trust=trust) if path.suffix == ".tflite" else _open_keras(path, trust=trust)


def _open_keras(path: Path, *, trust: bool) -> _Opened:
    model = open_keras(path, trust=trust)
    _require_one(len(model.inputs), len(model.outputs))
    # Layers of the list do not need AutoGraph, which takes most of the time; others may.
    forward = tf.function(lambda batch: model(batch, training=False), autograph=trust)
    shape = tuple(model.inputs[0].shape)
    return _Opened(
        lambda batch: forward(tf.constant(batch)).numpy(), shape, _size(model.outputs[0].shape), _batch(shape), model
    )


def _open_saved_model(path: Path, *, trust: bool) -> _Opened:
    if not trust:
        raise DataError(
            "is a SavedModel, a program that may write files: give --trust-teacher (trust=True in Python) if you know "
            "where it comes from"
        )
    model = tf.saved_model.load(str(path))
    if "serving_default" not in model.signatures:
        raise DataError("has no signature 'serving_default': save it with one")
    run = model.signatures["serving_default"]
    inputs, outputs = run.structured_input_signature[1], run.structured_outputs
    _require_one(len(inputs), len(outputs))
    ((given, spec),), ((found, result),) = inputs.items(), outputs.items()

    def call(batch: np.ndarray) -> np.ndarray:
        return run(**{given: tf.constant(batch)})[found].numpy()

    call.keep = model  # type: ignore[attr-defined]  # the signature does not keep its variables alive
    shape, size = tuple(spec.shape), _size(result.shape)
    if len(shape) != 1:
        return _Opened(call, shape, size, _batch(shape))
    # A waveform [samples], without a batch.
    return _Opened(lambda batch: np.stack([call(clip).reshape(-1) for clip in batch]), (1, *shape), size, 1)


def _open_tflite(path: Path, *, trust: bool) -> _Opened:
    process = TFLiteProcess(path.read_bytes(), trust=trust)
    shape = process.input_shape if len(process.input_shape) > 1 else (1, *process.input_shape)
    _batch(shape)
    # The process takes them one by one; a batch is what goes there at once.
    return _Opened(process, tuple(shape), process.size, _BATCH)


def _require_one(inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise DataError(f"has {inputs} inputs and {outputs} outputs, but must have one of each")


def _batch(shape: tuple[int | None, ...]) -> int:
    """How many clips it is given at once."""
    if shape and shape[0] not in (None, 1):
        raise DataError(f"takes {shape[0]} clips at once, but must take one or any number")
    return 1 if shape and shape[0] == 1 else _BATCH


def _clip_shape(shape: tuple[int | None, ...], *, clip_samples: int | None) -> tuple[int, ...]:
    sizes = shape[1:]
    if sizes == (None,) and clip_samples is not None:
        sizes = (clip_samples,)
    if None in sizes or not sizes:
        raise DataError(f"takes {list(shape)}, but every size except the batch must be fixed")
    fixed = tuple(size for size in sizes if size is not None)
    if len(fixed) not in (1, 2, 3) or (len(fixed) == 3 and fixed[2] != 1):
        raise DataError(
            f"takes {list(fixed)}, but must take log-mel [frames, mels], [frames, mels, 1] or a waveform [samples]"
        )
    return fixed


def _size(shape: object) -> int:
    sizes = list(shape)  # type: ignore[call-overload]
    if len(sizes) not in (1, 2) or sizes[-1] is None:
        raise DataError(f"gives {sizes}, but must give [batch, classes] or [batch, size]")
    return int(sizes[-1])


def _logits(found: np.ndarray) -> np.ndarray:
    """Logits; probabilities become logarithms, which have the same softmax."""
    is_probability = found.size > 0 and found.min() >= 0 and np.allclose(found.sum(axis=-1), 1, atol=1e-3)
    return np.log(np.maximum(found, 1e-8)).astype(np.float32) if is_probability else found
