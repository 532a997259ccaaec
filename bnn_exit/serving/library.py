"""The package wyoming, imported when it is needed."""

from __future__ import annotations

import importlib
from typing import Any

from bnn_exit.errors import missing_package


def library(module: str) -> Any:
    """A module of the package, such as "wake".

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        return importlib.import_module(f"wyoming.{module}")
    except ImportError as error:
        raise missing_package("wyoming", purpose="serving wake words", extra="wyoming") from error
