"""Dealing out: whole groups, stable, near the fractions; and the official rule of Speech Commands."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_tasks.splits import speaker_hash_split, split_groups, split_stratified, stable_order


def which_set(filename: str, validation: float, testing: float) -> str:
    """The rule as Warden's paper prints it, written for file names."""
    speaker = re.sub(r"_nohash_.*$", "", filename)
    hashed = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    percentage = (hashed % 2**27) * (100.0 / (2**27 - 1))
    if percentage < validation:
        return "validation"
    return "test" if percentage < testing + validation else "train"


@given(st.from_regex(r"[0-9a-f]{8}", fullmatch=True), st.integers(0, 9))
def test_speaker_hash_is_the_official_rule(speaker: str, take: int) -> None:
    assert speaker_hash_split(speaker) == which_set(f"{speaker}_nohash_{take}.wav", 10, 10)


def test_speaker_hash_gives_a_tenth_each() -> None:
    shares = [speaker_hash_split(f"{number:08x}") for number in range(4000)]
    assert 0.08 < shares.count("validation") / 4000 < 0.12
    assert 0.08 < shares.count("test") / 4000 < 0.12


def test_stable_order_is_fixed() -> None:
    assert stable_order("abcd", seed=0) == stable_order("dcba", seed=0)
    assert len({tuple(stable_order("abcdefgh", seed=seed)) for seed in range(5)}) == 5


clips = st.lists(st.tuples(st.integers(0, 20).map("s{}".format), st.integers(0, 3)), min_size=1, max_size=80)


@settings(max_examples=40, deadline=None)
@given(clips, st.integers(0, 3))
def test_no_group_is_in_two_splits(drawn: list[tuple[str, int]], seed: int) -> None:
    groups, labels = [group for group, _ in drawn], [label for _, label in drawn]
    for deal in (split_groups, split_stratified):
        names = deal(groups, labels, validation=0.2, test=0.2, seed=seed)
        assert len(names) == len(groups)
        assert set(names) <= {"train", "validation", "test"}
        assert len({(group, name) for group, name in zip(groups, names, strict=True)}) == len(set(groups))
        assert names == deal(groups, labels, validation=0.2, test=0.2, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_equal_size_come_near_the_fractions(seed: int) -> None:
    groups = [f"s{speaker}" for speaker in range(30) for _ in range(40)]
    names = split_groups(groups, [clip % 4 for clip in range(1200)], validation=0.2, test=0.1, seed=seed)
    assert names.count("validation") == 240
    assert names.count("test") == 120


def test_a_dominant_group_leaves_no_split_empty() -> None:
    groups = ["big"] * 90 + ["a"] * 5 + ["b"] * 5
    names = split_groups(groups, [0] * 100, validation=0.1, test=0.1, seed=0)
    assert set(names) == {"train", "validation", "test"}
    assert names[0] == "train"


def test_every_class_reaches_every_split_when_speakers_do_not_speak_all() -> None:
    # Twelve speakers, each of whom speaks two of four classes.
    groups = [f"s{speaker}" for speaker in range(12) for _ in range(10)]
    labels = [(speaker % 4 + clip % 2) % 4 for speaker in range(12) for clip in range(10)]
    names = split_groups(groups, labels, validation=0.2, test=0.2, seed=0)
    assert {(label, name) for label, name in zip(labels, names, strict=True)} == {
        (label, name) for label in range(4) for name in ("train", "validation", "test")
    }


@given(st.integers(3, 60), st.integers(0, 3))
def test_stratified_gives_each_class_its_share(size: int, seed: int) -> None:
    labels = np.repeat([0, 1], size)
    names = np.array(split_stratified([f"r{n}" for n in range(2 * size)], labels, validation=0.2, test=0.1, seed=seed))
    for label in (0, 1):
        mine = names[labels == label]
        assert abs(int((mine == "validation").sum()) - max(1, 0.2 * size)) <= 0.5 + 1e-9
        assert abs(int((mine == "test").sum()) - max(1, 0.1 * size)) <= 0.5 + 1e-9
        assert (mine == "train").any()


def test_stratified_without_a_test_share() -> None:
    names = split_stratified([f"r{n}" for n in range(10)], [0] * 10, validation=0.2, test=0.0, seed=0)
    assert sorted(names) == ["train"] * 8 + ["validation"] * 2


def test_stratified_leaves_a_group_for_each_later_split() -> None:
    names = split_stratified(["a", "b", "c"], [0, 0, 0], validation=0.6, test=0.3, seed=0)
    assert sorted(names) == ["test", "train", "validation"]


def test_stratified_keeps_a_group_of_two_classes_together() -> None:
    groups = [*"abcdefgh", *"abcdefgh"]
    names = split_stratified(groups, [0] * 8 + [1] * 8, validation=0.25, test=0.25, seed=1)
    assert names[:8] == names[8:]
