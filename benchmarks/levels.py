"""Does a network recognise quiet clips, and what makes it do so at no cost for loud ones?

    python benchmarks/levels.py train ROW... --data-dir DIR      (minutes each; goes on where it was interrupted)
    python benchmarks/levels.py measure ROW... --data-dir DIR    (adds the row to results/levels.json)
    python benchmarks/levels.py table

Each row is a small QuickNet, trained by the fast recipe, for fewer epochs, on the words in DIR (Arabic Speech
Commands). It differs from the others in one thing: nothing (`usual`), clips attenuated at random (`attenuated`), or
a network that brings every clip to one level itself, with the log_offset that goes with it (`normalised`). `shipped` is
the model file that comes with the package and needs no training. `measure` takes the test clips at several levels,
rounded and clipped to 16 bits as a file would hold them, and gives the accuracy of every exit: in Keras, of a model
file on its backend.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called

import audio_tasks
from bnn_exit import machine
from bnn_exit.audio import logmel
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.files import read_json, write_json
from bnn_exit.settings.features import FeatureConfig

RESULT = Path(__file__).parent / "results" / "levels.json"
RUNS = Path("runs/levels")
HISTORY = "history.json"
EPOCHS = 5
"""Enough to tell the rows apart, not to say how accurate they can be."""
GAINS_DB = (6, 0, -10, -20, -30, -40)


@dataclasses.dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        about: what differs from `usual`.
        changes: of the recipe's augmentation.
        levels: of the network, a name in `models.level.LEVELS`.
        log_offset: of its features.
        model: a model file in place of a network of ours, by its name.
        seed: of its training.
    """

    about: str
    changes: dict[str, float]
    levels: str = "kept"
    log_offset: float = 1e-6
    model: str = ""
    seed: int = 0


SHIPPED = "arabic-speech-commands-small"
NEVER = {"attenuation_probability": 0.0}
HALF = {"attenuation_probability": 0.5, "attenuation_db": 40.0}
ROWS = {
    "usual": Row("no attenuation", NEVER),
    "attenuated": Row("half of the clips attenuated by 0 to 40 dB", HALF),
    "normalised": Row("the network brings every clip to one level", NEVER, "normalised", 1e-10),
    "shipped": Row("the model of the package", NEVER, model=SHIPPED),
    "usual-seed1": Row("no attenuation, seed 1", NEVER, seed=1),
    "attenuated-seed1": Row("half of the clips attenuated by 0 to 40 dB, seed 1", HALF, seed=1),
    "normalised-seed1": Row("the network brings every clip to one level, seed 1", NEVER, "normalised", 1e-10, seed=1),
}


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/levels.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("train", "train rows"), ("measure", "measure rows that are trained")):
        command = commands.add_parser(verb, prog=f"python benchmarks/levels.py {verb}", description=about, epilog="")
        command.add_argument("rows", nargs="+", metavar="ROW", help=", ".join(ROWS))
        command.add_argument("--data-dir", metavar="DIR", required=True, help="folder of the words")
        command.add_argument("--cache-dir", metavar="DIR", help="where decoded clips and features are kept")
        command.add_argument("--runs", type=Path, default=RUNS, help=f"where the networks are ({RUNS})")
    commands.add_parser("table", prog="python benchmarks/levels.py table", description="print the table", epilog="")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "table":
        print(table(read_json(RESULT)["rows"]))
        return 0
    rows = [one_of("row", name, ROWS) for name in options.rows]
    for name in rows:
        features = FeatureConfig(log_offset=ROWS[name].log_offset)
        places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir}
        task = audio_tasks.load("speech_commands", features=features, **places)
        if options.verb == "train":
            train(ROWS[name], task, options.runs / name)
        else:
            save(name, measure(ROWS[name], task, options.runs / name) | {"command": command})
    return 0


def train(row: Row, task: audio_tasks.Task, folder: Path) -> None:
    """Train the network of a row into `folder`, from where an earlier start was interrupted."""
    import bnn_exit
    from bnn_exit._keras import make_repeatable

    if row.model:
        raise ArgumentError(f"{row.about} is trained already: measure it")
    recipe, model = network(row, task)
    make_repeatable()
    folder.mkdir(parents=True, exist_ok=True)
    history = bnn_exit.fit(
        model,
        task,
        config=dataclasses.replace(recipe.training, epochs=EPOCHS, seed=row.seed),
        augment=dataclasses.replace(recipe.augment, **row.changes),
        folder=folder,
        resume=True,
    )
    write_json(folder / HISTORY, history)


def network(row: Row, task: audio_tasks.Task) -> tuple[Any, Any]:
    """The recipe and a new network."""
    import bnn_exit
    from bnn_exit._keras import set_seed
    from bnn_exit.settings import recipes

    recipe = recipes.load("fast", task=task.name, tasks=audio_tasks.TASKS)
    set_seed(row.seed)
    config = dataclasses.replace(recipe.model, levels=row.levels)
    return recipe, bnn_exit.build(**config.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)


def recorded(waveform: np.ndarray, gain_db: float) -> np.ndarray:
    """The clip as a file of 16 bits has it that was recorded with this gain."""
    return np.clip(np.round(waveform * 10 ** (gain_db / 20) * 32768), -32768, 32767).astype(np.float32) / 32768


def measure(row: Row, task: audio_tasks.Task, folder: Path) -> dict[str, Any]:
    """Accuracy of every exit on the test split at each level."""
    classify, about = of_file(row, task) if row.model else of_network(row, task, folder)
    levels = {}
    for gain_db in GAINS_DB:
        clips = (recorded(task.test.waveform(index), gain_db) for index in range(len(task.test)))
        labels = classify(list(clips))
        right = labels == np.asarray(task.test.labels)[:, None]
        levels[str(gain_db)] = [round(float(mean), 4) for mean in right.mean(axis=0)]
    return {
        "about": row.about,
        **machine.provenance(),
        "task": task.name,
        "licence": task.licence,
        "attribution": task.attribution,
        "split": "test",
        "sample_count": len(task.test),
        **about,
        "accuracy_by_gain_db": levels,
    }


Classify = Callable[[list[np.ndarray]], np.ndarray]
"""From waveforms to labels [clips, exits]."""


def of_network(row: Row, task: audio_tasks.Task, folder: Path) -> tuple[Classify, dict[str, Any]]:
    """The network that was trained into `folder`."""
    from bnn_exit.training import checkpoint
    from bnn_exit.training.loop import BEST

    if not (folder / HISTORY).is_file():
        raise ArgumentError(f"{folder} holds no finished network: python benchmarks/levels.py train first")
    recipe, model = network(row, task)
    checkpoint.load(folder / BEST, variables=model.keras_model.weights)
    augment = dataclasses.replace(recipe.augment, **row.changes).to_dict()
    return (
        lambda clips: model.logits(np.stack([logmel.log_mel(clip, task.features) for clip in clips])).argmax(axis=-1),
        {"measured_with": "Keras", "seed": row.seed, "epochs": EPOCHS, "augment": augment},
    )


def of_file(row: Row, task: audio_tasks.Task) -> tuple[Classify, dict[str, Any]]:
    """A model file, by its name."""
    import bnn_exit

    session = bnn_exit.load(row.model)
    if session.labels != task.labels:
        raise ArgumentError(f"{row.model} knows other words than the data: give those that it was trained on")
    return (
        lambda clips: np.stack([session.exit_probabilities(clip).argmax(axis=-1) for clip in clips]),
        {"measured_with": f"{row.model}, {session.backend} backend"},
    )


def save(name: str, result: dict[str, Any]) -> None:
    """Put a row into the result file; those of other calls stay."""
    rows = read_json(RESULT)["rows"] if RESULT.is_file() else {}
    rows[name] = result
    rows = {known: rows[known] for known in ROWS if known in rows}
    write_json(RESULT, {"question": __doc__.splitlines()[0], "exits": "in order of depth", "rows": rows})
    print(table({name: result}), flush=True)


def table(rows: dict[str, Any]) -> str:
    """Accuracy of the last exit in percent, a column for each level."""
    lines = [
        "| network | " + " | ".join(f"{gain:+d} dB" if gain else "0 dB" for gain in GAINS_DB) + " |",
        "|---|" + "---:|" * len(GAINS_DB),
    ]
    for name, row in rows.items():
        figures = (f"{100 * row['accuracy_by_gain_db'][str(gain)][-1]:.2f}" for gain in GAINS_DB)
        lines.append(f"| {name}: {row['about']} | {' | '.join(figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
