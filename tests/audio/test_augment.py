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


# ---- what negatives add


def placed(config, extents, *, seed=0):
    augment = Augmenter(
        config,
        features=FEATURES,
        frames=FRAMES,
        mels=MELS,
        fill=np.full(MELS, 7.0),
        extents=np.array(extents),
        seed=seed,
    )
    return tf.function(augment)


def test_later_settings_that_are_off_leave_the_identity_of_earlier_runs():
    off = {"background_snr_db": (3.0, 9.0), "rt60_s": (0.2, 0.4)}
    usual, same = (
        Augmenter(config, features=FEATURES, frames=FRAMES, mels=MELS, fill=np.zeros(MELS)).identity
        for config in (AugmentConfig(), AugmentConfig(**off))
    )
    assert usual == same
    for change in (
        {"place_anywhere": True},
        {"partial_share": 0.1},
        {"background_probability": 0.1},
        {"reverberation_probability": 0.1},
        {"filter_db": 3.0},
    ):
        config = AugmentConfig(**change)
        made = Augmenter(config, features=FEATURES, frames=FRAMES, mels=MELS, fill=np.zeros(MELS)).identity
        assert made != usual and next(iter(change)) in made


def test_a_word_is_whole_at_any_place():
    start, end = 30, 50
    word = np.full((FRAMES, MELS), -12.0, np.float32)
    word[start:end] = np.arange(end - start, dtype=np.float32)[:, None]
    augment = placed(dataclasses.replace(OFF, place_anywhere=True), [(start, end)] * 400)
    places = set()
    for index in range(400):
        found = run(augment, word, index)
        first = int(np.flatnonzero(found[:, 0] > -12)[0])
        np.testing.assert_array_equal(found[first : first + end - start], word[start:end])
        assert (np.delete(found, np.s_[first : first + end - start], axis=0) == -12).all()
        places.add(first)
    assert min(places) == 0 and max(places) == FRAMES - (end - start)
    assert len(places) > 70  # of 79


def test_a_word_is_whole_after_a_change_of_tempo():
    start, end = 30, 70
    word = np.full((FRAMES, MELS), -12.0, np.float32)
    word[start:end] = 0
    word[start : start + 3] = word[end - 3 : end] = 5
    augment = placed(dataclasses.replace(OFF, place_anywhere=True, tempo_change=0.15), [(start, end)] * 200)
    for index in range(200):
        # Both ends are there, as far from one another as the tempo says: from 36 / 1.15 to 40 / 0.85 frames.
        peaks = np.flatnonzero(run(augment, word, index)[:, 0] > 1)
        assert 31 <= peaks[-1] - peaks[0] <= 47


def test_what_comes_in_beside_a_word_is_what_was_there():
    word = np.random.default_rng(3).normal(-12, 1, (FRAMES, MELS)).astype(np.float32)
    augment = placed(dataclasses.replace(OFF, place_anywhere=True), [(40, 60)] * 50)
    known = {row.tobytes() for row in word}
    for index in range(50):
        assert {row.tobytes() for row in run(augment, word, index)} <= known


def test_a_clip_without_an_extent_stays_where_it_is():
    config = dataclasses.replace(OFF, place_anywhere=True)
    for index in range(20):
        np.testing.assert_array_equal(run(placed(config, [(0, FRAMES)] * 20), clip(), index), clip())


def behind(augment, log_mel, background, level, index=0):
    sound = tf.constant(background), tf.constant(np.float32(level))
    return augment(tf.constant(log_mel), tf.constant(index), tf.constant(0), sound).numpy()


def test_a_background_has_the_asked_ratio_to_the_loud_part_of_a_clip():
    word = np.full((FRAMES, MELS), -20.0, np.float32)
    word[40:60] = 0
    sound = np.full((FRAMES, MELS), -3.0, np.float32)
    augment = placed(dataclasses.replace(OFF, background_probability=1, background_snr_db=(10.0, 10.0)), [(40, 60)])
    found = behind(augment, word, sound, level=-3.0 + np.log(MELS))
    np.testing.assert_allclose(found[:40], np.logaddexp(-20, -np.log(10)), atol=1e-4)
    np.testing.assert_allclose(found[40:60], np.logaddexp(0, -np.log(10)), atol=1e-4)
    # A pause of the background stays below by as much as it is below the level of its surroundings.
    quieter = behind(augment, word, sound - 5, level=-3.0 + np.log(MELS))
    np.testing.assert_allclose(quieter[:40], np.logaddexp(-20, -np.log(10) - 5), atol=1e-4)


def test_an_infinite_level_is_no_background():
    augment = placed(dataclasses.replace(OFF, background_probability=1), [(0, FRAMES)])
    np.testing.assert_allclose(behind(augment, clip(), clip(1), np.inf), clip(), atol=1e-5)


def test_a_background_comes_as_often_as_asked_at_ratios_from_end_to_end():
    config = dataclasses.replace(OFF, background_probability=0.8, background_snr_db=(0.0, 20.0))
    augment = placed(config, [(0, FRAMES)] * 300)
    word, sound = np.zeros((FRAMES, MELS), np.float32), np.zeros((FRAMES, MELS), np.float32)
    ratios = []
    for index in range(300):
        found = behind(augment, word, sound, np.log(MELS), index)
        added = np.expm1(np.float64(found[0, 0]))
        if added > 1e-3:
            ratios.append(-10 * np.log10(added))
    assert len(ratios) / 300 == pytest.approx(0.8, abs=0.07)
    assert min(ratios) == pytest.approx(0, abs=0.5) and max(ratios) == pytest.approx(20, abs=0.5)


def test_a_room_spreads_energy_to_later_frames_and_keeps_it():
    impulse = np.full((FRAMES, MELS), np.log(FEATURES.log_offset), np.float32)
    impulse[10] = 2.0
    augment = augmenter(dataclasses.replace(OFF, reverberation_probability=1, rt60_s=(0.3, 0.6)))
    for index in range(20):
        power = np.exp(np.float64(run(augment, impulse, index)[:, 0])) - FEATURES.log_offset
        assert power[:10].max() < 1e-6
        assert power.sum() == pytest.approx(np.exp(2.0), rel=1e-3)
        assert power[10] < 0.99 * np.exp(2.0) and power[15] > 0


def test_rooms_come_as_often_as_asked_and_differ():
    impulse = np.full((FRAMES, MELS), np.log(FEATURES.log_offset), np.float32)
    impulse[10] = 2.0
    augment = augmenter(dataclasses.replace(OFF, reverberation_probability=0.3))
    found = [run(augment, impulse, index) for index in range(300)]
    wet = [each[10, 0] for each in found if not np.allclose(each, impulse, atol=1e-4)]
    assert len(wet) / 300 == pytest.approx(0.3, abs=0.07)
    assert len(set(np.round(wet, 4))) > 30  # of 64 rooms


def test_a_filter_is_one_gain_of_each_band_within_its_limit():
    augment = augmenter(dataclasses.replace(OFF, filter_db=6.0))
    gains = []
    for index in range(300):
        found = run(augment, np.zeros((FRAMES, MELS), np.float32), index)
        np.testing.assert_array_equal(found, np.broadcast_to(found[:1], found.shape))
        gains.append(found[0] * 10 / np.log(10))
    gains = np.array(gains)
    assert np.abs(gains).max() <= 6 + 1e-4 and np.abs(gains).max() > 5.5
    assert abs(gains.mean()) < 0.5
    # The first and last band are drawn from all gains alike: of a uniform distribution the deviation is 6 / sqrt(3).
    np.testing.assert_allclose(gains[:, [0, -1]].std(axis=0), 6 / np.sqrt(3), rtol=0.1)
    assert abs(np.corrcoef(gains[:, 0], gains[:, -1])[0, 1]) < 0.2


def test_a_filter_is_linear_between_at_most_four_bands():
    augment = augmenter(dataclasses.replace(OFF, filter_db=6.0))
    for index in range(50):
        gains = run(augment, np.zeros((FRAMES, MELS), np.float32), index)[0].astype(np.float64)
        # A corner between two bands bends the line at both.
        assert (np.abs(np.diff(gains, n=2)) > 1e-4).sum() <= 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filter_db": -1.0}, "filter_db is -1.0, but must be from 0 to 40"),
        ({"partial_share": 1.1}, "partial_share is 1.1, but must be from 0 to 1"),
        ({"background_probability": -0.1}, "background_probability is -0.1, but must be from 0 to 1"),
        ({"reverberation_probability": 2.0}, "reverberation_probability is 2.0, but must be from 0 to 1"),
        ({"place_anywhere": 1}, "place_anywhere is 1, but must be true or false"),
        ({"background_snr_db": (5.0, 0.0)}, r"background_snr_db is \(5.0, 0.0\), but must be two finite numbers"),
        ({"rt60_s": (0.0, 0.5)}, r"rt60_s is \(0.0, 0.5\), but must be two numbers from 0.05 to 2, \(shortest"),
        ({"rt60_s": (0.1, 9.0)}, r"rt60_s is \(0.1, 9.0\), but must be two numbers from 0.05 to 2"),
    ],
)
def test_later_settings_out_of_range_are_named(change, message):
    with pytest.raises(ArgumentError, match=message):
        AugmentConfig(**change)
