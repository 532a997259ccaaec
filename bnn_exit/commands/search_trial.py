"""One trial of a search: a candidate trained for a short time in a run folder, and what it reaches in the budget."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit._keras import keras
from bnn_exit.calibration.constraints import Constraints
from bnn_exit.calibration.operator_rates import OperatorRates
from bnn_exit.calibration.select import select
from bnn_exit.commands.deploy import scored
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import DEFAULT
from bnn_exit.runs.folder import RunFolder
from bnn_exit.search.cost import Budget
from bnn_exit.search.space import Candidate
from bnn_exit.settings.recipes import Recipe
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.values import sound_features
from bnn_exit.training import schemes
from distill.trainer import check_steps, train_steps

UNLIMITED_DROP = 0.005
"""Accuracy that thresholds may lose where no time is limited: that of the operating point `balanced`."""

Stop = Callable[[list[dict[str, Any]]], bool]


def train_trial(
    candidate: Candidate, recipe: Recipe, task: audio_tasks.Task, *, epochs: int, seed: int, folder: Path, stop: Stop
) -> Any:
    """Train a candidate in a new run folder, from the labels alone; the network.

    The code is that of `train`. A teacher of the recipe is left out: its soft labels would take longer than the trial.

    Args:
        candidate: what is trained.
        recipe: gives training and augmentation.
        task: with the features of the candidate.
        epochs, seed: in place of the recipe's.
        folder: of the run; it is made.
        stop: as of `bnn_exit.fit`.
    """
    made = schemes.make(candidate.scheme)
    config = RunConfig(
        RunTask.of(task),
        candidate.model,
        recipe.augment.scaled_to(candidate.features),
        dataclasses.replace(recipe.training, epochs=epochs, seed=seed),
        policy=made.policy,
        scheme=candidate.scheme,
    )
    check_steps(config, task, None)
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    run.save_config(config)
    run.write_environment(command="python -m bnn_exit.search", seed=seed)
    network = train_steps(config, task, None, folder=folder, progress=False, stop=stop)
    with contextlib.suppress(FileNotFoundError):
        (folder / "last.npz").unlink()  # the larger part of the folder, and of use only to an unfinished training
    return network


def outcome(
    network: Any, task: audio_tasks.Task, folder: Path, *, rates: OperatorRates, budget: Budget
) -> dict[str, Any]:
    """What a trained network reaches with thresholds for the budget, as fields of `search.record.Record`.

    The thresholds are those of the highest validation accuracy within the mean time. Without a limit of time they are
    those of the least work that lose at most UNLIMITED_DROP.

    Raises:
        InfeasibleError: even the first exit alone takes too long.
    """
    run = RunFolder(folder)
    policy = run.config.policy or DEFAULT
    exit_logits = scored(network, task, run, policy=policy)
    device = rates.profile(network.work(), sound_features(task.features), clip_samples=task.clip_samples)
    if budget.max_mean_us is None:
        constraints = Constraints({"max_accuracy_drop": UNLIMITED_DROP}, device=device)
    else:
        constraints = Constraints({"max_mean_us": budget.max_mean_us}, device=device)
    point = select(exit_logits, network.exit_costs(), constraints, name="search", policy_name=policy).point
    run.save_operating_points({point.name: point})
    mean_us = sum(share * time for share, time in zip_strict(point.exit_shares, device.mean_us))
    return {"accuracy": point.accuracy, "mean_us": mean_us, "exit_shares": list(point.exit_shares)}


def forget_networks() -> None:
    """Free what Keras keeps of networks: a study makes hundreds in one process."""
    keras.backend.clear_session()
