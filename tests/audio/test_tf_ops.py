import numpy as np
import pytest

from bnn_exit.audio import logmel, tf_ops
from bnn_exit.config import FeatureConfig


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
    # A difference of 1e-4 in the logarithm is 1e-4, relative, in the mel power. Beside a loud tone an almost empty
    # band holds the rounding of a float32 FFT; there 1e-4 relative to the logarithm itself is what can be had.
    tolerance = {"rtol": 1e-4, "atol": 0} if sound == "tone" else {"rtol": 0, "atol": 1e-4}
    np.testing.assert_allclose(found[0], expected, **tolerance)
