"""One trial of a study, as its storage and study.json hold it, and what follows from many of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bnn_exit.search.cost import Budget

DONE, STOPPED, OVER, INVALID, AGAIN, RUNNING = "done", "stopped", "over budget", "invalid", "made again", "running"
STATES = {
    DONE: "trained to the end",
    STOPPED: "training ended early: others were faster and more accurate at the same epoch",
    OVER: "not trained: over the budget",
    INVALID: "no such network, the same as an earlier trial, or a training that failed",
    AGAIN: "interrupted, and made again under another number",
    RUNNING: "in training, here or on another machine",
}
"""State of a trial -> what it means."""

DOMINATORS = 2
"""Trials that must be both faster and at least as accurate at the same epoch before a training ends early. More keeps
more trials, and is slower."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One trial.

    Attributes:
        number: of the trial; its run folder is `trials/NUMBER` of the machine that trained it.
        state: a name in STATES.
        settings: `Candidate.to_dict`; empty where there is no such network.
        predicted: `Prediction.to_dict`, before training.
        epochs: number of an epoch, as text -> the validation accuracy of the best exit after it.
        accuracy: on validation, at the thresholds chosen for the budget; None unless DONE.
        mean_us: of the average clip at these thresholds, on the device, predicted from what each exit takes.
        exit_shares: of the clips that leave at each exit there.
        reason: why it was not trained to the end.
        worker: machine and folder of the study that trained it.
    """

    number: int
    state: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    predicted: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    accuracy: float | None = None
    mean_us: float | None = None
    exit_shares: Sequence[float] = ()
    reason: str = ""
    worker: str = ""

    @property
    def cost(self) -> dict[str, float]:
        """What the budget limits, of a trial that is done."""
        return {"mean_us": float(self.mean_us or 0.0), "kb": float(self.predicted["kb"])}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs after which a training may end early: a quarter and a half of all, as in successive halving.

    Example:
        >>> rungs(12)
        (3, 6)
    """
    return tuple(sorted({-(-epochs // 4), -(-epochs // 2)} - {epochs}))


def is_weak(accuracy: float, mean_us: float, others: Sequence[Record], *, epoch: int) -> bool:
    """Whether DOMINATORS other trials were faster, by prediction, and at least as accurate after this epoch.

    Successive halving (Jamieson and Talwalkar 2016) ends the worse half of the trials at each rung. With two objectives
    there is no worse half: a fast trial may be less accurate. So the rule is domination, and it needs no waiting for
    trials of other machines.
    """
    better = [
        other
        for other in others
        if other.epochs.get(str(epoch), -1.0) >= accuracy and other.predicted.get("mean_us", 0.0) <= mean_us
    ]
    return len(better) >= DOMINATORS


def pareto(records: Sequence[Record]) -> list[Record]:
    """The finished trials that no other one beats in time without losing accuracy, the fastest first."""
    found: list[Record] = []
    done = [record for record in records if record.state == DONE]
    for record in sorted(done, key=lambda each: (each.cost["mean_us"], -float(each.accuracy or 0), each.number)):
        if not found or float(record.accuracy or 0) > float(found[-1].accuracy or 0):
            found.append(record)
    return found


def best(records: Sequence[Record], budget: Budget) -> Record | None:
    """The trial to train in full: the most accurate within the budget; with `min_accuracy` the fastest that reaches it.

    None if no finished trial is within the budget.
    """
    found = [record for record in records if record.state == DONE and budget.excess(record.cost) <= 1]
    enough = [record for record in found if float(record.accuracy or 0) >= (budget.min_accuracy or 2.0)]
    if enough:
        return min(enough, key=lambda each: (each.cost["mean_us"], -float(each.accuracy or 0), each.number))
    if budget.min_accuracy is not None or not found:
        return None
    return max(found, key=lambda each: (float(each.accuracy or 0), -each.cost["mean_us"], -each.number))
