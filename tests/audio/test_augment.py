import dataclasses

import numpy as np
import pytest

from bnn_exit._keras import tf
from bnn_exit.audio import logmel
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.training.augment import Augmenter

FEATURES = FeatureConfig()
OFF = AugmentConfig(
    time_shift_ms=0,
    noise_probability=0,
    snr_db=(0, 0),
    gain_db=0,
    time_mask_frames=0,
    frequency_mask_mels=0,
    tempo_change=0,
    frequency_warp=0,
)
FRAMES, MELS = 98, 64


def clip(seed=0):
    return np.random.default_rng(seed).normal(-5, 2, (FRAMES, MELS)).astype(np.float32)


def augmenter(config, *, seed=0, noise=None):
    augment = Augmenter(
        config, features=FEATURES, frames=FRAMES, mels=MELS, fill=np.full(MELS, 7.0), noise=noise, seed=seed
    )
    return tf.function(augment)  # traced once, as training does: hundreds of calls are then cheap


def run(augment, log_mel, index=0, epoch=0):
    return augment(tf.constant(log_mel), tf.constant(index), tf.constant(epoch)).numpy()


def test_everything_off_changes_nothing():
    np.testing.assert_array_equal(run(augmenter(OFF), clip()), clip())


def test_the_same_seed_epoch_and_clip_give_the_same_and_any_other_does_not():
    noise = clip(9).repeat(3, axis=0)
    first = run(augmenter(AugmentConfig(), seed=1, noise=noise), clip(), 5, 2)
    np.testing.assert_array_equal(run(augmenter(AugmentConfig(), seed=1, noise=noise), clip(), 5, 2), first)
    for other in ((2, 5, 2), (1, 6, 2), (1, 5, 3)):
        changed = run(augmenter(AugmentConfig(), seed=other[0], noise=noise), clip(), *other[1:])
        assert not np.array_equal(changed, first), other


def test_the_result_does_not_depend_on_what_was_drawn_before():
    augment = augmenter(AugmentConfig())
    first = run(augment, clip(), 5, 2)
    for index in range(4):
        run(augment, clip(), index, 0)
    np.testing.assert_array_equal(run(augment, clip(), 5, 2), first)


def test_a_shift_moves_frames_by_at_most_its_bound_and_fills_with_silence():
    augment = augmenter(dataclasses.replace(OFF, time_shift_ms=50))
    shifts = set()
    for index in range(60):
        result = run(augment, clip(), index)
        (shift,) = [
            shift
            for shift in range(-5, 6)
            if np.array_equal(
                result[max(0, shift) : FRAMES + min(0, shift)], clip()[max(0, -shift) : FRAMES - max(0, shift)]
            )
        ]
        filled = np.concatenate([result[: max(0, shift)], result[FRAMES + min(0, shift) :]])
        np.testing.assert_allclose(filled, np.log(1e-6), rtol=1e-6)
        shifts.add(shift)
    assert shifts == set(range(-5, 6))


def test_a_shift_that_wraps_loses_nothing():
    augment = augmenter(dataclasses.replace(OFF, time_shift_ms=50, wrap_shift=True))
    shifts = set()
    for index in range(60):
        result = run(augment, clip(), index)
        (shift,) = [shift for shift in range(-5, 6) if np.array_equal(result, np.roll(clip(), shift, axis=0))]
        shifts.add(shift)
    assert shifts == set(range(-5, 6))


def test_gain_adds_decibels():
    augment = augmenter(dataclasses.replace(OFF, gain_db=6))
    result = [run(augment, clip(), index) - clip() for index in range(200)]
    gains_db = np.array([change[0, 0] for change in result]) * 10 / np.log(10)
    assert all(np.ptp(change) < 1e-5 for change in result)
    assert -6 <= gains_db.min() < -5 and 5 < gains_db.max() <= 6


def test_another_tempo_stretches_time_about_the_middle_of_the_clip():
    augment = augmenter(dataclasses.replace(OFF, tempo_change=0.25))
    ramp = np.repeat(np.arange(FRAMES, dtype=np.float32)[:, None], MELS, axis=1)
    factors = []
    for index in range(100):
        (row,) = np.unique(run(augment, ramp, index), axis=1).T
        factor = row[FRAMES // 2] - row[FRAMES // 2 - 1]
        middle = (FRAMES - 1) / 2
        expected = np.clip(middle + factor * (np.arange(FRAMES) - middle), 0, FRAMES - 1)
        np.testing.assert_allclose(row, expected, atol=1e-3)
        factors.append(factor)
    assert 0.75 <= min(factors) < 0.78 and 1.22 < max(factors) <= 1.2501


def test_a_warp_stretches_the_mel_axis_from_its_lowest_band():
    augment = augmenter(dataclasses.replace(OFF, frequency_warp=0.1))
    ramp = np.repeat(np.arange(MELS, dtype=np.float32)[None, :], FRAMES, axis=0)
    factors = []
    for index in range(100):
        (row,) = np.unique(run(augment, ramp, index), axis=0)
        np.testing.assert_allclose(row, np.clip(row[1] * np.arange(MELS), 0, MELS - 1), atol=1e-3)
        factors.append(row[1])
    assert 0.9 <= min(factors) < 0.91 and 1.09 < max(factors) <= 1.1001


def test_noise_comes_at_the_drawn_ratio():
    noise = clip(1).repeat(2, axis=0)
    config = dataclasses.replace(OFF, noise_probability=1, snr_db=(3, 3))
    added = np.exp(run(augmenter(config, noise=noise), clip()).astype(np.float64)) - np.exp(clip().astype(np.float64))
    ratio_db = 10 * np.log10(np.exp(clip().astype(np.float64)).mean() / added.mean())
    assert ratio_db == pytest.approx(3, abs=0.01)


def test_noise_comes_as_often_as_asked():
    augment = augmenter(dataclasses.replace(OFF, noise_probability=0.3), noise=clip(1).repeat(2, axis=0))
    changed = np.mean([not np.array_equal(run(augment, clip(), index), clip()) for index in range(300)])
    assert changed == pytest.approx(0.3, abs=0.08)


def test_noise_shorter_than_a_clip_is_left_out():
    np.testing.assert_array_equal(
        run(augmenter(dataclasses.replace(OFF, noise_probability=1), noise=clip()[:50]), clip()), clip()
    )


def test_masks_blank_whole_frames_and_bands_of_bounded_width():
    augment = augmenter(dataclasses.replace(OFF, time_mask_frames=20, frequency_mask_mels=10))
    frames, mels = [], []
    for index in range(200):
        blank = run(augment, clip(), index) == 7.0
        rows, columns = blank.all(axis=1), blank.all(axis=0)
        np.testing.assert_array_equal(blank, rows[:, None] | columns[None, :])
        for mask in (rows, columns):
            assert len(np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])) > 0)) <= 1  # one run
        frames.append(rows.sum())
        mels.append(columns.sum())
    # tensorflow-io draws widths below the bound, evenly.
    assert max(frames) <= 19 and max(mels) <= 9
    assert np.mean(frames) == pytest.approx(9.5, abs=1.5) and np.mean(mels) == pytest.approx(4.5, abs=1)


def test_masks_keep_their_time_and_their_share_of_the_bands():
    usual = AugmentConfig(time_mask_frames=25, frequency_mask_mels=12)
    assert usual.scaled_to(FeatureConfig()) == usual
    coarse = usual.scaled_to(FeatureConfig(window_ms=40, hop_ms=20, fft_size=1024, num_mels=32))
    assert (coarse.time_mask_frames, coarse.frequency_mask_mels) == (12, 6)
    assert coarse.gain_db == usual.gain_db


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_probability": 1.5}, "noise_probability is 1.5, but must be from 0 to 1"),
        ({"snr_db": (9.0, 3.0)}, r"snr_db is \(9.0, 3.0\), but must be two finite numbers, \(lowest, highest\)"),
        ({"tempo_change": 1.0}, "tempo_change is 1.0, but must be at least 0 and below 1"),
        ({"frequency_warp": -0.1}, "frequency_warp is -0.1, but must be at least 0 and below 1"),
        ({"time_shift_ms": -1.0}, "time_shift_ms is -1.0, but must be at least 0"),
        ({"attenuation_probability": 2.0}, "attenuation_probability is 2.0, but must be from 0 to 1"),
        ({"attenuation_db": -6.0}, "attenuation_db is -6.0, but must be at least 0"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ArgumentError, match=message):
        AugmentConfig(**change)


def test_an_attenuated_clip_has_the_features_of_its_attenuated_waveform():
    waveform = np.random.default_rng(0).normal(0, 0.003, 16000).astype(np.float32)
    attenuation = dataclasses.replace(OFF, attenuation_probability=1, attenuation_db=60)
    augment = augmenter(attenuation)
    original = logmel.log_mel(waveform, FEATURES)
    gains = []
    for index in range(20):
        result = run(augment, original, index)
        # The gain is read from the loudest value, and the rest, near the offset, must follow from it.
        place = np.unravel_index(original.argmax(), original.shape)
        power, quieter = (np.exp(np.float64(each[place])) - FEATURES.log_offset for each in (original, result))
        expected = logmel.log_mel(waveform * np.sqrt(quieter / power), FEATURES)
        np.testing.assert_allclose(result, expected, atol=2e-3)
        gains.append(10 * np.log10(quieter / power))
    assert -60 < min(gains) < -45 and -15 < max(gains) <= 0


def test_attenuation_comes_as_often_as_asked_and_makes_nothing_louder():
    augment = augmenter(dataclasses.replace(OFF, attenuation_probability=0.5))
    results = [run(augment, clip(), index) for index in range(200)]
    assert all((result <= clip() + 1e-5).all() and np.isfinite(result).all() for result in results)
    changed = np.mean([not np.array_equal(result, clip()) for result in results])
    assert changed == pytest.approx(0.5, abs=0.1)


def test_attenuation_that_is_off_leaves_the_clips_of_earlier_runs_as_they_were():
    # What a teacher answered is kept under this text: it must stay that of the version that wrote it.
    kept = (
        "AugmentConfig(time_shift_ms=100.0, wrap_shift=False, noise_probability=0.4, snr_db=(0.0, 30.0), gain_db=8.0, "
        "time_mask_frames=10, frequency_mask_mels=4, tempo_change=0.15, frequency_warp=0.1, mix_probability=0.0) "
    )
    assert AugmentConfig.from_dict({}) == AugmentConfig(attenuation_probability=0.0)
    never, always = (
        Augmenter(config, features=FEATURES, frames=FRAMES, mels=MELS, fill=np.zeros(MELS)).identity
        for config in (AugmentConfig(), AugmentConfig(attenuation_probability=1.0))
    )
    assert never.startswith(kept) and "attenuation" in always
