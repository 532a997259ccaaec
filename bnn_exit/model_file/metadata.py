"""The JSON that model.tflite carries beside the network: labels, features, operating points, costs, licence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnn_exit import policies, strict_json
from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import INSTALL, ArgumentError, BnnExitError, ModelFileError
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.policies import rule
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import Features, ValuesConfig, features_of, sound_features
from bnn_exit.text import check_text

if TYPE_CHECKING:
    from bnn_exit.model_file.listening_points import ListeningPoint

FORMAT_VERSION = 1
"""Format version of the metadata. Increased when older readers would misread newer files."""

METADATA_NAME = "bnn_exit"
MAX_CLIP_SAMPLES = 2**26
_TEXTS = ("policy", "task", "normalisation", "licence", "attribution", "writer")


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Everything a device needs to prepare inputs and to read outputs.

    Texts, at any depth, hold what `bnn_exit.text` allows: labels are shown in terminals and pages.

    Attributes:
        labels: names of the classes, in the order of the probabilities.
        input: "log_mel" [1, frames, mels, 1] or "waveform" [1, samples] of sound, "values" [1, samples, 1, channels] of
            sensors and spectra: the input of the network.
        clip_samples: length of a waveform or window in samples.
        features: settings of the log-mel, of which sample_rate_hz holds for waveforms too, or of the values.
        policy: name, in `bnn_exit.policies.POLICIES`, of the score that the exits compare.
        exits: cost of leaving at each exit, all earlier stages and heads and the work of the policy included; with a
            skip gate `LeavingCosts`, which have that of a clip that skips.
        operating_points: named sets of thresholds with their validation figures.
        task: name of the data set.
        model: settings that built the network.
        normalisation: how the features are normalised, and where.
        licence: licence of the training data.
        attribution: whom to credit for the training data.
        writer: the program that wrote the file, with its version.
        policy_settings: fitted values of the policy, as `Policy.to_dict` gives them without the name; empty for most.
        listening_points: named settings of the detector for streams; empty for most.
    """

    labels: tuple[str, ...]
    input: str
    clip_samples: int
    features: Features
    policy: str
    exits: tuple[Cost, ...]
    operating_points: Mapping[str, OperatingPoint]
    task: str
    model: Mapping[str, Any]
    normalisation: str
    licence: str
    attribution: str
    writer: str
    policy_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    listening_points: Mapping[str, ListeningPoint] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXTS:
            _require(isinstance(getattr(self, name), str), name, getattr(self, name), "text")
            check_text(name, getattr(self, name))
        _require(
            len(self.labels) >= 2 and all(isinstance(label, str) and label for label in self.labels),
            "labels",
            list(self.labels),
            "at least two non-empty names",
        )
        _require(len(set(self.labels)) == len(self.labels), "labels", list(self.labels), "names that all differ")
        for label in self.labels:
            check_text("label", label)
        inputs = self.features.inputs
        _require(self.input in inputs, "input", self.input, f"{' or '.join(inputs)}, as its features are")
        _require(
            _is_count(self.clip_samples) and self.clip_samples <= MAX_CLIP_SAMPLES,
            "clip_samples",
            self.clip_samples,
            f"a whole number of at least 1 and at most {MAX_CLIP_SAMPLES}",
        )
        _require(len(self.exits) >= 1, "exits", list(self.exits), "the cost of at least one exit")
        object.__setattr__(self, "exits", LeavingCosts.of(self.exits))
        _require(
            (LeavingCosts.of(self.exits).skipped is not None) == self.skips,
            "policy",
            self.policy,
            "one with a skip gate where there is a skipped_cost, and no other",
        )
        if self.policy_settings:
            learned = policies.from_dict(self.policy_dict)
            _require(
                learned.fits(exits=len(self.exits), classes=len(self.labels)),
                "policy_settings",
                dict(self.policy_settings),
                f"of a network with {len(self.exits)} exits and {len(self.labels)} classes",
            )
        for name, point in self.operating_points.items():
            _require(name == point.name, "operating_points", name, f"filed under its own name {point.name!r}")
            _require(
                len(point.thresholds) == self.num_thresholds,
                f"operating_points[{name!r}].thresholds",
                list(point.thresholds),
                f"{self.num_thresholds} values for {len(self.exits)} exits{' and a skip gate' * self.skips}",
            )
            _require(
                len(point.exit_shares) == len(self.exits),
                f"operating_points[{name!r}].exit_shares",
                list(point.exit_shares),
                f"{len(self.exits)} shares, one for each exit",
            )
        for name, listening in self.listening_points.items():
            _require(name == listening.name, "listening_points", name, f"filed under its own name {listening.name!r}")
            listening.check(labels=self.labels, operating_points=list(self.operating_points))

    @property
    def skips(self) -> bool:
        """Whether the policy has a skip gate."""
        return self.policy in rule.SKIP_GATES

    @property
    def num_thresholds(self) -> int:
        """How many thresholds the network takes."""
        return rule.num_thresholds(len(self.exits), skips=self.skips)

    @property
    def policy_dict(self) -> dict[str, Any]:
        """The policy and its fitted values, for `policies.from_dict`."""
        return {"name": self.policy, **self.policy_settings}

    @property
    def takes_values(self) -> bool:
        """Whether the network takes windows of sensors or spectra, not sound."""
        return isinstance(self.features, ValuesConfig)

    @property
    def sound(self) -> FeatureConfig:
        """Settings of the log-mel; ArgumentError if the network takes values."""
        return sound_features(self.features)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of values; empty for sound."""
        return self.features.channels if isinstance(self.features, ValuesConfig) else ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the network's input, without the batch: (frames, mels, 1), (samples,) or (samples, 1, channels)."""
        if self.input == "waveform":
            return (self.clip_samples,)
        return self.features.input_shape(self.clip_samples)

    @property
    def normalises_level(self) -> bool:
        """Whether the network brings every clip to one level; files of earlier versions do not say, and do not."""
        return self.model.get("levels") == "normalised"

    def to_json(self) -> bytes:
        """The metadata as UTF-8 JSON with its format version."""
        values: dict[str, Any] = {"format": FORMAT_VERSION}
        for field in dataclasses.fields(self):
            values[field.name] = getattr(self, field.name)
        values["features"] = self.features.to_dict()
        values["exits"] = [cost.to_dict() for cost in self.exits]
        skipped = LeavingCosts.of(self.exits).skipped
        if skipped is not None:
            values["skipped_cost"] = skipped.to_dict()
        values["operating_points"] = {name: point.to_dict() for name, point in self.operating_points.items()}
        values["model"] = dict(self.model)
        values["policy_settings"] = dict(self.policy_settings)
        values["listening_points"] = {name: point.to_dict() for name, point in self.listening_points.items()}
        if not self.listening_points:
            del values["listening_points"]  # as files were before there were any
        try:
            data = json.dumps(values, allow_nan=False, ensure_ascii=False).encode()
            strict_json.loads(data)  # whatever is written can be read
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"metadata cannot be written as JSON: {error}") from error
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Metadata:
        """The metadata that `to_json` wrote.

        `core/format/metadata.cpp` of the native library checks the same; the tests run one corpus through both.

        Raises:
            ModelFileError: not JSON as `bnn_exit.strict_json` reads it, a newer format, a setting that is missing, or
                one that breaks a rule.
        """
        values = {"policy_settings": {}, "listening_points": {}, **_parse(data)}
        fields = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in fields if name not in values]
        if missing:
            raise ModelFileError(f"the {METADATA_NAME} metadata lacks {', '.join(missing)}: export the model again")
        try:
            return cls(
                **{
                    **{name: values[name] for name in fields},
                    "labels": tuple(_typed(values, "labels", list)),
                    "features": _features(_typed(values, "features", dict)),
                    "exits": _costs(values),
                    "operating_points": {
                        name: OperatingPoint.from_dict(point)
                        for name, point in _typed(values, "operating_points", dict).items()
                    },
                    "model": _typed(values, "model", dict),
                    "policy_settings": _typed(values, "policy_settings", dict),
                    "listening_points": _listening_points(_typed(values, "listening_points", dict)),
                }
            )
        except (BnnExitError, TypeError, ValueError, AttributeError, OverflowError, KeyError) as error:
            raise ModelFileError(f"the {METADATA_NAME} metadata is not usable: {error}") from error


def _parse(data: bytes) -> dict[str, Any]:
    try:
        values = strict_json.loads(data)
    except ValueError as error:
        raise ModelFileError(
            f"the {METADATA_NAME} metadata is not JSON that can be read ({error}): export the model again"
        ) from error
    version = values.get("format") if isinstance(values, dict) else None
    if version is None or not _is_count(version):
        raise ModelFileError(f"the {METADATA_NAME} metadata has no format version: export the model again")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"this file is of format {version}, this bnn_exit reads up to {FORMAT_VERSION}: update it, then {INSTALL}"
        )
    return values


def _features(values: dict[str, Any]) -> Features:
    features = features_of(values)
    # The file may have been trained with other settings than the defaults of this version.
    missing = [field.name for field in dataclasses.fields(features) if field.name not in values]
    if missing:
        raise ArgumentError(f"features lack {', '.join(missing)}")
    return features


def _costs(values: dict[str, Any]) -> LeavingCosts:
    skipped = Cost.from_dict(_typed(values, "skipped_cost", dict)) if "skipped_cost" in values else None
    return LeavingCosts((Cost.from_dict(cost) for cost in _typed(values, "exits", list)), skipped=skipped)


def _listening_points(values: dict[str, Any]) -> dict[str, ListeningPoint]:
    if not values:
        return {}
    # Whoever classifies clips loads one module less.
    from bnn_exit.model_file.listening_points import ListeningPoint

    return {name: ListeningPoint.from_dict(point) for name, point in values.items()}


def _typed(values: dict[str, Any], name: str, kind: type) -> Any:
    _require(isinstance(values[name], kind), name, values[name], f"a {kind.__name__}")
    return values[name]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        shown = repr(value)
        raise ArgumentError(f"{name} is {shown if len(shown) <= 200 else shown[:200] + '...'}, but must be {rule}")
