"""The classes of the twelve-word task that are no words of it: unknown words, and silence cut from noise."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from audio_tasks.base import Split
from audio_tasks.cache import digest, load_or_reason
from audio_tasks.layout import audio_files
from audio_tasks.splits import Member, stable_order
from bnn_exit.errors import DataError

UNKNOWN, SILENCE = "unknown", "silence"
NOISE_FOLDER = "_background_noise_"
_REGIONS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}


def read_noise(root: Path, *, sample_rate_hz: int) -> tuple[tuple[np.ndarray, ...], dict[str, str]]:
    """The recordings in `_background_noise_` as float32 waveforms, and what is wrong with those left out, by id."""
    folder = root / NOISE_FOLDER
    recordings, problems = [], {}
    for path in audio_files(folder) if folder.is_dir() else []:
        result = load_or_reason(path, sample_rate_hz=sample_rate_hz)
        if isinstance(result, str):
            problems[f"{NOISE_FOLDER}/{path.name}"] = result
        else:
            recordings.append(result.waveform)
    return tuple(recordings), problems


def noise_region(recording: np.ndarray, split_name: str) -> np.ndarray:
    """The part of a noise recording that belongs to a split: the first 80 % to train, then 10 % to each other."""
    start, end = (int(fraction * len(recording)) for fraction in _REGIONS[split_name])
    return recording[start:end]


def choose_unknown(words: Mapping[str, Sequence[Member]], *, count: int, seed: int) -> list[Member]:
    """`count` of the members of `words`, taken in turn from each word so that all words are there equally."""
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
