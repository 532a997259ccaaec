"""Teachers from elsewhere: a Keras file, a SavedModel or a TFLite file that takes log-mel clips or waveforms."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.errors import DataError, one_of
from bnn_exit.runtime import flatbuffer
from distill.teachers.teacher import KINDS

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_BATCH = 64


class FileTeacher:
    """A model from a file. See `teacher.Teacher`.

    Args:
        path: a Keras file, a folder with a SavedModel, or a TFLite file.
        kind: "logits", also for a model that ends in a softmax, or "embedding".
        clip_samples: what a model of waveforms of any length is given.

    Raises:
        ArgumentError: an unknown kind.
        DataError: a file that is missing, damaged or of another format, or a model with other than one input and
            output, or an input that is neither log-mel `[batch, frames, mels(, 1)]` nor a waveform (`[batch, samples]`,
            or `[samples]` of one clip), or that does not answer silence with finite numbers.
    """

    def __init__(self, path: Path, *, kind: str = "logits", clip_samples: int | None = None) -> None:
        one_of("kind", kind, KINDS)
        self.path, self.kind = path, kind
        with self._one_line("read"):
            self._call, shape, self.size, self.keras_model = _open(path)
        self._batch = _batch(path, shape)
        self.input_shape = _clip_shape(path, shape, clip_samples=clip_samples)
        self.input = "waveform" if len(self.input_shape) == 1 else "log_mel"
        if len(self.input_shape) not in (1, 2, 3) or (len(self.input_shape) == 3 and self.input_shape[2] != 1):
            raise DataError(
                f"teacher {str(path)!r} takes {list(self.input_shape)}, but must take log-mel [frames, mels], "
                "[frames, mels, 1] or a waveform [samples]"
            )
        with self._one_line("asked"):
            found = self._ask(np.zeros((2, *self.input_shape), np.float32))
        if found.shape != (2, self.size) or found.dtype.kind != "f" or not np.isfinite(found).all():
            raise DataError(
                f"teacher {str(path)!r} gives {found.dtype} {list(found.shape)} for two silent clips, but must give "
                f"finite floats [2, {self.size}]"
            )

    def outputs(self, clips: np.ndarray) -> np.ndarray:
        """Logits or embeddings `[clips, size]` of log-mel clips `[clips, frames, mels]`, or of waveforms."""
        found = self._ask(np.asarray(clips, np.float32).reshape(len(clips), *self.input_shape))
        return _logits(found) if self.kind == "logits" else found

    def _ask(self, clips: np.ndarray) -> np.ndarray:
        parts = [self._call(clips[start : start + self._batch]) for start in range(0, len(clips), self._batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.size), np.float32)

    @contextlib.contextmanager
    def _one_line(self, what: str) -> Iterator[None]:
        """TensorFlow raises whatever the damage makes it run into; it becomes one line."""
        try:
            yield
        except DataError:
            raise
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
    """What runs a batch, its shape, the length of one result, and the network if it is Keras's."""

    call: _Call
    shape: tuple[int | None, ...]
    size: int
    keras_model: keras.Model | None = None


def _open(path: Path) -> _Opened:
    if path.suffix in KERAS_SUFFIXES:
        return _open_keras(path)
    return _open_tflite(path) if path.suffix == ".tflite" else _open_saved_model(path)


def _one_by_one(ask: _Call, shape: tuple[int | None, ...], size: int) -> _Opened:
    """What runs one clip, also a waveform `[samples]` without a batch, for a batch."""

    def call(batch: np.ndarray) -> np.ndarray:
        return np.stack([ask(clip).reshape(-1) for clip in batch])

    return _Opened(call, shape if len(shape) > 1 else (1, *shape), size)


def _open_keras(path: Path) -> _Opened:
    if not path.is_file():
        raise DataError(f"teacher {str(path)!r} does not exist: check the path")
    # Layers with code in the file (Lambda) are refused: a model file is data, not a program.
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    _require_one(path, len(model.inputs), len(model.outputs))
    forward = tf.function(lambda batch: model(batch, training=False))
    return _Opened(
        lambda batch: forward(tf.constant(batch)).numpy(),
        tuple(model.inputs[0].shape),
        _size(path, model.outputs[0].shape),
        model,
    )


def _open_saved_model(path: Path) -> _Opened:
    model = tf.saved_model.load(str(path))
    if "serving_default" not in model.signatures:
        raise DataError(f"teacher {str(path)!r} has no signature 'serving_default': save it with one")
    run = model.signatures["serving_default"]
    inputs, outputs = run.structured_input_signature[1], run.structured_outputs
    _require_one(path, len(inputs), len(outputs))
    ((given, spec),), ((found, result),) = inputs.items(), outputs.items()

    def call(batch: np.ndarray) -> np.ndarray:
        return run(**{given: tf.constant(batch)})[found].numpy()

    call.keep = model  # type: ignore[attr-defined]  # the signature does not keep its variables alive
    shape, size = tuple(spec.shape), _size(path, result.shape)
    return _one_by_one(call, shape, size) if len(shape) == 1 else _Opened(call, shape, size)


def _open_tflite(path: Path) -> _Opened:
    if not path.is_file():
        raise DataError(f"teacher {str(path)!r} does not exist: check the path")
    data = path.read_bytes()
    _check_whole(path, data)
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _require_one(path, len(inputs), len(outputs))
    source, result = inputs[0], outputs[0]
    if source["dtype"] != np.float32 or result["dtype"] != np.float32:
        raise DataError(f"teacher {str(path)!r} computes with integers, but must take and give float32")

    def ask(clip: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], clip.reshape(source["shape"]))
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return _one_by_one(ask, tuple(int(size) for size in source["shape"]), int(np.prod(result["shape"])))


def _check_whole(path: Path, data: bytes) -> None:
    """TensorFlow Lite does not check a file, and damage can end the process: our reader looks at it first."""
    model = flatbuffer.read(data)
    if any(operator.name.startswith("Lce") for graph in model.subgraphs for operator in graph.operators):
        raise DataError(
            f"teacher {str(path)!r} is a binary network for Larq Compute Engine: give the folder of its run"
        )


def _require_one(path: Path, inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise DataError(f"teacher {str(path)!r} has {inputs} inputs and {outputs} outputs, but must have one of each")


def _batch(path: Path, shape: tuple[int | None, ...]) -> int:
    """How many clips it is given at once."""
    if shape and shape[0] not in (None, 1):
        raise DataError(f"teacher {str(path)!r} takes {shape[0]} clips at once, but must take one or any number")
    return 1 if shape and shape[0] == 1 else _BATCH


def _clip_shape(path: Path, shape: tuple[int | None, ...], *, clip_samples: int | None) -> tuple[int, ...]:
    sizes = shape[1:]
    if sizes == (None,) and clip_samples is not None:
        sizes = (clip_samples,)
    if None in sizes or not sizes:
        raise DataError(f"teacher {str(path)!r} takes {list(shape)}, but every size save the batch must be fixed")
    return tuple(size for size in sizes if size is not None)


def _size(path: Path, shape: object) -> int:
    sizes = list(shape)  # type: ignore[call-overload]
    if len(sizes) not in (1, 2) or sizes[-1] is None:
        raise DataError(f"teacher {str(path)!r} gives {sizes}, but must give [batch, classes] or [batch, size]")
    return int(sizes[-1])


def _logits(found: np.ndarray) -> np.ndarray:
    """Logits; probabilities become logarithms, which have the same softmax."""
    is_probability = found.size > 0 and found.min() >= 0 and np.allclose(found.sum(axis=-1), 1, atol=1e-3)
    return np.log(np.maximum(found, 1e-8)).astype(np.float32) if is_probability else found
