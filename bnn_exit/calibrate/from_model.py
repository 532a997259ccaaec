"""Operating points of a trained network, from its validation clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from bnn_exit import policies
from bnn_exit._keras import keras
from bnn_exit.answers import Answers
from bnn_exit.calibrate.choose import CHOOSE, checked_exits, choose
from bnn_exit.calibrate.device import DeviceProfile
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.goals import Wishes
from bnn_exit.calibrate.operating_points import (
    DROPS,
    STANDARD_ERRORS,
    OperatingPoint,
    OperatingPoints,
    operating_points,
)
from bnn_exit.calibrate.search_goal import check_standard_errors
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.heads import flat_over_grid
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
    standard_errors: float = STANDARD_ERRORS,
    minimise: str | None = None,
    device: DeviceProfile | None = None,
    exits: str | Sequence[int] | None = None,
    confidence: float | None = None,
    **limits: float,
) -> OperatingPoints:
    """Thresholds for each name in `drops`, each with its figures on the clips that chose it.

    Args:
        model: trained.
        task: gives the clips.
        split: "validation"; "train" is accepted but promises too much. Never "test": its figures are for reporting.
        drops: operating point -> accuracy that it may lose; None switches every early exit off.
        policy: fitted, or the name of one to fit; None means the default one. With limits, a name.
        standard_errors: of the accuracy lost, which must fit into what may be lost as well; larger is safer and slower,
            0 takes the loss on these clips at its word. A confidence goes without.
        minimise: "ops", "time" or "loss"; see `goals.Wishes`.
        device: whose times are limited.
        exits: those to keep, 0-based and at least two, or "choose" to find out which serve the limits best; None keeps
            all. `export` leaves the others out of the file.
        confidence: makes max_accuracy_drop a promise for new clips, such as 0.95; see `guarantee.guarantee`.
        **limits: names in `goals.LIMITS`, such as max_accuracy_drop=0.01, max_mean_cost=0.5, the most important first;
            they add an operating point "custom".

    Returns:
        A dict of the operating points, which knows the fitted policy and the kept exits that `export` needs.

    Raises:
        ArgumentError: settings out of range, or limits that cannot be kept; the message has the nearest that can.
        DataError: clips without labels or of one class, or too few of them for a promise.
    """
    if one_of("split", split, ("train", "validation", "test")) == "test":
        raise ArgumentError("split is 'test', but thresholds chosen on the test split would flatter every later figure")
    check_standard_errors(standard_errors)
    wishes = None
    if limits or minimise:
        wishes = Wishes(limits, minimise=minimise, device=device, standard_errors=standard_errors)
    if confidence is not None and wishes is None:
        raise ArgumentError(f"confidence is {confidence!r}, but max_accuracy_drop is missing: what is to be promised?")
    if exits == CHOOSE and wishes is None:
        raise ArgumentError(f"exits is {exits!r}, but there is no limit, such as max_accuracy_drop=0.01, to choose by")
    if wishes is not None and isinstance(policy, Policy):
        raise ArgumentError(f"policy is a fitted {policy.name}, but with limits it must be a name: it is fitted here")
    given = policy.name if isinstance(policy, Policy) else policy or policies.DEFAULT
    name = one_of("policy", given, policies.POLICIES)
    answers = answers_of(model, task, split=split, features=policies.POLICIES[name].needs_features)
    costs = ExitCosts.of(model)
    wanted = exits if exits is None or isinstance(exits, str) else tuple(exits)
    custom: dict[str, OperatingPoint] = {}
    if wishes is not None:
        outcome = choose(answers, costs, wishes, policy_name=name, exits=wanted, confidence=confidence)
        kept, fitted, custom = outcome.kept, outcome.policy, {"custom": outcome.point}
    else:
        kept = checked_exits(wanted, answers)
        fitted = policy if isinstance(policy, Policy) else policies.fit(name, answers.of_exits(kept))
    part = answers.of_exits(kept)
    spent = costs.of_exits(kept).with_policy(fitted, Sizes.of(part))
    points = operating_points(part, spent, drops=drops, standard_errors=standard_errors, policy=fitted)
    return OperatingPoints({**points, **custom}, policy=fitted, kept=None if exits is None else kept)


def answers_of(model: Network, task: Task, *, split: str, features: bool = False) -> Answers:
    """What every exit of a network says about the clips of a split.

    Args:
        model: trained; with `features`, one made of stages and heads.
        task: gives the clips.
        split: "train", "validation" or "test".
        features: also the features of every exit, as class means are taken of: means over a grid of 6 x 4 cells.
    """
    chosen = task.split(split)
    found = network_answers(model, np.asarray(task.log_mel(split)), features=features)
    return dataclasses.replace(found, labels=np.asarray(chosen.labels, np.int64), split=split, names=tuple(chosen.ids))


def network_answers(model: Network, log_mel: np.ndarray, *, features: bool = False) -> Answers:
    """The same about clips `[clips, frames, mels]` without names or labels."""
    return Answers(
        logits=model.logits(log_mel),
        features=_features(cast("MultiExitModel", model), log_mel) if features else (),
    )


def _features(model: MultiExitModel, log_mel: np.ndarray) -> tuple[np.ndarray, ...]:
    flat = [flat_over_grid(reached) for reached in model.features]
    pooled = keras.Model(model.keras_model.inputs, flat)
    return tuple(pooled.predict(log_mel[..., None], batch_size=128, verbose=0))
