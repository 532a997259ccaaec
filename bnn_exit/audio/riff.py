"""WAV files as bytes: a RIFF reader and writer in NumPy, which trusts nothing that a header says."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import DataError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_OTHER_FORMATS = {2: "MS ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 85: "MP3"}
# The tail that every extensible format code shares (KSDATAFORMAT_SUBTYPE_*).
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# A program that writes into a pipe cannot know the size; it leaves one at or above this value (ffmpeg, sox, arecord).
_UNKNOWN_SIZE = 0x7FFFF000
_AGAIN = "copy or download it again"
_CONVERT = "convert it to 16-bit PCM"


def decode(data: bytes) -> tuple[NDArray[np.floating], int]:
    """The samples of a WAV file, float [frames, channels], integers scaled to [-1, 1), and the sample rate in Hz.

    PCM of 8 to 32 bits, float of 32 and 64 bits, plain or extensible, any number of channels.

    Raises:
        DataError: truncated, damaged, empty or of another encoding; worded to follow "PATH: ".
    """
    chunks = _chunks(data)
    if b"fmt " not in chunks:
        raise DataError(f"damaged wav file: it has no format chunk; {_AGAIN}")
    if b"data" not in chunks:
        raise DataError(f"truncated wav file: it has no data chunk; {_AGAIN}")
    encoding, channels, rate, width = _format(bytes(chunks[b"fmt "]))
    body = chunks[b"data"]
    if len(body) == 0:
        raise DataError("the wav file holds no samples; record it again or remove it")
    if len(body) % (channels * width):
        raise DataError(
            f"damaged wav file: {len(body)} bytes of samples are no whole number of frames of "
            f"{channels * width} bytes; {_AGAIN}"
        )
    return _samples(body, encoding, width).reshape(-1, channels), rate


def encode(samples: NDArray[np.float32], *, sample_rate_hz: int) -> bytes:
    """A mono 16-bit PCM WAV file of float samples [samples]; what lies beyond full scale is clipped."""
    body = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype("<i2").tobytes()
    header = struct.pack("<HHIIHH", _PCM, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 4 + 8 + len(header) + 8 + len(body), b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(header)),
            header,
            struct.pack("<4sI", b"data", len(body)),
            body,
        )
    )


def _chunks(data: bytes) -> dict[bytes, memoryview]:
    """The first chunk of each kind, without copying; a chunk that runs past the end of the file is an error."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise DataError(f"not a wav file, or cut off within its first 12 bytes; {_AGAIN}")
    view = memoryview(data)
    chunks: dict[bytes, memoryview] = {}
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        position += 8
        present = len(data) - position
        if size > present:
            if name == b"data" and size >= _UNKNOWN_SIZE and present:
                size = present
            elif name == b"data" or name == b"fmt ":
                raise DataError(
                    f"truncated wav file: its header promises {size} bytes of {name.decode().strip()}, "
                    f"but {present} follow; {_AGAIN}"
                )
            else:
                break  # a cut or careless trailing comment harms no sample
        chunks.setdefault(name, view[position : position + size])
        position += size + size % 2
    return chunks


def _format(chunk: bytes) -> tuple[int, int, int, int]:
    """Encoding (_PCM or _FLOAT), channels, sample rate in Hz, and bytes of one sample."""
    if len(chunk) < 16:
        raise DataError(f"damaged wav file: its format chunk has {len(chunk)} bytes, not 16 or more; {_AGAIN}")
    encoding, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE:
        if len(chunk) < 40:
            raise DataError(f"damaged wav file: its extensible format chunk has {len(chunk)} bytes, not 40; {_AGAIN}")
        if chunk[26:40] != _GUID_TAIL:
            raise DataError(f"the wav file has an unknown encoding ({chunk[24:40].hex()}); {_CONVERT}")
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if encoding not in (_PCM, _FLOAT):
        name = _OTHER_FORMATS.get(encoding, f"encoding {encoding}")
        raise DataError(f"the wav file holds {name}, not PCM or float samples; {_CONVERT}")
    width = (bits + 7) // 8
    if width not in ((1, 2, 3, 4) if encoding == _PCM else (4, 8)):
        raise DataError(f"the wav file has samples of {bits} bits, which are not read; {_CONVERT}")
    if channels == 0 or rate == 0 or block != channels * width:
        raise DataError(
            f"damaged wav file: {channels} channels of {bits} bits at {rate} Hz in frames of {block} bytes; {_AGAIN}"
        )
    return encoding, channels, rate, width


def _samples(body: memoryview, encoding: int, width: int) -> NDArray[np.floating]:
    if encoding == _FLOAT:
        return np.frombuffer(body, f"<f{width}")
    if width == 1:  # the only unsigned one
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) * np.float32(1 / 128)
    if width == 3:
        packed = np.zeros((len(body) // 3, 4), np.uint8)
        packed[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        return packed.view("<i4")[:, 0].astype(np.float32) * np.float32(2.0**-31)
    return np.frombuffer(body, f"<i{width}").astype(np.float32) * np.float32(2.0 ** (1 - 8 * width))
