"""The task made of synthetic speech: repeatable, speaker-disjoint, at the stated signal-to-noise ratio."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from audio_tasks import speech_synthesis, synthetic
from audio_tasks.noises import NOISES
from audio_tasks.speech_synthesis import Utterance, phonemes, speak, voices
from bnn_exit.errors import ArgumentError, DataError, MissingPackageError
from bnn_exit.settings.features import FeatureConfig

espeakng_loader = pytest.importorskip("espeakng_loader")

SMALL = {"words": ("yes", "no", "stop"), "speakers": 4, "clips_per_word": 2}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return audio_tasks.load("synthetic", cache_dir=tmp_path_factory.mktemp("cache"), **SMALL)


def all_samples(task) -> np.ndarray:
    return np.concatenate([split.waveforms(range(len(split))) for split in task.splits.values()])


# ---- the task


def test_sizes_labels_and_clips(task):
    assert task.labels == ("yes", "no", "stop")
    assert {name: len(split) for name, split in task.splits.items()} == {"train": 12, "validation": 6, "test": 6}
    assert task.clip_samples == 16000 and task.input_shape == (98, 64, 1)
    for split in task.splits.values():
        np.testing.assert_array_equal(np.bincount(split.labels), [len(split) // 3] * 3)
        assert [name.split("/")[0] for name in split.ids] == [task.labels[label] for label in split.labels]
        assert len(set(split.ids)) == len(split)
        for index in range(len(split)):
            clip = split.waveform(index)
            assert clip.dtype == np.float32 and clip.shape == (16000,)
            assert np.isfinite(clip).all() and 0.01 < np.abs(clip).max() <= 1
    assert "espeak-ng" in task.attribution


def test_no_two_clips_are_alike(task):
    clips = all_samples(task)
    assert len({clip.tobytes() for clip in clips}) == len(clips) == 24


def test_no_speaker_is_in_two_splits(task):
    speakers = [set(split.speakers) for split in task.splits.values()]
    assert [len(each) for each in speakers] == [2, 1, 1]
    assert len(set.union(*speakers)) == 4


def test_loading_again_gives_the_same_samples_in_any_order(task, tmp_path):
    again = audio_tasks.load(task.name, features=task.features, cache_dir=tmp_path, **task.options)
    for split, other in zip(task.splits.values(), again.splits.values(), strict=True):
        assert (other.ids, other.speakers, other.fingerprint) == (split.ids, split.speakers, split.fingerprint)
        for index in reversed(range(len(split))):
            np.testing.assert_array_equal(other.waveform(index), split.waveform(index))
    for noise, other_noise in zip(task.noise, again.noise, strict=True):
        np.testing.assert_array_equal(noise, other_noise)


def test_another_seed_gives_other_voices_and_samples(task, tmp_path):
    other = audio_tasks.load("synthetic", cache_dir=tmp_path, seed=1, **SMALL)
    assert other.train.fingerprint != task.train.fingerprint
    assert set(other.train.speakers) != set(task.train.speakers)
    assert not np.array_equal(other.train.waveform(0), task.train.waveform(0))
    assert not np.array_equal(other.noise[0], task.noise[0])


def test_options_may_be_given_as_text(task, tmp_path):
    """As `python -m audio_tasks synthetic words=yes,no,stop snr_db=5,30` gives them."""
    made = audio_tasks.load("synthetic", cache_dir=tmp_path, **{**SMALL, "words": "yes, no,stop", "snr_db": "5,30"})
    assert made.options == task.options and made.train.fingerprint == task.train.fingerprint


def test_features_are_kept_on_disk(task):
    made = task.log_mel("test")
    assert made.shape == (6, 98, 64) and len(list(task.cache_dir.glob("log_mel-test-*.float32"))) == 1
    again = audio_tasks.load("synthetic", cache_dir=task.cache_dir.parent, **SMALL)
    assert again.cache_dir == task.cache_dir
    np.testing.assert_array_equal(again.log_mel("test"), made)
    # Words differ more than takes of a word, or there would be nothing to learn: the quiet ends are averaged away.
    assert np.ptp(made, axis=0).max() > 1


def test_another_sample_rate(tmp_path):
    features = FeatureConfig(sample_rate_hz=8000, fft_size=256, num_mels=40, upper_hz=4000)
    made = audio_tasks.load("synthetic", features=features, cache_dir=tmp_path, **SMALL)
    assert made.clip_samples == 8000 and made.test.waveform(0).shape == (8000,)
    assert made.log_mel("validation").shape == (6, 98, 40)


def test_noise_to_mix_into_training(task):
    assert len(task.noise) == len(NOISES)
    for noise in task.noise:
        assert noise.dtype == np.float32 and noise.shape == (160000,)
        np.testing.assert_allclose(np.sqrt(np.mean(noise**2)), 0.1, rtol=1e-3)


# ---- speakers


def test_the_defaults_make_1200_300_and_300_clips():
    cast = synthetic.choose_speakers(36, seed=0)
    counts = [sum(speaker.split == name for speaker in cast) for name in ("train", "validation", "test")]
    assert [50 * count for count in counts] == [1200, 300, 300]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("count", [3, 36, 59, 354])
def test_voices_are_all_different(count, seed):
    cast = synthetic.choose_speakers(count, seed=seed)
    assert len({speaker.name for speaker in cast}) == len({speaker.voice for speaker in cast}) == count
    assert {speaker.split for speaker in cast} == {"train", "validation", "test"}
    if count <= 59:
        assert len({speaker.voice.split("+")[1] for speaker in cast}) == count


def test_espeak_has_every_voice():
    """espeak-ng takes an unknown variant without a word and speaks with the plain voice."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    assert [variant for variant in synthetic.VARIANTS if not (folder / variant).is_file()] == []
    off = [Utterance("off", 170, 50, 50)]  # pronounced differently everywhere
    spoken = [speak(f"{accent}+m1", off)[0][0] for accent in synthetic.ACCENTS]
    assert len({samples.tobytes() for samples in spoken}) == len(synthetic.ACCENTS)


# ---- speech


def test_a_voice_says_the_same_at_any_time():
    # f5 is breathy: its noise comes from random numbers that espeak-ng would seed with the second of the day.
    take = [Utterance("yes", 170, 50, 50), Utterance("stop", 200, 60, 30), Utterance("yes", 170, 50, 50)]
    first, rate = speak("en-us+f5", take)
    time.sleep(1.01)
    second, _ = speak("en-us+f5", take)
    assert rate == 22050 and len(first) == 3
    for one, other in zip(first, second, strict=True):
        assert one.dtype == np.int16 and 4000 < one.size < 30000 and np.abs(one.astype(int)).max() > 3000
        np.testing.assert_array_equal(one, other)


def test_speed_and_pitch_do_what_they_say():
    (slow, fast, low, high), rate = speak(
        "en-us+m1",
        [Utterance("on", speed, pitch, 50) for speed, pitch in ((100, 50), (300, 50), (170, 10), (170, 90))],
    )
    assert slow.size > 1.5 * fast.size

    def pitch_hz(samples: np.ndarray) -> float:
        middle = samples[len(samples) // 4 : len(samples) // 2].astype(np.float64)
        correlation = np.correlate(middle, middle, "full")[middle.size - 1 :]
        lags = np.arange(rate // 400, rate // 60)
        return rate / lags[correlation[lags].argmax()]

    assert pitch_hz(high) > 1.3 * pitch_hz(low)


def test_phonemes_are_spoken_as_the_text_they_come_from():
    made = phonemes("en-us", ["hey lamp", "lamp, lamp", "..."])
    assert made == ["h|'eI l|'a|m|p", "l|'a|m|p l|'a|m|p", ""]
    text, same, other = speak(
        "en-us+f2",
        [Utterance("hey lamp", 150, 50, 50)],
    )[0] + [
        speak("en-us+f2", [Utterance(sounds, 150, 50, 50, phonemes=True)])[0][0]
        for sounds in (made[0], made[0].replace("'a", "'I"))
    ]
    np.testing.assert_array_equal(same, text)
    assert not np.array_equal(other, text)


def test_brackets_in_a_text_are_no_phonemes():
    as_text, as_phonemes = (
        speak("en-us+m1", [Utterance(text, 150, 50, 50, phonemes)])[0][0]
        for text, phonemes in (("[[l'amp]]", False), ("l'amp", True))
    )
    assert as_text.size > 1.3 * as_phonemes.size


def test_the_voices_are_listed_with_their_languages():
    found = voices()
    assert ("de", "gmw/de") in found and ("fr-fr", "roa/fr") in found and len(found) > 100
    with pytest.raises(DataError, match=r"espeak-ng failed: it has no voice 'nowhere'; reinstall it"):
        phonemes("nowhere", ["yes"])


def test_an_unknown_voice_is_an_error():
    with pytest.raises(DataError, match=r"espeak-ng failed: it has no voice 'nowhere\+m1'; reinstall it: pip install"):
        speak("nowhere+m1", [Utterance("yes", 170, 50, 50)])


def test_a_library_that_does_not_load_is_an_error(monkeypatch, tmp_path):
    broken = tmp_path / "libespeak-ng.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(broken))
    with pytest.raises(DataError, match=r"espeak-ng failed: .*libespeak-ng\.so.*; reinstall it") as error:
        speak("en-us+m1", [Utterance("yes", 170, 50, 50)])
    assert "\n" not in str(error.value)


def test_a_worker_that_crashes_is_an_error(monkeypatch, tmp_path):
    crash = tmp_path / "espeak_worker.py"
    crash.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(speech_synthesis, "__file__", str(tmp_path / "speech_synthesis.py"))
    with pytest.raises(DataError, match="espeak-ng failed: exit status -6; reinstall it"):
        speak("en-us+m1", [Utterance("yes", 170, 50, 50)])


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    message = r"the tasks synthetic and wake_word\) needs the package espeakng-loader: pip install '\.\[synthetic\]'"
    with pytest.raises(MissingPackageError, match=message):
        audio_tasks.load("synthetic", **SMALL)


# ---- noise


@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_signal_to_noise_ratio_is_the_one_asked_for(snr_db, seed):
    speech = np.sin(np.arange(6000) / 3).astype(np.float32)

    def clip(ratio: float) -> np.ndarray:
        generator = np.random.default_rng(seed)  # the same place, loudness and noise each time
        return synthetic.place_in_noise(speech, generator, snr_db=(ratio, ratio), samples=16000, sample_rate_hz=16000)

    clean, noisy = clip(120), clip(snr_db)
    spoken = np.flatnonzero(np.abs(clean) > 1e-5)
    assert abs(len(spoken) - 6000) < 10
    level_db = 10 * np.log10(np.mean(clean[spoken] ** 2))
    assert -30.1 < level_db < -11.9
    np.testing.assert_allclose(level_db - 10 * np.log10(np.mean((noisy - clean) ** 2)), snr_db, atol=0.1)


def test_a_word_as_long_as_the_clip_fits():
    clip = synthetic.place_in_noise(
        np.ones(800, np.float32), np.random.default_rng(0), snr_db=(0, 0), samples=800, sample_rate_hz=8000
    )
    assert clip.shape == (800,) and np.isfinite(clip).all()


@pytest.mark.parametrize("rate", [8000, 16000, 1000])
@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_unit_power_and_its_colour(kind, rate):
    noise = NOISES[kind](np.random.default_rng(5), samples=4 * rate, sample_rate_hz=rate)
    assert noise.dtype == np.float32 and noise.shape == (4 * rate,)
    np.testing.assert_allclose(np.mean(noise**2), 1, rtol=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(4 * rate, 1 / rate)

    def band(low: float, high: float) -> float:
        return power[(hz >= low) & (hz < high)].mean()

    fall_db = 10 * np.log10(band(30, 60) / band(240, 480))
    if kind == "white":
        assert abs(fall_db) < 2
    elif kind == "pink":
        assert abs(fall_db - 9) < 2  # three octaves
    else:
        assert power[(hz > 45) & (hz < 65)].sum() > 0.3 * power.sum()


# ---- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "yes"}, "words is 'yes', but must be two or more different words"),
        ({"words": ("yes", "yes")}, r"words is \('yes', 'yes'\), but must be two or more different words"),
        ({"words": ("yes", " ")}, r"words is \('yes', ' '\), but must be words, as a sequence or separated by commas"),
        ({"words": 12}, "words is 12, but must be words"),
        ({"words": ("yes", "...")}, r"words has '\.\.\.', which espeak-ng cannot speak: take another word"),
        ({"words": ("yes", "incomprehensibility of it all")}, r"which takes \d\.\d s to speak, but a clip is 1 s long"),
        ({"speakers": 2}, "speakers is 2, but must be a whole number from 3 to 354"),
        ({"speakers": 355}, "speakers is 355, but must be a whole number from 3 to 354"),
        ({"speakers": 4.0}, "speakers is 4.0, but must be a whole number"),
        ({"clips_per_word": 0}, "clips_per_word is 0, but must be a whole number from 1 to 10000"),
        ({"snr_db": (30, 5)}, r"snr_db is \(30, 5\), but must be two numbers, lowest and highest, from -20 to 100"),
        ({"snr_db": 5}, "snr_db is 5, but must be two numbers"),
        ({"snr_db": "loud"}, "snr_db is 'loud', but must be two numbers"),
        ({"snr_db": (float("nan"), 5)}, "but must be two numbers"),
        ({"data_dir": "clips"}, "data_dir is 'clips', but task synthetic makes its own data: leave it out"),
        ({"voices": 3}, "task synthetic has no option 'voices'; its options: clips_per_word, snr_db, speakers, words"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message) as error:
        audio_tasks.load("synthetic", **{**SMALL, **options})
    assert "\n" not in str(error.value)
