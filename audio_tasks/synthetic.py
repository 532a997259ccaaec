"""Spoken words made on the spot: a task that needs no data, by many voices and under noise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from audio_tasks.base import Task, check_task
from audio_tasks.cache import default_cache_dir, digest
from audio_tasks.noises import NOISES
from audio_tasks.speech_synthesis import Utterance, speak
from audio_tasks.split import SPLITS, Split
from audio_tasks.spoken import audible_part, check_count, checked_snr, generator_of, place_in_noise
from audio_tasks.voices import ACCENTS, VARIANTS, Speaker
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError
from bnn_exit.files import expanded
from bnn_exit.pairs import zip_strict
from bnn_exit.progress import progress_bar
from bnn_exit.settings.features import FeatureConfig

# Part of the fingerprint. Raise it when the clips change for the same options.
_VERSION = 1
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
_SPEAKERS_LIMIT = len(VARIANTS) * len(ACCENTS)
_NOISE_SECONDS = 10


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    words: str | Sequence[str] = WORDS,
    clips_per_word: int = 5,
    speakers: int = 36,
    snr_db: str | Sequence[float] = (5.0, 30.0),
) -> Task:
    """Words spoken by espeak-ng in one-second clips, at a random place and loudness, under white, pink or mains noise.

    The same arguments give the same samples, in whatever order clips are read. No speaker is in two splits, and up to
    59 speakers no two have the same voice variant. A sixth of the speakers each go to validation and test; the
    defaults make 1200, 300 and 300 clips.

    Args:
        data_dir: must be None; there is no data to be read.
        features: log-mel settings; clips are made at their sample rate.
        cache_dir: where to keep features; BNN_EXIT_CACHE or ~/.cache/bnn_exit if None.
        seed: chooses voices, takes and noise.
        words: two or more different English words or short phrases, as a sequence or separated by commas.
        clips_per_word: clips of each word by each speaker, 1 or more. More give more takes, not more voices.
        speakers: voices in all three splits together, 3 to 354. More make a task that generalises better.
        snr_db: lowest and highest signal-to-noise ratio; each clip draws one in between. Lower is harder.

    Raises:
        ArgumentError: an argument out of range, or a word that espeak-ng cannot speak within a second.
        MissingPackageError: `espeakng-loader` (extra "synthetic") is not installed.
        DataError: espeak-ng does not work.
    """
    features = features or FeatureConfig()
    if data_dir is not None:
        raise ArgumentError(f"data_dir is {os.fspath(data_dir)!r}, but task synthetic makes its own data: leave it out")
    words = _checked_words(words)
    low_db, high_db = checked_snr(snr_db)
    check_count("clips_per_word", clips_per_word, 1, 10_000)
    check_count("speakers", speakers, len(SPLITS), _SPEAKERS_LIMIT)
    cast = choose_speakers(speakers, seed=seed)
    takes = _record(cast, words, clips_per_word, seed=seed, features=features)
    options = {
        "seed": seed,
        "words": list(words),
        "clips_per_word": clips_per_word,
        "speakers": speakers,
        "snr_db": [low_db, high_db],
    }
    key = digest([_VERSION, options, features.sample_rate_hz, *(take.tobytes() for take in takes.values())])
    clip_samples = features.sample_rate_hz

    def split(name: str) -> Split:
        members = [(w, s, i) for w in words for s in cast if s.split == name for i in range(clips_per_word)]

        def read(index: int) -> np.ndarray:
            word, speaker, take = members[index]
            generator = generator_of("clip", seed, word, speaker.name, take)
            speech = takes[word, speaker.name, take]
            return place_in_noise(
                speech, generator, snr_db=(low_db, high_db), samples=clip_samples, sample_rate_hz=clip_samples
            )

        return Split(
            name=name,
            ids=tuple(f"{word}/{speaker.name}_{take}" for word, speaker, take in members),
            labels=np.array([words.index(word) for word, _, _ in members], dtype=np.int32),
            speakers=tuple(speaker.name for _, speaker, _ in members),
            _read=read,
            fingerprint=digest([key, name]),
        )

    return check_task(
        Task(
            name="synthetic",
            labels=words,
            train=split("train"),
            validation=split("validation"),
            test=split("test"),
            clip_samples=clip_samples,
            features=features,
            noise=tuple(
                np.float32(0.1)
                * make(
                    generator_of("noise", seed, kind),
                    samples=_NOISE_SECONDS * clip_samples,
                    sample_rate_hz=clip_samples,
                )
                for kind, make in NOISES.items()
            ),
            licence="none: generated data",
            attribution="Speech synthesised by espeak-ng (https://github.com/espeak-ng/espeak-ng)",
            options=options,
            cache_dir=(expanded(cache_dir) if cache_dir else default_cache_dir()) / f"synthetic-{key}",
        )
    )


def choose_speakers(count: int, *, seed: int) -> list[Speaker]:
    """`count` different speakers, the first ones for training, then a sixth each for validation and test."""
    generator = generator_of("speakers", seed)
    held_out = max(1, round(count / 6))
    variants, accents = generator.permutation(VARIANTS), generator.permutation(ACCENTS)
    chosen = []
    for index in range(count):
        round_, position = divmod(index, len(VARIANTS))
        variant = str(variants[position])
        # One step further in each round of the variants, so that no pair occurs twice.
        accent = str(accents[(position + round_) % len(ACCENTS)])
        split = "test" if index >= count - held_out else "validation" if index >= count - 2 * held_out else "train"
        pitch, speed = int(generator.integers(25, 76)), int(generator.integers(135, 216))
        name = f"{accent.rpartition('/')[2]}-{variant}"
        chosen.append(Speaker(name, f"{accent}+{variant}", pitch, speed, split))
    return chosen


def _record(
    cast: list[Speaker], words: tuple[str, ...], clips_per_word: int, *, seed: int, features: FeatureConfig
) -> dict[tuple[str, str, int], np.ndarray]:
    """Every take without noise, by word, speaker and number: float32, cut to the word, at the features' rate."""

    def one(speaker: Speaker) -> dict[tuple[str, str, int], np.ndarray]:
        keys = [(word, take) for word in words for take in range(clips_per_word)]
        utterances = [
            _utterance(speaker, word, generator_of("take", seed, word, speaker.name, take)) for word, take in keys
        ]
        spoken, rate = speak(speaker.voice, utterances)
        return {
            (word, speaker.name, take): _trimmed(samples, word, from_hz=rate, to_hz=features.sample_rate_hz)
            for (word, take), samples in zip_strict(keys, spoken)
        }

    takes: dict[tuple[str, str, int], np.ndarray] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in progress_bar(pool.map(one, cast), total=len(cast), desc="speaking", unit="voice", leave=False):
            takes.update(made)
    return takes


def _utterance(speaker: Speaker, word: str, generator: np.random.Generator) -> Utterance:
    """One take: near the speaker's own pitch and speed, but never twice the same."""
    return Utterance(
        text=word,
        words_per_minute=round(speaker.words_per_minute * generator.uniform(0.88, 1.12)),
        pitch=int(np.clip(speaker.pitch + generator.integers(-8, 9), 0, 99)),
        pitch_range=int(generator.integers(25, 75)),
    )


def _trimmed(spoken: np.ndarray, word: str, *, from_hz: int, to_hz: int) -> np.ndarray:
    cut = audible_part(spoken, sample_rate_hz=from_hz)
    if cut.size == 0:
        raise ArgumentError(f"words has {word!r}, which espeak-ng cannot speak: take another word")
    if len(cut) > from_hz:
        raise ArgumentError(
            f"words has {word!r}, which takes {len(cut) / from_hz:.1f} s to speak, but a clip is 1 s long: "
            "take a shorter word"
        )
    return wav.resample(cut, from_hz=from_hz, to_hz=to_hz)


def _checked_words(words: str | Sequence[str]) -> tuple[str, ...]:
    given = words.split(",") if isinstance(words, str) else words
    if not isinstance(given, Sequence) or not all(isinstance(word, str) and word.strip() for word in given):
        raise ArgumentError(f"words is {words!r}, but must be words, as a sequence or separated by commas")
    found = tuple(word.strip() for word in given)
    if len(found) < 2 or len(set(found)) != len(found):
        raise ArgumentError(f"words is {words!r}, but must be two or more different words")
    return found
