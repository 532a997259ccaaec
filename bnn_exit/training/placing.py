"""Where a word lies in its window: anywhere, as long as it is whole."""

from __future__ import annotations

from bnn_exit._keras import tf


def place(log_mel: tf.Tensor, extent: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """The clip moved in time, so that its word lies at a random place of those at which it is whole.

    Frames that come in are those beside the word, run through backwards and forwards: they sound like the rest of the
    recording, where silence would begin and end with a step.

    Args:
        log_mel: `[frames, mels]`.
        extent: int `[2]`, first frame of the word and the one after its last.
        chance: uniform from 0 to 1.
    """
    frames = log_mel.shape[0]
    start, end = extent[0], extent[1]
    # Frames by which it can move to the left, and to either side together.
    room = start + frames - end
    moved = tf.cast(chance * tf.cast(room + 1, tf.float32), tf.int32) - start
    index = tf.range(frames) - moved
    before = _to_and_fro(-1 - index, tf.maximum(start, 1))
    after = frames - 1 - _to_and_fro(index - frames, tf.maximum(frames - end, 1))
    return tf.gather(log_mel, tf.where(index < 0, before, tf.where(index < frames, index, after)))


def _to_and_fro(place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Indices 0, 1, ..., size - 1, size - 1, ..., 1, 0, 0, 1, ... at these places from 0 on."""
    place = tf.math.floormod(place, 2 * size)
    return tf.minimum(place, 2 * size - 1 - place)


def stretched(extent: tf.Tensor, chance: tf.Tensor, *, frames: int, reach: float) -> tf.Tensor:
    """The extent of a word after a change of tempo about the middle of the clip, as the augmentation makes it.

    Args:
        extent: int `[2]`, as in `place`.
        chance: uniform from 0 to 1, what the change of tempo was drawn by.
        frames: of the clip.
        reach: largest relative change of tempo.
    """
    if not reach:
        return extent
    middle = (frames - 1) / 2
    rate = 1 + (2 * chance - 1) * reach
    ends = tf.cast(extent, tf.float32) - tf.constant([0.0, 1.0])
    moved = tf.clip_by_value(middle + (ends - middle) / rate, 0.0, frames - 1.0)
    whole = tf.stack([tf.cast(tf.floor(moved[0]), tf.int32), tf.cast(tf.math.ceil(moved[1]), tf.int32) + 1])
    # A clip without an extent has none after it either.
    return tf.where(extent[1] - extent[0] == frames, extent, tf.minimum(whole, frames))
