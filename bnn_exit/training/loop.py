"""The training loop: all exits jointly, one checkpoint an epoch, and at the end the best weights by validation."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit._keras import bfloat16_convolutions, tf
from bnn_exit.audio import logmel
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded
from bnn_exit.machine import peak_memory_bytes
from bnn_exit.models.network import Network
from bnn_exit.progress import progress_bar
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.augment_values import AnyAugment, ValuesAugmentConfig, check_augment, usual_augment
from bnn_exit.settings.training import TrainConfig
from bnn_exit.settings.values import ValuesConfig
from bnn_exit.task import Task
from bnn_exit.training import checkpoint
from bnn_exit.training.augment import Augmenter
from bnn_exit.training.augment_values import ValuesAugmenter
from bnn_exit.training.background import Background
from bnn_exit.training.data import Batches
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.objective import CrossEntropy, Objective
from bnn_exit.training.optimizer import decay_kernels, learning_rate, make_optimizer, set_learning_rate

LAST, BEST = "last.npz", "best.npz"


def fit(
    model: Network,
    task: Task,
    *,
    epochs: int | None = None,
    config: TrainConfig | None = None,
    augment: AnyAugment | None = None,
    objective: Objective | None = None,
    clips: np.ndarray | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
) -> list[dict[str, Any]]:
    """Train every exit of `model` on `task.train`; keep the weights that are best on `task.validation`.

    Best means the highest mean over exits of the validation accuracy, unless the objective has another score.

    Args:
        model: changed in place; its standardisation is fitted first. If it was made within the scope of a strategy of
            tf.distribute, each replica trains on its part of every batch (see `distribution`).
        task: gives features, labels and background noise.
        epochs: replaces `config.epochs`.
        config, augment: settings; None takes the defaults. `augment` must suit the features: ValuesAugmentConfig for
            values.
        objective: what is minimised; None means the labels alone, by `exit_weights` and `label_smoothing`.
        clips: numbers of the training clips that are used, rising; None: all. The standardisation is fitted to all.
        folder: where checkpoints go, one after each epoch; None keeps the best weights in memory and cannot resume.
        resume: continue from the last checkpoint in `folder`. On the same machine the weights end the same as without
            the interruption, if `bnn_exit._keras.make_repeatable()` was called, as the command does.
        tensorboard: write accuracy and loss of each epoch for TensorBoard into `folder`.
        progress: show a bar with each exit's accuracy on stderr.
        stop: called after each epoch but the last with the epochs so far, as returned; true ends the training there.

    Returns:
        A dict for each epoch: `epoch` (from 1), `loss`, `train_accuracy` and `validation_accuracy` (lists over exits),
        `seconds` of training, `waiting_share` (the part of them in which the network waited for data), `total_seconds`
        with validation, `processor_seconds`, the same summed over cores, and `peak_memory_bytes`, the most memory that
        the process has had.
    """
    config = config or TrainConfig()
    if epochs is not None:
        config = dataclasses.replace(config, epochs=epochs)
    weights = config.weights_of(model.num_exits)
    if model.num_classes != task.num_classes or model.input_shape != task.input_shape:
        raise ArgumentError(
            f"the network takes {model.input_shape} and has {model.num_classes} classes, but the task gives "
            f"{task.input_shape} and {task.num_classes}: build it with the task's input_shape and num_classes"
        )
    if (resume or tensorboard) and folder is None:
        raise ArgumentError("folder is None, but resume and tensorboard need one")
    objective = objective or CrossEntropy(model, weights=weights, label_smoothing=config.label_smoothing)
    augment = check_augment(augment or usual_augment(task.features), task.features)
    return _Fit(model, task, config, augment, objective, clips, folder, tensorboard, progress).run(resume, stop)


class _Fit:
    """The state that the epochs of one training share."""

    def __init__(
        self,
        model: Network,
        task: Task,
        config: TrainConfig,
        augment: AnyAugment,
        objective: Objective,
        clips: np.ndarray | None,
        folder: str | Path | None,
        tensorboard: bool,
        progress: bool,
    ) -> None:
        self.model, self.config, self.objective = model, config, objective
        self.distribution = Distribution.of(model)
        count = len(task.train) if clips is None else len(clips)
        self.distribution.check_batch(config.batch_size, clips=count)
        self.progress = progress and self.distribution.writes
        self.folder = expanded(folder) if folder is not None else None
        self.output = self.folder if self.distribution.writes else None
        train = task.log_mel("train")
        self.validation, self.validation_labels = task.log_mel("validation"), task.validation.labels
        model.adapt(train)
        background = _background(augment, task, seed=config.seed)
        self.batches = Batches(
            train,
            task.train.labels,
            input_shape=task.input_shape,
            classes=task.num_classes,
            augmenter=_augmenter(augment, task, seed=config.seed, background=background),
            mix_probability=augment.mix_probability,
            batch_size=min(config.batch_size, count),
            seed=config.seed,
            distribution=self.distribution,
            background=background,
            clips=clips,
        )
        if self.progress and config.batch_size > count:
            print(
                f"batch_size is {config.batch_size}, but there are {count} training clips: every step takes all",
                file=sys.stderr,
            )
        objective.prepare(self.batches, folder=self.output)
        self.variables = model.keras_model.trainable_variables + objective.variables
        with self.distribution.scope():
            self.optimizer = make_optimizer(config)
        self.history: list[dict[str, Any]] = []
        self.best_score, self.best_weights = -math.inf, self._weights()
        logs = self.output / "tensorboard" if tensorboard and self.output else None
        self.writer = tf.summary.create_file_writer(str(logs)) if logs else None
        self.step = self._make_step()

    def run(self, resume: bool, stop: Callable[[list[dict[str, Any]]], bool] | None) -> list[dict[str, Any]]:
        if resume:
            self._restore()
        for epoch in range(len(self.history), self.config.epochs):
            start, processor_start = time.perf_counter(), time.process_time()
            with bfloat16_convolutions(self.config.bfloat16):
                record = self._train_epoch(epoch)
            self._validate(record)
            record["total_seconds"] = round(time.perf_counter() - start, 3)
            record["processor_seconds"] = round(time.process_time() - processor_start, 3)
            record["peak_memory_bytes"] = peak_memory_bytes()
            self.history.append(record)
            self._save()
            self._report(record)
            if stop is not None and epoch + 1 < self.config.epochs and stop(self.history):
                break
        if self.folder is not None:
            self.distribution.wait()
            state = checkpoint.load(self.folder / BEST, variables=self.model.keras_model.weights)
        else:
            self.model.keras_model.set_weights(self.best_weights)
        self.model.round_for_file()
        if self.output is not None:
            self._save_best(state)
        return self.history

    def _make_step(self) -> Any:
        objective, optimizer, variables = self.distribution.share(self.objective), self.optimizer, self.variables
        weight_decay = self.config.weight_decay

        @tf.function
        def step(
            log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, rate: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                loss, logits = objective(log_mel, labels, targets)
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            if weight_decay:
                decay_kernels(variables, amount=weight_decay * rate)
            right = [tf.argmax(exit_logits, axis=-1) == tf.argmax(labels, axis=-1) for exit_logits in logits]
            return loss, tf.reduce_mean(tf.cast(tf.stack(right), tf.float32), axis=1)

        return self.distribution.step(step)

    def _train_epoch(self, epoch: int) -> dict[str, Any]:
        total_steps = self.config.epochs * self.batches.steps
        losses, accuracies, waiting, start = [], [], 0.0, time.perf_counter()
        view = epoch % self.objective.views if self.objective.views else epoch
        begin = getattr(self.objective, "begin_epoch", None)  # an objective need not know of them
        if begin is not None:
            begin(epoch, epochs=self.config.epochs)
        batches = self.batches.epoch(epoch, view=view, targets=self.objective.targets(view))
        with self._bar(epoch) as bar:
            for index in range(self.batches.steps):
                before = time.perf_counter()
                batch = next(batches)
                waiting += time.perf_counter() - before
                rate = learning_rate(epoch * self.batches.steps + index, total_steps=total_steps, config=self.config)
                set_learning_rate(self.optimizer, rate)
                loss, accuracy = self.step(*batch, tf.constant(rate, tf.float32))
                losses.append(float(loss))
                accuracies.append(accuracy.numpy())
                bar.set_postfix_str(_percent(np.mean(accuracies[-50:], axis=0)), refresh=False)
                bar.update()
        if not np.isfinite(losses[-1]):
            raise DataError(
                f"the loss became {losses[-1]} in epoch {epoch + 1}: use a smaller learning_rate than "
                f"{self.config.learning_rate}"
            )
        seconds = time.perf_counter() - start
        return {
            "epoch": epoch + 1,
            "loss": float(np.mean(losses)),
            "train_accuracy": np.mean(accuracies, axis=0).round(5).tolist(),
            "seconds": round(seconds, 3),
            "waiting_share": round(waiting / seconds, 5),
        }

    def _validate(self, record: dict[str, Any]) -> None:
        accuracy = self.model.accuracy(self.validation, self.validation_labels)
        record["validation_accuracy"] = accuracy.round(5).tolist()

    def _save(self) -> None:
        score = self.objective.score(self.history[-1])
        if score > self.best_score:
            self.best_score, self.best_weights = score, self._weights()
            if self.output is not None:
                self._save_best({"history": self.history})
        if self.output is not None:
            state = {"history": self.history, "best_score": self.best_score}
            checkpoint.save(self.output / LAST, variables=self.distribution.local(self._state()), state=state)

    def _save_best(self, state: dict[str, Any]) -> None:
        assert self.output is not None
        weights = self.distribution.local(self.model.keras_model.weights)
        checkpoint.save(self.output / BEST, variables=weights, state=state)

    def _weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.distribution.local(self.model.keras_model.weights)]

    def _state(self) -> list[tf.Variable]:
        """All variables that a resumed training restores."""
        return self.model.keras_model.weights + self.objective.variables + self.optimizer.weights

    def _restore(self) -> None:
        assert self.folder is not None
        if not (self.folder / LAST).exists():
            return
        # The optimiser makes its variables at its first step; a step of zeros makes them, then all are overwritten.
        self.distribution.run(
            lambda: self.optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in self.variables])
        )
        state = checkpoint.load(self.folder / LAST, variables=self._state())
        self.history, self.best_score = state["history"], state["best_score"]

    def _report(self, record: dict[str, Any]) -> None:
        if self.writer is not None:
            with self.writer.as_default(step=record["epoch"]):
                tf.summary.scalar("loss", record["loss"])
                for split in ("train", "validation"):
                    for index, accuracy in enumerate(record[f"{split}_accuracy"]):
                        tf.summary.scalar(f"{split}_accuracy/exit_{index + 1}", accuracy)
        if self.progress:
            print(
                f"epoch {record['epoch']:3d}/{self.config.epochs}  loss {record['loss']:.3f}  "
                f"train {_percent(record['train_accuracy'])}  validation {_percent(record['validation_accuracy'])}  "
                f"{record['seconds']:.0f} s, {100 * record['waiting_share']:.1f} % waiting for data",
                file=sys.stderr,
                flush=True,
            )

    def _bar(self, epoch: int) -> Any:
        return progress_bar(
            total=self.batches.steps,
            desc=f"epoch {epoch + 1}/{self.config.epochs}",
            unit="batch",
            leave=False,
            disable=None if self.progress else True,
        )


def _background(config: AnyAugment, task: Task, *, seed: int) -> Background | None:
    negatives = getattr(task, "negatives", None)  # a task need not know of them
    if negatives is None or isinstance(config, ValuesAugmentConfig):
        return None
    return Background(
        negatives,
        log_mel=task.log_mel("train"),
        labels=task.train.labels,
        names=task.labels,
        partial_share=config.partial_share,
        seed=seed,
    )


def _augmenter(
    config: AnyAugment, task: Task, *, seed: int, background: Background | None
) -> Augmenter | ValuesAugmenter:
    train, features = task.log_mel("train"), task.features
    if isinstance(features, ValuesConfig):
        assert isinstance(config, ValuesAugmentConfig)  # as check_augment checked
        return ValuesAugmenter(config, channels=features.channels, windows=train, seed=seed)
    assert isinstance(config, AugmentConfig)
    frames, mels, _ = task.input_shape
    noise = [logmel.log_mel(recording, features) for recording in task.noise]
    return Augmenter(
        config,
        features=features,
        frames=frames,
        mels=mels,
        # A sample of clips is enough for the mean that fills masked parts.
        fill=np.asarray(train[:: max(1, len(train) // 512)], np.float32).mean(axis=(0, 1)),
        noise=np.concatenate(noise) if noise else None,
        extents=None if background is None else background.extents,
        seed=seed,
    )


def _percent(accuracies: Any) -> str:
    return " ".join(f"{100 * accuracy:5.2f}" for accuracy in accuracies)
