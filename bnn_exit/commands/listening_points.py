"""The listening point that a command is to use."""

from __future__ import annotations

import dataclasses
from typing import Any

from bnn_exit import files
from bnn_exit.errors import ArgumentError, BnnExitError, describe_os_error
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint, how_to_make_one
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.stream import find_point


def chosen_point(session: Session, wanted: str | None, *, name: str, needed: bool = True) -> ListeningPoint | None:
    """A listening point by its name in the file, or from a JSON file.

    Args:
        session: the model.
        wanted: a name, or a path that ends in .json; None means "balanced", or else the only one that the file has.
        name: of the model, for messages.
        needed: whether there must be one.

    Raises:
        ArgumentError: there is none, none of this name, or one that does not fit the model.
    """
    if wanted is not None and wanted.endswith(".json"):
        return _of_file(wanted, session, name)
    points = session.metadata.listening_points
    if not points:
        if wanted is None and not needed:
            return None
        raise ArgumentError(
            f"{name} has no listening point, so nothing says which labels make events: {how_to_make_one(name)}"
        )
    found = find_point(session, wanted)
    if found is None and needed:
        raise ArgumentError(f"{name} has several listening points: give --listening-point {' or '.join(points)}")
    return found


def _of_file(path: str, session: Session, name: str) -> ListeningPoint:
    try:
        point = ListeningPoint.from_dict(_completed(files.read_json_object(path)))
    except OSError as error:
        raise ArgumentError(f"listening point: {describe_os_error(error)}") from error
    except (BnnExitError, ValueError, TypeError, KeyError) as error:
        raise ArgumentError(f"{path} holds no listening point: {error}") from error
    try:
        point.check(labels=session.labels, operating_points=list(session.operating_points))
    except ArgumentError as error:
        raise ArgumentError(f"{path} is of another model than {name}: {error}") from error
    return point


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """What a user wrote, with the defaults for what is left out. In a model file every value stands."""
    found = {**_defaults(ListeningPoint), **values}
    if isinstance(found["gate"], dict):
        found["gate"] = {**_defaults(GateSettings), **found["gate"]}
    return found


def _defaults(kind: Any) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found
