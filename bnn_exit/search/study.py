"""The study: Optuna proposes candidates, its storage keeps every trial, and several machines may share one storage.

Proposals are those of the multi-objective tree-structured Parzen estimator (Ozaki et al. 2022), for accuracy and mean
time. Candidates over the budget are told to it as pruned, so that it learns where the budget ends. Each proposal has a
seed of its own, the study's plus the number of trials so far: one worker that is interrupted and resumed proposes the
same as one that was not.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, DataError, missing_package
from bnn_exit.search.record import AGAIN, DONE, RUNNING, Record

RANDOM = 20
"""Proposals at random before the estimator takes over: those over the budget count, and tell it little of accuracy."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Record) if field.name not in ("number", "state"))


class Study:
    """A study in its storage.

    Args:
        storage: URL of a database, such as sqlite:////home/me/study.db.
        name: of the study in it. Every machine with the same storage and name works on the same study.
        settings: what all its workers must agree on, as JSON values.
        folder: of this worker.

    Raises:
        MissingPackageError: optuna is not installed.
        DataError: the storage cannot be opened.
        ArgumentError: there is a study of this name with other settings.
    """

    def __init__(self, *, storage: str, name: str, settings: Mapping[str, Any], folder: Path) -> None:
        optuna = _optuna()
        self._settings, self.worker = settings, f"{socket.gethostname()}:{folder.absolute()}"
        try:
            self._study = optuna.create_study(
                storage=storage, study_name=name, directions=["maximize", "minimize"], load_if_exists=True
            )
            stored = self._study.user_attrs.get("settings")
            if stored is None:
                self._study.set_user_attr("settings", dict(settings))
        except Exception as error:  # whatever the driver of a database raises
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise DataError(
                f"--storage {hidden(storage)!r} cannot be opened ({reason.replace(storage, hidden(storage))}): give "
                "the URL of a database, such as sqlite:///study.db or postgresql://user@host/name, and install its "
                "driver"
            ) from error
        if stored is not None:
            check_same(stored, settings, name=name)

    def records(self) -> list[Record]:
        """Every trial, by number."""
        trials = self._study.get_trials(deepcopy=False)
        return [_record(trial) for trial in trials if trial.state.name != "WAITING"]

    def ask(self) -> Any:
        """A new trial, of `suggest_categorical` and `number`."""
        optuna = _optuna()
        counted = [record for record in self.records() if record.state != AGAIN]
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._settings["seed"] + len(counted), n_startup_trials=RANDOM
        )
        trial = self._study.ask()
        trial.set_user_attr("worker", self.worker)
        return trial

    def note(self, trial: Any, **values: Any) -> None:
        """Store fields of the trial's record."""
        for name, value in values.items():
            trial.set_user_attr(name, value)

    def finish(self, trial: Any, state: str, **values: Any) -> None:
        """Store the rest of the record and end the trial; of one that is DONE `accuracy` and `mean_us` are needed."""
        states = _optuna().trial.TrialState
        self.note(trial, state=state, **values)
        if state == DONE:
            self._study.tell(trial, [values["accuracy"], values["mean_us"]])
        else:
            self._study.tell(trial, state=states.FAIL if state == AGAIN else states.PRUNED)

    def propose(self, choices: Mapping[str, Any]) -> None:
        """Have these choices be the next trial."""
        self._study.enqueue_trial(dict(choices), skip_if_exists=True)

    def make_again(self) -> list[int]:
        """End the trials of this worker that an interruption has left, and propose the same once more; their numbers.

        The caller holds the lock of the folder, so that no other process is at work on them.
        """
        states = _optuna().trial.TrialState
        left = [
            trial
            for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING,))
            if trial.user_attrs.get("worker") == self.worker
        ]
        for trial in left:
            self._study.enqueue_trial(trial.params)
            self._study.tell(trial.number, state=states.FAIL)
        return [trial.number for trial in left]


def _record(trial: Any) -> Record:
    known = {name: value for name, value in trial.user_attrs.items() if name in _FIELDS}
    ended = trial.user_attrs.get("state", AGAIN) if trial.state.is_finished() else RUNNING
    if trial.state.name == "FAIL":
        ended = AGAIN
    return Record(trial.number, ended, **known)


def check_same(stored: Mapping[str, Any], settings: Mapping[str, Any], *, name: str) -> None:
    """ArgumentError that names the first setting in which a study differs from what was asked for."""
    for what in sorted({*stored, *settings}):
        if stored.get(what) != settings.get(what):
            raise ArgumentError(
                f"{what} is {_short(settings.get(what))}, but the study {name!r} was made with "
                f"{_short(stored.get(what))}: give the same, or another --out and --name"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def sqlite_in(folder: Path) -> str:
    """The URL of the storage in a study's own folder."""
    return f"sqlite:///{(folder / 'study.db').absolute()}"


def hidden(storage: str) -> str:
    """The URL without a password."""
    scheme, mark, rest = storage.partition("://")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    return f"{scheme}{mark}{user}{':***' if colon else ''}{at}{place}"


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise missing_package("optuna", purpose="the search", extra="search") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
