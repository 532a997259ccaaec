"""The loss of exits that learn from the last exit alone, without labels."""

from __future__ import annotations

from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.training.loss import soft_label_losses


def agreement_loss(logits: list[tf.Tensor], *, temperature: float) -> tf.Tensor:
    """How far the early exits are from the last one: 0 where all give its probabilities.

    T^2 times the mean over the early exits of KL(softmax(last / T) || softmax(exit / T)), averaged over the batch. T^2
    keeps the gradients of the same size whatever the temperature. No gradient reaches the last exit. (Automated layer
    caching: Abedi et al. 2022, "Improving the Performance of DNN-based Software Services using Automated Layer
    Caching", arXiv 2209.08625, which takes T = 1.)

    Args:
        logits: of each exit, `[batch, classes]`, in order of depth.
        temperature: T, above 0; higher gives unlikely classes more weight.

    Returns:
        A float scalar.

    Raises:
        ArgumentError: fewer than two exits, or a temperature that is not above 0.

    Example:
        >>> agreement_loss([tf.constant([[0.0, 0.0]]), tf.constant([[0.0, 0.0]])], temperature=1.0).numpy()
        0.0
    """
    if len(logits) < 2:
        raise ArgumentError(f"logits are of {len(logits)} exit, but an early exit and the last are needed")
    if not temperature > 0:
        raise ArgumentError(f"temperature is {temperature!r}, but must be above 0")
    *early, last = logits
    apart = [tf.reduce_mean(soft_label_losses(logits, last, temperature=temperature)) for logits in early]
    return tf.add_n(apart) / len(apart)
