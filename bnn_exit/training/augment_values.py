"""Random changes of a training window of values, in the graph and stateless: a function of seed, epoch and window."""

from __future__ import annotations

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.settings.augment_values import ValuesAugmentConfig

_KNOTS = 4
"""Places at which the speed of a window is drawn; between them it is linear."""
_SAMPLE = 4096
"""Windows that the spread of the channels is taken of."""


class ValuesAugmenter:
    """Changes windows `[samples, channels]` at random.

    Args:
        config: how much.
        channels: their names, by which those of three axes are found.
        windows: `[windows, samples, channels]` of the training split, for the spread of each channel.
        seed: of the whole run.

    Attributes:
        identity: determines the changes: where it is equal, windows are changed alike.
    """

    def __init__(
        self, config: ValuesAugmentConfig, *, channels: tuple[str, ...], windows: np.ndarray, seed: int = 0
    ) -> None:
        self._config, self._seed = config, seed
        self.identity = f"{config} {channels} seed={seed}"
        some = np.asarray(windows[:: max(1, len(windows) // _SAMPLE)], np.float64)
        self._spread = tf.constant(some.std(axis=(0, 1)), tf.float32)
        self._triples = triples(channels)

    def __call__(self, values: tf.Tensor, clip: tf.Tensor, epoch: tf.Tensor, background: object = None) -> tf.Tensor:
        """A changed copy of `values` `[samples, channels]`; `clip` (its index) and `epoch` are int scalars."""
        config, count = self._config, len(self._spread)
        # This is the only random draw, so the changes depend on (seed, epoch, window) alone.
        key = tf.random.experimental.stateless_fold_in(
            tf.stack([tf.cast(self._seed, tf.int64), tf.cast(epoch, tf.int64)]), tf.cast(clip, tf.int64)
        )
        keys = [tf.random.experimental.stateless_fold_in(key, number) for number in range(4)]
        if config.time_warp or config.shift:
            chance = tf.random.stateless_uniform([_KNOTS + 1], keys[0])
            values = warped(values, chance[:_KNOTS], reach=config.time_warp, shift=(2 * chance[-1] - 1) * config.shift)
        if config.rotation_deg and self._triples:
            drawn = tf.random.stateless_normal([3], keys[1])
            angle = tf.random.stateless_uniform([], keys[1], -1, 1) * np.radians(config.rotation_deg)
            values = tf.matmul(values, self._turned(rotation(drawn, angle)))
        if config.scaling:
            values *= 1 + config.scaling * tf.random.stateless_uniform([count], keys[2], -1, 1)
        if config.jitter:
            values += config.jitter * self._spread * tf.random.stateless_normal(tf.shape(values), keys[3])
        return values

    def _turned(self, turn: tf.Tensor) -> tf.Tensor:
        """`[channels, channels]`: the rotation of each three axes, and the identity for all other channels."""
        count = len(self._spread)
        places = [(row, column) for axes in self._triples for row in axes for column in axes]
        held = np.eye(count, dtype=np.float32)
        for axes in self._triples:
            held[list(axes), list(axes)] = 0
        # Values are rows, so the rotation is transposed.
        parts = tf.tile(tf.reshape(tf.transpose(turn), [-1]), [len(self._triples)])
        return tf.tensor_scatter_nd_add(tf.constant(held), places, parts)


def triples(channels: tuple[str, ...]) -> list[tuple[int, int, int]]:
    """The channels of each three axes: names that are alike but for an x, y and z at their end or beginning.

    Example:
        >>> triples(("acc_x", "acc_y", "acc_z", "light"))
        [(0, 1, 2)]
    """
    index = {name.lower(): number for number, name in enumerate(channels)}
    found = []
    for name in index:
        of_end, of_beginning = [name[:-1] + axis for axis in "xyz"], [axis + name[1:] for axis in "xyz"]
        for axes in (of_end, of_beginning):
            if name == axes[0] and all(axis in index for axis in axes):
                found.append((index[axes[0]], index[axes[1]], index[axes[2]]))
                break
    return found


def rotation(axis: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """The 3 x 3 matrix that turns column vectors about `axis` `[3]`, of any length above 0, by `angle` in radians."""
    x, y, z = tf.unstack(axis / tf.maximum(tf.norm(axis), 1e-12))
    cross = tf.reshape(tf.stack([0.0, -z, y, z, 0.0, -x, -y, x, 0.0]), [3, 3])
    # Rodrigues' formula.
    return tf.eye(3) + tf.sin(angle) * cross + (1 - tf.cos(angle)) * tf.matmul(cross, cross)


def warped(values: tf.Tensor, chance: tf.Tensor, *, reach: float, shift: tf.Tensor) -> tf.Tensor:
    """`values` `[samples, channels]` at a speed that changes from place to place.

    Args:
        values: the window.
        chance: `[knots]` in [0, 1): 1 - reach to 1 + reach times the speed, at evenly spaced places.
        reach: largest relative change of speed; the window keeps its ends.
        shift: in lengths of the window; the edge is repeated.
    """
    length = values.shape[0]
    speeds = 1 + reach * (2 * chance - 1)
    place = tf.linspace(0.0, 1.0, length) * (len(chance) - 1)
    before = tf.clip_by_value(tf.cast(place, tf.int32), 0, len(chance) - 2)
    share = place - tf.cast(before, tf.float32)
    speed = (1 - share) * tf.gather(speeds, before) + share * tf.gather(speeds, before + 1)
    passed = tf.cumsum(speed, exclusive=True)
    place = passed / passed[-1] * (length - 1) + shift * length
    place = tf.clip_by_value(place, 0.0, float(length - 1))
    before = tf.clip_by_value(tf.cast(place, tf.int32), 0, length - 2)
    share = (place - tf.cast(before, tf.float32))[:, None]
    return (1 - share) * tf.gather(values, before) + share * tf.gather(values, before + 1)
