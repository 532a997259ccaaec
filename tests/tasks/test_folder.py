"""A user's own folder: how it is split, and what its report finds."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from audio_tasks import folder
from audio_tasks.__main__ import main as tasks_main
from audio_tasks.check import check
from audio_tasks.levels import levels_of
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError, DataError

WriteWav = Callable[..., Path]


@pytest.fixture
def by_speaker(tmp_path: Path, write_wav: WriteWav) -> Path:
    root, seed = tmp_path / "mine", 0
    for word in ("no", "yes"):
        for speaker in range(10):
            for take in range(2):
                seed += 1
                write_wav(root / word / f"p{speaker}_{take}.wav", seed=seed, seconds=1)
    return root


@pytest.fixture
def by_file(tmp_path: Path, write_wav: WriteWav) -> Path:
    root = tmp_path / "mine"
    for index in range(20):
        for label, word in enumerate(("no", "yes")):
            write_wav(root / word / f"{word}_{index}.wav", seed=100 * label + index, seconds=1)
    return root


def test_speakers_stay_together(by_speaker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = audio_tasks.load("folder", data_dir=by_speaker)
    speakers = [set(split.speakers or ()) for split in task.splits.values()]
    assert [len(each) for each in speakers] == [8, 1, 1]
    assert len(set.union(*speakers)) == 10
    assert [len(split) for split in task.splits.values()] == [32, 4, 4]
    note = "note: split by speaker (the file name before the first underscore): 10 speakers\n"
    assert capsys.readouterr().err == note
    again = audio_tasks.load_again(task)
    assert again.test.ids == task.test.ids
    assert check(task).faults == []


def test_a_folder_that_was_moved_is_loaded_again_if_it_has_the_same_classes(by_speaker: Path, tmp_path: Path) -> None:
    task = audio_tasks.load("folder", data_dir=by_speaker, seed=3)
    moved = by_speaker.rename(tmp_path / "moved")
    assert audio_tasks.load_again(task, data_dir=moved).test.ids == task.test.ids
    (moved / "yes").rename(moved / "maybe")
    with pytest.raises(ArgumentError, match=r"other labels than before \(look at maybe, yes\): give its folder with"):
        audio_tasks.load_again(task, data_dir=moved)


def test_a_prefix_that_repeats_the_class_is_no_speaker(by_file: Path) -> None:
    task = audio_tasks.load("folder", data_dir=by_file)
    assert task.train.speakers is None
    assert [len(split) for split in task.splits.values()] == [32, 4, 4]
    assert all(np.bincount(split.labels).tolist() == [len(split) // 2] * 2 for split in task.splits.values())
    assert task.notes[0].startswith("split by recording, so a speaker may be in several splits (no has 1 different")
    assert audio_tasks.load("folder", data_dir=by_file, seed=5).test.ids != task.test.ids


def test_names_do_not_matter_to_a_split_by_recording(by_file: Path) -> None:
    first = audio_tasks.load("folder", data_dir=by_file, split_by="content")
    contents = {first.contents[key] for key in first.test.ids}
    for number, path in enumerate(sorted((by_file / "no").iterdir(), reverse=True)):
        path.rename(path.with_name(f"other{number}.wav"))
    second = audio_tasks.load("folder", data_dir=by_file, split_by="content")
    assert {second.contents[key] for key in second.test.ids} == contents


def test_equal_recordings_stay_together(by_file: Path) -> None:
    for path in sorted((by_file / "yes").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    task = audio_tasks.load("folder", data_dir=by_file)
    report = check(task)
    assert report.faults == []
    assert any(line.startswith("duplicates of another file: 20 files (yes/copy-") for line in report.lines)


def test_split_by_speaker_can_be_demanded(by_file: Path) -> None:
    with pytest.raises(DataError, match=r"the \w+ split has no clip of (no|yes)"):
        audio_tasks.load("folder", data_dir=by_file, split_by="speaker")


def test_fractions_and_length(by_file: Path) -> None:
    task = audio_tasks.load("folder", data_dir=by_file, clip_seconds=0.5, validation_fraction=0.25, test_fraction=0.15)
    assert [len(split) for split in task.splits.values()] == [24, 10, 6]
    assert task.clip_samples == 8000
    assert task.train.waveform(0).shape == (8000,)
    assert set(task.lengths.values()) == {16000}


def test_noise_and_other_folders(by_file: Path, write_wav: WriteWav) -> None:
    write_wav(by_file / "_background_noise_" / "rain.wav", seed=7, seconds=3)
    write_wav(by_file / "deep" / "inside" / "clip.wav", seed=8)
    (by_file / "no" / "song.mp3").write_bytes(b"ID3")
    task = audio_tasks.load("folder", data_dir=by_file)
    assert task.labels == ("no", "yes")
    assert [len(recording) for recording in task.noise] == [48000]
    assert "folders without audio files directly in them are no classes: deep" in task.notes
    assert task.skipped == {".mp3 file, not .wav, .flac or .ogg": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_seconds": 0}, "clip_seconds is 0, but must be from 0.01 to 60"),
        ({"clip_seconds": float("nan")}, "clip_seconds is nan, but must be"),
        ({"validation_fraction": 0}, "validation_fraction is 0, but must be above 0 and below 1"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0, but must be above 0 and below 1"),
        (
            {"validation_fraction": 0.5, "test_fraction": 0.5},
            "leave nothing to train on: together they must be below 1",
        ),
        ({"split_by": "speakers"}, "split_by is 'speakers', .*did you mean 'speaker'"),
        ({"data_dir": None}, "task folder needs --data-dir: a folder for each class with its clips"),
    ],
)
def test_bad_options(by_file: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        audio_tasks.load("folder", **{"data_dir": by_file, **options})  # type: ignore[arg-type]


def test_one_class_only(by_file: Path) -> None:
    shutil.rmtree(by_file / "no")
    with pytest.raises(DataError, match="needs at least two classes, but the data has only 'yes'"):
        audio_tasks.load("folder", data_dir=by_file)


def test_too_few_clips_for_three_splits(by_file: Path) -> None:
    for path in sorted((by_file / "no").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="the validation split has no clip of no: add clips of it, or remove the class"):
        audio_tasks.load("folder", data_dir=by_file)


def test_report_on_good_data(by_speaker: Path, write_wav: WriteWav, capsys: pytest.CaptureFixture[str]) -> None:
    write_wav(by_speaker / "no" / "p3_7.wav", seed=500, seconds=2.5, rate=44100)
    write_wav(by_speaker / "no" / "p3_8.wav", seed=501, seconds=0.5)
    assert folder.main([str(by_speaker), "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "task folder: 2 classes, 42 clips of 1 s at 16000 Hz"
    assert lines[3].split() == ["class", "train", "validation", "test", "all"]
    counts = {line.split()[0]: [int(text) for text in line.split()[1:]] for line in lines[4:7]}
    assert counts["no"][3] == 22
    assert counts["yes"][3] == 20
    assert counts["all"] == [n + y for n, y in zip(counts["no"], counts["yes"], strict=True)]
    assert lines[8:] == [
        "sample rates: 16000 Hz (41 files), 44100 Hz (1 file)",
        "lengths: 0.50 s to 2.50 s, half below 1.00 s, 95 % below 1.00 s",
        "longer than a clip, so their ends are cut off: 1 file; shorter, so they get silence on both sides: 1 file",
        "duplicates of another file: none",
        "",
        *lines[13:-1],
        "the data is fit for use",
    ]
    levels = {line.split()[0]: line.split()[1:] for line in lines[-4:-1]}
    assert set(levels) == {"no", "yes", "all"} and all(row[-1] == "0%" for row in levels.values())


@pytest.mark.parametrize(("words", "told"), [(("no", "yes"), "the clips are quiet"), (("no",), "1 of 2 classes (no)")])
def test_report_warns_of_quiet_clips(by_speaker: Path, words, told, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (path for word in words for path in (by_speaker / word).iterdir()):
        wav.write(path, wav.read(path) * 10 ** (-48 / 20), sample_rate_hz=16000)
    assert folder.main([str(by_speaker)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (warning,) = (line for line in lines if line.startswith("WARNING: "))
    assert told in warning and "raise the recording level" in warning
    assert lines[-1] == "the data is fit for use, but mind 1 warning"
    shares = {line.split()[0]: line.split()[-1] for line in lines if line.startswith(("no ", "yes "))}
    assert shares == {word: "100%" if word in words else "0%" for word in ("no", "yes")}


def test_a_class_of_silence_may_be_quiet(by_speaker: Path) -> None:
    task = folder.read(data_dir=by_speaker)
    silent = dataclasses.replace(task, labels=("silence", "yes"))
    for split in silent.splits.values():
        read = split._read
        split._read = lambda index, split=split, read=read: read(index) * (split.labels[index] != 0)
    lines, warnings = levels_of(silent)
    assert warnings == []
    assert [line.split()[1:] for line in lines if line.startswith("silence ")] == [["silent"] * 3 + ["100%"]]


def test_report_names_every_fault(by_speaker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = folder.read(data_dir=by_speaker)
    held_out = by_speaker / task.test.ids[0]
    trained = by_speaker / task.train.ids[0]
    shutil.copy(held_out, trained)  # the same recording under two speakers
    shutil.copy(by_speaker / "no" / "p4_0.wav", by_speaker / "yes" / "p4_0.wav")  # and under two labels
    (by_speaker / "no" / "p4_1.wav").write_bytes(b"")
    assert folder.main([str(by_speaker)]) == 1
    out = capsys.readouterr().out
    pair = " = ".join(sorted([task.test.ids[0], task.train.ids[0]]))
    assert f"WRONG: the same clip in two splits: 1 clip ({pair})\n" in out
    assert "WRONG: the same clip in two classes: 1 clip (no/p4_0.wav = yes/p4_0.wav)\n" in out
    assert "WRONG: unusable: 1 file: the file is empty (no/p4_1.wav)\n" in out
    assert out.endswith("not fit for use yet: 3 faults\n")


def test_report_on_data_that_cannot_be_loaded(by_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((by_file / "no").iterdir())[2:]:
        path.unlink()
    assert folder.main([str(by_file)]) == 1
    out = capsys.readouterr().out
    assert "WRONG: task folder: the validation split has no clip of no" in out
    assert next(line.split() for line in out.splitlines() if line.startswith("no ")) == ["no", "1", "0", "1", "2"]


def test_report_finds_a_speaker_in_two_splits(by_speaker: Path) -> None:
    task = folder.read(data_dir=by_speaker)
    assert task.validation.speakers is not None
    task.validation.speakers = ("p0", *task.validation.speakers[1:])
    task.train.speakers = ("p0",) * len(task.train)
    assert "the same speaker or source recording in two splits: 1 (p0)" in check(task).faults


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere"], 1, "error: data folder 'nowhere' does not exist; expected a folder for each class"),
        (["x", "--clip-seconds", "0"], 2, "error: clip_seconds is 0.0, but must be from 0.01 to 60"),
        (["x", "--split-by", "name"], 2, "error: split_by is 'name', but must be one of auto, content, speaker"),
    ],
)
def test_command_errors(arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder.main(arguments) == status
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        folder.main(["--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "DIR/yes/anna_01.wav" in text
    assert "Exit status: 0 if the data is fit for use" in text


def test_as_a_module(by_speaker: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "audio_tasks.folder", str(by_speaker), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("the data is fit for use\n")


def test_report_on_any_task(speech_data: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = speech_data()
    assert tasks_main(["speech_commands", "--data-dir", str(root)]) == 0
    assert "task speech_commands: 3 classes, 12 clips of 1 s" in capsys.readouterr().out
    assert tasks_main(["speech_commands", "words=13", "--data-dir", str(root)]) == 2
    assert "words is '13'" in capsys.readouterr().err
    assert tasks_main(["speech_commands", "words"]) == 2
    assert "option 'words' must have the form NAME=VALUE" in capsys.readouterr().err
    assert tasks_main(["folder", "clip_seconds=0.1", "--data-dir", str(root)]) == 0


@pytest.mark.parametrize("name", ["yes\x1b[2J", "yes\nno", "gpj.\u202eexe"])
def test_a_class_that_no_file_may_name_is_refused_before_anything_is_learned(by_file: Path, name: str) -> None:
    (by_file / "yes").rename(by_file / name)
    with pytest.raises(DataError, match=r"the label '.*' holds U\+.*, which no model file may hold: rename its folder"):
        audio_tasks.load("folder", data_dir=by_file)
