"""The losses of logits: against labels, and against other logits."""

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
    losses = [
        tf.reduce_mean(label_losses(exit_logits, labels, label_smoothing=label_smoothing)) for exit_logits in logits
    ]
    return tf.add_n([weight * loss for weight, loss in zip(weights, losses, strict=True)])


def label_losses(logits: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float) -> tf.Tensor:
    """Cross entropy `[batch]` of `[batch, classes]` with smoothed labels; arguments as of `joint_loss`."""
    target = labels * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
    return tf.nn.softmax_cross_entropy_with_logits(target, logits)


def soft_label_losses(student: tf.Tensor, teacher: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) of each clip, `[batch]` (Hinton et al. 2015, section 2).

    T^2 keeps the gradients of the same size whatever the temperature.

    Args:
        student, teacher: logits `[batch, classes]`. No gradient goes to the teacher.
        temperature: T, above 0; higher gives unlikely classes more weight.
    """
    target = tf.nn.log_softmax(tf.stop_gradient(teacher) / temperature)
    found = tf.nn.log_softmax(student / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(target) * (target - found), axis=-1)
