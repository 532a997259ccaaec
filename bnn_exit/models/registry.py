"""From the names in `bnn_exit.settings.model` to the functions that build networks."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bnn_exit._keras import keras
from bnn_exit.errors import one_of
from bnn_exit.models import heads
from bnn_exit.settings.model import BACKBONES, HEADS


def backbone(name: str) -> Callable[..., list[keras.Model]]:
    """The function that builds the stages of a backbone; ArgumentError if there is none of this name."""
    module = importlib.import_module(f"bnn_exit.models.backbones.{one_of('backbone', name, BACKBONES)}")
    build: Callable[..., list[keras.Model]] = getattr(module, name)
    return build


def head(name: str) -> Callable[..., keras.KerasTensor]:
    """The function that builds an exit head; ArgumentError if there is none of this name."""
    build: Callable[..., keras.KerasTensor] = getattr(heads, f"{one_of('head', name, HEADS)}_head")
    return build
