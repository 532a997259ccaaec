"""Refit the early exits to the sounds of a device's own place, without labels."""

from __future__ import annotations

import dataclasses
import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bnn_exit._keras import set_seed, tf
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.progress import progress_bar
from bnn_exit.settings.augment import UNCHANGED, AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.text import counted
from bnn_exit.training.agreement import agreement_loss
from bnn_exit.training.augment import Augmenter
from bnn_exit.training.data import Batches
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.field import FieldBackground, word_levels
from bnn_exit.training.head_inputs import HeadInputs
from bnn_exit.training.optimizer import learning_rate as scheduled
from bnn_exit.training.optimizer import make_optimizer, set_learning_rate

HOLD_BACK_EVERY = 5
"""The first of so many clips is held back from the training: to compare before and after, and to choose thresholds."""

FIELD = dataclasses.replace(
    UNCHANGED,
    time_shift_ms=100.0,
    wrap_shift=True,  # background noise continues at both ends
    gain_db=3.0,
    time_mask_frames=10,
    frequency_mask_mels=4,
    tempo_change=0.12,
    frequency_warp=0.08,
    mix_probability=0.3,
)
"""How clips are changed. The last exit answers for the changed clip, so that a change may be large: a few hundred clips
then teach as much as thousands (function matching: Beyer et al. 2022, arXiv 2106.05237)."""

_ANCHOR = 1e-5
"""Of the squared distance to the trained heads: without it, few clips are learned by heart (Li et al. 2018, L2-SP)."""

REPLAYS = 6
"""Usual versions of each clip from elsewhere."""

_BATCH = 64
"""Most clips that are changed at once."""

_MOST_BYTES = 1 << 30
"""Of what heads read of all versions. Heads that read much get fewer."""

_MOST_CLIPS = 500_000
"""Of all versions together, about five times as many as the usual ones of a large data set: each takes time."""

MOST_VERSIONS = 1000
"""Of one clip. More than this is a slip of the finger: a few dozen already teach all that a clip has."""


def adapt(
    model: MultiExitModel,
    log_mel: np.ndarray,
    *,
    replay: np.ndarray | None = None,
    replays: int = REPLAYS,
    views: int = 40,
    epochs: int = 8,
    learning_rate: float = 3e-3,
    batch_size: int = 64,
    temperature: float = 1.0,
    augment: AugmentConfig | None = None,
    features: FeatureConfig | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Refit every head but the last to what the last exit itself says about unlabelled clips.

    Stages, the last head and all normalisation keep their weights, so that what heads read is computed once, for some
    versions of each clip. The loss is `agreement_loss` and a pull to the trained heads, by Adam. The weights kept are
    those after the last epoch, or those before the training if that loss was as low on the clips held back
    (`held_back`). Agreement is the share of clips on which an exit gives the label of the full network, the last exit.
    (Automated layer caching: Abedi et al. 2022, arXiv 2209.08625, whose heads are new ones; ours are those of the
    network.)

    A few hundred clips have few words, and heads learn little from them. So they learn also from other clips, such as
    those of training, with the background of the unlabelled ones: `bnn_exit.training.field`. Heads with a hidden layer
    learn more than linear ones: give `model.with_hidden_layers()`.

    Args:
        model: trained, with two exits or more, best as `with_hidden_layers` gives it; changed in place.
        log_mel: `[clips, frames, mels]`, at least two clips from where the network is used. More are better: a few
            hundred are enough.
        replay: `[clips, frames, mels]`, clips with the same words from elsewhere, without labels; None: no others.
            Where no unlabelled clip has a word with background beside it, they are not learned from, with a warning.
        replays: how many versions of each clip of `replay` are learned from, each with another background, 0 to 1000.
            More agrees better, and takes time and memory.
        views: how many versions of each unlabelled clip are learned from, 1 to 1000: as it is, and changed by
            `augment`. More agrees better, and takes time and memory. All versions together are at most 500,000 clips
            and 1 GiB of what heads read: beyond, there are fewer of both in the same proportion.
        epochs: passes over all versions; more agrees better, up to a point, and takes longer.
        learning_rate: peak of Adam's cosine schedule; higher moves further from the trained heads.
        batch_size: clips a step; fewer make more steps of an epoch.
        temperature: of the loss, above 0; higher gives unlikely classes more weight.
        augment: how clips are changed. None means `FIELD`, for these features.
        features: log-mel settings, which some changes depend on; None means the default ones.
        seed: of the order and changes of clips: the same seed gives the same weights.
        progress: show a bar with the agreement of each exit on stderr.

    Returns:
        A dict for each epoch: `epoch` (from 1), `loss`, and of the clips held back `validation_loss` and
        `validation_accuracy`, the agreement of each exit; before them one of epoch 0, of the exits as they were,
        without `loss`.

    Raises:
        ArgumentError: a network of one exit or with heads that read earlier logits, clips of another shape, or a
            setting out of range.
        DataError: fewer than two clips, or a loss that is not finite.

    Example:
        >>> wide = model.with_hidden_layers()
        >>> history = bnn_exit.adapt(wide, log_mel, replay=task.log_mel("train"), replays=1, views=2, epochs=2)
        >>> for record in history:
        ...     print(record["epoch"], record["validation_accuracy"])
    """
    check_exits(model)
    for name, clips in (("log_mel", log_mel), ("replay", replay)):
        shape = model.input_shape[:2]
        if clips is not None and (clips.ndim != 3 or clips.shape[1:] != shape):
            raise ArgumentError(f"{name} has shape {clips.shape}, but must be [clips, {shape[0]}, {shape[1]}]")
    if len(log_mel) < 2:
        raise DataError(
            f"log_mel holds {counted(len(log_mel), 'clip')}, but one to learn from and one to hold back are the least"
        )
    config = settings(
        views=views,
        replays=replays,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        temperature=temperature,
        seed=seed,
    )
    set_seed(seed)
    features, aside = features or FeatureConfig(), held_back(len(log_mel))
    inputs = HeadInputs(model)
    learning = np.asarray(log_mel[~aside], np.float32)
    versions = _Versions(model, augment or FIELD.scaled_to(features), features, seed=seed)
    others = np.zeros((0, *learning.shape[1:]), np.float32) if replay is None else np.asarray(replay, np.float32)
    background = FieldBackground(learning, seed=seed)
    if not background.count and len(others) and replays:
        warnings.warn(
            "no unlabelled clip has a word with background beside it, so the clips of replay are not learned from",
            stacklevel=2,
        )
    replays = replays if background.count and len(others) else 0
    views, replays = _fitting(views, replays, inputs, clips=(len(learning), len(others)), tell=progress)
    levels = word_levels(others) if replays else None
    in_field = (background.behind(others, view=view, levels=levels) for view in range(replays))
    seen = inputs.of(
        progress_bar(
            versions.of(learning, in_field, views=views),
            total=views + replays,
            unit="version",
            disable=None if progress else True,
        )
    )
    return _Refit(model, inputs, seen, inputs.of([log_mel[aside]]), config, temperature).run(progress=progress)


def settings(*, views: int = 40, replays: int = REPLAYS, temperature: float = 1.0, **given: Any) -> TrainConfig:
    """The settings of the training; ArgumentError for one out of range, to be checked before clips are read."""
    for name, value, least in (("views", views, 1), ("replays", replays, 0)):
        if not least <= value <= MOST_VERSIONS:
            raise ArgumentError(f"{name} is {value!r}, but must be from {least} to {MOST_VERSIONS}")
    if not 0 < temperature < math.inf:
        raise ArgumentError(f"temperature is {temperature!r}, but must be a finite number above 0")
    return TrainConfig(**given, warmup_steps=10, label_smoothing=0.0)


def better(history: list[dict[str, Any]]) -> bool:
    """Whether the heads agree better at the end of a history of `adapt` than before; if not, it gave these back."""
    # Of a hundred clips, the loss is less a matter of luck than the number that agree.
    return bool(history[-1]["validation_loss"] < history[0]["validation_loss"])


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
    """Which of so many clips `adapt` does not learn from, bool `[clips]`: the first of every five, in their order; of
    five or fewer the first of every two, because thresholds need two clips."""
    return np.arange(clips) % (HOLD_BACK_EVERY if clips > HOLD_BACK_EVERY else 2) == 0


def _fitting(views: int, replays: int, inputs: HeadInputs, *, clips: tuple[int, int], tell: bool) -> tuple[int, int]:
    """How many versions of unlabelled and of other clips fit into memory and time, in the same proportion."""
    asked, fitting = views * clips[0] + replays * clips[1], _MOST_BYTES // inputs.bytes_of_clip
    share = min(fitting, _MOST_CLIPS) / asked
    if share >= 1:
        return views, replays
    why = "what heads read of more does not fit into memory" if fitting < _MOST_CLIPS else "more would take hours"
    fewer = max(1, int(share * views)), int(share * replays)
    if tell:
        print(
            f"{fewer[0]} of {views} views and {fewer[1]} of {replays} replays are used: {why}",
            file=sys.stderr,
        )
    return fewer


class _Versions:
    """Versions of clips to learn from.

    Args:
        model: whose input they are for.
        augment: how they are changed.
        features: of the clips.
        seed: of all changes.
    """

    def __init__(self, model: MultiExitModel, augment: AugmentConfig, features: FeatureConfig, *, seed: int) -> None:
        self._model, self._augment, self._features, self._seed = model, augment, features, seed

    def of(
        self, learning: np.ndarray, others: Iterable[np.ndarray], *, views: int
    ) -> Iterator[np.ndarray | Iterable[tf.Tensor]]:
        """The unlabelled clips as they are and changed, then others, changed: each for `HeadInputs.of`.

        One must be read to its end before the next is asked for.
        """
        yield learning
        if views > 1:
            batches = self._batches(learning)
            for view in range(1, views):
                yield _clips(batches, view)
        rest = iter(others)
        if (first := next(rest, None)) is None:
            return
        # TensorFlow never lets go of what a graph reads from: all versions are read from one array.
        held = np.array(first)
        made = self._batches(held)
        yield _clips(made, 1)
        for view, clips in enumerate(rest, start=2):
            held[...] = clips
            yield _clips(made, view)

    def _batches(self, log_mel: np.ndarray) -> Batches:
        frames, mels, _ = self._model.input_shape
        fill = log_mel.mean(axis=(0, 1))
        return Batches(
            log_mel,
            np.zeros(len(log_mel), np.int32),
            classes=1,
            augmenter=Augmenter(
                self._augment, features=self._features, frames=frames, mels=mels, fill=fill, seed=self._seed
            ),
            # A batch that is not full is left out: of batches of one size, hardly any clip is.
            batch_size=len(log_mel) // math.ceil(len(log_mel) / _BATCH),
            seed=self._seed,
            mix_probability=self._augment.mix_probability,
            distribution=Distribution.of(self._model),
        )


def _clips(batches: Batches, view: int) -> Iterator[tf.Tensor]:
    """Batches `[batch, frames, mels, 1]`."""
    return (clips for clips, _, _ in batches.epoch(view))


class _Refit:
    """The training of the heads on what they read.

    Args:
        inputs: of the network `model`.
        seen: what heads read and the last exit answers for the views that are learned from, as `HeadInputs.of` gives.
        aside: the same for the clips held back.
    """

    def __init__(
        self,
        model: MultiExitModel,
        inputs: HeadInputs,
        seen: list[np.ndarray],
        aside: list[np.ndarray],
        config: TrainConfig,
        temperature: float,
    ) -> None:
        self._model, self._heads, self._seen, self._aside, self._config = model, inputs.heads, seen, aside, config
        self._variables, self._temperature = inputs.trainable_variables, temperature
        self._optimizer = make_optimizer(config)
        anchors = [tf.constant(variable) for variable in self._variables]

        @tf.function
        def step(*batch: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                moved = [
                    tf.reduce_sum(tf.square(each - anchor))
                    for each, anchor in zip(self._variables, anchors, strict=True)
                ]
                loss = agreement_loss(self._logits(batch), temperature=temperature) + _ANCHOR * tf.add_n(moved)
            gradients = tape.gradient(loss, self._variables)
            self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
            return loss

        self._step = step

    def run(self, *, progress: bool) -> list[dict[str, Any]]:
        """Train, and take the weights before again where they agree as well; the history."""
        before = [variable.numpy() for variable in self._variables]
        history: list[dict[str, Any]] = [{"epoch": 0, **self._validate()}]
        with progress_bar(range(self._config.epochs), unit="epoch", disable=None if progress else True) as bar:
            for epoch in bar:
                loss = self._epoch(epoch)
                if not np.isfinite(loss):
                    self._assign(before)
                    raise DataError(
                        f"the loss became {loss} in epoch {epoch + 1}: use a smaller learning_rate than "
                        f"{self._config.learning_rate}"
                    )
                history.append({"epoch": epoch + 1, "loss": loss, **self._validate()})
                bar.set_postfix_str(" ".join(f"{100 * each:.2f}" for each in history[-1]["validation_accuracy"]))
        if not better(history):
            self._assign(before)
        self._model.round_for_file()
        return history

    def _epoch(self, epoch: int) -> float:
        count, size = len(self._seen[0]), min(self._config.batch_size, len(self._seen[0]))
        order = np.random.default_rng([self._config.seed, epoch]).permutation(count)
        steps, losses = count // size, []
        for index in range(steps):
            number, total = epoch * steps + index, self._config.epochs * steps
            set_learning_rate(self._optimizer, scheduled(number, total_steps=total, config=self._config))
            chosen = order[index * size : (index + 1) * size]
            losses.append(float(self._step(*_tensors(each[chosen] for each in self._seen))))
        return float(np.mean(losses))

    def _logits(self, batch: Iterable[tf.Tensor]) -> list[tf.Tensor]:
        """Of every exit; normalisation as in inference."""
        *inputs, last = batch
        return [*(head(each, training=False) for head, each in zip(self._heads, inputs, strict=True)), last]

    def _validate(self) -> dict[str, Any]:
        """Loss and agreement on the clips held back."""
        logits = self._logits(_tensors(self._aside))
        labels = np.stack([each.numpy().argmax(axis=-1) for each in logits])
        return {
            "validation_loss": round(float(agreement_loss(logits, temperature=self._temperature)), 6),
            "validation_accuracy": [float(share) for share in (labels == labels[-1]).mean(axis=1).round(5)],
        }

    def _assign(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)


def _tensors(arrays: Iterable[np.ndarray]) -> Iterator[tf.Tensor]:
    """In float32."""
    return (tf.constant(each, tf.float32) for each in arrays)
