"""Words placed in long backgrounds: where, how loud, and the same for the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from audio_tasks import __main__ as command
from audio_tasks.mix import mix
from audio_tasks.placing import MixSettings
from audio_tasks.split import Split
from bnn_exit.audio import wav
from bnn_exit.audio.level import level
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.streams.labelled import read_events

RATE = 16000
LABELS = ("no", "unknown", "yes")


def split() -> Split:
    """Six clips: a burst of noise from 0.25 to 0.75 s, of another loudness each."""
    generator = np.random.default_rng(0)
    clips = np.zeros((6, RATE), np.float32)
    for index in range(6):
        clips[index, 4000:12000] = 0.02 * (index + 1) * generator.standard_normal(8000)
    labels = np.array([0, 1, 2, 0, 1, 2], np.int32)
    return Split("test", tuple(f"c{i}" for i in range(6)), labels, None, clips.__getitem__)


def background(path, *, seconds=60.0, rate=RATE, amplitude=0.01, seed=1):
    noise = amplitude * np.random.default_rng(seed).standard_normal(int(seconds * rate))
    wav.write(path, noise.astype(np.float32), sample_rate_hz=rate)
    return path


def made(tmp_path, backgrounds, *, out="out", chosen=("no", "yes"), **settings):
    return mix(
        split(),
        labels=LABELS,
        chosen=chosen,
        backgrounds=backgrounds,
        out=tmp_path / out,
        sample_rate_hz=RATE,
        settings=MixSettings(**settings),
    )


@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 20.0])
def test_words_have_the_level_that_was_asked_for(tmp_path, snr_db):
    (found,) = made(tmp_path, [background(tmp_path / "rain.wav")], snr_db=(snr_db,))
    mixed, alone = wav.read(found.path), wav.read(tmp_path / "rain.wav")
    assert len(mixed) == len(alone) == 60 * RATE and found.clipped == 0
    assert len(found.words) >= 6
    added = mixed - alone
    for word in found.words:
        first, last = round(word.start_s * RATE), round(word.end_s * RATE)
        assert word.end_s - word.start_s == pytest.approx(0.5, abs=0.03)
        measured = level(added[first + 640 : last - 640]).rms - level(alone).rms
        assert measured == pytest.approx(snr_db, abs=0.6)
        assert word.snr_db == snr_db


def test_pauses_lie_between_the_bounds_and_nothing_else_is_changed(tmp_path):
    (found,) = made(tmp_path, [background(tmp_path / "rain.wav")], gap_s=(1.0, 2.0))
    middles = [(word.start_s + word.end_s) / 2 for word in found.words]
    gaps = np.diff(middles) - 1.0
    assert gaps.min() >= 0.95 and gaps.max() <= 2.05 and gaps.std() > 0.1
    mixed, alone = wav.read(found.path), wav.read(tmp_path / "rain.wav")
    changed = np.flatnonzero(mixed != alone) / RATE
    assert all(np.abs(changed[:, None] - np.array(middles)).min(axis=1) <= 0.5 + 1e-3)


def test_each_clip_is_used_before_any_is_used_again(tmp_path):
    (found,) = made(tmp_path, [background(tmp_path / "rain.wav")], gap_s=(1.0, 1.0))
    clips = [word.clip for word in found.words]
    assert sorted(clips[:4]) == ["c0", "c2", "c3", "c5"] and sorted(clips[4:8]) == ["c0", "c2", "c3", "c5"]
    assert clips[:4] != clips[4:8]
    assert all(LABELS[split().labels[int(word.clip[1:])]] == word.label for word in found.words)


def test_the_table_is_read_by_what_measures(tmp_path):
    backgrounds = [background(tmp_path / "rain.wav"), background(tmp_path / "wind.wav", seed=2)]
    found = made(tmp_path, backgrounds, snr_db=(0.0, 10.0))
    read = read_events(tmp_path / "out/events.tsv", files=[each.path for each in found], labels=LABELS)
    for each, words in zip(found, read, strict=True):
        assert [(word.label, round(word.start_s, 3)) for word in each.words] == [
            (word.label, round(word.start_s, 3)) for word in words
        ]
    assert {word.snr_db for each in found for word in each.words} == {0.0, 10.0}


def test_a_seed_makes_the_same_and_another_something_else(tmp_path):
    rain = [background(tmp_path / "rain.wav")]
    for out, seed in (("one", 1), ("again", 1), ("two", 2)):
        made(tmp_path, rain, out=out, seed=seed)
    read = {out: (tmp_path / out / "rain.wav").read_bytes() for out in ("one", "again", "two")}
    assert read["one"] == read["again"] != read["two"]
    tables = {out: (tmp_path / out / "events.tsv").read_text() for out in ("one", "again", "two")}
    assert tables["one"] == tables["again"] != tables["two"]


def test_hours_and_counts_go_through_the_backgrounds_again(tmp_path):
    rain = [background(tmp_path / "rain.wav", seconds=20)]
    found = made(tmp_path, rain, hours=50 / 3600)
    assert [each.path.name for each in found] == ["rain.wav", "rain_2.wav", "rain_3.wav"]
    assert sum(each.seconds for each in found) == pytest.approx(50)
    assert found[0].words != found[1].words
    found = made(tmp_path, rain, count=7, gap_s=(1, 3), out="count")
    assert sum(len(each.words) for each in found) == 7
    # The last one ends soon after its last word.
    assert found[-1].seconds <= found[-1].words[-1].end_s + 0.5 + 3.01


def test_a_background_of_another_rate_is_resampled(tmp_path):
    (found,) = made(tmp_path, [background(tmp_path / "rain.wav", rate=44100, seconds=10)], gap_s=(1, 1))
    assert wav.load(found.path, sample_rate_hz=RATE).rate_hz == RATE
    assert found.seconds == pytest.approx(10) and len(found.words) == 5


def test_in_digital_silence_a_clip_keeps_its_level(tmp_path):
    wav.write(tmp_path / "none.wav", np.zeros(5 * RATE, np.float32), sample_rate_hz=RATE)
    (found,) = made(tmp_path, [tmp_path / "none.wav"], gap_s=(1, 1))
    peak = level(wav.read(found.path)[: 2 * RATE]).active
    assert peak == pytest.approx(level(split().waveform(int(found.words[0].clip[1:]))).active, abs=0.1)


def test_what_is_too_loud_is_clipped_and_counted(tmp_path):
    (found,) = made(tmp_path, [background(tmp_path / "loud.wav", amplitude=0.3)], snr_db=(20.0,))
    assert found.clipped > 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"snr_db": ()}, r"snr_db is \[\], but must be one or more numbers from -60 to 60"),
        ({"snr_db": (float("nan"),)}, r"snr_db is \[nan\]"),
        ({"gap_s": (3.0, 1.0)}, "gap_s is 3 1, but must be two times, the first at most the second"),
        ({"gap_s": (-1.0, 1.0)}, "gap_s is -1 1"),
        ({"gap_s": (0.0, float("inf"))}, "gap_s is 0 inf"),
        ({"seed": -1}, "seed is -1, but must be at least 0"),
        ({"hours": 0.0}, "hours is 0, but must be above 0 and at most 10000"),
        ({"count": 0}, "count is 0, but must be at least 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        MixSettings(**settings)


def test_what_cannot_be_mixed_is_told(tmp_path):
    short = [background(tmp_path / "short.wav", seconds=1.5)]
    with pytest.raises(DataError, match="the backgrounds are too short for a word with its pause: give longer ones"):
        made(tmp_path, short, count=3)
    with pytest.raises(DataError, match="too short for a word"):
        made(tmp_path, short)
    assert not list((tmp_path / "out").iterdir())  # a recording without its table is of no use
    with pytest.raises(ArgumentError, match="the test split has no clip of maybe"):
        made(tmp_path, short, chosen=("maybe",))
    with pytest.raises(ArgumentError, match="there is no background: give audio files or folders of them"):
        made(tmp_path, [])
    with pytest.raises(DataError, match=r"none.wav: no such audio file"):
        made(tmp_path, [tmp_path / "none.wav"])


@pytest.mark.parametrize("name", ["a\tb\n.wav", " a b .wav", "\udcff.wav", "\u202ea.wav"])
def test_the_table_names_recordings_whatever_their_backgrounds_are_called(tmp_path, name):
    made(tmp_path, [background(tmp_path / name, seconds=30), background(tmp_path / "plain.wav", seconds=30)])
    paths = sorted((tmp_path / "out").glob("*.wav"))
    found = read_events(tmp_path / "out" / "events.tsv", files=paths, labels=LABELS)
    assert len(paths) == 2 and all(found)


def test_a_folder_with_recordings_is_left_alone(tmp_path):
    speech = background(tmp_path / "out" / "speech.wav", seconds=30)
    before = speech.read_bytes()
    message = r"out is '.*out', which holds 'speech.wav': give a folder without audio files"
    with pytest.raises(ArgumentError, match=message):
        made(tmp_path, [speech])
    # Nor would recordings of another table stay beside those of the new one.
    with pytest.raises(ArgumentError, match=message):
        made(tmp_path, [background(tmp_path / "rain.wav", seconds=30)])
    assert speech.read_bytes() == before and list((tmp_path / "out").iterdir()) == [speech]


def test_the_command_makes_recordings(tmp_path, speech_data, capsys):
    data = speech_data()
    (tmp_path / "rain").mkdir()
    background(tmp_path / "rain" / "rain.wav", seconds=30)
    arguments = ["mix", "--task", "speech_commands", "--data-dir", str(data), "words=all"]
    arguments += ["--background", str(tmp_path / "rain"), "--out", str(tmp_path / "out"), "--labels", "cat,tree"]
    assert command.main([*arguments, "--count", "4", "--gap-s", "1", "2"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("1 recording, 0.00") and said.out.endswith(
        f"4 words; wrote {tmp_path / 'out' / 'events.tsv'}\n"
    )
    labels = [line.split("\t")[3] for line in (tmp_path / "out" / "events.tsv").read_text().splitlines()[1:]]
    assert set(labels) == {"cat", "tree"} and len(labels) == 4
    assert json.dumps(said.err).count("rain.wav") == 1


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--labels", "cot"], 2, "error: --labels is 'cot', but must be one of cat, dog, tree; did you mean 'cat'?"),
        (["--split", "tst"], 2, "error: --split is 'tst', but must be one of test, train, validation; did you mean"),
        (["--snr-db", "loud"], 2, "error: argument --snr-db: invalid float value: 'loud'"),
        (["--gap-s", "5", "1"], 2, "error: gap_s is 5 1, but must be two times"),
        (["--background", "{empty}"], 1, "error: {empty} has no wav, flac or ogg files directly in it"),
        (["word=all"], 2, "error: task speech_commands has no option 'word'; its options: "),
        (["words"], 2, "error: option 'words' must have the form NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, speech_data, capsys, more, status, message):
    (tmp_path / "empty").mkdir()
    names = {"empty": str(tmp_path / "empty")}
    arguments = ["mix", "--task", "speech_commands", "--data-dir", str(speech_data())]
    arguments += ["--background", str(background(tmp_path / "rain.wav")), "--out", str(tmp_path / "out")]
    assert command.main([*arguments, *(each.format(**names) for each in more)]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(message.format(**names))
    assert not (tmp_path / "out").exists()
