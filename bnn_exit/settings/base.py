"""What every configuration class shares: frozen dataclasses that go to JSON and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from bnn_exit.errors import ArgumentError, one_of

_Config = TypeVar("_Config", bound="Config")


def of_kind(what: str, values: Any, kinds: Mapping[str, type[Config]], *, usual: str) -> Any:
    """The settings in `values` by the class of their `kind`; those without one are of the `usual` kind.

    Raises:
        ArgumentError: no settings, another kind, or a setting that breaks a rule.
    """
    if not isinstance(values, dict):
        raise ArgumentError(f"{what} is {values!r}, but must be settings by name")
    kind = one_of(f"kind of {what}", values.get("kind", usual), kinds)
    return kinds[kind].from_dict({name: value for name, value in values.items() if name != "kind"})


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of the settings: `to_dict`, `from_dict` and a digest for cache keys."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls: type[_Config], values: dict[str, Any]) -> _Config:
        """The settings in `values`. An unknown name raises ArgumentError with the nearest known one."""
        if not isinstance(values, dict):
            raise ArgumentError(f"{cls.__name__} is {values!r}, but must be settings by name")
        names = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            one_of(cls._called(), name, names)
        try:
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        except TypeError as error:
            raise ArgumentError(f"{cls.__name__}: {error}") from error

    @classmethod
    def _called(cls) -> str:
        """What a name among the settings is called in errors."""
        return f"setting of {cls.__name__}"

    def digest(self) -> str:
        """A short fingerprint, equal exactly for equal settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def _require_kinds(self) -> None:
        """Whole numbers in the `int` settings, finite numbers in the `float` ones; call it before any arithmetic."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if field.type == "int":
                self._require(number and isinstance(value, int), field.name, "a whole number")
            elif field.type == "float":
                self._require(number and abs(value) <= sys.float_info.max, field.name, "a finite number")
                # 25 and 25.0 are equal, so they must have one digest.
                object.__setattr__(self, field.name, float(value))

    def _require(self, condition: bool, name: str, rule: str) -> None:
        if not condition:
            raise ArgumentError(f"{name} is {getattr(self, name)!r}, but must be {rule}")
