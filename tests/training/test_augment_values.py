import numpy as np
import pytest

from bnn_exit._keras import tf
from bnn_exit.settings.augment_values import ValuesAugmentConfig
from bnn_exit.training.augment_values import ValuesAugmenter, rotation, triples, warped

OFF = {"jitter": 0.0, "scaling": 0.0, "rotation_deg": 0.0, "time_warp": 0.0, "shift": 0.0}
CHANNELS = ("x_acc", "y_acc", "z_acc", "light")


def windows(count=8, length=50):
    return np.random.default_rng(0).normal(0, [1, 2, 3, 4], (count, length, 4)).astype(np.float32)


def augmented(window, *, clip=0, epoch=0, seed=0, **settings):
    augmenter = ValuesAugmenter(
        ValuesAugmentConfig(**{**OFF, **settings}), channels=CHANNELS, windows=windows(), seed=seed
    )
    return augmenter(tf.constant(window), tf.constant(clip), tf.constant(epoch, tf.int64)).numpy()


def test_nothing_changes_where_everything_is_off():
    window = windows()[0]
    assert np.array_equal(augmented(window), window)


@pytest.mark.parametrize("name", ["jitter", "scaling", "rotation_deg", "time_warp", "shift"])
def test_changes_depend_on_seed_epoch_and_window_alone(name):
    window, settings = windows()[0], {name: 0.4}
    first = augmented(window, **settings)
    assert not np.array_equal(first, window)
    assert np.array_equal(augmented(window, **settings), first)
    for other in ({"clip": 1}, {"epoch": 1}, {"seed": 1}):
        assert not np.array_equal(augmented(window, **other, **settings), first)


def test_jitter_is_relative_to_the_spread_of_each_channel():
    window = np.zeros((5000, 4), np.float32)
    spread = windows().std(axis=(0, 1))
    assert augmented(window, jitter=0.5).std(axis=0) == pytest.approx(0.5 * spread, rel=0.05)


def test_scaling_multiplies_each_channel_by_one_number():
    window = windows()[0]
    factors = augmented(window, scaling=0.3) / window
    assert np.allclose(factors, factors[0], rtol=1e-5)
    assert (np.abs(factors[0] - 1) <= 0.3).all() and len(set(factors[0].tolist())) == 4


def test_rotation_keeps_lengths_of_three_axes_and_other_channels():
    window = windows()[0]
    turned = augmented(window, rotation_deg=90.0)
    assert np.linalg.norm(turned[:, :3], axis=1) == pytest.approx(np.linalg.norm(window[:, :3], axis=1), rel=1e-5)
    assert np.array_equal(turned[:, 3], window[:, 3])
    # One rotation for all samples: angles between them stay.
    assert turned[:, :3] @ turned[:, :3].T == pytest.approx(window[:, :3] @ window[:, :3].T, abs=1e-3)


def test_a_rotation_by_a_quarter_about_z_takes_x_to_y():
    quarter = rotation(tf.constant([0.0, 0.0, 2.0]), tf.constant(np.pi / 2, tf.float32)).numpy()
    assert quarter @ [1, 0, 0] == pytest.approx([0, 1, 0], abs=1e-6)
    assert quarter @ [0, 1, 0] == pytest.approx([-1, 0, 0], abs=1e-6)
    assert quarter @ [0, 0, 1] == pytest.approx([0, 0, 1], abs=1e-6)


def test_channels_of_three_axes_are_found_by_their_names():
    assert triples(CHANNELS) == [(0, 1, 2)]
    assert triples(("gyroZ", "accX", "accZ", "gyroX", "accY", "gyroY")) == [(1, 4, 2), (3, 5, 0)]
    assert triples(("x", "y", "z")) == [(0, 1, 2)]
    assert triples(("max", "may", "light_x", "light_y")) == []


def test_a_warp_keeps_the_ends_and_goes_forwards():
    ramp = np.arange(100, dtype=np.float32)[:, None]
    found = warped(tf.constant(ramp), tf.constant([0.9, 0.1, 0.5, 0.7]), reach=0.5, shift=tf.constant(0.0)).numpy()
    assert found[0, 0] == 0 and found[-1, 0] == pytest.approx(99, abs=1e-3)
    # The speed of each place is between those of the knots around it, relative to the mean speed.
    speed = np.diff(found[:, 0])
    assert (speed > 0).all() and speed[0] / speed[33] == pytest.approx(1.4 / 0.6, rel=0.05)


def test_a_shift_repeats_the_edge():
    ramp = np.arange(10, dtype=np.float32)[:, None]
    found = warped(tf.constant(ramp), tf.constant([0.5] * 4), reach=0.0, shift=tf.constant(0.2)).numpy()[:, 0]
    assert found == pytest.approx([2, 3, 4, 5, 6, 7, 8, 9, 9, 9], abs=1e-4)
