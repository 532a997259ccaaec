"""Long recordings without the words of a task, as clips of its class unknown: what a stream mostly is."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_tasks.base import Task, check_task
from audio_tasks.cache import count_reasons, default_cache_dir, digest
from audio_tasks.layout import AUDIO_SUFFIXES, rights_of
from audio_tasks.recordings import Recording, Recordings, decode_recordings, log_mel_of
from audio_tasks.split import SPLITS, Split
from audio_tasks.splits import stable_order
from bnn_exit.audio import file_names
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.values import sound_features
from bnn_exit.task import BACKGROUND_LABELS, UNKNOWN, Negatives
from bnn_exit.text import counted

DEFAULT_SHARE = 0.3
_MAX_FILES = 100_000
_SHORT, _TWICE = "shorter than a clip", "the same sound as another recording"
_LINK = "a link to a folder, which may lead back and is not followed"


def with_negatives(
    task: Task,
    folder: str | os.PathLike[str],
    *,
    share: float = DEFAULT_SHARE,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Task:
    """The task with cuts of long recordings as clips of `unknown`, which becomes its last label if it has none.

    The cuts of the training split are here evenly spread over its recordings; a training makes others in each epoch,
    from `Task.negatives`. Those of validation and test stay where they are.

    Args:
        task: any.
        folder: recordings of any length and rate, in folders of any depth. If it has folders called train, validation
            and test, these are the splits; else whole recordings go to the splits, about a tenth to each of two.
        share: of the clips of each split that are cuts, above 0 and below 1; fewer where the recordings are short.
        seed: of the split.
        cache_dir: where to keep decoded recordings and features.

    Raises:
        ArgumentError: a share out of range.
        DataError: no folder, no recordings, too few or too short ones, or one that is a clip of a word of the task.

    Example:
        >>> task = with_negatives(audio_tasks.load("speech_commands", words="12"), "recordings")
        >>> task.labels[task.train.labels[-1]]
        'unknown'
    """
    if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 < share < 1:
        raise ArgumentError(f"negatives_share is {share!r}, but must be above 0 and below 1")
    root = _folder(folder)
    files, unread = _audio_files(root)
    _refuse_clips(task, files)
    cache = expanded(cache_dir) if cache_dir else default_cache_dir()
    recordings = decode_recordings(
        files, root=root, cache_dir=cache, sample_rate_hz=sound_features(task.features).sample_rate_hz
    )
    unfit = _unfit(recordings.found, task.clip_samples)
    usable = [each for each in recordings.found if each.id not in unfit]
    parts = _splits(root, usable, task, seed=seed)
    labels = task.labels if UNKNOWN in task.labels else (*task.labels, UNKNOWN)
    label = labels.index(UNKNOWN)
    cuts = {name: _Cuts(recordings, tuple(parts[name]), task) for name in SPLITS}
    splits = {name: _extended(task.split(name), cuts[name], share=share, label=label) for name in SPLITS}
    problems = {f"negatives/{key}": why for key, why in {**recordings.problems, **unfit, **unread}.items()}
    skipped = dict(task.skipped)
    for reason, count in count_reasons(problems).items():
        skipped[f"in negatives: {reason}"] = count
    first = len(task.train)

    @functools.lru_cache(maxsize=1)
    def make() -> Negatives:
        return cuts["train"].negatives(first=first, label=label)

    changed = dataclasses.replace(
        task,
        labels=labels,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        attribution=_attribution(task, root),
        skipped=skipped,
        problems={**task.problems, **problems},
        options={**task.options, "negatives": str(root.resolve()), "negatives_share": float(share)},
        make_negatives=make,
    )
    return check_task(changed)


def _unfit(found: Sequence[Recording], clip_samples: int) -> dict[str, str]:
    """The reason for each recording that gives no clips. A copy could come into another split than its twin."""
    unfit: dict[str, str] = {}
    known: set[str] = set()
    for each in found:
        if each.samples < clip_samples:
            unfit[each.id] = _SHORT
        elif each.content in known:
            unfit[each.id] = _TWICE
        known.add(each.content)
    return unfit


def _folder(folder: str | os.PathLike[str]) -> Path:
    if not isinstance(folder, (str, os.PathLike)):  # a config.json from elsewhere may hold anything
        raise ArgumentError(f"negatives is {folder!r}, but must be the path of a folder")
    root = expanded(folder)
    if not root.is_dir():
        state = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"negatives {str(root)!r} {state}: give a folder of long recordings without the words")
    return root


def _audio_files(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Every audio file below `root` by its relative path, in order, and the reason for each that is not read."""
    files: dict[str, Path] = {}
    unread: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in file_names.OF_SYSTEM)
        linked = (path for path in (Path(folder, name) for name in folders) if path.is_symlink())
        unread.update({path.relative_to(root).as_posix(): _LINK for path in linked})
        for name in sorted(names):
            path, suffix = Path(folder, name), os.path.splitext(name)[1].lower()
            key = path.relative_to(root).as_posix()
            if name.startswith("."):
                continue
            if suffix in file_names.OTHER:
                unread[key] = f"{suffix} file, not .wav, .flac or .ogg"
            elif suffix in AUDIO_SUFFIXES:
                if path.is_file():
                    files[key] = path
                else:
                    unread[key] = "no regular file"
        if len(files) > _MAX_FILES:
            raise DataError(
                f"negatives {str(root)!r} holds more than {_MAX_FILES} audio files: join them, or take fewer"
            )
    if not files:
        more = next((f"; {key} is {why}" for key, why in unread.items() if why == _LINK), "")
        raise DataError(
            f"negatives {str(root)!r} has no .wav, .flac or .ogg file: give long recordings without the words{more}"
        )
    return dict(sorted(files.items())), unread


def _refuse_clips(task: Task, files: dict[str, Path]) -> None:
    """DataError if a recording is, byte for byte, a clip of a class to recognise."""
    sizes: dict[int, list[str]] = {}
    for key, path in files.items():
        sizes.setdefault(path.stat().st_size, []).append(key)
    hashes: dict[bytes, str] = {}
    background = {number for number, label in enumerate(task.labels) if label in BACKGROUND_LABELS}
    for split in task.splits.values():
        for clip, label in zip_strict(split.ids, split.labels):
            if int(label) in background or clip not in task.files:
                continue
            path = task.files[clip]
            for key in sizes.get(path.stat().st_size, []):
                hashes.setdefault(_hash(files[key]), key)
            found = hashes.get(_hash(path)) if path.stat().st_size in sizes else None
            if found is not None:
                raise DataError(
                    f"negatives hold {found}, which is the clip {clip} of the task: take it out, or the word would be "
                    f"taught as {UNKNOWN}"
                )


def _hash(path: Path) -> bytes:
    return hashlib.sha1(path.read_bytes()).digest()


def _splits(root: Path, usable: Sequence[Recording], task: Task, *, seed: int) -> dict[str, list[Recording]]:
    seconds = task.clip_samples / task.features.sample_rate_hz
    folders = [name for name in SPLITS if (root / name).is_dir()]
    if folders and len(folders) < len(SPLITS):
        absent = next(name for name in SPLITS if name not in folders)
        raise DataError(f"negatives {str(root)!r} has {folders[0]} but no {absent}: add it, or remove the others")
    if folders:
        parts = {name: [each for each in usable if each.id.startswith(f"{name}/")] for name in SPLITS}
        empty = [name for name in SPLITS if not parts[name]]
        if empty:
            raise DataError(
                f"negatives {str(root / empty[0])!r} has no recording of its own of {seconds:g} s or more: add one"
            )
        return parts
    if len(usable) < len(SPLITS):
        raise DataError(
            f"negatives {str(root)!r} has {counted(len(usable), 'recording')} of {seconds:g} s or more, but three "
            "splits need at least 3: add recordings, or cut a long one into parts"
        )
    by_id = {each.id: each for each in usable}
    order = stable_order(by_id, seed=seed)
    tenth = max(1, round(len(order) / 10))
    names = {"validation": order[:tenth], "test": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
    return {name: [by_id[key] for key in sorted(names[name])] for name in SPLITS}


class _Cuts(NamedTuple):
    """Clips that can be cut from some recordings: one starts at each frame that leaves room for it."""

    recordings: Recordings
    chosen: tuple[Recording, ...]
    task: Task

    @property
    def counts(self) -> np.ndarray:
        """How many clips each recording gives."""
        hop = self.task.features.hop_samples
        return np.array([(each.samples - self.task.clip_samples) // hop + 1 for each in self.chosen], np.int64)

    def spread(self, wanted: int) -> list[tuple[Recording, int]]:
        """Evenly spread clips: recording and first sample. Fewer than `wanted` where the recordings give no more."""
        ends = np.cumsum(self.counts)
        total = int(ends[-1])
        count = min(wanted, total)
        places = (2 * np.arange(count) + 1) * total // (2 * count)
        found = np.searchsorted(ends, places, side="right")
        firsts = (places - (ends - self.counts)[found]) * self.task.features.hop_samples
        return [(self.chosen[which], int(first)) for which, first in zip_strict(found, firsts)]

    def negatives(self, *, first: int, label: int) -> Negatives:
        """As training reads them."""
        features = sound_features(self.task.features)
        frames = np.array([features.num_frames(each.samples) for each in self.chosen], np.int64)
        ends = np.cumsum(frames)
        return Negatives(
            log_mel_of(self.recordings, self.chosen, features=features),
            starts=np.stack([ends - frames, self.counts], axis=1),
            ends=ends,
            first=first,
            label=label,
        )


def _extended(split: Split, cuts: _Cuts, *, share: float, label: int) -> Split:
    clips, rate, samples = len(split), cuts.task.features.sample_rate_hz, cuts.task.clip_samples
    chosen = cuts.spread(max(1, round(clips * share / (1 - share))))

    def read(index: int) -> np.ndarray:
        if index < clips:
            return split.waveform(index)
        recording, first = chosen[index - clips]
        return cuts.recordings.waveform(recording, first, samples)

    names = tuple(f"negatives/{recording.id}@{first / rate:.2f}s" for recording, first in chosen)
    content = (f"{recording.content} {first}" for recording, first in chosen)
    return Split(
        name=split.name,
        ids=(*split.ids, *names),
        labels=np.concatenate([split.labels, np.full(len(chosen), label, np.int32)]),
        speakers=None
        if split.speakers is None
        else (*split.speakers, *(f"negatives/{recording.id}" for recording, _ in chosen)),
        _read=read,
        fingerprint=digest([split.fingerprint, label, *content]) if split.fingerprint else "",
    )


def _attribution(task: Task, root: Path) -> str:
    """Of both: the recordings shape the weights too. What their LICENSE file says, if there is one."""
    licence, _ = rights_of(root)
    return task.attribution if licence == "not stated" else f"{task.attribution}; negatives: {licence}"
