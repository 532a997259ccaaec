"""What a server offers: the labels of model files that may make events, as wake words."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.runtime.session import Session


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model file with the listening point that it is served with.

    Attributes:
        name: of the file, without its folder and suffix.
        session: shared by all clients; one stream runs at a time.
        point: how events are made.
    """

    name: str
    session: Session
    point: ListeningPoint


@dataclasses.dataclass(frozen=True)
class WakeWord:
    """A label as clients see it.

    Attributes:
        name: by which clients ask for it: the label, or FILE/LABEL if several files have it.
        label: in the file.
        model: which has it.
    """

    name: str
    label: str
    model: ServedModel

    @property
    def phrase(self) -> str:
        """The label as it is spoken."""
        return self.label.replace("_", " ")


def wake_words(models: Sequence[ServedModel]) -> dict[str, WakeWord]:
    """Every wake word by its name.

    Raises:
        ArgumentError: two files of the same name have the same label.
    """
    counts = Counter(label for model in models for label in model.point.thresholds)
    found: dict[str, WakeWord] = {}
    for model in models:
        for label in model.point.thresholds:
            name = label if counts[label] == 1 else f"{model.name}/{label}"
            if name in found:
                raise ArgumentError(f"two model files are called {model.name!r} and have {label!r}: rename one of them")
            found[name] = WakeWord(name, label, model)
    return found


def only(point: ListeningPoint, labels: Sequence[str]) -> ListeningPoint:
    """The point for some of its labels, so that no other label makes an event in place of one of them."""
    refractory = point.refractory_ms
    if isinstance(refractory, Mapping):
        refractory = {label: refractory[label] for label in labels}
    thresholds = {label: point.thresholds[label] for label in labels}
    return dataclasses.replace(point, thresholds=thresholds, refractory_ms=refractory)


def file_stem(path: str) -> str:
    """The name of a model file without its folder and suffix.

    Example:
        >>> file_stem("models/hey_lamp.tflite")
        'hey_lamp'
    """
    return Path(path).name.removesuffix(".tflite")
