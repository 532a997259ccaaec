"""Clips of a folder, without labels, as log-mel: for `adapt`."""

from __future__ import annotations

import os

import numpy as np

from bnn_exit.audio import logmel, wav
from bnn_exit.difficulty import sources
from bnn_exit.difficulty.progress import Progress
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.text import counted


def check_clips(folder: str) -> None:
    """ArgumentError if there is no such folder, DataError if no audio file is in it."""
    if not os.path.isdir(folder):
        raise ArgumentError(f"--unlabelled is {folder!r}, but there is no such folder: give one with audio files")
    first = next(iter(sources.clips([folder])), None)
    if isinstance(first, DataError):  # of the folder itself
        raise first


def check_count(clips: int) -> None:
    """DataError if there are too few clips to learn from some and to hold some back."""
    if clips < 2:
        raise DataError(
            f"--unlabelled has {clips} clip that can be used, but one to learn from and one to choose thresholds with "
            "are the least, and some hundreds are better"
        )


def log_mel_of(folder: str, *, features: FeatureConfig, clip_samples: int) -> tuple[np.ndarray, int]:
    """Log-mel `[clips, frames, mels]` of the audio files of a folder and of those in it, in the order of their names.

    Each is brought to the network's sample rate and length as `predict` does it. One that cannot be used is reported in
    one line and left out.

    Returns:
        The clips, and how many could not be used.

    Raises:
        DataError: fewer than two of them can be used.
    """
    progress, found, failed, resampled = Progress([folder]), [], 0, 0
    for clip in progress:
        try:
            if isinstance(clip, DataError):
                raise clip
            recording = wav.load(clip, sample_rate_hz=features.sample_rate_hz, max_samples=clip_samples)
        except BnnExitError as error:
            failed += 1
            progress.log(f"error: {' '.join(str(error).split())}")
            continue
        resampled += recording.rate_hz != features.sample_rate_hz
        found.append(logmel.log_mel(wav.fit_length(recording.waveform, clip_samples), features))
    if resampled:
        progress.log(
            f"note: {resampled} of {counted(len(found), 'clip')} were resampled to {features.sample_rate_hz} Hz"
        )
    if failed:
        progress.log(f"error: {failed} of {failed + len(found)} clips could not be used")
    if not found:
        raise DataError(f"{folder}: none of its clips can be used: give a folder with audio files")
    check_count(len(found))
    return np.stack(found).astype(np.float32), failed
