"""From the names in `bnn_exit.settings.model` to the functions that build networks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models import heads
from bnn_exit.settings.model import BACKBONES, HEADS


def backbone(name: str) -> Callable[..., list[keras.Model]]:
    """The function that builds the stages of a backbone; ArgumentError if there is none of this name."""
    place = f"bnn_exit.models.backbones.{one_of('backbone', name, BACKBONES)}"
    build: Callable[..., list[keras.Model]] = _function(place, name)
    return build


def head(name: str) -> Callable[..., keras.KerasTensor]:
    """The function that builds an exit head; ArgumentError if there is none of this name."""
    build: Callable[..., keras.KerasTensor] = _function(heads.__name__, f"{one_of('head', name, HEADS)}_head")
    return build


def _function(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ArgumentError(f"{module} has no function {name}: settings/model.py names it") from error
