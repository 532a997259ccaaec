"""The losses against a teacher: soft labels, embeddings, features and attention."""

from __future__ import annotations

from bnn_exit._keras import tf
from bnn_exit.training.loss import soft_label_losses


def soft_label_loss(student: tf.Tensor, teacher: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """The mean over the batch of `bnn_exit.training.loss.soft_label_losses`."""
    return tf.reduce_mean(soft_label_losses(student, teacher, temperature=temperature))


def embedding_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean squared error of `[batch, size]` embeddings (BRILLsson, Lee and Saeed 2022)."""
    return tf.reduce_mean(tf.square(student - tf.stop_gradient(teacher)))


def feature_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean squared error of features `[batch, time, frequency, channels]`, each scaled to unit variance by the batch.

    Features of two networks have no common scale; what is compared is their pattern.
    """
    return tf.reduce_mean(tf.square(_standardised(student) - _standardised(tf.stop_gradient(teacher))))


def attention_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Squared distance of attention maps: the energy of each position in time and frequency, at unit norm for each
    clip.

    Channels need not agree (Zagoruyko and Komodakis 2017, section 3.1; Martinez et al. 2020, section 4.2).

    Args:
        student, teacher: `[batch, time, frequency, channels]` with the same time and frequency.
    """
    difference = attention(student) - attention(tf.stop_gradient(teacher))
    return tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=-1))


def attention(features: tf.Tensor) -> tf.Tensor:
    """`[batch, time * frequency]` with norm 1: the sum over channels of the squares."""
    energy = tf.reduce_sum(tf.square(features), axis=-1)
    return tf.math.l2_normalize(tf.reshape(energy, (-1, energy.shape[1] * energy.shape[2])), axis=-1)


def _standardised(features: tf.Tensor) -> tf.Tensor:
    centred = features - tf.reduce_mean(features, axis=[0, 1, 2])
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=[0, 1, 2]) + 1e-5)
