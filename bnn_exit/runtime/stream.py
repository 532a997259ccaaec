"""A stream: samples in chunks of any size, to the probabilities of windows, to events."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.audio import waveform
from bnn_exit.audio.resample import check_rate
from bnn_exit.audio.stream_resample import StreamResampler
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint, how_to_make_one
from bnn_exit.runtime.detector import Detector, Event
from bnn_exit.runtime.gate import Gate
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.windows import LogMelWindows, WaveformWindows
from bnn_exit.sensors import window as sensor_window

Floats = npt.NDArray[np.float32]

DEFAULT_HOP_MS = 100.0
DEFAULT_POINT = "balanced"
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 192_000
GATED = -1
"""The exit index of a window that the gate kept from the network."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One window of a stream.

    Attributes:
        start_s, end_s: seconds from the start of the stream.
        probabilities: float32 [classes], of the exit taken; zeros if the gate was closed.
        exit_index: the exit taken, 0-based; -1 if the gate was closed and the network did not run.
        score: of that exit, by the file's policy; NaN if the gate was closed.
        event: the event that this window makes, or None.
    """

    start_s: float
    end_s: float
    probabilities: Floats
    exit_index: int
    score: float
    event: Event | None = None


class Stream:
    """Recognition on a stream that never ends.

    The first window begins at the first sample, the next one hop later. The probabilities of a window are to the last
    bit those that `Session.predict` gives for the same samples, whatever the sizes of the chunks. Each log-mel frame is
    computed once. Memory is constant. If a call is interrupted, by Ctrl-C for one, the rest of its samples is lost, and
    the stream starts clean after them.

    Args:
        session: a loaded model file. Several streams may share one, but only one of them may run at a time.
        hop_ms: from one window to the next: a whole multiple of the hop of the features (10 ms for most files; one
            sample of values), at most 60000. Smaller costs more and reports sooner. None means the listening point's,
            or 100; of values the nearest multiple to it.
        sample_rate_hz: rate of the samples, a whole number from 8000 to 192000; None means the file's own. Another rate
            is resampled, which delays windows by some 15 ms. Values must have the file's own.
        operating_point: a name in the file; None means the listening point's, or "balanced".
        thresholds: [exits - 1], in place of an operating point.
        listening_point: how events are made: a name in the file, or a point. None means the one called "balanced", or
            the only one, if the file has it; without one there are windows, but no events.
        gate: an energy gate ahead of the network: settings, True for the default ones, False for none, None
            for the listening point's.

    Raises:
        ArgumentError: a hop, rate, name, gate or thresholds that break a rule; a listening point of another model; a
            gate for a file that takes waveforms or values.

    Example:
        >>> stream = bnn_exit.Stream(bnn_exit.load("model.tflite"), sample_rate_hz=48000)
        >>> for event in stream.push(chunk):
        ...     print(event.label, event.time_s)
    """

    def __init__(
        self,
        session: Session,
        *,
        hop_ms: float | None = None,
        sample_rate_hz: float | None = None,
        operating_point: str | None = None,
        thresholds: Sequence[float] | npt.ArrayLike | None = None,
        listening_point: str | ListeningPoint | None = None,
        gate: GateSettings | bool | None = None,
    ) -> None:
        if not isinstance(session, Session):
            raise ArgumentError(f"session is {session!r}, but must be a Session: bnn_exit.load makes one of a file")
        metadata = session.metadata
        point = find_point(session, listening_point)
        self.session, self.labels = session, session.labels
        hop_ms = hop_ms if hop_ms is not None else point.hop_ms if point else _usual_hop_ms(session)
        self._rate = metadata.features.sample_rate_hz
        self._hop = hop_samples(session, hop_ms)
        self.hop_ms = float(hop_ms)
        # Spans of a point are in milliseconds, so it holds for every hop.
        self.listening_point = None if point is None else dataclasses.replace(point, hop_ms=self.hop_ms)
        usual = point.operating_point if point else DEFAULT_POINT
        self.operating_point = usual if operating_point is None else operating_point
        self._thresholds = session.model_file.thresholds(operating_point=self.operating_point, thresholds=thresholds)
        self.sample_rate_hz = _checked_rate(session, sample_rate_hz)
        self._resampler = None
        if self.sample_rate_hz != self._rate:
            self._resampler = StreamResampler(from_hz=int(self.sample_rate_hz), to_hz=metadata.sound.sample_rate_hz)
        settings = _gate_settings(gate, point)
        self._detector = None if self.listening_point is None else Detector(self.listening_point, session.labels)
        self._windows: LogMelWindows | WaveformWindows
        self._gate: Gate | None = None
        self._windows = windows_of(session, hop=self._hop)
        if settings is not None:
            self._gate = gate_of(session, settings)
        self._taken = 0  # samples at the stream's own rate, lost ones included
        self._began = 0.0  # seconds at which the current piece, without gaps, began
        self._number = 0  # windows of the piece

    @property
    def time_s(self) -> float:
        """Seconds of the stream so far, lost samples included."""
        return self._taken / self.sample_rate_hz

    def push(self, samples: npt.ArrayLike) -> list[Event]:
        """Take the next samples and return the events that they complete.

        Args:
            samples: [n], any number, 0 too; floats in [-1, 1] or int16. Of values [n, channels].

        Raises:
            ArgumentError: another shape or type, NaN, or values far beyond full scale; nothing was taken then.
        """
        return [window.event for window in self._run(samples) if window.event is not None]

    def windows(self, samples: npt.ArrayLike) -> list[Window]:
        """As `push`, but every window that the samples complete, events within."""
        return list(self._run(samples))

    def reset(self, *, lost_samples: int = 0) -> None:
        """Start clean after a gap: nothing from before it is in a later window or event. Time advances.

        Args:
            lost_samples: that are missing, at the rate of the stream: time advances by so much more.

        Raises:
            ArgumentError: fewer than 0.
        """
        if isinstance(lost_samples, bool) or not isinstance(lost_samples, numbers.Integral) or lost_samples < 0:
            raise ArgumentError(f"lost_samples is {lost_samples!r}, but must be a whole number of at least 0")
        self._taken += int(lost_samples)
        self._began, self._number = self.time_s, 0
        self._windows.reset()
        for part in (self._resampler, self._detector, self._gate):
            if part is not None:
                part.reset()

    def _run(self, samples: npt.ArrayLike) -> Iterator[Window]:
        channels = self.session.metadata.channels
        if np.shape(samples) in ((0,), (0, len(channels))):
            return
        checked = sensor_window.check(samples, channels) if channels else waveform.check(samples)
        self._taken += len(checked)
        try:
            for inputs, new_frames in self._windows.push(self._resampler.push(checked) if self._resampler else checked):
                yield self._window(inputs, new_frames)
        except BaseException:  # Ctrl-C too: the rest of the samples is lost, and no window may reach across
            self.reset()
            raise

    def _window(self, inputs: Floats, new_frames: Floats | None) -> Window:
        start_s = self._began + self._number * self._hop / self._rate
        end_s = start_s + self.session.metadata.clip_samples / self._rate
        self._number += 1
        if self._gate is not None and new_frames is not None:
            self._gate.push(new_frames)
        if self._gate is None or self._gate.is_open:
            probabilities, exit_index, score = self.session.infer(inputs, self._thresholds)
        else:
            probabilities, exit_index, score = np.zeros(len(self.labels), np.float32), GATED, math.nan
        event = None
        if self._detector is not None:
            seen = None if exit_index == GATED else probabilities
            event = self._detector.push(seen, exit_index=exit_index, start_s=start_s, end_s=end_s)
        return Window(start_s, end_s, probabilities, exit_index, score, event)


def find_point(session: Session, wanted: str | ListeningPoint | None) -> ListeningPoint | None:
    """The listening point of this name, or this one, checked; of None the file's own.

    Raises:
        ArgumentError: an unknown name, or a point whose labels or operating point the file lacks.
    """
    points = session.metadata.listening_points
    if isinstance(wanted, ListeningPoint):
        wanted.check(labels=session.labels, operating_points=list(session.operating_points))
        return wanted
    if wanted is None:
        only = next(iter(points.values())) if len(points) == 1 else None
        return points.get(DEFAULT_POINT, only)
    if not points:
        raise ArgumentError(
            f"listening point is {wanted!r}, but {session.model_file.path} has none: "
            f"{how_to_make_one(session.model_file.path)}"
        )
    return points[one_of("listening point", wanted, points)]


def windows_of(session: Session, *, hop: int) -> LogMelWindows | WaveformWindows:
    """What makes the network's input for every window, `hop` samples from one to the next."""
    metadata = session.metadata
    if metadata.input == "log_mel":
        return LogMelWindows(session.backend, metadata.sound, metadata.clip_samples, hop=hop)
    return WaveformWindows(metadata.clip_samples, hop=hop, channels=len(metadata.channels) or None)


def gate_of(session: Session, settings: GateSettings) -> Gate:
    """The gate ahead of the network; ArgumentError for a file that takes no log-mel frames."""
    metadata = session.metadata
    if metadata.input != "log_mel":
        other = "values of sensors" if metadata.takes_values else "waveforms: export it with log_mel"
        raise ArgumentError(f"gate needs log-mel frames, but this file takes {other}")
    hop_s = metadata.sound.hop_samples / metadata.sound.sample_rate_hz
    return Gate(settings, hop_s=hop_s, window_frames=metadata.sound.num_frames(metadata.clip_samples))


def _usual_hop_ms(session: Session) -> float:
    if not session.metadata.takes_values:
        return DEFAULT_HOP_MS
    rate = session.metadata.features.sample_rate_hz
    return 1000 * max(1, round(DEFAULT_HOP_MS * rate / 1000)) / rate


def hop_samples(session: Session, hop_ms: float) -> int:
    """Samples of a hop, at the rate of the file.

    Raises:
        ArgumentError: not a whole multiple of the hop of the features, with the nearest one, or out of range.
    """
    features = session.metadata.features
    unit = features.hop_samples if session.metadata.input == "log_mel" else 1
    if isinstance(hop_ms, bool) or not isinstance(hop_ms, numbers.Real) or not 0 < hop_ms <= 60_000:
        raise ArgumentError(f"hop_ms is {hop_ms!r}, but must be a number above 0 and at most 60000")
    exact = features.sample_rate_hz * float(hop_ms) / 1000
    hop = max(1, round(exact / unit)) * unit
    if abs(hop - exact) > 1e-6 * exact:
        unit_ms, nearest_ms = (1000 * samples / features.sample_rate_hz for samples in (unit, hop))
        raise ArgumentError(
            f"hop_ms is {hop_ms:g}, but must be a multiple of the {unit_ms:g} ms from frame to frame: the nearest is "
            f"{nearest_ms:g}"
        )
    return hop


def _checked_rate(session: Session, sample_rate_hz: float | None) -> float:
    own = session.metadata.features.sample_rate_hz
    if sample_rate_hz is None or sample_rate_hz == own:
        return own
    if session.metadata.takes_values:
        raise ArgumentError(
            f"sample_rate_hz is {sample_rate_hz!r}, but the file takes values at {own:g} Hz: resample them"
        )
    rate = check_rate("sample_rate_hz", sample_rate_hz)
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise ArgumentError(f"sample_rate_hz is {rate}, but must be from {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    return rate


def _gate_settings(gate: GateSettings | bool | None, point: ListeningPoint | None) -> GateSettings | None:
    if gate is None:
        return point.gate if point else None
    if isinstance(gate, bool):
        return GateSettings() if gate else None
    if not isinstance(gate, GateSettings):
        raise ArgumentError(f"gate is {gate!r}, but must be GateSettings, False for none, or True for the defaults")
    return gate
