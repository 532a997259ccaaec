"""A Keras model from log-mel to the logits of one or more exits."""

from __future__ import annotations

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.models.level import LevelNormalisation
from bnn_exit.models.standardise import Standardise


class Network:
    """A classifier of log-mel clips, or of windows of values.

    Args:
        keras_model: log-mel `[batch, frames, mels, 1]`, or values `[batch, samples, 1, channels]`, to logits
            `[batch, classes]` of every exit, in order of depth.

    Attributes:
        keras_model: as given.
    """

    def __init__(self, keras_model: keras.Model) -> None:
        self.keras_model = keras_model

    @property
    def num_exits(self) -> int:
        """Number of exits, the last included."""
        return len(self.keras_model.outputs)

    @property
    def num_classes(self) -> int:
        """Number of classes of every exit."""
        return int(self.keras_model.outputs[0].shape[-1])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(frames, mels, 1), or of values (samples, 1, channels).

        A network that was made elsewhere may have more channels, and cannot be exported then.
        """
        return tuple(self.keras_model.inputs[0].shape[1:])

    def adapt(self, log_mel: np.ndarray) -> None:
        """Fit the level and the standardisation, where there are such layers, to the training split.

        Layers that are frozen keep what they have: the layers behind them were trained with it.

        Args:
            log_mel: `[clips, frames, mels]`, or values `[windows, samples, channels]`.
        """
        (level,) = self._layers(LevelNormalisation) or (None,)
        if level and level.trainable:
            level.adapt(log_mel)
        for layer in self._layers(Standardise):
            if layer.trainable:
                layer.adapt(log_mel, before=level)

    def round_for_file(self) -> None:
        """Round what a file holds in less than 32 bits; a network that becomes no file keeps its weights."""

    @property
    def normalises_level(self) -> bool:
        """Whether the network itself brings every clip to one level."""
        return bool(self._layers(LevelNormalisation))

    @property
    def standardises(self) -> bool:
        """Whether log-mel is standardised by the network itself, with statistics of the training split."""
        return bool(self._layers(Standardise))

    def _layers(self, kind: type[keras.layers.Layer]) -> list[keras.layers.Layer]:
        return [layer for layer in self.keras_model._flatten_layers() if isinstance(layer, kind)]

    def logits(self, log_mel: np.ndarray, *, batch_size: int = 128) -> np.ndarray:
        """Logits `[clips, exits, classes]` of log-mel clips `[clips, frames, mels]`.

        Values are `[windows, samples, channels]`. A network of another kind takes `[clips, height, width, channels]`.
        """
        if log_mel.ndim == 3:
            log_mel = log_mel.reshape(-1, *self.input_shape)
        if not hasattr(self, "_forward"):
            # Under tf.distribute all replicas give the same outputs; the first is used. Otherwise there is only one.
            strategy = self.keras_model.distribute_strategy

            def forward(batch: tf.Tensor) -> tf.Tensor:
                return tf.stack(self.exit_logits(batch, training=False), axis=1)

            # One graph for batches of every size: making one takes longer than running it.
            self._forward = tf.function(
                lambda batch: strategy.experimental_local_results(strategy.run(forward, (batch,)))[0],
                input_signature=[tf.TensorSpec(self.keras_model.input_shape, tf.float32)],
            )
        parts = [
            self._forward(tf.constant(log_mel[start : start + batch_size], tf.float32)).numpy()
            for start in range(0, len(log_mel), batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.num_exits, self.num_classes), np.float32)

    def accuracy(self, log_mel: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Accuracy of each exit, float64 `[exits]` in [0, 1].

        Args:
            log_mel: `[clips, frames, mels]`.
            labels: int `[clips]`.
        """
        return (self.logits(log_mel).argmax(axis=-1) == np.asarray(labels)[:, None]).mean(axis=0)

    def exit_logits(self, batch: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
        """Logits `[batch, classes]` of every exit."""
        found = self.keras_model(batch, training=training)
        return found if isinstance(found, list) else [found]
