"""The clips that a report shows, with their pictures and, of sound and as far as the budget allows, their sounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.audio import logmel
from bnn_exit.report import media
from bnn_exit.report.source import Source
from bnn_exit.settings.values import ValuesConfig

CLIPS = 8
"""Clips in each list."""


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Lists of clips to look at and to listen to, as JSON values.

    Attributes:
        lists: heading -> numbers of its clips.
        clips: for each clip in any list its `name`, `label`, `predicted` and `scores` (one for each exit),
            `difficulty`, `picture` and what it is called, and of sound `sound`, which is None if the budget was used
            up.
        found: heading -> how many clips there are of this kind, shown or not; None where every clip has a rank.
    """

    lists: dict[str, list[int]]
    clips: dict[int, dict[str, Any]]
    found: dict[str, int | None]


def gallery(
    source: Source,
    ranked: Mapping[str, npt.NDArray[np.int64]],
    *,
    difficulty: npt.NDArray[np.float64],
    budget: int,
    clips: int = CLIPS,
) -> Gallery:
    """The first clips of each ranking.

    Args:
        source: the measured clips.
        ranked: heading -> clips, by number, the most worth showing first.
        difficulty: of every clip.
        budget: characters that pictures and sounds may take together. Sounds are left out first.
        clips: how many of each ranking.
    """
    lists = {name: [int(clip) for clip in order[:clips]] for name, order in ranked.items()}
    shown = list(dict.fromkeys(clip for row in zip_longest(*lists.values()) for clip in row if clip is not None))
    entries = {clip: _entry(source, clip, float(difficulty[clip])) for clip in shown}
    left = budget - sum(len(entry["picture"]) for entry in entries.values())
    # The first of every list come first, so that no list stays silent.
    rate = source.features.sample_rate_hz
    for clip, entry in entries.items():
        if "sound" not in entry:
            continue
        sound = media.sound(source.waveform(clip), sample_rate_hz=int(rate))
        if len(sound) <= left:
            entry["sound"] = sound
            left -= len(sound)
    total = len(source.labels)
    return Gallery(lists, entries, {name: len(order) if len(order) < total else None for name, order in ranked.items()})


def _entry(source: Source, clip: int, difficulty: float) -> dict[str, Any]:
    return {
        "name": source.names[clip],
        "label": int(source.labels[clip]),
        "predicted": source.probabilities[clip].argmax(axis=-1).tolist(),
        "confidence": _rounded(source.probabilities[clip].max(axis=-1)),
        "scores": _rounded(source.scores[clip]),
        "difficulty": difficulty,
        **_media(source, clip),
    }


def _media(source: Source, clip: int) -> dict[str, Any]:
    values, features = source.waveform(clip), source.features
    if isinstance(features, ValuesConfig):
        return {"picture": media.plot(values, features.channels), "picture_of": "Values"}
    return {"picture": media.picture(logmel.log_mel(values, features)), "picture_of": "Log-mel", "sound": None}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
