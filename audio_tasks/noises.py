"""Background noise made from random numbers: white, pink, and the hum of the mains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def white(generator: np.random.Generator, *, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Equal power at every frequency: a hiss. Float32 [samples] of mean power 1."""
    return _unit_power(generator.standard_normal(samples))


def pink(generator: np.random.Generator, *, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Power falling with 1 / frequency above 20 Hz: a rush, as of wind or rain. Float32 [samples] of mean power 1."""
    hz = np.fft.rfftfreq(samples, 1 / sample_rate_hz)
    spectrum = np.fft.rfft(generator.standard_normal(samples)) / np.sqrt(np.maximum(hz, 20))
    spectrum[0] = 0
    return _unit_power(np.fft.irfft(spectrum, samples))


def hum(generator: np.random.Generator, *, samples: int, sample_rate_hz: int) -> np.ndarray:
    """Mains of 50 or 60 Hz with a dozen overtones, over a soft hiss. Float32 [samples] of mean power 1."""
    time = np.arange(samples) / sample_rate_hz
    base_hz = generator.choice([50.0, 60.0]) * generator.uniform(0.998, 1.002)
    made = 0.05 * generator.standard_normal(samples)
    for harmonic in range(1, 13):
        height, phase = generator.uniform(0.2, 1) / harmonic, generator.uniform(0, 2 * np.pi)
        if harmonic * base_hz < sample_rate_hz / 2:
            made += height * np.sin(2 * np.pi * harmonic * base_hz * time + phase)
    return _unit_power(made)


NOISES: dict[str, Callable[..., np.ndarray]] = {"white": white, "pink": pink, "hum": hum}


def _unit_power(values: np.ndarray) -> np.ndarray:
    return (values / np.sqrt(np.mean(values**2))).astype(np.float32)
