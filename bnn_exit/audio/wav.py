"""Audio files to waveforms and back: used by training, evaluation and the device."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bnn_exit import files
from bnn_exit.audio import compressed, riff
from bnn_exit.audio.resample import check_rate, resample, resample_part, resampled_length
from bnn_exit.audio.waveform import check, fault, fit_length
from bnn_exit.errors import DataError, describe_os_error

__all__ = ["Recording", "check", "decode", "fit_length", "load", "read", "resample", "write"]


MAX_SAMPLES = 1 << 28
"""Samples that reading a file may give: 4.6 hours at 16 kHz, one GiB."""

MAX_VALUES = 1 << 31
"""Values (samples of all channels) that may be decoded for them."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """What was read of an audio file.

    Attributes:
        waveform: float32 [samples] in [-1, 1], the mean of the channels, at the rate that was asked for.
        rate_hz: sample rate of the file itself.
        samples: of the whole file at the rate that was asked for; more than those of `waveform` if only the middle was
            read.
    """

    waveform: NDArray[np.float32]
    rate_hz: int
    samples: int


def read(
    path: str | os.PathLike[str], *, sample_rate_hz: int = 16000, max_samples: int | None = None
) -> NDArray[np.float32]:
    """The audio file as float32 [samples] in [-1, 1], the mean of its channels, at `sample_rate_hz`.

    WAV (PCM of 8 to 32 bits, float, extensible) needs NumPy only; FLAC and Ogg need the package soundfile. The kind is
    detected from the file's first bytes, not from its name. A silent file is valid.

    Args:
        path: a regular file.
        sample_rate_hz: of the result, whatever the file has.
        max_samples: of a file that gives more, only the middle is decoded, as `fit_length` keeps it: an hour then
            takes no longer than a clip. None reads all, up to MAX_SAMPLES.

    Raises:
        DataError: the file is missing, not a regular file, empty, truncated, damaged, of another kind, too long, or has
            NaN or infinite samples; or there is too little memory for it.
        MissingPackageError: a FLAC or Ogg file, and soundfile is not installed.
        ArgumentError: a rate that is not a whole number above 0.

    Example:
        `wav.read("hour.wav", max_samples=16000)` is the second in the middle of that hour.
    """
    return load(path, sample_rate_hz=sample_rate_hz, max_samples=max_samples).waveform


def load(path: str | os.PathLike[str], *, sample_rate_hz: int, max_samples: int | None = None) -> Recording:
    """As `read`, with what else is known of the file."""
    target = check_rate("sample_rate_hz", sample_rate_hz)
    name = os.fspath(path)
    with open_binary(name) as file:
        return _decode(file, name=name, target=target, max_samples=max_samples)


def decode(data: bytes, *, name: str, sample_rate_hz: int, max_samples: int | None = None) -> Recording:
    """As `load`, from the bytes of a file that may lie anywhere; errors call it `name`."""
    target = check_rate("sample_rate_hz", sample_rate_hz)
    return _decode(io.BytesIO(data), name=name, target=target, max_samples=max_samples)


def write(path: str | os.PathLike[str], waveform: Any, *, sample_rate_hz: int) -> None:
    """Write a mono 16-bit PCM WAV file in one step; what lies beyond full scale is clipped.

    Raises:
        ArgumentError: as `check`, or a rate that is not a whole number above 0.
    """
    rate = check_rate("sample_rate_hz", sample_rate_hz)
    files.write_bytes(path, riff.encode(check(waveform), sample_rate_hz=rate))


def open_binary(name: str) -> BinaryIO:
    """A regular file, open for reading: a pipe or a device may have no end, or nobody at its other end."""
    try:
        return files.open_regular(name)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such audio file; check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{name}: a folder, not an audio file; give the files in it") from error
    except OSError as error:
        raise DataError(f"{name}: {describe_os_error(error)}") from error
    except ValueError as error:  # a null byte, from a list of files that is none
        raise DataError(f"{name}: no path of a file: {error}") from error


def _decode(file: BinaryIO, *, name: str, target: int, max_samples: int | None) -> Recording:
    try:
        source = reader(file)
        total = resampled_length(source.frames, from_hz=source.rate_hz, to_hz=target)
        count = total if max_samples is None else min(total, max_samples)
        if count > MAX_SAMPLES or count * source.rate_hz // target * source.channels > MAX_VALUES:
            raise DataError(
                f"it holds {source.frames / source.rate_hz:.0f} s of sound in {source.channels} channels at "
                f"{source.rate_hz} Hz, more than is read at once; cut it into parts"
            )
        first = (total - count) // 2
        waveform = resample_part(
            lambda start, stop: mono(source, start, stop),
            source.frames,
            from_hz=source.rate_hz,
            to_hz=target,
            first=first,
            last=first + count,
        )
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except OSError as error:
        raise DataError(f"{name}: {describe_os_error(error)}") from error
    except MemoryError as error:
        raise DataError(f"{name}: there is too little free memory to read it; cut it into parts") from error
    # Resampling, and floats that a mixer let run over, exceed full scale by a little.
    return Recording(np.clip(waveform, -1, 1, out=waveform), source.rate_hz, total)


def reader(file: BinaryIO) -> riff.RiffReader | compressed.CompressedReader:
    """What reads the samples of an open file, whose kind its first bytes tell; DataError, to follow its name."""
    kind = file.read(4)
    if not kind:
        raise DataError("the file is empty; copy or download it again")
    if kind == b"RIFF":
        return riff.open_wav(file)
    if kind in compressed.KINDS:
        return compressed.CompressedReader(file, compressed.KINDS[kind])
    raise DataError(f"not a wav, flac or ogg file (it starts with {kind!r}); convert it to 16-bit PCM wav or remove it")


def mono(reader: riff.RiffReader | compressed.CompressedReader, start: int, stop: int) -> NDArray[np.float32]:
    """The mean of the channels from frame `start` to `stop`, float32 [stop - start]; DataError for NaN among them."""
    result = np.empty(stop - start, np.float32)
    done = 0
    for frames in reader.blocks(start, stop):
        problem = fault(frames)
        if problem:
            raise DataError(f"the audio {problem}")
        result[done : done + len(frames)] = frames.mean(axis=1, dtype=np.float64)
        done += len(frames)
    return result
