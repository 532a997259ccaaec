"""The sound of one client, from bytes to detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bnn_exit.audio.pcm import MAX_CHANNELS, WIDTHS, PcmDecoder
from bnn_exit.errors import ArgumentError
from bnn_exit.runtime.stream import MAX_RATE_HZ, MIN_RATE_HZ, Stream
from bnn_exit.serving.wake_words import ServedModel, WakeWord, only

RATE_STEP_HZ = 25
"""Every common rate is a multiple of it. The filters of others need more memory and time than a stranger may have."""


@dataclasses.dataclass(frozen=True)
class Format:
    """Of raw samples.

    Attributes:
        rate_hz: frames in a second.
        width: bytes of a sample: 1 (unsigned), 2 or 4.
        channels: samples of a frame.
    """

    rate_hz: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: dict[str, Any]) -> Format:
        """Of the data of an event.

        Raises:
            ArgumentError: a value that is missing or out of range.
        """
        rate: Any = data.get("rate")
        width: Any = data.get("width")
        channels: Any = data.get("channels")
        if not _is_whole(rate) or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ or rate % RATE_STEP_HZ:
            raise ArgumentError(
                f"rate is {_short(rate)} Hz, but must be a multiple of {RATE_STEP_HZ} "
                f"from {MIN_RATE_HZ} to {MAX_RATE_HZ}"
            )
        if not _is_whole(width) or width not in WIDTHS:
            raise ArgumentError(f"width is {_short(width)}, but must be one of {', '.join(map(str, WIDTHS))}")
        if not _is_whole(channels) or not 1 <= channels <= MAX_CHANNELS:
            raise ArgumentError(f"channels is {_short(channels)}, but must be from 1 to {MAX_CHANNELS}")
        return cls(rate, width, channels)

    @property
    def bytes_per_s(self) -> int:
        """Of sound."""
        return self.rate_hz * self.width * self.channels


class Recogniser:
    """Streams of one client over sessions that all clients share."""

    def __init__(self, wanted: Sequence[WakeWord], sound: Format) -> None:
        """
        Args:
            wanted: the wake words to look for.
            sound: format of the bytes.

        Raises:
            ArgumentError: a format that is not read.
        """
        self._decoder = PcmDecoder(width=sound.width, channels=sound.channels)
        groups: dict[int, tuple[ServedModel, dict[str, WakeWord]]] = {}
        for word in wanted:
            groups.setdefault(id(word.model), (word.model, {}))[1][word.label] = word
        self._streams = [
            (
                Stream(model.session, sample_rate_hz=sound.rate_hz, listening_point=only(model.point, list(words))),
                words,
            )
            for model, words in groups.values()
        ]

    def push(self, data: bytes) -> list[tuple[WakeWord, float]]:
        """The wake words that these bytes complete, with the time of each in seconds since the first byte."""
        samples = self._decoder.push(data)
        found = [
            (words[event.label], event.time_s) for stream, words in self._streams for event in stream.push(samples)
        ]
        return sorted(found, key=lambda each: each[1])


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: object) -> str:
    return repr(value)[:40]
