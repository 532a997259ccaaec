"""One allocation of blocks, trained for a short time, to compare it with others."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from bnn_exit._keras import set_seed
from bnn_exit.models.multi_exit import MultiExitModel, build
from bnn_exit.settings.allocation import AllocationConfig
from bnn_exit.settings.augment_values import AnyAugment
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.task import Task
from bnn_exit.training.block_allocation import Blocks, Probe
from bnn_exit.training.loop import fit


def network_with(blocks: Blocks, model: ModelConfig, task: Any) -> MultiExitModel:
    """A new network of these settings with these blocks; of the task only `labels` and `input_shape` are read."""
    settings = {**model.to_dict(), "blocks": blocks}
    return build(**settings, num_classes=len(task.labels), input_shape=task.input_shape)


def probe(
    blocks: Blocks,
    *,
    model: ModelConfig,
    task: Task,
    training: TrainConfig,
    augment: AnyAugment,
    allocation: AllocationConfig,
) -> Probe:
    """Train a network with these blocks for a few epochs from the labels alone, and keep its best ones' accuracy.

    Every probe has the same seed, clips and augmentation. A teacher is left out: its soft labels for every clip
    would take longer than all probes.

    Args:
        blocks: of each stage.
        model, training, augment: of the run; the probe has fewer epochs.
        task: gives the clips; of a large training split, only some are used.
        allocation: how many epochs and clips.
    """
    set_seed(training.seed)
    network = network_with(blocks, model, task)
    part: Any = task
    if len(task.train) > allocation.clips:
        part = _Part(task, clips=allocation.clips, seed=training.seed)
    config = dataclasses.replace(training, epochs=allocation.epochs)
    history = fit(network, part, config=config, augment=augment, progress=False)
    accuracy = max((record["validation_accuracy"] for record in history), key=np.mean)
    return Probe(blocks, network.costs()[-1].ops, tuple(accuracy))


class _Part:
    """A task with some clips of its training split, drawn by the seed."""

    def __init__(self, task: Task, *, clips: int, seed: int) -> None:
        self._task = task
        chosen = np.sort(np.random.default_rng(seed).permutation(len(task.train))[:clips])
        self.train = _Clips(np.asarray(task.train.labels)[chosen])
        self._log_mel = np.asarray(task.log_mel("train")[chosen])
        negatives = getattr(task, "negatives", None)
        # The cuts from long recordings are the last clips of the split.
        self.negatives = negatives and negatives._replace(first=int(np.searchsorted(chosen, negatives.first)))

    def log_mel(self, split_name: str) -> np.ndarray:
        return self._log_mel if split_name == "train" else self._task.log_mel(split_name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


class _Clips:
    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)
