"""Audio files to waveforms and back: the one way in for training, evaluation and the device."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn_exit import files
from bnn_exit.audio import riff
from bnn_exit.audio.resample import check_rate, resample
from bnn_exit.audio.waveform import check, fault, fit_length
from bnn_exit.errors import DataError, describe_os_error, missing_package

__all__ = ["check", "decode", "fit_length", "read", "read_bytes", "resample", "write"]


def read(path: str | os.PathLike[str], *, sample_rate_hz: int = 16000) -> NDArray[np.float32]:
    """The audio file as float32 [samples] in [-1, 1], the mean of its channels, at `sample_rate_hz`.

    WAV (PCM of 8 to 32 bits, float, extensible) needs NumPy only; FLAC and Ogg need the package soundfile. The kind is
    told by the file's first bytes, not by its name. A silent file is valid.

    Raises:
        DataError: the file is missing, empty, truncated, damaged, of another kind, or has NaN or infinite samples.
        MissingPackageError: a FLAC or Ogg file, and soundfile is not installed.
        ArgumentError: a rate that is not a whole number above 0.
    """
    target = check_rate("sample_rate_hz", sample_rate_hz)
    return decode(read_bytes(path), name=os.fspath(path), sample_rate_hz=target)[0]


def decode(data: bytes, *, name: str, sample_rate_hz: int) -> tuple[NDArray[np.float32], int]:
    """As `read`, from the bytes of a file that may lie anywhere; also the sample rate in Hz that it has itself.

    Args:
        data: the whole file.
        name: what errors call it.
        sample_rate_hz: of the result.
    """
    target = check_rate("sample_rate_hz", sample_rate_hz)
    try:
        if not data:
            raise DataError("the file is empty; copy or download it again")
        if data[:4] == b"RIFF":
            frames, rate = riff.decode(data)
        elif data[:4] in (b"fLaC", b"OggS"):
            frames, rate = _decode_with_soundfile(data)
        else:
            raise DataError(
                f"not a wav, flac or ogg file (it starts with {data[:4]!r}); convert it to 16-bit PCM wav or remove it"
            )
        problem = fault(frames)
        if problem:
            raise DataError(f"the audio {problem}")
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    mono = frames.mean(axis=1, dtype=np.float64).astype(np.float32)
    # Resampling, and floats that a mixer let run over, exceed full scale by a little.
    return np.clip(resample(mono, from_hz=rate, to_hz=target), -1, 1), rate


def write(path: str | os.PathLike[str], waveform: Any, *, sample_rate_hz: int) -> None:
    """Write a mono 16-bit PCM WAV file in one step; what lies beyond full scale is clipped.

    Raises:
        ArgumentError: as `check`, or a rate that is not a whole number above 0.
    """
    rate = check_rate("sample_rate_hz", sample_rate_hz)
    files.write_bytes(path, riff.encode(check(waveform), sample_rate_hz=rate))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes, for `decode`; DataError, one line with the path, if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{os.fspath(path)}: no such audio file; check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{os.fspath(path)}: a folder, not an audio file; give the files in it") from error
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {describe_os_error(error)}") from error
    except ValueError as error:  # a null byte, from a list of files that is none
        raise DataError(f"{os.fspath(path)}: no path of a file: {error}") from error


def _decode_with_soundfile(data: bytes) -> tuple[NDArray[np.floating], int]:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, its shared library is not
        raise missing_package("soundfile", purpose="reading flac and ogg files", extra="audio") from error
    kind = "flac" if data[:4] == b"fLaC" else "ogg"
    if kind == "ogg" and not _ends_an_ogg_stream(data):
        raise DataError("truncated ogg file: the last page is missing or cut; copy or download it again")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = file.samplerate
            frames = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise DataError(f"damaged {kind} file ({' '.join(str(error).split())}); copy or download it again") from error
    if len(frames) == 0:
        raise DataError(f"the {kind} file holds no samples; record it again or remove it")
    return frames, rate


def _ends_an_ogg_stream(data: bytes) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the last; a decoder stops at a cut without a word."""
    page = data.rfind(b"OggS")
    if len(data) < page + 27:
        return False
    segments = data[page + 26]
    lengths = data[page + 27 : page + 27 + segments]
    is_last = bool(data[page + 5] & 4)
    return is_last and len(lengths) == segments and len(data) >= page + 27 + segments + sum(lengths)
