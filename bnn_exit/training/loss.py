"""The loss of the labels."""

from __future__ import annotations

from bnn_exit._keras import tf


def joint_loss(
    logits: list[tf.Tensor], labels: tf.Tensor, *, weights: list[float], label_smoothing: float
) -> tf.Tensor:
    """Weighted sum over exits of the cross entropy with smoothed labels (Teerapittayanon et al. 2016, section III).

    Args:
        logits: for each exit, `[batch, classes]`.
        labels: share of each class, `[batch, classes]`.
        weights: of each exit.
        label_smoothing: share of each label that is spread over all classes.
    """
    classes = logits[0].shape[-1]
    target = labels * (1 - label_smoothing) + label_smoothing / classes
    losses = [tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, exit_logits)) for exit_logits in logits]
    return tf.add_n([weight * loss for weight, loss in zip(weights, losses, strict=True)])
