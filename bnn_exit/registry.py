"""A registry: names and what they stand for, which is imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class Registry(MutableMapping[str, _Value]):
    """Name -> value. A value may be given as "module:attribute".

    Example:
        >>> registry = Registry({"ordered": "collections:OrderedDict"})
        >>> registry["ordered"]
        <class 'collections.OrderedDict'>
        >>> registry["mine"] = dict
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places: dict[str, Any] = dict(places)

    def __getitem__(self, name: str) -> _Value:
        place = self._places[name]
        if isinstance(place, str):
            module, _, attribute = place.partition(":")
            place = getattr(importlib.import_module(module), attribute)
        value: _Value = place
        return value

    def __setitem__(self, name: str, value: _Value) -> None:
        self._places[name] = value

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
