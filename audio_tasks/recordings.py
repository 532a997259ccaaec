"""Long recordings on disk: decoded once, all in one memory-mapped file, and their log-mels in another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audio_tasks import stored
from audio_tasks.cache import digest, fingerprint_parts, from_int16, load_or_reason, to_int16
from bnn_exit.audio import logmel
from bnn_exit.errors import DataError
from bnn_exit.files import remove_left
from bnn_exit.progress import progress_bar
from bnn_exit.settings.features import FeatureConfig

# Part of the name of every entry. Increase it when decoding, the features or the entries change.
_VERSION = 1
_PIECE_FRAMES = 4096  # of a log-mel at once: an hour never lies in memory
MAX_HOURS = 200.0
"""Of all recordings together: 23 GB of samples and, with 64 bands every 10 ms, 18 GB of log-mels an 80 % share."""


class Recording(NamedTuple):
    """One recording.

    Attributes:
        id: its path relative to the folder.
        samples: how many it has at the sample rate of the task.
        first: place of its first sample in the file of all.
        content: fingerprint of its decoded samples.
    """

    id: str
    samples: int
    first: int
    content: str


class Recordings(NamedTuple):
    """The usable recordings of a folder.

    Attributes:
        samples: int16, memory-mapped: all recordings, one after the other, each padded to a whole second.
        found: the recordings, in order.
        problems: id of each unusable file -> reason.
        folder: where this is cached.
    """

    samples: np.ndarray
    found: tuple[Recording, ...]
    problems: dict[str, str]
    folder: Path

    def waveform(self, recording: Recording, first: int, count: int) -> np.ndarray:
        """`count` samples of a recording from `first` on, as float32 in [-1, 1]."""
        place = recording.first + first
        return from_int16(self.samples[place : place + count])


def decode_recordings(files: Mapping[str, Path], *, root: Path, cache_dir: Path, sample_rate_hz: int) -> Recordings:
    """Decode `files` (id -> path), or take them from the cache if no file has changed.

    A file that cannot be used is left out and recorded in `problems`. DataError if none can be used, or if they are
    longer than MAX_HOURS together.
    """
    folder = cache_dir / f"negatives-{digest([root.resolve(), sample_rate_hz])}"
    entry = digest([_VERSION, *fingerprint_parts(files, sample_rate_hz)])
    path = folder / f"recordings-{entry}.int16"
    recordings = _open(path)
    if recordings is None:
        remove_left(folder)
        _write(files, path, sample_rate_hz=sample_rate_hz)
        recordings = _open(path)
        if recordings is None:
            raise DataError(f"the cache in {folder} cannot be read back: check the disk, or set BNN_EXIT_CACHE")
    return recordings


def _write(files: Mapping[str, Path], path: Path, *, sample_rate_hz: int) -> None:
    found: list[tuple[str, int, int, str]] = []
    problems: dict[str, str] = {}

    def seconds() -> Iterator[np.ndarray]:
        place = 0
        with progress_bar(total=len(files), desc="decoding recordings", unit="file", leave=False) as bar:
            for key, file in files.items():
                read = load_or_reason(file, sample_rate_hz=sample_rate_hz)
                bar.update()
                if isinstance(read, str):
                    problems[key] = read
                    continue
                samples = to_int16(read.waveform)
                found.append((key, len(samples), place, hashlib.sha1(samples.tobytes()).hexdigest()[:16]))
                rows = -(-len(samples) // sample_rate_hz)
                place += rows * sample_rate_hz
                if place / sample_rate_hz > MAX_HOURS * 3600:
                    raise DataError(f"the recordings last more than {MAX_HOURS:g} hours together: leave some out")
                padded = np.zeros(rows * sample_rate_hz, samples.dtype)
                padded[: len(samples)] = samples
                yield from padded.reshape(rows, sample_rate_hz)
        if not found:
            key, reason = next(iter(problems.items()))
            raise DataError(f"none of the {len(files)} audio files can be used; the first, {key}: {reason}")

    stored.write(path, seconds(), facts={"found": found, "problems": problems})


def _open(path: Path) -> Recordings | None:
    read = stored.read(path)
    if read is None:
        return None
    seconds, facts = read
    if seconds.ndim != 2 or seconds.dtype != np.dtype("<i2") or "found" not in facts:
        return None
    found = tuple(Recording(*values) for values in facts["found"])
    return Recordings(seconds.reshape(-1), found, facts["problems"], path.parent)


def log_mel_of(recordings: Recordings, chosen: Sequence[Recording], *, features: FeatureConfig) -> np.ndarray:
    """The log-mels of the `chosen` recordings, one after the other: float32 [frames, mels], memory-mapped, read-only.

    Frame i of a recording is the same bits as that of any cut which has it.
    """
    key = digest([_VERSION, features.digest(), *(f"{each.id} {each.content}" for each in chosen)])
    path = recordings.folder / f"log_mel-{key}.float32"
    found = _open_log_mel(path, chosen, features)
    if found is None:
        stored.write(path, _frames(recordings, chosen, features), facts={})
        found = _open_log_mel(path, chosen, features)
        if found is None:
            raise DataError(
                f"the cache in {recordings.folder} cannot be read back: check the disk, or set BNN_EXIT_CACHE"
            )
    return found


def _open_log_mel(path: Path, chosen: Sequence[Recording], features: FeatureConfig) -> Any:
    read = stored.read(path)
    shape = (sum(features.num_frames(each.samples) for each in chosen), features.num_mels)
    return read[0] if read is not None and read[0].shape == shape and read[0].dtype == np.dtype("<f4") else None


def _frames(recordings: Recordings, chosen: Sequence[Recording], features: FeatureConfig) -> Iterator[np.ndarray]:
    for recording in chosen:
        frames = features.num_frames(recording.samples)
        for first in range(0, frames, _PIECE_FRAMES):
            count = min(_PIECE_FRAMES, frames - first)
            samples = (count - 1) * features.hop_samples + features.window_samples
            piece = recordings.waveform(recording, first * features.hop_samples, samples)
            yield from logmel.log_mel(piece, features).astype("<f4")
