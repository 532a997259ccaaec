"""Binary backbones cut into stages, exit heads, and the networks made of them.

`python -m bnn_exit.models` lists the trained models of `bnn_exit.pretrained`, on devices too: nothing here loads
TensorFlow before a name of it is used.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BACKBONES", "ModelConfig", "MultiExitModel", "build"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bnn_exit.models' has no attribute {name!r}")
    from bnn_exit.models import multi_exit

    return getattr(multi_exit, name)
