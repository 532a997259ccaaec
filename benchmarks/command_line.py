"""The call of a benchmark, as its result tells it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from accuracy_measure import without_places


def called(script: str, argv: Sequence[str] | None) -> str:
    """The call of `script`, to be read anywhere; None for the arguments of this process."""
    given = sys.argv[1:] if argv is None else argv
    words = [part for word in given for part in (word.split("=", 1) if word.startswith("--") else [word])]
    return without_places(shlex.join(["python", f"benchmarks/{Path(script).name}", *words]))
