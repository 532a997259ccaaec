"""Classifiers and streams of the C interface, through ctypes."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tiny_files

from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.metadata import METADATA_NAME
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.detector import Event
from bnn_exit.runtime.stream import Window
from bnn_exit.settings.features import FeatureConfig

ARGUMENT = 2
_ERROR_BYTES = 512


class _Prediction(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char_p),
        ("label_index", ctypes.c_int32),
        ("exit_index", ctypes.c_int32),
        ("score", ctypes.c_float),
        ("probabilities", ctypes.POINTER(ctypes.c_float)),
    )


class _Settings(ctypes.Structure):
    _fields_ = (
        ("sample_rate_hz", ctypes.c_int32),
        ("hop_ms", ctypes.c_double),
        ("operating_point", ctypes.c_char_p),
        ("thresholds", ctypes.POINTER(ctypes.c_float)),
        ("listening_point", ctypes.c_char_p),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char_p),
        ("label_index", ctypes.c_int32),
        ("exit_index", ctypes.c_int32),
        ("start_s", ctypes.c_double),
        ("end_s", ctypes.c_double),
        ("time_s", ctypes.c_double),
        ("probability", ctypes.c_double),
    )


class _Window(ctypes.Structure):
    _fields_ = (
        ("complete", ctypes.c_int32),
        ("exit_index", ctypes.c_int32),
        ("score", ctypes.c_float),
        ("has_event", ctypes.c_int32),
        ("start_s", ctypes.c_double),
        ("end_s", ctypes.c_double),
        ("probabilities", ctypes.POINTER(ctypes.c_float)),
        ("event", _Event),
    )


class _Limits(ctypes.Structure):
    _fields_ = (("max_bytes", ctypes.c_uint64), ("max_operations", ctypes.c_uint64), ("threads", ctypes.c_int32))


@dataclasses.dataclass(frozen=True)
class Prediction:
    probabilities: np.ndarray
    exit_index: int
    score: float


class _Object:
    """Calls functions of the library and raises their errors; `status` is that of the last call."""

    def __init__(self) -> None:
        self.library = native_backend._library()
        self.handle = ctypes.c_void_p()
        self.status = 0

    def call(self, name: str, *arguments: Any) -> None:
        message = ctypes.create_string_buffer(_ERROR_BYTES)
        function = getattr(self.library, f"bnn_exit_{name}")
        self.status = function(*arguments, message, ctypes.c_size_t(_ERROR_BYTES))
        if self.status:
            text = message.value.decode()
            assert text and "\n" not in text
            raise (ArgumentError if self.status == ARGUMENT else ModelFileError)(text)


class Classifier(_Object):
    def __init__(self, data: bytes, *, max_bytes: int = 0, max_operations: int = 0) -> None:
        super().__init__()
        limits = _Limits(max_bytes, max_operations, 1)
        self.call("classifier_new", data, ctypes.c_size_t(len(data)), ctypes.byref(limits), ctypes.byref(self.handle))
        self.classes = self.library.bnn_exit_label_count(self.handle)

    def __del__(self) -> None:
        self.library.bnn_exit_classifier_free(self.handle)

    def listening_points(self) -> list[str]:
        function = self.library.bnn_exit_listening_point
        function.restype = ctypes.c_char_p
        names = []
        while (name := function(self.handle, len(names))) is not None:
            names.append(name.decode())
        return names

    def classify(self, clip: np.ndarray, operating_point: str) -> Prediction:
        made = _Prediction()
        self.call(
            "classify",
            self.handle,
            np.ascontiguousarray(clip, np.float32).ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(len(clip)),
            operating_point.encode(),
            None,
            ctypes.byref(made),
        )
        probabilities = np.ctypeslib.as_array(made.probabilities, (self.classes,)).copy()
        return Prediction(probabilities, made.exit_index, made.score)


class Stream(_Object):
    """As `bnn_exit.Stream`, but without a listening point unless one is named."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        sample_rate_hz: int = 0,
        hop_ms: float = 0,
        operating_point: str | None = None,
        thresholds: list[float] | None = None,
        listening_point: str | None = None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        values = None if thresholds is None else (ctypes.c_float * len(thresholds))(*thresholds)
        settings = _Settings(
            sample_rate_hz,
            hop_ms,
            None if operating_point is None else operating_point.encode(),
            values,
            None if listening_point is None else listening_point.encode(),
        )
        self.call("stream_new", classifier.handle, ctypes.byref(settings), ctypes.byref(self.handle))

    def __del__(self) -> None:
        self.library.bnn_exit_stream_free(self.handle)

    def push(self, samples: np.ndarray) -> tuple[int, Window | None]:
        """One call: how many samples it took, and the window that they completed."""
        name = "stream_push_int16" if samples.dtype == np.int16 else "stream_push"
        used, made = ctypes.c_size_t(99), _Window()
        self.used = used
        self.call(
            name,
            self.handle,
            samples.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(len(samples)),
            ctypes.byref(used),
            ctypes.byref(made),
        )
        return used.value, self._window(made) if made.complete else None

    def windows(self, samples: np.ndarray) -> list[Window]:
        windows = []
        samples = np.ascontiguousarray(samples)
        while True:
            used, window = self.push(samples)
            samples = samples[used:]
            if window is None:
                assert not samples.size
                return windows
            windows.append(window)

    def reset(self, lost_samples: int = 0) -> None:
        self.call("stream_reset", self.handle, ctypes.c_uint64(lost_samples))

    def _window(self, made: _Window) -> Window:
        event = None
        if made.has_event:
            of = made.event
            event = Event(
                of.label.decode(), of.label_index, of.start_s, of.end_s, of.time_s, of.probability, of.exit_index
            )
        probabilities = np.ctypeslib.as_array(made.probabilities, (self.classifier.classes,)).copy()
        return Window(made.start_s, made.end_s, probabilities, made.exit_index, made.score, event)


def echo(classes: int, rate_hz: int = 16000, points: Sequence[ListeningPoint] = ()) -> Classifier:
    """A file whose probabilities are the samples of its window, so that a stream shows what it made of its input."""
    file = tiny_files.File()
    graph = file.graph()
    source, thresholds = graph.input((1, classes), name="waveform"), graph.input((0,), name="thresholds")
    zeros = graph.constant(np.zeros((1, classes)))
    (found,) = graph.operator("ADD", [source, zeros], [((1, classes), "float32")], "AddOptions")
    index, score = graph.constant([0], "int32"), graph.constant([0.5])
    graph.outputs([found, index, score])
    outputs = {"probabilities": found, "exit_index": index, "score": score}
    file.signature({"waveform": source, "thresholds": thresholds}, outputs)
    meta = tiny_files.metadata(
        exits=1,
        input="waveform",
        clip_samples=classes,
        labels=tuple(f"w{index}" for index in range(classes)),
        features=FeatureConfig(sample_rate_hz=rate_hz, num_mels=4, fft_size=8192, upper_hz=400),
        listening_points={point.name: point for point in points},
    )
    file.metadata(METADATA_NAME, meta.to_json())
    return Classifier(file.bytes())
