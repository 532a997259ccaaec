"""The events that a server sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bnn_exit.machine import version
from bnn_exit.serving.library import library
from bnn_exit.serving.wake_words import WakeWord

PROGRAM = "bnn_exit"


def info(words: Mapping[str, WakeWord], *, languages: Sequence[str]) -> Any:
    """The answer to `describe`: every wake word, and whom to credit for the data of its model.

    Args:
        words: by name.
        languages: of the words; model files do not say.
    """
    module = library("info")
    models = [
        module.WakeModel(
            name=word.name,
            attribution=module.Attribution(name=word.model.session.metadata.attribution, url=""),
            installed=True,
            description=word.phrase,
            version=word.model.session.metadata.writer,
            languages=list(languages),
            phrase=word.phrase,
        )
        for word in words.values()
    ]
    program = module.WakeProgram(
        name=PROGRAM,
        attribution=module.Attribution(name=PROGRAM, url=""),
        installed=True,
        description="Binary neural networks that stop early",
        version=version(),
        models=models,
    )
    return module.Info(wake=[program]).event()


def detection(word: WakeWord, *, timestamp_ms: int) -> Any:
    """A wake word was found.

    Args:
        word: which.
        timestamp_ms: by the clock of the client's sound.
    """
    return library("wake").Detection(name=word.name, timestamp=timestamp_ms).event()


def not_detected() -> Any:
    """The sound ended without a wake word."""
    return library("wake").NotDetected().event()


def pong(text: str | None) -> Any:
    """The answer to `ping`."""
    return library("event").Event(type="pong", data={"text": text})


def failure(text: str) -> Any:
    """Why a client is not served."""
    return library("event").Event(type="error", data={"text": text})
