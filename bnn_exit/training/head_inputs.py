"""What heads read behind all that has no weights, computed once for a training that changes heads alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.models.multi_exit import MultiExitModel

_LARGEST = float(np.finfo(np.float16).max)


class HeadInputs:
    """The heads of a network but the last, cut where their first weights are.

    A head begins with layers that a training does not change, such as ReLU and an average over a grid, and what leaves
    them is often a hundredth of the features of the stage.

    Args:
        model: with two exits or more, of which no head reads the logits of another.

    Attributes:
        heads: the rest of each head but the last, from its first weights on, sharing them with `model`.
    """

    def __init__(self, model: MultiExitModel) -> None:
        cut = [_cut(head) for head in model.heads[:-1]]
        self.heads = [rest for _, rest in cut]
        read = [before(features) for (before, _), features in zip(cut, model.features)]
        network = model.keras_model
        self._reader = keras.Model(network.input, [*read, network.outputs[-1]])
        self._read = tf.function(lambda batch: self._reader(batch, training=False))

    @property
    def bytes_of_clip(self) -> int:
        """What `of` gives for one clip."""
        *read, last = (math.prod(output.shape[1:]) for output in self._reader.outputs)
        return 2 * sum(read) + 4 * last

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Of these heads, without those of batch normalisation, whose statistics a training of heads does not have."""
        layers = [layer for head in self.heads for layer in head._flatten_layers()]
        normalisation = {
            id(weight)
            for layer in layers
            if isinstance(layer, keras.layers.BatchNormalization)
            for weight in layer.weights
        }
        return [weight for head in self.heads for weight in head.trainable_weights if id(weight) not in normalisation]

    def of(self, parts: Iterable[np.ndarray | Iterable[tf.Tensor]], *, batch_size: int = 128) -> list[np.ndarray]:
        """What each head reads, float16 `[clips, ...]`, and the logits of the last exit, float32 `[clips, classes]`.

        Half precision lets twice as many clips fit into memory, and is finer than their changes.

        Args:
            parts: each log-mel `[clips, frames, mels]`, or batches `[batch, frames, mels, 1]`.
            batch_size: clips of an array that are computed at once.
        """
        found = [_in_half(self._read(batch)) for part in parts for batch in _batches(part, batch_size)]
        return [np.concatenate(each) for each in zip(*found, strict=True)]


def _in_half(outputs: Sequence[tf.Tensor]) -> list[np.ndarray]:
    """Arrays; all but the last of them float16."""
    *read, last = (each.numpy() for each in outputs)
    return [*(np.clip(each, -_LARGEST, _LARGEST).astype(np.float16) for each in read), last]


def _batches(part: np.ndarray | Iterable[tf.Tensor], size: int) -> Iterable[tf.Tensor]:
    if not isinstance(part, np.ndarray):
        return part
    return (tf.constant(part[start : start + size, ..., None], tf.float32) for start in range(0, len(part), size))


def _cut(head: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The layers before the first weights and the rest; a head that is no chain up to there is not cut."""
    first = next((layer for layer in head.layers if layer.weights), None)
    if first is not None and not isinstance(first.input, (list, tuple)):
        try:
            return keras.Model(head.input, first.input), keras.Model(first.input, head.output)
        except ValueError:  # something else reads what comes before
            pass
    identity = keras.Input(head.input.shape[1:])
    return keras.Model(identity, tf.identity(identity)), head
