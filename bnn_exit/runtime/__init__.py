"""Runs model.tflite: the backends and the session. Needs only NumPy."""

from __future__ import annotations

from typing import Any

__all__ = ["capabilities"]


def capabilities() -> dict[str, Any]:
    """What the native library can do here: `library` (path or None), `version`, `isa` in use, `isas` that run here,
    best first, and `optimised`: whether the one in use computes with vectors.

    The environment variable BNN_EXIT_ISA forces an instruction set, "scalar" for instance.
    """
    # Here, because the reader of files, which this backend imports, is part of this package.
    from bnn_exit.runtime import native_backend

    return native_backend.capabilities()
