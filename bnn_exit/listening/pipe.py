"""Raw PCM from standard input or another pipe, such as `arecord -t raw | python -m bnn_exit.listen model.tflite -`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from bnn_exit.audio.pcm import PcmDecoder
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.listening.source import Chunk, Tell

READ_BYTES = 1 << 16
"""At most so many are taken at once. Less is taken as soon as it is there, so that an event is not late."""

_CONTAINERS = {b"RIFF": "a WAV file", b"fLaC": "a FLAC file", b"OggS": "an Ogg file"}


class Pipe:
    """Raw PCM from an open pipe or file. The pipe itself bounds what waits: its writer is held up when it is full."""

    is_live = True

    def __init__(
        self,
        file: BinaryIO,
        *,
        rate_hz: int,
        tell: Tell,
        bits: int = 16,
        channels: int = 1,
        name: str = "standard input",
    ) -> None:
        """
        Args:
            file: with a descriptor, open for reading.
            rate_hz: of the samples, which raw PCM does not say.
            tell: is told about bytes that are left at the end.
            bits: of a sample: 8 (unsigned), 16 or 32, the low byte first.
            channels: of a frame.
            name: for messages.

        Raises:
            ArgumentError: the file is a terminal, or a format that is not read.
        """
        if file.isatty():
            raise ArgumentError(f"{name} is a terminal: pipe raw samples into it, as with arecord -t raw -f S16_LE")
        if bits not in (8, 16, 32):
            raise ArgumentError(f"width is {bits!r}, but must be 8, 16 or 32 bits")
        # Another program may have left it non-blocking: a read would fail whenever nothing is there yet.
        os.set_blocking(file.fileno(), True)
        self.name, self.rate_hz = name, rate_hz
        self._file, self._tell = file, tell
        self._decoder = PcmDecoder(width=bits // 8, channels=channels)

    def chunks(self) -> Iterator[Chunk]:
        """What comes until the writer closes the pipe.

        Raises:
            DataError: it begins as an audio file of another kind does.
        """
        head = self._head()
        kind = _CONTAINERS.get(head[:4])
        if kind is not None:
            raise DataError(
                f"{self.name} is {kind}, not raw samples: record with arecord -t raw, or give the file instead of -"
            )
        data = head
        while data:
            yield Chunk(self._decoder.push(data))
            data = os.read(self._file.fileno(), READ_BYTES)
        if self._decoder.left:
            frame = self._decoder.width * self._decoder.channels
            self._tell(
                f"{self.name} ended within a sample: {self._decoder.left} of its {frame} bytes were left; "
                "check --width and --channels"
            )

    def _head(self) -> bytes:
        """The first bytes: the kind of a file shows in four, which may come one by one."""
        head = b""
        while len(head) < 4:
            data = os.read(self._file.fileno(), READ_BYTES)
            if not data:
                break
            head += data
        return head
