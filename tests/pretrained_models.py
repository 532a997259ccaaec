"""A made-up model in the place of those that come with the package."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import tiny_files

from bnn_exit import pretrained
from bnn_exit.files import write_json

NAME = "toy-words-small"


def put(folder: Path, **changes: Any) -> bytes:
    """Write index.json with one model called NAME, and its file, to `folder`; the file."""
    data = tiny_files.adaptive_file()
    metadata = tiny_files.metadata()
    entry = pretrained.Pretrained(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        task="toy",
        options={"fold": 2},
        data="toys",
        labels=len(metadata.labels),
        clip_samples=metadata.clip_samples,
        features=metadata.features.to_dict(),
        licence="CC0",
        attribution="Toys, Nobody, 2020",
        split="test",
        sample_count=200,
        exits=[{"accuracy": 0.5, "correct": 100}, {"accuracy": 0.75, "correct": 150}],
        operating_points={
            "balanced": {"accuracy": 0.7, "drop": 0.05, "relative_cost": {"binary_macs": 0.2, "ops": 0.4567}}
        },
        training={"command": "python -m bnn_exit.train", "git_revision": None, "seed": 4},
        result="benchmarks/results/accuracy/toy.json",
    )
    write_json(folder / "index.json", {"format": 1, "models": {NAME: {**dataclasses.asdict(entry), **changes}}})
    (folder / f"{NAME}.tflite").write_bytes(data)
    return data
