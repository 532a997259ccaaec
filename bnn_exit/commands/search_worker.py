"""The worker of a search: from proposals to trained trials, and the files of the study folder."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit import machine
from bnn_exit._keras import make_repeatable
from bnn_exit.calibration.constraints import InfeasibleError
from bnn_exit.commands.search_trial import forget_networks, outcome, train_trial
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.files import write_bytes, write_json
from bnn_exit.models.multi_exit import build
from bnn_exit.search.cost import Prediction, predicted
from bnn_exit.search.page import page
from bnn_exit.search.record import DONE, INVALID, OVER, STOPPED, Record, best, is_weak, pareto, rungs
from bnn_exit.search.settings import FORMAT_VERSION, PAGE, RECIPE, STUDY, TRIALS, SearchSettings
from bnn_exit.search.space import Candidate
from bnn_exit.search.study import Study, hidden
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.training import schemes

MOST_MISSES = 300
"""Candidates in a row that are over the budget, invalid or known, after which a study ends."""


class Candidates:
    """The networks of a study, which cost nothing to look at, and the data that they are trained on.

    Args:
        settings: of the study.
        places: of the data here: options of the task.
    """

    def __init__(self, settings: SearchSettings, places: Mapping[str, Any]) -> None:
        self.settings, self.places = settings, dict(places)
        self._loaded: tuple[str, Any] = ("", None)

    def check_budget(self) -> None:
        """ArgumentError, with the nearest, if no network of the space is within the budget."""
        costs = [(candidate, cost) for candidate in self.settings.space.smallest() if (cost := self.cost(candidate))]
        if not costs:
            raise ArgumentError(
                "no network of these choices can be built: give more of them, or coarser ones, by --choose"
            )
        candidate, cost = min(costs, key=lambda item: self.settings.budget.excess(item[1].to_dict()))
        if self.settings.budget.excess(cost.to_dict()) > 1:
            raise ArgumentError(
                f"no network is within {self.settings.budget}: the nearest is {_priced(candidate, cost)}"
            )

    def cost(self, candidate: Candidate) -> Prediction | None:
        """What a candidate costs; None if there is no such network."""
        task, settings = self._any_task(), self.settings
        frames = candidate.features.num_frames(task.clip_samples)
        try:
            if schemes.make(candidate.scheme).head not in (None, candidate.model.head):
                return None
            network = build(
                **candidate.model.to_dict(),
                num_classes=task.num_classes,
                input_shape=(frames, candidate.features.num_mels, 1),
            )
        except ArgumentError:
            return None
        cost = predicted(
            network,
            settings.rates,
            candidate.features,
            clip_samples=task.clip_samples,
            early_share=settings.early_share,
        )
        forget_networks()
        return cost

    def excess(self, cost: Prediction) -> float:
        """At most 1 within the budget, as `Budget.excess`."""
        return self.settings.budget.excess(cost.to_dict())

    def _any_task(self) -> audio_tasks.Task:
        """The task with the features of the last trial: clips and classes are the same with all."""
        return self._loaded[1] or self.task(self.settings.recipe.features)

    def task(self, features: FeatureConfig) -> audio_tasks.Task:
        """The task with these features; the last one is kept."""
        if self._loaded[0] != features.digest():
            options = {"data_dir": None, "cache_dir": None, **self.settings.options, **self.places}
            self._loaded = features.digest(), audio_tasks.load(self.settings.task, features=features, **options)
        return self._loaded[1]


class SearchWorker:
    """A worker of a study: asks for candidates, trains those within the budget, and writes what is known.

    Args:
        networks: of the study.
        study: in its storage.
        folder: of this worker, which holds its lock.
        name, storage: of the study; the storage is None for the one in the folder.
        command: the command line, for the record.
    """

    def __init__(
        self,
        networks: Candidates,
        study: Study,
        folder: Path,
        *,
        name: str,
        storage: str | None,
        command: str,
    ) -> None:
        self.networks, self.settings, self.study, self.folder = networks, networks.settings, study, folder
        self.name, self.storage, self.command = name, storage, command
        self.over = 0

    def run(self, *, trials: int | None, hours: float | None) -> int:
        """Train until there are enough trials or no time is left, then say what was found; the exit status."""
        make_repeatable()
        for number in self.study.make_again():
            shutil.rmtree(self._trial_folder(number), ignore_errors=True)
            show(f"trial {number} was interrupted: it is made again", file=sys.stderr)
        most = trials if trials is not None else None if hours is not None else TRIALS
        end = None if hours is None else time.monotonic() + 3600 * hours
        self._propose_own()
        try:
            while (most is None or self._trained() < most) and (end is None or time.monotonic() < end):
                if not self._next():
                    break
                self.save()
        except KeyboardInterrupt:
            self.save()
            show(
                f"\ninterrupted: python -m bnn_exit.search --resume {shlex.quote(str(self.folder))} resumes it",
                file=sys.stderr,
            )
            return 130
        self.save()
        show(summary(self.study.records(), self.settings, folder=self.folder))
        return 0

    def _next(self) -> bool:
        """Candidates until one is within the budget, and its training; whether there was one."""
        nearest: tuple[Candidate, Prediction] | None = None
        for _ in range(MOST_MISSES):
            trial = self.study.ask()
            candidate = self.settings.space.candidate(trial.suggest_categorical)
            same = self._known(candidate)
            cost = None if same else self.networks.cost(candidate)
            if cost is None:
                reason = f"the same as trial {same.number}" if same else "no such network"
                self.study.finish(trial, INVALID, settings=candidate.to_dict(), reason=reason)
                continue
            self.study.note(trial, settings=candidate.to_dict(), predicted=cost.to_dict())
            if self.settings.budget.excess(cost.to_dict()) <= 1:
                self._train(trial, candidate, cost)
                return True
            self.over += 1
            self.study.finish(trial, OVER)
            if nearest is None or self.networks.excess(cost) < self.networks.excess(nearest[1]):
                nearest = candidate, cost
        about = f"; the nearest of those over it is {_priced(*nearest)}" if nearest else ""
        show(
            f"{MOST_MISSES} candidates in a row were over {self.settings.budget} or known already{about}: the search "
            "ends; a larger budget, or other choices by --choose, would have more",
            file=sys.stderr,
        )
        return False

    def _train(self, trial: Any, candidate: Candidate, cost: Prediction) -> None:
        settings, folder = self.settings, self._trial_folder(trial.number)
        if self.over:
            show(f"{self.over} candidates over the budget, not trained", file=sys.stderr)
            self.over = 0
        show(f"trial {trial.number}: {_priced(candidate, cost)}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        accuracies: dict[str, float] = {}
        steps, stopped = rungs(settings.epochs), []

        def stop(history: list[dict[str, Any]]) -> bool:
            epoch, accuracy = len(history), max(history[-1]["validation_accuracy"])
            if epoch not in steps:
                return False
            accuracies[str(epoch)] = accuracy
            self.study.note(trial, epochs=accuracies)
            others = [record for record in self.study.records() if record.number != trial.number]
            if is_weak(accuracy, cost.mean_us, others, epoch=epoch):
                stopped.append(f"{100 * accuracy:.2f} % after epoch {epoch} of {settings.epochs}")
            return bool(stopped)

        task = self.networks.task(candidate.features)
        try:
            network = train_trial(
                candidate, settings.recipe, task, epochs=settings.epochs, seed=settings.seed, folder=folder, stop=stop
            )
        except DataError as error:  # a loss that is no number: of this network, not of the study
            self.study.finish(trial, INVALID, reason=str(error))
            show(f"trial {trial.number}: {error}", file=sys.stderr)
            return
        if stopped:
            self.study.finish(trial, STOPPED, reason=stopped[0])
            show(f"trial {trial.number}: ended early, {stopped[0]}", file=sys.stderr)
        else:
            try:
                found = outcome(network, task, folder, rates=settings.rates, budget=settings.budget)
                self.study.finish(trial, DONE, **found)
                text = f"{100 * found['accuracy']:.2f} % at {found['mean_us']:.1f} us"
            except InfeasibleError as error:
                self.study.finish(trial, OVER, reason=str(error))
                text = str(error)
            show(f"trial {trial.number}: {text}", file=sys.stderr)
        forget_networks()

    # ---- what is known

    def save(self) -> None:
        """Write study.json, pareto.html and, if there is a best trial, recipe.json."""
        settings, records = self.settings, self.study.records()
        chosen = best(records, settings.budget)
        write_json(
            self.folder / STUDY,
            {
                "format": FORMAT_VERSION,
                "name": self.name,
                "storage": None if self.storage is None else hidden(self.storage),
                "settings": settings.to_dict(),
                "places": self.networks.places,
                "command": self.command,
                **machine.provenance(),
                "best": None if chosen is None else chosen.number,
                "pareto": [record.number for record in pareto(records)],
                "trials": [record.to_dict() for record in records],
            },
        )
        text = page(records, settings.budget, title=f"Search: {self.name}", facts=settings.facts())
        write_bytes(self.folder / PAGE, text.encode())
        if chosen is not None:
            write_json(self.folder / RECIPE, settings.recipe_of(chosen))

    def _trained(self) -> int:
        return sum(record.state in (DONE, STOPPED) for record in self.study.records())

    def _known(self, candidate: Candidate) -> Record | None:
        """An earlier trial of the same settings."""
        settings = candidate.to_dict()
        return next(
            (
                each
                for each in self.study.records()
                if each.settings == settings and each.state in (DONE, STOPPED, OVER)
            ),
            None,
        )

    def _propose_own(self) -> None:
        """Have the recipe's own network be tried first, if it is in the space."""
        space = self.settings.space
        choices = space.choices_of(space.own())
        if choices is not None:
            self.study.propose(choices)

    def _trial_folder(self, number: int) -> Path:
        return self.folder / "trials" / f"{number:04d}"


def _priced(candidate: Candidate, cost: Prediction) -> str:
    return f"{candidate}: {cost.mean_us:.1f} us, {cost.kb:.0f} kB"


def summary(records: Sequence[Record], settings: SearchSettings, *, folder: Path) -> str:
    """The trials that no other beats, the best one, and how to train it.

    Raises:
        BnnExitError: no trial is within the budget; the message gives the nearest.
    """
    budget = settings.budget
    lines = [f"{'trial':>5s} {'accuracy':>9s} {'mean us':>9s} {'kB':>6s}  settings"]
    for record in pareto(records):
        lines.append(
            f"{record.number:5d} {100 * float(record.accuracy or 0):8.2f}% {record.cost['mean_us']:9.1f} "
            f"{record.cost['kb']:6.0f}  {Candidate.from_dict(record.settings)}"
        )
    chosen = best(records, budget)
    if chosen is None:
        within = [each for each in records if each.state == DONE and budget.excess(each.cost) <= 1]
        if not within:
            raise BnnExitError(f"no trial within {budget} was trained to the end: give more --trials or --hours")
        nearest = max(within, key=lambda each: float(each.accuracy or 0))
        raise BnnExitError(
            f"no trial is within {budget}: the nearest is trial {nearest.number} with an accuracy of "
            f"{nearest.accuracy:.4f}"
        )
    where = shlex.quote(str(folder / RECIPE))
    return "\n".join(
        [
            *lines,
            f"best: trial {chosen.number}; {folder / PAGE} shows all",
            f"train it in full: python -m bnn_exit.train --task {settings.task} --recipe {where}",
        ]
    )
