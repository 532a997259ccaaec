"""Names and settings of the training schemes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.base import Config

SCHEMES = {
    "joint": "all exits at once, the weighted sum of their losses",
    "two_stage": "the backbone first, then the exits on its features, which stay as they are",
    "cascade": "stage by stage, each on the clips that the exits before have wrong",
    "boosted": "each exit adds to the logits of the exit before",
    "self_distilled": "the last exit teaches the others",
    "early_view": "the last exit also looks through the first exit's filters",
    "cached": "exits learn to answer as the last exit does, without labels",
    "zero_time_waste": "exits on features that stay as they are, each reading the logits of the exit before",
}
"""Name -> its text in `--help`. Each is the class in the module of this name in `bnn_exit.training.schemes`, whose
fields are its options."""

DEFAULT = "joint"


@dataclass(frozen=True)
class SchemeConfig(Config):
    """How the exits of a network are trained: a scheme and its options.

    Attributes:
        name: a name in SCHEMES.
        options: values for fields of its class, which checks them: `bnn_exit.training.schemes.make`.
    """

    name: str = DEFAULT
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("scheme", self.name, SCHEMES)
        if not isinstance(self.options, dict) or not all(isinstance(name, str) for name in self.options):
            raise ArgumentError(f"options of the scheme are {self.options!r}, but must be values by name")
