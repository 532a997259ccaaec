import numpy as np
import pytest

from audio_tasks.extent import extent

RATE = 16000


def clip(*sounds, noise_db=-100.0, seed=0):
    """A second of noise with sounds of (start, end, amplitude)."""
    generator = np.random.default_rng(seed)
    samples = 10 ** (noise_db / 20) * generator.standard_normal(RATE)
    for start, end, amplitude in sounds:
        first, last = int(start * RATE), int(end * RATE)
        samples[first:last] += amplitude * generator.standard_normal(last - first)
    return samples


@pytest.mark.parametrize("noise_db", [-100, -60, -40, -32])
@pytest.mark.parametrize(("start", "end"), [(0.3, 0.7), (0.0, 0.4), (0.6, 1.0), (0.1, 0.95)])
def test_a_word_is_found_in_noise(start, end, noise_db):
    # The sound is at -20 dB: the noisiest clip has an SNR of 12 dB.
    found = extent(clip((start, end, 0.1), noise_db=noise_db), sample_rate_hz=RATE)
    assert found == pytest.approx((start, end), abs=0.021)


def test_a_quiet_end_belongs_to_the_word_and_a_pause_within_it_too():
    found = extent(clip((0.2, 0.4, 0.3), (0.4, 0.6, 0.02), (0.75, 0.8, 0.1)), sample_rate_hz=RATE)
    assert found == pytest.approx((0.2, 0.8), abs=0.021)


def test_a_click_and_a_weaker_sound_apart_are_left_out():
    found = extent(clip((0.02, 0.025, 0.3), (0.3, 0.6, 0.1), (0.9, 0.97, 0.05)), sample_rate_hz=RATE)
    assert found == pytest.approx((0.3, 0.6), abs=0.021)


def test_where_nothing_stands_out_the_whole_clip_counts():
    assert extent(clip(noise_db=-30), sample_rate_hz=RATE) == (0.0, 1.0)
    assert extent(np.zeros(RATE), sample_rate_hz=RATE) == (0.0, 1.0)
    assert extent(np.ones(300), sample_rate_hz=RATE) == (0.0, 300 / RATE)


def test_the_rate_scales_the_times():
    samples = np.zeros(8000)
    samples[2000:4000] = 0.5
    assert extent(samples, sample_rate_hz=8000) == pytest.approx((0.25, 0.5), abs=0.021)
