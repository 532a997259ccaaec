"""Distillation of binary students from full-precision teachers."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "DistillConfig": "bnn_exit.settings.distillation",
    "Distillation": "distill.objective",
    "Plan": "bnn_exit.settings.plan",
    "Step": "bnn_exit.settings.plan",
    "load_teacher": "distill.teachers",
    "read_plan": "bnn_exit.settings.plan",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that `--help` of a command does not load TensorFlow.
    if name not in _NAMES:
        raise AttributeError(f"module 'distill' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)
