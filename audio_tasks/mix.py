"""Long recordings with labelled words: clips of a task at random places in backgrounds, by seed."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from audio_tasks.layout import audio_files
from audio_tasks.placing import MixSettings, Placed, Placer
from audio_tasks.split import Split
from bnn_exit.audio.long_file import new_wav, open_file
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded, write_bytes
from bnn_exit.text import counted, text_fault

EVENTS = "events.tsv"


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A recording that was made.

    Attributes:
        path: of the WAV file.
        background: what it was made of.
        seconds: its length.
        words: in it, in order of time.
        clipped: samples that were beyond full scale.
    """

    path: Path
    background: str
    seconds: float
    words: tuple[Placed, ...]
    clipped: int


def mix(
    split: Split,
    *,
    labels: Sequence[str],
    chosen: Sequence[str],
    backgrounds: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    sample_rate_hz: int,
    settings: MixSettings,
    report: Callable[[str], None] = lambda line: None,
) -> list[Mixed]:
    """Write a recording for each background, with words in it, and a table of the words, OUT/events.tsv.

    Each clip of the chosen labels is used once before any is used again. It is scaled such that its active level (that
    of its frames at most 20 dB below the loudest) is `snr_db` above the power of the background within 5 s of its
    middle, and added; in digital silence it keeps its level. A recording is called like its background, with _2, _3 ...
    in later passes. What lies beyond full scale is clipped.

    Args:
        split: the clips.
        labels: of the task.
        chosen: of these, the ones to place.
        backgrounds: audio files of any length and sample rate.
        out: a folder without audio files: what was there would be replaced, or be measured by the wrong table.
        sample_rate_hz: of the clips and of what is written.
        settings: how words are placed.
        report: gets a line for each recording.

    Raises:
        ArgumentError: no clip of these labels, no background, or audio files in `out`.
        DataError: a background that cannot be read, or backgrounds that are too short for a word.
    """
    if not backgrounds:
        raise ArgumentError("there is no background: give audio files or folders of them")
    numbers = [number for number, label in enumerate(split.labels.tolist()) if labels[label] in chosen]
    if not numbers:
        raise ArgumentError(f"the {split.name} split has no clip of {', '.join(chosen) or 'a chosen label'}")
    folder = expanded(out)
    there = audio_files(folder) if folder.is_dir() else []
    if there:
        raise ArgumentError(f"out is {str(folder)!r}, which holds {there[0].name!r}: give a folder without audio files")
    made: list[Mixed] = []
    try:
        for each in _recordings(split, labels, numbers, backgrounds, folder, sample_rate_hz, settings):
            made.append(each)
            report(f"{each.path}: {each.seconds:.0f} s, {counted(len(each.words), 'word')}")
        write_events(folder / EVENTS, made)
    except BaseException:  # without the table nobody knows what is in them
        for each in made:
            each.path.unlink(missing_ok=True)
        raise
    return made


def _recordings(
    split: Split,
    labels: Sequence[str],
    numbers: Sequence[int],
    backgrounds: Sequence[str | os.PathLike[str]],
    folder: Path,
    sample_rate_hz: int,
    settings: MixSettings,
) -> Iterator[Mixed]:
    clips, names = _clips(numbers, settings.seed), _Names()
    left = math.inf if settings.hours is None else round(settings.hours * 3600 * sample_rate_hz)
    words_left: float = math.inf if settings.count is None else settings.count
    endless = settings.hours is not None or settings.count is not None
    passes: Iterator[int] = itertools.count() if endless else iter(range(1))
    for number in passes:
        placed = 0
        for index, background in enumerate(backgrounds):
            if left <= 0 or words_left <= 0:
                return
            path = folder / names.unused(Path(background).stem)
            generator = np.random.default_rng([settings.seed, number, index])
            with open_file(background, sample_rate_hz=sample_rate_hz) as source:
                placer = Placer(split, labels, clips, generator, settings, most_words=words_left)
                with new_wav(path, sample_rate_hz=sample_rate_hz) as writer:
                    words = placer.write(source, writer, most_samples=left)
            yield Mixed(path, os.fspath(background), writer.samples / sample_rate_hz, words, writer.clipped)
            left, words_left, placed = left - writer.samples, words_left - len(words), placed + len(words)
        if left <= 0 or words_left <= 0:
            return
        if not placed:
            raise DataError(
                "the backgrounds are too short for a word with its pause: give longer ones, or a shorter gap"
            )


def write_events(path: Path, made: Sequence[Mixed]) -> None:
    """Write the table that `bnn_exit.streams.labelled.read_events` reads."""
    lines = ["file\tstart_s\tend_s\tlabel\tclip\tsnr_db"]
    for each in made:
        for word in each.words:
            clip = word.clip if text_fault(word.clip) is None else ""
            cells = (each.path.name, f"{word.start_s:.3f}", f"{word.end_s:.3f}", word.label, clip, f"{word.snr_db:g}")
            lines.append("\t".join(cells))
    write_bytes(path, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def _clips(numbers: Sequence[int], seed: int) -> Iterator[int]:
    """All clips in one random order, then in another, without end."""
    for turn in itertools.count():
        yield from np.random.default_rng([seed, turn, len(numbers)]).permutation(numbers).tolist()


class _Names:
    """Names of files that all differ, whatever the case of their letters, and that fit into the cell of a table."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def unused(self, stem: str) -> str:
        stem = "".join(letter if text_fault(letter) is None else "_" for letter in stem).strip() or "_"
        for number in itertools.count(1):
            name = f"{stem}.wav" if number == 1 else f"{stem}_{number}.wav"
            if name.casefold() not in self._used:
                self._used.add(name.casefold())
                return name
        raise AssertionError
