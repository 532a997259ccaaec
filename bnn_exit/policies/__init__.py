"""When to exit: every policy gives a score for `score < threshold`, so calibration and reports treat all alike."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.registry import Registry

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits
    from bnn_exit.policies.base import Policy, Sizes, log_softmax, softmax

__all__ = ["DEFAULT", "POLICIES", "Policy", "Sizes", "fit", "from_dict", "log_softmax", "softmax"]

POLICIES: Registry[type[Policy]] = Registry(
    {
        "entropy": "bnn_exit.policies.uncertainty:Entropy",
        "entropy_nats": "bnn_exit.policies.uncertainty:EntropyNats",
        "max_probability": "bnn_exit.policies.uncertainty:MaxProbability",
        "margin": "bnn_exit.policies.uncertainty:Margin",
        "scaled_entropy": "bnn_exit.policies.temperature:ScaledEntropy",
        "scaled_max_probability": "bnn_exit.policies.temperature:ScaledMaxProbability",
        "scaled_margin": "bnn_exit.policies.temperature:ScaledMargin",
        "rejection": "bnn_exit.policies.rejection:Rejection",
        "patience": "bnn_exit.policies.patience:Patience",
        "ensemble": "bnn_exit.policies.ensemble:Ensemble",
        "commitment": "bnn_exit.policies.commitment:Commitment",
        "skip_gate": "bnn_exit.policies.skip_gate:SkipGate",
        "class_means": "bnn_exit.policies.class_means:ClassMeans",
        "class_means_1bit": "bnn_exit.policies.class_means:ClassMeans1Bit",
    }
)
"""Policy name -> its class, which is imported when it is first asked for."""

DEFAULT = "margin"
"""What a network is exported with unless another policy is asked for; `benchmarks/policies.py` compares them all.
Networks trained with smoothed labels spread the rest of a certain prediction over all classes, which raises entropy."""


def __getattr__(name: str) -> Any:
    # Whoever runs a file needs the exit rule alone, which stands in this package too.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("bnn_exit.policies.base"), name)


def fit(name: str, exit_logits: ExitLogits | None = None) -> Policy:
    """The policy of this name, with what it learns from labelled clips of the training or validation split.

    Args:
        name: in POLICIES.
        exit_logits: may be left out for a policy that learns nothing.

    Raises:
        ArgumentError: an unknown name, clips of another split or of none, or no clips for a policy that learns.
        DataError: what it learns from is missing: labels, or features.
    """
    kind = POLICIES[one_of("policy", name, POLICIES)]
    if exit_logits is None:
        if dataclasses.fields(kind):
            raise ArgumentError(f"policy {name} learns from clips: give exit logits of a training or validation split")
        return kind()
    return kind.fit(exit_logits)


def from_dict(values: Mapping[str, Any]) -> Policy:
    """The policy that `Policy.to_dict` wrote.

    Raises:
        ArgumentError: not a dictionary, an unknown policy, a setting too many or too few, or values that are not lists
            of numbers or that the policy cannot have.
    """
    if not isinstance(values, Mapping):
        raise ArgumentError(f"policy is {values!r}, but must be a dictionary with the name of one")
    kind = POLICIES[one_of("policy", str(values.get("name")), POLICIES)]
    wanted = sorted(field.name for field in dataclasses.fields(kind))
    given = sorted(name for name in values if name != "name")
    if given != wanted:
        raise ArgumentError(
            f"policy {kind.name} has the settings {', '.join(given) or 'none'}, but must have "
            f"{', '.join(wanted) or 'none'}"
        )
    for name in wanted:
        if not isinstance(values[name], (list, tuple)):
            raise ArgumentError(f"{name} of policy {kind.name} is {values[name]!r}, but must be a list")
    return kind(**{name: _frozen(values[name], name, whole=name in kind.whole) for name in wanted})


def _frozen(value: Any, name: str, *, whole: bool) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(each, name, whole=whole) for each in value)
    if whole:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ArgumentError(f"{name} of a policy holds {value!r}, but must hold whole numbers")
        return value
    # Written so that it is false for NaN too, and true for no integer that is too large to be a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise ArgumentError(f"{name} of a policy holds {value!r}, but must hold finite numbers")
    return float(value)
