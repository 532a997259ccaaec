"""Where words go in a background, and how loud."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from audio_tasks.extent import extent
from audio_tasks.split import Split
from bnn_exit.audio.level import level
from bnn_exit.audio.long_file import BLOCK, LongFile, WavWriter
from bnn_exit.errors import ArgumentError

AROUND_S = 5.0
"""The background of a word is measured from so long before its middle to so long after it."""
FADE_S = 0.02
"""At both ends of a clip, so that its own noise does not begin with a click."""


@dataclasses.dataclass(frozen=True)
class MixSettings:
    """How words are placed.

    Attributes:
        snr_db: levels of a word above its background, in dB; one is drawn for each word.
        gap_s: least and largest pause from the end of a clip to the start of the next, in seconds.
        seed: of every random choice.
        hours: how much to make, all recordings together; None goes once through the backgrounds.
        count: how many words to place; None as many as fit.

    Raises:
        ArgumentError: a value out of its range.
    """

    snr_db: tuple[float, ...] = (10.0,)
    gap_s: tuple[float, float] = (3.0, 8.0)
    seed: int = 0
    hours: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if not self.snr_db or not all(-60 <= value <= 60 for value in self.snr_db):
            raise ArgumentError(f"snr_db is {list(self.snr_db)}, but must be one or more numbers from -60 to 60")
        low, high = self.gap_s
        if not 0 <= low <= high < math.inf:
            raise ArgumentError(f"gap_s is {low:g} {high:g}, but must be two times, the first at most the second")
        if self.seed < 0:
            raise ArgumentError(f"seed is {self.seed}, but must be at least 0")
        if self.hours is not None and not 0 < self.hours <= 10_000:
            raise ArgumentError(f"hours is {self.hours:g}, but must be above 0 and at most 10000")
        if self.count is not None and self.count < 1:
            raise ArgumentError(f"count is {self.count}, but must be at least 1")


@dataclasses.dataclass(frozen=True)
class Placed:
    """A word in a recording.

    Attributes:
        label: of its clip.
        start_s, end_s: where the word is, by its energy, in seconds from the start of the recording.
        clip: id of the clip.
        snr_db: level of the loud part of the clip above the background around it.
    """

    label: str
    start_s: float
    end_s: float
    clip: str
    snr_db: float


class Placer:
    """Places words into one background."""

    def __init__(
        self,
        split: Split,
        labels: Sequence[str],
        clips: Iterator[int],
        generator: np.random.Generator,
        settings: MixSettings,
        *,
        most_words: float,
    ) -> None:
        self._split, self._labels, self._clips, self._generator = split, labels, clips, generator
        self._settings, self._most = settings, most_words

    def write(self, source: LongFile, writer: WavWriter, *, most_samples: float) -> tuple[Placed, ...]:
        """Write the background with its words, at most so many samples; the words."""
        rate, total = source.sample_rate_hz, int(min(source.samples, most_samples))
        words: list[Placed] = []
        # A clip that no longer fits stays out: the next background begins with another one.
        while len(words) < self._most:
            start = writer.samples + round(self._generator.uniform(*self._settings.gap_s) * rate)
            if start >= total:
                break
            number = next(self._clips)
            clip = self._split.waveform(number).astype(np.float32)
            if start + clip.size > total:
                break
            _copy(source, writer, start)
            snr_db = float(self._generator.choice(self._settings.snr_db))
            clip = clip * _gain(clip, source, start + clip.size // 2, snr_db)
            writer.write(source.read(start, start + clip.size) + clip * _fade(clip.size, rate))
            first, last = extent(clip, sample_rate_hz=rate)
            label = self._labels[self._split.labels[number]]
            words.append(Placed(label, start / rate + first, start / rate + last, self._split.ids[number], snr_db))
        # With a number of words, the recording ends soon after the last one.
        end = total if len(words) < self._most else min(total, writer.samples + round(self._settings.gap_s[1] * rate))
        _copy(source, writer, end)
        return tuple(words)


def _copy(source: LongFile, writer: WavWriter, end: int) -> None:
    while writer.samples < end:
        writer.write(source.read(writer.samples, min(end, writer.samples + BLOCK)))


def _gain(clip: np.ndarray, source: LongFile, middle: int, snr_db: float) -> np.float32:
    reach = round(AROUND_S * source.sample_rate_hz)
    around = level(source.read(max(0, middle - reach), min(source.samples, middle + reach)))
    word = level(clip)
    if not (math.isfinite(around.rms) and math.isfinite(word.active)):
        return np.float32(1)
    return np.float32(10 ** ((around.rms + snr_db - word.active) / 20))


def _fade(samples: int, rate: int) -> np.ndarray:
    ramp = np.linspace(0, 1, min(samples // 2, round(FADE_S * rate)), endpoint=False, dtype=np.float32)
    return np.concatenate([ramp, np.ones(samples - 2 * len(ramp), np.float32), ramp[::-1]])
