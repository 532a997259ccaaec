"""Long recordings as clips of the class unknown: how they are found, split and cut, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from audio_tasks import recordings as stored_recordings
from audio_tasks.base import Task
from bnn_exit.audio import logmel, wav
from bnn_exit.errors import ArgumentError, DataError

WriteWav = Callable[..., Path]
SECONDS = (5.0, 3.0, 4.5, 2.0)


@pytest.fixture
def words(speech_data: Callable[..., Path]) -> Path:
    return speech_data(speakers=6)


@pytest.fixture
def loose(tmp_path: Path, write_wav: WriteWav) -> Path:
    """Four recordings of different length and rate, one of them in a folder."""
    root = tmp_path / "long"
    for number, seconds in enumerate(SECONDS):
        place = root / "street" if number == 3 else root
        write_wav(place / f"r{number}.wav", seed=500 + number, seconds=seconds, rate=16000 if number else 8000)
    return root


@pytest.fixture
def in_splits(tmp_path: Path, write_wav: WriteWav) -> Path:
    root = tmp_path / "splits"
    for number, name in enumerate(("train/a", "train/deeper/b", "validation/c", "test/d")):
        write_wav(root / f"{name}.wav", seed=600 + number, seconds=3)
    return root


def load(data: Path, negatives: Path, **options: object) -> Task:
    return audio_tasks.load("speech_commands", data_dir=data, negatives=negatives, **options)


def recording_of(clip: str) -> str:
    return clip.removeprefix("negatives/").rsplit("@", 1)[0]


def cuts_of(task: Task, name: str) -> list[str]:
    return [clip for clip in task.split(name).ids if clip.startswith("negatives/")]


def test_cuts_are_clips_of_unknown_the_last_label(words: Path, loose: Path) -> None:
    plain = audio_tasks.load("speech_commands", data_dir=words)
    task = load(words, loose)
    assert task.labels == ("cat", "dog", "tree", "unknown")
    for name, split in task.splits.items():
        clips = len(plain.split(name))
        assert split.ids[:clips] == plain.split(name).ids
        np.testing.assert_array_equal(split.labels[:clips], plain.split(name).labels)
        assert (split.labels[clips:] == 3).all()
        # A share of 0.3: 12 words and 5 cuts, or 3 and 1.
        assert len(split) - clips == round(clips * 0.3 / 0.7)
        np.testing.assert_array_equal(split.waveform(1), plain.split(name).waveform(1))
        assert split.speakers is not None and split.speakers[-1] == f"negatives/{recording_of(split.ids[-1])}"


def test_an_unknown_that_is_there_gets_the_cuts(speech_data: Callable[..., Path], loose: Path) -> None:
    root = speech_data((*audio_tasks.speech_commands.TEN_WORDS, "cat"), speakers=5)
    task = load(root, loose, words="12")
    assert task.labels[-2:] == ("unknown", "silence")
    assert {task.labels[task.train.labels[index]] for index in range(task.negatives.first, len(task.train))} == {
        "unknown"
    }


def test_whole_recordings_go_to_the_splits_and_each_gets_one(words: Path, loose: Path) -> None:
    task = load(words, loose, negatives_share=0.9)
    found = {name: {recording_of(clip) for clip in cuts_of(task, name)} for name in task.splits}
    assert [len(each) for each in found.values()] == [2, 1, 1]
    assert set.union(*found.values()) == {"r0.wav", "r1.wav", "r2.wav", "street/r3.wav"}
    again = load(words, loose, negatives_share=0.9)
    assert again.test.ids == task.test.ids and again.train.fingerprint == task.train.fingerprint
    assert len({load(words, loose, seed=seed).test.ids for seed in range(8)}) > 1


def test_folders_of_splits_are_the_splits(words: Path, in_splits: Path) -> None:
    task = load(words, in_splits)
    found = {name: {recording_of(clip) for clip in cuts_of(task, name)} for name in task.splits}
    assert found == {
        "train": {"train/a.wav", "train/deeper/b.wav"},
        "validation": {"validation/c.wav"},
        "test": {"test/d.wav"},
    }


def test_a_cut_is_the_samples_of_its_recording(words: Path, loose: Path) -> None:
    task = load(words, loose)
    for name, split in task.splits.items():
        for index, clip in enumerate(split.ids):
            if clip.startswith("negatives/"):
                whole = wav.read(loose / recording_of(clip))
                first = round(float(clip.rsplit("@", 1)[1].removesuffix("s")) * 16000)
                assert first % task.features.hop_samples == 0, name
                expected = whole[first : first + 16000]
                np.testing.assert_allclose(split.waveform(index), expected, atol=1 / 32768)


def test_features_of_a_cut_are_a_slice_of_those_of_its_recording(
    words: Path, loose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_recordings, "_PIECE_FRAMES", 37)  # several pieces a recording
    task = load(words, loose)
    found = task.negatives
    frames = task.input_shape[0]
    rows = {bytes(found.log_mel[row]) for row in range(len(found.log_mel))}
    for index in range(found.first, len(task.train)):
        expected = logmel.log_mel(task.train.waveform(index), task.features)
        np.testing.assert_array_equal(task.log_mel("train")[index], expected)
        assert {bytes(row) for row in expected} <= rows
    for (first, count), end in zip(found.starts, found.ends):
        # The last start leaves room for a whole clip, and no more than a frame or two behind it.
        assert 0 <= end - (first + count - 1 + frames) <= 2
    assert found.ends[-1] == len(found.log_mel)


def test_cuts_are_fewer_than_asked_where_recordings_are_short(words: Path, tmp_path: Path, write_wav: WriteWav) -> None:
    root = tmp_path / "short"
    for number in range(3):
        write_wav(root / f"{number}.wav", seed=number, seconds=1.03)
    task = load(words, root, negatives_share=0.9)
    ids = cuts_of(task, "train")
    assert [clip.rsplit("@", 1)[1] for clip in ids] == ["0.00s", "0.01s", "0.02s", "0.03s"]


def test_a_task_is_loaded_again_with_its_negatives(words: Path, loose: Path, tmp_path: Path) -> None:
    task = load(words, loose, negatives_share=0.5)
    assert task.options["negatives_share"] == 0.5
    assert audio_tasks.load_again(task).train.ids == task.train.ids
    moved = loose.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"negatives '.*long' does not exist: give a folder of long recordings"):
        audio_tasks.load_again(task)
    assert audio_tasks.load_again(task, negatives=moved).train.ids == task.train.ids
    plain = audio_tasks.load("speech_commands", data_dir=words)
    with pytest.raises(ArgumentError, match="negatives are given, but the task was loaded without any"):
        audio_tasks.load_again(plain, negatives=moved)


def test_what_is_left_out_is_reported(words: Path, loose: Path, write_wav: WriteWav) -> None:
    write_wav(loose / "brief.wav", seed=1, seconds=0.9)
    (loose / "broken.wav").write_bytes(b"RIFF but no more")
    (loose / "song.mp3").write_bytes(b"x")
    (loose / "notes.txt").write_text("not audio")
    task = load(words, loose)
    assert task.problems["negatives/brief.wav"] == "shorter than a clip"
    assert sum(task.skipped.values()) == 3
    assert task.skipped["in negatives: shorter than a clip"] == 1
    assert task.skipped["in negatives: .mp3 file, not .wav, .flac or .ogg"] == 1
    assert not any("brief" in clip for split in task.splits.values() for clip in split.ids)


def test_a_recording_that_is_there_twice_is_in_one_split_alone(words: Path, loose: Path, in_splits: Path) -> None:
    for number in range(8):
        shutil.copy(loose / "r0.wav", loose / f"copy{number}.wav")
    task = load(words, loose)
    used = [{recording_of(clip) for clip in cuts_of(task, name)} for name in ("train", "validation", "test")]
    assert sorted(recording for found in used for recording in found) == [
        "copy0.wav",
        "r1.wav",
        "r2.wav",
        "street/r3.wav",
    ]
    assert task.skipped["in negatives: the same sound as another recording"] == 8
    shutil.copy(in_splits / "test" / "d.wav", in_splits / "validation" / "c.wav")
    with pytest.raises(DataError, match=r"negatives '.*validation' has no recording of its own of 1 s or more: add"):
        load(words, in_splits)


def test_the_licence_of_the_recordings_is_credited(words: Path, loose: Path) -> None:
    (loose / "LICENSE").write_text("Readers (c) 2014, CC BY 4.0\n")
    assert load(words, loose).attribution.endswith("; negatives: Readers (c) 2014, CC BY 4.0")


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan"), "0.3", True])
def test_a_share_out_of_range_is_named(words: Path, loose: Path, share: object) -> None:
    with pytest.raises(ArgumentError, match=f"negatives_share is {share!r}, but must be above 0 and below 1"):
        load(words, loose, negatives_share=share)


def test_a_share_without_negatives_is_a_mistake(words: Path) -> None:
    with pytest.raises(ArgumentError, match=r"negatives_share is 0.2, but there are no negatives: give their folder"):
        audio_tasks.load("speech_commands", data_dir=words, negatives_share=0.2)


def test_folders_that_give_nothing_are_named(words: Path, tmp_path: Path, write_wav: WriteWav) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"negatives '.*empty' has no .wav, .flac or .ogg file: give long recordings"):
        load(words, empty)
    with pytest.raises(DataError, match=r"negatives '.*none' does not exist: give a folder of long recordings"):
        load(words, tmp_path / "none")
    file = write_wav(tmp_path / "file.wav", seed=0)
    with pytest.raises(DataError, match=r"negatives '.*file.wav' is not a folder"):
        load(words, file)
    with pytest.raises(ArgumentError, match="negatives is 5, but must be the path of a folder"):
        load(words, 5)  # type: ignore[arg-type]


def test_links_to_folders_are_not_followed_but_named(words: Path, loose: Path, tmp_path: Path) -> None:
    (loose / "again").symlink_to(loose)
    task = load(words, loose)
    assert task.problems == {"negatives/again": "a link to a folder, which may lead back and is not followed"}
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "long").symlink_to(loose)
    with pytest.raises(DataError, match="without the words; long is a link to a folder, which may lead back and is"):
        load(words, linked)


def test_too_few_recordings_are_named(words: Path, loose: Path, in_splits: Path, write_wav: WriteWav) -> None:
    (loose / "r0.wav").unlink()
    (loose / "r1.wav").unlink()
    write_wav(loose / "r9.wav", seed=9, seconds=0.5)
    with pytest.raises(DataError, match=r"has 2 recordings of 1 s or more, but three splits need at least 3: add"):
        load(words, loose)
    (in_splits / "validation" / "c.wav").unlink()
    with pytest.raises(
        DataError, match=r"negatives '.*validation' has no recording of its own of 1 s or more: add one"
    ):
        load(words, in_splits)
    shutil.rmtree(in_splits / "validation")
    with pytest.raises(DataError, match="has train but no validation: add it, or remove the others"):
        load(words, in_splits)


def test_recordings_that_are_all_damaged_are_named(words: Path, tmp_path: Path) -> None:
    root = tmp_path / "damaged"
    root.mkdir()
    for name in "ab":
        (root / f"{name}.wav").write_bytes(b"RIFFxxxx")
    with pytest.raises(DataError, match=r"none of the 2 audio files can be used; the first, a.wav: "):
        load(words, root)


def test_a_recording_that_is_a_clip_of_a_word_is_refused(words: Path, loose: Path) -> None:
    shutil.copy(words / "dog" / "s1_nohash_0.wav", loose / "street" / "other_name.wav")
    message = "negatives hold street/other_name.wav, which is the clip dog/s1_nohash_0.wav of the task: take it out"
    with pytest.raises(DataError, match=message):
        load(words, loose)


def test_a_damaged_cache_is_made_again(words: Path, loose: Path, cache: Path) -> None:
    first = load(words, loose)
    expected = np.array(first.negatives.log_mel)
    for path in cache.glob("negatives-*/*"):
        if path.suffix != ".json":
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    np.testing.assert_array_equal(load(words, loose).negatives.log_mel, expected)


def test_recordings_beyond_the_limit_are_refused(words: Path, loose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_recordings, "MAX_HOURS", 0.002)
    with pytest.raises(DataError, match=r"the recordings last more than 0.002 hours together: leave some out"):
        load(words, loose)
