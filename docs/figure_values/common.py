"""What the figures are made with: the result files, and tables in Markdown."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"

Figure = Callable[[Path], str]
"""figure(folder of the page) -> the text between its markers"""


@functools.cache
def result(name: str) -> Any:
    """A file of benchmarks/results, by its path there without the suffix."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def value(make: Callable[[], str]) -> Figure:
    """A figure that is the same on every page."""
    return lambda folder: make()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table on lines of its own."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n\n"


def link(folder: Path, name: str, *, text: str = "") -> str:
    """A link from a page in `folder` to a result file."""
    path = os.path.relpath(RESULTS / f"{name}.json", folder)
    return f"[{text or name.rpartition('/')[2]}]({Path(path).as_posix()})"


NOT_YET = "not measured yet"
"""What stands for a figure that the present result files lack; the benchmark's next run has it."""


def percent(share: float, digits: int = 2) -> str:
    """0.985 as 98.50."""
    return f"{100 * share:.{digits}f}"


def sentence(items: Sequence[str]) -> str:
    """a, b and c"""
    return ", ".join(items[:-1]) + f" and {items[-1]}"
