"""Tiny data sets in the layouts that the tasks read, made with the standard library's `wave`."""

from __future__ import annotations

import csv
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

RATE = 16000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test writes to the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BNN_EXIT_CACHE", str(folder))
    return folder


@pytest.fixture
def write_wav() -> Callable[..., Path]:
    """Write a 16-bit mono file of noise, different for each seed."""

    def write(path: Path, *, seed: int, seconds: float = 0.1, rate: int = RATE) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(seed).integers(-8000, 8000, int(seconds * rate)).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.tobytes())
        return path

    return write


@pytest.fixture
def speech_data(tmp_path: Path, write_wav: Callable[..., Path]) -> Callable[..., Path]:
    """A folder in the layout of Speech Commands: speakers s0 ..., of whom the last two are validation and test."""

    def make(words: tuple[str, ...] = ("cat", "dog", "tree"), *, speakers: int = 4, takes: int = 1) -> Path:
        root = tmp_path / "speech"
        lists: dict[int, list[str]] = {speakers - 2: [], speakers - 1: []}
        seed = 0
        for word in words:
            for speaker in range(speakers):
                for take in range(takes):
                    seed += 1
                    name = f"{word}/s{speaker}_nohash_{take}.wav"
                    write_wav(root / name, seed=seed)
                    lists.get(speaker, []).append(name)
        (root / "validation_list.txt").write_text("\n".join(lists[speakers - 2]) + "\n")
        (root / "testing_list.txt").write_text("\n".join(lists[speakers - 1]) + "\n")
        write_wav(root / "_background_noise_" / "rain.wav", seed=1000, seconds=12)
        write_wav(root / "_background_noise_" / "wind.wav", seed=1001, seconds=15)
        return root

    return make


@pytest.fixture
def esc_data(tmp_path: Path, write_wav: Callable[..., Path]) -> Callable[..., Path]:
    """A folder in the layout of ESC-50: in each fold each class has two clips of one recording and one of another."""

    def make(*, classes: int = 10, esc10: int = 10) -> Path:
        root = tmp_path / "esc"
        rows = []
        for fold in range(1, 6):
            for target in range(classes):
                for source, take in ((0, "A"), (0, "B"), (1, "A")):
                    number = 1000 * fold + 10 * target + source
                    name = f"{fold}-{number}-{take}-{target}.wav"
                    write_wav(root / "audio" / name, seed=len(rows), seconds=0.02, rate=8000)
                    rows.append([name, fold, target, f"sound{target}", target < esc10, number, take])
        (root / "meta").mkdir()
        with (root / "meta" / "esc50.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
            writer.writerows(rows)
        return root

    return make
