"""The early view of T-RecX: what the last head shares with the first, against overthinking."""

from __future__ import annotations

from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.heads import EARLY_VIEW_CLONE, EARLY_VIEW_SOURCE
from bnn_exit.models.multi_exit import MultiExitModel


def early_view_pairs(network: MultiExitModel) -> list[tuple[tf.Variable, tf.Variable]]:
    """The depthwise kernel of the first exit and its clone in the last head, of one shape.

    T-RecX (Ghanathe and Wilton 2023, EV-assist) overwrites the clone with the kernel in the first four fifths of a
    training, so that the last exit sees what made the first one right, and then lets it learn on its own.

    Args:
        network: with the head "early_view" and its last exit.

    Returns:
        [(source, clone)], each float32 `[3, 3, channels, 1]`.

    Raises:
        ArgumentError: the network has another head, or an exit subset without the two that belong together.

    Example:
        >>> for source, clone in early_view_pairs(network):
        ...     clone.assign(source)
    """
    first, last = ({layer.name: layer for layer in head.layers} for head in (network.heads[0], network.heads[-1]))
    if EARLY_VIEW_SOURCE in first and EARLY_VIEW_CLONE in last:
        source, clone = first[EARLY_VIEW_SOURCE].depthwise_kernel, last[EARLY_VIEW_CLONE].depthwise_kernel
        if source.shape == clone.shape:
            return [(source, clone)]
    head = repr(network.config.head) if network.config else "unknown"
    raise ArgumentError(
        f"the network has no early view: its head is {head}, but must be 'early_view', with the first and the last exit"
    )
