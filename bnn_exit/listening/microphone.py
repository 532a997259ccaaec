"""A microphone: opened at its own rate, waited for when it goes away, not held up by what is done with its sound."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bnn_exit.audio.stream_resample import StreamResampler
from bnn_exit.errors import BnnExitError, DeviceError
from bnn_exit.listening import devices
from bnn_exit.listening.source import Chunk, Tell
from bnn_exit.runtime.stream import MAX_RATE_HZ, MIN_RATE_HZ

BLOCK_S = 0.05
"""Sound that the device delivers at once."""
QUEUE_S = 10.0
"""Sound that may wait for recognition. What comes while so much waits is lost, and is counted."""
PATIENCE_S = 3.0
"""A device that delivers nothing for so long is taken to be gone."""
RETRY_S = 1.0
"""From one look for a device that is gone to the next."""
RATES_HZ = (16000, 48000, 44100, 32000, 96000, 22050, 8000)
"""Tried in this order if a device refuses its own rate, or has one that streams do not take."""

_BUSY, _NO_RATE, _NO_CHANNELS = -9985, -9997, -9998  # paDeviceUnavailable, paInvalidSampleRate, paInvalidChannelCount


class Microphone:
    """A microphone, open and recording from the start.

    Attributes:
        name, is_live: as `Source`.
        rate_hz: of its sound, for ever: a device that comes back at another rate is resampled to it.
        refused_hz: rates that the device refused before it took `rate_hz`.
        overflows: how often the system said that samples were lost.
    """

    is_live = True

    def __init__(
        self,
        wanted: str | None = None,
        *,
        tell: Tell,
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            wanted: number of a device or a part of its name; None means the default.
            tell: is told when the device goes away and comes back.
            patience_s, retry_s: as PATIENCE_S and RETRY_S.
            clock: seconds, for the sound that was missed while the device was away.

        Raises:
            ArgumentError: no such device.
            DeviceError: no microphone, or one that is busy or refuses every rate.
            MissingPackageError: sounddevice or PortAudio is not installed.
        """
        self._module = devices.sound()
        self._wanted, self._tell, self._clock = wanted, tell, clock
        self._patience_s, self._retry_s = patience_s, retry_s
        self._queue: queue.Queue[Chunk] = queue.Queue(maxsize=round(QUEUE_S / BLOCK_S))
        self._stream: Any = None
        self._dropped = 0  # samples that found the queue full, since the last that did not
        self._due: float | None = None  # when the next block begins, by the clock of the device
        self.overflows = 0
        device = devices.find(wanted, devices.devices())
        self.name = device.name
        self.rate_hz, self.refused_hz = self._open(device, [device.rate_hz, *RATES_HZ])
        self._source_hz = self.rate_hz  # of the device, which may come back with another one
        self._resampler = StreamResampler(from_hz=self.rate_hz, to_hz=self.rate_hz)
        self._last_s = clock()

    def _open(self, device: devices.Device, rates_hz: list[int]) -> tuple[int, list[int]]:
        """Open a device at the first rate and number of channels that it takes: the rate, and those it refused."""
        tried = list(dict.fromkeys(rate for rate in rates_hz if MIN_RATE_HZ <= rate <= MAX_RATE_HZ))
        for place, rate in enumerate(tried):
            for channels in dict.fromkeys([1, device.channels]):
                try:
                    self._start(device, rate, channels)
                except self._module.PortAudioError as error:
                    code = error.args[1] if len(error.args) > 1 else None
                    if code not in (_NO_RATE, _NO_CHANNELS):
                        raise self._fault(device, error, code) from error
                else:
                    return rate, tried[:place]
        rates = ", ".join(map(str, tried))
        raise DeviceError(f"the microphone {device.name!r} refuses every rate ({rates} Hz): choose another --device")

    def _start(self, device: devices.Device, rate: int, channels: int) -> None:
        self._due = None
        stream = self._module.InputStream(
            device=device.number,
            channels=channels,
            samplerate=rate,
            blocksize=round(rate * BLOCK_S),
            dtype="float32",
            callback=lambda data, frames, when, status: self._take(rate, data, when, status),
        )
        try:
            stream.start()
        except BaseException:
            stream.close()
            raise
        self._stream = stream

    def _fault(self, device: devices.Device, error: Exception, code: int | None) -> DeviceError:
        if code == _BUSY:
            return DeviceError(
                f"the microphone {device.name!r} is busy: close the program that uses it, or choose another --device"
            )
        return DeviceError(f"the microphone {device.name!r} cannot be opened: {' '.join(str(error).split())}")

    def _take(self, rate: int, data: Any, when: Any, status: Any) -> None:
        """Called by the device's own thread, which must not wait."""
        samples = np.array(data[:, 0]) if data.shape[1] == 1 else data.mean(axis=1)
        began = float(getattr(when, "inputBufferAdcTime", 0.0))
        lost = self._dropped
        overflowed = bool(status and status.input_overflow)
        if overflowed:
            self.overflows += 1
            # Some systems say when a block was recorded; the others leave the time as it is.
            if self._due is not None and began > self._due:
                lost += round((began - self._due) * rate)
        self._due = began + len(samples) / rate
        try:
            self._queue.put_nowait(Chunk(samples, lost=lost, gap=overflowed or lost > 0))
            self._dropped = 0
        except queue.Full:
            self._dropped = lost + len(samples)

    def chunks(self) -> Iterator[Chunk]:
        """Its sound, for ever."""
        try:
            while True:
                try:
                    chunk = self._at_our_rate(self._queue.get(timeout=self._patience_s))
                except queue.Empty:
                    chunk = self._come_back()
                self._last_s = self._clock()
                yield chunk
        finally:
            self.close()

    def _come_back(self) -> Chunk:
        """Wait for a device that is gone; the sound that was missed."""
        self._tell(f"the microphone {self.name!r} went away: waiting for it")
        self.close()
        with contextlib.suppress(queue.Empty):
            while True:  # what it delivered at the last moment has the rate of then
                self._queue.get_nowait()
        self._dropped = 0
        while True:
            try:
                devices.restart(self._module)
                device = devices.find(self._wanted, devices.devices())
                rate, _ = self._open(device, [self.rate_hz, device.rate_hz, *RATES_HZ])
                break
            except (BnnExitError, self._module.PortAudioError):
                time.sleep(self._retry_s)
        self._resampler = StreamResampler(from_hz=rate, to_hz=self.rate_hz)
        self._source_hz = rate
        self._tell(f"the microphone {self.name!r} is back{'' if rate == self.rate_hz else f', at {rate} Hz'}")
        missed = max(0.0, self._clock() - self._last_s)
        return Chunk(np.zeros(0, np.float32), lost=round(missed * self.rate_hz), gap=True)

    def _at_our_rate(self, chunk: Chunk) -> Chunk:
        """A chunk of the device as it is now, as one of the device that was opened first."""
        if self._source_hz == self.rate_hz:
            return chunk
        if chunk.gap:
            self._resampler.reset()
        lost = round(chunk.lost * self.rate_hz / self._source_hz)
        return Chunk(self._resampler.push(chunk.samples), lost=lost, gap=chunk.gap)

    def close(self) -> None:
        """Stop recording. A device that is gone may complain about it."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(self._module.PortAudioError):
                stream.close()
