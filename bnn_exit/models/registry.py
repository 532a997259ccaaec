"""From the names in `bnn_exit.settings.model` to the functions that build networks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models import heads
from bnn_exit.models.blocks import Stages, stages_of
from bnn_exit.settings.model import BACKBONES, HEADS


def backbone(name: str) -> Callable[..., list[keras.Model]]:
    """The function that builds the stages of a backbone; ArgumentError if there is none of this name."""
    place = f"bnn_exit.models.backbones.{one_of('backbone', name, BACKBONES)}"
    build: Callable[..., list[keras.Model]] = _function(place, name)
    return build


def allocation(name: str, size: str, blocks: Sequence[int] = (), **own: Any) -> tuple[int, ...]:
    """The blocks of each stage of a backbone: given ones, or those of the size; arguments and errors of `stages`."""
    return stages(name, size, blocks, **own).blocks


def stages(name: str, size: str, blocks: Sequence[int] = (), **own: Any) -> Stages:
    """The stages of a backbone: those of the size, with what is given in its place; `own` as `stages_of` takes it.

    Raises:
        ArgumentError: an unknown backbone or size, or blocks for another number of stages; the message says how many.
    """
    place = f"bnn_exit.models.backbones.{one_of('backbone', name, BACKBONES)}"
    return stages_of(_function(place, "SIZES"), size, blocks, **own)


def head(name: str) -> Callable[..., keras.KerasTensor]:
    """The function that builds an exit head; ArgumentError if there is none of this name."""
    build: Callable[..., keras.KerasTensor] = _function(heads.__name__, f"{one_of('head', name, HEADS)}_head")
    return build


def _function(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ArgumentError(f"{module} has no {name}: settings/model.py names it") from error
