"""The classes unknown and silence of the twelve-word task."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_tasks.cache import digest, load_or_reason
from audio_tasks.layout import NOISE_FOLDER, audio_files
from audio_tasks.split import Split
from audio_tasks.splits import Member, stable_order
from bnn_exit.errors import DataError
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.task import SILENCE

_REGIONS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}


class Noise(NamedTuple):
    """The recordings in `_background_noise_`.

    Attributes:
        recordings: float32 waveforms of at least one window each.
        problems: what is wrong with those that cannot be read, by id.
        notes: those that are too short, a sentence each.
    """

    recordings: tuple[np.ndarray, ...]
    problems: dict[str, str]
    notes: tuple[str, ...]


def read_noise(root: Path, features: FeatureConfig) -> Noise:
    """The background noise of a data folder, at the sample rate of `features`; recordings of any length."""
    folder = root / NOISE_FOLDER
    recordings, problems, notes = [], {}, []
    for path in _noise_files(folder):
        key = f"{NOISE_FOLDER}/{path.name}"
        result = load_or_reason(path, sample_rate_hz=features.sample_rate_hz)
        if isinstance(result, str):
            problems[key] = result
        elif result.samples < features.window_samples:
            notes.append(
                f"{key} is left out: it has {result.samples} samples, fewer than a window of {features.window_samples}"
            )
        else:
            recordings.append(result.waveform)
    return Noise(tuple(recordings), problems, tuple(notes))


def _noise_files(folder: Path) -> list[Path]:
    try:
        return audio_files(folder) if folder.is_dir() else []
    except PermissionError:
        return []  # `layout.survey` has a note on it


def noise_region(recording: np.ndarray, split_name: str) -> np.ndarray:
    """The part of a noise recording for a split: the first 80 % for train, then 10 % for each other split."""
    start, end = (int(fraction * len(recording)) for fraction in _REGIONS[split_name])
    return recording[start:end]


def choose_unknown(words: Mapping[str, Sequence[Member]], *, count: int, seed: int) -> list[Member]:
    """`count` of the members of `words`, taken round-robin from each word, so that all words are equally frequent."""
    rank: dict[str, int] = {}
    for members in words.values():
        rank.update({key: position for position, key in enumerate(stable_order([m.id for m in members], seed=seed))})
    by_id = {member.id: member for members in words.values() for member in members}
    order = stable_order(by_id, seed=seed)
    order.sort(key=rank.__getitem__)
    return sorted(by_id[key] for key in order[:count])


def with_silence(
    split: Split, noise: Sequence[np.ndarray], *, label: int, count: int, clip_samples: int, seed: int
) -> Split:
    """The split with `count` clips of silence: cuts of its own part of the noise at a random gain, made when read.

    DataError if no recording is long enough.
    """
    regions = [region for recording in noise if len(region := noise_region(recording, split.name)) >= clip_samples]
    if not regions:
        raise DataError(
            f"the class {SILENCE} needs recordings of at least {10 * clip_samples} samples in {NOISE_FOLDER}, "
            f"and {len(noise)} are there, none so long: add some, or use words all"
        )
    words = len(split)

    def cut(index: int) -> np.ndarray:
        # A generator of its own for each clip: a clip is the same whenever and in whatever order it is read.
        draw = random.Random(f"{seed}:{split.name}:{index}")
        region = draw.choice(regions)
        start = draw.randrange(len(region) - clip_samples + 1)
        return region[start : start + clip_samples] * np.float32(draw.random())

    content = [hashlib.sha1(region.tobytes()).hexdigest() for region in regions]
    return dataclasses.replace(
        split,
        ids=split.ids + tuple(f"{SILENCE}/{split.name}-{index}" for index in range(count)),
        labels=np.concatenate([split.labels, np.full(count, label, dtype=np.int32)]),
        speakers=(split.speakers or ()) + (f"{NOISE_FOLDER}/{split.name}",) * count,
        _read=lambda index: split.waveform(index) if index < words else cut(index - words),
        fingerprint=digest([split.fingerprint, seed, count, *content]),
    )
