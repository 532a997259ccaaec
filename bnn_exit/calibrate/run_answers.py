"""The answers and costs of a run: cached ones where they are, otherwise the network is asked."""

from __future__ import annotations

import sys
from pathlib import Path

from bnn_exit.answers import ANSWERS, Answers
from bnn_exit.calibrate.exit_costs import COSTS, ExitCosts
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, DataError

SPLIT = "validation"


def of_run(folder: Path, *, features: bool = False, data_dir: str | None = None) -> tuple[Answers, ExitCosts]:
    """The answers of all exits to the validation clips, and what the exits cost.

    If something is missing, all is made from the run's weights and data with TensorFlow, and kept in the run.

    Args:
        folder: of the run.
        features: the answers must hold the features of every exit.
        data_dir: where the data is, if it has moved since the training.

    Raises:
        ArgumentError: the folder is no run.
        DataError: a file of the run is damaged, or the validation split has no clips.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{str(folder)!r} is no run: there is no such folder (bnn_exit.train makes runs)")
    path, costs_path = folder / ANSWERS / f"{SPLIT}.npz", folder / COSTS
    if not path.is_file() or not costs_path.is_file():
        _make(folder, path, costs_path, features=features, data_dir=data_dir)
    answers, costs = Answers.load(path), ExitCosts.load(costs_path)
    if features and not answers.features:
        _make(folder, path, costs_path, features=True, data_dir=data_dir)
        answers = Answers.load(path)
    if answers.exits != len(costs.exits):
        raise DataError(
            f"{path} has {answers.exits} exits, but {costs_path} has {len(costs.exits)}: delete both, and they are "
            "made again"
        )
    return answers, costs


def _make(folder: Path, path: Path, costs_path: Path, *, features: bool, data_dir: str | None) -> None:
    what = "answers with features" if features else "answers"
    show(f"{folder} has no cached {what}: asking its network, with TensorFlow", file=sys.stderr)
    import audio_tasks
    from bnn_exit.calibrate.from_model import answers_of
    from bnn_exit.training.runs import RunConfig

    config = RunConfig.load(folder)
    model = config.network(folder)
    task = audio_tasks.load_again(config.task, data_dir=data_dir)
    answers_of(model, task, split=SPLIT, features=features).save(path)
    ExitCosts.of(model).save(costs_path)
