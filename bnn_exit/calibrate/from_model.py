"""Operating points of a trained network, from its validation clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from bnn_exit import policies
from bnn_exit._keras import keras
from bnn_exit.answers import Answers
from bnn_exit.calibrate.choose import choose
from bnn_exit.calibrate.device import DeviceProfile
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.goals import Wishes
from bnn_exit.calibrate.operating_points import DROPS, OperatingPoint, operating_points
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.heads import over_grid
from bnn_exit.models.network import Network
from bnn_exit.policies import Policy, Sizes

if TYPE_CHECKING:
    from audio_tasks.base import Task
    from bnn_exit.models.multi_exit import MultiExitModel


def calibrate(
    model: MultiExitModel,
    task: Task,
    *,
    split: str = "validation",
    drops: Mapping[str, float | None] = DROPS,
    policy: Policy | str | None = None,
    minimise: str | None = None,
    device: DeviceProfile | None = None,
    confidence: float | None = None,
    **limits: float,
) -> dict[str, OperatingPoint]:
    """Thresholds for each name in `drops`, each with its figures on the clips that chose it.

    Args:
        model: trained.
        task: gives the clips.
        split: "validation"; "train" is accepted but promises too much. Never "test": its figures are for reporting.
        drops: operating point -> accuracy that it may lose; None switches every early exit off.
        policy: fitted, or the name of one to fit; None means the default one. With limits, a name.
        minimise: "ops", "time" or "loss"; see `goals.Wishes`.
        device: whose times are limited.
        confidence: makes max_accuracy_drop a promise for new clips, such as 0.95; see `guarantee.guarantee`.
        **limits: names in `goals.LIMITS`, such as max_accuracy_drop=0.01, max_mean_cost=0.5, the most important first;
            they add an operating point "custom".

    Raises:
        ArgumentError: settings out of range, or limits that cannot be kept; the message has the nearest that can.
        DataError: clips without labels or of one class, or too few of them for a promise.
    """
    if one_of("split", split, ("train", "validation", "test")) == "test":
        raise ArgumentError("split is 'test', but thresholds chosen on the test split would flatter every later figure")
    wishes = Wishes(limits, minimise=minimise, device=device) if limits or minimise else None
    if confidence is not None and wishes is None:
        raise ArgumentError(f"confidence is {confidence!r}, but max_accuracy_drop is missing: what is to be promised?")
    if wishes is not None and isinstance(policy, Policy):
        raise ArgumentError(f"policy is a fitted {policy.name}, but with limits it must be a name: it is fitted here")
    kind = policies.POLICIES[one_of("policy", policy, policies.POLICIES)] if isinstance(policy, str) else policy
    answers = answers_of(model, task, split=split, features=kind is not None and kind.needs_features)
    fitted = policies.fit(policy, answers) if isinstance(policy, str) else policy
    costs = ExitCosts.of(model)
    working = fitted or policies.fit(policies.DEFAULT)
    points = operating_points(answers, costs.with_policy(working, Sizes.of(answers)), drops=drops, policy=working)
    if wishes is not None:
        name = policy if isinstance(policy, str) else policies.DEFAULT
        points["custom"] = choose(answers, costs, wishes, policy_name=name, confidence=confidence).point
    return points


def answers_of(model: Network, task: Task, *, split: str, features: bool = False) -> Answers:
    """What every exit of a network says about the clips of a split.

    Args:
        model: trained; with `features`, one made of stages and heads.
        task: gives the clips.
        split: "train", "validation" or "test".
        features: also the features of every exit, as class means are taken of: means over a grid of 6 x 4 cells.
    """
    chosen, log_mel = task.split(split), np.asarray(task.log_mel(split))
    return Answers(
        logits=model.logits(log_mel),
        features=_features(cast("MultiExitModel", model), log_mel) if features else (),
        labels=np.asarray(chosen.labels, np.int64),
        split=split,
        names=tuple(chosen.ids),
    )


def _features(model: MultiExitModel, log_mel: np.ndarray) -> tuple[np.ndarray, ...]:
    flat = [keras.layers.Flatten()(over_grid(reached)) for reached in model.features]
    pooled = keras.Model(model.keras_model.inputs, flat)
    return tuple(pooled.predict(log_mel[..., None], batch_size=128, verbose=0))
