"""Mixing: training examples of two clips at once, with mixed labels."""

from __future__ import annotations

from bnn_exit._keras import tf


def mix_clips(
    log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, *, probability: float, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Some clips of a batch joined by the one before (between-class learning, Tokozume et al. 2018, section 3).

    Both are brought to one level, then a clip keeps the share r of its amplitude, drawn from [0, 1], and its neighbour
    gets 1 - r; powers of independent sounds add up. Labels and soft labels of a teacher are mixed in r : 1 - r.

    Args:
        log_mel: `[batch, frames, mels, 1]`.
        labels: share of each class, `[batch, classes]`.
        targets: `[batch, ...]`, outputs of the teacher, or `[batch, 0]`.
        probability: share of clips that are joined, from 0 to 1.
        key: int64 `[2]`, seed of all random numbers.

    Returns:
        The same three, mixed.
    """
    clips = tf.shape(log_mel)[0]
    chance = tf.random.stateless_uniform([2, clips], key)
    share = tf.where(chance[0] < probability, chance[1], 1.0)
    level = tf.reduce_logsumexp(log_mel, axis=[1, 2, 3], keepdims=True)
    neighbour = tf.roll(log_mel - level, 1, axis=0) + level
    # A share of 0 has the logarithm of minus infinity, which adds nothing.
    own, other = _log_gain(share), _log_gain(1 - share)
    mixed = tf.reduce_logsumexp(tf.stack([log_mel + own, neighbour + other]), axis=0)
    return mixed, _between(labels, share), _between(targets, share)


def _log_gain(share: tf.Tensor) -> tf.Tensor:
    """Change of log power, in nats, when an amplitude is scaled: `[batch, 1, 1, 1]`."""
    return 2 * tf.math.log(share)[:, None, None, None]


def _between(values: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    share = tf.reshape(share, tf.concat([tf.shape(share), tf.ones([tf.rank(values) - 1], tf.int32)], axis=0))
    return share * values + (1 - share) * tf.roll(values, 1, axis=0)
