"""WAV files: a RIFF reader and writer in NumPy, which does not trust headers."""

from __future__ import annotations

import dataclasses
import io
import os
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import DataError

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""Sample rates that a file may have."""

BLOCK_VALUES = 1 << 20
"""Values (frames times channels) that are decoded at once."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_OTHER_FORMATS = {2: "MS ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 85: "MP3"}
# The tail that every extensible format code shares (KSDATAFORMAT_SUBTYPE_*).
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# A program that writes into a pipe cannot know the size; it leaves one at or above this value (ffmpeg, sox, arecord).
_UNKNOWN_SIZE = 0x7FFFF000
_MAX_CHUNKS = 1000
_NAMES = (b"fmt ", b"data", b"LIST", b"fact")
_AGAIN = "copy or download it again"
_CONVERT = "convert it to 16-bit PCM"


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How samples are stored.

    Attributes:
        is_float: IEEE floats; else integers.
        bits: that a sample has, 1 to 32, or 32 or 64 of a float.
        width: bytes that it takes, padding included.
        channels: interleaved samples of one frame.
        rate_hz: frames per second, MIN_RATE_HZ to MAX_RATE_HZ.
    """

    is_float: bool
    bits: int
    width: int
    channels: int
    rate_hz: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.width * self.channels

    @property
    def is_padded(self) -> bool:
        """Whether four bytes hold an integer of at most 24 bits."""
        return not self.is_float and self.width == 4 and self.bits <= 24


@dataclasses.dataclass(frozen=True)
class RiffReader:
    """The samples of a WAV file whose header has been read.

    Attributes:
        encoding: of the samples.
        frames: whole frames that the file holds, at least 1.
    """

    encoding: Encoding
    frames: int
    _file: BinaryIO
    _offset: int

    @property
    def rate_hz(self) -> int:
        """Frames per second."""
        return self.encoding.rate_hz

    @property
    def channels(self) -> int:
        """Samples of one frame."""
        return self.encoding.channels

    def blocks(self, start: int, stop: int) -> Iterator[NDArray[np.floating]]:
        """The frames from `start` to `stop`, float [frames, channels] with integers scaled to [-1, 1), in blocks.

        DataError if the file has become shorter.
        """
        encoding = self.encoding
        high = encoding.is_padded and _fills_high_bytes(self._raw(start, stop), encoding.bits)
        for raw in self._raw(start, stop):
            yield _samples(raw, encoding, high).reshape(-1, self.channels)

    def _raw(self, start: int, stop: int) -> Iterator[bytes]:
        size = self.encoding.frame_bytes
        step = max(1, BLOCK_VALUES // self.channels)
        for first in range(start, stop, step):
            wanted = (min(first + step, stop) - first) * size
            self._file.seek(self._offset + first * size)
            raw = self._file.read(wanted)
            if len(raw) < wanted:
                raise DataError(f"the wav file became shorter while it was read; {_AGAIN}")
            yield raw


def open_wav(file: BinaryIO) -> RiffReader:
    """The reader of a WAV file; only its header is read.

    PCM of 8 to 32 bits, float of 32 and 64 bits, plain or extensible, any number of channels. Common errors of
    recorders are corrected, as in libsndfile: a last frame that is cut, a size of the samples that was never filled in
    or counts the header too, a wrong size of frames, 24 bits in four bytes (`arecord -f S24_LE`), a chunk of odd size
    without its padding.

    Raises:
        DataError: truncated, damaged, empty or of another encoding; worded to follow "PATH: ".
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise DataError(f"not a wav file, or cut off within its first 12 bytes; {_AGAIN}")
    encoding = None
    for name, offset, size in _chunks(file, 12, end):
        if name == b"fmt " and encoding is None:
            if offset + size > end:
                raise _cut("fmt", size, end - offset)
            file.seek(offset)
            encoding = _encoding(file.read(min(size, 40)))
        elif name == b"data":
            if encoding is None:
                raise DataError(f"damaged wav file: it has no fmt chunk before data; {_AGAIN}")
            frames = _data_size(file, offset, size, end) // encoding.frame_bytes
            if frames == 0:
                raise DataError("the wav file holds no samples; record it again or remove it")
            return RiffReader(encoding, frames, file, offset)
    if encoding is None:
        raise DataError(f"damaged wav file: it has no fmt chunk; {_AGAIN}")
    raise DataError(f"truncated wav file: it has no data chunk; {_AGAIN}")


def decode(data: bytes) -> tuple[NDArray[np.floating], int]:
    """All samples of a WAV file, float [frames, channels], and the sample rate in Hz; errors as `open_wav`."""
    reader = open_wav(io.BytesIO(data))
    return np.concatenate(list(reader.blocks(0, reader.frames))), reader.rate_hz


def check_rate(rate_hz: int, kind: str) -> None:
    """DataError if a header's sample rate is none that audio has; `kind` is of the file, such as "wav"."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DataError(
            f"damaged {kind} file: its sample rate is {rate_hz} Hz, but must be from {MIN_RATE_HZ} to {MAX_RATE_HZ}; "
            "record it again or correct its header"
        )


def encode(samples: NDArray[np.float32], *, sample_rate_hz: int) -> bytes:
    """A mono 16-bit PCM WAV file of float samples [samples]; what lies beyond full scale is clipped."""
    return header(2 * samples.size, sample_rate_hz=sample_rate_hz) + pcm16(samples)


def pcm16(samples: NDArray[np.float32]) -> bytes:
    """Float samples [samples] as 16-bit integers; what lies beyond full scale is clipped."""
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype("<i2").tobytes()


def header(size: int, *, sample_rate_hz: int) -> bytes:
    """What a mono 16-bit PCM WAV file begins with: `size` bytes of samples follow."""
    encoding = struct.pack("<HHIIHH", _PCM, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 4 + 8 + len(encoding) + 8 + size, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(encoding)),
            encoding,
            struct.pack("<4sI", b"data", size),
        )
    )


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, position and declared size of each chunk from `start` to the end of the file, or to what is no chunk."""
    position = start
    for _ in range(_MAX_CHUNKS):
        if position + 8 > end:
            return
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(8))
        if not _is_name(name):
            return
        position += 8
        yield name, position, size
        position += size
        # A byte of padding follows a chunk of odd size. Some writers leave it out.
        if size % 2 and position < end:
            file.seek(position)
            here = file.read(5)
            # With padding the next name begins behind it; a byte of padding may be a letter, too.
            position += not (here[:4] in _NAMES or (_is_name(here[:4]) and not _is_name(here[1:])))


def _is_name(letters: bytes) -> bool:
    return len(letters) == 4 and all(32 <= letter < 127 for letter in letters)


def _cut(what: str, declared: int, present: int) -> DataError:
    return DataError(
        f"truncated wav file: its header declares {declared} bytes of {what}, but {present} follow; {_AGAIN}"
    )


def _data_size(file: BinaryIO, offset: int, declared: int, end: int) -> int:
    """Bytes of samples at `offset`, of which the header declares `declared`."""
    present = end - offset
    if declared == 0:
        return 0 if _only_chunks(file, offset, end) else present
    # A size that counts the header too is too large by no more than what lies before the samples.
    if declared <= present or (present and (declared >= _UNKNOWN_SIZE or declared - present <= offset)):
        return min(declared, present)
    raise _cut("data", declared, present)


def _only_chunks(file: BinaryIO, offset: int, end: int) -> bool:
    """Whether chunks follow to the end, and not samples behind a size that was never filled in."""
    reached = offset
    for _, place, size in _chunks(file, offset, end):
        reached = place + size
    return end - 1 <= reached <= end


def _encoding(chunk: bytes) -> Encoding:
    if len(chunk) < 16:
        raise DataError(f"damaged wav file: its fmt chunk has {len(chunk)} bytes, not 16 or more; {_AGAIN}")
    code, channels, rate, byte_rate, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE:
        if len(chunk) < 40:
            raise DataError(f"damaged wav file: its extensible fmt chunk has {len(chunk)} bytes, not 40; {_AGAIN}")
        if chunk[26:40] != _GUID_TAIL:
            raise DataError(f"the wav file has an unknown encoding ({chunk[24:40].hex()}); {_CONVERT}")
        (code,) = struct.unpack_from("<H", chunk, 24)
    if code not in (_PCM, _FLOAT):
        name = _OTHER_FORMATS.get(code, f"encoding {code}")
        raise DataError(f"the wav file holds {name}, not PCM or float samples; {_CONVERT}")
    width = (bits + 7) // 8
    if width not in ((1, 2, 3, 4) if code == _PCM else (4, 8)):
        raise DataError(f"the wav file has samples of {bits} bits, which are not read; {_CONVERT}")
    if channels == 0:
        raise DataError(f"damaged wav file: its header declares 0 channels; {_AGAIN}")
    check_rate(rate, "wav")
    # The size of a frame follows from the other fields, and recorders get it wrong. It is believed in one case: 24 bits
    # in four bytes, unless the bytes per second are those of three.
    if width == 3 and block == 4 * channels and byte_rate != 3 * channels * rate:
        width = 4
    return Encoding(code == _FLOAT, bits, width, channels, rate)


def _samples(raw: bytes, encoding: Encoding, high: bool) -> NDArray[np.floating]:
    width = encoding.width
    if encoding.is_float:
        return np.frombuffer(raw, f"<f{width}")
    if width == 1:  # the only unsigned one
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) * np.float32(1 / 128)
    if width == 3:
        packed = np.zeros((len(raw) // 3, 4), np.uint8)
        packed[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return packed.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)
    values = np.frombuffer(raw, f"<i{width}")
    if encoding.is_padded and not high:
        values = values << (32 - encoding.bits)
    return values.astype(np.float32) * np.float32(2.0 ** (1 - 8 * width))


def _fills_high_bytes(raws: Iterable[bytes], bits: int) -> bool:
    """Whether samples of `bits` bits in four bytes fill the high ones (as the format asks) or the low ones (as ALSA
    does, whose fourth byte then only repeats the sign): the header is the same for both."""
    repeats_sign = True
    for raw in raws:
        values = np.frombuffer(raw, "<i4")
        if (values & 0xFF).any():
            return False
        repeats_sign &= bool((values << (32 - bits) >> (32 - bits) == values).all())
    return not repeats_sign
