"""The heads of a network, one for each exit."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.models import registry


def exit_heads(
    head: str,
    stages: Sequence[keras.Model],
    num_classes: int,
    *,
    boost: float = 0.0,
    first_is_first: bool = True,
) -> list[keras.Model]:
    """A new head for each stage, of the kind that is a name in HEADS.

    Args:
        head: a name in HEADS.
        stages: of the network, in order of depth.
        num_classes: logits of each head.
        boost: t, if above 0: exit m gives F_m = f_m + t F_(m-1), where f_m is what the layers of its head give and F_0
            is 0 (Boosted Dynamic Neural Networks, Yu et al. 2023; theirs is 0.5).
        first_is_first: the first of them is told that it is (`first` of `bnn_exit.models.heads`); exits that are added
            to a network made elsewhere are all alike.

    Returns:
        Models from features `[batch, height, width, channels]` to logits `[batch, classes]`. Those that read the logits
        of the exit before have them as a second input `[batch, classes]`.

    Raises:
        ArgumentError: an unknown head, or one that these features do not suit.
    """
    make = registry.head(head)
    asked = inspect.signature(make).parameters
    heads = []
    for index, stage in enumerate(stages):
        inputs: list[keras.KerasTensor] = [keras.Input(stage.outputs[0].shape[1:])]
        more: dict[str, Any] = {}
        if index > 0 and (boost or "before" in asked):
            inputs.append(keras.Input((num_classes,)))
        if index > 0 and "before" in asked:
            more["before"] = inputs[1]
        if "first_channels" in asked and index == len(stages) - 1:
            more["first_channels"] = stages[0].outputs[0].shape[-1]
        logits = make(inputs[0], num_classes, name=f"logits_{index + 1}", first=first_is_first and index == 0, **more)
        if index > 0 and boost:
            logits = logits + boost * inputs[1]
        heads.append(keras.Model(inputs if len(inputs) > 1 else inputs[0], logits, name=f"head_{index + 1}"))
    return heads


def reads_logits(head: keras.Model) -> bool:
    """Whether a head reads the logits of the exit before, beside the features of its stage."""
    return len(head.inputs) == 2
