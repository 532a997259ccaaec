"""The policies of `bnn_exit.policies` in the graph: probabilities and score of an exit.

Each is written once more with TensorFlow, for one clip, in a function that `Policy.twin` names: of probabilities for an
`Uncertainty`, of the arguments of `exit_output` for the others. The tests hold both forms together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from bnn_exit._keras import larq, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import Policy
from bnn_exit.policies.class_means import ClassMeans, ClassMeans1Bit
from bnn_exit.policies.commitment import Commitment
from bnn_exit.policies.ensemble import Ensemble
from bnn_exit.policies.patience import Patience
from bnn_exit.policies.rejection import Rejection
from bnn_exit.policies.skip_gate import SkipGate
from bnn_exit.policies.temperature import Scaled
from bnn_exit.policies.uncertainty import Uncertainty

_SMALLEST = 1.1754944e-38
"""The smallest normal float32 keeps a logarithm finite; p ln p is then 0 to within rounding where p is 0."""


@dataclasses.dataclass(frozen=True)
class ExitOutput:
    """The output of an exit in the graph.

    Attributes:
        probabilities: makes them, `[1, classes]`. Where the score does not need them, only a clip that leaves here
            computes them.
        score: `[1]`.
        memory: state that the policy passes on to deeper exits.
    """

    probabilities: Callable[[], tf.Tensor]
    score: tf.Tensor
    memory: tuple[tf.Tensor, ...] = ()


def _output(probabilities: tf.Tensor, score: tf.Tensor, memory: tuple[tf.Tensor, ...] = ()) -> ExitOutput:
    """The output of an exit whose score was made of its probabilities."""
    return ExitOutput(lambda: probabilities, score, memory)


def exit_output(
    policy: Policy, exit_index: int, values: tf.Tensor, memory: tuple[tf.Tensor, ...], *, is_last: bool
) -> ExitOutput:
    """The output of an exit under a fitted policy.

    Args:
        policy: fitted.
        exit_index: 0-based.
        values: logits `[1, classes]` of this exit, or its features `[1, size]` if heads are not executed.
        memory: of the exit before; empty at the first, or the score of a skip gate.
        is_last: the score of the last exit is reported, but compared with nothing.

    Raises:
        ArgumentError: a policy that was fitted to features of another size.
    """
    twin = globals().get(policy.twin())
    if twin is None:
        raise ArgumentError(f"policy {policy.name} has no twin: conversion/scores.py has no function {policy.twin()}")
    if isinstance(policy, Uncertainty):
        probabilities = tf.nn.softmax(values)
        return _output(probabilities, twin(probabilities))
    output: ExitOutput = twin(policy, exit_index, values, memory, is_last)
    return output


def entropy_nats(probabilities: tf.Tensor) -> tf.Tensor:
    """`[1, classes]` to `[1]`."""
    logarithm = tf.math.log(tf.maximum(probabilities, _SMALLEST))
    entropy = -tf.reduce_sum(probabilities * logarithm, axis=-1)
    # Rounding can put the entropy of a certain prediction just below 0, and a threshold of 0, which means "off", would
    # pass it.
    return tf.maximum(entropy, 0.0)


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """`[1, classes]` to `[1]`."""
    return entropy_nats(probabilities) / math.log(probabilities.shape[-1])


def max_probability(probabilities: tf.Tensor) -> tf.Tensor:
    """`[1, classes]` to `[1]`."""
    return tf.maximum(1.0 - tf.reduce_max(probabilities, axis=-1), 0.0)


def margin(probabilities: tf.Tensor) -> tf.Tensor:
    """`[1, classes]` to `[1]`."""
    largest = tf.reduce_max(probabilities, axis=-1, keepdims=True)
    is_largest = tf.cast(probabilities >= largest, tf.float32)
    second = tf.reduce_max(probabilities * (1.0 - is_largest), axis=-1)
    is_alone = tf.cast(tf.reduce_sum(is_largest, axis=-1) < 1.5, tf.float32)
    return 1.0 - (tf.reduce_max(probabilities, axis=-1) - second) * is_alone


def scaled(policy: Scaled, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    probabilities = tf.nn.softmax(logits * float(1 / policy.temperatures[exit_index]))
    return _output(probabilities, globals()[policy.uncertainty.twin()](probabilities))


def rejection(policy: Rejection, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    probabilities = tf.nn.softmax(logits)
    mask = np.zeros((1, logits.shape[-1]), np.float32)
    mask[:, list(policy.background)] = 1
    of_background = probabilities * mask
    other = tf.reduce_max(probabilities * (1 - mask), axis=-1)
    rejects = tf.cast(other < tf.reduce_max(of_background, axis=-1), tf.float32)
    return _output(probabilities, tf.maximum(1.0 - tf.reduce_sum(of_background, axis=-1) * rejects, 0.0))


def patience(policy: Patience, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    label = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.float32)
    in_a_row = tf.ones_like(label)
    if memory:
        earlier_label, earlier_count = memory
        in_a_row += tf.cast(tf.equal(label, earlier_label), tf.float32) * earlier_count
    return ExitOutput(lambda: tf.nn.softmax(logits), 1.0 / in_a_row, (label, in_a_row))


def _log_softmax(logits: tf.Tensor) -> tf.Tensor:
    # Of operators that every backend has; the logarithm of a softmax would end at that of the smallest float.
    lower = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    return lower - tf.math.log(tf.reduce_sum(tf.exp(lower), axis=-1, keepdims=True))


def ensemble(policy: Ensemble, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    own = tf.nn.softmax(logits)
    if is_last:
        return _output(own, max_probability(own))
    log_probabilities = (*memory, _log_softmax(logits))
    weights, bias = policy.weights[exit_index], policy.biases[exit_index]
    together = tf.constant(np.asarray(bias, np.float32)[None])
    for each, weight in zip(log_probabilities, weights, strict=True):
        together += each * float(weight / len(weights))
    probabilities = tf.nn.softmax(together)
    return _output(probabilities, max_probability(probabilities), log_probabilities)


def commitment(policy: Commitment, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    probabilities = tf.nn.softmax(logits)
    if is_last:
        return _output(probabilities, max_probability(probabilities))
    *weights, of_margin = policy.weights[exit_index]
    total = tf.reduce_sum(probabilities * np.asarray([weights], np.float32), axis=-1)
    total += (1.0 - margin(probabilities)) * of_margin + policy.biases[exit_index]
    return _output(probabilities, tf.sigmoid(-total))


def gate_score(policy: Policy, features: tf.Tensor) -> tf.Tensor:
    """The score `[1]` of the skip gate of a policy that has one, from the features `[1, size]` of stage 1.

    Raises:
        ArgumentError: a policy that was fitted to features of another size.
    """
    assert isinstance(policy, SkipGate)
    weights, size = np.asarray([policy.weights], np.float32), features.shape[-1]
    if weights.shape[1] != size:
        raise ArgumentError(
            f"policy {policy.name} was fitted to {weights.shape[1]} features of stage 1, but this network has {size}: "
            "fit it on exit logits of this one"
        )
    return tf.sigmoid(tf.reduce_sum(features * weights, axis=-1) + np.float32(policy.bias[0]))


def skip_gate(policy: SkipGate, exit_index: int, logits: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    probabilities = tf.nn.softmax(logits)
    return _output(probabilities, memory[0] if is_last else margin(probabilities), memory)


def class_means(policy: ClassMeans, exit_index: int, values: tf.Tensor, memory: tuple, is_last: bool) -> ExitOutput:
    """See `exit_output`."""
    return _nearest_mean(policy, exit_index, values, is_last, _distances)


def class_means_1bit(
    policy: ClassMeans1Bit, exit_index: int, values: tf.Tensor, memory: tuple, is_last: bool
) -> ExitOutput:
    """See `exit_output`."""
    return _nearest_mean(policy, exit_index, values, is_last, _differing_bits)


def _nearest_mean(
    policy: ClassMeans,
    exit_index: int,
    values: tf.Tensor,
    is_last: bool,
    distances: Callable[[tf.Tensor, np.ndarray], tf.Tensor],
) -> ExitOutput:
    if is_last:
        probabilities = tf.nn.softmax(values)
        return _output(probabilities, max_probability(probabilities))
    means, size = np.asarray(policy.means[exit_index]), values.shape[-1]
    if means.shape[1] != size:
        raise ArgumentError(
            f"policy {policy.name} was fitted to {means.shape[1]} features at exit {exit_index + 1}, but this network "
            f"has {size}: fit it on exit logits of this one"
        )
    probabilities = tf.nn.softmax(distances(values, means) * (-1 / np.asarray(policy.spreads[exit_index], np.float32)))
    return _output(probabilities, max_probability(probabilities))


def _distances(features: tf.Tensor, means: np.ndarray) -> tf.Tensor:
    # A shift does not change distances, and squares of small numbers lose less to rounding.
    middle = means.mean(axis=0)
    moved, centred = features - middle.astype(np.float32), means - middle
    squares = tf.reduce_sum(moved * moved, axis=-1, keepdims=True) + np.float32((centred**2).sum(axis=1))
    squares -= tf.matmul(moved, tf.constant(2 * centred.T, tf.float32))
    return tf.sqrt(tf.maximum(squares, 0.0))


def _differing_bits(features: tf.Tensor, means: np.ndarray) -> tf.Tensor:
    # A product of signs as a convolution of one place, which Larq Compute Engine does on bits.
    classes, size = means.shape
    signs = larq.math.sign(tf.reshape(features, [1, 1, 1, size]))
    products = tf.nn.conv2d(signs, tf.constant(means.T.reshape(1, 1, size, classes), tf.float32), 1, "VALID")
    return (size - tf.reshape(products, [1, classes])) / (2 * size)
