"""Settings of the network, and the names of backbones and heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.base import Config

BACKBONES = {
    "quicknet": "the fewest float operations and bytes",
    "birealnet": "as published, more of both",
    "real_to_binary": "as published, more of both, and channels that are rescaled",
    "binary_densenet": "the most accurate at the last exit, with the most operations",
    "glance": "quicknet behind a first exit that looks at every second time step",
}
"""Name -> its text in `--help`. Each is the function of this name in the module of this name in
`bnn_exit.models.backbones`."""

SIZES = ("small", "base", "large")
"""Of every backbone and teacher."""

MORE_SIZES = {"quicknet": ("micro", "tiny", "medium", "deep"), "glance": ("micro",)}
"""Backbone -> the sizes that it has beside those: `medium` lies between `small` and `base`; `tiny` and `deep` are for
coarse features, `tiny` in the fewest bytes, `deep` with more blocks than `base` in every stage; `micro` is for values
of sensors, in even fewer bytes."""

HEADS = {
    "grid": "keeps the position in time and frequency, as words need",
    "pooled": "the smallest",
    "strided": "no convolution across channels",
    "auxiliary": "the most work",
    "cascaded": "grid, and the logits of the exit before",
    "early_view": "strided, and the last exit has a clone of the first one's kernel",
}
"""Name -> its text in `--help`. Each is the function NAME_head in `bnn_exit.models.heads`."""

OWN_STAGES = ("channels", "halving", "stem_channels")
"""Settings of the stages that take the place of those of the size, as `blocks` does."""

MOST_CHANNELS = 1024
"""Of a stage, for the reason of MOST_BLOCKS."""

MOST_BLOCKS = 100
"""Of a stage. Settings may come from elsewhere, and far more would take all memory."""

PRECISIONS = ("binary", "real_weights", "float")
"""binary: activations and kernels of one bit. real_weights: activations of one bit, float kernels (Martinez et al.
2020, section 4.2). float: the full-precision twin, with a ReLU in the place of each sign."""

LEVELS = ("kept", "normalised")
"""kept: a quiet clip stays quiet. normalised: the network amplifies or attenuates each clip to the average level of the
training split, quiet clips by at most 40 dB."""


@dataclass(frozen=True)
class ModelConfig(Config):
    """Which network to build; enough to build it again.

    Attributes:
        backbone: a name in BACKBONES.
        size: a name in SIZES, or one in MORE_SIZES of the backbone; larger is more accurate and slower.
        head: a name in HEADS.
        precision: a name in PRECISIONS; only a binary network becomes a file for a device.
        levels: a name in LEVELS: what becomes of clips that are quieter or louder than those of the training split.
        boost: from 0 (off) to 1: how much of the logits of the exit before each exit adds to its own, so that it learns
            what that one got wrong. Larger trusts earlier exits more and leaves later ones less to learn; 0.5 is usual.
            It costs a multiplication and an addition for each class.
        blocks: of each stage, 1 to MOST_BLOCKS; empty: those of the size. More are more accurate and slower.
        channels: of each stage, multiples of 8 up to MOST_CHANNELS; empty: those of the size. With `blocks` there may
            be as many stages as you like; without, as many as the size has. More are more accurate and slower.
            Multiples of 64 are the fastest for what they compute.
        halving: for each stage, whether it starts by halving time and frequency; empty: those of the size, or of other
            numbers of stages, all but the first. Halving is faster and less accurate.
        stem_channels: of the first convolution, a divisor of the channels of the first stage; 0: those of the size.
            More are more accurate and slower.
    """

    backbone: str = "quicknet"
    size: str = "base"
    head: str = "grid"
    precision: str = "binary"
    levels: str = "kept"
    boost: float = 0.0
    blocks: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    halving: tuple[bool, ...] = ()
    stem_channels: int = 0

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(0 <= self.boost <= 1, "boost", "from 0 (off) to 1")
        one_of("backbone", self.backbone, BACKBONES)
        own, others = sizes(self.backbone), [name for name in BACKBONES if self.size in sizes(name)]
        if self.size not in own and others:
            raise ArgumentError(
                f"size is {self.size!r}, but {self.backbone} has {', '.join(own)}: choose one of them, or the backbone "
                f"{' or '.join(others)}"
            )
        one_of("size", self.size, own)
        one_of("head", self.head, HEADS)
        one_of("precision", self.precision, PRECISIONS)
        one_of("levels", self.levels, LEVELS)
        object.__setattr__(self, "blocks", _checked_blocks(self.blocks))
        self._check_list("channels", f"multiples of 8 up to {MOST_CHANNELS}, one for each stage", _is_width)
        self._check_list("halving", "true or false for each stage", lambda value: isinstance(value, bool))
        self._require(
            self.stem_channels == 0 or 1 <= self.stem_channels <= MOST_CHANNELS,
            "stem_channels",
            f"from 1 to {MOST_CHANNELS}, or 0 for those of the size",
        )

    def _check_list(self, name: str, rule: str, suits: Callable[[object], bool]) -> None:
        values = getattr(self, name)
        self._require(isinstance(values, (tuple, list)) and all(map(suits, values)), name, rule)
        object.__setattr__(self, name, tuple(values))

    @property
    def own_stages(self) -> dict[str, Any]:
        """What the stages have that the size does not give, beside blocks: a name in OWN_STAGES -> its value."""
        return {name: getattr(self, name) for name in OWN_STAGES if getattr(self, name)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values. What earlier versions did not have is left out unless it is used: digests stay the same."""
        values = super().to_dict()
        return {name: value for name, value in values.items() if value or name not in OWN_STAGES}


def sizes(backbone: str) -> tuple[str, ...]:
    """The names of the sizes that a backbone has."""
    return (*SIZES, *MORE_SIZES.get(backbone, ()))


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 8 <= value <= MOST_CHANNELS and value % 8 == 0


def _checked_blocks(blocks: object) -> tuple[int, ...]:
    """Whole numbers of at least 1; how many there must be depends on the backbone (`models.registry.allocation`)."""
    numbers = tuple(blocks) if isinstance(blocks, (tuple, list)) else (None,)
    if not all(
        isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= MOST_BLOCKS for count in numbers
    ):
        raise ArgumentError(
            f"blocks is {blocks!r}, but must be a whole number from 1 to {MOST_BLOCKS} for each stage, or empty for "
            "those of the size"
        )
    return numbers
