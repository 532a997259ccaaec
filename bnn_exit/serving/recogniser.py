"""The sound of one client, from bytes to detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bnn_exit.audio.pcm import MAX_CHANNELS, WIDTHS, PcmDecoder
from bnn_exit.errors import ArgumentError
from bnn_exit.runtime.stream import Stream
from bnn_exit.serving.wake_words import ServedModel, WakeWord, only

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
"""That sound is recorded at. Each needs a filter, which takes longer to make than a second of sound to recognise. The
filters of these all fit into what `audio.resample` keeps, so a client that changes its rate again and again holds up
nobody."""


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
        if not _is_whole(rate) or rate not in RATES_HZ:
            raise ArgumentError(f"rate is {_short(rate)} Hz, but must be one of {', '.join(map(str, RATES_HZ))}")
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
