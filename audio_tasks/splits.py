"""Assign clips to the three splits: in whole groups, determined by data and seed."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from audio_tasks.cache import Clips, digest
from audio_tasks.split import SPLITS, Split
from bnn_exit.errors import ArgumentError
from bnn_exit.pairs import zip_strict

_TRIALS = 100
_NEAR_ENOUGH = 0.01


class Member(NamedTuple):
    """One clip of a split: its id (a file's, or that of a clip made from noise), its label, who speaks."""

    id: str
    label: int
    speaker: str


def split_of(name: str, members: Iterable[Member], clips: Clips) -> Split:
    """The split of those `members` whose files could be decoded, in the given order."""
    usable = [member for member in members if member.id in clips.rows]
    rows = [clips.rows[member.id] for member in usable]
    return Split(
        name=name,
        ids=tuple(member.id for member in usable),
        labels=np.array([member.label for member in usable], dtype=np.int32),
        speakers=tuple(member.speaker for member in usable),
        _read=lambda index: clips.waveform(rows[index]),
        fingerprint=digest([clips.fingerprint, *(member.id for member in usable)]),
    )


def stable_order(names: Iterable[str], *, seed: int) -> list[str]:
    """`names` in an order that depends on the names and the seed alone, on every machine."""
    return sorted(names, key=lambda name: hashlib.sha1(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest())


def check_shares(*, validation: float, test: float) -> None:
    """ArgumentError unless both shares are above 0 and leave something to train on."""
    for name, fraction in (("validation_fraction", validation), ("test_fraction", test)):
        if not 0 < fraction < 1:
            raise ArgumentError(f"{name} is {fraction!r}, but must be above 0 and below 1")
    if validation + test >= 1:
        raise ArgumentError(
            f"validation_fraction {validation!r} and test_fraction {test!r} leave nothing to train on: "
            "together they must be below 1"
        )


def speaker_hash_split(speaker: str, *, validation_percent: float = 10.0, testing_percent: float = 10.0) -> str:
    """The split of a speaker by the rule of Speech Commands (Warden 2018, section 6.2).

    It looks at the speaker's name alone, so a speaker stays where he is when clips are added.
    """
    largest = 2**27 - 1
    number = int(hashlib.sha1(speaker.encode("utf-8", "surrogateescape")).hexdigest(), 16)
    percentage = number % (largest + 1) * (100.0 / largest)
    if percentage < validation_percent:
        return "validation"
    return "test" if percentage < validation_percent + testing_percent else "train"


def split_groups(
    groups: Sequence[str], labels: Sequence[int], *, validation: float, test: float, seed: int
) -> list[str]:
    """A split name for each clip, such that no group (a speaker) is in two splits.

    Groups come in very different sizes and not every group has every class, so of a hundred orders the one is taken
    that leaves the fewest classes out of a split and, among those, comes nearest to the fractions.
    """
    names = sorted(set(groups))
    index = {name: position for position, name in enumerate(names)}
    counts = np.zeros((len(names), max(labels) + 1), dtype=np.int64)
    np.add.at(counts, ([index[group] for group in groups], list(labels)), 1)
    sizes = counts.sum(axis=1).tolist()
    wanted = (validation * len(groups), test * len(groups))
    best: tuple[float, float] | None = None
    chosen = np.zeros(len(names), dtype=np.int64)
    for trial in range(_TRIALS):
        order = list(range(len(names)))
        random.Random(f"{seed}:{trial}").shuffle(order)
        assigned = _deal(sizes, order, wanted)
        per_split = np.stack([counts[assigned == split].sum(axis=0) for split in range(3)])
        absent = float((per_split[[True, *(target > 0 for target in wanted)]] == 0).sum())
        miss = float(np.abs(per_split[1:].sum(axis=1) - wanted).sum())
        if best is None or (absent, miss) < best:
            best, chosen = (absent, miss), assigned
        if best <= (0.0, _NEAR_ENOUGH * sum(wanted)):
            break
    return [SPLITS[chosen[index[group]]] for group in groups]


def split_folds(
    groups: Sequence[str], labels: Sequence[int], *, fold: int, folds: int, validation: float, seed: int
) -> list[str]:
    """A split name for each clip: the groups in `folds` parts, of which part `fold` (from 1) is for testing.

    Every group is tested on in exactly one of the folds. The others are split into training and validation, the latter
    about `validation` of all clips.
    """
    part = {group: number % folds + 1 for number, group in enumerate(stable_order(set(groups), seed=seed))}
    rest = [index for index, group in enumerate(groups) if part[group] != fold]
    names = ["test"] * len(groups)
    inner = split_groups(
        [groups[index] for index in rest],
        [labels[index] for index in rest],
        validation=validation * len(groups) / max(1, len(rest)),
        test=0.0,
        seed=seed,
    )
    for index, name in zip_strict(rest, inner):
        names[index] = name
    return names


def _deal(sizes: Sequence[int], order: Sequence[int], wanted: tuple[float, float]) -> np.ndarray:
    """Give groups in `order` to validation (1), then to test (2), as long as that brings them nearer to `wanted`."""
    assigned = np.zeros(len(sizes), dtype=np.int64)
    free = list(order)
    for split, target in enumerate(wanted, start=1):
        if not target:
            continue
        total, left = 0, []
        # A later split gets at least one group, and the first group is taken whatever its size: an empty split helps
        # nobody.
        spare = len(free) - (len(wanted) + 1 - split)
        for position, group in enumerate(free):
            after = total + sizes[group]
            if spare > 0 and (total == 0 or abs(after - target) < abs(total - target)):
                assigned[group], total = split, after
                spare -= 1
            else:
                left.append(group)
            if total >= target:
                left.extend(free[position + 1 :])
                break
        free = left
    return assigned


def split_stratified(
    groups: Sequence[str], labels: Sequence[int], *, validation: float, test: float, seed: int
) -> list[str]:
    """A split name for each clip: each class by itself in the given fractions, no group in two splits.

    A class gives at least one group to each split that is asked for, as long as it has enough of them. A group that
    occurs in two classes goes where the first of them puts it.
    """
    asked = [(name, share) for name, share in (("validation", validation), ("test", test)) if share > 0]
    split_of_group: dict[str, str] = {}
    for label in sorted(set(labels)):
        size = Counter(group for group, other in zip_strict(groups, labels) if other == label)
        free = stable_order((group for group in size if group not in split_of_group), seed=seed)
        for still_to_come, (name, share) in zip_strict(range(len(asked), 0, -1), asked):
            wanted = share * sum(size.values())
            have = sum(count for group, count in size.items() if split_of_group.get(group) == name)
            while len(free) > still_to_come and (have == 0 or have + size[free[0]] / 2 <= wanted):
                group = free.pop(0)
                split_of_group[group] = name
                have += size[group]
        split_of_group.update(dict.fromkeys(free, "train"))
    return [split_of_group[group] for group in groups]
