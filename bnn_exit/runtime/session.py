"""A session: a model file, ready to classify clips."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import INSTALL, ArgumentError, ModelFileError, one_of
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.policies import rule
from bnn_exit.runtime.backends import BACKENDS, best_installed, front_end, infer_exit

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The prediction for one clip.

    Attributes:
        label: the most probable class.
        label_index: its number.
        probabilities: float32 [classes], of the exit taken.
        exit_index: the exit taken, 0-based.
        score: of that exit, by the file's policy; low = certain. With a skip gate that of the last exit is the gate's:
            how likely an early exit answers rightly; low = hopeless.
        skipped: whether a skip gate sent the clip past the early heads.
        left_out_s: seconds that were cut off the ends of the clip, because the network takes shorter ones; 0 if none.
        steps: with `explain`, one entry for each exit reached: `exit_index`, `score`, `threshold` (None for
            the last exit, which always answers), `label` and `left`. Exits that a skip gate skips have none.
    """

    label: str
    label_index: int
    probabilities: Floats
    exit_index: int
    score: float
    steps: list[dict[str, Any]] | None = None
    left_out_s: float = 0.0
    skipped: bool = False


class Session:
    """A model file on a backend. Get one from `load`.

    It can be copied, pickled and sent to another process. Pickled are the bytes of the file, the name of the backend
    and the number of threads; the other process loads the backend again.

    Example:
        >>> with multiprocessing.get_context("spawn").Pool(2) as pool:
        ...     predictions = pool.map(session.predict, clips)

    Attributes:
        model_file: the file.
        backend: name of the backend.
        metadata: labels, features, costs and operating points, as the file stores them.
        labels: names of the classes.
        operating_points: named thresholds with their validation figures.
        exits: number of exits.
    """

    def __init__(self, file: reader.ModelFile, *, backend: str, threads: int = 1) -> None:
        self.model_file = file
        self.backend = one_of("backend", backend, BACKENDS)
        self._threads = threads
        self.metadata = file.metadata
        self.labels: tuple[str, ...] = file.metadata.labels
        self.operating_points: Mapping[str, OperatingPoint] = file.metadata.operating_points
        self.exits = len(file.metadata.exits)
        self._backend = BACKENDS[backend](file, threads=threads)
        self._log_mel = None if file.metadata.takes_values else front_end(backend, file.metadata.sound)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self.model_file, self.backend, self._threads)

    def __repr__(self) -> str:
        return (
            f"Session({str(self.model_file.path)!r}, backend={self.backend!r}, {len(self.labels)} labels, "
            f"{self.exits} exits)"
        )

    def predict(
        self,
        waveform: npt.ArrayLike,
        *,
        sample_rate_hz: float | None = None,
        operating_point: str = "balanced",
        thresholds: Sequence[float] | npt.ArrayLike | None = None,
        explain: bool = False,
    ) -> Prediction:
        """Classify one clip.

        Args:
            waveform: [samples], floats in [-1, 1] or int16. A shorter clip is padded with silence on both sides. Of
                a longer one the middle is used; `Prediction.left_out_s` gives the rest. For a file that takes values:
                [samples, channels] in the order of `metadata.features.channels`, at least as long as a window.
            sample_rate_hz: rate of the waveform, a whole number; None means the file's own. Another rate is resampled;
                values must have the file's own.
            operating_point: a name in `operating_points`.
            thresholds: [exits - 1], in place of an operating point: 0 turns an exit off, 1000 makes it always answer.
                With a skip gate [exits]: the last is the gate's, and a lower one skips fewer.
            explain: also record the output of each exit reached. Runs the network once more for each of them.

        Raises:
            ArgumentError: a waveform that is empty, not one-dimensional or holds NaN; values of another shape or rate;
                an unknown operating point; the wrong number of thresholds.
        """
        limits = self.model_file.thresholds(operating_point=operating_point, thresholds=thresholds)
        prediction = self._predict(self.inputs(waveform, sample_rate_hz=sample_rate_hz), limits, explain=explain)
        left_out_s = self._left_out_s(waveform, sample_rate_hz)
        return dataclasses.replace(prediction, left_out_s=left_out_s) if left_out_s else prediction

    def _left_out_s(self, waveform: npt.ArrayLike, sample_rate_hz: float | None) -> float:
        own_rate = self.metadata.features.sample_rate_hz
        count = len(np.asarray(waveform)) if self.metadata.takes_values else np.size(waveform)
        surplus = count * own_rate / (sample_rate_hz or own_rate) - self.metadata.clip_samples
        return surplus / own_rate if surplus >= 1 else 0.0

    def predict_log_mel(
        self,
        log_mel: npt.ArrayLike,
        *,
        operating_point: str = "balanced",
        thresholds: Sequence[float] | npt.ArrayLike | None = None,
        explain: bool = False,
    ) -> Prediction:
        """Classify one clip from its log-mel [frames, mels]; arguments and errors as `predict`.

        Raises:
            ArgumentError: also for a log-mel of another shape, or a file that takes waveforms.
        """
        limits = self.model_file.thresholds(operating_point=operating_point, thresholds=thresholds)
        return self._predict(self._check_log_mel(log_mel), limits, explain=explain)

    def exit_probabilities(self, waveform: npt.ArrayLike, *, sample_rate_hz: float | None = None) -> Floats:
        """The probabilities of every exit for a clip: float32 [exits, classes]. Runs the network once for each exit.

        Args:
            waveform: as for `predict`.
            sample_rate_hz: as for `predict`.
        """
        inputs = self.inputs(waveform, sample_rate_hz=sample_rate_hz)
        return np.stack([self.infer_exit(inputs, exit_index)[0] for exit_index in range(self.exits)])

    def inputs(self, waveform: npt.ArrayLike, *, sample_rate_hz: float | None = None) -> Floats:
        """The network input for a clip: its log-mel [frames, mels], or a view of the waveform [samples] or of the
        values [samples, channels].
        """
        if self.metadata.takes_values:
            return self._values(waveform, sample_rate_hz)
        if self.metadata.input == "waveform":
            return self._waveform(waveform, sample_rate_hz)
        return self.log_mel(waveform, sample_rate_hz=sample_rate_hz)

    def infer(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[Floats, int, float]:
        """The network alone, without checks: probabilities [classes], exit index and score of `inputs(waveform)`."""
        return self._backend.infer(inputs, thresholds)

    def log_mel(self, waveform: npt.ArrayLike, *, sample_rate_hz: float | None = None) -> Floats:
        """The log-mel [frames, mels] of a clip, by the settings in the file; ArgumentError if it takes values."""
        if self._log_mel is None:
            raise ArgumentError("log_mel cannot be made: this file takes values of sensors, not sound")
        return self._log_mel(self._waveform(waveform, sample_rate_hz))

    def _waveform(self, waveform: npt.ArrayLike, sample_rate_hz: float | None) -> Floats:
        from bnn_exit.audio.waveform import fit_length  # loading a file needs no module for sound

        own_rate = self.metadata.sound.sample_rate_hz
        if sample_rate_hz is not None and sample_rate_hz != own_rate:
            from bnn_exit.audio.resample import check_rate, resample

            waveform = resample(waveform, from_hz=check_rate("sample_rate_hz", sample_rate_hz), to_hz=own_rate)
        return fit_length(waveform, self.metadata.clip_samples)

    def _values(self, values: npt.ArrayLike, sample_rate_hz: float | None) -> Floats:
        from bnn_exit.sensors.window import fit_length

        own_rate = self.metadata.features.sample_rate_hz
        if sample_rate_hz not in (None, own_rate):
            raise ArgumentError(
                f"sample_rate_hz is {sample_rate_hz!r}, but the file takes values at {own_rate:g} Hz: resample them"
            )
        return fit_length(values, self.metadata.clip_samples, self.metadata.channels)

    def _check_log_mel(self, log_mel: npt.ArrayLike) -> Floats:
        if self.metadata.input != "log_mel":
            takes = "takes values of sensors" if self.metadata.takes_values else "computes it itself"
            raise ArgumentError(f"log_mel cannot be given: this file {takes}, so call predict")
        values = np.asarray(log_mel)
        shape = self.metadata.sound.shape(self.metadata.clip_samples)
        if values.shape != shape:
            raise ArgumentError(f"log_mel has shape {values.shape}, but must be [frames, mels] = {shape}")
        if values.dtype.kind not in "fiu":
            raise ArgumentError(f"log_mel has the type {values.dtype}, but must hold real numbers")
        if not np.all(np.isfinite(values)):
            raise ArgumentError("log_mel holds NaN or infinity, but must be finite")
        return values.astype(np.float32)

    def _predict(self, inputs: Floats, thresholds: Floats, *, explain: bool) -> Prediction:
        probabilities, exit_index, score = self._backend.infer(inputs, thresholds)
        label_index = int(probabilities.argmax())
        (outcome,) = rule.outcomes_at([exit_index], [score], thresholds, exits=self.exits)
        skipped = bool(outcome == self.exits)
        steps = None
        if explain:
            reached = [exit_index] if skipped else range(exit_index + 1)
            steps = [self._step(inputs, thresholds, each, exit_index) for each in reached]
        return Prediction(
            self.labels[label_index], label_index, probabilities, exit_index, score, steps, skipped=skipped
        )

    def _step(self, inputs: Floats, thresholds: Floats, reached: int, left_at: int) -> dict[str, Any]:
        probabilities, score = self.infer_exit(inputs, reached)
        return {
            "exit_index": reached,
            "score": score,
            "threshold": float(thresholds[reached]) if reached < self.exits - 1 else None,
            "label": self.labels[int(probabilities.argmax())],
            "left": reached == left_at,
        }

    def infer_exit(self, inputs: npt.ArrayLike, exit_index: int) -> tuple[Floats, float]:
        """Probabilities [classes] and score of one exit, 0-based, for `inputs(waveform)`.

        Raises:
            ModelFileError: the network does not leave there: its weights are damaged.
        """
        try:
            return infer_exit(self._backend, inputs, exit_index, exits=self.exits, skips=self.metadata.skips)
        except ModelFileError as error:
            raise ModelFileError(f"{self.model_file.path}: {error}") from error


def _make(kind: type[Session], file: reader.ModelFile, backend: str, threads: int) -> Session:
    return kind(file, backend=backend, threads=threads)


def load(path: str | os.PathLike[str], *, backend: str = "auto", threads: int = 1) -> Session:
    """Load a model file. TensorFlow is not imported.

    Args:
        path: the file, or the name of a model that comes with the package (`python -m bnn_exit.models` lists them).
        backend: "native" (our compiled library, fast), "lce" (x86-64 and macOS), "reference" (NumPy, slow, everywhere),
            or "auto": the first of these that is installed, with a warning if that is "reference".
        threads: processor threads for one clip.

    Raises:
        ArgumentError: an unknown name or backend, or fewer than one thread.
        ModelFileError: the file is missing, damaged, not ours, or too new.
        MissingPackageError: the backend needs a package that is not installed.
    """
    one_of("backend", backend, ["auto", *BACKENDS])
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256:
        raise ArgumentError(f"threads is {threads!r}, but must be a whole number from 1 to 256")
    if backend == "auto":
        backend = best_installed()
        if backend == "reference":
            warnings.warn(
                "there is no native library, so the reference backend runs, many times slower: "
                f"with a C++ compiler {INSTALL} builds it",
                RuntimeWarning,
                stacklevel=2,
            )
    return Session(reader.read(path), backend=backend, threads=threads)
