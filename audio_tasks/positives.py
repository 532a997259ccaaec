"""Recordings of a phrase by people, to learn from beside synthetic speech."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_tasks.cache import Clips, decode_clips
from audio_tasks.layout import audio_files, open_data_dir, rights_of
from audio_tasks.split import SPLITS
from audio_tasks.splits import split_stratified
from bnn_exit.audio import wav
from bnn_exit.errors import DataError
from bnn_exit.pairs import zip_strict

READ_S = 6.0
"""Of a longer recording, this much of its middle is read."""
_HELD_OUT = 1 / 6
_ENERGY = 0.98  # of the loudest cut: a cut that has as much of the energy holds the phrase as well


class Positives(NamedTuple):
    """Recordings of phrases.

    Attributes:
        clips: decoded, READ_S long.
        members: by split, the id and the number of the phrase of each recording.
        files: path by id.
        licence, attribution: of the folder.
    """

    clips: Clips
    members: dict[str, list[tuple[str, int]]]
    files: dict[str, Path]
    licence: str
    attribution: str

    def waveform(self, key: str) -> np.ndarray:
        """A recording as float32, without the silence that makes all of them equally long."""
        whole = self.clips.waveform(self.clips.rows[key])
        return wav.fit_length(whole, min(self.clips.lengths[key], len(whole)))


def read_positives(
    positives: str | os.PathLike[str], phrases: Sequence[str], *, cache_dir: Path, sample_rate_hz: int, seed: int
) -> Positives:
    """The recordings in a folder (or archive), each with its split.

    The folder holds the clips of one phrase, or a folder for each phrase, called as it is ("hey lamp" or "hey_lamp").
    Where these clips lie in folders called train, validation and test, this is their split; else they are split by
    file, and equal files stay together.

    Raises:
        ArgumentError: positives is no path.
        DataError: the folder is missing, lacks a phrase, or no file in it can be used.
    """
    layout = "recordings of the phrase as .wav, .flac or .ogg, or a folder with them for each phrase"
    root = open_data_dir(positives, cache_dir=cache_dir, layout=layout)
    folders = _folders(root, phrases)
    files: dict[str, Path] = {}
    given: dict[str, str] = {}
    labels: dict[str, int] = {}
    for number, folder in enumerate(folders):
        found = _files_of(folder)
        if not found:
            raise DataError(f"folder {str(folder)!r} has no audio files; expected {layout}")
        for split, path in found:
            key = f"{phrases[number]}/{path.relative_to(folder)}"
            files[key], labels[key] = path, number
            if split:
                given[key] = split
    clips = decode_clips(
        files,
        name="positives",
        root=root,
        cache_dir=cache_dir,
        clip_samples=round(READ_S * sample_rate_hz),
        sample_rate_hz=sample_rate_hz,
    )
    free = [key for key in clips.rows if key not in given]
    drawn = split_stratified(
        [clips.contents[key] for key in free],
        [labels[key] for key in free],
        validation=_HELD_OUT,
        test=_HELD_OUT,
        seed=seed,
    )
    splits = {**given, **dict(zip_strict(free, drawn))}
    members = {split: [(key, labels[key]) for key in clips.rows if splits[key] == split] for split in SPLITS}
    return Positives(clips, members, files, *rights_of(root))


def loudest(waveform: np.ndarray, samples: int) -> tuple[int, int]:
    """The first and the last start of cuts of so many samples that hold the loudest part of a longer waveform."""
    energy = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    held = energy[samples:] - energy[:-samples]
    best = int(held.argmax())
    enough = held >= _ENERGY * held[best]
    before, after = np.flatnonzero(~enough[:best]), np.flatnonzero(~enough[best:])
    return (int(before[-1]) + 1 if before.size else 0), (best + int(after[0]) - 1 if after.size else len(held) - 1)


def _folders(root: Path, phrases: Sequence[str]) -> list[Path]:
    """The folder of each phrase; `root` itself for a single one without a folder of its name."""
    there = {_bare(entry.name): entry for entry in sorted(root.iterdir()) if entry.is_dir()}
    absent = [phrase for phrase in phrases if _bare(phrase) not in there]
    if absent and len(phrases) == 1:
        return [root]
    if absent:
        raise DataError(
            f"positives {str(root)!r} has no folder {absent[0]!r}: several phrases need a folder each, called as they "
            "are"
        )
    return [there[_bare(phrase)] for phrase in phrases]


def _files_of(folder: Path) -> list[tuple[str, Path]]:
    """Split and path of each audio file: directly in `folder` ("" as the split), or in folders of splits."""
    found = [("", path) for path in audio_files(folder)]
    for split in SPLITS:
        if (folder / split).is_dir():
            found += ((split, path) for path in audio_files(folder / split))
    return found


def _bare(name: str) -> str:
    # Decomposed: some file systems keep accents apart from their letters.
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFD", name.casefold()))
