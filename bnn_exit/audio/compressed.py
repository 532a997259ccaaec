"""FLAC and Ogg files through the optional package soundfile, whose header is not trusted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bnn_exit.audio.riff import BLOCK_VALUES, check_rate
from bnn_exit.errors import DataError, missing_package

KINDS = {b"fLaC": "flac", b"OggS": "ogg"}
"""First four bytes of a file -> its kind."""

_LARGEST_PAGE = 27 + 255 + 255 * 255  # of an Ogg file
_AGAIN = "copy or download it again"


class CompressedReader:
    """The samples of a FLAC or Ogg file whose header has been read; the counterpart of `riff.RiffReader`.

    Attributes:
        rate_hz: frames per second, in the range that `riff.check_rate` allows.
        channels: samples of one frame.
        frames: as declared in the header, at least 1. Reading checks them.

    Raises:
        DataError: truncated, damaged or empty; worded to follow "PATH: ".
        MissingPackageError: soundfile is not installed.
    """

    def __init__(self, file: BinaryIO, kind: str) -> None:
        self._kind = kind
        soundfile = _soundfile()
        if kind == "ogg" and not _ends_an_ogg_stream(file):
            raise DataError(f"truncated ogg file: the last page is missing or cut; {_AGAIN}")
        file.seek(0)
        with _damage_reported(soundfile, kind):
            self._file: Any = soundfile.SoundFile(file)
        self.rate_hz, self.channels, self.frames = self._file.samplerate, self._file.channels, self._file.frames
        check_rate(self.rate_hz, kind)
        if self.frames == 0:
            raise DataError(f"the {kind} file holds no samples; record it again or remove it")
        if self.frames >= 1 << 62:  # libsndfile's value for "unknown"
            raise DataError(f"the {kind} file does not have its length; convert it to 16-bit PCM wav")

    def blocks(self, start: int, stop: int) -> Iterator[NDArray[np.floating]]:
        """As of `riff.RiffReader`, float32; DataError if the file is damaged."""
        step = max(1, BLOCK_VALUES // self.channels)
        for first in range(start, stop, step):
            wanted = min(first + step, stop) - first
            with _damage_reported(_soundfile(), self._kind):
                if self._file.tell() != first:
                    self._file.seek(first)
                block = self._file.read(wanted, dtype="float32", always_2d=True)
            if len(block) < wanted:
                raise DataError(
                    f"damaged {self._kind} file: its header declares {self.frames} samples, "
                    f"but {first + len(block)} are there; {_AGAIN}"
                )
            yield block


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, its shared library is not
        raise missing_package("soundfile", purpose="reading flac and ogg files", extra="audio") from error
    return soundfile


@contextlib.contextmanager
def _damage_reported(soundfile: Any, kind: str) -> Iterator[None]:
    try:
        yield
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise DataError(f"damaged {kind} file ({' '.join(str(error).split())}); {_AGAIN}") from error


def _ends_an_ogg_stream(file: BinaryIO) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the last; at a cut a decoder just stops."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _LARGEST_PAGE - 4))  # a little more than one page
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        return False
    segments = tail[page + 26]
    lengths = tail[page + 27 : page + 27 + segments]
    is_last = bool(tail[page + 5] & 4)
    return is_last and len(lengths) == segments and len(tail) >= page + 27 + segments + sum(lengths)
