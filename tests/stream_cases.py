"""A tiny model, recordings for it and tables about them, for tests of what measures and calibrates on streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny_files

from bnn_exit import ListeningPoint
from bnn_exit.audio import wav
from bnn_exit.model_file import rewrite

POINT = ListeningPoint(
    "balanced",
    operating_point="balanced",
    thresholds={"yes": 0.38, "no": 0.38},
    hop_ms=20,
    span_ms=60,
    refractory_ms=100,
)
"""For the model: it makes some events a second of the recordings here."""


def model(path: Path, *, point: ListeningPoint | None = POINT, **changes: object) -> Path:
    """A model with three exits, random weights and windows of 45 ms; labels yes, no and other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = tiny_files.metadata(**changes).to_json() if changes else None
    path.write_bytes(tiny_files.adaptive_file(meta=meta))
    if point is not None:
        path.write_bytes(rewrite.with_points(path, {}, listening_points={point.name: point}))
    return path


def recording(path: Path, *, seconds: float = 10.0, rate: int = 16000, seed: int = 0) -> Path:
    """Noise whose colour and loudness change every 50 ms."""
    generator = np.random.default_rng(seed)
    count, piece = int(seconds * rate), rate // 20
    samples = generator.normal(0, 1, count)
    pieces = -(-count // piece)
    tones = np.repeat(generator.uniform(100, 6000, pieces), piece)[:count]
    loud = np.repeat(10 ** generator.uniform(-4, -0.5, pieces), piece)[:count]
    mixed = loud * (0.3 * samples + np.sin(2 * np.pi * np.cumsum(tones) / rate))
    wav.write(path, np.clip(mixed, -1, 1).astype(np.float32), sample_rate_hz=rate)
    return path


def table(path: Path, *rows: str, head: str = "file\tstart_s\tend_s\tlabel") -> Path:
    """A table of tab-separated values; spaces in rows stand for tabs."""
    path.write_text("\n".join([head, *(row.replace(" ", "\t") for row in rows)]) + "\n")
    return path
