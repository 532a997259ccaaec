"""Your own data: a folder for each class. `python -m audio_tasks.folder DIR --check` checks it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from audio_tasks.base import Task, check_task
from audio_tasks.cache import Clips, count_reasons, decode_clips, default_cache_dir
from audio_tasks.check import print_report
from audio_tasks.layout import open_data_dir, rights_of, speaker_of, survey_classes
from audio_tasks.silence import read_noise
from audio_tasks.split import SPLITS
from audio_tasks.splits import Member, check_shares, split_groups, split_of, split_stratified
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.files import expanded
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.text import counted

LAYOUT = "a folder for each class with its clips as .wav, .flac or .ogg"
_NEEDED_SPEAKERS = 3


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    clip_seconds: float = 1.0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_by: str = "auto",
) -> Task:
    """A folder for each class, split so that no speaker, or else no recording, is in two splits.

    Args:
        data_dir: folder (or archive) with a folder for each class. Noise to train with may lie in `_background_noise_`.
        features: log-mel settings; clips are resampled to their sample rate.
        cache_dir: where to keep decoded clips and features.
        seed: of the split of speakers or recordings.
        clip_seconds: length of a network's input. Shorter clips get silence on both sides, of longer ones the
            middle is used. `--check` counts the longer ones.
        validation_fraction, test_fraction: share of the clips, each above 0, together below 1.
        split_by: "speaker": by the part of the file name before the first underscore, whole speakers to one split.
            "content": each class by itself; equal recordings stay together. "auto": by speaker if each class has at
            least three.

    Raises:
        ArgumentError: no data_dir, or a value out of range.
        DataError: the data is missing, in another layout or too little for three splits.
    """
    task = read(
        data_dir=data_dir,
        features=features,
        cache_dir=cache_dir,
        seed=seed,
        clip_seconds=clip_seconds,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        split_by=split_by,
    )
    return check_task(task)


def read(
    *,
    data_dir: str | os.PathLike[str] | None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    clip_seconds: float = 1.0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    split_by: str = "auto",
) -> Task:
    """As `load`, but a class or split without clips is no error, so that the report can name it."""
    features = features or FeatureConfig()
    _check_options(data_dir, clip_seconds, validation_fraction, test_fraction, split_by)
    assert data_dir is not None
    cache = expanded(cache_dir) if cache_dir else default_cache_dir()
    root = open_data_dir(data_dir, cache_dir=cache, layout=LAYOUT)
    found = survey_classes(root, layout=LAYOUT)
    folders = found.classes
    files = {f"{name}/{path.name}": path for name, paths in folders.items() for path in paths}
    clip_samples = max(1, round(clip_seconds * features.sample_rate_hz))
    clips = decode_clips(
        files,
        name="folder",
        root=root,
        cache_dir=cache,
        clip_samples=clip_samples,
        sample_rate_hz=features.sample_rate_hz,
    )
    labels = tuple(folders)
    index = {name: label for label, name in enumerate(labels)}
    members = [Member(key, index[key.split("/", 1)[0]], speaker_of(files[key])) for key in clips.rows]
    by_speaker, note = _by_speaker(members, labels, split_by)
    names = _split_names(members, clips, by_speaker, validation=validation_fraction, test=test_fraction, seed=seed)
    splits = {}
    for name in SPLITS:
        mine = [member for member, split in zip_strict(members, names) if split == name]
        splits[name] = split_of(name, mine, clips)
        if not by_speaker:
            splits[name].speakers = None  # what stands before the underscore is then no speaker

    noise = read_noise(root, features)
    problems = {**clips.problems, **found.problems, **noise.problems}
    licence, attribution = rights_of(root)
    return Task(
        name="folder",
        labels=labels,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        clip_samples=clip_samples,
        features=features,
        noise=noise.recordings,
        licence=licence,
        attribution=attribution,
        skipped=count_reasons(problems),
        options={
            "data_dir": str(expanded(data_dir).resolve()),
            "seed": seed,
            "clip_seconds": clip_seconds,
            "validation_fraction": validation_fraction,
            "test_fraction": test_fraction,
            "split_by": split_by,
        },
        cache_dir=clips.folder,
        problems=problems,
        notes=(note, *found.notes, *noise.notes),
        files=files,
        lengths=clips.lengths,
        contents=clips.contents,
    )


def _check_options(
    data_dir: str | os.PathLike[str] | None, clip_seconds: float, validation: float, test: float, split_by: str
) -> None:
    if data_dir is None:
        raise ArgumentError(f"task folder needs --data-dir: {LAYOUT}")
    if not 0.01 <= clip_seconds <= 60:
        raise ArgumentError(f"clip_seconds is {clip_seconds!r}, but must be from 0.01 to 60")
    check_shares(validation=validation, test=test)
    one_of("split_by", split_by, ("auto", "content", "speaker"))


def _by_speaker(members: Sequence[Member], labels: Sequence[str], split_by: str) -> tuple[bool, str]:
    """Whether to split by speaker, and a sentence about it."""
    speakers: dict[int, set[str]] = {label: set() for label in range(len(labels))}
    for member in members:
        speakers[member.label].add(member.speaker)
    fewest = min(speakers, key=lambda label: len(speakers[label]))
    everyone = set().union(*speakers.values())
    # With fewer, a class could not be in all three splits. A prefix that only repeats the class is no speaker either.
    enough = len(speakers[fewest]) >= _NEEDED_SPEAKERS and any(
        "_" in member.id.rsplit("/", 1)[-1] for member in members
    )
    if split_by == "speaker" or (split_by == "auto" and enough):
        return (
            True,
            f"split by speaker (the file name before the first underscore): {counted(len(everyone), 'speaker')}",
        )
    reason = f"{labels[fewest]} has {len(speakers[fewest])} different beginnings of file names before an underscore"
    why = "" if split_by == "content" else f" ({reason}, and {_NEEDED_SPEAKERS} speakers a class are needed)"
    return False, f"split by recording, so a speaker may be in several splits{why}"


def _split_names(
    members: Sequence[Member], clips: Clips, by_speaker: bool, *, validation: float, test: float, seed: int
) -> list[str]:
    labels = [member.label for member in members]
    if by_speaker:
        groups = [member.speaker for member in members]
        return split_groups(groups, labels, validation=validation, test=test, seed=seed)
    groups = [clips.contents[member.id] for member in members]
    return split_stratified(groups, labels, validation=validation, test=test, seed=seed)


EPILOG = """\
Layout: DIR/yes/anna_01.wav, DIR/yes/ben_01.wav, DIR/no/anna_01.wav, ...: a folder for each class, and file names that
begin with the speaker and an underscore where speakers are known. Long recordings of noise may lie in
DIR/_background_noise_.

Exit status: 0 if the data is fit for use, 1 if something is wrong with it (each fault is named),
2 for a wrong argument.
"""


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        prog="python -m audio_tasks.folder",
        description="Check a folder of audio clips before training on it (python -m bnn_exit.train --task folder).",
        epilog=EPILOG,
    )
    parser.add_argument("data_dir", metavar="DIR", help="folder, .tar.gz or .zip with a folder for each class")
    parser.add_argument("--check", action="store_true", help="print the report (the only action)")
    parser.add_argument("--clip-seconds", type=float, default=1.0, help="length of a clip; default %(default)s")
    parser.add_argument("--validation-fraction", type=float, default=0.1, help="default %(default)s")
    parser.add_argument("--test-fraction", type=float, default=0.1, help="default %(default)s")
    parser.add_argument(
        "--split-by",
        default="auto",
        metavar="auto|speaker|content",
        help="what stays in one split; default %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split; default %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command: check a folder of classes and print what is in it."""

    def run() -> int:
        options = vars(arguments().parse_args(argv))
        options.pop("check")
        return print_report(read(**options))

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
