"""Recordings of sensors, brought to an even rate and cut into windows of one length."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audio_tasks.samples import Recording, Windows
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.text import counted

MIXED = ("keep", "drop")
_DIGITS = 3  # of a rate that is measured


@dataclasses.dataclass(frozen=True)
class Cutting:
    """How recordings become windows.

    Attributes:
        window_s: length of a window in seconds. Longer ones hold more to decide by, and the answer comes later.
        hop_s: from the start of a window to that of the next one of its recording. Shorter makes more windows, which
            overlap.
        rate_hz: samples a second of the windows; 0: that of the recordings.
        gap_s: where time stamps are further apart, a recording is taken for two.
        mixed: what becomes of a window with more than one label: "keep", with the label of most of its samples (of two
            with as many, the first), or "drop".
    """

    window_s: float = 2.0
    hop_s: float = 1.0
    rate_hz: float = 0.0
    gap_s: float = 0.5
    mixed: str = "keep"

    def __post_init__(self) -> None:
        for name in ("window_s", "hop_s", "gap_s"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ArgumentError(f"{name} is {value!r}, but must be above 0")
        if not 0 <= self.rate_hz < float("inf"):
            raise ArgumentError(f"rate_hz is {self.rate_hz!r}, but must be above 0, or 0 for that of the recordings")
        one_of("mixed", self.mixed, MIXED)


class Cut(NamedTuple):
    """Windows, and what was left out.

    Attributes:
        windows: with a label and a group each.
        ids: of the windows: recording and start in seconds.
        rate_hz: samples a second.
        left_out: reason -> how many windows, or recordings that are too short for one.
        gaps: how many recordings were cut in two or more, at gaps.
    """

    windows: Windows
    ids: tuple[str, ...]
    rate_hz: float
    left_out: dict[str, int]
    gaps: int


def cut(recordings: Sequence[Recording], how: Cutting) -> Cut:
    """Cut recordings into windows.

    Raises:
        ArgumentError: no rate, where there are no time stamps; a window of fewer than two samples, a hop of none.
        DataError: no window is left.

    Example:
        >>> samples = np.arange(8, dtype=np.float32)[:, None]
        >>> recording = Recording("a", "anna", samples, np.array(["walk"] * 8), None)
        >>> cut([recording], Cutting(window_s=2, hop_s=1, rate_hz=2)).windows.values[:, :, 0].tolist()
        [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0], [4.0, 5.0, 6.0, 7.0]]
    """
    rate = how.rate_hz or _rate_of(recordings)
    length, hop = round(how.window_s * rate), round(how.hop_s * rate)
    if length < 2:
        raise ArgumentError(
            f"window_s is {how.window_s!r}, which is {length} samples at {rate:g} Hz: at least 2 are needed"
        )
    if hop < 1:
        raise ArgumentError(f"hop_s is {how.hop_s!r}, which is less than one sample at {rate:g} Hz")
    values: list[np.ndarray] = []
    labels: list[str] = []
    groups: list[str] = []
    ids: list[str] = []
    left_out: Counter[str] = Counter()
    gaps = 0
    for recording in recordings:
        pieces = at_even_rate(recording, rate_hz=rate, gap_s=how.gap_s)
        gaps += len(pieces) > 1
        if all(len(piece.values) < length for piece in pieces):
            left_out["too short for a window"] += 1
        for number, piece in enumerate(pieces):
            name = piece.name if len(pieces) == 1 else f"{piece.name}/{number + 1}"
            for start in range(0, len(piece.values) - length + 1, hop):
                window, own = piece.values[start : start + length], piece.labels[start : start + length]
                if not np.isfinite(window).all():
                    left_out["with missing samples"] += 1
                elif how.mixed == "drop" and (own != own[0]).any():
                    left_out["with more than one label"] += 1
                else:
                    values.append(window)
                    labels.append(Counter(own.tolist()).most_common(1)[0][0])
                    groups.append(piece.group)
                    ids.append(f"{name}@{start / rate:g}")
    if not values:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there are no recordings"
        raise DataError(
            f"no window of {how.window_s:g} s is left of {counted(len(recordings), 'recording')}: {reasons}"
        )
    windows = Windows(np.stack(values), np.array(labels), np.array(groups))
    return Cut(windows, tuple(ids), rate, dict(left_out), gaps)


def _rate_of(recordings: Sequence[Recording]) -> float:
    """The median of the recordings' samples a second, rounded."""
    rates = [
        (len(time) - 1) / (time[-1] - time[0])
        for each in recordings
        if (time := each.time_s) is not None and len(time) > 1 and time[-1] > time[0]
    ]
    if not rates:
        raise ArgumentError("rate_hz is missing: there are no time stamps that tell how many samples a second has")
    return float(f"{np.median(rates):.{_DIGITS}g}")


def at_even_rate(recording: Recording, *, rate_hz: float, gap_s: float) -> list[Recording]:
    """A recording with samples at an even rate, in parts where it has gaps.

    Values lie on the straight line between the samples before and after; labels are those of the nearest sample.
    Samples with one time stamp, as they come in packets, are spread evenly until the next one. A rate far below that of
    the recording lets high frequencies through as low ones: filter such data before.

    Args:
        recording: without time stamps it is at this rate already.
        rate_hz: samples a second.
        gap_s: of more seconds than this between two time stamps nothing is known.
    """
    if recording.time_s is None:
        return [recording]
    ends = np.flatnonzero(np.diff(recording.time_s) > gap_s) + 1
    parts = [
        recording._replace(
            values=recording.values[part], labels=recording.labels[part], time_s=spread(recording.time_s[part])
        )
        for part in np.split(np.arange(len(recording.values)), ends)
    ]
    return [_resampled(part, rate_hz) for part in parts]


def spread(time_s: np.ndarray) -> np.ndarray:
    """Time stamps that rise, from ones that stay for some samples.

    Example:
        >>> spread(np.array([0.0, 0.0, 1.0, 1.0])).tolist()
        [0.0, 0.5, 1.0, 1.5]
    """
    distinct, first, count = np.unique(time_s, return_index=True, return_counts=True)
    if len(distinct) < 2:
        return time_s
    # The last packet is taken to last as long as the one before.
    lasting = np.append(np.diff(distinct), distinct[-1] - distinct[-2])
    place = np.arange(len(time_s)) - np.repeat(first, count)
    return np.repeat(distinct, count) + place / np.repeat(count, count) * np.repeat(lasting, count)


def _resampled(part: Recording, rate_hz: float) -> Recording:
    time = part.time_s
    assert time is not None
    even = time[0] + np.arange(int((time[-1] - time[0]) * rate_hz + 1e-6) + 1) / rate_hz
    values = np.stack([np.interp(even, time, channel) for channel in part.values.T], axis=1).astype(np.float32)
    after = np.clip(np.searchsorted(time, even), 1, len(time) - 1) if len(time) > 1 else np.zeros(len(even), int)
    nearest = np.where(even - time[after - 1] <= time[after] - even, after - 1, after)
    return part._replace(values=values, labels=part.labels[nearest], time_s=None)
