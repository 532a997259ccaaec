"""Losses between pairs of layers of a student and its teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from bnn_exit._keras import keras, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.distillation import DistillConfig, Pair
from distill.losses import attention_loss, feature_loss
from distill.recording import layer_called, recording


class Matching:
    """The loss of every pair in `config.features` and `config.attention`.

    Where the maps of a pair differ in time or frequency, the larger is averaged to the size of the smaller. Where
    features are compared and channels differ, the student's go through a 1x1 convolution first, which is trained with
    the student and not part of it.

    Args:
        student, teacher: networks of the same log-mel clips `[batch, frames, mels, 1]`; the teacher's input may lack
            the last axis.
        config: the pairs.
        seed: of the 1x1 convolutions.
        built: whether the teacher was built here, as the student was; else its layers have the names in its file.

    Attributes:
        variables: kernels of the 1x1 convolutions, `[channels of the student, channels of the teacher]`.

    Raises:
        ArgumentError: a layer that is not there, or maps that do not fit each other.
    """

    def __init__(
        self, student: keras.Model, teacher: keras.Model, *, config: DistillConfig, seed: int, built: bool = True
    ) -> None:
        self._student, self._teacher = student, teacher
        kinds = [("features", pair) for pair in config.features] + [("attention", pair) for pair in config.attention]
        self._student_layers = {
            pair.student: layer_called(student, pair.student, what=f"student of a pair in {kind}", built=True)
            for kind, pair in kinds
        }
        self._teacher_layers = {
            pair.teacher: layer_called(teacher, pair.teacher, what=f"teacher of a pair in {kind}", built=built)
            for kind, pair in kinds
        }
        clip = tf.zeros([1, *student.input_shape[1:]])
        with self.recording() as features:
            student(clip, training=False)
        outputs = self._teacher_features(clip)
        self.variables: list[tf.Variable] = []
        self._pairs = [
            self._compared(kind, pair, features[pair.student].shape, outputs[pair.teacher].shape, seed=seed + index)
            for index, (kind, pair) in enumerate(kinds)
        ]

    def recording(self) -> contextlib.AbstractContextManager[dict[str, tf.Tensor]]:
        """While it is open, the features of the student's layers are put into the dict that it yields."""
        return recording(self._student_layers)

    def __call__(self, features: dict[str, tf.Tensor], log_mel: tf.Tensor) -> tf.Tensor:
        """The weighted sum over pairs, a scalar.

        Args:
            features: what `recording` gave while the student ran on `log_mel`.
            log_mel: `[batch, frames, mels, 1]`.
        """
        outputs = self._teacher_features(log_mel)
        left = dict(features)
        losses = []
        for compared in self._pairs:
            # Two readers at most for each tensor: gradients are then added two by two, in an order that never changes.
            own = left[compared.pair.student]
            left[compared.pair.student] = tf.identity(own)
            losses.append(compared.pair.weight * compared(own, outputs[compared.pair.teacher]))
        return tf.add_n(losses)

    def _teacher_features(self, log_mel: tf.Tensor) -> dict[str, tf.Tensor]:
        with recording(self._teacher_layers) as features:
            self._teacher(tf.reshape(log_mel, (-1, *self._teacher.input_shape[1:])), training=False)
        return {name: tf.stop_gradient(value) for name, value in features.items()}

    def _compared(self, kind: str, pair: Pair, student: tf.TensorShape, teacher: tf.TensorShape, *, seed: int) -> _Pair:
        what = f"{kind}: {pair.student!r} of the student gives {_shown(student)}, "
        what += f"{pair.teacher!r} of the teacher {_shown(teacher)}"
        if len(student) != 4 or len(teacher) != 4:
            raise ArgumentError(f"{what}, but both must give maps of time x frequency x channels: name other layers")
        own, other = _times_larger(student, teacher), _times_larger(teacher, student)
        if _averaged_size(student, own) != _averaged_size(teacher, other):
            raise ArgumentError(f"{what}, but one must be a whole multiple of the other: name layers of like size")
        kernel = None
        if kind == "features" and student[-1] != teacher[-1]:
            start = keras.initializers.GlorotUniform(seed=seed)((student[-1], teacher[-1]))
            kernel = tf.Variable(start, name=f"match_{pair.student}_{pair.teacher}")
            self.variables.append(kernel)
        return _Pair(pair, feature_loss if kind == "features" else attention_loss, own, other, kernel)


@dataclass(frozen=True)
class _Pair:
    """One pair and how its maps are made alike: sizes to average over, and the kernel of a 1x1 convolution."""

    pair: Pair
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    student_pool: tuple[int, int]
    teacher_pool: tuple[int, int]
    kernel: tf.Variable | None

    def __call__(self, student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        student, teacher = _averaged(student, self.student_pool), _averaged(teacher, self.teacher_pool)
        if self.kernel is not None:
            student = tf.nn.conv2d(student, self.kernel[None, None], strides=1, padding="SAME")
        return self.loss(student, teacher)


def _times_larger(one: tf.TensorShape, other: tf.TensorShape) -> tuple[int, int]:
    """How many times the map of `one` is larger in (time, frequency), at least 1; what it is then averaged over."""
    return -(-one[1] // other[1]), -(-one[2] // other[2])


def _averaged_size(shape: tf.TensorShape, pool: tuple[int, int]) -> tuple[int, int]:
    return -(-shape[1] // pool[0]), -(-shape[2] // pool[1])


def _averaged(features: tf.Tensor, pool: tuple[int, int]) -> tf.Tensor:
    return features if pool == (1, 1) else tf.nn.avg_pool2d(features, pool, strides=pool, padding="SAME")


def _shown(shape: tf.TensorShape) -> str:
    return " x ".join(str(size) for size in shape[1:]) or "one value"
