"""Batches of augmented clips, determined by seed and epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Union

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.training.augment import Augmenter
from bnn_exit.training.augment_values import ValuesAugmenter
from bnn_exit.training.background import Background
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.mixing import mix_clips

AnyAugmenter = Union[Augmenter, ValuesAugmenter]

_WORKERS = os.cpu_count() or 1
"""Clips that are made at once."""


class Batches:
    """Shuffled batches of a training split; the clips that do not fill the last batch wait for another epoch.

    Args:
        log_mel: `[clips, frames, mels]`, or values `[windows, samples, channels]`; may be memory-mapped: clips are read
            as they are needed.
        labels: int `[clips]`.
        input_shape: of one network input; None: `[frames, mels, 1]`.
        classes: how many there are.
        augmenter: changes each clip.
        batch_size: clips a batch.
        seed: of the order.
        mix_probability: share of clips that are mixed with another one of the batch (of its part, on a replica).
        distribution: splits a batch among replicas.
        background: reads the clips where some are cut from long recordings.
        clips: numbers of the clips that an epoch has; None: all.

    Attributes:
        changes: identifies the augmentation: `Augmenter.identity`.
    """

    def __init__(
        self,
        log_mel: np.ndarray,
        labels: np.ndarray,
        *,
        input_shape: Sequence[int] | None = None,
        classes: int,
        augmenter: AnyAugmenter,
        batch_size: int,
        seed: int,
        mix_probability: float,
        distribution: Distribution,
        background: Background | None = None,
        clips: np.ndarray | None = None,
    ) -> None:
        self._labels = np.eye(classes, dtype=np.float32)[labels]
        self._clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
        self._batch_size, self._seed, self._mix_probability = batch_size, seed, mix_probability
        self._distribution, self.changes = distribution, augmenter.identity
        shape = log_mel.shape[1:]
        wanted = (*shape, 1) if input_shape is None else tuple(input_shape)

        @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int64)])
        def load(clip: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
            # stateful=False lets tf.data run it in parallel when results must be repeatable.
            if background is None:
                features = tf.numpy_function(
                    lambda index: np.asarray(log_mel[index], np.float32), [clip], tf.float32, stateful=False
                )
                return tf.reshape(augmenter(tf.ensure_shape(features, shape), clip, view), wanted)
            features, behind, level = tf.numpy_function(
                lambda index, number: (background.clip(index, number), *background.behind(index, number)),
                [clip, view],
                (tf.float32, tf.float32, tf.float32),
                stateful=False,
            )
            sound = tf.ensure_shape(behind, shape), tf.ensure_shape(level, [])
            return tf.reshape(augmenter(tf.ensure_shape(features, shape), clip, view, sound), wanted)

        self._load = load

    def __len__(self) -> int:
        """Clips of the split."""
        return len(self._labels)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self._clips) // self._batch_size

    def epoch(
        self, number: int, *, view: int | None = None, targets: np.ndarray | None = None
    ) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """Network inputs `[batch, *input_shape]`, labels `[batch, classes]` and targets `[batch, ...]` of an epoch.

        Labels are the share of each class: 1 for one of them, unless clips are mixed.

        Args:
            number: of the epoch, from 0; decides the order.
            view: decides how clips are changed; None means `number`.
            targets: values `[clips, ...]` that go with each clip; None gives `[batch, 0]`.
        """
        order = np.random.default_rng([self._seed, number]).permutation(self._clips).astype(np.int32)
        values = np.zeros((len(self._labels), 0), np.float32) if targets is None else targets
        chosen = number if view is None else view

        def dataset(order: np.ndarray, batch_size: int) -> tf.data.Dataset:
            clips = tf.data.Dataset.from_tensor_slices((order, self._labels[order], values[order]))
            clips = clips.map(
                lambda clip, label, value: (self._load(clip, chosen), label, value), num_parallel_calls=_WORKERS
            )
            batches = clips.batch(batch_size, drop_remainder=True)
            if self._mix_probability:
                batches = batches.enumerate().map(lambda index, batch: self._mix(number, index, *batch))
            return _made_ahead(batches, 4)

        return self._distribution.epoch(dataset, order, self._batch_size)

    def _mix(self, number: int, index: tf.Tensor, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        key = tf.random.experimental.stateless_fold_in(tf.constant([self._seed, number], tf.int64), index)
        return mix_clips(*batch, probability=self._mix_probability, key=key)

    def view(self, number: int, *, batch_size: int = 128) -> Iterator[tf.Tensor]:
        """Every clip once, in order, changed as in view `number`: network inputs `[batch, *input_shape]`."""
        clips = tf.data.Dataset.range(len(self._labels), output_type=tf.int32)
        clips = clips.map(lambda clip: self._load(clip, number), num_parallel_calls=_WORKERS)
        return iter(_made_ahead(clips.batch(batch_size), 2))


def _made_ahead(batches: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """The batches, `count` of them made ahead.

    Without autotuning: its thread sleeps for up to a minute between two looks, and the end of an epoch waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(count).with_options(options)
