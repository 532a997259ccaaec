import base64
import io

import numpy as np
import pytest

from bnn_exit.audio import riff
from bnn_exit.report import media


def body(uri, kind):
    begin = f"data:{kind};base64,"
    assert uri.startswith(begin)
    return base64.b64decode(uri.removeprefix(begin), validate=True)


def pixels(uri):
    image = pytest.importorskip("matplotlib.image")
    return image.imread(io.BytesIO(body(uri, "image/png")))[..., :3]


def test_a_sound_is_a_wav_file_of_the_clip():
    waveform = np.sin(np.arange(800) / 5).astype(np.float32) * 0.5
    frames, rate = riff.decode(body(media.sound(waveform, sample_rate_hz=16000), "audio/wav"))
    assert rate == 16000
    np.testing.assert_allclose(frames[:, 0], waveform, atol=1 / 32000)


def test_a_picture_has_time_to_the_right_and_frequency_upwards():
    log_mel = np.full((7, 4), -10.0)
    log_mel[6, 3] = 2.0  # the last frame, the highest band
    seen = pixels(media.picture(log_mel))
    assert seen.shape == (4, 7, 3)
    np.testing.assert_allclose(seen[0, 6] * 255, (253, 231, 37), atol=0.6)
    np.testing.assert_allclose(seen[3, 0] * 255, (68, 1, 84), atol=0.6)
    assert len({tuple(colour) for colour in seen.reshape(-1, 3)}) == 2


def test_a_silent_clip_is_one_dark_picture():
    assert np.ptp(pixels(media.picture(np.full((5, 4), -13.8))), axis=(0, 1)).max() == 0


def test_a_long_clip_is_averaged_to_a_picture_that_can_be_seen():
    log_mel = np.repeat(np.arange(1300.0)[:, None], 4, axis=1)
    seen = pixels(media.picture(log_mel))
    assert seen.shape == (4, media.MAX_FRAMES, 3)
    assert np.all(np.diff(seen[0, :, 1]) >= 0)  # green rises with the level
