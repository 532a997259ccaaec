import numpy as np

from bnn_exit._keras import tf
from bnn_exit.training.mixing import mix_clips

KEY = tf.constant([1, 2], tf.int64)


def batch(clips=64, seed=0):
    rng = np.random.default_rng(seed)
    log_mel = rng.normal(0, 2, (clips, 6, 5, 1)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, clips)]
    return log_mel, labels, rng.normal(size=(clips, 4)).astype(np.float32)


def test_labels_and_targets_are_mixed_by_the_same_share_as_the_powers():
    log_mel, labels, targets = batch()
    mixed, mixed_labels, mixed_targets = (
        x.numpy() for x in mix_clips(log_mel, labels, targets, probability=1, key=KEY)
    )
    # The share of each clip, from the targets, which are mixed linearly.
    share = ((mixed_targets - np.roll(targets, 1, 0)) / (targets - np.roll(targets, 1, 0))).mean(1)
    assert 0 < share.min() < 0.1
    assert 0.9 < share.max() < 1
    column = share[:, None]
    np.testing.assert_allclose(mixed_labels, column * labels + (1 - column) * np.roll(labels, 1, 0), atol=1e-5)
    power = np.exp(log_mel.astype(np.float64))
    total = power.sum((1, 2, 3), keepdims=True)
    neighbour = np.roll(power / total, 1, 0) * total
    share = share[:, None, None, None]
    np.testing.assert_allclose(np.exp(mixed), share**2 * power + (1 - share) ** 2 * neighbour, rtol=1e-3)


def test_a_clip_that_is_not_chosen_stays_as_it_is():
    log_mel, labels, targets = batch(clips=400)
    mixed, mixed_labels, _ = mix_clips(log_mel, labels, targets, probability=0.25, key=KEY)
    same = np.isclose(mixed.numpy(), log_mel, rtol=1e-5, atol=1e-5).all((1, 2, 3))
    assert 0.65 < same.mean() < 0.85
    np.testing.assert_array_equal(mixed_labels.numpy()[same], labels[same])


def test_the_same_key_mixes_alike_and_another_one_otherwise():
    first, again, other = (
        mix_clips(*batch(), probability=1.0, key=key)[0].numpy()
        for key in (KEY, KEY, KEY + tf.constant([0, 1], tf.int64))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_nothing_is_nan_where_there_are_no_targets():
    log_mel, labels, _ = batch()
    mixed, _, targets = mix_clips(log_mel, labels, np.zeros((64, 0), np.float32), probability=0.5, key=KEY)
    assert np.isfinite(mixed.numpy()).all()
    assert targets.shape == (64, 0)
