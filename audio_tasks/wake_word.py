"""A word of one's own from text: spoken by many voices, with near misses, parts of it and other words against it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from audio_tasks.base import Task, check_task
from audio_tasks.cache import count_reasons, default_cache_dir, digest
from audio_tasks.noises import NOISES
from audio_tasks.phrases import check_spoken, checked_phrases
from audio_tasks.positives import READ_S, Positives, loudest, read_positives
from audio_tasks.split import SPLITS, Split
from audio_tasks.spoken import check_count, checked_snr, generator_of, place_in_noise
from audio_tasks.voices import ENGLISH, accents_of, cast_of
from audio_tasks.wake_takes import FULL_SCALE, Clip, record, scripts_of
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError
from bnn_exit.files import expanded
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.task import UNKNOWN

# Part of the fingerprint. Raise it when the clips change for the same options.
_VERSION = 1
_SHORTEST_S = 1.0
_AROUND_S = 0.1  # of the clip that the longest phrase leaves free, to be moved in
_NOISE_SECONDS = 10
_MOST_REPEATS = 10  # of a recording in the train split


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    phrase: str | Sequence[str] = "",
    positives: str | os.PathLike[str] | None = None,
    language: str = ENGLISH,
    speakers: int = 180,
    clips_per_phrase: int = 10,
    near_misses: int = 20,
    snr_db: str | Sequence[float] = (5.0, 30.0),
) -> Task:
    """Phrases of one's own, and the class `unknown` of what sounds nearly like them, spoken by espeak-ng.

    The clips are as long as the longest phrase of the slowest voice and a little more, at least 1 s. The same
    arguments give the same samples. No voice variant is in two splits; a sixth of the speakers each go to validation
    and test. Each speaker says, for each phrase, `clips_per_phrase` takes of it and `near_misses` clips of `unknown`.
    Of twenty of these, six are the phrase with one or two phonemes changed, five have a word replaced by a common one
    that sounds like it, four are parts of the phrase or its words in another order, four are other words, and one is
    noise alone.

    Args:
        data_dir: must be None: recordings of the phrase are `positives`.
        features: log-mel settings; clips are made at their sample rate.
        cache_dir: where to keep features and decoded recordings; BNN_EXIT_CACHE or ~/.cache/bnn_exit if None.
        seed: chooses voices, takes, near misses and noise.
        phrase: what to listen for, or several such phrases; each of at most 3 s.
        positives: folder of recordings of the phrase by people: see `positives.read_positives`. They are mixed in.
            Those in train are repeated, each time at another place in other noise; the others stay as they are.
        language: of the phrase, as espeak-ng calls it ("de", "pt-br"). English has six accents.
        speakers: voices in all three splits together, 3 to 2000.
        clips_per_phrase: takes of each phrase by each speaker, 1 or more.
        near_misses: clips of `unknown` by each speaker for each phrase, 1 or more.
        snr_db: lowest and highest signal-to-noise ratio; each clip draws one in between.

    Raises:
        ArgumentError: no phrase, one that cannot be spoken or is too long, or another argument out of range.
        MissingPackageError: `espeakng-loader` (extra "synthetic") is not installed.
        DataError: espeak-ng does not work, or the recordings cannot be used.
    """
    features = features or FeatureConfig()
    if data_dir is not None:
        raise ArgumentError(
            f"data_dir is {os.fspath(data_dir)!r}, but task wake_word makes its own data: recordings of the phrase are "
            "given as --positives"
        )
    if not isinstance(language, str):
        raise ArgumentError(f"language is {language!r}, but must be the name of a language, such as en or de")
    if positives is not None and not isinstance(positives, (str, os.PathLike)):
        raise ArgumentError(f"positives is {positives!r}, but must be the path of a folder or an archive")
    phrases = checked_phrases(phrase, language=language)
    snr = checked_snr(snr_db)
    check_count("speakers", speakers, len(SPLITS), 2000)
    check_count("clips_per_phrase", clips_per_phrase, 1, 1000)
    check_count("near_misses", near_misses, 1, 1000)
    accents = accents_of(language)
    notes = check_spoken(phrases, accent=accents[0])
    cache = expanded(cache_dir) if cache_dir else default_cache_dir()
    rate = features.sample_rate_hz
    recorded = None
    if positives is not None:
        recorded = read_positives(positives, phrases, cache_dir=cache, sample_rate_hz=rate, seed=seed)
    cast = cast_of(speakers, accents=accents, seed=seed)
    clips, scripts = scripts_of(cast, phrases, accents, takes=clips_per_phrase, near_misses=near_misses, seed=seed)
    takes = record(cast, scripts, seed=seed, sample_rate_hz=rate)
    longest = max(len(takes[clip.take]) for name in SPLITS for clip in clips[name] if clip.label < len(phrases))
    # In tenths of a second, so that the hop of a stream divides it.
    clip_samples = round(max(_SHORTEST_S, math.ceil(10 * (longest / rate + _AROUND_S)) / 10) * rate)
    if recorded is not None:
        _add_recordings(clips, recorded, phrases, clips_per_split=clips_per_phrase)
        notes += _remarks(recorded, rate)
    options = {
        "seed": seed,
        "phrase": list(phrases),
        "positives": str(expanded(positives).resolve()) if positives is not None else None,
        "language": language,
        "speakers": speakers,
        "clips_per_phrase": clips_per_phrase,
        "near_misses": near_misses,
        "snr_db": list(snr),
    }
    data = recorded.clips.fingerprint if recorded else ""
    known = {**options, "positives": data}
    key = digest([_VERSION, known, rate, clip_samples, *(take.tobytes() for take in takes.values())])

    def split(name: str) -> Split:
        members = clips[name]

        def read(index: int) -> np.ndarray:
            return _waveform(members[index], takes, recorded, snr_db=snr, samples=clip_samples, rate=rate, seed=seed)

        return Split(
            name=name,
            ids=tuple(clip.id for clip in members),
            labels=np.array([clip.label for clip in members], dtype=np.int32),
            speakers=tuple(clip.speaker for clip in members),
            _read=read,
            fingerprint=digest([key, name]),
        )

    problems = recorded.clips.problems if recorded else {}
    licence, attribution = (
        "none: generated data",
        "Speech synthesised by espeak-ng (https://github.com/espeak-ng/espeak-ng)",
    )
    if recorded is not None:
        licence = f"generated data; recordings: {recorded.licence}"
        attribution = "; ".join(filter(None, (attribution, recorded.attribution)))
    return check_task(
        Task(
            name="wake_word",
            labels=(*phrases, UNKNOWN),
            train=split("train"),
            validation=split("validation"),
            test=split("test"),
            clip_samples=clip_samples,
            features=features,
            noise=tuple(
                np.float32(0.1)
                * make(generator_of("noise", seed, kind), samples=_NOISE_SECONDS * rate, sample_rate_hz=rate)
                for kind, make in NOISES.items()
            ),
            licence=licence,
            attribution=attribution,
            skipped=count_reasons(problems),
            options=options,
            cache_dir=cache / f"wake_word-{key}",
            problems=problems,
            notes=tuple(notes),
            files=recorded.files if recorded else {},
            contents=recorded.clips.contents if recorded else {},
        )
    )


def _add_recordings(
    clips: dict[str, list[Clip]], recorded: Positives, phrases: Sequence[str], *, clips_per_split: int
) -> None:
    """Add the recordings to the splits; those of train so often that they weigh as much as the synthetic ones."""
    for name in SPLITS:
        for number in range(len(phrases)):
            keys = [key for key, label in recorded.members[name] if label == number]
            spoken = sum(clip.label == number for clip in clips[name])
            repeats = min(_MOST_REPEATS, max(1, spoken // max(1, len(keys)))) if name == "train" else 1
            for key in keys:
                clips[name].append(Clip(key, number, key, recording=key, in_noise=False))
                clips[name] += (Clip(f"{key}#{repeat}", number, key, recording=key) for repeat in range(1, repeats))


def _remarks(recorded: Positives, rate: int) -> list[str]:
    counts = ", ".join(f"{len(recorded.members[name])} {name}" for name in SPLITS)
    notes = [f"recordings of the phrase: {counts}"]
    long = sum(length > READ_S * rate for length in recorded.clips.lengths.values())
    if long:
        notes.append(f"{long} recordings are longer than {READ_S:g} s: of these only the middle is searched")
    return notes


def _waveform(
    clip: Clip,
    takes: Mapping[str, np.ndarray],
    recorded: Positives | None,
    *,
    snr_db: tuple[float, float],
    samples: int,
    rate: int,
    seed: int,
) -> np.ndarray:
    """The samples of a clip: they depend on its id and the seed alone."""
    generator = generator_of("clip", seed, clip.id)
    if recorded is not None and clip.recording:
        speech = recorded.waveform(clip.recording)
        first, last = loudest(speech, samples) if len(speech) > samples else (0, 0)
        start = int(generator.integers(first, last + 1)) if clip.in_noise else (first + last) // 2
        speech = speech[start : start + samples]
    else:
        speech = takes[clip.take].astype(np.float32) / np.float32(FULL_SCALE)
        start = int(generator.integers(max(0, len(speech) - samples) + 1))
        speech = speech[start : start + samples]
    if not clip.in_noise:
        return wav.fit_length(speech, samples)
    return place_in_noise(speech, generator, snr_db=snr_db, samples=samples, sample_rate_hz=rate)
