"""Binary neural networks that stop early on easy sounds: train, calibrate, export to one file, run it on a board.

Everything a device needs (`load` and what it returns, `Stream`, `difficulty`) works with NumPy alone. Names that need
TensorFlow load it when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnn_exit import difficulty as difficulty
    from bnn_exit.conversion.to_lce import export as export
    from bnn_exit.errors import BnnExitError as BnnExitError
    from bnn_exit.model_file.listening_points import GateSettings as GateSettings
    from bnn_exit.model_file.listening_points import ListeningPoint as ListeningPoint
    from bnn_exit.models.add_exits import add_exits as add_exits
    from bnn_exit.models.add_exits import cut_points as cut_points
    from bnn_exit.models.multi_exit import build as build
    from bnn_exit.runtime.detector import Event as Event
    from bnn_exit.runtime.session import load as load
    from bnn_exit.runtime.stream import Stream as Stream
    from bnn_exit.runtime.stream import Window as Window
    from bnn_exit.settings.augment import AugmentConfig as AugmentConfig
    from bnn_exit.settings.augment_values import ValuesAugmentConfig as ValuesAugmentConfig
    from bnn_exit.settings.features import FeatureConfig as FeatureConfig
    from bnn_exit.settings.training import TrainConfig as TrainConfig
    from bnn_exit.settings.values import ValuesConfig as ValuesConfig
    from bnn_exit.training.adapt import adapt as adapt
    from bnn_exit.training.calibrate import calibrate as calibrate
    from bnn_exit.training.loop import fit as fit

    __version__: str

_NAMES = {
    # device half
    "load": "bnn_exit.runtime.session",
    "BnnExitError": "bnn_exit.errors",
    "Stream": "bnn_exit.runtime.stream",
    "Window": "bnn_exit.runtime.stream",
    "Event": "bnn_exit.runtime.detector",
    "ListeningPoint": "bnn_exit.model_file.listening_points",
    "GateSettings": "bnn_exit.model_file.listening_points",
    # settings
    "AugmentConfig": "bnn_exit.settings.augment",
    "FeatureConfig": "bnn_exit.settings.features",
    "TrainConfig": "bnn_exit.settings.training",
    "ValuesAugmentConfig": "bnn_exit.settings.augment_values",
    "ValuesConfig": "bnn_exit.settings.values",
    # training half
    "adapt": "bnn_exit.training.adapt",
    "add_exits": "bnn_exit.models.add_exits",
    "build": "bnn_exit.models.multi_exit",
    "calibrate": "bnn_exit.training.calibrate",
    "cut_points": "bnn_exit.models.add_exits",
    "export": "bnn_exit.conversion.to_lce",
    "fit": "bnn_exit.training.loop",
}

_PACKAGES = ("difficulty",)

__all__ = sorted([*_NAMES, *_PACKAGES, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from bnn_exit.machine import version

        return version()
    if name in _PACKAGES:
        return importlib.import_module(f"bnn_exit.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'bnn_exit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
