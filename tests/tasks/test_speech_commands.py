"""Speech Commands: lists, hash split, the twelve-word classes, and data that is not as it should be."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from audio_tasks.silence import noise_region
from audio_tasks.speech_commands import TEN_WORDS
from audio_tasks.splits import speaker_hash_split
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.settings.features import FeatureConfig

MakeData = Callable[..., Path]
RATE = 16000


def test_official_lists(speech_data: MakeData) -> None:
    task = audio_tasks.load("speech_commands", data_dir=speech_data())
    assert task.labels == ("cat", "dog", "tree")
    assert task.clip_samples == RATE
    assert task.input_shape == (98, 64, 1)
    assert task.train.ids == tuple(f"{w}/s{s}_nohash_0.wav" for w in ("cat", "dog", "tree") for s in (0, 1))
    assert task.train.speakers == ("s0", "s1") * 3
    assert task.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert task.train.labels.dtype == np.int32
    assert set(task.validation.speakers or ()) == {"s2"}
    assert set(task.test.speakers or ()) == {"s3"}
    assert [len(recording) for recording in task.noise] == [12 * RATE, 15 * RATE]
    assert task.skipped == {}
    assert task.notes == ()
    assert task.train.waveform(0).shape == (RATE,)
    assert task.log_mel("train").shape == (6, 98, 64)


def test_options_load_the_same_task_again(speech_data: MakeData) -> None:
    first = audio_tasks.load("speech_commands", data_dir=speech_data(), features=FeatureConfig(num_mels=40))
    again = audio_tasks.load(first.name, features=first.features, **first.options)
    assert again.options == first.options == {"data_dir": str(speech_data_path(first)), "seed": 0, "words": "all"}
    assert again.train.ids == first.train.ids
    assert again.train.fingerprint == first.train.fingerprint


def speech_data_path(task: audio_tasks.Task) -> Path:
    return next(iter(task.files.values())).parent.parent.resolve()


def test_lists_fit_converted_files(speech_data: MakeData) -> None:
    root = speech_data()
    for name in ("validation_list.txt", "testing_list.txt"):
        (root / name).write_text((root / name).read_text().replace(".wav", ".flac").replace("cat/", "./cat/"))
    assert set(audio_tasks.load("speech_commands", data_dir=root).validation.speakers or ()) == {"s2"}


def test_files_in_a_list_that_are_not_there_are_counted(
    speech_data: MakeData, capsys: pytest.CaptureFixture[str]
) -> None:
    root = speech_data()
    with (root / "testing_list.txt").open("a") as file:
        file.write("cat/gone_nohash_0.wav\ndog/gone_nohash_0.wav\n")
    task = audio_tasks.load("speech_commands", data_dir=root)
    assert task.skipped == {"in a list, but there is no such file": 2}
    assert capsys.readouterr().err == "note: 2 files skipped: 2 in a list, but there is no such file\n"


def test_unusable_files_are_dropped_everywhere(speech_data: MakeData, capsys: pytest.CaptureFixture[str]) -> None:
    root = speech_data()
    (root / "cat" / "s0_nohash_0.wav").write_bytes(b"")
    cut = root / "tree" / "s1_nohash_0.wav"
    cut.write_bytes(cut.read_bytes()[:999])
    (root / "_background_noise_" / "rain.wav").write_bytes(b"noise, but not of this kind")
    for _ in range(2):  # decoded, and from the cache
        task = audio_tasks.load("speech_commands", data_dir=root)
        assert task.train.ids == (
            "cat/s1_nohash_0.wav",
            "dog/s0_nohash_0.wav",
            "dog/s1_nohash_0.wav",
            "tree/s0_nohash_0.wav",
        )
        assert task.train.labels.tolist() == [0, 1, 1, 2]
        assert task.log_mel("train").shape[0] == 4
        assert task.train.waveforms(range(4)).shape == (4, RATE)
        assert set(task.problems) == {"cat/s0_nohash_0.wav", "tree/s1_nohash_0.wav", "_background_noise_/rain.wav"}
        assert sum(task.skipped.values()) == 3
        assert len(task.noise) == 1
        assert "note: 3 files skipped: " in capsys.readouterr().err


def test_without_lists_speakers_are_hashed(
    tmp_path: Path, write_wav: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("cat", "dog"):
        for speaker in range(30):
            write_wav(tmp_path / word / f"{speaker:08x}_nohash_0.wav", seed=speaker)
    task = audio_tasks.load("speech_commands", data_dir=tmp_path)
    for name, split in task.splits.items():
        assert {speaker_hash_split(speaker) for speaker in split.speakers or ()} == {name}
    assert sum(len(split) for split in task.splits.values()) == 60
    assert "no validation_list.txt and no testing_list.txt: speakers are split 80/10/10" in task.notes[0]
    assert capsys.readouterr().err.startswith("note: no validation_list.txt")


def test_without_lists_and_too_few_speakers(speech_data: MakeData) -> None:
    root = speech_data(speakers=2)
    for name in ("validation_list.txt", "testing_list.txt"):
        (root / name).unlink()
    with pytest.raises(
        DataError, match=r"split is empty.*no validation_list\.txt.*the task 'folder' splits any folder"
    ):
        audio_tasks.load("speech_commands", data_dir=root)


@pytest.fixture
def twelve(speech_data: MakeData) -> audio_tasks.Task:
    root = speech_data((*TEN_WORDS, "cat", "dog"), speakers=6, takes=2)
    return audio_tasks.load("speech_commands", data_dir=root, words=12)


def test_twelve_words(twelve: audio_tasks.Task) -> None:
    assert twelve.labels == (*TEN_WORDS, "unknown", "silence")
    assert twelve.options["words"] == "12"
    # Four speakers train with two takes of each word; two speakers are left for the other splits.
    assert np.bincount(twelve.train.labels).tolist() == [8] * 12
    assert np.bincount(twelve.validation.labels).tolist() == [2] * 12
    assert np.bincount(twelve.test.labels).tolist() == [2] * 12
    unknown = [key for key, label in zip(twelve.train.ids, twelve.train.labels, strict=True) if label == 10]
    assert Counter(key.split("/")[0] for key in unknown) == {"cat": 4, "dog": 4}
    assert len(set(twelve.train.ids)) == 96


def test_unknown_and_silence_are_fixed_by_the_seed(twelve: audio_tasks.Task) -> None:
    options = dict(twelve.options)
    again = audio_tasks.load("speech_commands", **options)
    assert again.train.ids == twelve.train.ids
    assert again.train.fingerprint == twelve.train.fingerprint
    np.testing.assert_array_equal(again.train.waveforms(range(96)), twelve.train.waveforms(range(95, -1, -1))[::-1])
    other = audio_tasks.load("speech_commands", **{**options, "seed": 1})
    assert other.train.ids != twelve.train.ids
    assert other.train.fingerprint != twelve.train.fingerprint
    assert not np.array_equal(other.train.waveform(95), twelve.train.waveform(95))


def test_silence_is_cut_from_the_splits_own_part_of_the_noise(twelve: audio_tasks.Task, speech_data: MakeData) -> None:
    whole = audio_tasks.load("speech_commands", data_dir=twelve.options["data_dir"]).noise
    for name, split in twelve.splits.items():
        regions = [noise_region(recording, name) for recording in whole]
        for index in np.flatnonzero(split.labels == 11)[:3]:
            clip = split.waveform(index)
            assert clip.dtype == np.float32
            assert clip.shape == (RATE,)
            assert 0 < np.abs(clip).max() <= 0.25  # gain up to 1 on noise below 8000 / 32768
            assert any(is_scaled_part(clip, region) for region in regions)
    for mine, recording in zip(twelve.noise, whole, strict=True):
        np.testing.assert_array_equal(mine, recording[: int(0.8 * len(recording))])


def is_scaled_part(clip: np.ndarray, region: np.ndarray) -> bool:
    """Whether `clip` is a piece of `region` times a gain: then their correlation is 1 at some place."""
    head = clip[:100].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(region.astype(np.float64), 100)
    correlation = windows @ head / (np.linalg.norm(windows, axis=1) * np.linalg.norm(head))
    return bool(correlation.max() > 0.99999)


def test_noise_regions_do_not_overlap() -> None:
    recording = np.arange(1003, dtype=np.float32)
    parts = [noise_region(recording, name) for name in ("train", "validation", "test")]
    np.testing.assert_array_equal(np.concatenate(parts), recording)
    assert [len(part) for part in parts] == [802, 100, 101]


def test_twelve_words_are_not_all_there(speech_data: MakeData) -> None:
    with pytest.raises(DataError, match=r"words 12 needs folders that .* lacks: yes, no, up, .*; use words all"):
        audio_tasks.load("speech_commands", data_dir=speech_data(), words="12")


def test_twelve_words_need_others(speech_data: MakeData) -> None:
    with pytest.raises(DataError, match=r"words 12 needs folders of other words in .* for the class unknown"):
        audio_tasks.load("speech_commands", data_dir=speech_data(TEN_WORDS), words=12)


def test_silence_needs_long_noise(speech_data: MakeData) -> None:
    root = speech_data((*TEN_WORDS, "cat"))
    shutil.rmtree(root / "_background_noise_")
    with pytest.raises(DataError, match="silence needs recordings of at least 160000 samples in _background_noise_"):
        audio_tasks.load("speech_commands", data_dir=root, words=12)


def test_words_is_one_of_three() -> None:
    with pytest.raises(ArgumentError, match="words is '13', but must be one of 12, 35, all"):
        audio_tasks.load("speech_commands", words=13)


LAYOUT = r"; expected a folder for each word with clips called <speaker>_"


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data folder '.*nowhere' does not exist" + LAYOUT):
        audio_tasks.load("speech_commands", data_dir=tmp_path / "nowhere")


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="data folder '.*' is empty" + LAYOUT):
        audio_tasks.load("speech_commands", data_dir=tmp_path / "data")


def test_other_layout(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    write_wav(tmp_path / "data" / "clip.wav", seed=0)
    with pytest.raises(DataError, match=r"has no folder with audio files \(1 audio file beside .*\)" + LAYOUT):
        audio_tasks.load("speech_commands", data_dir=tmp_path / "data")


def test_a_file_that_is_no_archive(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    path = write_wav(tmp_path / "clip.wav", seed=0)
    with pytest.raises(DataError, match=r"is neither a folder nor a \.tar\.gz or \.zip archive" + LAYOUT):
        audio_tasks.load("speech_commands", data_dir=path)


@pytest.mark.parametrize("kind", ["gztar", "zip"])
@pytest.mark.parametrize("base", [".", "speech"])
def test_an_archive_as_data_dir(speech_data: MakeData, tmp_path: Path, kind: str, base: str) -> None:
    root = speech_data()
    folder = root if base == "." else root.parent
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, root_dir=folder, base_dir=base)
    shutil.rmtree(root)
    for _ in range(2):
        task = audio_tasks.load("speech_commands", data_dir=archive)
        assert [len(split) for split in task.splits.values()] == [6, 3, 3]
    assert task.options["data_dir"] == archive


def test_one_list_only(speech_data: MakeData) -> None:
    root = speech_data()
    (root / "testing_list.txt").unlink()
    with pytest.raises(DataError, match=r"has validation_list\.txt but no testing_list\.txt: add it, or remove both"):
        audio_tasks.load("speech_commands", data_dir=root)


def test_a_clip_in_both_lists(speech_data: MakeData) -> None:
    root = speech_data()
    (root / "testing_list.txt").write_text((root / "validation_list.txt").read_text())
    with pytest.raises(DataError, match=r"both lists of .* have 3 clips, as cat/s2_nohash_0: keep each in one list"):
        audio_tasks.load("speech_commands", data_dir=root)


def test_a_list_that_is_no_text(speech_data: MakeData) -> None:
    root = speech_data()
    (root / "testing_list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"testing_list\.txt is not a text file"):
        audio_tasks.load("speech_commands", data_dir=root)


def test_one_word_only(speech_data: MakeData) -> None:
    with pytest.raises(DataError, match="needs at least two classes, but the data has only 'cat'"):
        audio_tasks.load("speech_commands", data_dir=speech_data(("cat",)))


def test_a_word_absent_from_a_split(speech_data: MakeData) -> None:
    root = speech_data()
    (root / "dog" / "s3_nohash_0.wav").unlink()
    with pytest.raises(DataError, match="the test split has no clip of dog: add clips of it, or remove the class"):
        audio_tasks.load("speech_commands", data_dir=root)


def test_rights(speech_data: MakeData) -> None:
    root = speech_data()
    assert audio_tasks.load("speech_commands", data_dir=root).licence == "not stated"
    (root / "LICENSE").write_text("\n# Attribution 4.0 International\nmore\n")
    task = audio_tasks.load("speech_commands", data_dir=root)
    assert (task.licence, task.attribution) == ("Attribution 4.0 International", "data of the user, folder speech")


def test_rights_of_a_known_data_set(speech_data: MakeData) -> None:
    words = sorted(["digit", "direction", "receive", "rotate", "undo", "zoom_in", "zoom_out"])
    root = speech_data(tuple(words))
    assert audio_tasks.load("speech_commands", data_dir=root).licence == "not stated"  # words alone are not enough
    for path in root.glob("*/s*.wav"):
        path.rename(path.with_name(f"0000000{path.name[1]}_NO_01.wav"))
    for path in root.glob("*_list.txt"):
        path.write_text(path.read_text().replace("/s", "/0000000").replace("_nohash_0", "_NO_01"))
    task = audio_tasks.load("speech_commands", data_dir=root)
    assert task.licence == "CC BY 4.0"
    assert task.attribution.startswith(
        "Arabic Speech Commands, Abdulkader Ghandoura, Farouk Hjabo and Oumayma Al Dakkak"
    )
