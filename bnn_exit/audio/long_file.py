"""Audio files of any length, read and written block by block in memory that does not grow."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bnn_exit import files
from bnn_exit.audio import riff, wav
from bnn_exit.audio.resample import check_rate, resample_part, resampled_length
from bnn_exit.errors import DataError, describe_os_error

BLOCK = 1 << 20
"""Samples that are read at once: about a minute at 16 kHz."""
MAX_WAV_SAMPLES = (1 << 31) - 64
"""Of a 16-bit mono WAV file, whose header has 32 bits for its bytes: 37 hours at 16 kHz."""

Floats = NDArray[np.float32]


class LongFile:
    """An audio file that is read in parts, at one sample rate. Get one from `open_file`.

    Attributes:
        name: path of the file.
        rate_hz: sample rate of the file itself.
        sample_rate_hz: of what is read.
        samples: of the whole file, at `sample_rate_hz`.
    """

    def __init__(self, name: str, file: BinaryIO, *, sample_rate_hz: int) -> None:
        self.name, self.sample_rate_hz = name, check_rate("sample_rate_hz", sample_rate_hz)
        with _named(name):
            self._reader = wav.reader(file)
        self.rate_hz = self._reader.rate_hz
        self.samples = resampled_length(self._reader.frames, from_hz=self.rate_hz, to_hz=sample_rate_hz)

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.samples / self.sample_rate_hz

    def read(self, first: int, last: int) -> Floats:
        """Samples first to last - 1, float32 in [-1, 1], the mean of the channels.

        Raises:
            DataError: the file is damaged, or has NaN or infinite samples there.
        """
        if first >= last:
            return np.zeros(0, np.float32)
        with _named(self.name):
            samples = resample_part(
                lambda start, stop: wav.mono(self._reader, start, stop),
                self._reader.frames,
                from_hz=self.rate_hz,
                to_hz=self.sample_rate_hz,
                first=first,
                last=last,
            )
        return np.clip(samples, -1, 1, out=samples)

    def blocks(self, size: int = BLOCK) -> Iterator[Floats]:
        """The whole file, in blocks of `size` samples; errors as of `read`."""
        for first in range(0, self.samples, size):
            yield self.read(first, min(first + size, self.samples))


@contextlib.contextmanager
def open_file(path: str | os.PathLike[str], *, sample_rate_hz: int) -> Iterator[LongFile]:
    """Open an audio file: WAV with NumPy alone, FLAC and Ogg with the package soundfile.

    Raises:
        DataError: the file is missing, not a regular file, empty, truncated, damaged or of another kind.
        MissingPackageError: a FLAC or Ogg file, and soundfile is not installed.
    """
    name = os.fspath(path)
    with wav.open_binary(name) as file:
        yield LongFile(name, file, sample_rate_hz=sample_rate_hz)


class WavWriter:
    """Writes a mono 16-bit PCM WAV file in parts. Get one from `new_wav`.

    Attributes:
        samples: written so far.
        clipped: of these, beyond full scale.
    """

    def __init__(self, file: BinaryIO, *, sample_rate_hz: int) -> None:
        self._file, self._rate = file, check_rate("sample_rate_hz", sample_rate_hz)
        self.samples = self.clipped = 0
        file.write(self._header())

    def write(self, samples: Floats) -> None:
        """Append samples [n]; what lies beyond full scale is clipped.

        Raises:
            DataError: more samples than a WAV file can hold.
        """
        if self.samples + samples.size > MAX_WAV_SAMPLES:
            raise DataError(f"a wav file holds at most {MAX_WAV_SAMPLES / self._rate / 3600:.0f} hours: make two")
        self.clipped += int(np.count_nonzero(np.abs(samples) > 1))
        self.samples += samples.size
        self._file.write(riff.pcm16(samples))

    def finish(self) -> None:
        """Put the number of samples into the header."""
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        return riff.header(2 * self.samples, sample_rate_hz=self._rate)


@contextlib.contextmanager
def new_wav(path: str | os.PathLike[str], *, sample_rate_hz: int) -> Iterator[WavWriter]:
    """A new WAV file, which appears at its place once the block ends without an error."""
    with files.replacing(path) as file:
        writer = WavWriter(file, sample_rate_hz=sample_rate_hz)
        yield writer
        writer.finish()


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except (DataError, struct.error) as error:
        raise DataError(f"{name}: {error}") from error
    except OSError as error:
        raise DataError(f"{name}: {describe_os_error(error)}") from error
