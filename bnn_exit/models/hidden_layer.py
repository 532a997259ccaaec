"""A hidden layer for a head that is trained, without a change of what it gives."""

from __future__ import annotations

import numpy as np

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError

layers = keras.layers

USUAL_UNITS = 64


def usual_units(num_classes: int) -> int:
    """Units of the hidden layer where none are given: 64, and two for each class where that is more."""
    return max(USUAL_UNITS, 2 * num_classes)


def check_units(units: int, num_classes: int, *, name: str = "units") -> None:
    """ArgumentError for a hidden layer that cannot give the logits of so many classes."""
    if units < 2 * num_classes:
        raise ArgumentError(
            f"{name} is {units}, but must be at least {2 * num_classes}, two for each of the {num_classes} classes"
        )


def with_hidden_layer(head: keras.Model, units: int) -> keras.Model:
    """The head with a hidden layer of ReLU units before the dense layer that it ends in; it shares all other layers.

    Two units hold each logit z, because z = relu(z) - relu(-z): the head gives the same logits, up to rounding, until
    it is trained on. Units beyond two for each class start in random directions, the same every time, and count for
    nothing at first.

    Args:
        head: from features to logits. One that does not end in a dense layer is returned as it is.
        units: at least two for each class. More fit closer, and are slower.
    """
    last = head.layers[-1]
    if not isinstance(last, layers.Dense) or last.output is not head.output:
        return head
    values = last.get_weights()
    kernel, classes = values[0], values[0].shape[1]
    bias = values[1] if last.use_bias else np.zeros(classes, np.float32)
    check_units(units, classes)
    more = units - 2 * classes
    directions = np.random.default_rng(0).normal(0, np.sqrt(2 / len(kernel)), (len(kernel), more))
    hidden = layers.Dense(units, activation="relu", name=f"{last.name}_hidden")
    logits = layers.Dense(classes, name=last.name)
    found = keras.Model(head.input, logits(hidden(last.input)), name=head.name)
    hidden.set_weights([np.hstack([kernel, -kernel, directions]), np.concatenate([bias, -bias, np.zeros(more)])])
    logits.set_weights([np.vstack([np.eye(classes), -np.eye(classes), np.zeros((more, classes))]), np.zeros(classes)])
    return found
