"""What each voice says for the task wake_word, and the speech that it gives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from audio_tasks.phrases import UNSPEAKABLE
from audio_tasks.sayings import NOISE, Saying, Sayings
from audio_tasks.speech_synthesis import Utterance, speak
from audio_tasks.split import SPLITS
from audio_tasks.spoken import audible_part, generator_of
from audio_tasks.voices import Speaker
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError
from bnn_exit.pairs import zip_strict
from bnn_exit.progress import progress_bar
from bnn_exit.task import UNKNOWN

FULL_SCALE = 32768


class Clip(NamedTuple):
    """A clip to be made: of a take (by its key), or of a recording (by its id) in noise or as it is."""

    id: str
    label: int
    speaker: str
    take: str = ""
    recording: str = ""
    in_noise: bool = True


def scripts_of(
    cast: Sequence[Speaker],
    phrases: Sequence[str],
    accents: Sequence[str],
    *,
    takes: int,
    near_misses: int,
    seed: int,
) -> tuple[dict[str, list[Clip]], dict[str, list[tuple[str, Saying]]]]:
    """The clips of each split, and what each speaker says: the key of each take with its saying."""
    against = {accent: Sayings(phrases, accent=accent) for accent in accents}
    clips: dict[str, list[Clip]] = {name: [] for name in SPLITS}
    scripts: dict[str, list[tuple[str, Saying]]] = {}
    for speaker in cast:
        script = scripts[speaker.name] = []
        accent = speaker.voice.partition("+")[0]
        for number, phrase in enumerate(phrases):
            for take in range(takes):
                key = f"{phrase}/{speaker.name}_{take}"
                script.append((key, Saying("phrase", phrase)))
                clips[speaker.split].append(Clip(key, number, speaker.name, take=key))
            # Begins anywhere in the order of kinds, so that a few by each of many speakers are of all kinds.
            first = int(generator_of("kinds", seed, phrase, speaker.name).integers(1 << 16))
            for miss in range(near_misses):
                key = f"{UNKNOWN}/{speaker.name}_{number}-{miss}"
                saying = against[accent].draw(number, first + miss, generator_of("saying", seed, key))
                script.append((key, saying))
                clips[speaker.split].append(Clip(key, len(phrases), speaker.name, take=key))
    for name in SPLITS:
        clips[name].sort(key=lambda clip: clip.label)
    return clips, scripts


def record(
    cast: Sequence[Speaker], scripts: Mapping[str, list[tuple[str, Saying]]], *, seed: int, sample_rate_hz: int
) -> dict[str, np.ndarray]:
    """Every take without noise, by key: int16, cut to the speech, at `sample_rate_hz`; empty if nothing is said."""

    def one(speaker: Speaker) -> dict[str, np.ndarray]:
        script = [(key, saying) for key, saying in scripts[speaker.name] if saying.kind != NOISE]
        spoken, rate = speak(speaker.voice, [_utterance(speaker, key, saying, seed) for key, saying in script])
        made = {key: np.zeros(0, np.int16) for key, _ in scripts[speaker.name]}
        for (key, saying), samples in zip_strict(script, spoken):
            cut = audible_part(samples, sample_rate_hz=rate)
            if saying.kind == "phrase" and not cut.size:
                raise ArgumentError(UNSPEAKABLE.format(saying.text))
            if cut.size:
                resampled = wav.resample(cut, from_hz=speaker.played_hz, to_hz=sample_rate_hz)
                made[key] = np.clip(np.rint(resampled * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return made

    takes: dict[str, np.ndarray] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in progress_bar(pool.map(one, cast), total=len(cast), desc="speaking", unit="voice", leave=False):
            takes.update(made)
    return takes


def _utterance(speaker: Speaker, key: str, saying: Saying, seed: int) -> Utterance:
    """One take: near the speaker's own pitch and speed, but never twice the same."""
    generator = generator_of("take", seed, key)
    return Utterance(
        text=saying.text,
        words_per_minute=round(speaker.words_per_minute * generator.uniform(0.88, 1.12)),
        pitch=int(np.clip(speaker.pitch + generator.integers(-8, 9), 0, 99)),
        pitch_range=int(generator.integers(25, 75)),
        phonemes=saying.phonemes,
    )
