"""Packages that can be called: importing `bnn_exit.export` hides the function of that name, so the package is it."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


def make_callable(package: str, *, module: str, function: str) -> None:
    """Let calling the package be calling a function, whose module is imported only then.

    Args:
        package: its `__name__`.
        module, function: where the function is.
    """

    class CallablePackage(types.ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(module), function)(*arguments, **options)

    sys.modules[package].__class__ = CallablePackage
