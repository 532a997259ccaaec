"""Train some heads of a network while everything else stays as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.settings.augment_values import AnyAugment
from bnn_exit.settings.training import TrainConfig
from bnn_exit.task import Task
from bnn_exit.training.loop import fit
from bnn_exit.training.objective import mean_accuracy


@contextlib.contextmanager
def only_heads(model: MultiExitModel, heads: Sequence[int]) -> Iterator[None]:
    """Within, only these heads (0-based) are trainable: all else gives what it gives in inference, statistics too."""
    others = [*model.stages, *(head for index, head in enumerate(model.heads) if index not in heads)]
    before = [(layer, layer.trainable) for model in others for layer in model._flatten_layers()]
    for other in others:
        other.trainable = False
    try:
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable  # of a model before those in it


def fit_heads(
    model: MultiExitModel,
    task: Task,
    *,
    heads: Sequence[int],
    config: TrainConfig,
    augment: AnyAugment,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Train these heads (0-based) as `fit` does; stages and other heads keep their weights to the last bit.

    The weights kept are the best by mean validation accuracy of the exits, those before the training included.

    Returns:
        The history of `fit`, after a record of epoch 0: the `validation_accuracy` of the weights before.
    """
    weights = model.keras_model.weights
    values = [weight.numpy() for weight in weights]
    before = model.accuracy(np.asarray(task.log_mel("validation")), np.asarray(task.validation.labels))
    start: dict[str, Any] = {"epoch": 0, "validation_accuracy": before.round(5).tolist()}
    with only_heads(model, heads):
        history = fit(model, task, config=config, augment=augment, progress=progress)
    if max(map(mean_accuracy, history)) <= mean_accuracy(start):
        for weight, value in zip(weights, values, strict=True):
            weight.assign(value)
    return [start, *history]
