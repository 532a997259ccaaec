"""Difficulty in an Apache Beam pipeline, for corpora larger than a machine (extra `beam`).

    with beam.Pipeline() as pipeline:
        scored = pipeline | beam.io.ReadFromText("paths.txt") | ScoreClips("model.tflite")
        scored.rows | beam.Map(json.dumps) | beam.io.WriteToText("difficulty")
        scored.failed | beam.Map(json.dumps) | "Failed" >> beam.io.WriteToText("failed")

The runner shares the work out; here is no engine of our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from bnn_exit.difficulty.clips import table_of
from bnn_exit.errors import BnnExitError, DataError, missing_package, one_of
from bnn_exit.model_file import reader
from bnn_exit.runtime.backends import BACKENDS, installed
from bnn_exit.runtime.scoring import error_line, score_clip
from bnn_exit.runtime.session import Session

try:
    import apache_beam as beam
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics
except ImportError:
    raise missing_package("apache-beam", purpose="bnn_exit.difficulty.beam", extra="beam") from None

FAILED = "failed"


class ScoreClips(beam.PTransform):
    """Clips to rows: a PCollection of paths, or of pairs of a name and a waveform [samples] at the model's rate.

    A path may lie on any file system that Beam knows. The model is read once, where the pipeline is made, and travels
    with it, so workers need bnn_exit but not the file.

    Files of another sample rate than the model's are resampled; the counter `resampled` of the namespace `bnn_exit`
    counts them.

    The result has two collections: `rows`, dictionaries as `Table.rows` gives them, and `failed`, a dictionary of
    `path` and `error`, one line, for each clip that could not be used.

    Args:
        model: the model file, or a name of `python -m bnn_exit.models`.
        operating_point: decides where a clip leaves.
        thresholds: [exits - 1], in place of an operating point.
        backend: "auto" takes the best that a worker has.

    Raises:
        ArgumentError: an unknown operating point or backend, or thresholds of the wrong number.
        ModelFileError: the model file is missing or damaged.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        operating_point: str = "balanced",
        thresholds: npt.ArrayLike | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        one_of("backend", backend, ["auto", *BACKENDS])
        file = reader.read(model)
        limits = file.thresholds(operating_point=operating_point, thresholds=thresholds)
        self._score = _Score(file.data, str(file.path), limits.tolist(), backend)

    def expand(self, clips: Any) -> Any:
        """See the class."""
        return clips | beam.ParDo(self._score).with_outputs(FAILED, main="rows")


class _Score(beam.DoFn):
    def __init__(self, data: bytes, path: str, thresholds: list[float], backend: str) -> None:
        self._data, self._path, self._thresholds, self._backend = data, path, thresholds, backend

    def setup(self) -> None:
        """Once for each instance that a worker makes: a session cannot travel, a file's bytes can."""
        file = reader.decode(self._data, place=Path(self._path))
        self._resampled = Metrics.counter("bnn_exit", "resampled")
        self._session = Session(file, backend=installed()[0] if self._backend == "auto" else self._backend)

    def process(self, clip: Any) -> Iterator[Any]:
        name = str(clip[0]) if isinstance(clip, tuple) else os.fspath(clip)
        try:
            data = None if isinstance(clip, tuple) else _read(name)
            scored = score_clip(self._session, clip, data=data)
            table = table_of(self._session, [scored], self._thresholds)
        except BnnExitError as error:
            yield beam.pvalue.TaggedOutput(FAILED, {"path": name, "error": error_line(error, clip)})
        else:
            if scored.rate_hz != self._session.metadata.features.sample_rate_hz:
                self._resampled.inc()
            yield from table.rows()


def _read(path: str) -> bytes:
    try:
        with FileSystems.open(path, compression_type="uncompressed") as file:
            return file.read()
    # Every file system has errors of its own: OSError, BeamIOError, ValueError for a scheme that it does not know.
    except Exception as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
