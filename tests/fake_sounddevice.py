"""A module like sounddevice, with the devices that a test wants. Blocks are delivered by the test."""

from __future__ import annotations

import sys
import types

import numpy as np


class PortAudioError(Exception):
    pass


def device(name, *, inputs=1, rate=48000.0, host=0):
    return {"name": name, "hostapi": host, "max_input_channels": inputs, "default_samplerate": rate}


class FakeSound(types.ModuleType):
    """Attributes that a test may set: `devices`, `default`, `rates` and `channels` that are taken, `busy`."""

    PortAudioError = PortAudioError

    def __init__(self, devices):
        super().__init__("sounddevice")
        self.devices, self.default = devices, 0
        self.rates, self.channels, self.busy, self.fault = None, (1,), False, None
        self.streams = []
        self.restarts = 0

    def query_devices(self):
        if self.fault:
            raise PortAudioError(self.fault)
        return self.devices

    def query_hostapis(self):
        return [{"name": "ALSA", "default_input_device": self.default}]

    def _terminate(self):
        assert all(stream.closed for stream in self.streams)

    def _initialize(self):
        self.restarts += 1

    def InputStream(self, **settings):
        if self.busy:
            raise PortAudioError("Error opening InputStream: Device unavailable", -9985)
        if settings["channels"] not in self.channels:
            raise PortAudioError("Error opening InputStream: Invalid number of channels", -9998)
        if self.rates is not None and settings["samplerate"] not in self.rates:
            raise PortAudioError("Error opening InputStream: Invalid sample rate", -9997)
        self.streams.append(FakeStream(**settings))
        return self.streams[-1]


class FakeStream:
    def __init__(self, *, callback, **settings):
        self.callback, self.settings = callback, settings
        self.started = self.closed = False
        self.recorded = 0  # samples that the device has recorded

    def start(self):
        self.started = True

    def close(self):
        self.closed = True

    def deliver(self, samples, *, lost=0, overflow=False):
        """A block as PortAudio gives one, after `lost` samples that it does not have."""
        block = np.asarray(samples, np.float32)
        if block.ndim == 1:
            block = np.repeat(block[:, None], self.settings["channels"], axis=1)
        self.recorded += lost
        when = types.SimpleNamespace(inputBufferAdcTime=self.recorded / self.settings["samplerate"])
        self.recorded += len(block)
        self.callback(block, len(block), when, types.SimpleNamespace(input_overflow=overflow))


def install(monkeypatch, *devices):
    """Put such a module in the place of sounddevice."""
    module = FakeSound(list(devices))
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module
