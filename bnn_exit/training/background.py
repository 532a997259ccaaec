"""Training clips from long recordings, cut anew in each epoch, and parts of words: what is no word to recognise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnn_exit.task import BACKGROUND_LABELS, SILENCE, Negatives
from bnn_exit.training.word_extent import word_extents

_LOUD_NATS = float(20 * np.log(10) / 10)
_AROUND = 200  # frames on either side of a cut that its level is taken from
_PIECES = 0.5  # of the parts of words; the others are words at the edge of the window
_LONGEST = 3  # at most 1 / 3 of a word is inside


class Background:
    """Reads training clips; those that are background are other ones in each view of the split.

    All is a function of seed, clip and view alone. A cut that starts at a frame is a slice of the recording's log-mel,
    so nothing is computed but the slice.

    Args:
        negatives: the recordings, and which clips are cuts of them.
        log_mel: `[clips, frames, mels]` of the training split, may be memory-mapped.
        labels: int `[clips]`, of the training split.
        names: of the labels. Parts are taken of words that are not background, and nothing sounds behind silence.
        partial_share: of the cuts that hold a part of a word instead, from 0 to 1.
        seed: of the whole run.

    Attributes:
        extents: int32 `[clips, 2]`, first frame of each clip's word and the one after its last. The whole clip where
            the word does not stand out, and for cuts, in which no place is better than another.
    """

    def __init__(
        self,
        negatives: Negatives,
        *,
        log_mel: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str],
        partial_share: float,
        seed: int,
    ) -> None:
        self._negatives, self._log_mel = negatives, log_mel
        self._frames = log_mel.shape[1]
        self._partial_share, self._seed = partial_share, seed
        self._places = np.cumsum(negatives.starts[:, 1])
        cuts = len(log_mel) - negatives.first
        self.extents = np.concatenate(
            [word_extents(log_mel[: negatives.first]), np.tile(np.array([0, self._frames], np.int32), (cuts, 1))]
        )
        words = np.isin(labels, [number for number, name in enumerate(names) if name not in BACKGROUND_LABELS])
        self._silent = np.isin(labels, [number for number, name in enumerate(names) if name == SILENCE])
        lengths = self.extents[:, 1] - self.extents[:, 0]
        self._words = np.flatnonzero(words & (lengths < self._frames) & (lengths >= 2 * _LONGEST))

    def clip(self, index: int, view: int) -> np.ndarray:
        """Training clip `index` in this view, float32 `[frames, mels]`."""
        if index < self._negatives.first:
            return np.asarray(self._log_mel[index], np.float32)
        draw = np.random.default_rng([self._seed, view, index, 1])
        if len(self._words) and draw.random() < self._partial_share:
            return self._part_of_word(draw)
        return self._cut(draw)[0]

    def behind(self, index: int, view: int) -> tuple[np.ndarray, np.float32]:
        """A cut to sound behind a clip, float32 `[frames, mels]`, and the level of its recording around it.

        The level is the natural logarithm of the mean power of loud frames, as `loud_level`. It is not that of the cut,
        which may be a pause: at its own level, silence between two words would be amplified to that of speech.
        It is infinite for a clip of the class silence: with speech behind it, it would be one no longer.
        """
        cut, recording, start = self._cut(np.random.default_rng([self._seed, view, index, 2]))
        first = max(int(self._negatives.starts[recording, 0]), start - _AROUND)
        last = min(int(self._negatives.ends[recording]), start + self._frames + _AROUND)
        if self._silent[index]:
            return cut, np.float32(np.inf)
        return cut, np.float32(loud_level(self._negatives.log_mel[first:last]))

    def _cut(self, draw: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """A cut at random: its log-mel, the number of its recording, and the row it starts at."""
        place = int(draw.integers(self._places[-1]))
        recording = int(np.searchsorted(self._places, place, side="right"))
        first, count = self._negatives.starts[recording]
        start = int(first + place - (self._places[recording] - count))
        return np.asarray(self._negatives.log_mel[start : start + self._frames], np.float32), recording, start

    def _part_of_word(self, draw: np.random.Generator) -> np.ndarray:
        """At most a third of a word: at the edge of the window, or a piece of it anywhere."""
        index = self._words[draw.integers(len(self._words))]
        clip, (start, end) = np.asarray(self._log_mel[index], np.float32), self.extents[index]
        longest = (end - start) // _LONGEST
        length = int(draw.integers(max(1, longest // 2), longest + 1))
        # The rest of the window is what sounds in the clip beside the word, over and over.
        quiet = np.concatenate([clip[:start], clip[end:]])
        result = quiet[to_and_fro(self._frames, len(quiet), int(draw.integers(len(quiet))))]
        if draw.random() < _PIECES:
            first = int(draw.integers(start, end - length + 1))
            place = int(draw.integers(self._frames - length + 1))
        elif draw.random() < 0.5:
            first, place = start, self._frames - length
        else:
            first, place = end - length, 0
        result[place : place + length] = clip[first : first + length]
        return result


def to_and_fro(count: int, size: int, start: int) -> np.ndarray:
    """`count` indices that run through `size` rows forwards and backwards, from `start` on."""
    place = (start + np.arange(count)) % (2 * size)
    return np.minimum(place, 2 * size - 1 - place)


def loud_level(log_mel: np.ndarray) -> float:
    """Natural logarithm of the mean power of a sound where it is loud: in frames within 20 dB of the loudest.

    Args:
        log_mel: `[frames, mels]`.
    """
    power = np.exp(log_mel, dtype=np.float64).sum(axis=1)
    return float(np.log(power[power >= power.max() * np.exp(-_LOUD_NATS)].mean()))
