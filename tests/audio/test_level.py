import numpy as np
import pytest

from bnn_exit.audio.level import level, quietness

SPEECH = 0.15 * np.random.default_rng(0).normal(size=8000).clip(-3, 3)


@pytest.mark.parametrize("samples", [1, 319, 320, 16000])
def test_a_constant_has_one_level(samples):
    assert level(np.full(samples, 0.1, np.float32)) == pytest.approx((-20, -20, -20), abs=1e-4)


def test_pauses_lower_the_level_of_all_samples_alone():
    tone = np.concatenate([np.zeros(12800), np.full(3200, 0.1)])
    found = level(tone)
    assert found.rms == pytest.approx(-20 + 10 * np.log10(0.2), abs=1e-6)
    assert found.active == pytest.approx(-20, abs=1e-6) and found.peak == pytest.approx(-20)


def test_attenuation_lowers_every_figure_by_itself():
    for gain_db in (-6, -48):
        quiet = level(SPEECH * 10 ** (gain_db / 20))
        assert np.subtract(quiet, level(SPEECH)) == pytest.approx([gain_db] * 3)


def test_speech_is_loud_enough_until_it_is_far_below_speech():
    for gain_db in (0, -10, -20):
        assert quietness(SPEECH * 10 ** (gain_db / 20)) is None
    assert quietness(SPEECH * 10 ** (-30 / 20), normalised=True) is None
    assert "-66 dBFS" in quietness(SPEECH * 10 ** (-50 / 20), normalised=True)
    assert "-46 dBFS" in quietness(SPEECH * 10 ** (-30 / 20))
    assert "S24_LE" not in quietness(SPEECH * 10 ** (-30 / 20))
    assert "S24_LE" in quietness(SPEECH / 256)
    assert "silence" in quietness(np.zeros(100))
