"""Training schemes: which part of a network learns when, from which clips, by which loss.

A scheme is a class in a file of its own, whose docstring has its formula and source and whose fields are its options.
`SCHEMES` of `bnn_exit.settings.scheme` lists them.
"""

from __future__ import annotations

import importlib

from bnn_exit.settings.scheme import SCHEMES, SchemeConfig
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme
from bnn_exit.training.schemes.objective import SchemeObjective

__all__ = ["SCHEMES", "ExitBatch", "Phase", "Scheme", "SchemeConfig", "SchemeObjective", "make"]


def make(config: SchemeConfig) -> Scheme:
    """The scheme with its options.

    Raises:
        ArgumentError: an option that the scheme does not have, or a value that breaks its rule.

    Example:
        >>> make(SchemeConfig("boosted", {"temperature": 0.5})).phases(3)
    """
    module = importlib.import_module(f"bnn_exit.training.schemes.{config.name}")
    kind = getattr(module, config.name.title().replace("_", ""))
    assert issubclass(kind, Scheme)
    made: Scheme = kind.from_dict(dict(config.options))
    return made
