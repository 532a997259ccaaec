import numpy as np
import pytest

from bnn_exit.audio import logmel
from bnn_exit.conversion import log_mel as tf_ops
from bnn_exit.settings.features import FeatureConfig


@pytest.mark.parametrize(
    "features",
    [FeatureConfig(), FeatureConfig(sample_rate_hz=8000, num_mels=40, fft_size=256, lower_hz=20, upper_hz=4000)],
    ids=["default", "8 kHz"],
)
@pytest.mark.parametrize("sound", ["noise", "tone", "quiet", "silence", "loud"])
def test_the_graph_equals_the_numpy_reference(features, sound):
    rng = np.random.default_rng(0)
    samples = features.sample_rate_hz
    waveform = {
        "noise": rng.normal(0, 0.1, samples),
        "tone": np.sin(2 * np.pi * 440 * np.arange(samples) / samples),
        "quiet": rng.normal(0, 1e-4, samples),
        "silence": np.zeros(samples),
        "loud": np.clip(rng.normal(0, 2, samples), -1, 1),
    }[sound].astype(np.float32)
    expected = logmel.log_mel(waveform, features)
    found = tf_ops.log_mel(np.stack([waveform, waveform[::-1]]), features).numpy()
    assert found.shape == (2, features.num_frames(samples), features.num_mels)
    # Relative to the mel power, which is what the logarithm makes of an absolute difference. A float32 FFT rounds
    # 100 dB below the loudest band, so a band that is almost empty beside a loud tone is given that much.
    power = np.exp(expected.astype(np.float64))
    difference = np.abs(np.exp(found[0].astype(np.float64)) - power)
    assert np.all(difference <= 1e-4 * power + 1e-10 * power.max())
