"""`python -m audio_tasks mix`: make long recordings with labelled words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import audio_tasks
from audio_tasks.layout import audio_files
from audio_tasks.mix import EVENTS, Mixed, mix
from audio_tasks.placing import MixSettings
from audio_tasks.split import SPLITS
from bnn_exit.command_line import Parser
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.settings.values import sound_features
from bnn_exit.task import BACKGROUND_LABELS
from bnn_exit.text import counted

EPILOG = f"""\
examples:
  python -m audio_tasks mix --task speech_commands --data-dir DIR --background speech/*.ogg --out mixed
  python -m audio_tasks mix --task speech_commands --data-dir DIR words=12 --background NOISE_DIR --snr-db 0 10 20
      --gap-s 2 10 --hours 5 --seed 1 --out mixed
  python -m bnn_exit.evaluate runs/words --stream mixed/*.wav --events mixed/{EVENTS}

Writes a WAV file for each background, and OUT/{EVENTS} with a line for each word: file, start_s, end_s, label, clip,
snr_db. Start and end are those of the word in its clip, by its energy. The level of a word is relative to the power of
the background within 5 s of it.
"""


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        prog="python -m audio_tasks mix",
        description="Place clips of a task into long backgrounds, at random pauses and given levels, by seed.",
        epilog=EPILOG,
    )
    parser.add_argument("options", nargs="*", metavar="NAME=VALUE", help="the task's own options, such as words=12")
    data = parser.add_argument_group("clips")
    data.add_argument("--task", required=True, metavar="NAME", help=", ".join(audio_tasks.TASKS))
    data.add_argument("--data-dir", metavar="DIR", help="folder or archive with the data")
    data.add_argument("--cache-dir", metavar="DIR", help="cache of downloads and decoded clips (~/.cache/bnn_exit)")
    data.add_argument("--split", default="test", help=f"{', '.join(SPLITS)} (default: test)")
    usual = "all but unknown, silence, background and noise"
    data.add_argument("--labels", metavar="A,B", help=f"labels to place (default: {usual})")
    place = parser.add_argument_group("placing")
    place.add_argument("--background", nargs="+", required=True, metavar="FILE|DIR", help="audio files, or folders")
    place.add_argument(
        "--snr-db", nargs="+", type=float, default=[10.0], metavar="DB", help="one is drawn for each word (default: 10)"
    )
    place.add_argument(
        "--gap-s", nargs=2, type=float, default=[3.0, 8.0], metavar=("LOW", "HIGH"), help="pauses (default: 3 8)"
    )
    place.add_argument("--hours", type=float, metavar="H", help="how much to make; backgrounds are used again")
    place.add_argument("--count", type=int, metavar="N", help="how many words to place; backgrounds are used again")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default: %(default)s)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to, without audio files")
    return parser


def run(argv: Sequence[str]) -> int:
    """Make the recordings; the exit status."""
    options = arguments().parse_args(argv)
    one_of("--split", options.split, SPLITS)
    settings = MixSettings(
        snr_db=tuple(options.snr_db),
        gap_s=(options.gap_s[0], options.gap_s[1]),
        seed=options.seed,
        hours=options.hours,
        count=options.count,
    )
    backgrounds = found_files(options.background)
    own: dict[str, Any] = dict(audio_tasks.option(text) for text in options.options)
    task = audio_tasks.load(options.task, data_dir=options.data_dir, cache_dir=options.cache_dir, **own)
    made = mix(
        task.split(options.split),
        labels=task.labels,
        chosen=placed_labels(task.labels, options.labels),
        backgrounds=backgrounds,
        out=options.out,
        sample_rate_hz=sound_features(task.features, what="mix").sample_rate_hz,
        settings=settings,
        report=lambda line: show(line, file=sys.stderr),
    )
    show(summary(made, options.out))
    return 0


def placed_labels(labels: Sequence[str], wanted: str | None = None) -> list[str]:
    """The labels that are placed: those of a list with commas, or all that are no background.

    Raises:
        ArgumentError: a label that the task lacks, with the nearest, or none at all.
    """
    if wanted is not None:
        return [one_of("--labels", label.strip(), labels) for label in wanted.split(",")]
    chosen = [label for label in labels if label not in BACKGROUND_LABELS]
    if not chosen:
        raise ArgumentError(f"every label of the task is background ({', '.join(labels)}): name some with --labels")
    return chosen


def found_files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Audio files, and those directly in folders; DataError for a folder without any."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = audio_files(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path} has no wav, flac or ogg files directly in it")
        found += inside
    return found


def summary(made: Sequence[Mixed], out: str) -> str:
    """What was made, in a line or two."""
    hours, words = sum(each.seconds for each in made) / 3600, sum(len(each.words) for each in made)
    lines = [
        f"{counted(len(made), 'recording')}, {hours:.3f} hours, {counted(words, 'word')}; wrote {Path(out) / EVENTS}"
    ]
    clipped = sum(each.clipped for each in made)
    if clipped:
        lines.append(f"note: {clipped} samples were beyond full scale and are clipped: take quieter backgrounds")
    return "\n".join(lines)
