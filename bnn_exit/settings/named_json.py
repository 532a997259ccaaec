"""Settings in a JSON file of the user, or in one that comes with the package and has a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_exit.errors import DataError, one_of
from bnn_exit.files import expanded, read_json


def shipped_in(folder: Path) -> dict[str, Path]:
    """The JSON files of a folder of the package: name -> path."""
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def read_named(kind: str, source: str, shipped: Mapping[str, Path]) -> Any:
    """The value in the JSON file `source`, or in the file of the package with this name.

    Args:
        kind: "plan" or "recipe": the name of the option, and the beginning of errors.
        source: a name in `shipped`, or a path that ends in .json.
        shipped: the files of the package.

    Raises:
        ArgumentError: an unknown name.
        DataError: a file that is missing or no JSON.
    """
    names = ", ".join(shipped)
    if not source.endswith(".json"):
        one_of(f"--{kind}", source, [*shipped, "FILE.json"])
    try:
        return read_json(shipped.get(source, expanded(source)))
    except OSError as error:
        raise DataError(
            f"{kind} {source!r} cannot be read ({error.strerror}): give a JSON file or one of {names}"
        ) from error
    except ValueError as error:
        raise DataError(f"{kind} {source!r} is no JSON ({error}): {names} show the form") from error
