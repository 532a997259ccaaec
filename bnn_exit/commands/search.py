"""Search for a network under a budget: `python -m bnn_exit.search --max-mean-us 50 --max-kb 300`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit import pretrained
from bnn_exit.calibration.operator_rates import OperatorRates
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.files import read_json_object
from bnn_exit.runs.lock import held, new_folder
from bnn_exit.runs.options import add_data_options, check_unchanged, data_options, feature_options, pairs
from bnn_exit.search.cost import EARLY_SHARE, Budget
from bnn_exit.search.settings import FORMAT_VERSION, PAGE, RECIPE, STUDY, TRIALS, SearchSettings
from bnn_exit.search.space import CHOICES, Space, parsed
from bnn_exit.search.study import Study, hidden, sqlite_in
from bnn_exit.settings import recipes

_PLACES = ("data_dir", "cache_dir", "negatives")

_CHOICES = "\n".join(f"  {name:14s} {json.dumps(values)[1:-1]}" for name, values in CHOICES.items())

EPILOG = f"""\
examples:
  python -m bnn_exit.search --task speech_commands --data-dir DIR --max-mean-us 100 --max-kb 300 --hours 3
  python -m bnn_exit.bench esc10-small --json > a.json      (on the board; and again, with other models)
  python -m bnn_exit.search --task speech_commands --device a.json --device b.json --max-mean-us 900 --min-accuracy 0.95
  python -m bnn_exit.search --choose backbone=quicknet --choose hop_ms=20 --choose stages=2,3 --max-kb 100
  python -m bnn_exit.search --resume searches/words                          (after an interruption, or for more trials)
  python -m bnn_exit.search --storage postgresql://me@host/searches --name words --device board.json ...
      (on each of several machines)
  python -m bnn_exit.train --task speech_commands --recipe searches/words/{RECIPE}

A search trains many small networks for a short time. What each costs is known before: its time on the device from what
bnn_exit.bench measured there, by kind of operator, its bytes from its weights. Only candidates within the budget are
trained. Files of several models on one device (--device, repeated) make the times of new networks more exact. Without
--device, this machine is timed first, which takes seconds.

A training ends early, after a quarter or half of its epochs, if two others were then faster and at least as accurate.
Accuracy is on the validation split, with the best thresholds within the budget; the test split is never read.

The study folder then holds {STUDY} (every trial), {PAGE} (a plot and a table), {RECIPE} (the best trial within
the budget, for bnn_exit.train --recipe) and a run folder for each trial in trials/. Validation clips that have chosen
among many networks flatter the best one: train it in full and evaluate that on the test split.

chosen from, unless --choose says otherwise:
{_CHOICES}

{recipes.described()}
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.search",
        description="Search for a network that is accurate under a budget of time and bytes.",
        epilog=EPILOG,
    )
    budget = arguments.add_argument_group("budget")
    budget.add_argument(
        "--max-mean-us",
        type=float,
        metavar="US",
        help="microseconds of the average clip, front end included: larger is more accurate",
    )
    budget.add_argument(
        "--max-kb", type=float, metavar="KB", help="of the model file, 1000 bytes each: larger is more accurate"
    )
    budget.add_argument(
        "--min-accuracy",
        type=float,
        metavar="SHARE",
        help="validation accuracy, such as 0.95: the best trial is then the fastest one that reaches it",
    )
    budget.add_argument(
        "--device", action="append", default=[], metavar="FILE",
        help="what bnn_exit.bench MODEL --json printed on the device; repeatable, a file for each model",
    )  # fmt: skip
    budget.add_argument(
        "--early-share",
        type=float,
        default=EARLY_SHARE,
        metavar="SHARE",
        help="of the clips that reach an exit and are assumed to leave there, from 0 to 1, for the mean time before "
        f"training: larger lets larger networks be tried (default: {EARLY_SHARE})",
    )
    add_data_options(arguments, tasks=audio_tasks.TASKS, flags=audio_tasks.flags())
    trials = arguments.add_argument_group("trials")
    trials.add_argument(
        "--choose", action="append", default=[], metavar="NAME=V1,V2,...",
        help="values to choose a setting from, listed below; one value fixes it; repeatable",
    )  # fmt: skip
    trials.add_argument(
        "--recipe",
        metavar="NAME|FILE.json",
        help=f"all settings that are not chosen: {', '.join(recipes.shipped())} or a file (default: {recipes.DEFAULT})",
    )
    trials.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="of each trial: more tell better which is best, slower (default: a quarter of the recipe's)",
    )
    trials.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="networks to train in all, those that end early included: more find better ones (default: "
        f"{TRIALS} without --hours)",
    )
    trials.add_argument(
        "--hours", type=float, metavar="H", help="begin no trial after so many hours; the last one is finished"
    )
    trials.add_argument(
        "--seed", type=int, default=0, help="of proposals and trainings; one worker is repeatable (default: 0)"
    )
    study = arguments.add_argument_group("study")
    study.add_argument("--out", metavar="STUDY", help="study folder to make (default: searches/TASK)")
    study.add_argument("--resume", metavar="STUDY", help="go on with a study, with its own settings")
    study.add_argument(
        "--storage",
        metavar="URL",
        help="database that several machines share, as SQLAlchemy names it; needs --device (default: SQLite in the "
        "study folder)",
    )
    study.add_argument("--name", help="of the study in the storage (default: the name of the study folder)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    if options.hours is not None and not options.hours > 0:
        raise ArgumentError(f"--hours is {options.hours:g}, but must be above 0")
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "bnn_exit.search", *_without_passwords(words)])
    with contextlib.ExitStack() as stack:
        if options.resume is None:
            settings, places = _new_settings(options)
            folder = Path(options.out or f"searches/{settings.task}")
            stack.enter_context(new_folder(folder))
            name, storage = options.name or folder.absolute().name, options.storage
        else:
            folder, known = Path(options.resume), _stored(options)
            settings, places = known["settings"], known["places"]
            stack.enter_context(held(folder))
            name, storage = known["name"], options.storage or known["storage"]
        from bnn_exit.commands.search_worker import Candidates, SearchWorker  # needs TensorFlow

        networks = Candidates(settings, places)
        if options.resume is None:
            networks.check_budget()
        study = Study(storage=storage or sqlite_in(folder), name=name, settings=settings.to_dict(), folder=folder)
        worker = SearchWorker(networks, study, folder, name=name, storage=storage, command=command)
        worker.save()  # before anything that takes long: from here on the study can be resumed
        return worker.run(trials=options.trials, hours=options.hours)


def _new_settings(options: argparse.Namespace) -> tuple[SearchSettings, dict[str, Any]]:
    """The settings of a new study and the places of its data; everything that takes no data is checked."""
    budget = Budget(options.max_mean_us, options.max_kb, options.min_accuracy)
    task = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    if not audio_tasks.of_sound(task):
        raise ArgumentError(f"--task is {task!r}, but a search is for tasks of sound: it chooses log-mel features too")
    if not 0 <= options.early_share <= 1:
        raise ArgumentError(f"--early-share is {options.early_share:g}, but must be from 0 to 1")
    if options.storage is not None and not options.device:
        raise ArgumentError("--storage is given without --device: machines that share a study need the same times")
    recipe = recipes.load(
        options.recipe or recipes.DEFAULT, task=task, tasks=audio_tasks.TASKS, negatives=options.negatives is not None
    )
    recipe = dataclasses.replace(recipe, features=feature_options(options, recipe.features))
    chosen: dict[str, Any] = {
        name: [value] for name, value in pairs("--feature", options.feature).items() if name in ("hop_ms", "num_mels")
    }
    space = Space.of(recipe, {**chosen, **parsed(options.choose)})
    seed = dataclasses.replace(recipe.training, seed=options.seed).seed  # checked there
    given = data_options(options, audio_tasks.flags())
    settings = SearchSettings(
        task,
        {name: value for name, value in given.items() if name not in _PLACES},
        recipe,
        space,
        budget,
        OperatorRates.load(options.device) if options.device else _own_rates(),
        options.early_share,
        options.epochs or max(1, recipe.training.epochs // 4),
        seed,
    )
    return settings, {name: given[name] for name in _PLACES if given.get(name) is not None}


def _own_rates() -> OperatorRates:
    from bnn_exit.commands.bench import bench

    show("timing this machine: a device of its own is given by --device", file=sys.stderr)
    return OperatorRates.from_bench([bench(name, cold=False) for name in pretrained.models()])


def _stored(options: argparse.Namespace) -> dict[str, Any]:
    """What study.json of the folder to resume says; ArgumentError for options that cannot change."""
    check_unchanged(options, parser(), free=("trials", "hours", "storage", "negatives"), kind="study")
    path = Path(options.resume) / STUDY
    if not path.is_file():
        raise ArgumentError(
            f"--resume {options.resume!r} is no study: it has no {STUDY} (bnn_exit.search makes studies)"
        )
    try:
        values = read_json_object(path)
        if values["format"] > FORMAT_VERSION:
            raise ValueError(f"it is of format {values['format']}, this bnn_exit reads up to {FORMAT_VERSION}")
        moved = {name: getattr(options, name) for name in _PLACES if getattr(options, name) is not None}
        return {
            "settings": SearchSettings.from_dict(values["settings"]),
            "places": {**values["places"], **moved},
            "name": values["name"],
            "storage": values["storage"],
        }
    except Exception as error:  # the folder may come from elsewhere: whatever its values cause
        raise DataError(f"{path} cannot be read ({error!r}): begin the search again with another --out") from error


def _without_passwords(words: Sequence[str]) -> list[str]:
    return [hidden(word) if "://" in word else word for word in words]
