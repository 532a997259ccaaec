"""The task of one's own phrases: labels, voices, what is said against them, recordings by people, and refusals."""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pytest

import audio_tasks
from audio_tasks import wake_takes
from audio_tasks.positives import loudest
from audio_tasks.speech_synthesis import Utterance, speak
from audio_tasks.voices import ACCENTS, VARIANTS, accents_of, cast_of
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError, DataError, MissingPackageError
from bnn_exit.runs.options import add_data_options, data_options
from bnn_exit.settings.features import FeatureConfig

pytest.importorskip("espeakng_loader")

SMALL = {"phrase": "hey lamp", "speakers": 6, "clips_per_phrase": 2, "near_misses": 5}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return audio_tasks.load("wake_word", cache_dir=tmp_path_factory.mktemp("cache"), **SMALL)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Eight recordings of a phrase: one in each of eight voices, with quiet around it, of several lengths and rates."""
    folder = tmp_path_factory.mktemp("people")
    for number in range(8):
        spoken, rate = speak(f"en-us+{VARIANTS[number]}", [Utterance("hey lamp", 160, 50, 50)])
        waveform = spoken[0].astype(np.float32) / 32768
        quiet = np.zeros(number * rate // 4, np.float32)
        wav.write(folder / f"p{number}.wav", np.concatenate([quiet, waveform]), sample_rate_hz=rate)
    return folder


# ---- the task


def test_sizes_labels_and_clips(task):
    assert task.labels == ("hey lamp", "unknown")
    assert {name: len(split) for name, split in task.splits.items()} == {"train": 28, "validation": 7, "test": 7}
    assert task.features.sample_rate_hz == 16000 and task.clip_samples % 1600 == 0
    assert 16000 <= task.clip_samples <= 24000
    for split in task.splits.values():
        speakers = len(set(split.speakers))
        np.testing.assert_array_equal(np.bincount(split.labels), [2 * speakers, 5 * speakers])
        assert [name.split("/")[0] for name in split.ids] == [task.labels[label] for label in split.labels]
        assert len(set(split.ids)) == len(split)
        for index in range(len(split)):
            clip = split.waveform(index)
            assert clip.dtype == np.float32 and clip.shape == (task.clip_samples,)
            assert np.isfinite(clip).all() and 0 < np.abs(clip).max() <= 1
    assert task.licence == "none: generated data" and "espeak-ng" in task.attribution
    assert task.notes == ()


def test_no_voice_is_in_two_splits(task):
    variants = [{name.split("-")[-2] for name in split.speakers} for split in task.splits.values()]
    assert [len(each) for each in variants] == [4, 1, 1]
    assert len(set.union(*variants)) == 6


def test_loading_again_gives_the_same_samples_in_any_order(task, tmp_path):
    again = audio_tasks.load(task.name, features=task.features, cache_dir=tmp_path, **task.options)
    assert (again.options, again.clip_samples) == (task.options, task.clip_samples)
    for split, other in zip(task.splits.values(), again.splits.values(), strict=True):
        assert (other.ids, other.fingerprint) == (split.ids, split.fingerprint)
        for index in reversed(range(len(split))):
            np.testing.assert_array_equal(other.waveform(index), split.waveform(index))


def test_another_seed_gives_other_voices_and_samples(task, tmp_path):
    other = audio_tasks.load("wake_word", cache_dir=tmp_path, seed=1, **SMALL)
    assert other.train.fingerprint != task.train.fingerprint
    assert set(other.train.speakers) != set(task.train.speakers)


def test_features_are_kept_on_disk(task):
    made = task.log_mel("test")
    assert made.shape == (7, *task.input_shape[:2])
    again = audio_tasks.load("wake_word", cache_dir=task.cache_dir.parent, **SMALL)
    assert again.cache_dir == task.cache_dir
    np.testing.assert_array_equal(again.log_mel("test"), made)


def test_several_phrases_share_unknown_and_long_ones_make_long_clips(tmp_path):
    options = {**SMALL, "phrase": ["Hey  Lamp", "turn off all of the lights"], "near_misses": 1, "clips_per_phrase": 1}
    made = audio_tasks.load("wake_word", cache_dir=tmp_path, **options)
    assert made.labels == ("Hey Lamp", "turn off all of the lights", "unknown")
    np.testing.assert_array_equal(np.bincount(made.test.labels), [1, 1, 2])
    assert made.clip_samples > 20000
    assert made.options["phrase"] == ["Hey Lamp", "turn off all of the lights"]


def test_another_sample_rate_and_language(tmp_path):
    features = FeatureConfig(sample_rate_hz=8000, fft_size=256, num_mels=40, upper_hz=4000)
    options = {**SMALL, "phrase": "guten Morgen", "language": "de", "speakers": 3}
    made = audio_tasks.load("wake_word", features=features, cache_dir=tmp_path, **options)
    assert made.clip_samples % 800 == 0 and 8000 <= made.clip_samples <= 12000
    assert all(name.startswith("de-") for name in made.train.speakers)
    spoken = {**SMALL, "phrase": "привет лампа", "language": "ru", "speakers": 3}
    assert audio_tasks.load("wake_word", cache_dir=tmp_path, **spoken).labels == ("привет лампа", "unknown")


def test_a_phrase_of_few_phonemes_is_warned_of(tmp_path, capsys):
    made = audio_tasks.load("wake_word", cache_dir=tmp_path, **{**SMALL, "phrase": "hey", "speakers": 3})
    assert made.notes[0].startswith("phrase 'hey' has only 2 phonemes, so much of what people say sounds like it")
    assert "note: phrase 'hey' has only 2 phonemes" in capsys.readouterr().err


# ---- voices and what they say


@pytest.mark.parametrize("count", [3, 7, 120, 2000])
def test_the_cast_shares_no_variant_among_splits(count):
    cast = cast_of(count, accents=ACCENTS, seed=5)
    assert len(cast) == len({speaker.name for speaker in cast}) == count
    variants = {split: {s.voice.split("+")[1] for s in cast if s.split == split} for split in ("train", "validation")}
    variants["test"] = {s.voice.split("+")[1] for s in cast if s.split == "test"}
    assert all(variants.values()) and len(set.union(*variants.values())) == sum(map(len, variants.values()))
    held_out = [sum(speaker.split == split for speaker in cast) for split in ("validation", "test")]
    assert held_out == [max(1, round(count / 6))] * 2
    # Two who share a voice differ in how they use it.
    assert len({(s.voice, s.pitch, s.words_per_minute, s.played_hz) for s in cast}) > 0.99 * count


def test_the_accents_of_languages():
    assert accents_of("en") == ACCENTS and accents_of("de") == ("gmw/de",)
    assert set(accents_of("pt")) == {"roa/pt", "roa/pt-BR"}
    with pytest.raises(ArgumentError, match=r"language is 'germ', but must be one that espeak-ng speaks, such as de"):
        accents_of("germ")


def test_every_speaker_says_the_phrase_and_what_is_near():
    cast = cast_of(6, accents=ACCENTS, seed=0)
    clips, scripts = wake_takes.scripts_of(cast, ["hey lamp"], ACCENTS, takes=2, near_misses=20, seed=0)
    assert [len(clips[name]) for name in ("train", "validation", "test")] == [88, 22, 22]
    for script in scripts.values():
        kinds = [saying.kind for _, saying in script]
        assert {kind: kinds.count(kind) for kind in kinds} == {
            "phrase": 2,
            "changed": 6,
            "replaced": 5,
            "part": 4,
            "other": 4,
            "noise": 1,
        }
    said = {saying.text for script in scripts.values() for _, saying in script if saying.kind != "phrase"}
    assert "hey lamp" not in said and {"hey", "lamp", "lamp hey"} <= said and len(said) > 60


# ---- recordings by people


def with_recordings(folder, cache, **options):
    return audio_tasks.load("wake_word", cache_dir=cache, positives=folder, **{**SMALL, **options})


def test_recordings_are_split_by_file_and_repeated_in_training(recordings, tmp_path):
    made = with_recordings(recordings, tmp_path)
    people = {name: [i for i in split.ids if ".wav" in i] for name, split in made.splits.items()}
    files = {name: {i.partition("#")[0] for i in ids} for name, ids in people.items()}
    assert {name: len(each) for name, each in files.items()} == {"train": 6, "validation": 1, "test": 1}
    assert set.union(*files.values()) == {f"hey lamp/p{number}.wav" for number in range(8)}
    assert len(people["train"]) == 6 and len(people["test"]) == 1  # 8 synthetic takes: once each
    assert "recordings of the phrase: 6 train, 1 validation, 1 test" in made.notes
    assert made.licence.startswith("generated data; recordings: ")
    more = with_recordings(recordings, tmp_path, clips_per_phrase=6)
    assert sum(".wav" in i for i in more.train.ids) == 6 * 4  # of 24 synthetic takes: as many
    for name, split in more.splits.items():
        for number, key in enumerate(split.ids):
            clip = split.waveform(number)
            assert clip.shape == (more.clip_samples,) and np.isfinite(clip).all(), (name, key)
            assert np.abs(clip).max() > 0.01, (name, key)


def test_a_long_recording_is_cut_where_it_is_loud(recordings, tmp_path):
    """p7 has 1.75 s of silence before the phrase: its middle alone would hold half of it."""
    folder = tmp_path / "positives"
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "late.wav").write_bytes((recordings / "p7.wav").read_bytes())
    made = with_recordings(folder, tmp_path / "cache")
    clip = made.test.waveform(made.test.ids.index("hey lamp/test/late.wav"))
    whole = wav.read(recordings / "p7.wav", sample_rate_hz=16000)
    np.testing.assert_allclose(np.sum(clip**2), np.sum(whole**2), rtol=0.03)


def test_folders_of_splits_and_of_phrases_are_kept(recordings, tmp_path):
    folder = tmp_path / "positives"
    for place, number in (("hey_lamp/train", 0), ("hey_lamp/test", 1), ("Good Night", 2)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "a.wav").write_bytes((recordings / f"p{number}.wav").read_bytes())
    made = with_recordings(folder, tmp_path / "cache", phrase=["hey lamp", "good night"])
    assert "hey lamp/test/a.wav" in made.test.ids and "hey lamp/train/a.wav" in made.train.ids
    assert "good night/a.wav" in made.train.ids
    assert made.train.labels[made.train.ids.index("good night/a.wav")] == 1
    # The accent is a character of its own in the name of the folder, as some file systems write it.
    (folder / "Good Night").rename(folder / "cafe\u0301")
    assert "caf\xe9/a.wav" in with_recordings(folder, tmp_path / "cache", phrase=["hey lamp", "caf\xe9"]).train.ids
    with pytest.raises(DataError, match="has no folder 'good bye': several phrases need a folder each"):
        with_recordings(folder, tmp_path / "cache", phrase=["hey lamp", "good bye"])


def test_recordings_that_cannot_be_used_are_named(recordings, tmp_path):
    with pytest.raises(DataError, match=r"data folder .*nowhere' does not exist; expected recordings of the phrase"):
        with_recordings(tmp_path / "nowhere", tmp_path)
    folder = tmp_path / "positives"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"positives' has no audio files; expected recordings of the phrase"):
        with_recordings(folder, tmp_path)
    (folder / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"none of the 1 audio files can be used; the first, hey lamp/broken\.wav"):
        with_recordings(folder, tmp_path)
    (folder / "good.wav").write_bytes((recordings / "p0.wav").read_bytes())
    made = with_recordings(folder, tmp_path)
    assert list(made.problems) == ["hey lamp/broken.wav"] and sum(made.skipped.values()) == 1


def test_the_loudest_cut():
    waveform = np.zeros(1000, np.float32)
    waveform[600:700] = 1
    assert loudest(waveform, 200) == (498, 602)  # 98 % of the energy
    assert loudest(waveform[:701], 700) == (0, 1)
    assert loudest(np.zeros(10, np.float32), 4) == (0, 6)


# ---- refusals, before anything is made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phrase": ""}, "phrase is '', but must be what the device listens for: --phrase 'hey lamp'"),
        ({"phrase": []}, r"phrase is \[\], but must be what the device listens for"),
        ({"phrase": "  "}, "phrase is '  ', but must be what the device listens for"),
        ({"phrase": ["hey lamp", ""]}, "phrase is '', which has no letters"),
        ({"phrase": 3}, "phrase is 3, but must be what the device listens for"),
        ({"phrase": "?!"}, r"phrase is '\?!', which has no letters, so it cannot be spoken"),
        ({"phrase": "hey \x1b[2J"}, r"which holds U\+001B, a control character"),
        ({"phrase": "x" * 81}, "which has 81 characters, but may have 80: take a shorter phrase"),
        ({"phrase": "Unknown"}, "phrase is 'Unknown', but this is a label of sound that makes no event: take another"),
        ({"phrase": ["hey lamp", "noise"]}, "phrase is 'noise', but this is a label of sound that makes no event"),
        ({"phrase": "привет"}, "phrase is 'привет', but 'п' is no letter of English: give its language"),
        ({"phrase": ["hey lamp", "Hey lamp"]}, "phrase 'hey lamp' is given twice: leave one out"),
        ({"phrase": ["two", "too"]}, "phrase 'too' sounds like 'two': leave one out"),
        ({"phrase": ["a b"] * 21}, "phrase is given 21 times, but at most 20 are learned at once"),
        (
            {"phrase": "please be so kind as to turn on every lamp in the upper kitchen now"},
            r"which takes \d\.\d s to speak, but may take 3 s: take a shorter phrase",
        ),
        ({"language": "klingon"}, "language is 'klingon', but must be one that espeak-ng speaks"),
        ({"language": 3}, "language is 3, but must be the name of a language"),
        ({"speakers": 2}, "speakers is 2, but must be a whole number from 3 to 2000"),
        ({"clips_per_phrase": 0}, "clips_per_phrase is 0, but must be a whole number from 1 to 1000"),
        ({"near_misses": 1.5}, "near_misses is 1.5, but must be a whole number from 1 to 1000"),
        ({"snr_db": (30, 5)}, r"snr_db is \(30, 5\), but must be two numbers"),
        ({"data_dir": "clips"}, "data_dir is 'clips', but task wake_word makes its own data"),
        ({"positives": 3}, "positives is 3, but must be the path of a folder or an archive"),
        ({"words": 3}, "task wake_word has no option 'words'; its options: clips_per_phrase, language, near_misses"),
    ],
)
def test_bad_arguments_are_refused_before_any_voice_speaks(options, message, monkeypatch):
    monkeypatch.setattr("audio_tasks.wake_word.record", lambda *_, **__: pytest.fail("spoken already"))
    with pytest.raises(ArgumentError, match=message) as error:
        audio_tasks.load("wake_word", **{**SMALL, **options})
    assert "\n" not in str(error.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingPackageError, match=r"needs the package espeakng-loader: pip install '\.\[synthetic\]'"):
        audio_tasks.load("wake_word", **SMALL)


def test_the_flags_of_the_commands():
    arguments = argparse.ArgumentParser()
    add_data_options(arguments, tasks=audio_tasks.TASKS, flags=audio_tasks.flags())
    given = arguments.parse_args(["--phrase", "hey lamp", "--phrase", "good night", "--positives", "people"])
    assert data_options(given, audio_tasks.flags()) == {
        "data_dir": None,
        "cache_dir": None,
        "phrase": ["hey lamp", "good night"],
        "positives": "people",
    }
    assert "phrase" not in data_options(arguments.parse_args([]), audio_tasks.flags())
    assert "wake_word: what to listen for; repeat it for several phrases" in " ".join(arguments.format_help().split())
