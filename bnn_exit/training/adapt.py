"""Refit the early exits to the sounds of a device's own place, without labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bnn_exit._keras import set_seed, tf
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.settings.augment import UNCHANGED, AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training.agreement import agreement_loss
from bnn_exit.training.frozen import fit_heads
from bnn_exit.training.objective import CrossEntropy

HOLD_BACK_EVERY = 5
"""The first of so many clips is held back from the training: to keep the best epoch, and to choose thresholds."""

LIGHT = dataclasses.replace(UNCHANGED, time_shift_ms=50.0, gain_db=3.0)
"""Each clip a little earlier or later, quieter or louder at each epoch."""


def adapt(
    model: MultiExitModel,
    log_mel: np.ndarray,
    *,
    epochs: int = 30,
    learning_rate: float = 2e-3,
    batch_size: int = 32,
    temperature: float = 1.0,
    augment: AugmentConfig = UNCHANGED,
    features: FeatureConfig | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Refit every head but the last to what the last exit itself says about unlabelled clips.

    Stages and the last head keep their weights. The loss is `agreement_loss`, by Adam; the weights kept are those with
    the highest agreement on the clips held back (`held_back`), those before the training included. Agreement is the
    share of clips on which an exit gives the label of the full network, the last exit. (Automated layer caching: Abedi
    et al. 2022, arXiv 2209.08625, whose heads are new ones; ours are those of the network.)

    Args:
        model: trained, with two exits or more; changed in place.
        log_mel: `[clips, frames, mels]`, at least two clips from where the network is used. More are better: a few
            hundred are enough.
        epochs: passes over the clips; more agrees better, up to a point, and takes longer.
        learning_rate: peak of Adam's cosine schedule; higher moves further from the trained heads.
        batch_size: clips a step; fewer make more steps of an epoch.
        temperature: of the loss, above 0; higher gives unlikely classes more weight.
        augment: how clips are changed; more makes up for few clips. `LIGHT` is a little.
        features: log-mel settings, which some changes depend on; None means the default ones.
        seed: of the order and changes of clips: the same seed gives the same weights.
        progress: show each epoch on stderr.

    Returns:
        A dict for each epoch as `fit` returns it, in which accuracies are agreements, after one of epoch 0 with the
        `validation_accuracy` of the exits as they were.

    Raises:
        ArgumentError: a network of one exit or with heads that read earlier logits, clips of another shape, or a
            setting out of range.
        DataError: fewer than two clips.

    Example:
        >>> history = bnn_exit.adapt(model, log_mel, epochs=10)
        >>> for record in history:
        ...     print(record["epoch"], record["validation_accuracy"])
    """
    check_exits(model)
    shape = model.input_shape[:2]
    if log_mel.ndim != 3 or log_mel.shape[1:] != shape:
        raise ArgumentError(f"log_mel has shape {log_mel.shape}, but must be [clips, {shape[0]}, {shape[1]}]")
    if len(log_mel) < 2:
        raise DataError(f"log_mel holds {len(log_mel)} clips, but one to learn from and one to hold back are the least")
    config = settings(
        epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, temperature=temperature, seed=seed
    )
    set_seed(seed)
    task = _Unlabelled(model, log_mel, features or FeatureConfig())
    return fit_heads(
        model,
        task,
        heads=range(model.num_exits - 1),
        config=config,
        augment=augment,
        objective=_Agreement(model, temperature=temperature),
        progress=progress,
    )


def settings(*, temperature: float = 1.0, **given: Any) -> TrainConfig:
    """The settings of the training; ArgumentError for one out of range, to be checked before clips are read."""
    if not temperature > 0:
        raise ArgumentError(f"temperature is {temperature!r}, but must be above 0")
    return TrainConfig(**given, warmup_steps=10, label_smoothing=0.0)


def check_exits(model: MultiExitModel) -> None:
    """ArgumentError for a network without early exits, or of which the last exit would change with them."""
    if model.num_exits < 2:
        raise ArgumentError("the network has one exit, but only exits before the last can learn from it")
    if model.chained:
        raise ArgumentError(
            "the network has heads that read the logits of the exit before, so the last exit would change with those "
            "that learn from it: train it with another head, and without boosting"
        )


def held_back(clips: int) -> np.ndarray:
    """Which of so many clips `adapt` does not learn from, bool `[clips]`: the first of every five, in their order."""
    return np.arange(clips) % HOLD_BACK_EVERY == 0


class _Agreement(CrossEntropy):
    """The objective of `adapt`: `agreement_loss`, without labels."""

    def __init__(self, network: MultiExitModel, *, temperature: float) -> None:
        super().__init__(network, weights=[], label_smoothing=0.0)
        self._temperature = temperature

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch."""
        logits = self._network.exit_logits(log_mel, training=True)
        return agreement_loss(logits, temperature=self._temperature), logits


class _Part:
    """Some of the clips, as a split of a task. Their labels are those that the full network gives them."""

    def __init__(self, log_mel: np.ndarray, labels: np.ndarray) -> None:
        self.log_mel, self.labels = log_mel, labels
        self.ids = [str(index) for index in range(len(labels))]

    def __len__(self) -> int:
        return len(self.labels)

    def waveform(self, index: int) -> np.ndarray:
        """Nothing here needs the samples."""
        raise NotImplementedError


class _Unlabelled:
    """The clips as a task for `fit`, whose accuracies are then agreements."""

    name, licence, attribution, clip_samples = "unlabelled", "", "", 0
    noise: tuple[np.ndarray, ...] = ()

    def __init__(self, model: MultiExitModel, log_mel: np.ndarray, features: FeatureConfig) -> None:
        answers = model.logits(log_mel)[:, -1].argmax(axis=-1).astype(np.int32)
        aside = held_back(len(log_mel))
        self.train = _Part(log_mel[~aside], answers[~aside])
        self.validation = _Part(log_mel[aside], answers[aside])
        self.features, self.num_classes, self.input_shape = features, model.num_classes, model.input_shape
        self.skipped: dict[str, Any] = {}
        self.labels = tuple(map(str, range(model.num_classes)))

    def split(self, name: str) -> _Part:
        """Of these clips there are the training and the validation split."""
        return self.train if name == "train" else self.validation

    def log_mel(self, split_name: str) -> np.ndarray:
        """`[clips, frames, mels]`"""
        return self.split(split_name).log_mel
