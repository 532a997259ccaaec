"""Operating points of a trained network, from its validation clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from bnn_exit import policies
from bnn_exit._keras import keras
from bnn_exit.calibration.constraints import Constraints
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.objective import check_standard_errors
from bnn_exit.calibration.operating_points import DROPS, STANDARD_ERRORS, operating_points
from bnn_exit.calibration.select import CHOOSE, checked_subset, select
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import OperatingPoint, OperatingPoints
from bnn_exit.models.heads import flat_over_grid
from bnn_exit.models.network import Network
from bnn_exit.policies import Policy, Sizes
from bnn_exit.task import Task, background_of

if TYPE_CHECKING:
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
        split: "validation"; "train" is accepted but optimistic. Never "test": its figures are for reporting.
        drops: operating point -> accuracy that it may lose; None switches every early exit off.
        policy: fitted, or the name of one to fit; None means the default one. With limits, a name.
        standard_errors: of the accuracy lost, which must fit into what may be lost as well; larger is safer and slower,
            0 is no margin. Not with a confidence.
        minimise: "ops", "time" or "loss"; see `calibration.constraints`.
        device: whose times are limited.
        exits: the subset, 0-based and at least two, or "choose" for the best one under the limits; None means all.
            `export` leaves the others out of the file.
        confidence: guarantees max_accuracy_drop on new clips, such as 0.95; see `calibration.guarantee`.
        **limits: names in `calibration.constraints.LIMITS`, such as max_accuracy_drop=0.01, max_mean_cost=0.5, the most
            important first; they add an operating point "custom".

    Returns:
        A dict of the operating points, with the fitted policy and the exit subset that `export` needs.

    Raises:
        ArgumentError: settings out of range, or infeasible limits; the message has the nearest feasible ones.
        DataError: clips without labels or of one class, or too few of them for a guarantee.
    """
    if one_of("split", split, ("train", "validation", "test")) == "test":
        raise ArgumentError("split is 'test', but thresholds chosen on the test split would flatter every later figure")
    check_standard_errors(standard_errors)
    constraints = None
    if limits or minimise:
        constraints = Constraints(limits, minimise=minimise, device=device, standard_errors=standard_errors)
    if confidence is not None and constraints is None:
        raise ArgumentError(f"confidence is {confidence!r}, but max_accuracy_drop, which it guarantees, is missing")
    if exits == CHOOSE and constraints is None:
        raise ArgumentError(f"exits is {exits!r}, but choosing needs a limit, such as max_accuracy_drop=0.01")
    if constraints is not None and isinstance(policy, Policy):
        raise ArgumentError(f"policy is a fitted {policy.name}, but with limits it must be a name: it is fitted here")
    given = policy.name if isinstance(policy, Policy) else policy or policies.DEFAULT
    name = one_of("policy", given, policies.POLICIES)
    exit_logits = exit_logits_of(model, task, split=split, features=policies.POLICIES[name].needs_features)
    costs = model.exit_costs()
    wanted = exits if exits is None or isinstance(exits, str) else tuple(exits)
    custom: dict[str, OperatingPoint] = {}
    if constraints is not None:
        selection = select(exit_logits, costs, constraints, policy_name=name, exits=wanted, confidence=confidence)
        subset, fitted, custom = selection.exits, selection.policy, {"custom": selection.point}
    else:
        subset = checked_subset(wanted, exit_logits, chained=costs.chained)
        fitted = policy if isinstance(policy, Policy) else policies.fit(name, exit_logits.select_exits(subset))
    part = exit_logits.select_exits(subset)
    spent = costs.select_exits(subset).with_policy(fitted, Sizes.of(part))
    points = operating_points(part, spent, drops=drops, standard_errors=standard_errors, policy=fitted)
    return OperatingPoints({**points, **custom}, policy=fitted, exits=None if exits is None else subset)


def exit_logits_of(model: Network, task: Task, *, split: str, features: bool = False) -> ExitLogits:
    """The logits of every exit of a network for the clips of a split.

    Args:
        model: trained; with `features`, one made of stages and heads.
        task: gives the clips.
        split: "train", "validation" or "test".
        features: also the features of every exit, as class means are taken of: means over a grid of 6 x 4 cells.
    """
    chosen = task.split(split)
    found = network_exit_logits(model, np.asarray(task.log_mel(split)), features=features)
    return dataclasses.replace(
        found,
        labels=np.asarray(chosen.labels, np.int64),
        split=split,
        names=tuple(chosen.ids),
        background=background_of(task.labels),
    )


def network_exit_logits(model: Network, log_mel: np.ndarray, *, features: bool = False) -> ExitLogits:
    """The same for clips `[clips, frames, mels]` without names or labels."""
    return ExitLogits(
        logits=model.logits(log_mel),
        features=_features(cast("MultiExitModel", model), log_mel) if features else (),
    )


def _features(model: MultiExitModel, log_mel: np.ndarray) -> tuple[np.ndarray, ...]:
    flat = [flat_over_grid(reached) for reached in model.features]
    pooled = keras.Model(model.keras_model.inputs, flat)
    return tuple(pooled.predict(log_mel.reshape(-1, *pooled.input_shape[1:]), batch_size=128, verbose=0))
