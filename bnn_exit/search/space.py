"""What a search chooses: stages and so exits, blocks, channels, halving, stem, head, scheme, backbone and features."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import BACKBONES, HEADS, MOST_BLOCKS, MOST_CHANNELS, ModelConfig
from bnn_exit.settings.recipes import Recipe
from bnn_exit.settings.scheme import SCHEMES, SchemeConfig

Choose = Callable[[str, Sequence[Any]], Any]
"""choose(name, choices) -> one of the choices; a name is asked once for each candidate."""

CHOICES: dict[str, tuple[Any, ...]] = {
    "backbone": ("quicknet", "glance"),
    "stages": (2, 3, 4),
    "blocks": (1, 2, 3, 4, 5, 6),
    "channels": (64, 128, 256),
    "halving": (False, True),
    "stem_channels": (8, 16, 32),
    "head": ("grid", "pooled"),
    "scheme": ("joint", "self_distilled"),
    "hop_ms": (10.0, 15.0, 20.0, 25.0),
    "num_mels": (32, 40, 64),
}
"""Name -> what is chosen from, unless `--choose` says otherwise. There is an exit after each stage; blocks, channels
and halving are chosen for each of them."""

_NAMES: dict[str, Iterable[str]] = {"backbone": BACKBONES, "head": HEADS, "scheme": SCHEMES}
_WHOLE = {
    **{"stages": (2, 8), "blocks": (1, MOST_BLOCKS), "channels": (8, MOST_CHANNELS)},
    **{"stem_channels": (1, MOST_CHANNELS), "num_mels": (32, 4096)},
}
"""Name -> the least and the most of a whole number."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """The settings of a network that may be trained.

    Attributes:
        model, features, scheme: as in a recipe.
    """

    model: ModelConfig
    features: FeatureConfig
    scheme: SchemeConfig

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name).to_dict() for name in ("model", "features", "scheme")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Candidate:
        """From `to_dict`."""
        return cls(
            ModelConfig.from_dict(values["model"]),
            FeatureConfig.from_dict(values["features"]),
            SchemeConfig.from_dict(values["scheme"]),
        )

    def __str__(self) -> str:
        model, features = self.model, self.features
        halved = "".join("h" if value else "-" for value in model.halving)
        return (
            f"{model.backbone}, blocks {'-'.join(map(str, model.blocks))}, channels "
            f"{'-'.join(map(str, model.channels))}, halving {halved}, stem {model.stem_channels}, head {model.head}, "
            f"scheme {self.scheme.name}, hop {features.hop_ms:g} ms, {features.num_mels} mels"
        )


@dataclasses.dataclass(frozen=True)
class Space:
    """All candidates of a search.

    Attributes:
        recipe: gives every setting that is not chosen.
        choices: name in CHOICES -> what is chosen from.
    """

    recipe: Recipe
    choices: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, recipe: Recipe, chosen: Mapping[str, Any]) -> Space:
        """The space with other choices for some names; ArgumentError if one breaks a rule.

        Example:
            >>> Space.of(Recipe(), {"hop_ms": [20]}).choices["hop_ms"]
            (20.0,)
        """
        return cls(recipe, {**CHOICES, **{name: _checked(name, values) for name, values in chosen.items()}})

    def candidate(self, choose: Choose) -> Candidate:
        """The candidate of some choices.

        Channels never become fewer from stage to stage: a stage has the most that was chosen for it or one before it.
        The first stage does not halve, since the stem has done so. Where frames are further apart than half of the
        recipe's window, the window grows to twice their distance, and the transform with it.
        """

        def one(name: str, what: str = "") -> Any:
            return choose(name, self.choices[what or name])

        count = one("stages")
        stages = range(1, count + 1)
        blocks = tuple(one(f"blocks_{stage}", "blocks") for stage in stages)
        channels = tuple(itertools.accumulate((one(f"channels_{stage}", "channels") for stage in stages), max))
        halving = (False, *(one(f"halving_{stage}", "halving") for stage in stages[1:]))
        model = dataclasses.replace(
            self.recipe.model,
            backbone=one("backbone"),
            size="base",
            head=one("head"),
            precision="binary",
            blocks=blocks,
            channels=channels,
            halving=halving,
            stem_channels=one("stem_channels"),
        )
        name = one("scheme")
        options = self.recipe.scheme.options if name == self.recipe.scheme.name else {}
        features = _with_hop(self.recipe.features, one("hop_ms"), one("num_mels"))
        return Candidate(model, features, SchemeConfig(name, options))

    def own(self) -> Candidate:
        """The recipe's own network, with every setting of its stages written out; it may lie outside of the space."""
        from bnn_exit.models import registry

        model = self.recipe.model
        stages = registry.stages(model.backbone, model.size, model.blocks, **model.own_stages)
        written = dataclasses.replace(
            model,
            size="base",
            precision="binary",
            blocks=stages.blocks,
            channels=stages.channels,
            halving=tuple(stages.halves(index) for index in range(len(stages.blocks))),
            stem_channels=stages.stem_channels,
        )
        return Candidate(written, self.recipe.features, self.recipe.scheme)

    def smallest(self) -> Iterator[Candidate]:
        """Candidates of the least work and bytes: one of them is the smallest, whatever the budget is about."""
        several = {name: self.choices[name] for name in ("backbone", "head", "halving")}
        for values in itertools.product(*several.values()):
            fixed = dict(zip(several, values, strict=True))
            yield self.candidate(functools.partial(_least, fixed=fixed))

    def choices_of(self, candidate: Candidate) -> dict[str, Any] | None:
        """The choices that make `candidate`; None if it is not in the space."""
        model = candidate.model
        wanted: dict[str, Any] = {
            **{"backbone": model.backbone, "stages": len(model.blocks), "stem_channels": model.stem_channels},
            **{"head": model.head, "scheme": candidate.scheme.name},
            **{"hop_ms": candidate.features.hop_ms, "num_mels": candidate.features.num_mels},
        }
        for name in ("blocks", "channels", "halving"):
            wanted |= {f"{name}_{stage}": value for stage, value in enumerate(getattr(model, name), start=1)}
        asked: dict[str, Any] = {}

        def choose(name: str, choices: Sequence[Any]) -> Any:
            if name not in wanted or wanted[name] not in choices:
                raise LookupError(name)
            asked[name] = wanted[name]
            return wanted[name]

        try:
            return asked if self.candidate(choose) == candidate else None
        except LookupError:
            return None


def _least(name: str, choices: Sequence[Any], *, fixed: Mapping[str, Any]) -> Any:
    kind = name.rpartition("_")[0] if name[-1].isdecimal() else name
    if kind in fixed:
        return fixed[kind]
    if kind == "hop_ms":
        return max(choices)
    return choices[0] if kind == "scheme" else min(choices)


def _with_hop(usual: FeatureConfig, hop_ms: float, num_mels: int) -> FeatureConfig:
    window_ms = max(usual.window_ms, 2 * hop_ms) if hop_ms > usual.hop_ms else usual.window_ms
    fft_size = usual.fft_size
    while fft_size < round(usual.sample_rate_hz * window_ms / 1000):
        fft_size *= 2
    return dataclasses.replace(usual, hop_ms=hop_ms, num_mels=num_mels, window_ms=window_ms, fft_size=fft_size)


def parsed(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """The choices of `--choose NAME=V1,V2,...`; what is no JSON is text."""
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not text:
            raise ArgumentError(f"--choose is {pair!r}, but must be NAME=VALUE,VALUE,...")
        found[name] = [_value(word) for word in text.split(",")]
    return found


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except json.JSONDecodeError:
        return word


def _checked(name: str, values: Any) -> tuple[Any, ...]:
    one_of("--choose", name, CHOICES)
    if not isinstance(values, (list, tuple)) or not values:
        raise ArgumentError(f"--choose {name} is {values!r}, but must be at least one value")
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name in _NAMES:
            one_of(f"--choose {name}", str(value), _NAMES[name])
        elif name == "halving" and not isinstance(value, bool):
            raise ArgumentError(f"--choose halving is {value!r}, but must be true or false")
        elif name == "hop_ms" and not (number and 1 <= value <= 1000):
            raise ArgumentError(f"--choose hop_ms is {value!r}, but must be a number from 1 to 1000")
        elif name in _WHOLE and not (isinstance(value, int) and number and _WHOLE[name][0] <= value <= _WHOLE[name][1]):
            least, most = _WHOLE[name]
            raise ArgumentError(f"--choose {name} is {value!r}, but must be a whole number from {least} to {most}")
    return tuple(dict.fromkeys(map(float, values) if name == "hop_ms" else values))
