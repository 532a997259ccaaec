"""Write the golden log-mel features with librosa, an implementation that shares no line with ours.

    python tests/golden/make_golden.py

The files hold waveforms, mel matrices and features, so the tests that read them need no librosa.
"""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np

from bnn_exit.settings.features import FeatureConfig

FOLDER = Path(__file__).parent
CONFIGS = {
    "default": FeatureConfig(),
    "8khz": FeatureConfig(
        sample_rate_hz=8000,
        window_ms=24.0,
        hop_ms=12.0,
        fft_size=256,
        num_mels=40,
        lower_hz=0.0,
        upper_hz=4000.0,
        log_offset=1e-5,
    ),
}


def signals(rate: int) -> dict[str, np.ndarray]:
    """A quarter of a second of each kind of sound, float32, full scale 1."""
    time = np.arange(rate // 4) / rate
    noise = np.random.default_rng(7).uniform(-1, 1, time.size)
    made = {
        "tones": 0.4 * np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 2500 * time),
        "chirp": 0.9 * np.sin(2 * np.pi * (50 * time + (rate / 2 - 100) / 2 * time**2 / time[-1])),
        "noise": 0.8 * noise,
        "quiet": 1e-4 * noise,
        "silence": np.zeros(time.size),
        "click": np.where(np.arange(time.size) == time.size // 2, 1.0, 0.0),
    }
    return {name: waveform.astype(np.float32) for name, waveform in made.items()}


def mel_matrix(features: FeatureConfig) -> np.ndarray:
    """The mel weights by librosa, float64 [bins, mels]."""
    return librosa.filters.mel(
        sr=features.sample_rate_hz,
        n_fft=features.fft_size,
        n_mels=features.num_mels,
        fmin=features.lower_hz,
        fmax=features.upper_hz,
        htk=True,
        norm=None,
        dtype=np.float64,
    ).T


def log_mel(waveform: np.ndarray, features: FeatureConfig) -> np.ndarray:
    """The features by librosa, float64 [frames, mels]."""
    # librosa centres a window that is shorter than the FFT; ours stands at the frame's start. The power is the same
    # once the waveform is moved by the difference.
    lead = (features.fft_size - features.window_samples) // 2
    moved = np.pad(waveform.astype(np.float64), (lead, features.fft_size))
    spectrum = librosa.stft(
        moved,
        n_fft=features.fft_size,
        hop_length=features.hop_samples,
        win_length=features.window_samples,
        window="hann",
        center=False,
    )
    power = np.abs(spectrum.T[: features.num_frames(waveform.size)]) ** 2
    return np.log(power @ mel_matrix(features) + features.log_offset)


def main() -> None:
    """Write one file for each configuration."""
    for name, features in CONFIGS.items():
        arrays = {"mel_matrix": mel_matrix(features).astype(np.float32)}
        for signal, waveform in signals(features.sample_rate_hz).items():
            arrays[f"waveform_{signal}"] = waveform
            arrays[f"log_mel_{signal}"] = log_mel(waveform, features).astype(np.float32)
        np.savez_compressed(FOLDER / f"log_mel_{name}.npz", **arrays)


if __name__ == "__main__":
    main()
