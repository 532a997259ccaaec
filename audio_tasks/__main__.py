"""`python -m audio_tasks TASK`: download the data of a task if possible, and report on it. `mix` makes recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import audio_tasks
from audio_tasks import mix_command
from audio_tasks.check import print_report
from bnn_exit.audio import wav
from bnn_exit.command_line import Parser, run_command
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.values import sound_features
from bnn_exit.text import counted

EPILOG = """\
examples:
  python -m audio_tasks speech_commands                       (downloads 2.4 GB)
  python -m audio_tasks esc10 --data-dir ESC-50-master.zip fold=2
  python -m audio_tasks mix --help                            (long recordings with words in them)

Exit status: 0 if the data is fit for use, 1 if something is wrong.
"""


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        prog="python -m audio_tasks",
        description="Load a task's data, decode it to the cache, and print clips, sample rates, lengths, levels, "
        "duplicates,\nleaks between splits and unusable files.",
        epilog=EPILOG,
    )
    parser.add_argument("task", help=f"one of {', '.join(audio_tasks.TASKS)}")
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE", help="the task's own options, such as words=12")
    parser.add_argument("--data-dir", help="folder or archive with the data")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice of the task; default %(default)s")
    parser.add_argument("--write", metavar="DIR", help="also write test clips there as WAV files, named by their label")
    parser.add_argument("--count", type=int, default=10, help="how many clips --write makes; default %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command: load a task and print the report on its data."""

    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["mix"]:
        return run_command(lambda: mix_command.run(given[1:]))

    def run() -> int:
        values = arguments().parse_intermixed_args(argv)  # options may stand between the task and its own
        options: dict[str, Any] = dict(audio_tasks.option(text) for text in values.options)
        task = audio_tasks.load(values.task, data_dir=values.data_dir, seed=values.seed, **options)
        if values.write is not None:
            _write_clips(task, Path(values.write), count=values.count)
        return print_report(task)

    return run_command(run)


def _write_clips(task: audio_tasks.Task, folder: Path, *, count: int) -> None:
    """Test clips spread over the split, of as many classes as possible."""
    if count < 1:
        raise ArgumentError(f"--count is {count}, but must be at least 1")
    rate = sound_features(task.features, what="--write").sample_rate_hz
    chosen = np.unique(np.linspace(0, len(task.test) - 1, count).astype(int))
    for index in chosen:
        name = f"{task.labels[task.test.labels[index]]}_{index}.wav".replace("/", "_")
        wav.write(
            folder / name,
            task.test.waveform(index),
            sample_rate_hz=rate,
        )
    show(f"wrote {counted(len(chosen), 'clip')} to {folder}")


if __name__ == "__main__":
    sys.exit(main())
