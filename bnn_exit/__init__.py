"""Binary neural networks that stop early on easy sounds: train, calibrate, export to one file, run it on a board.

Everything a device needs (`load` and what it returns, `difficulty`) works with NumPy alone; names that need TensorFlow
load it when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    # device half
    "load": "bnn_exit.runtime.session",
    "BnnExitError": "bnn_exit.errors",
    "FeatureConfig": "bnn_exit.settings.features",
    # training half
    "AugmentConfig": "bnn_exit.training.augment",
    "TrainConfig": "bnn_exit.settings.training",
    "add_exits": "bnn_exit.models.add_exits",
    "build": "bnn_exit.models.multi_exit",
    "calibrate": "bnn_exit.training.calibrate",
    "cut_points": "bnn_exit.models.add_exits",
    "export": "bnn_exit.conversion.to_lce",
    "fit": "bnn_exit.training.loop",
}

_PACKAGES = ("difficulty",)

__all__ = sorted([*_NAMES, *_PACKAGES])


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"bnn_exit.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'bnn_exit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
