"""Clips of one place with the background of another: what is spoken there comes from elsewhere."""

from __future__ import annotations

import numpy as np

from bnn_exit.training.background import loud_level, to_and_fro
from bnn_exit.training.word_extent import word_extent

_SHORTEST = 5
"""Frames beside its word that a clip must have for its background to be used."""


class FieldBackground:
    """The background of clips from a place: what they hold beside their words.

    Args:
        log_mel: `[clips, frames, mels]`. Those whose word does not stand out, or fills the clip, are left out.
        seed: of which background comes behind which clip.
    """

    def __init__(self, log_mel: np.ndarray, *, seed: int) -> None:
        self._quiet: list[np.ndarray] = []
        self._levels: list[float] = []
        for clip in np.asarray(log_mel, np.float32):
            start, end = word_extent(clip) or (0, len(clip))
            quiet = np.concatenate([clip[:start], clip[end:]])
            if len(quiet) >= _SHORTEST:
                self._quiet.append(quiet)
                self._levels.append(loud_level(clip))
        self._seed = seed

    @property
    def count(self) -> int:
        """How many of the clips have a background that can be used."""
        return len(self._quiet)

    def behind(self, log_mel: np.ndarray, *, view: int, levels: np.ndarray | None = None) -> np.ndarray:
        """Other clips as they would sound there, float32 `[clips, frames, mels]`.

        Each is brought to the level of a clip from there, and gets the background of that clip: frames beside the
        word, run through backwards and forwards from one at random. So level and SNR are those of the place. A clip in
        which no word stands out keeps its level: silence would become loud.

        Args:
            log_mel: `[clips, frames, mels]`, recorded where it is quiet.
            view: another one has other backgrounds.
            levels: `word_levels(log_mel)`, which is the same for every view; None: it is computed.
        """
        levels = word_levels(log_mel) if levels is None else levels
        draw, frames = np.random.default_rng([self._seed, view]), log_mel.shape[1]
        found = np.empty(log_mel.shape, np.float32)
        for index, (clip, level) in enumerate(zip(log_mel, levels, strict=True)):
            chosen = int(draw.integers(self.count))
            quiet = self._quiet[chosen]
            background = quiet[to_and_fro(frames, len(quiet), int(draw.integers(2 * len(quiet))))]
            gain = 0.0 if np.isnan(level) else self._levels[chosen] - level
            found[index] = np.logaddexp(clip + gain, background)
        return found


def word_levels(log_mel: np.ndarray) -> np.ndarray:
    """`loud_level` of each clip of `[clips, frames, mels]`, float64 `[clips]`; NaN where no word stands out."""
    return np.array([loud_level(clip) if word_extent(clip) else np.nan for clip in log_mel])
