"""ESC-50 and its part ESC-10: five-second environmental sounds in five folds (Piczak 2015)."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import NamedTuple

from audio_tasks.base import Task, check_task
from audio_tasks.cache import count_reasons, decode_clips, default_cache_dir
from audio_tasks.layout import AUDIO_SUFFIXES, open_data_dir
from audio_tasks.split import SPLITS
from audio_tasks.splits import Member, split_of, split_stratified
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.features import FeatureConfig

ARCHIVE = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
LAYOUT = "audio/{fold}-{id}-{take}-{target}.wav (or .ogg, .flac) and meta/esc50.csv, as in ESC-50"
FOLDS = 5
CLIP_SECONDS = 5
_VALIDATION_FRACTION = 0.2
_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")
_LICENCES = {"esc50": "CC BY-NC 3.0", "esc10": "CC BY 3.0"}
_CLASSES = {"esc50": 50, "esc10": 10}


class _Clip(NamedTuple):
    filename: str
    fold: int
    target: int
    category: str
    source: str


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    fold: int = 1,
) -> Task:
    """Fifty classes, 2,000 clips, one fold is the test split.

    Validation is 20 % of each class in the other four folds, by whole source recordings: no recording is in two splits.
    Published figures for this data are averages over the five folds.

    Args:
        data_dir: folder or archive in the layout of ESC-50. Needed: there is no download, because the archive that
            GitHub makes of the repository has no fixed checksum.
        features: log-mel settings; clips are resampled to their sample rate.
        cache_dir: where to keep decoded clips and features.
        seed: chooses the recordings of the validation split.
        fold: 1 to 5, the test fold.

    Raises:
        ArgumentError: no data_dir, or fold out of range.
        DataError: the data is missing or in another layout.
    """
    return _load("esc50", data_dir, features, cache_dir, seed, fold)


def load_esc10(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    fold: int = 1,
) -> Task:
    """The ten classes of ESC-50 that are ESC-10, 400 clips; arguments and errors as for `load`."""
    return _load("esc10", data_dir, features, cache_dir, seed, fold)


def _load(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    features: FeatureConfig | None,
    cache_dir: str | os.PathLike[str] | None,
    seed: int,
    fold: int,
) -> Task:
    features = features or FeatureConfig()
    if str(fold) not in {str(number) for number in range(1, FOLDS + 1)}:
        raise ArgumentError(f"fold is {fold!r}, but must be from 1 to {FOLDS}: the number of the test fold")
    fold = int(fold)
    if data_dir is None:
        raise ArgumentError(
            f"task {name} needs --data-dir: fetch {ARCHIVE} and give it, or the folder it unpacks to "
            "(nothing is downloaded, because that archive has no fixed checksum)"
        )
    cache = expanded(cache_dir) if cache_dir else default_cache_dir()
    root = open_data_dir(data_dir, cache_dir=cache, layout=LAYOUT)
    table = _read_table(root, only_esc10=name == "esc10")
    targets = {clip.target: clip.category for clip in table}
    if len(targets) != _CLASSES[name]:
        advice = ": use the task esc10" if len(targets) == _CLASSES["esc10"] else ""
        raise DataError(f"task {name} has {_CLASSES[name]} classes, but {root / 'meta'} lists {len(targets)}{advice}")

    found = _audio_by_stem(root / "audio")
    files = {f"audio/{path.name}": path for clip in table if (path := found.get(Path(clip.filename).stem))}
    clip_samples = CLIP_SECONDS * features.sample_rate_hz
    clips = decode_clips(
        files,
        name=name,
        root=root,
        cache_dir=cache,
        clip_samples=clip_samples,
        sample_rate_hz=features.sample_rate_hz,
    )
    labels = {target: label for label, target in enumerate(sorted(targets))}
    members: dict[str, list[Member]] = {split: [] for split in SPLITS}
    for clip, split in zip_strict(table, _split_names(table, fold=fold, seed=seed)):
        path = found.get(Path(clip.filename).stem)
        if path:
            members[split].append(Member(f"audio/{path.name}", labels[clip.target], clip.source))
    skipped = count_reasons(clips.problems)
    missing = sum(Path(clip.filename).stem not in found for clip in table)
    if missing:
        skipped["in meta/esc50.csv, but there is no such file"] = missing
    train, validation, test = (split_of(split, members[split], clips) for split in SPLITS)
    return check_task(
        Task(
            name=name,
            labels=tuple(targets[target] for target in labels),
            train=train,
            validation=validation,
            test=test,
            clip_samples=clip_samples,
            features=features,
            licence=_LICENCES[name],
            attribution="ESC: Dataset for Environmental Sound Classification, Karol J. Piczak, 2015, "
            "https://github.com/karolpiczak/ESC-50; its LICENSE names the author of each clip",
            skipped=skipped,
            options={"data_dir": str(expanded(data_dir).resolve()), "seed": seed, "fold": fold},
            cache_dir=clips.folder,
            problems=clips.problems,
            files=files,
            lengths=clips.lengths,
            contents=clips.contents,
        )
    )


def _read_table(root: Path, *, only_esc10: bool) -> list[_Clip]:
    path = root / "meta" / "esc50.csv"
    if not path.is_file() or not (root / "audio").is_dir():
        raise DataError(f"data folder {str(root)!r} is not in the layout of ESC-50; expected {LAYOUT}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            absent = [column for column in _COLUMNS if column not in (reader.fieldnames or [])]
            if absent:
                raise DataError(f"{path} lacks the columns {', '.join(absent)}: take the one of ESC-50")
            rows = list(reader)
        table = [
            _Clip(row["filename"], int(row["fold"]), int(row["target"]), row["category"], row["src_file"])
            for row in rows
            if not only_esc10 or row["esc10"] == "True"
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; take the one of ESC-50") from error
    for clip in table:
        if not 1 <= clip.fold <= FOLDS:
            raise DataError(f"{path}: {clip.filename} is in fold {clip.fold}, but there are folds 1 to {FOLDS}")
    return table


def _audio_by_stem(folder: Path) -> dict[str, Path]:
    """Audio files by name without suffix: the table has .wav even if the data was converted to another format."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES}


def _split_names(table: list[_Clip], *, fold: int, seed: int) -> list[str]:
    rest = [clip for clip in table if clip.fold != fold]
    chosen = iter(
        split_stratified(
            [clip.source for clip in rest],
            [clip.target for clip in rest],
            validation=_VALIDATION_FRACTION,
            test=0.0,
            seed=seed,
        )
    )
    return ["test" if clip.fold == fold else next(chosen) for clip in table]
