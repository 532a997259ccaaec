"""Trained models that come with the package: `bnn_exit.load(NAME)` runs one, `python -m bnn_exit.models` lists them.

Beside this file lie NAME.tflite and index.json, which `benchmarks/ship.py` writes from a measured result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_exit import strict_json
from bnn_exit.errors import INSTALL, ArgumentError, ModelFileError, nearest

FOLDER = Path(__file__).parent
INDEX = "index.json"
FORMAT_VERSION = 1
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""The form of a name: unlike a path it has no separator and no suffix."""
AGAIN = f"{INSTALL} brings it anew"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """The entry of a model in index.json.

    Attributes:
        sha256: of the file, in hexadecimal.
        bytes: size of the file.
        task, options: `audio_tasks.load(task, data_dir=..., features=..., **options)` gives the data.
        data: what the folder of the data is called.
        labels: number of classes.
        clip_samples: length of a clip.
        features: settings of the log-mel.
        licence, attribution: of the data.
        split, sample_count: what the figures were measured on.
        exits: for each exit `accuracy`, `correct` (clips) and cost.
        operating_points: name -> `accuracy`, `correct`, `drop` against the last exit, `exit_shares`, `relative_cost`.
        training: the command and git revision that made it, and its seed.
        result: the measurement, in the repository.
        negatives: what the folder of the long recordings is called that it was trained with; "" for none.
        listening: listening point of the file -> what `benchmarks/always_on.py` measured: `row` (of that result),
            `split`, `words`, `recall` (a share of them), `recall_last_exit`, `false_accepts` (`count`, `hours`,
            `per_hour` and its 95 % bounds `low` and `high`), `exit_1_share` and `relative_ops` of windows without
            words, `delay_s` (of 95 % of the hits; None without hits), and `chosen`, the figures on validation by which
            the point was chosen.
    """

    sha256: str
    bytes: int
    task: str
    options: Mapping[str, Any]
    data: str
    labels: int
    clip_samples: int
    features: Mapping[str, Any]
    licence: str
    attribution: str
    split: str
    sample_count: int
    exits: list[dict[str, Any]]
    operating_points: Mapping[str, dict[str, Any]]
    training: Mapping[str, Any]
    result: str
    negatives: str = ""
    listening: Mapping[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


def models() -> dict[str, Pretrained]:
    """Every shipped model by name.

    Raises:
        ModelFileError: the list is missing or damaged.
    """
    path = FOLDER / INDEX
    try:
        index = strict_json.parse(path.read_text(encoding="utf-8"))
        if index["format"] != FORMAT_VERSION:
            raise ValueError(f"format {index['format']}")
        return {name: Pretrained(**entry) for name, entry in index["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"the list of shipped models {str(path)!r} is damaged ({error}): {AGAIN}") from error


def _listed() -> str:
    return ", ".join(sorted(models())) or "there are none"


def resolve(model: str | os.PathLike[str]) -> Path:
    """The path of a model that is given as a path or by the name of a shipped one. A path that exists wins.

    Raises:
        ArgumentError: it looks like a name, but there is neither such a file nor such a shipped model.
        ModelFileError: the shipped file is not the one that was shipped.
    """
    if model == "":
        raise ArgumentError(f"model is '', but must be a file or one of the shipped models: {_listed()}")
    place = Path(os.path.expanduser(model))  # `files.expanded`: a board that loads a model does without that module
    meant = re.sub("[_ ]", "-", str(model).lower())
    if place.exists() or not isinstance(model, str) or not NAME.fullmatch(meant):
        return place
    known = models()
    if model not in known:
        raise ArgumentError(
            f"model is {model!r}, but must be a file or one of the shipped models: {_listed()}{nearest(meant, known)}"
        )
    path = FOLDER / f"{model}.tflite"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelFileError(f"the shipped model {model} cannot be read ({error.strerror}): {AGAIN}") from error
    if digest != known[model].sha256:
        raise ModelFileError(f"the shipped model {model} is damaged (its SHA-256 is {digest[:12]}...): {AGAIN}")
    return path


def by_name(model: str) -> str:
    """The name of a shipped model that is given as the path of its file, so that no command writes to it or beside it;
    anything else as it is.
    """
    path = Path(os.path.expanduser(model))
    return path.stem if path.suffix == ".tflite" and path.absolute().parent.resolve() == FOLDER.resolve() else model
