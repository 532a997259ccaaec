"""Where in a clip the word is, by its energy."""

from __future__ import annotations

import numpy as np

_CLEAR_DB = 9.0  # a clip whose loudest frame is less above its quietest ones has no extent that can be seen
_SHARE = 0.25  # of the way from the floor to the peak, in dB: above it is the word
_SHORTEST = 3  # frames: what is shorter is a click, not a part of the word
_MARGIN = 3  # frames on either side, for soft beginnings and ends
_DB = 10 / np.log(10)


def word_extent(log_mel: np.ndarray) -> tuple[int, int] | None:
    """First frame of the word in a clip, and the one after its last; None if it does not stand out.

    The level of a frame is the mean of its log-mel in dB, in which a hiss counts like a vowel. The word reaches from
    the first to the last run of at least 3 frames that lie above a quarter of the way from the floor (the quietest
    tenth) to the peak, and 3 frames further.

    Args:
        log_mel: float `[frames, mels]`.

    Example:
        >>> clip = np.full((98, 64), -20.0)
        >>> clip[40:60] = -5
        >>> word_extent(clip)
        (37, 63)
    """
    level = log_mel.mean(axis=1) * _DB
    floor, peak = np.quantile(level, 0.1), level.max()
    if peak - floor < _CLEAR_DB:
        return None
    loud = np.concatenate([[False], level > floor + _SHARE * (peak - floor), [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1]).reshape(-1, 2)
    runs = edges[edges[:, 1] - edges[:, 0] >= _SHORTEST]
    if not len(runs):
        return None
    return max(0, int(runs[0, 0]) - _MARGIN), min(len(level), int(runs[-1, 1]) + _MARGIN)


def word_extents(log_mel: np.ndarray) -> np.ndarray:
    """`word_extent` of each clip of `[clips, frames, mels]`, int32 `[clips, 2]`; the whole clip where it is None."""
    whole = (0, log_mel.shape[1])
    return np.array([word_extent(np.asarray(clip)) or whole for clip in log_mel], np.int32).reshape(-1, 2)
